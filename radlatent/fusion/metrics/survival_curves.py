"""Tables behind the figures of survival: risk groups, calibration, AUC, net benefit.

A **predictions** table of survival enters, or but for `kaplan_meier` of competing
events; tables leave that ``figures`` can draw. Of competing events the risk is the
incidence of the one of interest, and the tables have its name as ``cause``.
Where patients are put into groups, what the repeats predicted of a patient is averaged
first, so that each patient is counted once.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from scipy.stats import norm, rankdata

from radlatent.errors import SchemaError
from radlatent.fusion.metrics.arrays import SurvivalRun, interval, read_runs
from radlatent.fusion.metrics.censoring import (
    aalen_johansen,
    incidence_steps,
    over,
    rivals,
    survival_steps,
)
from radlatent.fusion.metrics.survival import (
    auc_by_day,
    event_days,
    middle_day,
    survival_at,
)

__all__ = [
    "KaplanMeier",
    "kaplan_meier",
    "risk_groups",
    "survival_auc_curve",
    "survival_calibration",
    "survival_net_benefit",
]

_NAMES = {1: ("all",), 2: ("low", "high"), 3: ("low", "medium", "high")}


@dataclass(frozen=True, eq=False)
class KaplanMeier:
    """Survival of patients grouped by their predicted risk.

    Parameters
    ----------
    curves
        ``model, blocks, endpoint, group, time, survival, lower, upper, at_risk, events,
        censored``: one row a group and day (the first is day 0), ``at_risk`` before
        that day, ``events`` and ``censored`` on it. The interval is NaN where survival
        is 0.
    groups
        ``model, blocks, endpoint, group, n, n_events, restricted_mean, lower, upper,
        level, horizon, p``: days free of the event until the ``horizon``, with their
        interval, and p of the log-rank test between all groups.
    """

    curves: pd.DataFrame
    groups: pd.DataFrame

    @property
    def summary(self) -> pd.DataFrame:
        """The groups, and how they differ."""
        return self.groups

    def plot(self, ax=None, **kwargs):
        """Draw the curves of one model."""
        from radlatent.figures.models.survival import kaplan_meier as draw

        return draw(self.curves, ax, groups=self.groups, **kwargs)

    def _repr_html_(self) -> str:
        return self.summary.to_html()


def kaplan_meier(
    predictions: pd.DataFrame, *, n_groups: int = 2, level: float = 0.95
) -> KaplanMeier:
    """Return the survival of groups of predicted risk.

    Parameters
    ----------
    predictions
        A **predictions** table of survival.
    n_groups
        Groups of about equal size; 2 cuts at the median. Fewer where patients share a
        risk: one group, "all", where the model tells nobody apart.
    level
        Coverage that the intervals aim at.

    Raises
    ------
    SchemaError
        No survival is predicted.

    Notes
    -----
    In each repeat the out-of-fold risks of all patients are pooled and ranked; groups
    are cut at quantiles of the mean rank over repeats, with one repeat those of the
    risk itself. No outcome enters a cut, and no patient the model that ranks it, but
    the cut is that of these patients and not one fixed before. The p of the log-rank
    test takes the risks for known: patients of one repeat have trained each other's
    models, so that it is too small at times; a permutation test of the whole validation
    is the exact one (Simon et al. 2011).

    The interval of survival is Greenwood's on the log(-log) scale, as lifelines gives
    it. The restricted mean is the area under the curve until the earliest of the last
    days of the groups, with the variance of Klein & Moeschberger 2003, eq. 4.5.2.

    References
    ----------
    Simon et al. 2011, doi:10.1093/bib/bbr001; Klein & Moeschberger 2003,
    doi:10.1007/b97377; Royston & Parmar 2013, doi:10.1186/1471-2288-13-152
    """
    curves, groups = [], []
    for run in read_runs(predictions, kind="survival"):
        named = risk_groups(run, n_groups)
        parts = [part for _, part in named]
        horizon = min(run.truth["time"][part].max() for part in parts)
        p = _log_rank(run.truth, parts) if len(parts) > 1 else np.nan
        for name, part in named:
            curve, key = _curve(run.truth[part], level), run.key | {"group": name}
            mean, lower, upper = _restricted_mean(curve, horizon, level)
            row = {"n": part.sum(), "n_events": run.truth["event"][part].sum()}
            row |= {"restricted_mean": mean, "lower": lower, "upper": upper}
            groups.append(key | row | {"level": level, "horizon": horizon, "p": p})
            curves.append(pd.DataFrame(key | curve.to_dict("series")))
    return KaplanMeier(pd.concat(curves, ignore_index=True), pd.DataFrame(groups))


def risk_groups(run: SurvivalRun, n_groups: int) -> list[tuple[str, np.ndarray]]:
    """Return groups of patients by their mean rank, lowest first.

    Parameters
    ----------
    run
        What was predicted.
    n_groups
        As of `kaplan_meier`.

    Returns
    -------
    list
        Name of each group, and which patients are in it.
    """
    ranks = np.mean([rankdata(one.risk) for one in run.predicted], axis=0)
    parts = _cut(ranks, n_groups)
    names = _NAMES.get(len(parts))
    names = names or [f"{i + 1} of {len(parts)}" for i in range(len(parts))]
    return list(zip(names, parts, strict=True))


def _cut(score, n_groups):
    """Return which patients are in each group, the lowest score first.

    A model without signal gives many patients one prediction: groups that ties leave
    empty are left out.
    """
    cuts = np.quantile(score, np.arange(1, n_groups) / n_groups)
    number = np.searchsorted(cuts, score, side="left")  # a score on a cut is below it
    return [number == group for group in np.unique(number)]


def _curve(truth, level):
    from lifelines import KaplanMeierFitter

    fitter = KaplanMeierFitter(alpha=1 - level).fit(truth["time"], truth["event"])
    survival = fitter.survival_function_.iloc[:, 0].to_numpy()
    counts = fitter.event_table
    bounds = fitter.confidence_interval_.to_numpy().T
    # lifelines gives 1 where log(-log(0)) is not defined
    bounds = np.where(survival > 0, bounds, np.nan)
    columns = {"time": counts.index.to_numpy(float), "survival": survival}
    columns |= {"lower": bounds[0], "upper": bounds[1]}
    columns |= {
        name: counts[column].to_numpy(int)
        for name, column in (
            ("at_risk",) * 2,
            ("events", "observed"),
            ("censored",) * 2,
        )
    }
    return pd.DataFrame(columns)


def _log_rank(truth, parts):
    from lifelines.statistics import multivariate_logrank_test

    group = np.argmax(parts, axis=0)
    found = multivariate_logrank_test(truth["time"], group, truth["event"])
    return float(found.p_value)


def _restricted_mean(curve, horizon, level):
    """Return the mean days free of the event until the horizon, with its interval."""
    curve = curve[curve["time"] <= horizon]
    widths = np.diff(np.append(curve["time"], horizon))
    areas = curve["survival"].to_numpy() * widths
    after = np.cumsum(areas[::-1])[::-1]  # between each day and the horizon
    events, at_risk = (curve[name].to_numpy(float) for name in ("events", "at_risk"))
    variance = (after**2 * over(events, at_risk * (at_risk - events))).sum()
    mean, reach = areas.sum(), norm.ppf((1 + level) / 2) * np.sqrt(variance)
    return mean, mean - reach, mean + reach


def _chances(predictions, horizon):
    """Return each run, a day, and each repeat's risk of an event until then."""
    found, problems = [], []
    for run in read_runs(predictions, kind="timed"):
        day = float(middle_day(run) if horizon is None else horizon)
        chances = [1 - survival_at(one, day) for one in run.predicted]
        last = run.truth["time"].max()
        if np.isnan(chances).any():
            until = [one.times.max(initial=0) for one in run.predicted]
            told = f"{run.key} predict survival until day {min(until):g}"
            if np.isfinite(run.until):
                told += f" (training patients were followed until day {run.until:g})"
            problems.append(told)
        if not day <= last:
            problems.append(f"{run.key} are followed until day {last:g}")
        found.append((run, day, chances))
    if problems:
        day = "the median day of the events" if horizon is None else f"day {horizon:g}"
        msg = f"horizon {day}: predictions of {'; those of '.join(problems)}."
        msg += " Choose an earlier day, or leave models without probabilities out."
        raise SchemaError(msg)
    return found


def survival_calibration(
    predictions: pd.DataFrame,
    *,
    horizon: float | None = None,
    n_groups: int = 5,
    level: float = 0.95,
) -> pd.DataFrame:
    """Return predicted and observed risk of an event until a day, by group of risk.

    Parameters
    ----------
    predictions
        A **predictions** table with ``survival_<days>``, or ``incidence_<days>``.
    horizon
        The day; None takes the median day of the events, or of those until the last day
        that is predicted, where training patients were followed for less time.
    n_groups
        Groups of about equal size; fewer where patients share a prediction.
    level
        Coverage that the interval aims at.

    Returns
    -------
    DataFrame
        ``model, blocks, endpoint, group, predicted, observed, lower, upper, n,
        n_events, horizon``. ``predicted`` is the mean of the group, ``observed`` one
        minus Kaplan-Meier (``lower, upper``: Greenwood on the log(-log) scale), or the
        incidence of Aalen and Johansen of competing events (`cumulative_incidence`),
        ``n_events`` those until the day. A group of which nobody is followed to the day
        has no observed risk: NaN.

    Raises
    ------
    SchemaError
        A model predicts no survival on the day, or nobody is followed to it.

    References
    ----------
    D'Agostino & Nam 2003, doi:10.1016/S0169-7161(03)23001-7
    """
    rows = []
    for run, day, chances in _chances(predictions, horizon):
        chance = np.mean(chances, axis=0)
        for number, part in enumerate(_cut(chance, n_groups), 1):
            truth = run.truth[part]
            row = {"group": number, "predicted": chance[part].mean()}
            risk = _observed(truth, day, level)
            row |= dict(zip(("observed", "lower", "upper"), risk, strict=True))
            until = (truth["event"] & (truth["time"] <= day)).sum()
            counts = {"n": len(truth), "n_events": until, "horizon": day}
            rows.append(run.key | row | counts | _whose(run))
    return pd.DataFrame(rows)


def _observed(truth, day, level):
    """Return the share with the event until a day and its limits; NaN where unknown."""
    if "cause" in truth.dtype.names:
        n_causes = max(1, truth["cause"].max())
        curve = aalen_johansen(truth["time"], truth["cause"], n_causes, level)
        curve = curve[curve["time"] <= day]
        # everybody had one of the events, and nothing is to come
        ended = curve.groupby("cause")["incidence"].last().sum() > 1 - 1e-9
        last = curve[curve["cause"] == 1].iloc[-1]
        risk = last[["incidence", "lower", "upper"]].to_numpy(float)
        followed = truth["time"].max() >= day or ended
        return risk if followed else np.full(3, np.nan)
    curve = _curve(truth, level)
    last = curve[curve["time"] <= day].iloc[-1]
    followed = truth["time"].max() >= day or last["survival"] == 0
    risk = 1 - last[["survival", "upper", "lower"]].to_numpy(float)
    return risk if followed else np.full(3, np.nan)


def _whose(run):
    """Return a column of the cause of interest; none of survival."""
    return {} if run.cause is None else {"cause": run.cause}


def survival_auc_curve(
    predictions: pd.DataFrame,
    *,
    n_points: int = 17,
    n_boot: int = 1000,
    level: float = 0.95,
    random_state: int | np.random.Generator | None = 0,
) -> pd.DataFrame:
    """Return the cumulative/dynamic AUC by day, with a bootstrap band.

    Parameters
    ----------
    predictions
        A **predictions** table of survival.
    n_points
        Days, at even quantiles of those of the events from 10% to 90%, none after the
        training patients were followed.
    n_boot, level, random_state
        As in ``evaluate``; the coverage is that of one day.

    Returns
    -------
    DataFrame
        ``model, blocks, endpoint, time, auc, lower, upper``. Estimate and interval are
        those of ``evaluate``.

    Raises
    ------
    SchemaError
        No survival is predicted.
    """
    seed = np.random.default_rng(random_state).integers(2**63)
    curves = []
    for run in read_runs(predictions, kind="timed"):
        shares = np.linspace(0.1, 0.9, n_points)
        days = np.unique(event_days(run.truth, shares, run.until))
        estimate, draws = run.bootstrap(
            partial(auc_by_day, days=days), run.draw_weights(n_boot, seed)
        )
        lower, upper = _bands(draws, level)
        columns = {"time": days, "auc": estimate, "lower": lower, "upper": upper}
        curves.append(pd.DataFrame(run.key | columns | _whose(run)))
    return pd.concat(curves, ignore_index=True)


def _bands(draws, level):
    return np.transpose([interval(one[~np.isnan(one)], level) for one in draws.T])


def survival_net_benefit(
    predictions: pd.DataFrame,
    *,
    horizon: float | None = None,
    thresholds: np.ndarray | None = None,
    n_boot: int = 1000,
    level: float = 0.95,
    random_state: int | np.random.Generator | None = 0,
) -> pd.DataFrame:
    """Return the net benefit of treating whom a model gives a high risk.

    Parameters
    ----------
    predictions
        A **predictions** table with ``survival_<days>``, or ``incidence_<days>``.
    horizon
        The day until which an event counts; None as of `survival_calibration`.
    thresholds
        Risks from which on a patient is treated, 0 to below 1; None takes 0.01 to 0.99.
    n_boot, level, random_state
        As in ``evaluate``.

    Returns
    -------
    DataFrame
        ``model, blocks, endpoint, strategy, threshold, net_benefit, lower, upper,
        horizon``; ``strategy`` is "model", or to treat "all" or "none". Estimate and
        interval are those of ``evaluate``.

    Raises
    ------
    SchemaError
        A threshold is out of range, a model predicts no survival on the day, or nobody
        is followed to it.

    Notes
    -----
    x being the share of patients with a predicted risk of at least t, and S their
    Kaplan-Meier survival on the day::

        net benefit = x (1 - S) - x S t / (1 - t)

    Of competing events 1 - S is the incidence of Aalen and Johansen. Where no treated
    patient is followed to the day, S and the net benefit are NaN.

    References
    ----------
    Vickers et al. 2008, doi:10.1186/1472-6947-8-53 (competing events as well)
    """
    thresholds = np.arange(1, 100) / 100 if thresholds is None else thresholds
    thresholds = np.asarray(thresholds, dtype=float)
    wrong = thresholds[~((thresholds >= 0) & (thresholds < 1))]
    if len(wrong):
        msg = f"thresholds {wrong[:5].tolist()} are not from 0 to below 1."
        raise SchemaError(msg)
    seed = np.random.default_rng(random_state).integers(2**63)
    parts = []
    for run, day, chances in _chances(predictions, horizon):
        weights = run.draw_weights(n_boot, seed)
        everyone = [np.ones(len(run.truth))] * len(chances)
        for strategy, predicted in (("model", chances), ("all", everyone)):
            estimate, draws = run.bootstrap(
                partial(_net_benefit, day=day, thresholds=thresholds),
                weights,
                predicted,
            )
            ends = dict(zip(("lower", "upper"), _bands(draws, level), strict=True))
            columns = {"threshold": thresholds, "net_benefit": estimate} | ends
            key = run.key | {"strategy": strategy}
            columns |= {"horizon": day} | _whose(run)
            parts.append(pd.DataFrame(key | columns))
        none = dict.fromkeys(("net_benefit", "lower", "upper"), 0.0)
        parts.append(parts[-1].assign(strategy="none", **none))
    return pd.concat(parts, ignore_index=True)


def _free_of(truth, weights, day):
    """Return the probability to be free of the event on a day, and of any event."""
    ended = truth.copy()
    ended["event"] |= rivals(truth)
    free = survival_steps(ended, weights).at(day)
    competing = "cause" in truth.dtype.names
    return (incidence_steps(truth, weights).at(day) if competing else free), free


def _net_benefit(truth, chance, weights, day, thresholds):
    """Return the net benefit at each threshold, shape (n_draws, n_thresholds)."""
    found, total = [], weights.sum(axis=1)
    for threshold in thresholds:
        treated = weights * (chance >= threshold)
        survival, free = _free_of(truth, treated, day)
        followed = treated @ (truth["time"] >= day) > 0
        unknown = ~followed & (free > 0) & (treated.sum(axis=1) > 0)
        odds = threshold / (1 - threshold)
        benefit = treated.sum(axis=1) / total * (1 - survival * (1 + odds))
        found.append(np.where(unknown, np.nan, benefit))
    return np.stack(found, axis=1)
