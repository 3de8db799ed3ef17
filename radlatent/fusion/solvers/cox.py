"""Cox regression on many columns, penalized, and its baseline hazard.

Columns and a structured outcome enter; risks (higher = worse) and survival
probabilities leave. Columns are penalized as they come: standardize them before.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from radlatent.fusion.solvers.concordance import concordance
from radlatent.fusion.solvers.survival import (
    MAX_STEPS,
    TOLERANCE,
    Linear,
    check_survival,
    not_converged,
    unpenalized_columns,
)

__all__ = [
    "Baseline",
    "CoxRegression",
    "NotConverged",
    "Penalty",
    "breslow",
    "descend",
]


@dataclass(frozen=True, eq=False)
class Baseline:
    """The hazard of a patient of risk 0.

    Parameters
    ----------
    times
        Distinct times of events, ascending, shape (n_event_times,).
    hazard
        Cumulative hazard from each of them on, of the same shape.
    last
        The last day on which somebody was at risk: nothing is known of later ones.
    """

    times: np.ndarray
    hazard: np.ndarray
    last: float

    def survival(self, risk: np.ndarray, times: ArrayLike) -> np.ndarray:
        """Return the probability to be free of the event, shape (n_patients, n_times).

        Parameters
        ----------
        risk
            Log hazard ratio, shape (n_patients,).
        times
            Days. The curve is 1 before the first event, flat between the last one and
            the end of follow-up, and NaN after it.
        """
        times = np.asarray(times, dtype=float)
        before = np.searchsorted(self.times, times, side="right")
        with np.errstate(divide="ignore"):
            log_hazard = np.log(np.r_[0, self.hazard])[before]
        # a hazard of exp(50) leaves nobody, and exp cannot overflow
        chances = np.exp(-np.exp(np.minimum(risk[:, None] + log_hazard, 50)))
        return np.where(times <= self.last, chances, np.nan)


def breslow(risk: np.ndarray, y: np.ndarray) -> Baseline:
    """Return the cumulative hazard of risk 0 at the times of events.

    Parameters
    ----------
    risk
        Log hazard ratio, shape (n_patients,).
    y
        Structured outcome of the same patients.

    Notes
    -----
    The hazard grows at each time by the number of events over the sum of exp(risk) of
    those still at risk, tied events taken together. Coefficients that were fitted with
    Efron's treatment of ties go with it, as in lifelines and scikit-survival; R's
    ``survfit`` uses Efron's there too, which differs where many times are tied.

    References
    ----------
    Breslow 1972, J R Stat Soc B 34:216-217, doi:10.1111/j.2517-6161.1972.tb00900.x
    """
    # a common factor cancels from the ratio; without it exp may overflow
    top = risk.max()
    times, at = np.unique(y["time"], return_inverse=True)
    events = np.bincount(at, y["event"])
    at_risk = np.cumsum(np.bincount(at, np.exp(risk - top))[::-1])[::-1]
    hazard = np.cumsum(events / at_risk) * np.exp(-top)
    return Baseline(times[events > 0], hazard[events > 0], float(times[-1]))


class CoxRegression(Linear):
    """Cox regression with a ridge, lasso or elastic-net penalty.

    Parameters
    ----------
    penalty_strength
        Weight lambda of the penalty against the mean log partial likelihood of a
        patient: lambda (l1_ratio |b|_1 + (1 - l1_ratio) |b|_2^2 / 2), as in glmnet.
    l1_ratio
        0 ridge, 1 lasso, between them elastic net.
    unpenalized
        Blocks, patterns or columns of ``X`` that have no penalty, as those of glmnet
        with a ``penalty.factor`` of 0.

    Attributes
    ----------
    coef_
        Log hazard ratio of one unit of each column, 0 for those dropped.
    dropped_
        Numbers of the columns that were constant or exact copies of an earlier one.
    baseline_
        `Baseline` of the mean training patient, as `breslow` finds it.

    Notes
    -----
    Ties are treated as Efron does. Accelerated proximal gradient steps need no matrix
    of columns by columns and set coefficients to exact zeros. lifelines agrees on
    narrow tables; it inverts that matrix and smooths the lasso, which took 70 s for
    1000 columns of 200 patients.

    Without penalty give columns of unit variance, or steps are too short.

    References
    ----------
    Cox 1972, doi:10.1111/j.2517-6161.1972.tb00899.x; Efron 1977,
    doi:10.1080/01621459.1977.10480613; Simon et al. 2011, doi:10.18637/jss.v039.i05
    (penalty); Beck & Teboulle 2009, doi:10.1137/080716542 (steps)
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

    def fit(self, X: ArrayLike, y: np.ndarray) -> "CoxRegression":
        """Fit columns ``X`` to the structured outcome ``y``.

        Raises
        ------
        SchemaError
            No column is what ``unpenalized`` says.
        ValueError
            As `check_survival`; without penalty the columns order all events; or the
            fit does not converge.
        """
        X, y = check_survival(self, X, y)
        free = unpenalized_columns(self)
        centered, kept = self._center(X)
        self.coef_[kept] = descend(self, centered, _efron(y), free[kept])
        risk = centered @ self.coef_[kept]
        if self.penalty_strength == 0 and concordance(risk[:, None], y)[0] == 1:
            each = np.abs(concordance(X, y) - 0.5) == 0.5
            names = getattr(self, "feature_names_in_", np.arange(X.shape[1]))
            msg = (
                f"{centered.shape[1]} columns order all {y['event'].sum()} events (by "
                f"themselves: {names[each][:5].tolist()}), so that no finite "
                "coefficient is best. Give a penalty_strength, or fewer columns with "
                "n_features."
            )
            raise ValueError(msg)
        self.baseline_ = breslow(risk, y)
        return self

    def predict_survival(self, X: ArrayLike, times: ArrayLike) -> np.ndarray:
        """Return the probability to be free of the event, (n_patients, n_times).

        It is 1 before the first event in training, flat after the last, and NaN on days
        after the last one on which a training patient was followed.
        """
        return self.baseline_.survival(self.predict(X), times)


def _efron(y) -> Callable:
    """Return a function: risk to minus the mean log likelihood, and its slope."""
    n, event = len(y), y["event"]
    times, at = np.unique(y["time"], return_inverse=True)
    died = np.sort(at[event])  # the place of each event among the times
    first = np.searchsorted(died, died)
    share = (np.arange(len(died)) - first) / np.bincount(died)[died]

    def loss(risk):
        top = risk.max()
        ratio = np.exp(risk - top)
        at_risk = np.cumsum(np.bincount(at, ratio)[::-1])[::-1]
        dying = np.bincount(at, ratio * event)
        total = at_risk[died] - share * dying[died]
        if total.min() < 1e-290:  # risks so far apart that the smallest vanish
            return np.inf, np.zeros(n)
        value = np.log(total).sum() + top * len(died) - risk[event].sum()
        up = np.cumsum(np.bincount(died, 1 / total, len(times)))
        down = np.bincount(died, share / total, len(times))
        return value / n, (ratio * (up[at] - event * down[at]) - event) / n

    return loss


@dataclass(frozen=True)
class Penalty:
    """What `descend` needs to know of a model: see `CoxRegression`."""

    penalty_strength: float
    l1_ratio: float


class NotConverged(ValueError):
    """Steps that came to no end."""


def descend(
    model: BaseEstimator | Penalty,
    X: np.ndarray,
    loss: Callable,
    free: np.ndarray | None = None,
    start: np.ndarray | None = None,
) -> np.ndarray:
    """Return coefficients by proximal gradient steps (Beck & Teboulle 2009).

    Parameters
    ----------
    model
        Has ``penalty_strength`` and ``l1_ratio``.
    X
        Centered columns, shape (n_patients, n_columns).
    loss
        Takes risks; returns minus the mean log likelihood and its slope by patient.
    free
        Which columns have no penalty, shape (n_columns,); None: none of them.
    start
        Coefficients to start from, (n_columns,) or, of several risks a patient,
        (n_columns, n_risks); None starts from 0, with one risk.

    Raises
    ------
    NotConverged
        The steps did not converge: a ``ValueError``.
    """
    coef = ahead = np.zeros(X.shape[1]) if start is None else start
    each = np.ones(X.shape[1]) if free is None else (~free).astype(float)
    each = model.penalty_strength * each.reshape(-1, *[1] * (coef.ndim - 1))
    lasso = model.l1_ratio * each
    ridge = each - lasso

    def smooth(coef):
        value, slope = loss(X @ coef)
        return value + np.vdot(ridge * coef, coef) / 2, X.T @ slope + ridge * coef

    step, pace = 1.0, 1.0
    for _ in range(MAX_STEPS):
        value, slope = smooth(ahead)
        if not np.isfinite(value):
            ahead, pace = coef, 1.0
            continue
        while True:
            to = ahead - step * slope
            to = np.sign(to) * np.maximum(np.abs(to) - step * lasso, 0)
            move = to - ahead
            bound = value + np.vdot(slope, move) + np.vdot(move, move) / (2 * step)
            # rounding counts where the move is small
            if smooth(to)[0] <= bound + 1e-14 * abs(value):
                break
            step /= 2
        if np.abs(move).max() <= TOLERANCE * step:
            return to
        # speed that points uphill is given up
        pace = 1.0 if np.vdot(move, to - coef) < 0 else pace
        faster = (1 + np.sqrt(1 + 4 * pace**2)) / 2
        coef, ahead = to, to + (pace - 1) / faster * (to - coef)
        pace = faster
    raise NotConverged(not_converged(model, f" in {MAX_STEPS} steps"))
