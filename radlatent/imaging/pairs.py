"""An image and one lesion of its mask: where every measurement starts.

Two files enter, a `Pair` leaves: image and lesion, each on its own grid. Whoever
resamples takes the lesion from the grid that it was drawn on, so that it is resampled
once; `Pair.on_image_grid` is for whoever does not.
"""

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from os import PathLike

import numpy as np

from radlatent.errors import EmptyMaskError, GeometryError
from radlatent.imaging.files import read_volume
from radlatent.imaging.grid import bounding_box, crop, resample_to
from radlatent.imaging.labels import (
    chosen,
    label_counts,
    label_text,
    whole_labels,
)
from radlatent.imaging.volume import (
    TOLERANCE_MM,
    Geometry,
    Volume,
    check_same_grid,
    geometry_difference,
)

__all__ = [
    "MOST_OUTSIDE",
    "Pair",
    "forget_pair",
    "open_pair",
    "read_pair",
    "resampled_note",
    "share_outside",
]

#: Share of a lesion that may lie outside of the image. What lies there has no
#: intensity; above this, shape and volume are those of another lesion.
MOST_OUTSIDE = 0.05

#: A volume that resampling the mask changes by more than this is told.
_SWOLLEN = 0.1


@dataclass(frozen=True, eq=False, repr=False)
class Pair:
    """An image and one lesion, each on the grid of its file.

    Parameters
    ----------
    image
        Intensities.
    lesion
        Booleans on the grid that they were drawn on; that of the image where both are
        one grid.
    one_grid
        Whether image and lesion share one grid.
    outside
        Share of the lesion that lies outside of the image, at most `MOST_OUTSIDE`.
    notes
        What was done to the labels of the mask, and which were taken together.
    place
        What messages call the lesion.
    """

    image: Volume
    lesion: Volume
    one_grid: bool
    outside: float
    notes: tuple[str, ...]
    place: str

    @property
    def flags(self) -> tuple[str, ...]:
        """What is odd about the lesion: the share of it that lies outside."""
        if not self.outside:
            return ()
        return (f"cut: {self.outside:.2%} of the lesion lie outside of the image",)

    def intensities(self) -> np.ndarray:
        """Return the value of the image at every voxel of the lesion, by nearest.

        Voxels outside of the image have none.
        """
        if self.one_grid:
            box = bounding_box(self.lesion)
            return self.image.array[box][self.lesion.array[box]]
        index = self.image.to_index(
            self.lesion.to_world(np.argwhere(self.lesion.array))
        )
        index = np.rint(index).astype(int)
        within = ((index >= 0) & (index < self.image.shape)).all(axis=1)
        return self.image.array[tuple(index[within].T)]

    def on_image_grid(self) -> tuple[Volume, tuple[str, ...]]:
        """Return the lesion on the grid of the image, and what became of its volume.

        A mask on another grid is brought there by nearest neighbor.

        Raises
        ------
        GeometryError
            No voxel is left: the lesion lies between the voxels of the image.
        """
        if self.one_grid:
            return self.lesion, ()
        mask = resample_to(self.lesion, self.image, interpolation="nearest", fill=0)
        before, after = _volume_mm3(self.lesion), _volume_mm3(mask)
        if not after:
            msg = (
                f"{self.place} lies between the voxels of the image "
                f"({before:.3g} mm3; a voxel is {_voxel_mm3(self.image):.3g} mm3). "
                "Give a mask of its own for this modality, or exclude the case in "
                "cases.csv."
            )
            raise GeometryError(msg)
        change = _volume_note(before, after)
        return mask, (f"resampled: the mask has {change}",) if change else ()


def open_pair(
    image_path: str | PathLike,
    mask_path: str | PathLike,
    *,
    mask_label: int | Sequence[int] | None = None,
    resample_mask: bool = False,
    case_id: str | None = None,
    tolerance_voxels: float | None = None,
) -> Pair:
    """Read an image and a lesion of its mask, each on its own grid.

    Parameters
    ----------
    image_path, mask_path
        As in `read_volume`.
    mask_label
        Value of the lesion in the mask, or values, each of which it has to hold; None
        takes every voxel above 0.
    resample_mask
        Whether a mask on another grid is welcome.
    case_id
        The case that messages name.
    tolerance_voxels
        How far apart corners of one grid may lie, in voxels of the image along x, as
        ITK's coordinate tolerance has it; None takes `TOLERANCE_MM`.

    Raises
    ------
    EmptyMaskError
        The mask has no voxel of that label, or of one of them.
    GeometryError
        The grids differ, or more than `MOST_OUTSIDE` of the lesion lies outside of the
        image.
    LabelError
        The mask holds intensities or probabilities.

    Notes
    -----
    The last pair of files stays in memory, read-only, until `forget_pair`: lesions
    often share their files, and reading takes longer than measuring.
    """
    case = "" if case_id is None else f"case {case_id!r}: "
    stamps = [(str(path), *_stamp(path)) for path in (image_path, mask_path)]
    image, labels, note = _read_both(*stamps)
    lesion = labels.with_array(_lesion(labels.array, mask_label, mask_path, case))
    place = f"{case}the lesion of {mask_path}"
    allowed = TOLERANCE_MM
    if tolerance_voxels is not None:
        allowed = tolerance_voxels * image.spacing_mm[2]
    one_grid = not geometry_difference(lesion, image, tolerance_mm=allowed)
    if not resample_mask:
        check_same_grid(image, lesion, case_id=case_id, tolerance_mm=allowed)
    outside = 0.0 if one_grid else _checked_outside(lesion, image, place, image_path)
    if one_grid:  # the engines want one grid to the last digit
        lesion = image.with_array(lesion.array)
    notes = (note,) if note else ()
    if mask_label is None:
        notes += _union(labels.array)
    return Pair(image, lesion, one_grid, outside, notes, place)


def read_pair(
    image_path: str | PathLike,
    mask_path: str | PathLike,
    *,
    mask_label: int | Sequence[int] | None = None,
    resample_mask: bool = False,
    case_id: str | None = None,
) -> tuple[Volume, Volume]:
    """Read an image, and a lesion of its mask as booleans on the same grid.

    Parameters
    ----------
    image_path, mask_path, mask_label, case_id
        As in `open_pair`, and refused for the same reasons.
    resample_mask
        Whether a mask on another grid is brought onto that of the image, by nearest
        neighbor.
    """
    pair = open_pair(
        image_path,
        mask_path,
        mask_label=mask_label,
        resample_mask=resample_mask,
        case_id=case_id,
    )
    return pair.image, pair.on_image_grid()[0]


def share_outside(lesion: Volume, image: Geometry | Volume) -> float:
    """Return the share of a lesion's voxels whose centers lie outside of an image.

    Parameters
    ----------
    lesion
        Booleans.
    image
        The grid; a voxel reaches half a spacing from its center.
    """
    inside = image.to_index(lesion.to_world(np.argwhere(lesion.array)))
    # a border that both share is not crossed by rounding
    within = (inside >= -0.5 - 1e-3) & (inside <= np.array(image.shape) - 0.5 + 1e-3)
    return 1 - float(within.all(axis=1).mean())


def resampled_note(lesion: Volume, image: Geometry | Volume) -> str:
    """Say what becomes of a lesion's volume on the grid of an image, or nothing.

    Parameters
    ----------
    lesion
        Booleans on a grid of their own.
    image
        The grid; the part around the lesion is looked at.
    """
    lesion = crop(lesion, bounding_box(lesion))
    sides = [(-0.5, n - 0.5) for n in lesion.shape]
    corners = image.to_index(lesion.to_world(list(itertools.product(*sides))))
    last = np.array(image.shape) - 1
    start = np.floor(corners.min(axis=0)).clip(0, last).astype(int)
    stop = np.ceil(corners.max(axis=0)).clip(0, last).astype(int) + 1
    origin = image.to_world([start])[0]
    part = Geometry(stop - start, image.spacing_mm, origin, image.direction)
    mask = resample_to(lesion, part, interpolation="nearest", fill=0)
    before, after = _volume_mm3(lesion), _volume_mm3(mask)
    if not after:
        return (
            f"nothing is left of a lesion of {before:.3g} mm3 on the grid of the image "
            f"(a voxel is {_voxel_mm3(image):.3g} mm3): only settings with "
            "resampledPixelSpacing measure it"
        )
    change = _volume_note(before, after)
    return f"a lesion has {change}" if change else ""


def _volume_note(before, after):
    change = after / before - 1
    if abs(change) <= _SWOLLEN:
        return ""
    return (
        f"{change:+.0%} volume on the grid of the image "
        f"({before:.3g} -> {after:.3g} mm3)"
    )


def _checked_outside(lesion, image, place, image_path):
    share = share_outside(lesion, image)
    if share > MOST_OUTSIDE:
        msg = (
            f"{place}: {share:.0%} of it lie outside of {image_path}, and at most "
            f"{MOST_OUTSIDE:.0%} may. Its shape and volume would be those of another "
            "lesion. Give an image that holds the lesion, or a mask of its own for "
            "this modality, or exclude the case in cases.csv."
        )
        raise GeometryError(msg)
    return share


def _lesion(labels, wanted, path, case):
    inside = chosen(labels, wanted)
    one = wanted is None or isinstance(wanted, int | np.integer)
    # a region without one of its parts is another region
    absent = [] if one else [part for part in wanted if not (labels == part).any()]
    if inside.any() and not absent:
        return inside
    name = "is above 0" if wanted is None else f"has label {wanted}"
    if not one:
        region = label_text(tuple(wanted))
        name = f"has label {label_text(tuple(absent))} of the region {region}"
    found = [0, *label_counts(labels)][:10]
    msg = (
        f"{case}no voxel of {path} {name}; values found: {sorted(found)}. "
        "Correct mask_label, or exclude the case in cases.csv."
    )
    raise EmptyMaskError(msg)


def _union(labels):
    several = sorted(value for value in label_counts(labels) if value > 0)
    if len(several) < 2:
        return ()
    return (f"the labels {several[:10]} of the mask are measured as one lesion",)


def _voxel_mm3(volume):
    return float(np.prod(volume.spacing_mm))


def _volume_mm3(mask):
    return int(mask.array.sum()) * _voxel_mm3(mask)


def _stamp(path):
    try:
        about = os.stat(path)
    except OSError:
        return ()  # reading says what is wrong
    return about.st_ino, about.st_mtime_ns, about.st_ctime_ns, about.st_size


def forget_pair() -> None:
    """Free the pair of files that was read last."""
    _read_both.cache_clear()


@lru_cache(maxsize=1)
def _read_both(image, mask):
    first = read_volume(image[0])
    stored = first if image == mask else read_volume(mask[0])
    labels, note = whole_labels(stored, str(mask[0]))
    for volume in (first, labels):
        volume.array.flags.writeable = False
    return first, labels, note
