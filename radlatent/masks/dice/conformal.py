"""Limits that hold for new patients: values by patient enter, limits leave.

Masks of one patient resemble each other, so that patients and not masks are what is
exchangeable. Each patient weighs the same, however many masks one has, and the new
patient is counted among them.
"""

import numpy as np
from scipy import stats

__all__ = ["limits", "patient_weights", "share_by_patient"]

_ROUNDING = 1e-12


def patient_weights(patients: np.ndarray) -> np.ndarray:
    """Return the weight of each mask; of all, n / (n + 1) of n patients.

    Parameters
    ----------
    patients
        ``patient_id`` of each mask.

    Examples
    --------
    >>> patient_weights(np.array(["a", "a", "b"])).round(3).tolist()
    [0.167, 0.167, 0.333]
    """
    _, number, counts = np.unique(patients, return_inverse=True, return_counts=True)
    return 1 / ((len(counts) + 1) * counts[number])


def limits(values: np.ndarray, weights: np.ndarray, share: float) -> np.ndarray:
    """Return what a value of a new patient exceeds with a probability of share at most.

    Parameters
    ----------
    values
        Of known masks, shape (n_rows, n_masks), each row a question of its own.
    weights
        From `patient_weights`, shape (n_masks,).
    share
        Above 0, below 1.

    Returns
    -------
    ndarray
        Shape (n_rows,); infinite where there are too few patients to say.

    References
    ----------
    Lee, Barber & Willett 2023, arXiv:2306.06342; Dunn, Wasserman & Ramdas 2023,
    doi:10.1080/01621459.2022.2060112
    """
    if values.shape[1] == 0:
        return np.full(len(values), np.inf)
    order = np.argsort(values, axis=1)
    reached = np.cumsum(weights[order], axis=1) >= 1 - share - _ROUNDING
    rows = np.arange(len(values))
    found = values[rows, order[rows, reached.argmax(axis=1)]]
    return np.where(reached[:, -1], found, np.inf)


def share_by_patient(
    hits: np.ndarray, patients: np.ndarray, level: float
) -> dict[str, float]:
    """Return the mean over patients of the share of hits, with its interval.

    Parameters
    ----------
    hits
        Booleans, one a mask.
    patients
        ``patient_id`` of each.
    level
        Coverage that the interval aims at.

    Returns
    -------
    dict
        ``estimate, lower, upper, n, n_patients``; NaN without a mask.

    Notes
    -----
    The interval of Clopper and Pearson 1934 (doi:10.1093/biomet/26.4.404), as if each
    patient were one trial: masks of one patient add no certainty.
    """
    patients = np.asarray(patients)
    names, number, counts = np.unique(patients, return_inverse=True, return_counts=True)
    n, tail = len(names), (1 - level) / 2
    row = {"estimate": np.nan, "lower": np.nan, "upper": np.nan}
    if n:
        shares = np.bincount(number, weights=hits, minlength=n) / counts
        mean = shares.mean()
        found = mean * n
        row["estimate"] = mean
        # a beta distribution needs both of its numbers above 0
        low = stats.beta.ppf(tail, found, n - found + 1) if found > 0 else 0.0
        high = stats.beta.ppf(1 - tail, found + 1, n - found) if found < n else 1.0
        row |= {"lower": float(low), "upper": float(high)}
    return row | {"n": len(patients), "n_patients": n}
