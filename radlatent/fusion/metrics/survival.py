"""How well predicted survival agrees with the truth.

Arrays enter, numbers leave: ``truth`` is structured, shape (n_patients,), with
``event`` (bool) and ``time`` (days), ``risks`` are the `Risks` of one repeat (higher =
earlier event), ``weights`` have shape (n_draws, n_patients), and the result is one
number a draw, NaN where a draw does not define it.

Censored patients are made up for by weights: an event on day T counts 1 / G(T-), G
being the Kaplan-Meier estimate of the censoring, of the evaluated patients and anew in
each draw. Of an event and a censoring on one day the event comes first. So G is taken
on the eve of T, as R's survival and timeROC do; scikit-survival takes it on T, which
differs only where both fall on one day.
"""

import numpy as np

from radlatent.fusion.metrics.arrays import Risks
from radlatent.fusion.metrics.censoring import censoring_steps, over, survival_steps
from radlatent.fusion.metrics.classes import auc

__all__ = [
    "SURVIVAL_METRICS",
    "auc_at",
    "auc_by_day",
    "brier_by_day",
    "c_harrell",
    "c_uno",
    "event_days",
    "integrated_brier",
    "observed_expected",
    "survival_at",
]


def event_days(truth: np.ndarray, shares: np.ndarray | float) -> np.ndarray:
    """Return quantiles of the days of the events; NaN without an event.

    Parameters
    ----------
    truth
        Structured, shape (n_patients,).
    shares
        Shares of the events that fall before, 0 to 1.
    """
    days = truth["time"][truth["event"]]
    return np.quantile(days, shares) if len(days) else np.full_like(shares, np.nan)


def survival_at(risks: Risks, day: float) -> np.ndarray:
    """Return each patient's probability to be free of the event on a day.

    Linear between the days that were predicted, from 1 on day 0; NaN after the last of
    them, and where none was. Shape (n_patients,).
    """
    days = np.r_[0.0, risks.times]
    values = np.pad(risks.survival, [(0, 0), (1, 0)], constant_values=1.0)
    return np.array([np.interp(day, days, row, right=np.nan) for row in values])


def c_harrell(truth: np.ndarray, risks: Risks, weights: np.ndarray) -> np.ndarray:
    """Return Harrell's C: how often the higher risk has the earlier event.

    Notes
    -----
    A pair counts when the earlier time is an event; an event comes before a censoring
    on the same day, and two events on one day do not count. Equal risks count half.
    The value depends on how patients were censored; `c_uno` does not.

    References
    ----------
    Harrell et al. 1996, doi:10.1002/(SICI)1097-0258(19960229)15:4<361::AID-SIM168>
    3.0.CO;2-4
    """
    return _concordance(truth, risks.risk, weights, weights)


def c_uno(
    truth: np.ndarray,
    risks: Risks,
    weights: np.ndarray,
    horizon: float | None = None,
) -> np.ndarray:
    """Return Uno's C: Harrell's, each event weighted by 1 / G(T-)².

    Parameters
    ----------
    truth, risks, weights
        As in the head of the module.
    horizon
        Only events before this day count. None takes the last day of an event after
        which somebody may still be censored, P(C > day) > 0, of all patients and the
        same in every draw.

    References
    ----------
    Uno et al. 2011, doi:10.1002/sim.4154
    """
    if horizon is None:
        days = truth["time"][truth["event"]]
        free = censoring_steps(truth, np.ones((1, len(truth)))).at(days)[0]
        horizon = days[free > 0].max(initial=-np.inf)
    free = censoring_steps(truth, weights).before(truth["time"])
    counted = weights * (truth["time"] < horizon)
    return _concordance(truth, risks.risk, weights, over(counted, free**2))


def _concordance(truth, risk, weights, event_weights):
    time, event = truth["time"], truth["event"]
    first = time[event, None]
    # (n_events, n_patients): who outlived whom
    later = ((first < time) | ((first == time) & ~event)).astype(float)
    won = later * ((risk[event, None] > risk) + 0.5 * (risk[event, None] == risk))
    pairs = [
        ((event_weights[:, event] @ m) * weights).sum(axis=1) for m in (won, later)
    ]
    with np.errstate(invalid="ignore"):
        return pairs[0] / pairs[1]


def auc_by_day(
    truth: np.ndarray, risks: Risks, weights: np.ndarray, days: np.ndarray
) -> np.ndarray:
    """Return the cumulative/dynamic AUC on each day, shape (n_draws, n_days).

    Notes
    -----
    The weighted share of pairs of an event until the day and a patient free of it after
    the day in which the event has the higher risk, ties counted half; an event on day T
    weighs 1 / G(T-). Patients censored until the day are in no pair.

    References
    ----------
    Uno et al. 2007, doi:10.1198/016214507000000149;
    Hung & Chiang 2010, doi:10.1002/cjs.10046
    """
    time, score = truth["time"], np.column_stack([-risks.risk, risks.risk])
    inverse = over(weights, censoring_steps(truth, weights).before(time))
    found = []
    for day in days:
        case = truth["event"] & (time <= day)
        used = case | (time > day)
        paired = np.where(case, inverse, weights)[:, used]
        found.append(auc(case[used].astype(int), score[used], paired))
    return np.stack(found, axis=1)


def auc_at(
    truth: np.ndarray,
    risks: Risks,
    weights: np.ndarray,
    days: np.ndarray | float | None = None,
) -> np.ndarray:
    """Return `auc_by_day` on a day, or its mean over days.

    ``days`` None takes the quartiles of the days of the events, so that each of the
    three stands for about as many of them.
    """
    days = event_days(truth, np.array([0.25, 0.5, 0.75])) if days is None else days
    return auc_by_day(truth, risks, weights, np.atleast_1d(days)).mean(axis=1)


def brier_by_day(truth: np.ndarray, risks: Risks, weights: np.ndarray) -> np.ndarray:
    """Return the Brier score on each predicted day, shape (n_draws, n_times).

    Notes
    -----
    The mean over patients of the squared predicted survival of events until the day,
    times 1 / G(T-), and of the squared predicted risk of those free of it after the
    day, times 1 / G(day). Lower = better.

    References
    ----------
    Graf et al. 1999, doi:10.1002/(SICI)1097-0258(19990915/30)18:17/18<2529::AID-SIM274>
    3.0.CO;2-5
    """
    time, days = truth["time"][:, None], risks.times
    free = censoring_steps(truth, weights)
    case = truth["event"][:, None] & (time <= days)  # (n_patients, n_times)
    early = over(weights, free.before(truth["time"])) @ (case * risks.survival**2)
    late = weights @ ((time > days) * (1 - risks.survival) ** 2)
    return (early + over(late, free.at(days))) / weights.sum(axis=1, keepdims=True)


def integrated_brier(
    truth: np.ndarray, risks: Risks, weights: np.ndarray
) -> np.ndarray:
    """Return `brier_by_day` averaged over the predicted days (lower = better).

    Notes
    -----
    The integral by the trapezoidal rule from the first to the last predicted day before
    the end of the follow-up, divided by the days between. NaN with fewer than two, as
    with a model that gives no probabilities.
    """
    inside = risks.times < truth["time"].max()
    if inside.sum() < 2:
        return np.full(len(weights), np.nan)
    days = risks.times[inside]
    scores = brier_by_day(
        truth, Risks(risks.risk, risks.survival[:, inside], days), weights
    )
    return np.trapezoid(scores, days, axis=1) / (days[-1] - days[0])


def observed_expected(
    truth: np.ndarray,
    risks: Risks,
    weights: np.ndarray,
    horizon: float | None = None,
) -> np.ndarray:
    """Return the share of patients with an event until a day, over the predicted one.

    Parameters
    ----------
    truth, risks, weights
        As in the head of the module.
    horizon
        The day; None takes the median day of the events.

    Notes
    -----
    Observed: 1 - Kaplan-Meier. 1 is calibrated in the large, above 1 the model
    predicts too few events. NaN where the model predicts no survival on that day.

    References
    ----------
    McLernon et al. 2023, doi:10.7326/M22-0844
    """
    day = event_days(truth, 0.5) if horizon is None else horizon
    expected = weights @ (1 - survival_at(risks, day)) / weights.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (1 - survival_steps(truth, weights).at(day)) / expected


#: Metric to function; of the integrated Brier score less is better, of observed /
#: expected 1 is best, of the others more is better.
SURVIVAL_METRICS = {
    "c_harrell": c_harrell,
    "c_uno": c_uno,
    "auc_at_quartiles": auc_at,
    "integrated_brier": integrated_brier,
    "observed_expected": observed_expected,
}
