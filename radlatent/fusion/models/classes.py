"""Models for tables with more columns than patients.

Each name gives an unfitted scikit-learn Pipeline. Imputation, scaling and selection
are inside it, so that ``cross_validate`` fits them on training patients only.
"""

from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from radlatent.errors import SchemaError
from radlatent.fusion.solvers.sparse import SparseLogistic
from radlatent.fusion.steps.combat import Combat
from radlatent.fusion.steps.filters import (
    DropCorrelated,
    DropNearConstant,
    StableColumns,
)
from radlatent.fusion.steps.selection import SELECTIONS, SelectAtMost
from radlatent.schema import nearest

__all__ = [
    "Boosted",
    "Preparation",
    "SelectAtMost",
    "boosted",
    "forest",
    "logistic",
    "svm",
]

_PENALTIES = ("ridge", "lasso", "elastic_net")

#: Intervals that trees cut a column into, at most.
_BINS = 64


@dataclass(frozen=True, eq=False)
class Preparation:
    """What is done to the columns before a model sees them; all on training patients.

    Parameters
    ----------
    select
        How the columns of a model are chosen: "univariate", "mrmr", "elastic_net" or
        "boruta"; None takes the one-way F where the model is given ``n_features``. The
        first two need ``n_features``; for the others it is the most they keep.
    correlation
        Of columns with a larger |Spearman correlation| the one with the largest F is
        kept, before the choice.
    near_constant
        Columns in which more than this share of the patients have one value are
        dropped first: once moved by `Combat` they would have one a site. None drops
        only what is constant.
    stability
        The selector that keeps repeatable columns, or the table of ICCs for one that
        wants 0.75 from the lower limit.
    combat
        An unfitted `Combat`, before missing values are filled in.
    """

    select: str | None = None
    correlation: float | None = None
    near_constant: float | None = None
    stability: StableColumns | pd.DataFrame | None = None
    combat: Combat | None = None

    def __post_init__(self):
        if self.select is not None and self.select not in SELECTIONS:
            hint = nearest(self.select, SELECTIONS)
            msg = f"unknown select {self.select!r}{hint} (known are {[*SELECTIONS]})."
            raise SchemaError(msg)


class Boosted(ClassifierMixin, BaseEstimator):
    """Trees of XGBoost, one after the other, for classes of any name.

    Parameters
    ----------
    n_estimators
        Rounds; with several classes, a tree a class in each. A smaller number after
        the fit predicts by the first trees, as if no others had been grown.
    max_depth
        Splits from the root of a tree to a leaf, at most.
    learning_rate
        What is added of each tree.
    random_state
        Seed of the 80% of patients that each tree is grown on; None draws others.

    Notes
    -----
    Columns are cut into at most 64 intervals. XGBoost's own 256 would be one a patient
    where there are some hundred: twice the time and four times the memory.
    """

    def __init__(
        self,
        n_estimators: int = 200,
        *,
        max_depth: int = 2,
        learning_rate: float = 0.05,
        random_state: int | None = 0,
    ):
        self.n_estimators = n_estimators
        self.max_depth = max_depth
        self.learning_rate = learning_rate
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> "Boosted":
        """Grow the trees on ``X``, shape (n_patients, n_columns), for classes ``y``."""
        from xgboost import XGBClassifier

        X, y = validate_data(self, X, y)
        check_classification_targets(y)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y holds one class only, {self.classes_[0]!r}.")
        seed = self.random_state
        if seed is None:
            seed = int(np.random.default_rng().integers(2**31))
        options = self.get_params() | {"random_state": seed}
        options |= {"subsample": 0.8, "tree_method": "hist", "n_jobs": 1}
        options |= {"max_bin": _BINS}
        self.model_ = XGBClassifier(**options).fit(X, numbers)
        return self

    @property
    def booster_(self):
        """The Booster of XGBoost with the trees that predict."""
        check_is_fitted(self)
        return self.model_.get_booster()[: self._n_rounds()]

    def _n_rounds(self):
        return min(self.n_estimators, self.model_.n_estimators)

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Return a probability of each class, shape (n_patients, n_classes)."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        rounds = {"iteration_range": (0, self._n_rounds())}
        chances = self.model_.predict_proba(X, **rounds)
        chances = chances.astype(np.float64)
        return chances / chances.sum(axis=1, keepdims=True)  # of single precision

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return the class of the largest probability."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]


def logistic(
    *,
    n_features: int | None = None,
    C: float = 1.0,
    penalty: str = "ridge",
    l1_ratio: float = 0.5,
    prepare: Preparation | dict | None = None,
) -> Pipeline:
    """Return penalized logistic regression behind impute, scale and select.

    Missing values become the median of the training patients; columns that are
    constant or empty there are dropped.

    Parameters
    ----------
    n_features
        Columns to keep by one-way F statistic, or as ``prepare`` says; None for all.
    C
        Inverse strength of the penalty on standardized columns.
    penalty
        "ridge" shrinks all coefficients, "lasso" leaves columns out, "elastic_net" does
        both (`SparseLogistic`).
    l1_ratio
        Share of the elastic net that is lasso; the other penalties do not use it.
    prepare
        A `Preparation`, or its fields.

    Notes
    -----
    Classes are not reweighted: balanced weights would move the probabilities away
    from the prevalence and spoil the Brier score. With rare classes, read the
    balanced accuracy, which uses the largest probability, together with the AUC.
    """
    if penalty not in _PENALTIES:
        hint = nearest(penalty, _PENALTIES)
        msg = f"unknown penalty {penalty!r}{hint} (known are {_PENALTIES})."
        raise SchemaError(msg)
    # the default of 100 iterations is too few for a weak penalty on many columns
    classify = LogisticRegression(C=C, max_iter=10_000)
    if penalty != "ridge":
        classify = SparseLogistic(C, l1_ratio if penalty == "elastic_net" else 1.0)
    return _pipeline(classify, n_features, prepare)


def svm(
    *,
    n_features: int | None = None,
    C: float = 1.0,
    gamma: float | str = "scale",
    n_folds: int = 5,
    random_state: int | None = 0,
    prepare: Preparation | dict | None = None,
) -> Pipeline:
    """Return a support vector machine with an RBF kernel, as `logistic` prepared.

    Parameters
    ----------
    n_features
        Columns to keep by one-way F statistic, or as ``prepare`` says; None for all.
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
    prepare
        A `Preparation`, or its fields.

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
    inner = Pipeline([*_select(n_features, prepare), ("machine", machine)])
    classify = CalibratedClassifierCV(inner, ensemble=False, cv=parts)
    return Pipeline([*_prepare(prepare), ("classify", classify)])


def forest(
    *,
    n_features: int | None = None,
    n_estimators: int = 500,
    max_features: int | float | str = "sqrt",
    min_samples_leaf: int = 1,
    random_state: int | None = 0,
    prepare: Preparation | dict | None = None,
) -> Pipeline:
    """Return a random forest, as `logistic` prepared.

    Parameters
    ----------
    n_features
        Columns to keep by one-way F statistic, or as ``prepare`` says; None for all.
    n_estimators
        Number of trees.
    max_features
        Columns tried at a split: a number, a share, "sqrt" or "log2" of them.
    min_samples_leaf
        Training patients that a leaf holds at least.
    random_state
        Seed of the trees; None draws others in each fit.
    prepare
        A `Preparation`, or its fields.

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
    return _pipeline(classify, n_features, prepare)


def boosted(
    *,
    n_features: int | None = None,
    n_estimators: int = 200,
    max_depth: int = 2,
    learning_rate: float = 0.05,
    random_state: int | None = 0,
    prepare: Preparation | dict | None = None,
) -> Pipeline:
    """Return boosted trees (XGBoost), as `logistic` prepared.

    Parameters
    ----------
    n_features
        Columns to keep by one-way F statistic, or as ``prepare`` says; None for all.
    n_estimators
        Rounds; with several classes, a tree a class in each.
    max_depth
        Splits from the root of a tree to a leaf, at most.
    learning_rate
        What is added of each tree.
    random_state
        Seed of the 80% of patients that each tree is grown on; None draws others.
    prepare
        A `Preparation`, or its fields.

    Notes
    -----
    The trees are shallow and added slowly, for some hundred patients. One process, as
    in `forest`.

    References
    ----------
    Friedman 2002, doi:10.1016/S0167-9473(01)00065-2; Chen & Guestrin 2016,
    doi:10.1145/2939672.2939785
    """
    classify = Boosted(
        n_estimators,
        max_depth=max_depth,
        learning_rate=learning_rate,
        random_state=random_state,
    )
    return _pipeline(classify, n_features, prepare)


def _pipeline(classify, n_features, prepare):
    steps = [*_prepare(prepare), *_select(n_features, prepare)]
    return Pipeline([*steps, ("classify", classify)])


def _prepare(prepare=None):
    """Return the steps that do not look at the classes."""
    plan, steps = _preparation(prepare), []
    if plan.near_constant is not None:
        # Combat needs to know the patients
        drop = DropNearConstant(plan.near_constant).set_output(transform="pandas")
        steps.append(("near_constant", drop))
    if plan.combat is not None:
        steps.append(("combat", plan.combat))
    if plan.stability is not None:
        known = isinstance(plan.stability, StableColumns)
        stable = plan.stability if known else StableColumns(plan.stability)
        steps.append(("stability", stable))
    return [
        *steps,
        ("impute", SimpleImputer(strategy="median", keep_empty_features=True)),
        ("drop_constant", VarianceThreshold()),
        ("scale", StandardScaler()),
    ]


def _select(n_features, prepare=None):
    """Return the steps that look at the classes."""
    plan, steps = _preparation(prepare), []
    if plan.correlation is not None:
        drop = DropCorrelated(plan.correlation, keep="relevant")
        steps.append(("correlation", drop))
    if plan.select in ("univariate", "mrmr") and n_features is None:
        msg = f"select={plan.select!r} needs n_features: how many columns to keep."
        raise SchemaError(msg)
    if plan.select or n_features is not None:
        selection = SELECTIONS[plan.select or "univariate"]
        steps.append(("select", selection(n_features)))
    return steps


def _preparation(prepare):
    if prepare is None or isinstance(prepare, Preparation):
        return prepare or Preparation()
    known = [field.name for field in fields(Preparation)]
    unknown = [f"{key!r}{nearest(key, known)}" for key in prepare if key not in known]
    if unknown:
        msg = f"prepare: unknown {', '.join(unknown)} (known are {known})."
        raise SchemaError(msg)
    return Preparation(**prepare)
