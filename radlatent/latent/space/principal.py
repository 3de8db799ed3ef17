"""Principal components of many voxels in few cases: arrays in, arrays out."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Principal", "fit_principal"]


@dataclass(frozen=True, eq=False)
class Principal:
    """Where the variance of cases lies.

    Parameters
    ----------
    mean
        Shape (n_voxels,).
    axes
        Of unit length, shape (n_components, n_voxels); each has a positive sum of
        cubes, so that its sign does not depend on the machine.
    variances
        Of the cases along each axis, shape (n_components,).
    rest
        Mean variance along the other directions that cases span, 0 where none is.
    """

    mean: np.ndarray
    axes: np.ndarray
    variances: np.ndarray
    rest: float

    def scores(self, flat: np.ndarray) -> np.ndarray:
        """Return where cases lie along the axes, shape (n_cases, n_components)."""
        return (flat - self.mean) @ self.axes.T

    def images(self, scores: np.ndarray) -> np.ndarray:
        """Return the cases that lie there, shape (n_cases, n_voxels)."""
        return scores @ self.axes + self.mean


def fit_principal(flat: np.ndarray, n_components: int) -> Principal:
    """Return the principal components of cases.

    Parameters
    ----------
    flat
        Shape (n_cases, n_voxels).
    n_components
        Less than the number of cases.

    Notes
    -----
    From the products of cases, not of voxels: there are far fewer cases.

    References
    ----------
    Turk and Pentland 1991, doi:10.1162/jocn.1991.3.1.71 (the products of cases)
    """
    mean = flat.mean(axis=0, dtype=np.float64).astype(flat.dtype)
    centered = flat - mean
    values, vectors = np.linalg.eigh((centered @ centered.T).astype(np.float64))
    values, vectors = values[::-1].clip(min=0), vectors[:, ::-1]
    n, n_voxels = len(flat), flat.shape[1]
    kept = slice(n_components)
    # a direction without variance has no axis
    lengths = np.sqrt(values[kept])
    lengths[lengths <= 1e-6 * np.sqrt(values[0])] = np.inf
    axes = (vectors[:, kept] / lengths).T.astype(flat.dtype) @ centered
    signs = np.where((axes.astype(np.float64) ** 3).sum(axis=1) < 0, -1, 1)
    n_left = min(n - 1, n_voxels) - n_components
    rest = values[n_components:].sum() / (n - 1) / n_left if n_left > 0 else 0.0
    axes = axes * signs[:, None].astype(flat.dtype)
    return Principal(mean, axes, values[kept] / (n - 1), float(rest))
