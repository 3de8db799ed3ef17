"""Degraded masks: expert labels and what was drawn enter, plausible errors leave.

Correctors and judges of masks are trained and tested with them where no network's
errors are at hand. What was drawn (`draws`) is plain numbers.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from radlatent.errors import SchemaError
from radlatent.imaging import bounding_box, expand_box
from radlatent.masks.degradation.draws import KINDS, Degradation
from radlatent.masks.degradation.kinds import (
    FLAWS,
    ISLAND_MM,
    Flaw,
    move_borders,
    smooth_fields,
)
from radlatent.masks.overlap.label_boxes import (
    check_labels,
    check_spacing,
    check_structures,
)

__all__ = ["degrade"]

#: Length in mm over which the border moves together.
_SMOOTH_MM = 7.0

#: Standard deviations of a move beyond which no room is kept.
_FARTHEST = 4.0

#: Standard deviation of the direction of an error from slice to slice.
_TURN_RAD = 0.2


def degrade(
    labels: np.ndarray,
    degradation: Degradation,
    *,
    structures: Mapping[str, int],
    spacing_mm: Sequence[float],
) -> np.ndarray:
    """Return the labels of a mask with the errors that were drawn.

    Parameters
    ----------
    labels
        Integers or booleans, shape (z, y, x), or (rows, columns) of one slice.
    degradation
        What was drawn.
    structures
        Structure to label; one is enough, of a lesion.
    spacing_mm
        In the order of the axes of the labels.

    Returns
    -------
    ndarray
        Shape and type of the labels; an empty mask stays empty.

    Raises
    ------
    GeometryError
        The labels are of no slice or volume, or the spacing is not one positive number
        an axis.
    SchemaError
        The labels are no integers, hold one that no structure has, or structures share
        one.

    Notes
    -----
    Errors are those of a network that segments slice by slice: all but the missing
    slices are made within slices, at about the same place in neighboring ones. Sizes
    are rounded to pixels. A piece ends where its structure ends, a hole leaves a rim,
    an island that finds no room in the image is left out, one slice at least keeps
    each structure, and only where two structures or more are present are they swapped.

    Examples
    --------
    >>> disk = (np.hypot(*np.indices((40, 40)) - 20) <= 12).astype(np.uint8)
    >>> holed = degrade(
    ...     disk, Degradation(hole=3), structures={"LV": 1}, spacing_mm=(1, 1)
    ... )
    >>> int(disk.sum()), int(holed.sum())
    (441, 413)
    """
    labels = np.asarray(labels)
    values = check_labels(labels, "the mask")
    spacing = check_spacing(spacing_mm, values.ndim)
    structures = check_structures(structures)
    _check_known(values, structures)
    if not values.any():
        return labels.copy()
    if values.ndim == 2:
        values, spacing = values[None], (1.0, *spacing)
    box = _room(values, degradation, spacing)
    part = values[box].copy()
    known = _present(part, sorted(structures.values()))
    streams = {
        kind: np.random.default_rng([degradation.seed, use])
        for use, kind in enumerate(KINDS)
    }
    if degradation.boundary:
        _move(part, degradation.boundary, known, spacing, streams["boundary"])
    for kind in FLAWS:
        if getattr(degradation, kind):
            _spoil(part, kind, degradation, known, spacing, streams[kind])
    if degradation.missing_slices:
        _empty_ends(part, degradation.missing_slices, known, streams["missing_slices"])
    result = values.copy()
    result[box] = part
    return result.reshape(labels.shape).astype(labels.dtype)


def _check_known(labels, structures):
    inside = labels[bounding_box(labels)] if labels.any() else labels[:0]
    strange = np.setdiff1d(inside, [0, *structures.values()]).tolist()
    if strange:
        msg = (
            f"the mask has the labels {strange[:5]} besides those of structures, which "
            f"are {structures}. Name them in structures, or set their voxels to 0."
        )
        raise SchemaError(msg)


def _room(volume, degradation, spacing):
    """Return the box of the foreground with room in plane for all errors."""
    piece_mm = max(degradation.leak, degradation.extra_piece)
    room_mm = 4 * piece_mm + degradation.shift + max(ISLAND_MM) + 10
    room_mm += _FARTHEST * degradation.boundary
    margins = [0, *(int(np.ceil(room_mm / side)) for side in spacing[1:])]
    return expand_box(bounding_box(volume), margins, volume.shape)


def _move(volume, size_mm, known, spacing, random):
    """Move the borders of all slices, in place."""
    present = [0, *_present(volume, known)]
    margin = [0, *(int(np.ceil(_FARTHEST * size_mm / s)) for s in spacing[1:])]
    box = expand_box(bounding_box(volume), margin, volume.shape)
    part = volume[box]
    moves = smooth_fields(len(present), part.shape, spacing, _SMOOTH_MM, random)
    # a border moves by half of the difference of two fields
    moves *= np.sqrt(2) * size_mm
    for z in np.flatnonzero(part.any(axis=(1, 2))):
        near = expand_box(bounding_box(part[z]), margin[1:], part[z].shape)
        by_label = dict(zip(present, (move[z][near] for move in moves), strict=True))
        part[z][near] = move_borders(part[z][near], by_label, spacing[1:])


def _spoil(volume, kind, degradation, known, spacing, random):
    """Make one kind of error in neighboring slices, in place."""
    size = getattr(degradation, kind)
    targets = _present(volume, known)
    if kind == "shift" and len(targets) > 1:
        targets.append(0)  # all of them
    if not targets or (kind == "swap" and len(known) < 2):
        return
    label = targets[random.integers(len(targets))]
    angle = random.uniform(-np.pi, np.pi)
    has = volume == label if label and kind != "specks" else volume > 0
    for z in _run(np.flatnonzero(has.any(axis=(1, 2))), degradation.share, random):
        turned = angle + random.normal(0, _TURN_RAD)
        flaw = Flaw(label, size, turned, spacing[1:], known, random)
        volume[z] = FLAWS[kind](volume[z], flaw)


def _present(volume, known):
    return [label for label in known if (volume == label).any()]


def _run(slices, share, random):
    """Return neighboring slices, a share of those given and at least one."""
    n = max(1, round(share * len(slices)))
    start = random.integers(len(slices) - n + 1)
    return slices[start : start + n]


def _empty_ends(volume, n, known, random):
    """Empty slices at one end, of one structure or all, in place."""
    targets = [*_present(volume, known), 0]
    label = targets[random.integers(len(targets))]
    inside = volume == label if label else volume > 0
    slices = np.flatnonzero(inside.any(axis=(1, 2)))
    n = min(n, len(slices) - 1)
    for z in slices[:n] if random.random() < 0.5 else slices[len(slices) - n :]:
        volume[z][inside[z]] = 0
