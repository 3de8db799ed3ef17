"""Predictions as arrays, and draws from them.

A **predictions** table enters; an ``OutOfFold`` (classes), a ``SurvivalRun`` or a
``ContinuousRun`` for each model, blocks and endpoint leaves. Metrics, curves and
comparisons share them, so that all intervals mean the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from radlatent.errors import SchemaError
from radlatent.features.endpoint import CENSORED
from radlatent.schema import check_predictions

__all__ = [
    "ContinuousRun",
    "OutOfFold",
    "Risks",
    "SurvivalRun",
    "interval",
    "read_runs",
]

_KEYS = ["model", "blocks", "endpoint"]
_PREFIX, _DAYS, _INCIDENCE = "probability_", "survival_", "incidence_"


@dataclass(frozen=True, eq=False, kw_only=True)
class _Paired:
    """What all kinds of outcome share: who was predicted, how often, and draws.

    Parameters
    ----------
    key
        ``model``, ``blocks`` and ``endpoint``.
    patients
        ``patient_id`` in sorted order.
    repeats
        Numbers of the repeats in sorted order.
    n_folds
        Folds of a repeat; 1 where the predictions are of another cohort.
    """

    key: dict
    patients: list
    repeats: list
    n_folds: int

    def draw_weights(self, n_boot: int, seed: int) -> np.ndarray:
        """Return how often each patient is drawn, shape (n_boot, n_patients)."""
        n = len(self.patients)
        draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), n_boot)
        return draws.astype(float)

    def bootstrap(
        self, function: Callable, weights: np.ndarray, predicted: Sequence | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean of a function over repeats, and one value a draw.

        Draw number i is evaluated on repeat i modulo the number of repeats. The
        function takes ``truth``, what one repeat predicted (of ``self.predicted``, or
        of ``predicted`` where that is given), and weights.
        """
        n, values = len(self.patients), []
        predicted = self.predicted if predicted is None else predicted
        for repeat, one in enumerate(predicted):
            once = np.vstack([np.ones(n), weights[repeat :: len(self.repeats)]])
            values.append(function(self.truth, one, once))
        draws = np.concatenate([value[1:] for value in values])
        return np.mean([value[0] for value in values], axis=0), draws


@dataclass(frozen=True, eq=False, kw_only=True)
class OutOfFold(_Paired):
    """The predicted classes of one model, blocks and endpoint as arrays.

    Parameters
    ----------
    key, patients, repeats, n_folds
        Who was predicted, by what.
    classes
        Class names in sorted order; of two classes the positive one is the last.
    truth
        Class numbers, shape (n_patients,).
    probability
        Shape (n_repeats, n_patients, n_classes).
    threshold
        Of the positive class, chosen on training patients, shape (n_repeats,
        n_patients); None where none was.
    """

    classes: list
    truth: np.ndarray
    probability: np.ndarray
    threshold: np.ndarray | None = None

    @property
    def predicted(self) -> np.ndarray:
        """The probabilities."""
        return self.probability


@dataclass(frozen=True, eq=False)
class Risks:
    """What one repeat predicted of survival.

    Parameters
    ----------
    risk
        Higher = earlier event, shape (n_patients,).
    survival
        Probability to be free of the event at each of ``times``, shape
        (n_patients, n_times).
    times
        Days, ascending; empty where the model gives no probabilities.
    """

    risk: np.ndarray
    survival: np.ndarray
    times: np.ndarray


@dataclass(frozen=True, eq=False, kw_only=True)
class SurvivalRun(_Paired):
    """The predicted survival of one model, blocks and endpoint as arrays.

    Parameters
    ----------
    key, patients, repeats, n_folds
        Who was predicted, by what.
    truth
        Structured, shape (n_patients,): ``event`` (bool) and ``time`` (days, float).
    predicted
        `Risks` of each repeat, on days until ``until``.
    until
        The last day on which training patients of every fold were followed; infinite
        where the predictions do not tell.
    cause
        Of competing events the one of interest; ``truth`` has ``cause`` then, and what
        is predicted to be free of is that one.
    """

    truth: np.ndarray
    predicted: list
    until: float = np.inf
    cause: str | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class ContinuousRun(_Paired):
    """The predicted numbers of one model, blocks and endpoint as arrays.

    Parameters
    ----------
    key, patients, repeats, n_folds
        Who was predicted, by what.
    truth
        The true numbers, shape (n_patients,).
    predicted
        Shape (n_repeats, n_patients).
    unit
        Of both; None without.
    """

    truth: np.ndarray
    predicted: np.ndarray
    unit: str | None = None

    @property
    def in_unit(self) -> dict:
        """A column ``unit`` for a table of it; none without a unit."""
        return {"unit": self.unit} if self.unit else {}


#: What a table of predictions of a kind holds, in words.
_HOLDS = {
    "class": "classes",
    "survival": "survival",
    "continuous": "numbers",
    "competing": "competing events",
    "timed": "survival",
}

#: Kinds whose predictions are of times.
_TIMED = ("survival", "competing")


def read_runs(
    predictions: pd.DataFrame, *, kind: str | None = None
) -> list[OutOfFold | SurvivalRun | ContinuousRun]:
    """Return one run for each model, blocks and endpoint, patients in sorted order.

    Parameters
    ----------
    predictions
        A **predictions** table.
    kind
        "class", "survival", "competing" or "continuous" leaves out the runs of the
        other kinds, "timed" those that are neither the second nor the third; None keeps
        all.

    Raises
    ------
    SchemaError
        There is no run of the kind; a repeat lacks patients, or a prediction or the
        truth is missing or differs.
    """
    found, others = [], {}
    for key, table in check_predictions(predictions).groupby(_KEYS, sort=False):
        key = dict(zip(_KEYS, key, strict=True))
        own = _kind(table)
        if kind in (None, own) or (kind == "timed" and own in _TIMED):
            found.append(_READ[own](key, table))
        else:
            others[_HOLDS[own]] = None
    if not found and kind:
        names = predictions["endpoint"].unique().tolist()
        msg = (
            f"the predictions of endpoints {names} hold {' and '.join(others)}, no "
            f"{_HOLDS[kind]}."
        )
        if kind == "survival" and _HOLDS["competing"] in others:
            msg += " Take incidence_by_risk."
        raise SchemaError(msg)
    return found


#: Column to the kind of outcome that it tells, the first that is there.
_TOLD_BY = {"cause": "competing", "risk": "survival", "predicted": "continuous"}


def _kind(table):
    for column, kind in _TOLD_BY.items():
        # models of other endpoints leave empty columns behind when tables are joined
        if column in table and table[column].notna().any():
            return kind
    return "class"


def _sorted(table):
    """Return a table by repeat and patient, and how many there are of both."""
    table = table.sort_values(["repeat", "patient_id"])
    return table, (table["repeat"].nunique(), table["patient_id"].nunique())


def _columns(table, prefix):
    # models of other endpoints leave empty columns behind when tables are joined
    return sorted(c for c in table if c.startswith(prefix) and table[c].notna().any())


def _shared_problems(table, shape, truth):
    problems = []
    if len(table) != shape[0] * shape[1]:
        problems.append(
            f"some of {shape[1]} patients are not in all {shape[0]} repeats"
        )
    if len(table[["patient_id", *truth]].drop_duplicates()) > shape[1]:
        problems.append("the truth of a patient differs between repeats")
    return problems


def _raise(key, problems):
    if problems:
        msg = f"predictions of {key}: " + "; ".join(problems) + "."
        raise SchemaError(msg)


def _who(key, table, shape):
    patients = table["patient_id"].iloc[: shape[1]].tolist()
    repeats = table["repeat"].unique().tolist()
    n_folds = int(table.groupby("repeat")["fold"].nunique().max())
    about = {"key": key, "patients": patients, "repeats": repeats}
    return about | {"n_folds": n_folds}


def _missing(table, columns, what):
    rows = table[columns].isna().any(axis=1)
    some = table["patient_id"][rows].unique()[:5].tolist()
    return [f"{what} of patients {some} are missing"] if some else []


def _read_classes(key, table):
    table, shape = _sorted(table)
    classes = [column.removeprefix(_PREFIX) for column in _columns(table, _PREFIX)]
    problems = _shared_problems(table, shape, ["truth"])
    problems += _put_positive_last(classes, table)
    columns = [f"{_PREFIX}{name}" for name in classes]
    problems += _missing(table, columns, "probabilities")
    unknown = sorted(set(table["truth"].map(str)) - set(classes))
    if unknown or len(classes) < 2:
        problems.append(f"truth {unknown} has no probability column; found {columns}")
    _raise(key, problems)
    threshold = None
    if "threshold" in table and table["threshold"].notna().all():
        threshold = table["threshold"].to_numpy(float).reshape(shape)
    return OutOfFold(
        **_who(key, table, shape),
        classes=classes,
        truth=pd.Index(classes).get_indexer(table["truth"].iloc[: shape[1]]),
        probability=table[columns].to_numpy(float).reshape(*shape, len(classes)),
        threshold=threshold,
    )


def _put_positive_last(classes, table):
    """Sort the classes in place by what the predictions call positive, if anything."""
    named = table["positive"].dropna().unique() if "positive" in table else []
    if len(named) == 0:
        return []
    if len(named) > 1 or named[0] not in classes or len(classes) != 2:
        return [f"positive is {list(named)}, of the classes {classes}"]
    classes.sort(key=lambda name: name == named[0])
    return []


def _read_survival(key, table):
    table, shape = _sorted(table)
    columns = sorted(_columns(table, _DAYS), key=_day)
    until = _followed(table)
    # nobody in training was followed there
    columns = [column for column in columns if _day(column) <= until]
    problems = _shared_problems(table, shape, ["time", "event"])
    problems += _missing(table, ["risk", "time", "event", *columns], "predictions")
    _raise(key, problems)
    first = table.iloc[: shape[1]]
    truth = np.empty(shape[1], dtype=[("event", bool), ("time", float)])
    truth["event"], truth["time"] = first["event"] == 1, first["time"]
    times = np.array([_day(column) for column in columns])
    predicted = [
        Risks(one["risk"].to_numpy(float), one[columns].to_numpy(float), times)
        for _, one in table.groupby("repeat")
    ]
    about = {"truth": truth, "predicted": predicted, "until": until}
    return SurvivalRun(**_who(key, table, shape), **about)


def _read_competing(key, table):
    """Return a run whose truth has causes: survival is one minus the incidence."""
    days = _columns(table, _INCIDENCE)
    free = {_DAYS + name.removeprefix(_INCIDENCE): 1 - table[name] for name in days}
    run = _read_survival(key, table.assign(**free))
    first, shape = _sorted(table)
    cause = first["cause"].iloc[: shape[1]].to_numpy()
    truth = np.empty(shape[1], dtype=[*run.truth.dtype.descr, ("cause", np.int64)])
    for name in run.truth.dtype.names:
        truth[name] = run.truth[name]
    # that of interest is 1, and what the others are called makes no difference
    others = sorted({*cause[~run.truth["event"]]} - {CENSORED})
    numbers = {name: number for number, name in enumerate(others, 2)}
    truth["cause"] = [
        1 if e else numbers.get(c, 0)
        for e, c in zip(truth["event"], cause, strict=True)
    ]
    return replace(run, truth=truth, cause=first["positive"].iloc[0])


def _read_numbers(key, table):
    table, shape = _sorted(table)
    problems = _shared_problems(table, shape, ["value"])
    problems += _missing(table, ["value", "predicted"], "predictions")
    _raise(key, problems)
    units = table["unit"].dropna().unique() if "unit" in table else []
    return ContinuousRun(
        **_who(key, table, shape),
        truth=table["value"].iloc[: shape[1]].to_numpy(float),
        predicted=table["predicted"].to_numpy(float).reshape(shape),
        unit=units[0] if len(units) else None,
    )


_READ = {
    "class": _read_classes,
    "survival": _read_survival,
    "competing": _read_competing,
    "continuous": _read_numbers,
}


def _day(column):
    return float(column.removeprefix(_DAYS))


def _followed(table):
    """Return the day until which the training patients of all folds were followed."""
    told = (
        table["trained_until"] if "trained_until" in table else table["time"] * np.nan
    )
    return float(told.min()) if told.notna().any() else np.inf


def interval(draws: np.ndarray, level: float) -> np.ndarray:
    """Return the percentile interval of draws (first axis); NaN without a draw."""
    if not len(draws):
        return np.full((2, *np.shape(draws)[1:]), np.nan)
    return np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
