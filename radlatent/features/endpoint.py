"""One outcome of the patients who have it, and what an outcome may be.

A frame enters, an ``Endpoint`` leaves. What is wrong with an outcome is said here once,
for the tables of a cohort and for a frame of one's own.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

__all__ = [
    "SHORT",
    "TIME_REMEDY",
    "Endpoint",
    "is_time",
    "outcome_problems",
    "strata_of",
]

#: Follow-up of which the median is below is hardly in days.
SHORT = 30.0

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
        ``"class"`` or ``"survival"``.
    frame
        Index ``patient_id``; column ``class`` (text), or ``time`` (days) and
        ``event`` (1 = event, 0 = censored).
    positive
        The one of two classes that metrics are of; None takes the last in sorted order.
    """

    name: str
    kind: str
    frame: pd.DataFrame
    positive: str | None = None

    @property
    def strata(self) -> pd.Series:
        """What folds are stratified by: the class, or whether there was an event."""
        column = "class" if self.kind == "class" else "event"
        return self.frame[column].astype(str)

    def __repr__(self) -> str:
        counts = self.strata.value_counts().sort_index().to_dict()
        return f"Endpoint({self.name!r}, {self.kind}: {counts})"


def is_time(times: pd.Series) -> pd.Series:
    """Return whether each is a time of survival: above 0, and finite."""
    return (times > 0) & np.isfinite(times)


def outcome_problems(endpoint: Endpoint) -> list[str]:
    """Return what is wrong with the outcome of patients, a text a fault.

    A patient has one outcome; a survival time is positive, an event 0 or 1.
    """
    problems, known = [], endpoint.frame.index
    twice = known[known.duplicated()].unique()
    _report(problems, twice, "have more than one outcome")
    if endpoint.kind == "survival":
        return problems + _survival_problems(endpoint.frame)
    if endpoint.positive is not None:
        classes = sorted(endpoint.strata.unique())
        if endpoint.positive not in classes or len(classes) != 2:
            problems.append(
                f"positive is {endpoint.positive!r}, of the classes {classes}: name "
                "one of two, or none"
            )
    return problems


def _survival_problems(frame):
    problems, times, events = [], frame["time"], frame["event"]
    wrong = times.index[~is_time(times)]
    if len(wrong):
        problems.append(
            f"{len(wrong)} patients have a time that is not above 0 and finite: "
            f"{wrong[:5].tolist()}. {TIME_REMEDY}"
        )
    odd = events.index[~events.isin([0, 1])]
    _report(problems, odd, "have an event that is neither 0 nor 1")
    if not events.isin([1]).any():
        problems.append("no patient has an event")
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
