"""An image and one lesion of its mask, on one grid: where every measurement starts."""

import os
from functools import lru_cache
from os import PathLike

import numpy as np

from radlatent.errors import EmptyMaskError, GeometryError
from radlatent.imaging.files import read_volume
from radlatent.imaging.grid import resample_to
from radlatent.imaging.volume import Volume, check_same_grid

__all__ = ["forget_pair", "read_pair"]


def read_pair(
    image_path: str | PathLike,
    mask_path: str | PathLike,
    *,
    mask_label: int | None = None,
    resample_mask: bool = False,
    case_id: str | None = None,
) -> tuple[Volume, Volume]:
    """Read an image, and a lesion of its mask as booleans on the same grid.

    Parameters
    ----------
    image_path, mask_path
        As in `read_volume`.
    mask_label
        Value of the lesion in the mask; None takes every voxel above 0.
    resample_mask
        Whether a mask on another grid is brought onto that of the image, by nearest
        neighbor.
    case_id
        The case that messages name.

    Raises
    ------
    EmptyMaskError
        The mask has no voxel of that label.
    GeometryError
        The grids differ, or the lesion lies outside of the image.

    Notes
    -----
    The last pair of files stays in memory, read-only, until `forget_pair`: lesions
    often share their files, and reading takes longer than measuring.
    """
    case = "" if case_id is None else f"case {case_id!r}: "
    stamps = [(str(path), *_stamp(path)) for path in (image_path, mask_path)]
    image, labels = _read_both(*stamps)
    inside = labels.array > 0 if mask_label is None else labels.array == mask_label
    if not inside.any():
        wanted = "is above 0" if mask_label is None else f"has label {mask_label}"
        found = np.unique(labels.array)[:10].tolist()
        msg = (
            f"{case}no voxel of {mask_path} {wanted}; values found: {found}. "
            "Correct mask_label, or exclude the case in cases.csv."
        )
        raise EmptyMaskError(msg)
    mask = labels.with_array(inside)
    if resample_mask:
        mask = resample_to(mask, image, interpolation="nearest", fill=0)
        mask = mask.with_array(mask.array > 0)
        if not mask.array.any():
            msg = (
                f"{case}the lesion of {mask_path} lies outside of {image_path}, or "
                "between its voxels. Give a mask of its own for this modality, or "
                "exclude the case in cases.csv."
            )
            raise GeometryError(msg)
    check_same_grid(image, mask, case_id=case_id)
    return image, mask


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
    volumes = read_volume(image[0]), read_volume(mask[0])
    for volume in volumes:
        volume.array.flags.writeable = False
    return volumes
