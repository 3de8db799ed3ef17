"""Kaplan-Meier estimates of all draws at once: of the event, and of the censoring.

Days, events and weights of patients enter, step functions leave. lifelines fits one
curve at a time, and a bootstrap needs thousands.
"""

from dataclasses import dataclass

import numpy as np

__all__ = [
    "Steps",
    "censoring_steps",
    "counts",
    "incidence_steps",
    "over",
    "rivals",
    "survival_steps",
]


@dataclass(frozen=True, eq=False)
class Steps:
    """A probability that steps down at some days, one curve a draw.

    Parameters
    ----------
    times
        Days of the steps, ascending, shape (n_times,).
    values
        Probability from each of them on, shape (n_draws, n_times); 1 before the first.
    """

    times: np.ndarray
    values: np.ndarray

    def at(self, days: np.ndarray) -> np.ndarray:
        """Return the probability to be free after each day, shape (n_draws, n_days)."""
        return self._padded[:, np.searchsorted(self.times, days, side="right")]

    def before(self, days: np.ndarray) -> np.ndarray:
        """Return the probability to be free on the eve, shape (n_draws, n_days)."""
        return self._padded[:, np.searchsorted(self.times, days, side="left")]

    @property
    def _padded(self):
        return np.pad(self.values, [(0, 0), (1, 0)], constant_values=1.0)


def over(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Return one array divided by another, 0 where that is 0."""
    shape = np.broadcast_shapes(np.shape(one), np.shape(two))
    return np.divide(one, two, out=np.zeros(shape), where=np.asarray(two) > 0)


def rivals(truth: np.ndarray) -> np.ndarray:
    """Return who had a competing event, shape (n_patients,): nobody without causes.

    Parameters
    ----------
    truth
        As of `survival_steps`; of competing events with ``cause`` (0 = censored).
    """
    if "cause" not in truth.dtype.names:
        return np.zeros(len(truth), dtype=bool)
    return (truth["cause"] > 0) & ~truth["event"]


def survival_steps(truth: np.ndarray, weights: np.ndarray) -> Steps:
    """Return the probability to be free of the event.

    Parameters
    ----------
    truth
        Structured, shape (n_patients,): ``event`` (bool), ``time`` (days).
    weights
        How often each patient counts, shape (n_draws, n_patients).

    References
    ----------
    Kaplan & Meier 1958, doi:10.1080/01621459.1958.10501452
    """
    times, at_risk, events, _ = counts(truth, weights)
    return Steps(times, np.cumprod(1 - over(events, at_risk), axis=1))


def censoring_steps(truth: np.ndarray, weights: np.ndarray) -> Steps:
    """Return the probability not to be censored; arguments as `survival_steps`.

    Notes
    -----
    Of an event and a censoring on one day the event comes first, so that whoever has
    the event is no longer at risk to be censored. So it is of a competing event.

    References
    ----------
    Graf et al. 1999, doi:10.1002/(SICI)1097-0258(19990915/30)18:17/18<2529::AID-SIM274>
    3.0.CO;2-5
    """
    ended = truth.copy()
    ended["event"] |= rivals(truth)
    times, at_risk, events, censored = counts(ended, weights)
    return Steps(times, np.cumprod(1 - over(censored, at_risk - events), axis=1))


def incidence_steps(truth: np.ndarray, weights: np.ndarray) -> Steps:
    """Return one minus the incidence of the event; arguments as `survival_steps`.

    Notes
    -----
    Of competing events it is that of Aalen and Johansen (``incidence``), which without
    them is Kaplan-Meier.
    """
    ended = truth.copy()
    ended["event"] |= rivals(truth)
    times, at_risk, died, _ = counts(ended, weights)
    free = np.cumprod(1 - over(died, at_risk), axis=1)
    before = np.pad(free, [(0, 0), (1, 0)], constant_values=1.0)[:, :-1]
    events = counts(truth, weights)[2]
    return Steps(times, 1 - np.cumsum(before * over(events, at_risk), axis=1))


def counts(truth: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return distinct times, and at each how many are at risk, fail, are censored.

    Parameters
    ----------
    truth, weights
        As of `survival_steps`.
    """
    order = np.argsort(truth["time"], kind="stable")
    times = truth["time"][order]
    starts = np.flatnonzero(np.diff(times, prepend=-np.inf))
    ordered, event = weights[:, order], truth["event"][order]
    events, censored = (
        np.add.reduceat(ordered * which, starts, axis=1) for which in (event, ~event)
    )
    at_risk = np.cumsum((events + censored)[:, ::-1], axis=1)[:, ::-1]
    return times[starts], at_risk, events, censored
