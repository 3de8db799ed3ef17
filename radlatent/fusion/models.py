"""Models for tables with more columns than patients.

Each name gives an unfitted scikit-learn Pipeline. Imputation, scaling and selection
are inside it, so that ``cross_validate`` fits them on training patients only.
"""

from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.feature_selection import SelectorMixin, VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted, validate_data

__all__ = ["MODELS", "SelectAtMost", "logistic"]


class SelectAtMost(SelectorMixin, BaseEstimator):
    """Keep the columns with the largest one-way F, all if there are fewer.

    ``SelectKBest`` warns when a training fold leaves fewer columns than it should
    keep; here that is an ordinary case. Ties go to the column that comes first.

    Parameters
    ----------
    n_features
        Columns to keep.
    """

    def __init__(self, n_features: int = 20):
        self.n_features = n_features

    def fit(self, X: ArrayLike, y: ArrayLike) -> "SelectAtMost":
        """Score the columns of ``X``, shape (n_patients, n_columns), against ``y``."""
        X, y = validate_data(self, X, y)
        if not (isinstance(self.n_features, Integral) and self.n_features >= 1):
            msg = f"n_features is {self.n_features!r}; give a whole number from 1."
            raise ValueError(msg)
        centered = X - X.mean(axis=0)
        total = (centered**2).sum(axis=0)
        between = np.zeros_like(total)
        for rows in (centered[y == label] for label in np.unique(y)):
            between += len(rows) * rows.mean(axis=0) ** 2
        # the share of variance between classes ranks as F does, and stays finite
        # where a column separates the classes exactly
        share = np.divide(between, total, out=np.zeros_like(total), where=total > 0)
        self.support_ = np.zeros(X.shape[1], dtype=bool)
        self.support_[np.argsort(-share, kind="stable")[: self.n_features]] = True
        return self

    def _get_support_mask(self):
        check_is_fitted(self)
        return self.support_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


def logistic(*, n_features: int | None = None, C: float = 1.0) -> Pipeline:
    """Return ridge-penalized logistic regression behind impute, scale and select.

    Missing values become the median of the training patients; columns that are
    constant or empty there are dropped.

    Parameters
    ----------
    n_features
        Columns to keep by one-way F statistic, None for all.
    C
        Inverse strength of the penalty on standardized columns.

    Notes
    -----
    Classes are not reweighted: balanced weights would move the probabilities away
    from the prevalence and spoil the Brier score. With rare classes, read the
    balanced accuracy, which uses the largest probability, together with the AUC.
    """
    steps = [
        ("impute", SimpleImputer(strategy="median", keep_empty_features=True)),
        ("drop_constant", VarianceThreshold()),
        ("scale", StandardScaler()),
    ]
    if n_features is not None:
        steps.append(("select", SelectAtMost(n_features)))
    # the default of 100 iterations is too few for a weak penalty on many columns
    classify = LogisticRegression(C=C, max_iter=10_000)
    return Pipeline([*steps, ("classify", classify)])


#: What a study file may name.
MODELS = {"logistic": logistic}
