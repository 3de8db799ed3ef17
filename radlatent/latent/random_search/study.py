"""The door to Optuna: a study in memory or in an SQLite file, and its trials.

Settings are drawn here and finished trials written, by the parent process alone.
"""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from radlatent.errors import RadlatentError, SchemaError

if TYPE_CHECKING:
    import optuna

__all__ = ["add_trial", "draw", "need_optuna", "open_study", "rows_of"]

_log = logging.getLogger(__name__)

_STUDY = "radlatent"

#: Seconds that a write waits for a file that another program reads.
_PATIENCE_S = 60


def need_optuna() -> ModuleType:
    """Return Optuna, or raise with how to install it."""
    try:
        import optuna
    except ImportError as error:
        msg = f'a search needs optuna: pip install "radlatent[deep]" ({error}).'
        raise RadlatentError(msg) from error
    return optuna


@contextlib.contextmanager
def open_study(path: Path | None, keys: Mapping[str, str]) -> Iterator["optuna.Study"]:
    """Give the study of a search, and close its file.

    Parameters
    ----------
    path
        The SQLite file; None keeps the study in memory.
    keys
        A key of each thing that trials depend on, by its name.

    Raises
    ------
    SchemaError
        The file is no storage, or that of another search.
    """
    optuna = need_optuna()
    with _forwarded_logs():
        if path is None:
            yield optuna.create_study(study_name=_STUDY)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = _storage(optuna, path)
        try:
            about = {"study_name": _STUDY, "load_if_exists": True}
            study = optuna.create_study(storage=kept, **about)
            _check_same(study, path, dict(keys))
            yield study
        finally:
            kept.remove_session()
            kept.engine.dispose()


def _storage(optuna, path):
    import sqlalchemy

    waiting = {"connect_args": {"timeout": _PATIENCE_S}}
    try:
        return optuna.storages.RDBStorage(f"sqlite:///{path}", engine_kwargs=waiting)
    except (sqlalchemy.exc.DatabaseError, RuntimeError) as error:
        msg = f"{path} is no storage of Optuna: {error}. Give another file."
        raise SchemaError(msg) from error


def _check_same(study, path, keys):
    known = study.user_attrs.get("keys")
    if known is None:
        study.set_user_attr("keys", keys)
        return
    other = [name for name, key in keys.items() if known.get(name) != key]
    if other:
        msg = (
            f"{path} is the storage of another search: not the same {other}. Give "
            "another file, or delete it."
        )
        raise SchemaError(msg)


class _Forward(logging.Handler):
    """Tell the library's logger what Optuna says, its small talk as DEBUG."""

    def emit(self, record):
        quiet = record.levelno < logging.WARNING
        level = logging.DEBUG if quiet else record.levelno
        _log.log(level, "optuna: %s", record.getMessage())


@contextlib.contextmanager
def _forwarded_logs():
    logger = logging.getLogger("optuna")
    before = logger.handlers, logger.propagate
    logger.handlers, logger.propagate = [_Forward()], False
    try:
        yield
    finally:
        logger.handlers, logger.propagate = before


def draw(study: "optuna.Study", space: Mapping, seed: int, number: int) -> dict:
    """Return the settings of a trial; they depend on no other trial of the study.

    Parameters
    ----------
    study
        Of `open_study`.
    space
        Name to (low, high, kind), as in `SearchPlan`.
    seed
        Of the search.
    number
        Of the trial.
    """
    optuna = need_optuna()
    own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    sampler = optuna.samplers.RandomSampler(seed=own)
    trial = optuna.trial.create_trial(state=optuna.trial.TrialState.WAITING)
    # as Optuna itself does: a range of one value takes nothing from the sampler
    return {
        name: kind.low
        if kind.single()
        else sampler.sample_independent(study, trial, name, kind)
        for name, kind in _distributions(space).items()
    }


def _distributions(space):
    kinds = need_optuna().distributions
    # sorted: values are drawn in this order
    return {
        name: kinds.IntDistribution(int(low), int(high))
        if kind == "int"
        else kinds.FloatDistribution(float(low), float(high), log=kind == "log")
        for name, (low, high, kind) in sorted(space.items())
    }


def add_trial(
    study: "optuna.Study",
    space: Mapping,
    parameters: Mapping,
    *,
    folds: list[dict],
    reason: str,
) -> None:
    """Write a finished trial in one transaction: a kill leaves it whole or not at all.

    Parameters
    ----------
    study
        Of `open_study`.
    space, parameters
        The ranges, and what was drawn from them.
    folds
        Scores of every inner fold, plain numbers; Optuna's value of the trial is their
        mean ``bound`` by ``n_cases``.
    reason
        Why the trial failed; empty where it did not.
    """
    create = need_optuna().trial.create_trial
    about = {"params": dict(parameters), "distributions": _distributions(space)}
    if reason:
        state = need_optuna().trial.TrialState.FAIL
        trial = create(state=state, user_attrs={"reason": reason}, **about)
    else:
        n = [row["n_cases"] for row in folds]
        value = float(np.average([row["bound"] for row in folds], weights=n))
        trial = create(value=value, user_attrs={"folds": folds}, **about)
    study.add_trial(trial)


def rows_of(study: "optuna.Study") -> list[dict]:
    """Return ``number, parameters, folds, reason`` of each trial, in order."""
    return [
        {"number": trial.number, "parameters": trial.params}
        | {"folds": trial.user_attrs.get("folds", [])}
        | {"reason": trial.user_attrs.get("reason", "")}
        for trial in study.get_trials()
    ]
