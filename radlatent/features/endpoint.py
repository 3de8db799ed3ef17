"""One outcome of the patients who have it, and what an outcome may be.

A frame enters, an ``Endpoint`` leaves. What is wrong with an outcome is said here once,
for the tables of a cohort and for a frame of one's own.
"""

import logging
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from radlatent.errors import SchemaError
from radlatent.features.typed import TYPED, by_patient, one_column, with_columns
from radlatent.features.values import as_texts, class_faults

__all__ = [
    "CENSORED",
    "SHORT",
    "TIMED",
    "TIME_REMEDY",
    "UNITS",
    "Endpoint",
    "groups_of",
    "is_time",
    "outcome_problems",
    "pair_problems",
    "positive_problems",
    "strata_of",
]

#: Follow-up of which the median is below is hardly in days.
SHORT = 30.0

#: Kinds of outcome that are the time until an event, of one cause or of several.
TIMED = ("survival", "competing")

_log = logging.getLogger(__name__)

#: Kind to the columns of its frame.
_COLUMNS = {
    "class": ["class"],
    "survival": ["time", "event"],
    "competing": ["time", "cause"],
    "continuous": ["value"],
}

#: What the column of causes says of patients who had none of the events.
CENSORED = "censored"

#: Groups of similar values that patients of a continuous outcome are dealt by, at most.
_MOST_GROUPS = 10

#: Unit of time to its days.
UNITS = {"days": 1.0, "weeks": 7.0, "months": 30.4375, "years": 365.25}

#: What to do about an event on the first day, which no hazard can have led to.
TIME_REMEDY = (
    "Write 0.5 for an event on the day of the start (days count from there), or leave "
    "the patient out"
)


@dataclass(frozen=True, eq=False, repr=False)
class Endpoint:
    """One outcome of the patients who have it.

    Parameters
    ----------
    name
        As in ``cohort.yml``.
    kind
        ``"class"``, ``"survival"``, ``"competing"`` or ``"continuous"``.
    frame
        Index ``patient_id``; column ``class`` (text), or ``time`` (days) and
        ``event`` (1 = event, 0 = censored), or ``time`` and ``cause`` (text: which of
        the competing events, or "censored"), or ``value`` (a number). Numbers and
        booleans of pandas are made text, and those of an event 0 and 1; ids are made
        text. Competing events get an ``event`` that is 1 for the cause of interest.
    positive
        The one of two classes, or of several causes, that metrics are of; None takes
        the last class in sorted order, and is refused of causes.
    unit
        Of a continuous outcome, such as "ml"; None where it has none.

    Raises
    ------
    SchemaError
        There is no such kind, or the frame lacks a column.

    Notes
    -----
    `binary`, `classes`, `survival`, `competing` and `continuous` make one of a frame of
    one's own, and leave out patients whose outcome is missing.
    """

    name: str
    kind: str
    frame: pd.DataFrame
    positive: str | None = None
    unit: str | None = None

    def __post_init__(self):
        if self.kind not in _COLUMNS:
            msg = f"kind is {self.kind!r}; known are {[*_COLUMNS]}."
            raise SchemaError(msg)
        wanted = _COLUMNS[self.kind]
        absent = [column for column in wanted if column not in self.frame]
        if absent:
            other = "classes" if self.kind == "class" else self.kind
            msg = (
                f"endpoint {self.name!r}: a frame of kind {self.kind!r} has columns "
                f"{wanted}, and this one has {list(self.frame)[:10]}. Rename them, or "
                f"make it with Endpoint.{other}."
            )
            raise SchemaError(msg)
        if self.unit is not None and self.kind != "continuous":
            msg = (
                f"endpoint {self.name!r}: unit is of continuous outcomes; times are "
                "days, and Endpoint.survival(unit=...) makes them."
            )
            raise SchemaError(msg)
        typed = TYPED[self.kind](self.frame, self.name)
        if self.positive is not None:
            object.__setattr__(self, "positive", _text(self.positive))
        if self.kind == "competing":
            event = (typed["cause"] == self.positive).astype(int)
            typed = typed.assign(event=event)[["time", "event", "cause"]]
        object.__setattr__(self, "frame", typed)

    @classmethod
    def binary(
        cls,
        frame: pd.DataFrame | pd.Series,
        column: str | None = None,
        *,
        positive: object = None,
        patients: str | None = None,
        name: str | None = None,
    ) -> "Endpoint":
        """Return an outcome of two classes from a frame of one's own.

        Parameters
        ----------
        frame
            A row a patient, or a Series of the outcome.
        column
            Of the outcome: text, numbers, booleans or categories.
        positive
            The class that metrics are of, as it is in the column; None takes the last
            in sorted order.
        patients
            Column of the ids; None takes ``patient_id``, or else the index.
        name
            Of the endpoint; None takes the column's.

        Raises
        ------
        SchemaError
            There are not two classes, their names differ only in case, blanks or
            format, or nothing says who the patients are.

        Examples
        --------
        >>> patients = pd.Index([7, 8, 9, 12], name="patient_id")
        >>> frame = pd.DataFrame({"relapse": [True, False, None, True]}, patients)
        >>> Endpoint.binary(frame, "relapse", positive=True)
        Endpoint('relapse', class: {'False': 1, 'True': 2})
        """
        made = cls.classes(frame, column, patients=patients, name=name)
        counts = made.strata.value_counts().sort_index().to_dict()
        if len(counts) != 2:
            msg = f"endpoint {made.name!r} has the classes {counts}; two are needed."
            raise SchemaError(msg)
        return _sound(cls(made.name, "class", made.frame, positive))

    @classmethod
    def classes(
        cls,
        frame: pd.DataFrame | pd.Series,
        column: str | None = None,
        *,
        patients: str | None = None,
        name: str | None = None,
    ) -> "Endpoint":
        """Return an outcome of two classes or more from a frame of one's own.

        Parameters
        ----------
        frame, column, patients, name
            As of `binary`.

        Raises
        ------
        SchemaError
            As of `binary`; of more than ten different numbers: they are no classes.
        """
        frame, column = one_column(frame, column, "class")
        table = by_patient(with_columns(frame, [column], patients), patients)
        known = as_texts(table[column]).notna()
        _log_left_out(name or column, table.index[~known])
        found = table.loc[known, [column]].set_axis(["class"], axis=1)
        return _sound(cls(name or str(column), "class", found))

    @classmethod
    def survival(
        cls,
        frame: pd.DataFrame,
        *,
        time: str,
        event: str,
        unit: str = "days",
        patients: str | None = None,
        name: str | None = None,
    ) -> "Endpoint":
        """Return times until an event or censoring from a frame of one's own.

        Parameters
        ----------
        frame
            A row a patient.
        time
            Column of the times from the start of follow-up; a Timedelta has its unit.
        event
            Column of 1 or True for an event, 0 or False for censoring.
        unit
            Of the times: "days", "weeks", "months" (30.4375 days) or "years" (365.25).
        patients, name
            As of `binary`; None takes the name of the column ``event``.

        Raises
        ------
        SchemaError
            A time is not above 0, an event neither 0 nor 1, no patient has an event, or
            nothing says who the patients are.

        Examples
        --------
        >>> patients = pd.Index(["a", "b", "c"], name="patient_id")
        >>> frame = pd.DataFrame({"years": [1, 2.5, 3], "dead": [1, 0, 1]}, patients)
        >>> made = Endpoint.survival(frame, time="years", event="dead", unit="years")
        >>> made.frame["time"].tolist()
        [365.25, 913.125, 1095.75]
        """
        _check_unit(unit)
        table = by_patient(with_columns(frame, [time, event], patients), patients)
        known = as_texts(table[time]).notna() & as_texts(table[event]).notna()
        _log_left_out(name or event, table.index[~known])
        found = table.loc[known, [time, event]].set_axis(["time", "event"], axis=1)
        made = cls(name or str(event), "survival", found)
        return _sound(_in_days(made, found["time"], unit))

    @classmethod
    def competing(  # noqa: PLR0913 - what a column of events needs to be read
        cls,
        frame: pd.DataFrame,
        *,
        time: str,
        event: str,
        positive: object,
        censored: object = 0,
        unit: str = "days",
        patients: str | None = None,
        name: str | None = None,
    ) -> "Endpoint":
        """Return times until the first of several events from a frame of one's own.

        Parameters
        ----------
        frame
            A row a patient.
        time, unit
            As of `survival`.
        event
            Column of what happened at that time: the causes as numbers or text.
        positive
            The cause of interest, as it is in the column; the others compete with it.
        censored
            What the column says where nothing happened.
        patients, name
            As of `binary`; None takes the name of the column ``event``.

        Raises
        ------
        SchemaError
            There is no patient with the cause of interest, or none with another (that
            is survival), or as of `survival`.

        Examples
        --------
        >>> patients = pd.Index(["a", "b", "c", "d"], name="patient_id")
        >>> frame = pd.DataFrame({"days": [90, 200, 300, 400]}, patients)
        >>> frame["first"] = ["relapse", "death", "none", "relapse"]
        >>> names = {"time": "days", "event": "first"}
        >>> Endpoint.competing(frame, **names, positive="relapse", censored="none")
        Endpoint('first', competing: {'censored': 1, 'death': 1, 'relapse': 2})
        """
        _check_unit(unit)
        table = by_patient(with_columns(frame, [time, event], patients), patients)
        cause = as_texts(table[event])
        cause = cause.where(cause != _text(censored), CENSORED)
        known = as_texts(table[time]).notna() & cause.notna()
        _log_left_out(name or event, table.index[~known])
        found = pd.DataFrame({"time": table[time], "cause": cause})[known]
        made = cls(name or str(event), "competing", found, positive)
        return _sound(_in_days(made, found["time"], unit))

    @classmethod
    def continuous(
        cls,
        frame: pd.DataFrame | pd.Series,
        column: str | None = None,
        *,
        unit: str | None = None,
        patients: str | None = None,
        name: str | None = None,
    ) -> "Endpoint":
        """Return an outcome that is a number from a frame of one's own.

        Parameters
        ----------
        frame
            A row a patient, or a Series of the outcome.
        column
            Of the outcome: numbers, or text that holds numbers throughout.
        unit
            Of the outcome, such as "ml", for tables and axes; nothing is converted.
        patients, name
            As of `binary`.

        Raises
        ------
        SchemaError
            A value is no number or not finite, there are fewer than three different
            ones (these are classes), or nothing says who the patients are.

        Examples
        --------
        >>> patients = pd.Index(["a", "b", "c", "d"], name="patient_id")
        >>> frame = pd.DataFrame({"ef": [61, 35.5, None, 48]}, patients)
        >>> Endpoint.continuous(frame, "ef", unit="%")
        Endpoint('ef', continuous: n = 3, 35.5 to 61 %)
        """
        frame, column = one_column(frame, column, "value")
        table = by_patient(with_columns(frame, [column], patients), patients)
        known = as_texts(table[column]).notna()
        _log_left_out(name or column, table.index[~known])
        found = table.loc[known, [column]].set_axis(["value"], axis=1)
        return _sound(cls(name or str(column), "continuous", found, unit=unit))

    @property
    def strata(self) -> pd.Series:
        """What folds are stratified by.

        The class, whether there was an event, or its cause; of a continuous outcome one
        of at most ten groups of similar values (`groups_of`).
        """
        if self.kind == "class":
            return self.frame["class"].astype(str)
        if self.kind == "competing":
            return self.frame["cause"].astype(str)
        if self.kind == "continuous":
            groups = groups_of(self.frame["value"].to_numpy(), 2)
            return pd.Series(groups, self.frame.index).astype(str)
        return self.frame["event"].isin([1]).astype(int).astype(str)

    @property
    def is_timed(self) -> bool:
        """Whether it is the time until an event, of one cause or of several."""
        return self.kind in TIMED

    @property
    def causes(self) -> list[str]:
        """The competing events, that of interest first; empty of other kinds."""
        if self.kind != "competing":
            return []
        others = set(self.frame["cause"].dropna()) - {CENSORED, self.positive}
        return [self.positive, *sorted(others)]

    def __repr__(self) -> str:
        if self.kind == "continuous":
            ends = self.frame["value"].agg(["min", "max"])
            told = "n = {}, {:.4g} to {:.4g}".format(len(self.frame), *ends)
            unit = f" {self.unit}" if self.unit else ""
            return f"Endpoint({self.name!r}, continuous: {told}{unit})"
        counts = self.strata.value_counts().sort_index().to_dict()
        return f"Endpoint({self.name!r}, {self.kind}: {counts})"


def _text(value):
    return as_texts(pd.Series([value], dtype=object)).iloc[0]


def _check_unit(unit):
    if unit not in UNITS:
        raise SchemaError(f"unit is {unit!r}; known are {[*UNITS]}.")


def _in_days(endpoint, times, unit):
    """Return an endpoint with its times in days; those that have a unit keep it."""
    if times.dtype.kind == "m":
        return endpoint
    days = endpoint.frame["time"] * UNITS[unit]
    return replace(endpoint, frame=endpoint.frame.assign(time=days))


def _log_left_out(name, patients):
    if len(patients):
        _log.warning(
            "endpoint %r: %d patients have no outcome and are left out: %s",
            *(name, len(patients), patients[:5].tolist()),
        )


def _sound(endpoint):
    problems = outcome_problems(endpoint) + positive_problems(endpoint)
    if problems:
        raise SchemaError(f"endpoint {endpoint.name!r}: " + "; ".join(problems) + ".")
    return endpoint


def is_time(times: pd.Series) -> pd.Series:
    """Return whether each is a time of survival: above 0, and finite."""
    return (times > 0) & np.isfinite(times)


def outcome_problems(endpoint: Endpoint) -> list[str]:
    """Return what is wrong with the outcome of patients, a text a fault.

    A patient has one outcome; a survival time is positive, an event 0 or 1; a number is
    finite.
    """
    problems, known = [], endpoint.frame.index
    twice = known[known.duplicated()].unique()
    _report(problems, twice, "have more than one outcome")
    if endpoint.kind == "survival":
        return problems + _survival_problems(endpoint.frame)
    if endpoint.kind == "competing":
        return problems + _competing_problems(endpoint)
    if endpoint.kind == "continuous":
        return problems + _continuous_problems(endpoint.frame["value"])
    names = endpoint.frame["class"]
    _report(problems, known[names.isna()], "have no class")
    if names.isna().any():
        problems[-1] += " (leave them out, as Endpoint.classes does)"
    names = names.dropna()
    odd = names.index[[not isinstance(value, str) for value in names]]
    if len(odd):
        problems.append(
            "classes are not text: make the endpoint with radlatent.Endpoint"
        )
        return problems
    return problems + class_faults(names.unique())


def positive_problems(endpoint: Endpoint) -> list[str]:
    """Return what is wrong with the positive class, which folds do not ask for."""
    if endpoint.kind in TIMED or endpoint.positive is None:
        return []
    if endpoint.kind == "continuous":
        return ["positive is of two classes, and the outcome is a number"]
    classes = sorted(endpoint.strata.unique())
    if endpoint.positive in classes and len(classes) == 2:
        return []
    return [
        f"positive is {endpoint.positive!r}, of the classes {classes}: name one of "
        "two, or none"
    ]


def pair_problems(endpoint: Endpoint, other_endpoint: Endpoint) -> list[str]:
    """Return why a model of one outcome cannot be tested on another of its kind.

    Of numbers the units differ, where both are known; of competing events that of
    interest does.

    Parameters
    ----------
    endpoint
        Of training, or a final model's `radlatent.model.about.About`.
    other_endpoint
        Of the patients that are tested.
    """
    pair = (endpoint, other_endpoint)
    if endpoint.kind == "competing":
        what, said = "events of interest", [one.positive for one in pair]
    else:
        what, said = "units", [one.unit for one in pair]
        if not all(said):
            return []
    return [f"{what} are {said[0]!r} and {said[1]!r}"] if said[0] != said[1] else []


def _time_problems(times):
    wrong = times.index[~is_time(times)]
    if not len(wrong):
        return []
    return [
        f"{len(wrong)} patients have a time that is not above 0 and finite: "
        f"{wrong[:5].tolist()}. {TIME_REMEDY}"
    ]


def _survival_problems(frame):
    problems, events = _time_problems(frame["time"]), frame["event"]
    odd = events.index[~events.isin([0, 1])]
    _report(problems, odd, "have an event that is neither 0 nor 1")
    if events.isin([1, 2]).all() and len(odd):
        problems[-1] += " (1 and 2 as in R: give frame[column] == 2)"
    if not events.isin([1]).any():
        problems.append("no patient has an event")
    return problems


def _competing_problems(endpoint):
    problems, cause = _time_problems(endpoint.frame["time"]), endpoint.frame["cause"]
    _report(problems, cause.index[cause.isna()], "have no cause, nor 'censored'")
    counts = cause.value_counts().sort_index().to_dict()
    if endpoint.positive not in counts or endpoint.positive == CENSORED:
        problems.append(
            f"positive is {endpoint.positive!r}, of the causes {counts}: name the one "
            "of interest"
        )
    elif len(endpoint.causes) < 2:
        problems.append(
            f"nothing competes with {endpoint.positive!r}, of the causes {counts}: "
            "make it with Endpoint.survival"
        )
    return problems + class_faults(cause.dropna().unique())


def _continuous_problems(values):
    problems = []
    _report(problems, values.index[~np.isfinite(values)], "have no finite value")
    found = np.unique(values[np.isfinite(values)])
    if len(found) < 3:
        problems.append(
            f"there are {len(found)} different values {found.tolist()}: these are no "
            "continuous outcome, but classes (Endpoint.binary)"
        )
    return problems


def _report(problems, patients, what):
    if len(patients):
        problems.append(f"{len(patients)} patients {what}: {patients[:5].tolist()}")


def strata_of(
    outcome: np.ndarray, n_parts: int, *, survival: bool
) -> np.ndarray | None:
    """Return what patients are dealt by: their class, or whether they had the event.

    Parameters
    ----------
    outcome
        Classes, or whether each patient had the event (bool), shape (n_patients,).
    n_parts
        Parts that they are dealt into.
    survival
        Which of the two it is.

    Returns
    -------
    ndarray or None
        None of survival with fewer censored patients than parts. Censoring is no class:
        the time is learned, and what each training part needs is events.

    Raises
    ------
    ValueError
        A class has fewer patients than parts, or there are fewer events; the message is
        the counts.
    """
    outcome = np.asarray(outcome)
    labels, counts = np.unique(outcome, return_counts=True)
    if survival:
        events = int(outcome.sum())
        if events < n_parts:
            raise ValueError(str({"1": events}))
        return outcome if len(outcome) - events >= n_parts else None
    small = {str(k): int(n) for k, n in zip(labels, counts, strict=True) if n < n_parts}
    if small:
        raise ValueError(str(small))
    return outcome


def groups_of(values: np.ndarray, n_parts: int) -> np.ndarray:
    """Return in which group of similar values each patient is, by rank.

    Parameters
    ----------
    values
        A continuous outcome, shape (n_patients,).
    n_parts
        Parts that patients are dealt into: each group has as many at least.

    Returns
    -------
    ndarray
        Numbers from 0, at most ten groups of about the same size. Folds that are dealt
        by them have similar means, as folds of classes have similar shares.
    """
    order = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    n_groups = max(1, min(_MOST_GROUPS, len(order) // max(n_parts, 1)))
    return order * n_groups // max(len(order), 1)
