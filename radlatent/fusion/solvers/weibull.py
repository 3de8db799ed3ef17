"""Weibull regression on many columns, penalized.

Columns and a structured outcome enter; risks (higher = worse) and survival
probabilities leave. Columns are penalized as they come: standardize them before.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize

from radlatent.fusion.solvers.survival import (
    MAX_STEPS,
    TOLERANCE,
    Linear,
    check_survival,
    not_converged,
)

__all__ = ["WeibullRegression"]


class WeibullRegression(Linear):
    """Weibull regression with a ridge penalty: accelerated failure time.

    Parameters
    ----------
    penalty_strength
        Weight lambda of lambda |b|_2^2 / 2 against the mean log likelihood of a
        patient; b are log hazard ratios.

    Attributes
    ----------
    coef_
        Log hazard ratio of one unit of each column, 0 for those dropped; minus this
        over ``shape_`` is the change of log time.
    shape_
        Of the Weibull distribution; above 1 the hazard rises with time.
    scale_
        Time in days at which the mean training patient is free of the event with
        probability exp(-1).
    dropped_
        Numbers of the columns that were constant or exact copies of an earlier one.

    Notes
    -----
    log T = log(scale) - (X b) / shape + W / shape, W of the smallest extreme value
    distribution; the same model is one of proportional hazards, and the risk is X b.
    The penalty is on b, log hazard ratios, not on b / shape as in lifelines: where
    columns fit all times, the likelihood grows without end as the shape does, unless
    the penalty grows with it. On narrow tables without penalty both agree.

    References
    ----------
    Kalbfleisch & Prentice 2002, sections 2.2 and 2.3, doi:10.1002/9781118032985
    """

    def __init__(self, penalty_strength: float = 0.1):
        self.penalty_strength = penalty_strength

    def fit(self, X: ArrayLike, y: np.ndarray) -> "WeibullRegression":
        """Fit columns ``X`` to the structured outcome ``y``; errors as Cox."""
        X, y = check_survival(self, X, y)
        centered, kept = self._center(X)
        # times around 1, so that shape and scale are learned apart
        middle = np.log(y["time"]).mean()
        loss = _weibull(centered, y["event"], np.log(y["time"]) - middle)
        start = np.r_[0.0, np.log(y["event"].mean()), np.zeros(centered.shape[1])]
        found = minimize(
            lambda theta: loss(theta, self.penalty_strength),
            start,
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": MAX_STEPS, "maxfun": MAX_STEPS, "gtol": TOLERANCE}
            | {"ftol": 0},
        )
        slope = np.abs(found.jac).max()
        # the line search ends at rounding, which may be before the tolerance
        if not slope < 1000 * TOLERANCE:
            raise not_converged(self, f" (slope {slope:.2g})")
        self.coef_[kept] = found.x[2:]
        self.shape_ = float(np.exp(found.x[0]))
        self.scale_ = float(np.exp(middle - found.x[1] / self.shape_))
        return self

    def predict_survival(self, X: ArrayLike, times: ArrayLike) -> np.ndarray:
        """Return the probability to be free of the event, (n_patients, n_times).

        The curve goes on after the last day on which a training patient was followed:
        an extrapolation, which validation neither shows nor scores.
        """
        hazard = (np.asarray(times, dtype=float) / self.scale_) ** self.shape_
        return np.exp(-np.exp(np.minimum(self.predict(X), 700))[:, None] * hazard)


def _weibull(X, event, log_time) -> Callable:
    """Return a function: log shape, intercept and b to the loss, and its slope."""

    def loss(theta, ridge):
        shape, coef = np.exp(np.clip(theta[0], -20, 20)), theta[2:]
        line = shape * log_time + theta[1] + X @ coef  # log cumulative hazard
        hazard = np.exp(np.minimum(line, 500))
        value = (hazard - event * (line + theta[0])).mean() + ridge / 2 * coef @ coef
        back = (hazard - event) / len(X)
        first = shape * log_time @ back - event.mean()
        return value, np.r_[first, back.sum(), X.T @ back + ridge * coef]

    return loss
