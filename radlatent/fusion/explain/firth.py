"""Logistic regression with Firth's penalty, finite where columns separate outcomes.

A design and an outcome enter; coefficients with profile intervals and p-values of
penalized likelihood ratios leave, as R's logistf has them.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.optimize import brentq
from scipy.special import expit, log_expit

__all__ = ["Firth", "firth", "penalized_likelihood"]

_STEPS, _CONVERGED = 200, 1e-8

#: The farthest that a coefficient of a standardized column is looked for.
_FAR = 60.0


@dataclass(frozen=True, eq=False)
class Firth:
    """Coefficients of a penalized logistic regression.

    Parameters
    ----------
    params, lower, upper, p
        Of each column that was asked for, shape (n_columns,); limits are those of the
        profile penalized likelihood, p its ratio test.
    llf
        The largest penalized log likelihood.
    """

    params: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    p: np.ndarray
    llf: float


def penalized_likelihood(
    design: np.ndarray, event: np.ndarray, fixed: dict[int, float] | None = None
) -> tuple[float, np.ndarray]:
    """Return the largest penalized log likelihood, and where it is.

    Parameters
    ----------
    design
        Shape (n_patients, n_columns), the intercept among them.
    event
        1 or 0 of each patient.
    fixed
        Column to the value that its coefficient is held at; the penalty is that of all
        columns.

    Notes
    -----
    log L + log |I| / 2, I being the information: Jeffreys' prior. It removes the bias
    of first order, and has a maximum for any data.

    References
    ----------
    Firth 1993, doi:10.1093/biomet/80.1.27; Heinze & Schemper 2002, doi:10.1002/sim.1047
    """
    fixed = fixed or {}
    coef = np.zeros(design.shape[1])
    coef[list(fixed)] = list(fixed.values())
    free = np.array([k for k in range(len(coef)) if k not in fixed], dtype=int)
    value, slope, information = _penalized(design, event, coef)
    for _ in range(_STEPS if len(free) else 0):
        step = np.linalg.solve(information[np.ix_(free, free)], slope[free])
        step *= min(1.0, 2.0 / np.abs(step).max(initial=1e-300))
        for _ in range(30):
            tried = coef.copy()
            tried[free] += step
            found = _penalized(design, event, tried)
            if found[0] >= value - 1e-12:
                break
            step = step / 2
        coef, (value, slope, information) = tried, found
        if np.abs(step).max() < _CONVERGED:
            break
    return float(value), coef


def _penalized(design, event, coef):
    line = design @ coef
    mean = expit(line)
    weighted = design * (mean * (1 - mean))[:, None]
    information = weighted.T @ design
    inverse = np.linalg.pinv(information, hermitian=True)
    leverage = np.einsum("ij,jk,ik->i", weighted, inverse, design)
    slope = design.T @ (event - mean + leverage * (0.5 - mean))
    value = log_expit(np.where(event == 1, line, -line)).sum()
    return value + np.linalg.slogdet(information)[1] / 2, slope, information


def firth(
    design: np.ndarray, event: np.ndarray, n_columns: int, level: float = 0.95
) -> Firth:
    """Return the first columns of a logistic regression with Firth's penalty.

    Parameters
    ----------
    design, event
        As in `penalized_likelihood`.
    n_columns
        How many columns are asked for, the first ones.
    level
        Coverage that the intervals aim at.
    """
    best, coef = penalized_likelihood(design, event)
    reach = stats.chi2.ppf(level, 1) / 2
    lower, upper, p = np.empty((3, n_columns))
    for column in range(n_columns):

        def below(value, column=column):
            found, _ = penalized_likelihood(design, event, {column: value})
            return best - found - reach

        lower[column] = _end(below, coef[column], -1)
        upper[column] = _end(below, coef[column], 1)
        without, _ = penalized_likelihood(design, event, {column: 0.0})
        p[column] = stats.chi2.sf(2 * max(best - without, 0), 1)
    return Firth(coef[:n_columns], lower, upper, p, best)


def _end(below, center, side):
    step = 0.5
    while below(center + side * step) < 0:
        step *= 2
        if step > _FAR:
            return side * np.inf
    return (
        brentq(lambda x: below(center + side * x), 0, step, xtol=1e-8) * side + center
    )
