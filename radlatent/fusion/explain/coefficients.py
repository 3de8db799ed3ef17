"""What each block of features contributes to a linear model.

A model, features, an endpoint and folds enter, as in ``cross_validate``; a table of
coefficients by column leaves, and one of how many of the largest belong to a block.
"""

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from radlatent.errors import SchemaError
from radlatent.features.folded import FoldedFeatures
from radlatent.fusion.validation.validate import fit_folds
from radlatent.schema import split_column

if TYPE_CHECKING:
    from radlatent.features.endpoint import Endpoint

__all__ = ["coefficient_shares", "top_k_shares"]


def coefficient_shares(
    model: BaseEstimator,
    features: pd.DataFrame | FoldedFeatures,
    endpoint: "Endpoint",
    folds: pd.DataFrame,
) -> pd.DataFrame:
    """Return how much each column weighs in a linear model, over the folds.

    Parameters
    ----------
    model
        A linear classifier, or a Pipeline that ends in one, such as ``logistic()``.
    features, endpoint, folds
        As in ``cross_validate``.

    Returns
    -------
    DataFrame
        ``column, block, coefficient, spread, n_used, n_fits, share, rank``, the largest
        first: mean and standard deviation (ddof 1) over the fits of the absolute
        coefficient for a change of one standard deviation of the training patients,
        in how many fits it is not zero, and which share of the sum over all columns the
        mean is. Ties go to the column that comes first.

    Raises
    ------
    SchemaError
        The model has no coefficients, or they are not of columns of the features; or as
        in ``cross_validate``.
    LeakageError
        As in ``cross_validate``.

    Notes
    -----
    A column that a fold drops or does not select has the coefficient 0 there. With
    several classes the absolute coefficients are averaged over the classes. Correlated
    columns share their weight, so that a block of many similar columns has many small
    coefficients: read it together with the AUC of the blocks. The coefficients are
    those of the models that ``cross_validate`` tests, not of one on all patients.

    References
    ----------
    Vetil et al. 2023, arXiv:2308.11389, where |coefficients| of latent and hand-crafted
    features are compared
    """
    fits = [
        _absolute_coefficients(fitted, train)
        for _, _, fitted, train, _ in fit_folds(model, features, endpoint, folds)
    ]
    values = np.array(fits)  # (n_fits, n_columns)
    table = pd.DataFrame({"column": list(features.columns)})
    table["block"] = [split_column(column)[0] for column in table["column"]]
    table["coefficient"] = values.mean(axis=0)
    table["spread"] = values.std(axis=0, ddof=1)
    table["n_used"] = (values > 0).sum(axis=0)
    table["n_fits"] = len(values)
    total = table["coefficient"].sum()
    table["share"] = table["coefficient"] / total if total > 0 else np.nan
    order = {"by": "coefficient", "ascending": False, "kind": "stable"}
    table = table.sort_values(**order, ignore_index=True)
    return table.assign(rank=np.arange(1, len(table) + 1))


def _absolute_coefficients(fitted, train):
    """Return |coefficient| per standard deviation of each column of ``train``."""
    steps, last = _parts(fitted)
    if not hasattr(last, "coef_"):
        msg = (
            f"{type(last).__name__} has no coefficients (coef_). Use a linear model, "
            "such as logistic()."
        )
        raise SchemaError(msg)
    entering, names = train, train.columns
    if steps is not None:
        entering, names = steps.transform(train), steps.get_feature_names_out()
    foreign = [name for name in names if name not in train.columns]
    if foreign:
        msg = (
            f"coefficients are of {foreign[:5]}, not of columns of the features: a "
            "step of the model mixes columns. Leave that step out."
        )
        raise SchemaError(msg)
    # 1 behind a StandardScaler; a model without one is brought to the same unit
    deviation = np.asarray(entering, dtype=float).std(axis=0)
    weights = np.abs(last.coef_).mean(axis=0) * deviation
    return pd.Series(weights, names).reindex(train.columns, fill_value=0.0).to_numpy()


def _parts(fitted):
    """Return the steps before the classifier, None without one, and the classifier."""
    if not isinstance(fitted, Pipeline):
        return None, fitted
    return (fitted[:-1] if len(fitted) > 1 else None), fitted[-1]


def top_k_shares(
    shares: pd.DataFrame, *, groups: dict[str, str] | None = None
) -> pd.DataFrame:
    """Return how many of the k largest coefficients are of each block, for every k.

    Parameters
    ----------
    shares
        What ``coefficient_shares`` returned.
    groups
        Name to a pattern of blocks, such as ``{"latent": "*_latent"}``; None takes each
        block by itself.

    Returns
    -------
    DataFrame
        ``blocks, k, count, all_last, all_first, even``, k from 1 to the number p of
        columns: the columns of the blocks among the k largest; that number if all
        columns of other blocks came first, and if all of these did; and k times their
        share of the columns, which is what to expect if blocks did not matter.

    Raises
    ------
    SchemaError
        A pattern fits no block.

    References
    ----------
    Vetil et al. 2023, arXiv:2308.11389

    Examples
    --------
    >>> shares = pd.DataFrame({"rank": [1, 2, 3], "block": ["h", "d_latent", "h"]})
    >>> table = top_k_shares(shares, groups={"latent": "*_latent"})
    >>> table["count"].tolist(), table["all_first"].tolist()
    ([0, 1, 1], [1, 1, 1])
    """
    blocks = shares.sort_values("rank")["block"]
    if groups is None:
        groups = {block: block for block in sorted(blocks.unique())}
    p = len(blocks)
    k = np.arange(1, p + 1)
    parts = []
    for name, pattern in groups.items():
        member = np.array([fnmatchcase(block, pattern) for block in blocks], dtype=bool)
        if not member.any():
            msg = f"groups: {pattern!r} fits no block of {sorted(set(blocks))}."
            raise SchemaError(msg)
        n = int(member.sum())
        columns = {"blocks": name, "k": k, "count": np.cumsum(member)}
        columns |= {"all_last": np.maximum(0, k - (p - n))}
        columns |= {"all_first": np.minimum(k, n), "even": k * n / p}
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)
