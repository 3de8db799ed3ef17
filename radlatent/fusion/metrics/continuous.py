"""How well predicted numbers agree with the true ones, and the tables behind figures.

Metrics are arrays in, one number a draw out, as in ``classes``: ``truth`` and
``predicted`` hold numbers in the unit of the outcome, shape (n_patients,).
"""

import numpy as np
import pandas as pd
from scipy.stats import t as student

from radlatent.fusion.metrics.arrays import interval, read_runs

__all__ = [
    "NUMBERS",
    "WORDS",
    "calibration_shift",
    "calibration_slope",
    "curve_of_numbers",
    "mae",
    "pearson",
    "r2",
    "residuals",
    "rmse",
    "spearman",
]


def r2(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the share of the variance that is predicted (best 1).

    Notes
    -----
    1 - sum of squared errors / sum of squares around the mean of these patients: 0 of a
    model that tells everybody their mean, below 0 of one that is worse. It is not the
    square of a correlation, which forgives predictions that are too high or too far
    apart. NaN in a draw whose patients have one value.

    References
    ----------
    Kvalseth 1985, doi:10.1080/00031305.1985.10479448, his first formula
    """
    total = _spread(truth, weights)
    left = weights @ (truth - predicted) ** 2
    return 1 - np.divide(left, total, out=np.full(len(total), np.nan), where=total > 0)


def mae(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the mean absolute error, in the unit of the outcome (best 0)."""
    return weights @ np.abs(truth - predicted) / weights.sum(axis=1)


def rmse(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the root of the mean squared error, in the outcome's unit (best 0)."""
    return np.sqrt(weights @ (truth - predicted) ** 2 / weights.sum(axis=1))


def calibration_shift(
    truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return by how much predictions are too low on average (best 0).

    Notes
    -----
    Calibration in the large: the intercept of a regression of the outcome on the
    prediction whose slope is held at 1, as that of classes is. In the unit of the
    outcome; above 0 the predictions are too low.

    References
    ----------
    Steyerberg 2019, section 15.3, doi:10.1007/978-3-030-16399-0
    """
    return weights @ (truth - predicted) / weights.sum(axis=1)


def calibration_slope(
    truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return the slope of the outcome on its prediction (best 1).

    Notes
    -----
    Below 1 the predictions are too far apart, as those of an overfitted model are. The
    intercept is free. NaN in a draw whose patients have one prediction.

    References
    ----------
    Steyerberg 2019, section 15.3, doi:10.1007/978-3-030-16399-0
    """
    spread = _spread(predicted, weights)
    shared = _products(truth, predicted, weights)
    # of equal predictions the spread is 0, or rounding
    known = spread > 1e-12 * np.maximum(weights @ predicted**2, 1e-300)
    return np.divide(shared, spread, out=np.full(len(spread), np.nan), where=known)


def pearson(
    truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return Pearson's correlation; NaN in a draw without spread."""
    return _correlation(
        np.broadcast_to(truth, weights.shape),
        np.broadcast_to(predicted, weights.shape),
        weights,
    )


def spearman(
    truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return Spearman's correlation: Pearson's of ranks, ties sharing their mean rank.

    NaN in a draw without spread.
    """
    return _correlation(_ranks(truth, weights), _ranks(predicted, weights), weights)


def _ranks(values, weights):
    """Return the rank of each patient in each draw, shape (n_draws, n_patients)."""
    _, number = np.unique(values, return_inverse=True)
    order = np.argsort(number, kind="stable")
    starts = np.flatnonzero(np.diff(number[order], prepend=-1))
    tied = np.add.reduceat(weights[:, order], starts, axis=1)
    return (np.cumsum(tied, axis=1) - (tied - 1) / 2)[:, number]


def _correlation(x, y, weights):
    total = weights.sum(axis=1, keepdims=True)
    x = x - (weights * x).sum(axis=1, keepdims=True) / total
    y = y - (weights * y).sum(axis=1, keepdims=True) / total
    shared, own, other = (
        (weights * product).sum(axis=1) for product in (x * y, x * x, y * y)
    )
    size = np.sqrt(own * other)
    nothing = np.full(len(size), np.nan)
    found = np.divide(shared, size, out=nothing, where=size > 1e-12 * (own + other))
    return np.clip(found, -1, 1)


def _spread(values, weights):
    return _products(values, values, weights)


def _products(x, y, weights):
    """Return the sum of products around the means of each draw."""
    total = weights.sum(axis=1)
    # around the mean of all patients, so that no digits are lost
    x, y = x - x.mean(), y - y.mean()
    return weights @ (x * y) - (weights @ x) * (weights @ y) / total


#: Metric of numbers to function: of R2 and the correlations more is better, of the
#: errors less; the best intercept is 0, the best slope 1.
NUMBERS = {
    "r2": r2,
    "mae": mae,
    "rmse": rmse,
    "calibration_intercept": calibration_shift,
    "calibration_slope": calibration_slope,
    "pearson": pearson,
    "spearman": spearman,
}

#: Metrics that have the unit of the outcome.
IN_UNIT = ("mae", "rmse", "calibration_intercept")

#: What ``method`` says of a metric whose name is that of others too.
WORDS = {
    "r2": "1 - squared errors / squares around the mean of these patients",
    "calibration_intercept": "mean of outcome minus prediction",
    "calibration_slope": "least squares of outcome on prediction",
}


def residuals(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the true number of each patient, the predicted one, and what is left.

    Parameters
    ----------
    predictions
        A **predictions** table; its models of classes and survival are left out.

    Returns
    -------
    DataFrame
        ``model, blocks, endpoint, patient_id, value, predicted, residual``: the mean of
        the predictions over repeats, and value minus it; ``unit`` where there is one.

    Raises
    ------
    SchemaError
        No model predicts numbers.
    """
    parts = []
    for run in read_runs(predictions, kind="continuous"):
        mean = run.predicted.mean(axis=0)
        columns = {"patient_id": run.patients, "value": run.truth, "predicted": mean}
        columns |= {"residual": run.truth - mean}
        parts.append(pd.DataFrame(run.key | columns | run.in_unit))
    return pd.concat(parts, ignore_index=True)


def curve_of_numbers(run, n_bins, weights, level) -> list[pd.DataFrame]:
    """Return observed means against predictions, in groups and as a line.

    Parameters
    ----------
    run
        A `ContinuousRun`.
    n_bins
        Groups of equal size by prediction; fewer where many are equal.
    weights
        Draws of patients, shape (n_boot, n_patients).
    level
        Pointwise coverage that intervals and band aim at.

    Notes
    -----
    Groups hold the predictions of all repeats; their intervals are Student's, for the
    patients of one repeat. The line is the least squares fit of `calibration_slope`,
    averaged over repeats; its band is drawn as the interval of ``evaluate`` is.
    """
    key = run.key | run.in_unit
    bins = pd.DataFrame(key | {"curve": "bins"} | _bins(run, n_bins, level))
    at = np.linspace(run.predicted.min(), run.predicted.max(), 101)
    estimate, draws = run.bootstrap(lambda t, p, w: _line(t, p, w, at), weights)
    lower, upper = interval(draws[~np.isnan(draws).any(axis=1)], level)
    columns = {"predicted": at, "observed": estimate, "lower": lower, "upper": upper}
    return [bins, pd.DataFrame(key | {"curve": "smooth"} | columns | {"count": np.nan})]


def _line(truth, predicted, weights, at):
    slope = calibration_slope(truth, predicted, weights)[:, None]
    total = weights.sum(axis=1, keepdims=True)
    means = ((weights @ values)[:, None] / total for values in (truth, predicted))
    observed, centre = means
    return observed + slope * (at - centre)


def _bins(run, n_bins, level):
    p, n_repeats = run.predicted, len(run.predicted)
    edges = np.unique(np.quantile(p, np.linspace(0, 1, n_bins + 1)))[1:-1]
    number = np.searchsorted(edges, p, side="right").ravel()
    truth = np.tile(run.truth, n_repeats)
    rows = pd.DataFrame({"p": p.ravel(), "y": truth}).groupby(number)
    mean, count = rows.mean(), rows.size() / n_repeats
    spread = rows["y"].std(ddof=0) / np.sqrt(
        np.maximum(count - 1, 0).replace(0, np.nan)
    )
    arm = spread * student.ppf((1 + level) / 2, np.maximum(count - 1, 1))
    columns = {"predicted": mean["p"], "observed": mean["y"]}
    columns |= {"lower": mean["y"] - arm, "upper": mean["y"] + arm, "count": count}
    return {name: values.to_numpy(float) for name, values in columns.items()}
