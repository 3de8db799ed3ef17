"""How well repeated measurements agree: coefficients, verdicts on them, tiers of cases.

A long table of features, one row a case and rater (a perturbation, a mask), enters;
intraclass correlations with intervals and coefficients of variation leave. All features
at once: thousands take no longer than a few.
"""

import numpy as np
import pandas as pd
from scipy.special import fdtri

from radlatent.errors import SchemaError

__all__ = [
    "agreement",
    "agreement_by",
    "count_verdicts",
    "icc",
    "quality_tiers",
    "within_case_cv",
]

_METHOD = {
    "ICC(2,1)": "two-way random, absolute agreement; F, Satterthwaite",
    "ICC(3,1)": "two-way mixed, consistency; F",
}

#: Koo and Li 2016, doi:10.1016/j.jcm.2016.02.012: what the lower limit says.
_VERDICTS = {"poor": -np.inf, "moderate": 0.5, "good": 0.75, "excellent": 0.9}


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


def within_case_cv(values: np.ndarray) -> np.ndarray:
    """Return the coefficient of variation within cases of each feature.

    Parameters
    ----------
    values
        Shape (n_cases, n_masks, n_features); cases with a value that is missing do not
        count for that feature.

    Returns
    -------
    ndarray
        Shape (n_features,): root of the mean variance within cases, divided by the
        absolute value of the mean of all. 0 where no case varies; else NaN where no
        case counts, and where values have both signs: such a feature has no zero that
        it could be relative to, and its mean may be anywhere near it.

    References
    ----------
    Shoukri et al. 2006, doi:10.1186/1471-2288-6-24; Bland and Altman 1996,
    doi:10.1136/bmj.313.7059.744 (the numerator)
    """
    counts = np.isfinite(values).all(axis=1)  # (n_cases, n_features)
    n = counts.sum(axis=0)
    values = np.where(counts[:, None], values, 0.0)
    # against the first value of each case: where masks agree, exactly zero
    apart = values - values[:, :1]
    variance = apart.var(axis=1, ddof=1).sum(axis=0)
    signed = (values.min(axis=(0, 1)) < 0) & (values.max(axis=(0, 1)) > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        cv = np.sqrt(variance / n) / np.abs(values.mean(axis=1).sum(axis=0) / n)
    cv = np.where(signed, np.nan, cv)
    return np.where((variance == 0) & (n > 0), 0.0, cv)


def agreement(features: pd.DataFrame) -> pd.DataFrame:
    """Return the table of `icc`, and ``cv``, the coefficient of variation within cases.

    Parameters
    ----------
    features
        ``case_id``, ``masks`` and the features; each case once in each of the same
        masks, its rows one after the other.
    """
    table = icc(features, rater="masks")
    names = features.columns.drop(["case_id", "masks"])
    n_cases = len(features["case_id"].unique())
    values = features[names].to_numpy().reshape(n_cases, -1, len(names))
    cv = pd.Series(within_case_cv(values), names)
    return table.assign(cv=table["feature"].map(cv))


def agreement_by(features: pd.DataFrame, groups: pd.DataFrame) -> pd.DataFrame:
    """Return the table of `agreement` of each group of cases.

    Parameters
    ----------
    features
        As in `agreement`.
    groups
        Index ``case_id``; groups are told apart by all columns, which come first in the
        table. A missing value is the group of the empty text.
    """
    groups = groups.astype(object).where(groups.notna(), "")
    tables = []
    for key, cases in groups.groupby([*groups], sort=False):
        table = agreement(features[features["case_id"].isin(cases.index)])
        for place, (name, value) in enumerate(zip(groups, key, strict=True)):
            table.insert(place, name, value)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def count_verdicts(table: pd.DataFrame) -> pd.DataFrame:
    """Return how many features are poor, moderate, good, excellent or undefined.

    Parameters
    ----------
    table
        As `icc` gives it. Columns before ``feature`` tell groups, counted apart.

    Returns
    -------
    DataFrame
        One row a group, block and coefficient.
    """
    edges = [*_VERDICTS.values(), np.inf]
    verdict = pd.cut(table["lower"], edges, right=False, labels=[*_VERDICTS])
    verdict = verdict.cat.add_categories("undefined").fillna("undefined")
    keys = {name: table[name] for name in table.loc[:, :"feature"].columns[:-1]}
    keys["block"] = table["feature"].str.partition("__")[0]
    keys["icc"] = table["icc"]
    counts = pd.get_dummies(verdict, dtype="int64").assign(**keys)
    return counts.groupby([*keys], sort=False, as_index=False, observed=True).sum()


def quality_tiers(scores: pd.Series, *, n_tiers: int = 3) -> pd.Series:
    """Return tiers of about as many cases each, from a score of each case's mask.

    Parameters
    ----------
    scores
        Higher is better, a predicted Dice for instance; missing ones have no tier.
    n_tiers
        Number of tiers, two or more.

    Returns
    -------
    Series
        Ordered categories: ``low, middle, high``, or ``low, high``, or with ``middle
        1`` and so on between them. Equal scores share a tier, so that one may be empty.

    Raises
    ------
    SchemaError
        Scores are no numbers, or too few tiers are asked for.

    Examples
    --------
    >>> quality_tiers(pd.Series({"a": 0.9, "b": 0.4, "c": 0.7})).to_dict()
    {'a': 'high', 'b': 'low', 'c': 'middle'}
    """
    if not pd.api.types.is_numeric_dtype(scores) or n_tiers < 2:
        msg = (
            f"scores are {scores.dtype}, n_tiers is {n_tiers}. Give numbers, and two "
            "tiers or more."
        )
        raise SchemaError(msg)
    between = [f"middle {number}" for number in range(1, n_tiers - 1)]
    labels = ["low", *(["middle"] if n_tiers == 3 else between), "high"]
    values = scores.to_numpy(dtype="float64", na_value=np.nan)
    known = np.isfinite(values)
    codes = np.full(len(values), -1)
    if known.any():
        edges = np.quantile(values[known], np.arange(1, n_tiers) / n_tiers)
        codes[known] = np.searchsorted(edges, values[known], side="right")
    tiers = pd.Categorical.from_codes(codes, labels, ordered=True)
    return pd.Series(tiers, scores.index, name="tier")
