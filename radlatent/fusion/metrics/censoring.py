"""Kaplan-Meier estimates of all draws at once: of the event, and of the censoring.

Days, events and weights of patients enter, step functions leave. lifelines fits one
curve at a time, and a bootstrap needs thousands. `aalen_johansen` is the one curve of
competing events, with its intervals.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm

__all__ = [
    "Steps",
    "aalen_johansen",
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


def aalen_johansen(
    time: np.ndarray, cause: np.ndarray, n_causes: int, level: float = 0.95
) -> pd.DataFrame:
    """Return the incidence of each cause on every day, from day 0 on.

    Parameters
    ----------
    time
        Days until the first event or the end of follow-up, shape (n_patients,).
    cause
        Number of the event from 1 on, 0 of those censored, shape (n_patients,).
    n_causes
        How many causes there are.
    level
        Coverage that the intervals aim at.

    Returns
    -------
    DataFrame
        ``cause, time, incidence, error, lower, upper, at_risk, events, censored``.
    """
    days, at = np.unique(np.r_[0.0, time], return_inverse=True)
    counts = np.zeros((n_causes + 1, len(days)))
    np.add.at(counts, (cause, at[1:]), 1)
    at_risk = np.cumsum(counts.sum(axis=0)[::-1])[::-1]
    died = counts[1:].sum(axis=0)
    free = np.cumprod(1 - over(died, at_risk))
    before = np.r_[1.0, free[:-1]]  # free of all events on the eve
    z, tables = norm.ppf((1 + level) / 2), []
    for number, events in enumerate(counts[1:], 1):
        incidence = np.cumsum(before * over(events, at_risk))
        error = np.sqrt(_variance(incidence, before, events, died, at_risk))
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = np.exp(z * error / (incidence * np.log(incidence)))
            bounds = [incidence ** (1 / reach), incidence**reach]
        certain = (incidence <= 0) | (incidence >= 1)
        lower, upper = (np.where(certain, np.nan, one) for one in bounds)
        columns = {"cause": number, "time": days, "incidence": incidence}
        columns |= {"error": error, "lower": lower, "upper": upper}
        columns |= {"at_risk": at_risk.astype(int), "events": events.astype(int)}
        tables.append(pd.DataFrame(columns | {"censored": counts[0].astype(int)}))
    return pd.concat(tables, ignore_index=True)


def _variance(incidence, before, events, died, at_risk):
    """Return the variance on each day; all arguments of shape (n_days,)."""
    # of (I(t) - I(s))^2 a(s) + b(s) - 2 (I(t) - I(s)) c(s), summed over s up to t
    a = over(died, at_risk * (at_risk - died))
    b = before**2 * over(events * (at_risk - events), at_risk**3)
    c = before * over(events, at_risk**2)
    whole = np.cumsum(
        np.stack([a, a * incidence, a * incidence**2, b, c, c * incidence]), 1
    )
    found = incidence**2 * whole[0] - 2 * incidence * whole[1] + whole[2] + whole[3]
    return np.maximum(found - 2 * incidence * whole[4] + 2 * whole[5], 0)
