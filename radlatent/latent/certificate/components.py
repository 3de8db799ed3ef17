"""Principal components that are fitted on the training rows of each fold.

Arrays enter and leave. Tables with many columns are looked at through few of them.
"""

import numpy as np

__all__ = ["components", "components_in_folds", "n_components"]


def n_components(n_columns: int, n_patients: int, most: int) -> int:
    """Return how many components stand for a table: at most one for 8 patients.

    Parameters
    ----------
    n_columns
        Columns of the table.
    n_patients
        Patients that it is of.
    most
        Never more than so many.
    """
    return max(1, min(most, n_columns, n_patients // 8))


def components(values: np.ndarray, n: int) -> np.ndarray:
    """Return the first components of standardized columns, shape (n_rows, n).

    Parameters
    ----------
    values
        Shape (n_rows, n_columns).
    n
        How many; those beyond the rank of the table are 0.
    """
    values = _standardized(values, values)
    return values @ _directions(values, n)


def components_in_folds(values: np.ndarray, folds: np.ndarray, n: int) -> np.ndarray:
    """Return components of the training rows of each fold, of all rows.

    Parameters
    ----------
    values
        Shape (n_rows, n_columns).
    folds
        Shape (n_rows,).
    n
        How many.

    Returns
    -------
    numpy.ndarray
        Shape (n_folds, n_rows, n). Mean, spread and components are those of the rows of
        the other folds.

    Notes
    -----
    Components of two folds come in other orders and signs. Those of a fold are turned
    among themselves (orthogonal Procrustes) to be as near as can be to the components
    of all rows, which gives them their numbers and nothing else: they span what they
    spanned.

    References
    ----------
    Schönemann 1966, doi:10.1007/BF02289451
    """
    everyone = _directions(_standardized(values, values), n)
    found = []
    for fold in np.unique(folds):
        train = folds != fold
        own = _directions(_standardized(values[train], values[train]), n)
        left, _, right = np.linalg.svd(own.T @ everyone)
        turned = own @ left @ right
        found.append(_standardized(values[train], values) @ turned)
    return np.stack(found)


def _standardized(train, values):
    spread = train.std(axis=0)
    return (values - train.mean(axis=0)) / np.where(spread > 0, spread, 1.0)


def _directions(values, n):
    """Return the first right singular vectors as columns, 0 beyond the rank."""
    _, sizes, right = np.linalg.svd(values, full_matrices=False)
    kept = min(n, int((sizes > 1e-6 * sizes[:1].max(initial=0)).sum()))
    found = np.zeros((values.shape[1], n))
    found[:, :kept] = right[:kept].T
    return found
