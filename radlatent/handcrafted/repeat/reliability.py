"""Intraclass correlation: ratings of targets enter, coefficients with intervals leave.

All features at once: thousands take no longer than a few.
"""

import numpy as np
import pandas as pd
from scipy.special import fdtri

from radlatent.errors import SchemaError

__all__ = ["icc"]

_METHOD = {
    "ICC(2,1)": "two-way random, absolute agreement; F, Satterthwaite",
    "ICC(3,1)": "two-way mixed, consistency; F",
}


def icc(
    ratings: pd.DataFrame,
    *,
    target: str = "case_id",
    rater: str = "perturbation",
    level: float = 0.95,
) -> pd.DataFrame:
    """Return ICC(2,1) and ICC(3,1) of every feature, with intervals.

    Parameters
    ----------
    ratings
        One row a target and rater; every other column is a feature.
    target, rater
        Columns that say who was rated, and by whom (or how).
    level
        Coverage that the intervals aim at.

    Returns
    -------
    pandas.DataFrame
        Two rows a feature: ``feature, icc, estimate, lower, upper, level, n, k,
        method``. ``n`` targets count: those with a finite value from each of the ``k``
        raters.

    Raises
    ------
    SchemaError
        A column is missing or not numeric, a target was rated twice by one rater, or
        there are fewer than two raters.

    Notes
    -----
    From the mean squares of targets (R), raters (C) and error (E): ICC(2,1) = (R - E)
    / (R + (k - 1) E + k (C - E) / n), ICC(3,1) = (R - E) / (R + (k - 1) E). Negative
    estimates stay. An estimate is NaN with fewer than two targets, and where no rater
    tells one target from another; both coefficients are 1, from 1 to 1, where raters
    agree on every target and targets differ.

    References
    ----------
    Shrout and Fleiss 1979, doi:10.1037/0033-2909.86.2.420; McGraw and Wong 1996, tables
    4 and 7, doi:10.1037/1082-989X.1.1.30

    Examples
    --------
    >>> scores = pd.DataFrame({"case_id": list("aabbcc"), "perturbation": [0, 1] * 3})
    >>> scores["mean"] = [2.0, 4, 4, 6, 6, 8]
    >>> icc(scores)[["icc", "estimate"]].round(2)
            icc  estimate
    0  ICC(2,1)      0.67
    1  ICC(3,1)      1.00
    """
    features, values = _cube(ratings, target, rater)
    k = values.shape[1]
    n, squares = _mean_squares(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = {
            "ICC(2,1)": _agreement(*squares, n, k, level),
            "ICC(3,1)": _consistency(*squares, n, k, level),
        }
    tables = [
        pd.DataFrame(
            {"feature": features, "icc": name}
            | dict(zip(("estimate", "lower", "upper"), numbers, strict=True))
            | {"level": float(level), "n": n, "k": k, "method": _METHOD[name]}
        )
        for name, numbers in found.items()
    ]
    return pd.concat(tables).sort_index(kind="stable", ignore_index=True)


def _cube(ratings, target, rater):
    """Return names of features and their values, shape (n_targets, k, n_features)."""
    absent = [name for name in (target, rater) if name not in ratings]
    if absent:
        msg = f"ratings have no column {absent}; there are {list(ratings)[:10]}."
        raise SchemaError(msg)
    table = ratings.drop(columns=[target, rater])
    texts = [c for c, t in table.dtypes.items() if not pd.api.types.is_numeric_dtype(t)]
    twice = ratings.duplicated([target, rater])
    rows, targets = pd.factorize(ratings[target])
    columns, raters = pd.factorize(ratings[rater])
    if texts or twice.any() or len(raters) < 2:
        msg = (
            f"ratings: columns {texts[:5]} are not numeric, {int(twice.sum())} rows "
            f"rate a target again, {len(raters)} raters. Give numbers, one row a "
            f"{target} and {rater}, and two raters or more."
        )
        raise SchemaError(msg)
    values = np.full((len(targets), len(raters), table.shape[1]), np.nan)
    values[rows, columns] = table.to_numpy(dtype="float64", na_value=np.nan)
    return list(table), values


def _mean_squares(values):
    """Return targets that count and mean squares of targets, raters and error."""
    counts = np.isfinite(values).all(axis=1)  # (n_targets, n_features)
    n, k = counts.sum(axis=0), values.shape[1]
    values = np.where(counts[:, None], values, 0.0)
    # against the first rating of each target: where raters agree, exactly zero
    first = values[:, 0]
    values = values - first[:, None]
    start = np.take_along_axis(first, counts.argmax(axis=0)[None], axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        of_target = values.mean(axis=1)
        of_rater = values.sum(axis=0) / n
        grand = of_rater.mean(axis=0)
        rows = np.where(counts, first - start + of_target, 0.0)
        rows = np.where(counts, rows - rows.sum(axis=0) / n, 0.0)
        error = np.where(
            counts[:, None], values - of_target[:, None] - of_rater + grand, 0.0
        )
        squares = (
            k * (rows**2).sum(axis=0) / (n - 1),
            n * ((of_rater - grand) ** 2).sum(axis=0) / (k - 1),
            (error**2).sum(axis=(0, 1)) / ((n - 1) * (k - 1)),
        )
    defined = (n > 1) & ((squares[0] > 0) | (squares[2] > 0))
    return n, [np.where(defined, square, np.nan) for square in squares]


def _quantile(level, df1, df2):
    return fdtri(df1, df2, (1 + level) / 2)


def _consistency(targets, raters, error, n, k, level):
    estimate = (targets - error) / (targets + (k - 1) * error)
    df1, df2 = n - 1, (n - 1) * (k - 1)
    low, high = _quantile(level, df1, df2), _quantile(level, df2, df1)
    lower = (targets - low * error) / (targets + (k - 1) * low * error)
    upper = (high * targets - error) / (high * targets + (k - 1) * error)
    return estimate, lower, upper


def _agreement(targets, raters, error, n, k, level):
    spread = k * raters + (k * n - k - n) * error
    estimate = (targets - error) / (
        targets + (k - 1) * error + k * (raters - error) / n
    )
    # McGraw and Wong's a and b, both times n (1 - ICC), which may be zero
    a = k * estimate * raters
    b = (n * (1 - estimate) + k * estimate * (n - 1)) * error
    df = (a + b) ** 2 / (a**2 / (k - 1) + b**2 / ((n - 1) * (k - 1)))
    # without error the limits do not depend on it
    df = np.where((a == 0) & (b == 0), 1.0, df)
    low, high = _quantile(level, n - 1, df), _quantile(level, df, n - 1)
    lower = n * (targets - low * error) / (low * spread + n * targets)
    upper = n * (high * targets - error) / (spread + n * (high * targets))
    return estimate, lower, upper
