"""Random search over the settings of an encoder, scored on inner-fold patients only.

An encoder, training patients and ranges enter; a table with one row a trial leaves. A
search that was killed goes on from its SQLite file to the trials that it would have
had: the settings of a trial depend on its number and the random state alone.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import joblib
import numpy as np
import pandas as pd
from sklearn.base import clone

from radlatent.cohort import Cohort
from radlatent.errors import SchemaError
from radlatent.latent.encoder import LatentEncoder
from radlatent.latent.parameters import parameters_of
from radlatent.latent.prepared import PreparedCases, cases_of, prepare_cases
from radlatent.latent.random_search.result import SearchResult, tables_of
from radlatent.latent.random_search.space import (
    SPACE,
    check_space,
    widest,
    with_parameters,
)
from radlatent.latent.random_search.study import (
    add_trial,
    draw,
    need_optuna,
    open_study,
    rows_of,
)
from radlatent.latent.random_search.trial import (
    FEWEST_FOR_REDUNDANCY,
    check_folds,
    inner_folds,
    try_fold,
)
from radlatent.parallel import map_tasks, progress_bar
from radlatent.provenance import content_key

__all__ = ["SearchPlan", "SearchResult", "search"]

_SCORES = ("bound", "reconstruction")


@dataclass(frozen=True)
class SearchPlan:
    """What a search tries, and how it chooses.

    Parameters
    ----------
    space
        Name of a setting to (low, high, kind): "linear", "log", or "int" for whole
        numbers with both ends. None takes `search_space.SPACE`, kappa only with
        hand-crafted features, n_latent only as far as patients allow.
    n_trials
        Settings that are drawn; more than before goes on with a finished search.
    n_folds
        Inner folds of patients; a trial fits one encoder for each.
    score
        What the best trial has least of: "bound" or "reconstruction".
    max_redundancy
        Largest held-out R2 of latent features from hand-crafted ones that the best
        trial may have; None sets no limit.
    random_state
        An int where there is a storage: the search that goes on must draw the same.

    Notes
    -----
    *score*: kappa is no part of either score, and the bound, which has unit weights,
    rewards beta near 1. Neither says how redundant the features are: ``max_redundancy``
    does, and a search over kappa without it chooses kappa by reconstruction alone.
    Both can be changed between two calls; nothing is fitted again.
    """

    space: Mapping[str, tuple[float, float, str]] | None = None
    n_trials: int = 20
    n_folds: int = 3
    score: Literal["bound", "reconstruction"] = "bound"
    max_redundancy: float | None = None
    random_state: int | np.random.Generator | None = 0


def search(
    encoder: LatentEncoder,
    X: pd.DataFrame | Cohort,
    *,
    y: pd.Series | None = None,
    handcrafted: pd.DataFrame | None = None,
    plan: SearchPlan | None = None,
    storage: str | Path | None = None,
    jobs: int | None = None,
) -> SearchResult:
    """Fit encoders with drawn settings and score them on patients held out.

    Parameters
    ----------
    encoder
        Where every setting comes from that is not searched. Not fitted, not changed.
    X
        A cohort, or a **cases** table with paths that can be opened: training patients
        only. Inner folds are dealt by patient, the same for all trials.
    y, handcrafted
        As in `LatentEncoder.fit`; each fit sees the rows of its own patients.
    plan
        `SearchPlan`; None takes its defaults.
    storage
        An SQLite file of Optuna, from which a search goes on; one process at a time.
        None keeps nothing.
    jobs
        Processes; each fits one encoder for one fold at a time. None leaves it to
        ``joblib.parallel_config``.

    Raises
    ------
    SchemaError
        With everything that is wrong, before training starts; or the storage is of
        another search.
    RadlatentError
        Optuna is not installed, or a worker process died.

    Notes
    -----
    *Score*: the held-out negative evidence bound, E_q[1/2 sum over the mask of
    (x - f)^2] + KL, in nats a case without the constant of the Gaussian (Kingma and
    Welling 2014, eq. 3); beta and kappa weigh nothing in it, so that trials compare.
    The expectation is a mean over draws from the posterior. Images are standardized by
    the inner-training patients of the fold, the same for all trials.

    *Redundancy*: held-out R2 of ridge regression from hand-crafted features to each
    active latent mean (variance above 0.01: Burda et al. 2016), cross-fitted among the
    held-out cases, where the encoder was not fitted. It is noisy with few patients and
    low where they are fewer than features: a filter for trials, no proof; see
    ``redundancy``. A trial without an active latent has none and is not eligible under
    a limit.

    All fits of a fold begin from one seed, whatever the ``random_state`` of the
    encoder. Trials are written to the storage when all folds of as many trials as there
    are processes are done; fits in between are kept in a folder beside it. A trial that
    failed keeps its row and is not tried again. The arrays of all cases go to each
    process.

    References
    ----------
    Bergstra and Bengio 2012, https://jmlr.org/papers/v13/bergstra12a.html (random
    search); Kingma and Welling 2014, arXiv:1312.6114; Burda et al. 2016,
    arXiv:1509.00519 (active latents)
    """
    need_optuna()
    plan, cases = plan or SearchPlan(), cases_of(X)
    space = _space(plan, cases, handcrafted)
    data = _Data(encoder, cases, y, handcrafted)
    _check(plan, space, data, storage)
    seed = int(np.random.default_rng(plan.random_state).integers(2**31))
    _check_folds(plan, space, data, inner_folds(cases, plan.n_folds, seed))
    prepared = prepare_cases(cases, encoder.inputs, jobs=jobs)
    data = _Data(encoder, prepared.cases, y, handcrafted, prepared, seed)
    if len(prepared) < len(cases):
        _check_folds(plan, space, data, data.folds(plan.n_folds))
    path = None if storage is None else Path(storage)
    with open_study(path, _keys(data, space, plan.n_folds)) as study:
        _run(study, data, (space, plan), path, jobs)
        rows = rows_of(study)[: plan.n_trials]
    tables = tables_of(rows, score=plan.score, max_redundancy=plan.max_redundancy)
    return SearchResult(*tables, clone(encoder), space, prepared.failures)


@dataclass(frozen=True)
class _Data:
    """What every trial is fitted with."""

    encoder: LatentEncoder
    cases: pd.DataFrame
    y: pd.Series | None
    handcrafted: pd.DataFrame | None
    prepared: PreparedCases | None = None
    seed: int = 0

    def folds(self, n_folds):
        return inner_folds(self.cases, n_folds, self.seed)


def _space(plan, cases, handcrafted):
    if plan.space is not None:
        return dict(plan.space)
    space = dict(SPACE)
    if handcrafted is None:
        del space["kappa"]
    n = cases["patient_id"].nunique()
    fewest = n - -(-n // max(plan.n_folds, 1))  # patients outside of the largest fold
    low, high, kind = space["n_latent"]
    space["n_latent"] = (low, max(low, min(high, fewest - 1)), kind)
    return space


def _check(plan, space, data, storage):
    found = check_space(space, handcrafted=data.handcrafted is not None)
    for name, least in (("n_trials", 1), ("n_folds", 2)):
        value = getattr(plan, name)
        if not (isinstance(value, int | np.integer) and value >= least):
            found.append(f"{name} is {value!r}; give a whole number from {least} on")
    if plan.score not in _SCORES:
        found.append(f"score is {plan.score!r}; give one of {list(_SCORES)}")
    if plan.max_redundancy is not None and data.handcrafted is None:
        found.append("max_redundancy is given, but no handcrafted; give both")
    if storage is not None and not isinstance(plan.random_state, int | np.integer):
        found.append(
            f"random_state is {plan.random_state!r}, with which a search cannot go on "
            "from its storage; give an int"
        )
    found += data.encoder.inputs.check()
    _raise(found)


def _check_folds(plan, space, data, folds):
    needy = with_parameters(data.encoder, widest(space))
    found = check_folds(needy, data.cases, data.y, data.handcrafted, folds)
    fewest = data.cases.groupby(folds)["patient_id"].nunique().min()
    if len(np.unique(folds)) < plan.n_folds:
        n = data.cases["patient_id"].nunique()
        found.append(f"n_folds is {plan.n_folds}, but there are {n} patients")
    if plan.max_redundancy is not None and fewest < FEWEST_FOR_REDUNDANCY:
        found.append(
            f"max_redundancy is given, but a fold has {fewest} patients, too few to "
            f"measure redundancy; give {FEWEST_FOR_REDUNDANCY} a fold, by fewer "
            "n_folds or more patients"
        )
    _raise(found)


def _raise(found):
    if found:
        msg = "the search cannot be run so: " + "; ".join(found) + "."
        raise SchemaError(msg)


def _keys(data, space, n_folds):
    """Return a key of each thing that trials depend on, by its name."""
    parameters = parameters_of(data.encoder) | {"random_state": None}
    for name in space:  # what is drawn does not come from the encoder
        for holder in (parameters, parameters["network"], parameters["training"]):
            if isinstance(holder, dict) and name in holder:
                holder[name] = None
    prepared, index = data.prepared, data.cases.index
    tables = {
        name: None if table is None else joblib.hash(table.reindex(index).to_numpy())
        for name, table in (("y", data.y), ("handcrafted", data.handcrafted))
    }
    arrays = [joblib.hash(a) for a in (prepared.images, prepared.masks)]
    folds = data.folds(n_folds).tolist()
    return {
        "encoder": content_key(parameters),
        "space": content_key({name: list(bounds) for name, bounds in space.items()}),
        "cases": content_key(list(index), arrays),
        "folds or random_state": content_key(folds, data.seed),
    } | {name: content_key(value) for name, value in tables.items()}


def _run(study, data, how, path, jobs):
    """Add trials to the study until it has as many as wanted."""
    space, plan = how
    # as many at once as there are processes: none waits, and all are kept after them
    together = max(1, joblib.effective_n_jobs(jobs))
    folds = data.folds(plan.n_folds)
    beside = None if path is None else path.with_name(f"{path.name}.fits")
    done = len(study.get_trials(deepcopy=False))
    bar = progress_bar("Searching settings", plan.n_trials, min(done, plan.n_trials))
    with bar as advance:
        for start in range(done, plan.n_trials, together):
            numbers = range(start, min(start + together, plan.n_trials))
            drawn = {n: draw(space, data.seed, n) for n in numbers}
            outcome = map_tasks(
                try_fold,
                _tasks(data, folds, drawn),
                jobs=jobs,
                **_kept(beside, study, drawn, plan.n_folds),
            )
            for number, parameters in drawn.items():
                scores, reason = _outcome_of(outcome, number)
                add_trial(study, space, parameters, folds=scores, reason=reason)
                advance()
            if beside is not None:
                shutil.rmtree(beside, ignore_errors=True)


def _tasks(data, folds, drawn):
    tasks = {}
    for number, parameters in drawn.items():
        encoder = with_parameters(data.encoder, parameters)
        for fold in np.unique(folds).tolist():
            state = int(np.random.SeedSequence([data.seed, fold]).generate_state(1)[0])
            seeded = clone(encoder).set_params(random_state=state)
            held_out = folds == fold
            about = (seeded, data.prepared, held_out, data.handcrafted, data.y)
            tasks[number, fold] = about
    return tasks


def _kept(beside, study, drawn, n_folds):
    """Return where the fits of unfinished trials are kept, for `map_tasks`."""
    if beside is None:
        return {}
    search = study.user_attrs["keys"]
    keys = {
        (number, fold): content_key(search, parameters, fold)
        for number, parameters in drawn.items()
        for fold in range(n_folds)
    }
    return {"cache": beside, "keys": keys}


def _outcome_of(outcome, number):
    """Return the scores of a trial, one dict a fold, and why it failed."""
    failed = {k[1]: why for k, why in outcome.failures.items() if k[0] == number}
    if failed:
        told = (f"fold {fold}: {': '.join(why)}" for fold, why in failed.items())
        return [], "; ".join(told)
    found = {k[1]: row for k, row in outcome.results.items() if k[0] == number}
    return [{"fold": fold} | row for fold, row in found.items()], ""
