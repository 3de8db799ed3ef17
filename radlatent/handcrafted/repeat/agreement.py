"""How well repeated measurements agree: tables of all cases, of groups, of tiers.

A long table of features, one row a case and masks, enters; intraclass correlations with
intervals and coefficients of variation leave.
"""

import numpy as np
import pandas as pd

from radlatent.errors import SchemaError
from radlatent.handcrafted.repeat.reliability import icc

__all__ = ["agreement", "agreement_by", "quality_tiers", "within_case_cv"]


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
