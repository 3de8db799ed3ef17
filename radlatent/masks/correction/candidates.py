"""Mended slices: a slice and what a prior would have it be enter, candidates leave.

The prior redraws a whole slice; most of it was right before. Candidates therefore go a
share of the way toward the prior, near what is wrong alone or everywhere, and lose
stray pixels and holes.
"""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import distance_transform_edt, label

__all__ = ["between", "candidates", "signed_distances", "tidied"]

#: How far in mm from what breaks a rule a candidate follows the prior: fully up to it,
#: fading to twice as far. The last is everywhere.
REACHES_MM = (2.0, 4.0, 8.0, 16.0, np.inf)

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
    wrong: Sequence[np.ndarray],
    *,
    values: Sequence[int],
    spacing_mm: Sequence[float],
) -> list[np.ndarray]:
    """Return slices between one and what a prior makes of it.

    Parameters
    ----------
    before
        The slice under judgment, labels, shape (rows, columns).
    target
        The same slice as the prior decodes it.
    wrong
        Where it breaks rules, booleans, narrower places first.
    values
        Label of each structure.
    spacing_mm
        Of rows and columns.

    Notes
    -----
    The slice without stray pixels and holes; with what the prior adds to its background
    near what is wrong; and blends: a pixel belongs to the class with the largest
    (1 - w) d_before + w d_target, where d is the signed distance in mm to the border of
    a class, positive inside, clipped at 15 mm, and w falls with the distance from
    ``wrong``: shape-based interpolation (Raya & Udupa 1990, doi:10.1109/42.52980) of
    several classes. Our own design.
    """
    found = [tidied(before, values, least=1.0)]
    base = tidied(before, values, least=_STRAY)
    box = _box(base, target)
    if box is None:
        return found
    classes = np.array([0, *values])
    start = signed_distances(base[box], classes, spacing_mm)
    change = signed_distances(target[box], classes, spacing_mm) - start
    inside, drawn = base[box], target[box]
    mixed = []
    for nearness in _nearness([part[box] for part in wrong], spacing_mm):
        reached = nearness > 0.5
        mixed.append(np.where(reached & (inside == 0), drawn, inside))
        mixed.append(np.where(reached & (drawn == 0), 0, inside))
        mixed += [between(start, change, s * nearness, classes) for s in SHARES]
    for part in mixed:
        whole = np.zeros_like(before)
        whole[box] = part
        found.append(tidied(whole, values, least=1.0))
    return found


def _nearness(wrong, spacing_mm):
    """Yield weights from 0 to 1, one a place that is wrong and reach; 1 everywhere."""
    for place in wrong:
        if place.any():
            away = distance_transform_edt(~place, sampling=spacing_mm)
            for reach in REACHES_MM[:-1]:
                yield np.clip(2 - away / reach, 0, 1)
    yield np.ones(wrong[0].shape)


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


def _box(before, after, margin=(_MARGIN, _MARGIN)):
    rows, columns = np.nonzero((before > 0) | (after > 0))
    if not len(rows):
        return None
    return tuple(
        slice(max(places.min() - wide, 0), places.max() + wide + 1)
        for places, wide in zip((rows, columns), margin, strict=True)
    )


def signed_distances(
    labels: np.ndarray, classes: np.ndarray, spacing_mm: Sequence[float]
) -> np.ndarray:
    """Return the distance to the border of each class, shape (classes, *labels).

    Parameters
    ----------
    labels
        Shape (rows, columns).
    classes
        Their values, background (0) included.
    spacing_mm
        Of rows and columns.

    Returns
    -------
    ndarray
        mm, float32, positive inside, clipped at 15 mm; -15 mm everywhere for a class
        that is not there.
    """
    distances = np.full((len(classes), *labels.shape), -_FARTHEST_MM, np.float32)
    distances[np.asarray(classes) == 0] = _FARTHEST_MM
    # farther out all distances are clipped
    reach = [int(np.ceil(_FARTHEST_MM / mm)) + 1 for mm in spacing_mm]
    box = _box(labels, labels, reach)
    if box is None:
        return distances
    for channel, value in enumerate(classes):
        inside = labels[box] == value
        if inside.all() or not inside.any():
            far = _FARTHEST_MM if inside.all() else -_FARTHEST_MM
            distances[channel][box] = far
            continue
        away = distance_transform_edt(inside, sampling=spacing_mm)
        away -= distance_transform_edt(~inside, sampling=spacing_mm)
        distances[channel][box] = np.clip(away, -_FARTHEST_MM, _FARTHEST_MM)
    return distances


def between(
    distances: np.ndarray, change: np.ndarray, weight, classes: np.ndarray
) -> np.ndarray:
    """Return the labels of signed distances that were changed by a weight.

    Parameters
    ----------
    distances, change
        Shape (classes, rows, columns), mm.
    weight
        One number, or one a pixel.
    classes
        Values of the classes.
    """
    return classes[(distances + weight * change).argmax(axis=0)]
