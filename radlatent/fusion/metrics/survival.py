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

Of competing events ``truth`` has ``cause`` as well (0 = censored): ``event`` is that of
interest, ``survival`` of the risks one minus its incidence, and G of censoring alone.
Whoever had another event never has that of interest.

What is scored by day is scored on days that training covers as well: `scores_of` makes
the metrics of one run. C needs no day, and counts all events.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from radlatent.fusion.metrics.arrays import Risks, SurvivalRun
from radlatent.fusion.metrics.censoring import (
    censoring_steps,
    incidence_steps,
    over,
    rivals,
)
from radlatent.fusion.metrics.classes import auc

__all__ = [
    "SURVIVAL_METRICS",
    "Score",
    "auc_at",
    "auc_by_day",
    "brier_by_day",
    "c_harrell",
    "c_uno",
    "event_days",
    "integrated_brier",
    "middle_day",
    "observed_expected",
    "scores_of",
    "survival_at",
]


def event_days(
    truth: np.ndarray, shares: np.ndarray | float, until: float = np.inf
) -> np.ndarray:
    """Return quantiles of the days of the events; NaN without an event.

    Parameters
    ----------
    truth
        Structured, shape (n_patients,).
    shares
        Shares of the events that fall before, 0 to 1.
    until
        The last day whose events are looked at.
    """
    days = truth["time"][truth["event"] & (truth["time"] <= until)]
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
    The value depends on how patients were censored; `c_uno` does not. Whoever had a
    competing event, whenever that was, outlives whoever has the event (Wolbers et al.).

    References
    ----------
    Harrell et al. 1996, doi:10.1002/(SICI)1097-0258(19960229)15:4<361::AID-SIM168>
    3.0.CO;2-4; Wolbers et al. 2009, doi:10.1097/EDE.0b013e3181a39056
    """
    ones = np.ones((1, len(truth)))
    return _concordance(truth, risks.risk, weights, ones)


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
        Only events before this day count, as with ``tau`` of scikit-survival and of
        survC1. None counts all events, as R's ``concordance(timewt="n/G2")``.

    Notes
    -----
    Late events weigh most, and the last one most of all: with heavy censoring give a
    horizon up to which many are followed. A pair whose other patient had a competing
    event before, on day S, weighs 1 / (G(T-) G(S-)).

    References
    ----------
    Uno et al. 2011, doi:10.1002/sim.4154; Wolbers et al. 2014,
    doi:10.1093/biostatistics/kxt059 (competing events)
    """
    free = censoring_steps(truth, weights).before(truth["time"])
    last = np.inf if horizon is None else horizon
    return _concordance(truth, risks.risk, weights, over(1, free), last)


def _concordance(truth, risk, weights, inverse, last=np.inf):
    time, event, rival = truth["time"], truth["event"], rivals(truth)
    case = event & (time < last)
    first, cases = time[case, None], (weights * inverse)[:, case]
    # (n_events, n_patients): who was followed for longer, and who had another event
    # before and can never have this one
    later = (first < time) | ((first == time) & ~event)
    never = rival & ~later
    won = (risk[case, None] > risk) + 0.5 * (risk[case, None] == risk)
    found = [np.zeros(len(weights))] * 2
    for pairs, each in ((later, inverse[:, case]), (never, inverse)):
        if not pairs.any():
            continue
        # of the longer one it is enough to be followed until the event of the other
        left, right = (
            (cases * each, weights) if pairs is later else (cases, weights * each)
        )
        found = [
            total + ((left @ m) * right).sum(axis=1)
            for total, m in zip(found, (won * pairs, pairs.astype(float)), strict=True)
        ]
    with np.errstate(invalid="ignore"):
        return found[0] / found[1]


def auc_by_day(
    truth: np.ndarray, risks: Risks, weights: np.ndarray, days: np.ndarray
) -> np.ndarray:
    """Return the cumulative/dynamic AUC on each day, shape (n_draws, n_days).

    Notes
    -----
    The weighted share of pairs of an event until the day and a patient free of it after
    the day in which the event has the higher risk, ties counted half; an event on day T
    weighs 1 / G(T-). Patients censored until the day are in no pair. Whoever had a
    competing event until the day is one without, with the weight 1 / G(T-).

    References
    ----------
    Uno et al. 2007, doi:10.1198/016214507000000149;
    Hung & Chiang 2010, doi:10.1002/cjs.10046; Blanche et al. 2013,
    doi:10.1002/sim.5958 (competing events)
    """
    time, score = truth["time"], np.column_stack([-risks.risk, risks.risk])
    free = censoring_steps(truth, weights)
    inverse = over(weights, free.before(time))
    found = []
    for day in days:
        case = truth["event"] & (time <= day)
        ended = case | (rivals(truth) & (time <= day))
        used = ended | (time > day)
        followed = over(weights, free.at(np.array([day])))
        paired = np.where(ended, inverse, followed)[:, used]
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
    day, times 1 / G(day); the latter of competing events until the day as well, times
    1 / G(T-). Lower = better.

    References
    ----------
    Graf et al. 1999, doi:10.1002/(SICI)1097-0258(19990915/30)18:17/18<2529::AID-SIM274>
    3.0.CO;2-5
    """
    time, days = truth["time"][:, None], risks.times
    free = censoring_steps(truth, weights)
    case = truth["event"][:, None] & (time <= days)  # (n_patients, n_times)
    other = rivals(truth)[:, None] & (time <= days)
    lost = case * risks.survival**2 + other * (1 - risks.survival) ** 2
    early = over(weights, free.before(truth["time"])) @ lost
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
    inside = _inside(truth, risks.times)
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
    Observed: 1 - Kaplan-Meier, or Aalen-Johansen of competing events. 1 is calibrated
    in the large, above 1 the model predicts too few events. NaN where the model
    predicts no survival on that day.

    References
    ----------
    McLernon et al. 2023, doi:10.7326/M22-0844
    """
    day = event_days(truth, 0.5) if horizon is None else horizon
    expected = weights @ (1 - survival_at(risks, day)) / weights.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (1 - incidence_steps(truth, weights).at(day)) / expected


def _inside(truth, times):
    return times < truth["time"].max()


#: Metric to function; of the integrated Brier score less is better, of observed /
#: expected 1 is best, of the others more is better.
SURVIVAL_METRICS = {
    "c_harrell": c_harrell,
    "c_uno": c_uno,
    "auc_at_quartiles": auc_at,
    "integrated_brier": integrated_brier,
    "observed_expected": observed_expected,
}


def middle_day(run: SurvivalRun) -> float:
    """Return the median day of the events, or of those until the last that is known.

    The second where training patients were followed for less time than that.
    """
    times = run.predicted[0].times
    known = min(run.until, times[-1]) if len(times) else run.until
    day = event_days(run.truth, 0.5)
    return float(day if day <= known else event_days(run.truth, 0.5, known))


@dataclass(frozen=True, eq=False)
class Score:
    """A metric of one run of survival, and what it counts.

    Parameters
    ----------
    function
        Takes truth, `Risks` and weights, as in the head of the module.
    horizon
        The last day that counts; NaN where no day does.
    words
        The same in words, for the column ``method``.
    """

    function: Callable
    horizon: float
    words: str

    def __call__(
        self, truth: np.ndarray, risks: Risks, weights: np.ndarray
    ) -> np.ndarray:
        """Return one number a draw."""
        return self.function(truth, risks, weights)


def scores_of(run: SurvivalRun, horizon: float | None = None) -> dict[str, Score]:
    """Return `SURVIVAL_METRICS` on the days that can be scored: name to `Score`.

    Parameters
    ----------
    run
        What was predicted, and until when training was followed.
    horizon
        As of `radlatent.evaluate`.

    Notes
    -----
    The same days in every draw.
    """
    truth, given = run.truth, np.inf if horizon is None else float(horizon)
    until = min(run.until, given)
    last = event_days(truth, 1.0)
    days = event_days(truth, np.array([0.25, 0.5, 0.75]), until)
    middle = middle_day(run) if horizon is None else given
    times = run.predicted[0].times
    times = times[_inside(truth, times) & (times <= until)]
    first, end = (times[0], times[-1]) if len(times) else (np.nan, np.nan)
    counted = "events until day" if horizon is None else "events before day"
    counted = f"C (Uno) of {counted} {last if horizon is None else given:g}"
    on = " and ".join([", ".join(f"{day:g}" for day in days[:2]), f"{days[2]:g}"])
    return {
        "c_harrell": Score(c_harrell, np.nan, ""),
        "c_uno": Score(
            partial(c_uno, horizon=horizon),
            float(last if horizon is None else given),
            counted,
        ),
        "auc_at_quartiles": Score(
            partial(auc_at, days=days), float(days[2]), f"AUC on days {on}"
        ),
        "integrated_brier": Score(
            partial(_brier_until, until=until),
            float(end),
            f"Brier score from day {first:g} to {end:g}" if len(times) > 1 else "",
        ),
        "observed_expected": Score(
            partial(observed_expected, horizon=middle),
            float(middle),
            f"observed / expected on day {middle:g}",
        ),
    }


def _brier_until(truth, risks, weights, until):
    kept = risks.times <= until
    part = Risks(risks.risk, risks.survival[:, kept], risks.times[kept])
    return integrated_brier(truth, part, weights)
