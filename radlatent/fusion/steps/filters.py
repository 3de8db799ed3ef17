"""Columns that no model needs: copies of others, hardly varying, or not repeatable.

Columns of training patients enter; a fitted scikit-learn selector leaves, which keeps
the same columns of new patients.
"""

from collections.abc import Sequence
from numbers import Integral

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, clone
from sklearn.feature_selection import SelectorMixin
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted, validate_data

from radlatent.errors import SchemaError
from radlatent.fusion.solvers.concordance import concordance
from radlatent.fusion.solvers.survival import check_survival, unpenalized_columns

__all__ = [
    "DropCorrelated",
    "DropNearConstant",
    "Selector",
    "Sparing",
    "StableColumns",
    "correlation",
    "share_between",
]

#: Columns compared with all kept ones at once: 256 x 20,000 numbers are 41 MB.
_BLOCK = 256


class Selector(SelectorMixin, BaseEstimator):
    """What every selector here shares: ``fit`` sets ``support_``, (n_columns,)."""

    _needs_classes = True
    _takes_missing = False

    def _get_support_mask(self):
        check_is_fitted(self)
        return self.support_

    def _keep(self, mask):
        if not mask.any():
            msg = (
                f"{type(self).__name__} leaves none of {len(mask)} columns. Loosen it, "
                "or leave it out."
            )
            raise SchemaError(msg)
        self.support_ = mask
        return self

    def _keep_best(self, score, n_features):
        """Keep the columns of the largest scores; ties go to what comes first."""
        mask = np.zeros(len(score), dtype=bool)
        mask[np.argsort(-score, kind="stable")[:n_features]] = True
        return self._keep(mask)

    def _check_n_features(self):
        n = self.n_features
        if n is not None and not (isinstance(n, Integral) and n >= 1):
            raise ValueError(f"n_features is {n!r}; give a whole number from 1.")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self._needs_classes
        tags.input_tags.allow_nan = self._takes_missing
        return tags


class Sparing(Selector):
    """A selector that always keeps some columns, and looks at the others only.

    Parameters
    ----------
    selector
        The unfitted selector; its ``n_features`` counts the others.
    unpenalized
        Blocks, patterns or columns that are kept.
    """

    def __init__(self, selector: SelectorMixin, unpenalized: str | Sequence[str] = ()):
        self.selector = selector
        self.unpenalized = unpenalized

    def fit(self, X: pd.DataFrame, y: ArrayLike | None = None) -> "Sparing":
        """Fit a copy of the selector to the columns that are not spared."""
        self.n_features_in_, self.feature_names_in_ = X.shape[1], np.asarray(X.columns)
        kept = unpenalized_columns(self)
        if not kept.all():
            self.selector_ = clone(self.selector).fit(X.loc[:, ~kept], y)
            kept[~kept] = self.selector_.get_support()
        return self._keep(kept)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = get_tags(self.selector).target_tags.required
        tags.input_tags.allow_nan = get_tags(self.selector).input_tags.allow_nan
        return tags


class DropCorrelated(Selector):
    """Drop columns that go along with one that is kept.

    Parameters
    ----------
    limit
        The largest |Spearman correlation| with a kept column.
    keep
        Who comes first: "first" goes by the order of the columns, "relevant" by their
        one-way F for the classes, or how far their C for survival is from 0.5,
        "correlated" by their |correlation| with a number.

    Notes
    -----
    A column is kept if no column that was kept before it is above the limit. Blocks of
    columns are compared with the kept ones, so that memory grows with the number of
    columns and not with its square.
    """

    _needs_classes = False

    def __init__(self, limit: float = 0.9, *, keep: str = "first"):
        self.limit = limit
        self.keep = keep

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> "DropCorrelated":
        """Compare the columns of ``X``, shape (n_patients, n_columns)."""
        known = ("first", "relevant", "correlated")
        if self.keep not in known or not 0 < self.limit < 1:
            msg = (
                f"keep is {self.keep!r} and limit {self.limit!r}; give one of "
                f"{known}, and a limit between 0 and 1."
            )
            raise ValueError(msg)
        X, order = self._enter(X, y)
        ranks = rankdata(X, axis=0).T[order]
        ranks -= ranks.mean(axis=1, keepdims=True)
        length = np.linalg.norm(ranks, axis=1, keepdims=True)
        ranks /= np.where(length > 0, length, 1)  # (n_columns, n_patients)
        kept = np.empty(0, dtype=int)
        for start in range(0, len(ranks), _BLOCK):
            block = np.arange(start, min(start + _BLOCK, len(ranks)))
            near = np.abs(ranks[kept] @ ranks[block].T) > self.limit
            block = block[~near.any(axis=0)]
            near = np.abs(ranks[block] @ ranks[block].T) > self.limit
            free = np.ones(len(block), dtype=bool)
            for place in range(len(block)):
                if free[place]:
                    free[place + 1 :] &= ~near[place, place + 1 :]
            kept = np.append(kept, block[free])
        return self._keep(np.isin(np.arange(len(ranks)), order[kept]))

    def _enter(self, X, y):
        """Return checked columns, and in which order they are kept."""
        if self.keep == "first":
            X = validate_data(self, X)
            return X, np.arange(X.shape[1])
        if self.keep == "correlated":
            X, y = validate_data(self, X, y, y_numeric=True)
            strength = np.abs(correlation(X, y))
        elif getattr(getattr(y, "dtype", None), "names", None):
            X, y = check_survival(self, X, y, causes=None)
            strength = np.abs(concordance(X, y) - 0.5)
        else:
            X, y = validate_data(self, X, y)
            strength = share_between(X, y)
        return X, np.argsort(-strength, kind="stable")


class DropNearConstant(Selector):
    """Drop columns in which most training patients have one and the same value.

    Parameters
    ----------
    share
        The largest share of patients with one value, from 0.5. Missing counts as that
        value, which is what filling in with the median would make of it.
    """

    _needs_classes = False
    _takes_missing = True

    def __init__(self, share: float = 0.95):
        self.share = share

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> "DropNearConstant":
        """Count the most frequent value of columns, shape (n_patients, n_columns)."""
        options = {"ensure_min_samples": 2, "ensure_all_finite": "allow-nan"}
        X = validate_data(self, X, **options)
        if not 0.5 <= self.share < 1:
            msg = f"share is {self.share!r}; give 0.5 or more, below 1."
            raise ValueError(msg)
        # a value that more than half of the patients have is the middle one
        # NaN sorts last
        places = np.isfinite(X).sum(axis=0) // 2
        middle = np.take_along_axis(np.sort(X, axis=0), places[None], axis=0)
        return self._keep(((middle == X) | np.isnan(X)).mean(axis=0) <= self.share)


class StableColumns(Selector):
    """Keep columns that measure the same again, by a table of ICCs.

    Parameters
    ----------
    table
        As `icc` gives it, or ``stability(...).table``: ``feature, icc, estimate,
        lower``, each feature once a coefficient. Columns it does not speak of are kept.
    threshold
        The least that is kept: 0.75 is "good".
    bound
        What must reach it: "lower", the limit of the interval, or "estimate".

    Notes
    -----
    ICC(2,1), which counts a shift of all patients as disagreement. Nothing is learned
    in ``fit``: the table was measured without the outcome. A coefficient that is not
    defined is not stable.

    References
    ----------
    Koo & Li 2016, doi:10.1016/j.jcm.2016.02.012
    """

    _needs_classes = False
    _takes_missing = True

    def __init__(
        self,
        table: pd.DataFrame,
        *,
        threshold: float = 0.75,
        bound: str = "lower",
    ):
        self.table = table
        self.threshold = threshold
        self.bound = bound

    def fit(self, X: pd.DataFrame, y: ArrayLike | None = None) -> "StableColumns":
        """Look up the columns of ``X`` in the table."""
        absent = {"feature", "icc"} - set(self.table)
        if absent:
            msg = (
                f"stability: the table lacks {sorted(absent)}, so that it is not "
                f"one of ICCs; its columns are {[*self.table][:10]}."
            )
            raise SchemaError(msg)
        rows = self.table[self.table["icc"] == "ICC(2,1)"].set_index("feature")
        columns = pd.Index(getattr(X, "columns", []))
        twice = rows.index[rows.index.duplicated()].unique()
        if len(twice):
            msg = (
                f"stability: {len(twice)} features are more than once in the table: "
                f"{[*twice[:3]]}. It is one of groups of cases; give "
                "stability_between(...).pivoted, or the rows of one group."
            )
            raise SchemaError(msg)
        if (
            self.bound not in ("lower", "estimate")
            or not columns.isin(rows.index).any()
        ):
            msg = (
                f"stability: of {len(columns)} columns {[*columns[:3]]} none is among "
                f"{len(rows)} features with ICC(2,1) {[*rows.index[:3]]}, "
                f"or bound is {self.bound!r}. Give a features table and its ICCs, and "
                "'lower' or 'estimate'."
            )
            raise SchemaError(msg)
        validate_data(self, X, skip_check_array=True)
        found = rows[self.bound].reindex(columns).to_numpy()
        return self._keep((found >= self.threshold) | ~columns.isin(rows.index))


def share_between(X, y):
    """Return the share of variance between classes: it ranks as F does.

    It stays finite where a column separates the classes exactly.
    """
    centered = X - X.mean(axis=0)
    total = (centered**2).sum(axis=0)
    between = np.zeros_like(total)
    for rows in (centered[y == label] for label in np.unique(y)):
        between += len(rows) * rows.mean(axis=0) ** 2
    return np.divide(between, total, out=np.zeros_like(total), where=total > 0)


def correlation(X, y):
    """Return Pearson's correlation of each column with a number, 0 where it is flat."""
    centered, apart = X - X.mean(axis=0), y - y.mean()
    size = np.linalg.norm(centered, axis=0) * np.linalg.norm(apart)
    return np.divide(apart @ centered, size, out=np.zeros_like(size), where=size > 0)
