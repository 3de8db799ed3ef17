"""Averages of standardized columns, each with the sign of its own association.

Columns and an outcome (survival or two classes) enter; risks and probabilities leave.
Nothing but signs is learned of single columns, which leaves little to overfit.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from radlatent.features.folds import whose_rows
from radlatent.fusion.solvers.calibrated import predict_unseen
from radlatent.fusion.solvers.concordance import concordance
from radlatent.fusion.solvers.survival import SurvivalModel, check_survival

__all__ = ["SignAverage", "SignAverageClassifier"]


def _strata(y):
    return y["event"] if y.dtype.names else y


class _Average(BaseEstimator):
    """What both outcomes share: everything but the association of a column."""

    def __init__(
        self,
        n_features: int | None = None,
        max_correlation: float = 0.8,
        n_estimators: int = 1,
        random_state: int | None = 0,
    ):
        self.n_features = n_features
        self.max_correlation = max_correlation
        self.n_estimators = n_estimators
        self.random_state = random_state

    def _fit_average(self, X, y):
        if not (self.n_estimators >= 1 and 0 < self.max_correlation <= 1):
            msg = f"{self}: give n_estimators from 1, max_correlation above 0, up to 1."
            raise ValueError(msg)
        if not (self.n_features is None or self.n_features >= 1):
            msg = f"n_features is {self.n_features!r}; give a number from 1, or None."
            raise ValueError(msg)
        self.coef_, self.intercept_ = self._weigh(X, y)

    def _weigh(self, X, y):
        """Return weights and intercept of the mean over bootstrap draws."""
        if self.n_estimators == 1:
            return self._weigh_once(X, y)
        rng = np.random.default_rng(self.random_state)
        # within strata, so that no draw is without events or without a class
        groups = [np.flatnonzero(_strata(y) == s) for s in np.unique(_strata(y))]
        found = []
        for _ in range(self.n_estimators):
            rows = np.concatenate([rng.choice(group, len(group)) for group in groups])
            found.append(self._weigh_once(X[rows], y[rows]))
        coefs, intercepts = zip(*found, strict=True)
        return np.mean(coefs, axis=0), np.mean(intercepts)

    def _weigh_once(self, X, y):
        coef = np.zeros(X.shape[1])
        varies = np.flatnonzero(np.ptp(X, axis=0) > 0)
        if not varies.size:
            msg = f"all {X.shape[1]} columns are constant; there is nothing to average."
            raise ValueError(msg)
        Z = (X[:, varies] - X[:, varies].mean(axis=0)) / X[:, varies].std(axis=0)
        strength = self._associate(Z, y) - 0.5
        kept = self._thin(Z, np.argsort(-np.abs(strength), kind="stable"))
        sign = np.where(strength[kept] < 0, -1.0, 1.0)
        spread = (Z[:, kept] @ sign).std() or 1.0
        chosen = varies[kept]
        coef[chosen] = sign / X[:, chosen].std(axis=0) / spread
        return coef, -X.mean(axis=0) @ coef

    def _thin(self, Z, order):
        """Return columns, the strongest first, without those like a stronger one."""
        kept, left = [], np.ones(len(order), dtype=bool)
        for column in order:
            if len(kept) == (self.n_features or len(order)):
                break
            if left[column]:
                kept.append(column)
                alike = np.abs(Z.T @ Z[:, column]) / len(Z)
                # rounding may bring a correlation above 1
                left &= alike <= self.max_correlation + 1e-9
        return np.array(kept)

    def _score_patients(self, X):
        check_is_fitted(self)
        return validate_data(self, X, reset=False) @ self.coef_ + self.intercept_


class SignAverage(_Average, SurvivalModel):
    """Mean of standardized columns, each with the sign of its C - 0.5, as a risk.

    Parameters
    ----------
    n_features
        Columns to keep, those with the largest abs(C - 0.5) first; None for all.
    max_correlation
        A column whose correlation with a stronger one is larger is left out; 1 keeps
        all.
    n_estimators
        Averages that are averaged, each of a bootstrap draw of the patients; 1 takes
        the patients themselves.
    random_state
        Seed of the draws; None draws others in each fit.

    Attributes
    ----------
    coef_
        Weight of each column: the model is a weighted sum.
    intercept_
        What is added to the sum.

    Notes
    -----
    As the original: columns that are like others are dropped, the sign of each is that
    of its univariate association, the mean is divided by its standard deviation in
    training. The original takes columns in random order when it drops them; here the
    stronger of two stays. Draws keep the number of events.

    References
    ----------
    Rebaud et al. 2023, ICARE, doi:10.1007/978-3-031-27420-6_25
    """

    def fit(self, X: ArrayLike, y: np.ndarray) -> "SignAverage":
        """Fit columns ``X`` to the structured outcome ``y``."""
        X, y = check_survival(self, X, y)
        self._fit_average(X, y)
        return self

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return the risk, of mean 0 and about unit variance in training."""
        return self._score_patients(X)

    def _associate(self, X, y):
        return concordance(X, y)


class SignAverageClassifier(ClassifierMixin, _Average):
    """`SignAverage` of two classes: the sign of a column is that of its AUC - 0.5.

    Parameters
    ----------
    n_features, max_correlation, n_estimators, random_state
        As of `SignAverage`.

    Attributes
    ----------
    classes_
        The two classes in sorted order.
    coef_, intercept_
        Weights of the columns and what is added to their sum.

    Notes
    -----
    Probabilities come from logistic regression on the score of training patients that
    the signs were not learned on. Where it falls with the score, they are the shares of
    the classes.
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> "SignAverageClassifier":
        """Fit columns ``X`` to two classes ``y``."""
        patients = whose_rows(X)
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_, y = np.unique(y, return_inverse=True)
        sizes = np.bincount(y)
        if len(sizes) != 2 or sizes.min() < 2:
            msg = (
                f"{len(sizes)} classes {self.classes_[:5].tolist()} of "
                f"{sizes[:5].tolist()} patients. Only binary classification is "
                "supported, with two patients of each class or more."
            )
            raise ValueError(msg)
        self._fit_average(X, y)

        def fit(X, y):
            coef, intercept = self._weigh(X, y)
            return lambda X: X @ coef + intercept

        unseen = predict_unseen(fit, X, y, (y,), patients)
        self.scale_ = unseen.std() or 1.0
        self.calibration_ = LogisticRegression().fit(unseen[:, None] / self.scale_, y)
        if self.calibration_.coef_[0, 0] < 0:
            self.calibration_.coef_[:] = 0
            self.calibration_.intercept_[:] = np.log(sizes[1] / sizes[0])
        return self

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """Return the score, higher = more likely the second class."""
        return self._score_patients(X)

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Return the probability of each class, shape (n_patients, 2)."""
        score = self._score_patients(X)
        return self.calibration_.predict_proba(score[:, None] / self.scale_)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return the more likely class of each patient."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def _associate(self, X, y):
        ranks = rankdata(X, axis=0)
        ones = y.sum()
        won = ranks[y == 1].sum(axis=0) - ones * (ones + 1) / 2
        return won / (ones * (len(y) - ones))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags
