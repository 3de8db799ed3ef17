"""What a likelihood tends to where it has no maximum: columns that separate outcomes.

A design and an outcome enter. The coefficients of some columns are infinite; those of
the others, and the likelihood itself, have a limit, and leave.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog
from scipy.special import expit, log_expit

__all__ = ["Limit", "cox_limit", "logistic_limit"]

#: What a direction adds to a linear predictor of order one that counts as nothing.
_NOTHING = 1e-7

#: Pairs of patients that are compared at once; more are not looked into.
_MOST_PAIRS = 2_000_000

_STEPS, _CONVERGED = 100, 1e-9


@dataclass(frozen=True, eq=False)
class Limit:
    """Where a likelihood without a maximum tends to.

    Parameters
    ----------
    params, errors
        Coefficients and standard errors, shape (n_columns,); NaN where infinite.
    llf
        Supremum of the log likelihood.
    infinite
        Which columns separate the outcomes, shape (n_columns,).
    """

    params: np.ndarray
    errors: np.ndarray
    llf: float
    infinite: np.ndarray


def logistic_limit(design: np.ndarray, event: np.ndarray) -> Limit | None:
    """Return the limit of a logistic regression; None where nothing separates.

    Parameters
    ----------
    design
        Shape (n_patients, n_columns), the intercept among them.
    event
        1 or 0 of each patient.

    Notes
    -----
    Along a direction of recession the linear predictor of no patient gets worse and
    that of some gets better (a linear program; Konis 2007). These patients are
    predicted without error in the limit and say nothing more; the others have a
    likelihood of their own, in which directions are looked for again, until there is
    none (Geyer 2009). A column with a part in a direction has no finite coefficient.

    References
    ----------
    Albert & Anderson 1984, doi:10.1093/biomet/71.1.1; Konis 2007, thesis, Oxford;
    Geyer 2009, doi:10.1214/08-EJS349
    """
    signed = design * np.where(event == 1, 1.0, -1.0)[:, None]
    kept, infinite = np.ones(len(design), bool), np.zeros(design.shape[1], bool)
    while kept.any():
        direction = _recession(signed[kept])
        if direction is None:
            break
        infinite |= np.abs(direction) > _NOTHING
        kept[kept] = signed[kept] @ direction <= _NOTHING
    if not infinite.any():
        return None
    part, y = design[kept], event[kept]
    chosen = _independent(part.T @ part, infinite)

    def climb(coef):
        line = part[:, chosen] @ coef
        mean = expit(line)
        weighted = part[:, chosen] * (mean * (1 - mean))[:, None]
        value = log_expit(np.where(y == 1, line, -line)).sum()
        return value, part[:, chosen].T @ (y - mean), weighted.T @ part[:, chosen]

    return _climbed(climb, chosen, infinite)


def cox_limit(design: np.ndarray, event: np.ndarray, time: np.ndarray) -> Limit | None:
    """Return the limit of a Cox regression, ties after Efron; None as above.

    Notes
    -----
    Along a direction of recession no patient at risk overtakes one who has the event.
    In the limit those who fall behind leave the risk set, and what remains is searched
    again. None as well where there are too many pairs to look into.
    """
    event = event.astype(bool)
    days = np.unique(time[event])
    if event.sum() * len(time) > _MOST_PAIRS:
        return None
    dying = event & (time == days[:, None])  # (n_days, n_patients)
    at_risk = time >= days[:, None]
    infinite = np.zeros(design.shape[1], bool)
    while True:
        first, later = _pairs(dying, at_risk)
        direction = _recession(design[first] - design[later])
        if direction is None:
            break
        infinite |= np.abs(direction) > _NOTHING
        height = design @ direction
        top = np.where(dying, height, -np.inf).max(axis=1)
        at_risk &= height >= top[:, None] - _NOTHING
    if not infinite.any():
        return None
    first, later = _pairs(dying, at_risk)
    apart = design[first] - design[later]
    chosen = _independent(apart.T @ apart, infinite)
    X = design[:, chosen]
    # a row a term of Efron's likelihood
    terms = [
        risk - share * dead
        for dead, risk in zip(dying.astype(float), at_risk.astype(float), strict=True)
        for share in np.arange(dead.sum()) / dead.sum()
    ]
    terms = np.array(terms)

    def climb(coef):
        line = X @ coef
        ratio = terms * np.exp(line - line.max())
        total = ratio.sum(axis=1)
        share = ratio / total[:, None]
        mean = share @ X
        value = line[event].sum() - (np.log(total) + line.max()).sum()
        slope = X[event].sum(axis=0) - mean.sum(axis=0)
        return value, slope, (X * share.sum(axis=0)[:, None]).T @ X - mean.T @ mean

    return _climbed(climb, chosen, infinite)


def _pairs(dying, at_risk):
    """Return who has an event, and who is at risk then, a pair a place."""
    pairs = [
        (i, j)
        for dead, risk in zip(dying, at_risk, strict=True)
        for i in np.flatnonzero(dead)
        for j in np.flatnonzero(risk)
        if i != j
    ]
    return np.array(pairs, dtype=int).reshape(-1, 2).T


def _recession(rows):
    """Return a direction along which no row falls and some rise, or None."""
    if not len(rows):
        return None
    found = linprog(
        -rows.sum(axis=0), A_ub=-rows, b_ub=np.zeros(len(rows)), bounds=(-1, 1)
    )
    if found.status != 0 or -found.fun <= _NOTHING * len(rows):
        return None
    return found.x if (rows @ found.x > _NOTHING).any() else None


def _independent(products, infinite):
    """Return columns that the remaining patients tell apart, finite ones first."""
    chosen, rank = [], 0
    for column in np.argsort(infinite, kind="stable"):
        tried = [*chosen, column]
        part = products[np.ix_(tried, tried)]
        if np.linalg.matrix_rank(part, hermitian=True) > rank:
            chosen, rank = tried, rank + 1
    return np.array(chosen, dtype=int)


def _climbed(climb, chosen, infinite):
    """Return the limit, by Newton's steps with halving."""
    coef = np.zeros(len(chosen))
    value, slope, information = climb(coef)
    for _ in range(_STEPS if len(chosen) else 0):
        step = np.linalg.solve(information, slope)
        while (found := climb(coef + step))[0] < value - _CONVERGED:
            step = step / 2
        coef, gained = coef + step, found[0] - value
        value, slope, information = found
        if gained < _CONVERGED and np.abs(step).max() < 1e-6:
            break
    params, errors = np.full((2, len(infinite)), np.nan)
    params[chosen] = coef
    errors[chosen] = np.sqrt(np.diag(np.linalg.inv(information))) if len(chosen) else ()
    for values in (params, errors):
        values[infinite] = np.nan
    return Limit(params, errors, float(value), infinite)
