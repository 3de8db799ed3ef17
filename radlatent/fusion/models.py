"""Models for tables with more columns than patients.

Each name gives an unfitted scikit-learn Pipeline. Imputation, scaling and selection
are inside it, so that ``cross_validate`` fits them on training patients only.
"""

from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import SelectorMixin, VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.validation import check_is_fitted, validate_data

__all__ = ["MODELS", "SelectAtMost", "forest", "logistic", "svm"]


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
    # the default of 100 iterations is too few for a weak penalty on many columns
    classify = LogisticRegression(C=C, max_iter=10_000)
    return Pipeline([*_prepare(), *_select(n_features), ("classify", classify)])


def svm(
    *,
    n_features: int | None = None,
    C: float = 1.0,
    gamma: float | str = "scale",
    n_folds: int = 5,
    random_state: int | None = 0,
) -> Pipeline:
    """Return a support vector machine with an RBF kernel, as `logistic` prepared.

    Parameters
    ----------
    n_features
        Columns to keep by one-way F statistic, None for all.
    C
        Inverse strength of the penalty on standardized columns.
    gamma
        Width of the kernel exp(-gamma d^2), d between standardized columns; "scale" is
        1 / (number of columns x their variance), "auto" 1 / number of columns.
    n_folds
        Parts of the training patients that probabilities are learned on; every class
        needs as many training patients.
    random_state
        Seed of these parts; None draws others in each fit.

    Notes
    -----
    A support vector machine gives distances, not probabilities. A sigmoid is fitted to
    distances of training patients that the machine did not see, and turns those of the
    machine of all training patients into probabilities. Columns are selected anew
    inside these parts: chosen on all of them, noise would look certain. Where features
    tell nothing the sigmoid may fall instead of rise, and the ranking is reversed.

    The solver has no limit of iterations: it ends at its tolerance, never before.

    References
    ----------
    Cortes & Vapnik 1995, doi:10.1007/BF00994018; Platt 1999, Advances in Large Margin
    Classifiers, 61-74; Lin et al. 2007, doi:10.1007/s10994-007-5018-6
    """
    machine = SVC(C=C, gamma=gamma, max_iter=-1)
    parts = StratifiedKFold(n_folds, shuffle=True, random_state=random_state)
    inner = Pipeline([*_select(n_features), ("machine", machine)])
    classify = CalibratedClassifierCV(inner, ensemble=False, cv=parts)
    return Pipeline([*_prepare(), ("classify", classify)])


def forest(
    *,
    n_features: int | None = None,
    n_estimators: int = 500,
    max_features: int | float | str = "sqrt",
    min_samples_leaf: int = 1,
    random_state: int | None = 0,
) -> Pipeline:
    """Return a random forest, as `logistic` prepared.

    Parameters
    ----------
    n_features
        Columns to keep by one-way F statistic, None for all.
    n_estimators
        Number of trees.
    max_features
        Columns tried at a split: a number, a share, "sqrt" or "log2" of them.
    min_samples_leaf
        Training patients that a leaf holds at least.
    random_state
        Seed of the trees; None draws others in each fit.

    Notes
    -----
    One process, so that ``cross_validate`` gives the same numbers on any machine and
    starts no processes inside processes. Trees do not need the scaling; it is kept so
    that models differ in one thing only.

    References
    ----------
    Breiman 2001, doi:10.1023/A:1010933404324
    """
    classify = RandomForestClassifier(
        n_estimators,
        max_features=max_features,
        min_samples_leaf=min_samples_leaf,
        random_state=random_state,
        n_jobs=1,
    )
    return Pipeline([*_prepare(), *_select(n_features), ("classify", classify)])


def _prepare():
    return [
        ("impute", SimpleImputer(strategy="median", keep_empty_features=True)),
        ("drop_constant", VarianceThreshold()),
        ("scale", StandardScaler()),
    ]


def _select(n_features):
    return [] if n_features is None else [("select", SelectAtMost(n_features))]


#: What a study file may name.
MODELS = {"logistic": logistic, "svm": svm, "forest": forest}
