"""Models of survival for tables with more columns than patients.

Each name gives an unfitted Pipeline prepared as `logistic` is. ``fit`` takes columns
and a structured outcome (``event``, ``time`` in days); ``predict`` gives risks (higher
= earlier event), ``predict_survival`` probabilities to be free of the event.
"""

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted, validate_data

from radlatent.fusion.solvers.baseline import (
    SelectByConcordance,
    SurvivalModel,
    check_survival,
    predict_unseen,
)
from radlatent.fusion.solvers.hazards import CoxRegression, WeibullRegression
from radlatent.fusion.solvers.signs import SignAverage, SignAverageClassifier

__all__ = [
    "BoostedSurvival",
    "SurvivalPipeline",
    "aft",
    "boosted_survival",
    "cox",
    "sign_average",
]

_OBJECTIVES = ("cox", "aft")


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
        seed = self.random_state
        seed = np.random.default_rng().integers(2**31) if seed is None else seed
        self.booster_ = self._boost(X, y, int(seed))
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


class SurvivalPipeline(Pipeline):
    """A Pipeline that gives risks and, calibrated, probabilities.

    Attributes
    ----------
    curve_
        Regression of survival on the risk alone: Weibull if the last step is, else Cox.

    Notes
    -----
    The regression is fitted to risks of training patients that their model, with its
    selection, did not see (five parts, six fits in all). Baselines of the risks that a
    model was fitted to are far too certain where there are more columns than patients.
    Where risks of unseen patients do not rise with the hazard, all get the same curve.

    References
    ----------
    van Houwelingen 2000, Statistics in Medicine 19:3401-3415 (regression of survival
    on the risk of a model)
    """

    def fit(self, X: ArrayLike, y: np.ndarray, **params) -> "SurvivalPipeline":
        """Fit all steps to the structured outcome ``y``, then the curve."""
        super().fit(X, y, **params)

        def fit(X, y):
            return Pipeline(clone(self).steps).fit(X, y, **params).predict

        unseen = predict_unseen(fit, X, y, (y["time"], y["event"]))
        weibull = isinstance(self[-1], WeibullRegression)
        curve = WeibullRegression if weibull else CoxRegression
        self.curve_ = _calibrate(curve, unseen, y)
        return self

    def predict_survival(self, X: ArrayLike, times: ArrayLike) -> np.ndarray:
        """Return the probability to be free of the event at each time.

        Parameters
        ----------
        X
            Shape (n_patients, n_columns).
        times
            Days, shape (n_times,).

        Returns
        -------
        ndarray
            Shape (n_patients, n_times). But for Weibull regression it is 1 before the
            first event in training, and flat after the last.
        """
        return self.curve_.predict_survival(self.predict(X)[:, None], times)


def _calibrate(make, risk, y):
    """Return a regression on one risk, flat where the hazard falls with it."""
    spread = risk.std()
    column = risk / spread if spread > 0 else np.arange(len(risk))
    # a penalty of a hundredth keeps a risk that orders all events finite
    curve = make(penalty_strength=0.01).fit(column[:, None], y)
    if spread == 0 or curve.coef_[0] < 0:
        curve = make(penalty_strength=100).fit(column[:, None], y)
        curve.coef_[:] = 0
    curve.coef_ /= spread or 1
    curve.center_ *= spread or 1
    return curve


def cox(
    *,
    n_features: int | None = None,
    penalty_strength: float = 0.1,
    l1_ratio: float = 0.0,
) -> SurvivalPipeline:
    """Return penalized Cox regression behind impute, scale and select.

    Parameters
    ----------
    n_features
        Columns to keep by their concordance with survival, None for all.
    penalty_strength
        Weight of the penalty on standardized columns, as in `CoxRegression`.
    l1_ratio
        0 ridge, 1 lasso, between them elastic net.
    """
    return _pipeline(CoxRegression(penalty_strength, l1_ratio), n_features)


def aft(
    *, n_features: int | None = None, penalty_strength: float = 0.1
) -> SurvivalPipeline:
    """Return Weibull regression with a ridge penalty, as `cox` prepared.

    Parameters
    ----------
    n_features
        Columns to keep by their concordance with survival, None for all.
    penalty_strength
        Weight of the penalty on standardized columns, as in `WeibullRegression`.
    """
    return _pipeline(WeibullRegression(penalty_strength), n_features)


def boosted_survival(
    *,
    objective: str = "cox",
    n_features: int | None = None,
    n_estimators: int = 100,
    learning_rate: float = 0.05,
    max_depth: int = 2,
    subsample: float = 0.8,
    random_state: int | None = 0,
) -> SurvivalPipeline:
    """Return boosted trees for survival, as `cox` prepared.

    Parameters
    ----------
    n_features
        Columns to keep by their concordance with survival, None for all.
    objective, n_estimators, learning_rate, max_depth, subsample, random_state
        As in `BoostedSurvival`.
    """
    model = BoostedSurvival(
        objective,
        n_estimators=n_estimators,
        learning_rate=learning_rate,
        max_depth=max_depth,
        subsample=subsample,
        random_state=random_state,
    )
    return _pipeline(model, n_features)


def sign_average(
    *,
    kind: str = "survival",
    n_features: int | None = None,
    max_correlation: float = 0.8,
    n_estimators: int = 1,
    random_state: int | None = 0,
) -> Pipeline:
    """Return the mean of columns with the sign of their association, as `cox` prepared.

    Parameters
    ----------
    kind
        "survival", or "class" for a classifier of two classes.
    n_features, max_correlation, n_estimators, random_state
        As in `SignAverage`; the selection is inside it, after columns that are like a
        stronger one.
    """
    kinds = {"survival": SignAverage, "class": SignAverageClassifier}
    if kind not in kinds:
        msg = f"kind is {kind!r}; known are {sorted(kinds)}."
        raise ValueError(msg)
    model = kinds[kind](n_features, max_correlation, n_estimators, random_state)
    pipeline = _pipeline(model, None)
    return pipeline if kind == "survival" else Pipeline(pipeline.steps)


def _pipeline(model, n_features):
    from radlatent.fusion.models.classes import _prepare

    steps = [*_prepare(), ("risk", model)]
    if n_features is not None:
        steps.insert(-1, ("select", SelectByConcordance(n_features)))
    # tables between steps, so that errors can name patients and columns
    return SurvivalPipeline(steps).set_output(transform="pandas")
