"""Models whose probabilities are learned on patients that they were not fitted on.

Columns and an outcome enter; what models say of unseen patients leaves, and a Pipeline
of survival with a curve that was fitted to it.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline

from radlatent.features.folds import whose_rows
from radlatent.fusion.solvers.cox import CoxRegression
from radlatent.fusion.solvers.weibull import WeibullRegression

__all__ = [
    "Calibrated",
    "SurvivalPipeline",
    "calibrate",
    "predict_unseen",
    "uncalibrated",
]


def predict_unseen(
    fit: Callable,
    X: ArrayLike,
    y: np.ndarray,
    groups: tuple,
    patients: np.ndarray | None = None,
) -> np.ndarray:
    """Return what models predict of patients that they were not fitted on.

    Parameters
    ----------
    fit
        Takes columns and outcome, returns a function from columns to one number each,
        or to several.
    X, y
        Columns and outcome of the patients.
    groups
        Sort keys of patients, the last one first, as ``numpy.lexsort`` takes them: the
        five parts that patients are dealt into hold them evenly.
    patients
        Whose row it is, of `whose_rows`; None asks ``X``. Rows of one patient are in
        one part.
    """
    patients = whose_rows(X) if patients is None else patients
    _, first, number = np.unique(patients, return_index=True, return_inverse=True)
    part, found = np.empty(len(first), dtype=int), None
    part[np.lexsort([key[first] for key in groups])] = np.arange(len(first)) % 5
    part = part[number]
    for one in range(5):
        inside = part == one
        if inside.any():
            told = fit(X[~inside], y[~inside])(X[inside])
            found = np.empty((len(y), *told.shape[1:])) if found is None else found
            found[inside] = told
    return found


class Calibrated(Pipeline):
    """A Pipeline whose probabilities are of curves, which take five more fits."""


def uncalibrated(model: BaseEstimator) -> BaseEstimator:
    """Return an unfitted model that gives the same risks and fits no curve."""
    if isinstance(getattr(model, "estimator", None), Calibrated):  # of a search
        return clone(model).set_params(estimator=Pipeline(model.estimator.steps))
    return Pipeline(model.steps) if isinstance(model, Calibrated) else model


class SurvivalPipeline(Calibrated):
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
        self.curve_ = calibrate(curve, unseen, y)
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
            Shape (n_patients, n_times). But for Weibull regression, which extrapolates,
            it is 1 before the first event in training, flat after the last, and NaN
            after the last day on which a training patient was followed.
        """
        return self.curve_.predict_survival(self.predict(X)[:, None], times)


def calibrate(make: Callable, risk: np.ndarray, y: np.ndarray):
    """Return a regression on one risk, flat where the hazard falls with it.

    Parameters
    ----------
    make
        Takes ``penalty_strength``, returns an unfitted linear model of survival.
    risk
        Of patients whom the model did not see, shape (n_patients,).
    y
        Structured outcome of the same patients.
    """
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
