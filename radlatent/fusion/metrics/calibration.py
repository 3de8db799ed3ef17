"""Whether predicted probabilities are as large as the observed shares.

Three metrics are arrays in, one number a draw out, as in ``classes``: of two
classes, the last being positive. ``calibration_curve`` makes a **predictions** table,
of probabilities or of numbers, the table behind a calibration plot.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit, logit

from radlatent.errors import SchemaError
from radlatent.fusion.metrics.arrays import (
    ContinuousRun,
    SurvivalRun,
    interval,
    read_runs,
)
from radlatent.fusion.metrics.censoring import incidence_steps
from radlatent.fusion.metrics.continuous import curve_of_numbers
from radlatent.fusion.metrics.survival import middle_day, survival_at

__all__ = [
    "calibration_curve",
    "calibration_intercept",
    "calibration_slope",
    "ici",
    "recalibrate_in_the_large",
]

#: What stands for a probability of 0, and 1 minus it for 1, which have no logit: the
#: value that R's CalibrationCurves puts there.
_CLOSEST = 1e-8
#: A step moves no logit by more than one: these many reach probabilities of 1e-21.
_STEPS, _CONVERGED = 50, 1e-9

#: Logarithm of the largest factor that a hazard is multiplied by.
_FARTHEST = 20.0


def calibration_intercept(
    truth: np.ndarray, probability: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return by how much the logits are too low on average (best 0).

    Notes
    -----
    Calibration in the large: the intercept of a logistic regression of the class on
    the logit of its probability, whose slope is held at 1. Above 0 the probabilities
    are too low. NaN in a draw that lacks a class. Probabilities of 0 and 1 count as
    1e-8 and 1 - 1e-8.

    References
    ----------
    Cox 1958, doi:10.1093/biomet/45.3-4.562;
    Van Calster et al. 2019, doi:10.1186/s12916-019-1466-7
    """
    positive, ones = truth == 1, np.ones((len(truth), 1))
    found = _fit(positive, ones, weights, _logits(probability[:, 1]))[:, 0]
    return np.where(_both(positive, weights), found, np.nan)


def calibration_slope(
    truth: np.ndarray, probability: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return the slope of the class on the logit of its probability (best 1).

    Notes
    -----
    Below 1 the probabilities are too far apart, as those of an overfitted model are.
    The intercept is free. NaN in a draw without a patient of each class who is below
    one of the other: all are equal, or separated, and no finite slope fits best.
    Probabilities of 0 and 1 count as 1e-8 and 1 - 1e-8.

    References
    ----------
    Cox 1958, doi:10.1093/biomet/45.3-4.562;
    Albert & Anderson 1984, doi:10.1093/biomet/71.1.1;
    Van Calster et al. 2019, doi:10.1186/s12916-019-1466-7
    """
    positive, x = truth == 1, _logits(probability[:, 1])
    slope = _fit(positive, np.column_stack([np.ones(len(x)), x]), weights)[:, 1]
    overlap = True
    for one in (positive, ~positive):
        lowest = np.where((weights > 0) & one, x, np.inf).min(axis=1)
        highest = np.where((weights > 0) & ~one, x, -np.inf).max(axis=1)
        overlap &= lowest < highest
    return np.where(overlap, slope, np.nan)


def ici(truth: np.ndarray, probability: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the integrated calibration index (lower = better).

    Notes
    -----
    The mean over patients of the distance between the probability and the calibration
    curve there. The curve is a logistic regression on a restricted cubic spline of the
    logit with knots at its quantiles 0.1, 0.5 and 0.9, in place of the loess of the
    first reference, as the second has it for survival. Noise in the curve makes the
    index larger than 0 for a perfect model too, the more the fewer patients there are.
    Where the spline separates the classes the curve is the step that it tends to. NaN
    in a draw that lacks a class.

    References
    ----------
    Austin & Steyerberg 2019, doi:10.1002/sim.8281;
    Austin et al. 2020, doi:10.1002/sim.8570;
    Harrell 2015, sections 2.4.5 and 2.4.6, doi:10.1007/978-3-319-19425-7
    """
    p = probability[:, 1]
    distance = np.abs(_smooth(truth == 1, p, weights, p) - p)
    return (weights * distance).sum(axis=1) / weights.sum(axis=1)


def recalibrate_in_the_large(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return predictions whose level is that of the outcome among these patients.

    Parameters
    ----------
    predictions
        A **predictions** table; of classes only models of two are used, of survival
        those that predict it. Each repeat of a model is moved by itself.

    Returns
    -------
    DataFrame
        The same rows; the order of patients stays, and a repeat that lacks a class, an
        event or a prediction is left as it is. Of classes every logit, and that of the
        ``threshold``, is moved by the `calibration_intercept` (never its slope). Of
        survival every cumulative hazard (of competing events that of the
        subdistribution) is multiplied by one number, until as many events are expected
        as observed on the day of ``observed_expected``. Numbers are moved by their mean
        error.

    Notes
    -----
    It is the smallest update of a model for patients among whom the outcome is more or
    less frequent. Their outcomes are used: what is found with it is no validation.

    References
    ----------
    Steyerberg et al. 2004, Stat Med 23:2567, doi:10.1002/sim.1844 (method 2); Van
    Calster et al. 2019, doi:10.1186/s12916-019-1466-7; van Houwelingen 2000,
    doi:10.1002/1097-0258(20001230)19:24<3401::AID-SIM554>3.0.CO;2-2 (survival)
    """
    keys = ["model", "blocks", "endpoint", "repeat"]
    found = [_moved(rows) for _, rows in predictions.groupby(keys, sort=False)]
    parts = [rows for rows in found if rows is not None]
    return pd.concat(parts, ignore_index=True) if parts else predictions.iloc[:0]


def _moved(rows):
    """Return the rows of one repeat, None of a model that has no such level."""
    if "predicted" in rows and rows["predicted"].notna().all():
        shift = (rows["value"] - rows["predicted"]).mean()
        return rows.assign(predicted=rows["predicted"] + shift)
    if "risk" in rows and rows["risk"].notna().all():
        return _moved_survival(rows)
    names = [c for c in rows.filter(regex="^probability_") if rows[c].notna().any()]
    if len(names) != 2:
        return None
    classes = [name.removeprefix("probability_") for name in names]
    positive = rows["positive"].iloc[0] if "positive" in rows else classes[-1]
    positive = positive if positive in classes else classes[-1]
    chosen = f"probability_{positive}"
    [rest] = [name for name in names if name != chosen]
    truth = (rows["truth"] == positive).to_numpy().astype(int)
    both = rows[[rest, chosen]].to_numpy(float)
    [shift] = calibration_intercept(truth, both, np.ones((1, len(rows))))
    shift = 0.0 if np.isnan(shift) else shift
    new = expit(_logits(both[:, 1]) + shift)
    moved = rows.assign(**{chosen: new, rest: 1 - new})
    if "threshold" in rows:
        at = rows["threshold"].to_numpy(float)
        moved["threshold"] = expit(_logits(at) + shift)
    return moved


def _moved_survival(rows):
    competing = "cause" in rows and rows["cause"].notna().all()
    start = "incidence_" if competing else "survival_"
    columns = [c for c in rows.filter(regex=f"^{start}") if rows[c].notna().any()]
    if not columns:
        return None
    [run] = read_runs(rows)
    [risks], day = run.predicted, middle_day(run)
    observed = 1 - incidence_steps(run.truth, np.ones((1, len(rows)))).at(day).item()

    def excess(log_factor):
        survival = risks.survival ** np.exp(log_factor)
        found = survival_at(replace(risks, survival=survival), day)
        return (1 - found).mean() - observed

    ends = np.array([excess(-_FARTHEST), excess(_FARTHEST)])
    if not (ends[0] < 0 < ends[1]):
        return rows
    factor = np.exp(brentq(excess, -_FARTHEST, _FARTHEST))
    if competing:
        return rows.assign(**{c: 1 - (1 - rows[c]) ** factor for c in columns})
    return rows.assign(**{column: rows[column] ** factor for column in columns})


def calibration_curve(
    predictions: pd.DataFrame,
    *,
    n_bins: int = 5,
    n_boot: int = 1000,
    level: float = 0.95,
    random_state: int | np.random.Generator | None = 0,
) -> pd.DataFrame:
    """Return observed shares or means against predictions, in bins and smoothed.

    Parameters
    ----------
    predictions
        A **predictions** table of classes or numbers; its survival models are left out.
    n_bins
        Groups of equal size by predicted probability; fewer where many are equal.
    n_boot
        Bootstrap draws of patients, for the band of the curve.
    level
        Pointwise coverage that intervals and band aim at.
    random_state
        Seed or Generator.

    Returns
    -------
    DataFrame
        ``model, blocks, endpoint, class, curve, predicted, observed, lower, upper,
        count``: ``curve`` is "bins" or "smooth"; ``count`` is the mean number of
        patients of a bin over repeats, NaN of the smooth curve. With two classes of the
        positive one; with more, of each class against the rest; of numbers there is no
        ``class``, but a ``unit`` where they have one.

    Notes
    -----
    Bins hold the predictions of all repeats; their intervals are Wilson's, for the
    patients of one repeat. The smooth curve is that of `ici`, averaged over repeats;
    its band is drawn as the interval of ``evaluate`` is. Of numbers the intervals of
    bins are Student's, and the curve is the line of the calibration slope.

    References
    ----------
    Van Calster et al. 2019, doi:10.1186/s12916-019-1466-7;
    Wilson 1927, doi:10.1080/01621459.1927.10502953
    """
    if n_bins < 1:
        msg = f"n_bins={n_bins}: give at least 1."
        raise SchemaError(msg)
    seed = np.random.default_rng(random_state).integers(2**63)
    parts = []
    runs = [run for run in read_runs(predictions) if not isinstance(run, SurvivalRun)]
    for run in runs or read_runs(predictions, kind="class"):
        weights = run.draw_weights(n_boot, seed)
        if isinstance(run, ContinuousRun):
            parts += curve_of_numbers(run, n_bins, weights, level)
            continue
        for label in range(len(run.classes)) if len(run.classes) > 2 else [1]:
            key = run.key | {"class": run.classes[label]}
            bins = _bins(run, label, n_bins, level)
            parts.append(pd.DataFrame(key | {"curve": "bins"} | bins))
            smooth = _curve(run, label, weights, level)
            parts.append(pd.DataFrame(key | {"curve": "smooth"} | smooth))
    return pd.concat(parts, ignore_index=True)


def _bins(run, label, n_bins, level):
    from statsmodels.stats.proportion import proportion_confint

    p = run.probability[:, :, label]
    edges = np.unique(np.quantile(p, np.linspace(0, 1, n_bins + 1)))[1:-1]
    number = np.searchsorted(edges, p, side="right").ravel()
    positive = np.tile(run.truth == label, len(p))
    count, found, total = (
        np.bincount(number, values, len(edges) + 1) / len(p)
        for values in (np.ones(p.size), positive, p.ravel())
    )
    count, found, total = (a[count > 0] for a in (count, found, total))
    lower, upper = proportion_confint(found, count, 1 - level, method="wilson")
    columns = {"predicted": total / count, "observed": found / count}
    return columns | {"lower": lower, "upper": upper, "count": count}


def _curve(run, label, weights, level):
    p = run.probability[:, :, label]
    at = np.linspace(p.min(), p.max(), 101)
    estimate, draws = run.bootstrap(
        lambda truth, p, w: _smooth(truth == label, p[:, label], w, at), weights
    )
    lower, upper = interval(draws[~np.isnan(draws).any(axis=1)], level)
    columns = {"predicted": at, "observed": estimate}
    return columns | {"lower": lower, "upper": upper, "count": np.nan}


def _logits(p):
    return logit(np.clip(p, _CLOSEST, 1 - _CLOSEST))


def _smooth(positive, p, weights, at):
    """Return the calibration curve at probabilities, shape (n_draws, n_at)."""
    x = _logits(p)
    knots = np.quantile(x, [0.1, 0.5, 0.9])
    curve = expit(
        _fit(positive, _spline(x, knots), weights) @ _spline(_logits(at), knots).T
    )
    return np.where(_both(positive, weights)[:, None], curve, np.nan)


def _both(positive, weights):
    """Return whether a draw has both classes."""
    return (weights @ positive > 0) & (weights @ ~positive > 0)


def _spline(x, knots):
    """Return 1, x and the cubic term that is linear outside the knots."""
    columns, (left, right), whole = [np.ones(len(x)), x], np.diff(knots), np.ptp(knots)
    if min(left, right) > 1e-6:  # else too many values are equal
        one, two, three = (np.clip(x - knot, 0, None) ** 3 for knot in knots)
        term = one * right - two * whole + three * left
        columns.append(term / (right * whole**2))
    return np.column_stack(columns)


def _fit(positive, design, weights, offset=0.0):
    """Return coefficients of weighted logistic regressions, shape (n_draws, n_columns).

    Newton's method, all draws at once. A step moves no logit by more than one, which
    makes every step an ascent, since the curvature then changes at most e-fold (Bach
    2010, doi:10.1214/09-EJS521). Where no finite coefficients fit best they are those
    of the last step; what they predict is near its limit.
    """
    n, k = design.shape
    products = (design[:, :, None] * design[:, None]).reshape(n, k * k)
    coefficients = np.zeros((len(weights), k))
    active = np.arange(len(weights))
    for _ in range(_STEPS):
        mean = expit(offset + coefficients[active] @ design.T)  # (n_active, n_patients)
        score = (weights[active] * (positive - mean)) @ design
        information = (weights[active] * mean * (1 - mean)) @ products
        inverse = np.linalg.pinv(information.reshape(-1, k, k), hermitian=True)
        step = np.einsum("dij,dj->di", inverse, score)
        size = np.abs(step @ design.T).max(axis=1)
        coefficients[active] += step / np.maximum(size, 1)[:, None]
        active = active[size > _CONVERGED]
        if not len(active):
            break
    return coefficients
