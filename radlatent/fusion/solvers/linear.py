"""Models of numbers whose settings do not depend on the unit of the outcome.

Standardized columns and numbers enter; predictions in the unit of the numbers leave.
The outcome is standardized inside, on training patients: a penalty or a margin means
the same for an outcome in ml and in litres.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import ElasticNet, Ridge
from sklearn.svm import SVR
from sklearn.utils.validation import check_is_fitted, validate_data

from radlatent.fusion.solvers.survival import unpenalized_columns

__all__ = ["PenalizedLinear", "ScaledSVR"]

_MOST_STEPS = 100_000


class PenalizedLinear(RegressorMixin, BaseEstimator):
    """Linear regression with a ridge, a lasso or an elastic net penalty.

    Minimizes 1 / (2 n) x sum (z - Xw)^2 + penalty_strength x (l1_ratio x sum |w| +
    (1 - l1_ratio) / 2 x sum w^2), z being the standardized outcome; the intercept has
    no penalty. That is the objective of R's glmnet for a Gaussian outcome, whose
    lambda, of the outcome as it is, is ``penalty_strength`` times its spread.

    Parameters
    ----------
    penalty_strength
        Weight of the penalty; columns should be standardized.
    l1_ratio
        0 ridge, 1 lasso, between them elastic net.
    unpenalized
        Blocks, patterns or columns of ``X`` that have no penalty, as those of glmnet
        with a ``penalty.factor`` of 0: the others are fitted to what these leave, of
        the outcome and of the columns (Frisch & Waugh).

    Attributes
    ----------
    coef_, intercept_
        In the unit of the outcome.

    References
    ----------
    Hoerl & Kennard 1970, doi:10.1080/00401706.1970.10488634; Zou & Hastie 2005,
    doi:10.1111/j.1467-9868.2005.00503.x; Friedman et al. 2010,
    doi:10.18637/jss.v033.i01; Frisch & Waugh 1933, doi:10.2307/1907330
    """

    def __init__(
        self,
        penalty_strength: float = 0.1,
        l1_ratio: float = 0.0,
        unpenalized: str | Sequence[str] = (),
    ):
        self.penalty_strength = penalty_strength
        self.l1_ratio = l1_ratio
        self.unpenalized = unpenalized

    def fit(self, X: ArrayLike, y: ArrayLike) -> "PenalizedLinear":
        """Fit ``X``, shape (n_patients, n_columns), to numbers ``y``."""
        if not (self.penalty_strength >= 0 and 0 <= self.l1_ratio <= 1):
            msg = f"{self}: penalty_strength is 0 or more, l1_ratio from 0 to 1."
            raise ValueError(msg)
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        free = unpenalized_columns(self)
        center, spread = y.mean(), y.std() or 1.0
        z, coef = (y - center) / spread, np.zeros(X.shape[1])
        if free.any():
            beside = np.column_stack([np.ones(len(X)), X[:, free]])
            shared = np.linalg.lstsq(beside, np.column_stack([z, X[:, ~free]]))[0]
            z = z - beside @ shared[:, 0]
            rest = X[:, ~free] - beside @ shared[:, 1:]
            coef[~free] = self._penalized(rest, z)[0]
            coef[free] = (shared[:, 0] - shared[:, 1:] @ coef[~free])[1:]
            intercept = -X.mean(axis=0) @ coef
        else:
            coef, intercept = self._penalized(X, z)
        self.coef_ = spread * coef
        self.intercept_ = float(center + spread * intercept)
        return self

    def _penalized(self, X, z):
        """Return coefficients and intercept of the standardized outcome."""
        if not X.shape[1]:
            return np.zeros(0), 0.0
        if self.l1_ratio == 0 or self.penalty_strength == 0:
            solver = Ridge(alpha=self.penalty_strength * len(z))
        else:
            about = {"l1_ratio": self.l1_ratio, "max_iter": _MOST_STEPS}
            solver = ElasticNet(self.penalty_strength, **about)
        solver.fit(X, z)
        return np.ravel(solver.coef_), np.ravel(solver.intercept_)[0]

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return the number of each patient, in the unit of the outcome."""
        check_is_fitted(self)
        return validate_data(self, X, reset=False) @ self.coef_ + self.intercept_


class ScaledSVR(RegressorMixin, BaseEstimator):
    """Support vector regression with an RBF kernel, of the standardized outcome.

    Parameters
    ----------
    C
        Inverse strength of the penalty.
    gamma
        Width of the kernel, as of scikit-learn's ``SVR``.
    epsilon
        Errors below it cost nothing, in standard deviations of the outcome.

    References
    ----------
    Drucker et al. 1997, Advances in Neural Information Processing Systems 9:155
    """

    def __init__(
        self, C: float = 1.0, *, gamma: float | str = "scale", epsilon: float = 0.1
    ):
        self.C = C
        self.gamma = gamma
        self.epsilon = epsilon

    def fit(self, X: ArrayLike, y: ArrayLike) -> "ScaledSVR":
        """Fit ``X``, shape (n_patients, n_columns), to numbers ``y``."""
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        self.center_, self.spread_ = y.mean(), y.std() or 1.0
        machine = SVR(C=self.C, gamma=self.gamma, epsilon=self.epsilon)
        self.machine_ = machine.fit(X, (y - self.center_) / self.spread_)
        return self

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return the number of each patient, in the unit of the outcome."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        return self.center_ + self.spread_ * self.machine_.predict(X)
