"""How far new patients are from those that a model was fitted on.

Columns of training patients enter, a `Domain` leaves; of new patients it tells which
columns are beyond the range of training, which are missing, and one distance.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.covariance import ledoit_wolf_shrinkage

from radlatent.features.folds import deal

__all__ = ["Distance", "Domain"]

#: Parts that training patients are dealt into, to be measured by those of the others.
_PARTS = 5


@dataclass(frozen=True, eq=False)
class Distance:
    """Mahalanobis distance to patients, under a covariance that is shrunk.

    Parameters
    ----------
    fill
        Median of each column, for missing values, (n_columns,).
    center, scale
        Mean and standard deviation of each column, (n_columns,).
    axes, variance
        Orthogonal directions of standardized columns and the variance along each,
        (n_axes, n_columns) and (n_axes,).
    floor
        The variance in every other direction; 0 where there is none.

    References
    ----------
    Ledoit & Wolf 2004, doi:10.1016/S0047-259X(03)00096-4 (shrinkage)
    """

    fill: np.ndarray
    center: np.ndarray
    scale: np.ndarray
    axes: np.ndarray
    variance: np.ndarray
    floor: float

    @classmethod
    def of(cls, X: np.ndarray) -> "Distance":
        """Return the distance to patients, (n_patients, n_columns), NaN is missing."""
        some = np.isfinite(X).any(axis=0)
        fill = np.zeros(X.shape[1])
        fill[some] = np.nanmedian(X[:, some], axis=0)
        X = np.where(np.isnan(X), fill, X)
        center, scale = X.mean(axis=0), X.std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        Z = (X - center) / scale
        share = float(ledoit_wolf_shrinkage(Z, assume_centered=True))
        _, length, axes = np.linalg.svd(Z, full_matrices=False)
        spread = length**2 / len(Z)
        floor = share * spread.sum() / Z.shape[1]
        variance = (1 - share) * spread + floor
        known = variance > 1e-12 * max(variance.max(), 1e-300)
        floor = floor if axes.shape[0] < Z.shape[1] or not known.all() else 0.0
        return cls(fill, center, scale, axes[known], variance[known], float(floor))

    def __call__(self, X: np.ndarray) -> np.ndarray:
        """Return the distance of each patient, (n_patients,)."""
        Z = (np.where(np.isnan(X), self.fill, X) - self.center) / self.scale
        along = Z @ self.axes.T
        squares = (along**2 / self.variance).sum(axis=1)
        if self.floor > 0:
            beside = (Z**2).sum(axis=1) - (along**2).sum(axis=1)
            squares += np.maximum(beside, 0) / self.floor
        return np.sqrt(squares)


@dataclass(frozen=True, eq=False)
class Domain:
    """Where the training patients lie, in the columns that have a say.

    Parameters
    ----------
    uses
        Places of these columns among those of the model, (n_used,).
    lower, upper
        The smallest and the largest value in training, (n_used,); NaN of a column that
        nobody had.
    n_missing
        Training patients without a value, (n_used,).
    distance
        To the training patients.
    seen
        Distance of each training patient to the patients of four other parts of five,
        sorted, (n_patients,). A patient is nearer to a mean and a covariance that it
        was part of: it would be no measure for new patients.
    """

    uses: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    n_missing: np.ndarray
    distance: Distance
    seen: np.ndarray

    @classmethod
    def of(cls, X: np.ndarray, uses: np.ndarray) -> "Domain":
        """Return the domain of training patients.

        Parameters
        ----------
        X
            Shape (n_patients, n_columns), NaN is missing.
        uses
            Which columns have a say, (n_columns,); all are looked at if none has.
        """
        places = np.flatnonzero(uses) if uses.any() else np.arange(X.shape[1])
        X = X[:, places]
        missing = np.isnan(X)
        lower = np.where(missing, np.inf, X).min(axis=0)
        upper = np.where(missing, -np.inf, X).max(axis=0)
        nobody = missing.all(axis=0)
        lower[nobody], upper[nobody] = np.nan, np.nan
        part = deal(np.arange(len(X)), min(_PARTS, len(X)), random_state=0)
        seen = np.empty(len(X))
        for one in np.unique(part):
            seen[part == one] = Distance.of(X[part != one])(X[part == one])
        about = (lower, upper, missing.sum(axis=0), Distance.of(X), np.sort(seen))
        return cls(places, *about)

    def outside(self, X: np.ndarray) -> np.ndarray:
        """Return which used columns are beyond the range, (n_patients, n_used)."""
        X = X[:, self.uses]
        with np.errstate(invalid="ignore"):
            inside = (self.lower <= X) & (self.upper >= X)
        return ~inside & ~np.isnan(X) & ~np.isnan(self.lower)

    def missing(self, X: np.ndarray) -> np.ndarray:
        """Return which used columns are missing, (n_patients, n_used)."""
        return np.isnan(X[:, self.uses])

    def measure(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the distance of each patient, and its percentile among training."""
        found = self.distance(X[:, self.uses])
        below = np.searchsorted(self.seen, found, side="right")
        return found, 100.0 * below / len(self.seen)
