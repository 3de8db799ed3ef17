"""Labels of a mask: voxels as they were stored enter, whole numbers leave.

What holds intensities or probabilities is refused with the values found: measured as
"above 0" it would give features of a lesion that nobody drew.
"""

import re
from collections.abc import Sequence
from numbers import Real

import numpy as np
from scipy.ndimage import find_objects

from radlatent.errors import LabelError
from radlatent.imaging.volume import Volume

__all__ = [
    "LABEL_TOLERANCE",
    "MOST_LABELS",
    "Label",
    "chosen",
    "label_counts",
    "label_text",
    "region_of",
    "whole_labels",
]

#: What a case asks of a mask: one label, the labels of one region, or None for every
#: voxel above 0.
Label = int | tuple[int, ...] | None

_REGION = re.compile(r"[0-9]+(?:\s*\+\s*[0-9]+)*")

#: More distinct values than this are intensities rather than labels.
MOST_LABELS = 100

#: Labels that registration and conversion tools write as 0.9999999, 1.00000006 or 0.999
#: are whole but for rounding; a probability lies elsewhere.
LABEL_TOLERANCE = 5e-3

#: Of as many labels as this, neighbors share one. Where less than this part of the
#: neighbors of the median label do, it is a gradient: percentages, or 0 to 255.
#: Measured on blurred balls of 8 levels and more: 0.0 to 0.4, but for blurs over many
#: voxels; on lesions apart 1.0, on parcels of 2 x 2 x 2 voxels side by side 0.5.
_SEVERAL, _LEAST_ALIKE = 8, 0.4


def whole_labels(volume: Volume, name: str = "the mask") -> tuple[Volume, str]:
    """Return the labels of a mask as whole numbers, and what was done to them.

    Parameters
    ----------
    volume
        Voxels of a mask, of any type.
    name
        What messages call it.

    Returns
    -------
    tuple
        Bools or integers on the same grid, and a note: empty where nothing was rounded.

    Raises
    ------
    LabelError
        Voxels are not finite, lie between whole numbers, have more than `MOST_LABELS`
        different values, or change from voxel to voxel as probabilities do that were
        stored as whole numbers.
    """
    array, note = volume.array, ""
    if array.dtype.kind == "f":
        array, note = _rounded(array, name)
    if array.dtype != bool:
        _check_number(array, name)
    return (volume if array is volume.array else volume.with_array(array)), note


def label_counts(array: np.ndarray) -> dict[int, int]:
    """Return label to number of voxels, without the background.

    Parameters
    ----------
    array
        Bools or integers, as `whole_labels` gives them.
    """
    if array.dtype == bool:
        n = int(array.sum())
        return {1: n} if n else {}
    lowest, highest = int(array.min()), int(array.max())
    if lowest < 0 or highest > np.iinfo(np.uint16).max:
        values, counts = np.unique(array, return_counts=True)
        found = zip(values.tolist(), counts.tolist(), strict=True)
        return {value: n for value, n in found if value}
    counts = np.zeros(highest + 1, dtype=np.int64)
    for section in array:  # bincount takes eight bytes a voxel
        counts += np.bincount(section.ravel(), minlength=highest + 1)
    return {int(v): int(counts[v]) for v in np.flatnonzero(counts) if v}


def _rounded(array, name):
    n_odd = int(array.size - np.isfinite(array).sum())
    if n_odd:
        msg = (
            f"{name} holds {n_odd} voxels that are not numbers (NaN or infinite). Give "
            "a mask of whole numbers, 0 for background."
        )
        raise LabelError(msg)
    whole = np.rint(array)
    off = np.abs(array - whole)
    farthest = np.unravel_index(np.argmax(off), off.shape)
    if off[farthest] > LABEL_TOLERANCE:
        raise LabelError(_fractions(array, off, farthest, name))
    note = ""
    if off[farthest] > 0:
        note = (
            f"labels rounded to whole numbers: they were off by up to "
            f"{off[farthest]:.2g}"
        )
    return whole.astype(np.int64), note


def _fractions(array, off, farthest, name):
    values = np.unique(array)
    n = int((off > LABEL_TOLERANCE).sum())
    where = ", ".join(str(int(i)) for i in farthest)
    between = values[0] >= 0 and values[-1] <= 1
    remedy = (
        "Probabilities are no mask: choose a threshold, as 0.5, and write the voxels "
        "above it as 1"
        if between
        else "Give a mask of whole numbers, 0 for background"
    )
    return (
        f"{name} holds intensities or probabilities, not labels: {array[farthest]:.4g} "
        f"at [{where}] (z, y, x), {n:,} voxels between whole numbers, {len(values):,} "
        f"distinct values from {values[0]:.4g} to {values[-1]:.4g}. {remedy}."
    )


def _check_number(array: np.ndarray, name: str) -> None:
    # so many labels need a number that large
    if array.max() < _SEVERAL and array.min() >= -MOST_LABELS:
        return
    values = np.array([0, *label_counts(array)])
    if len(values) > MOST_LABELS + 1:
        msg = (
            f"{name} holds intensities, not labels: {len(values):,} distinct values "
            f"from {values.min()} to {values.max()}. Give a mask of whole numbers, 0 "
            "for background; or were image and mask exchanged?"
        )
        raise LabelError(msg)
    if (values > 0).sum() >= _SEVERAL and _alike(array) < _LEAST_ALIKE:
        msg = (
            f"{name} holds intensities or probabilities, not labels: "
            f"{(values > 0).sum()} values from {values[values > 0].min()} to "
            f"{values.max()}, and neighbors rarely share one. Probabilities are no "
            f"mask: choose a threshold, as {values.max() // 2}, and write the voxels "
            "above it as 1."
        )
        raise LabelError(msg)


def _alike(array):
    """Return how many neighbors of the median label share it; 1 where none touch."""
    box = find_objects((array > 0).view(np.uint8))[0]
    _, place = np.unique(np.where(array[box] > 0, array[box], 0), return_inverse=True)
    place = place.reshape(array[box].shape)  # 0 is the background, where there is any
    is_label = array[box] > 0
    touching, shared = np.zeros((2, place.max() + 1), dtype=np.int64)
    for axis in range(array.ndim):
        sides = [np.moveaxis(part, axis, 0) for part in (place, is_label)]
        both = sides[1][:-1] & sides[1][1:]
        one, other = sides[0][:-1][both], sides[0][1:][both]
        for side in (one, other):
            touching += np.bincount(side, minlength=len(touching))
            shared += np.bincount(side[one == other], minlength=len(touching))
    known = touching > 0
    return float(np.median(shared[known] / touching[known])) if known.any() else 1.0


def region_of(cell: object) -> Label:
    """Return the label, or the ascending labels, that a cell of ``mask_label`` names.

    Parameters
    ----------
    cell
        A whole number, text as ``2`` or ``1+4``, or what says that there is none:
        empty text, NaN, `pandas.NA`, None.

    Raises
    ------
    LabelError
        The text is of another form.

    Examples
    --------
    >>> region_of(2), region_of("4 + 1"), region_of("")
    (2, (1, 4), None)
    """
    if isinstance(cell, Real):
        return None if np.isnan(cell) else int(cell)
    if not isinstance(cell, str) or not cell:
        return None
    if not _REGION.fullmatch(cell.strip()):
        msg = (
            f"mask_label is {cell!r}. Write one label (2), the labels of one region "
            "(1+4), or nothing for every voxel above 0."
        )
        raise LabelError(msg)
    labels = sorted({int(part) for part in cell.split("+")})
    return labels[0] if len(labels) == 1 else tuple(labels)


def label_text(label: Label) -> str:
    """Return a label or a region as ``cases.csv`` has it; empty for None."""
    if label is None:
        return ""
    return "+".join(map(str, label)) if isinstance(label, tuple) else str(label)


def chosen(array: np.ndarray, label: int | Sequence[int] | None) -> np.ndarray:
    """Return the voxels of a label or of some as booleans; None takes all above 0."""
    if label is None:
        return array > 0
    if isinstance(label, int | np.integer):
        return array == label
    return np.isin(array, label)
