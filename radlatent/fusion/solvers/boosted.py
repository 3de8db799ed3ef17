"""Boosted trees of XGBoost, for classes, for numbers and for survival.

Columns and an outcome enter; probabilities, numbers, or risks (higher = earlier event)
leave.
"""

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from radlatent.fusion.solvers.survival import SurvivalModel, check_survival

__all__ = ["Boosted", "BoostedNumbers", "BoostedSurvival", "GrownOnce"]

#: Intervals that trees of classes and numbers cut a column into, at most.
_BINS = 64

_OBJECTIVES = ("cox", "aft")


class GrownOnce(BaseEstimator):
    """What trees of classes and of numbers share: a fit serves fewer trees too."""

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

    def _options(self):
        options = self.get_params() | {"random_state": _seed(self.random_state)}
        options |= {"subsample": 0.8, "tree_method": "hist", "n_jobs": 1}
        return options | {"max_bin": _BINS}

    @property
    def booster_(self):
        """The Booster of XGBoost with the trees that predict."""
        check_is_fitted(self)
        return self.model_.get_booster()[: self._n_rounds()]

    def _n_rounds(self):
        return min(self.n_estimators, self.model_.n_estimators)

    def _rounds(self):
        return {"iteration_range": (0, self._n_rounds())}


class Boosted(ClassifierMixin, GrownOnce):
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

    def fit(self, X: ArrayLike, y: ArrayLike) -> "Boosted":
        """Grow the trees on ``X``, shape (n_patients, n_columns), for classes ``y``."""
        from xgboost import XGBClassifier

        X, y = validate_data(self, X, y)
        check_classification_targets(y)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y holds one class only, {self.classes_[0]!r}.")
        self.model_ = XGBClassifier(**self._options()).fit(X, numbers)
        return self

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Return a probability of each class, shape (n_patients, n_classes)."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        chances = self.model_.predict_proba(X, **self._rounds())
        chances = chances.astype(np.float64)
        return chances / chances.sum(axis=1, keepdims=True)  # of single precision

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return the class of the largest probability."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]


class BoostedNumbers(RegressorMixin, GrownOnce):
    """Trees of XGBoost, one after the other, for numbers: squared error.

    Parameters
    ----------
    n_estimators, max_depth, learning_rate, random_state
        As of `Boosted`.

    Notes
    -----
    The first prediction is the mean of the training patients; trees are grown on the
    standardized outcome, since XGBoost computes in single precision.
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> "BoostedNumbers":
        """Grow the trees on ``X``, shape (n_patients, n_columns), for numbers ``y``."""
        from xgboost import XGBRegressor

        X, y = validate_data(self, X, y, y_numeric=True)
        self.center_, self.spread_ = y.mean(), y.std() or 1.0
        model = XGBRegressor(**self._options(), base_score=0.0)
        self.model_ = model.fit(X, (y - self.center_) / self.spread_)
        return self

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return the number of each patient, in the unit of the outcome."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        found = self.model_.predict(X, **self._rounds()).astype(np.float64)
        return self.center_ + self.spread_ * found


class BoostedSurvival(SurvivalModel):
    """Boosted trees of XGBoost for survival.

    Parameters
    ----------
    objective
        "cox", the partial likelihood of Breslow, or "aft", accelerated failure time
        with normal errors of log time, of scale 1.
    n_estimators
        Number of trees.
    learning_rate
        Share of each tree that is added.
    max_depth
        Splits between the root and a leaf at most.
    subsample
        Share of the training patients that a tree sees.
    random_state
        Seed of these shares; None draws others in each fit.

    Attributes
    ----------
    booster_
        The fitted XGBoost model.

    Notes
    -----
    One thread, so that results do not depend on the machine.

    References
    ----------
    Chen & Guestrin 2016, doi:10.1145/2939672.2939785; Barnwal et al. 2022,
    doi:10.1080/10618600.2022.2067548 (aft)
    """

    def __init__(
        self,
        objective: str = "cox",
        *,
        n_estimators: int = 100,
        learning_rate: float = 0.05,
        max_depth: int = 2,
        subsample: float = 0.8,
        random_state: int | None = 0,
    ):
        self.objective = objective
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.max_depth = max_depth
        self.subsample = subsample
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: np.ndarray) -> "BoostedSurvival":
        """Fit columns ``X`` to the structured outcome ``y``."""
        if self.objective not in _OBJECTIVES:
            msg = f"objective is {self.objective!r}; known are {_OBJECTIVES}."
            raise ValueError(msg)
        X, y = check_survival(self, X, y)
        self.booster_ = self._boost(X, y, _seed(self.random_state))
        return self

    def _boost(self, X, y, seed):
        import xgboost

        settings = {
            "objective": f"survival:{self.objective}",
            "learning_rate": self.learning_rate,
            "max_depth": self.max_depth,
            "subsample": self.subsample,
            "seed": seed,
            "nthread": 1,
            "base_score": 1.0,
        }
        # times around 1, where the margin of 0 starts
        time = y["time"] / np.exp(np.log(y["time"]).mean())
        data = xgboost.DMatrix(X, nthread=1)
        if self.objective == "cox":
            data.set_label(np.where(y["event"], time, -time))
        else:
            data.set_float_info("label_lower_bound", time)
            data.set_float_info("label_upper_bound", np.where(y["event"], time, np.inf))
        return xgboost.train(settings, data, self.n_estimators)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return the log hazard ratio, or minus the log time of "aft"."""
        import xgboost

        check_is_fitted(self)
        X = xgboost.DMatrix(validate_data(self, X, reset=False, dtype=float), nthread=1)
        margin = self.booster_.predict(X, output_margin=True).astype(float)
        return margin if self.objective == "cox" else -margin


def _seed(random_state):
    """Return what XGBoost takes, whose None is always the same draws."""
    if random_state is not None:
        return int(random_state)
    return int(np.random.default_rng().integers(2**31))
