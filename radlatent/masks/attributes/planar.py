"""Areas, moments, base and apex of structures: stacks of slices enter, vectors leave.

All slices of a stack are measured at once. NaN says that a structure is missing, or
that there is nothing to be measured.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy.ndimage import binary_dilation, binary_erosion, gaussian_filter1d
from scipy.spatial.distance import cdist

__all__ = [
    "Moments",
    "apex_of",
    "area",
    "base_of",
    "moments",
]

#: Neighbors in a slice, across corners too; none in the slices beside it.
_AROUND = np.ones((1, 3, 3), dtype=bool)

#: Directions of the polar contour, and what smooths it, as a share of these (vital).
_DIRECTIONS, _SMOOTHING = 180, 5e-2


class Moments:
    """Centers of mass and principal axes of a stack of slices.

    Parameters
    ----------
    inside
        Booleans, shape (n, rows, columns).
    spacing_mm
        Of rows and columns.

    Attributes
    ----------
    size
        Pixels, shape (n,).
    center
        Row and column of the center of mass, from the center of the first pixel, shape
        (n, 2).
    covariance
        Of the places of pixels, shape (n, 2, 2); rows, then columns.
    """

    def __init__(self, inside: np.ndarray, spacing_mm: Sequence[float]):
        rows = np.arange(inside.shape[1]) * spacing_mm[0]
        columns = np.arange(inside.shape[2]) * spacing_mm[1]
        along = np.count_nonzero(inside, axis=2), np.count_nonzero(inside, axis=1)
        self.size = along[0].sum(axis=1)
        n = np.where(self.size, self.size, np.nan)
        self.center = np.stack([along[0] @ rows / n, along[1] @ columns / n], axis=1)
        squares = along[0] @ rows**2 / n, along[1] @ columns**2 / n
        mixed = (inside @ columns.astype(np.float32)).astype(np.float64) @ rows / n
        self.covariance = np.empty((len(inside), 2, 2))
        for k in (0, 1):
            self.covariance[:, k, k] = squares[k] - self.center[:, k] ** 2
        mixed = mixed - self.center.prod(axis=1)
        self.covariance[:, 0, 1] = self.covariance[:, 1, 0] = mixed

    @property
    def orientation(self) -> np.ndarray:
        """Degrees from the vertical to the longest axis, -90 to 90, shape (n,).

        Positive where its lower end lies to the right.
        """
        rows, mixed = self.covariance[:, 0, 0], self.covariance[:, 0, 1]
        columns = self.covariance[:, 1, 1]
        return np.degrees(0.5 * np.arctan2(2 * mixed, rows - columns))

    @property
    def elongation(self) -> np.ndarray:
        """Standard deviation along the short axis over that along the long one."""
        half = self.covariance.trace(axis1=1, axis2=2) / 2
        product = np.linalg.det(np.nan_to_num(self.covariance))
        root = np.sqrt(np.clip(half**2 - product, 0, None))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.sqrt(np.clip((half - root) / (half + root), 0, None))


def moments(inside: np.ndarray, spacing_mm: Sequence[float]) -> Moments:
    """Return centers of mass and principal axes, as `Moments` has them."""
    return Moments(inside, spacing_mm)


def area(inside: np.ndarray, spacing_mm: Sequence[float]) -> np.ndarray:
    """Return the area of each slice, NaN where it is empty, shape (n,).

    Parameters
    ----------
    inside
        Booleans, shape (n, rows, columns).
    spacing_mm
        Of rows and columns.
    """
    n = np.count_nonzero(inside, axis=(1, 2))
    return np.where(n, n * float(np.prod(spacing_mm)), np.nan)


def base_of(
    cavity: np.ndarray, wall: np.ndarray, spacing_mm: Sequence[float]
) -> np.ndarray:
    """Return both ends of the base of a cavity, shape (n, 2, 2): end; row, column.

    Parameters
    ----------
    cavity, wall
        Booleans, shape (n, rows, columns).
    spacing_mm
        Of rows and columns.

    Notes
    -----
    Of pixels of the cavity that touch both the wall and what is neither, across corners
    too, the two that are farthest apart; NaN where there are not two.

    References
    ----------
    vitalab/vital, vital/utils/image/us/measure.py
    """
    rest = ~(cavity | wall)
    touching = cavity & _grown(wall) & _grown(rest)
    found = np.full((len(cavity), 2, 2), np.nan)
    slices, *places = np.nonzero(touching)
    points = np.stack(places, axis=1) * np.asarray(spacing_mm)
    starts = np.searchsorted(slices, np.arange(len(cavity) + 1))
    for k, (start, stop) in enumerate(pairwise(starts)):
        if stop - start > 1:
            own = points[start:stop]
            apart = cdist(own, own)
            ends = np.unravel_index(apart.argmax(), apart.shape)
            found[k] = own[list(ends)]
    return found


def _grown(inside):
    return binary_dilation(inside, _AROUND)


def apex_of(
    cavity: np.ndarray,
    center: np.ndarray,
    away_from: np.ndarray,
    spacing_mm: Sequence[float],
) -> np.ndarray:
    """Return the place of the apex of a cavity, shape (n, 2).

    Parameters
    ----------
    cavity
        Booleans, shape (n, rows, columns).
    center
        Its center of mass, shape (n, 2).
    away_from
        The middle of its base, shape (n, 2).
    spacing_mm
        Of rows and columns.

    Notes
    -----
    The peak of the contour in polar coordinates about the center, smoothed over a
    twentieth of the turn, on the side away from the base.
    """
    radius = _polar(cavity, center, spacing_mm)
    smooth = gaussian_filter1d(radius, _SMOOTHING * _DIRECTIONS, axis=1, mode="wrap")
    angles = (np.arange(_DIRECTIONS) + 0.5) * 2 * np.pi / _DIRECTIONS
    toward = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    is_away = (center - away_from) @ toward.T > 0
    best = np.where(is_away, smooth, -np.inf).argmax(axis=1)
    reach = np.take_along_axis(radius, best[:, None], axis=1)
    return center + reach * toward[best]


def _polar(cavity, center, spacing_mm):
    """Return the farthest pixel of the contour in each direction, shape (n, angles)."""
    edge = cavity & ~binary_erosion(cavity, _AROUND)
    slices, *places = np.nonzero(edge)
    away = np.stack(places, axis=1) * np.asarray(spacing_mm) - center[slices]
    turn = np.arctan2(away[:, 1], away[:, 0]) / (2 * np.pi) % 1
    at = np.minimum((turn * _DIRECTIONS).astype(int), _DIRECTIONS - 1)
    radius = np.full((len(cavity), _DIRECTIONS), -1.0)
    np.maximum.at(radius, (slices, at), np.linalg.norm(away, axis=1))
    for row in radius:
        known = np.flatnonzero(row >= 0)
        if 0 < len(known) < _DIRECTIONS:
            row[:] = np.interp(
                np.arange(_DIRECTIONS), known, row[known], period=_DIRECTIONS
            )
    return radius
