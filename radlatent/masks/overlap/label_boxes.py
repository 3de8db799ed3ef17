"""Where the structures of a label array are: one pass, whatever their number.

Labels enter, a box and a count of each label leave, so that what follows costs what
the structures need, not what the volume holds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike

import numpy as np

from radlatent.errors import GeometryError, SchemaError
from radlatent.imaging import Volume, read_volume, whole_labels

__all__ = [
    "Found",
    "check_labels",
    "check_spacing",
    "check_structures",
    "find_labels",
    "read_labels",
]


@dataclass(frozen=True)
class Found:
    """Where a label is.

    Parameters
    ----------
    box
        The smallest around it, one slice an axis.
    n_voxels
        How many it has.
    """

    box: tuple[slice, ...]
    n_voxels: int


def check_labels(labels: np.ndarray, what: str) -> np.ndarray:
    """Return labels as an array of integers, or raise.

    Parameters
    ----------
    labels
        Integers or booleans of 2 or 3 axes, 0 = background.
    what
        What messages call the array.

    Raises
    ------
    GeometryError
        It has other axes, or an axis without voxels.
    SchemaError
        Values are no integers, or below 0.
    """
    labels = np.asarray(labels)
    if labels.ndim not in (2, 3) or 0 in labels.shape:
        msg = (
            f"{what} has shape {labels.shape}. Give (z, y, x), or (rows, columns) of "
            "one slice."
        )
        raise GeometryError(msg)
    if labels.dtype.kind not in "iub":
        msg = (
            f"{what} is of type {labels.dtype}. Give integer labels, 0 = background; "
            "cut probabilities at a threshold first."
        )
        raise SchemaError(msg)
    if labels.dtype.kind == "i" and labels.min() < 0:
        msg = f"{what} holds the label {labels.min()}. Give labels from 0."
        raise SchemaError(msg)
    return labels.view(np.uint8) if labels.dtype.kind == "b" else labels


def read_labels(path: str | PathLike) -> Volume:
    """Return the labels of a file as unsigned integers; what is below 0 is background.

    Raises
    ------
    LabelError
        The voxels are no labels, as `whole_labels` says.
    """
    labels, _ = whole_labels(read_volume(path), str(path))
    array = labels.array
    if array.dtype.kind == "i":
        array = np.maximum(array, 0)
    return labels.with_array(array.astype(np.min_scalar_type(int(array.max()))))


def check_spacing(spacing_mm: Sequence[float], n_axes: int) -> tuple[float, ...]:
    """Return a spacing as numbers, one an axis, or raise `GeometryError`."""
    spacing = np.asarray(spacing_mm, dtype=np.float64)
    if spacing.shape != (n_axes,) or not (np.isfinite(spacing) & (spacing > 0)).all():
        msg = (
            f"spacing_mm is {spacing.tolist()}. Give {n_axes} positive numbers in mm, "
            "in the order of the array axes."
        )
        raise GeometryError(msg)
    return tuple(spacing.tolist())


def check_structures(structures: Mapping[str, int]) -> dict[str, int]:
    """Return structures as name to label, or raise `SchemaError`."""
    labels = list(structures.values())
    whole = all(isinstance(v, int | np.integer) and v > 0 for v in labels)
    if not labels or not whole or len(set(labels)) < len(labels):
        msg = (
            f"structures are {dict(structures)}. Name at least one, each with a whole "
            "label of its own above 0, which is the background."
        )
        raise SchemaError(msg)
    return {name: int(label) for name, label in structures.items()}


def find_labels(labels: np.ndarray) -> dict[int, Found]:
    """Return each label that an array holds, but 0, and where it is.

    Parameters
    ----------
    labels
        Integers from 0.

    Notes
    -----
    Equal neighbors along the last axis make a run; boxes and counts come from the runs,
    of which a volume has far fewer than voxels.
    """
    around = _foreground(labels)
    if around is None:
        return {}
    part = np.ascontiguousarray(labels[around])
    flat = part.ravel()
    begins = np.empty(flat.size, dtype=bool)
    np.not_equal(flat[1:], flat[:-1], out=begins[1:])
    begins[:: part.shape[-1]] = True  # a run ends with its row
    starts = np.flatnonzero(begins)
    lengths = np.diff(starts, append=flat.size)
    order = np.argsort(flat[starts], kind="stable")
    starts, lengths = starts[order], lengths[order]
    values, first = np.unique(flat[starts], return_index=True)
    low = _extremes(np.minimum, starts, first, part.shape)
    high = _extremes(np.maximum, starts + lengths - 1, first, part.shape)
    counts = np.add.reduceat(lengths, first)
    corner = np.array([side.start for side in around])
    return {
        int(value): Found(
            tuple(map(slice, (a + corner).tolist(), (b + corner + 1).tolist())), int(n)
        )
        for value, a, b, n in zip(values, low, high, counts, strict=True)
        if value
    }


def _extremes(which, at, first, shape):
    """Return the outermost index on each axis, shape (labels, axes)."""
    axes = np.unravel_index(at, shape)
    return np.stack([which.reduceat(axis, first) for axis in axes], axis=1)


def _foreground(labels):
    """Return the box of everything above 0, None where there is nothing."""
    rest = tuple(range(1, labels.ndim))
    first = _span(labels.max(axis=rest))
    if first is None:
        return None
    # one pass flattens the first axis; what is left is small
    plane = labels[first].max(axis=0)
    others = [tuple(o for o in range(plane.ndim) if o != a) for a in range(plane.ndim)]
    return (first, *(_span(plane.max(axis=other)) for other in others))


def _span(values):
    found = np.flatnonzero(values)
    return slice(int(found[0]), int(found[-1]) + 1) if found.size else None
