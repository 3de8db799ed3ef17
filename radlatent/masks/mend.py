"""Mended slices: a slice and what a prior would have it be enter, candidates leave.

The prior redraws a whole slice; most of it was right before. Candidates therefore go a
share of the way toward the prior, near what is wrong alone or everywhere, and lose
stray pixels and holes.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.ndimage import distance_transform_edt, label

__all__ = ["candidates", "slice_dice", "tidied"]

#: How far in mm from what breaks a rule a candidate follows the prior: fully up to it,
#: fading to twice as far. The last is everywhere.
REACHES_MM = (3.0, 6.0, 12.0, np.inf)

#: Shares of the way to the prior.
SHARES = (0.3, 0.5, 0.7, 1.0)

#: Distances in mm beyond which all places are alike, so that a structure that only one
#: of two masks has appears or vanishes at a share of about one half.
_FARTHEST_MM = 15.0

#: Components of a structure below this share of it are stray pixels, and others pieces
#: that may belong together.
_STRAY = 0.15

_EIGHT = np.ones((3, 3), bool)
_MARGIN = 3


def candidates(
    before: np.ndarray,
    target: np.ndarray,
    wrong: np.ndarray,
    *,
    values: Sequence[int],
    spacing_mm: Sequence[float],
) -> Iterator[np.ndarray]:
    """Yield slices between one and what a prior makes of it.

    Parameters
    ----------
    before
        The slice under judgment, labels, shape (rows, columns).
    target
        The same slice as the prior decodes it.
    wrong
        Where it breaks rules, booleans.
    values
        Label of each structure.
    spacing_mm
        Of rows and columns.

    Notes
    -----
    A pixel belongs to the class with the largest (1 - w) d_before + w d_target, where d
    is the signed distance in mm to the border of a class, positive inside, clipped at
    15 mm: shape-based interpolation (Raya & Udupa 1990, doi:10.1109/42.52980) of
    several classes, with a weight w that falls with the distance from ``wrong``. Our
    own design.
    """
    yield tidied(before, values, least=1.0)
    base = tidied(before, values, least=_STRAY)
    box = _box(base, target)
    if box is None:
        return
    classes = np.array([0, *values])
    near, far = (_signed(part[box], classes, spacing_mm) for part in (base, target))
    away = np.zeros(near.shape[1:])
    if wrong.any():
        away = distance_transform_edt(~wrong, sampling=spacing_mm)[box]
    for reach in REACHES_MM if wrong.any() else REACHES_MM[-1:]:
        for share in SHARES:
            weight = share * np.clip(2 - away / reach, 0, 1)
            between = np.zeros_like(before)
            between[box] = classes[(near + weight * (far - near)).argmax(axis=0)]
            yield tidied(between, values, least=1.0)


def tidied(plane: np.ndarray, values: Sequence[int], *, least: float) -> np.ndarray:
    """Return a slice without stray components and without holes.

    Parameters
    ----------
    plane
        Labels, shape (rows, columns).
    values
        Label of each structure.
    least
        Share of its structure that a component needs in order to stay beside the
        largest; 1 keeps the largest alone.

    Notes
    -----
    Components are 8-connected. Background that the structures enclose takes the label
    of the nearest pixel.
    """
    found = plane.copy()
    box = _box(plane, plane)
    if box is None:
        return found
    part = found[box]
    for value in values:
        pieces, n = label(part == value, _EIGHT)
        if n > 1:
            sizes = np.bincount(pieces.ravel())
            sizes[0] = 0
            stray = sizes < least * sizes.sum()
            stray[[0, sizes.argmax()]] = False
            part[stray[pieces]] = 0
    outside, n = label(np.pad(part == 0, 1, constant_values=True), _EIGHT)
    enclosed = (outside > 0) & (outside != outside[0, 0])
    enclosed = enclosed[1:-1, 1:-1]
    if n > 1 and enclosed.any():
        places = distance_transform_edt(
            part == 0, return_distances=False, return_indices=True
        )
        part[enclosed] = part[tuple(places)][enclosed]
    return found


def _box(before, after):
    rows, columns = np.nonzero((before > 0) | (after > 0))
    if not len(rows):
        return None
    return tuple(
        slice(max(places.min() - _MARGIN, 0), places.max() + _MARGIN + 1)
        for places in (rows, columns)
    )


def _signed(labels, classes, spacing_mm):
    distances = np.empty((len(classes), *labels.shape), np.float32)
    for channel, value in enumerate(classes):
        inside = labels == value
        if inside.all() or not inside.any():
            distances[channel] = _FARTHEST_MM if inside.all() else -_FARTHEST_MM
            continue
        away = distance_transform_edt(inside, sampling=spacing_mm)
        away -= distance_transform_edt(~inside, sampling=spacing_mm)
        distances[channel] = np.clip(away, -_FARTHEST_MM, _FARTHEST_MM)
    return distances


def slice_dice(a: np.ndarray, b: np.ndarray, values: Sequence[int]) -> float:
    """Return the mean Dice of the structures that one of two slices holds.

    Parameters
    ----------
    a, b
        Labels of one shape.
    values
        Label of each structure.

    Returns
    -------
    float
        A structure that one of both lacks counts 0, one that both lack does not count;
        NaN where both are empty.
    """
    shape = max(values) + 1
    sizes = np.bincount(a.ravel(), minlength=shape) + np.bincount(
        b.ravel(), minlength=shape
    )
    common = np.bincount(a[a == b].ravel(), minlength=shape)
    found = [2 * common[v] / sizes[v] for v in values if sizes[v]]
    return float(np.mean(found)) if found else float("nan")
