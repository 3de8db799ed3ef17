"""Contours drawn again: a mask enters, a mask of another size or outline leaves.

Arrays of shape (z, y, x), spacings in mm in that order, and a Generator for the part
that is random.
"""

from math import ceil, prod

import numpy as np
from scipy import ndimage

from radlatent.imaging import bounding_box, expand_box

__all__ = ["NEAR_MM", "near_box", "randomize_contour", "resize_mask"]

#: What counts as near a lesion: the width of two supervoxels.
NEAR_MM = 15.0

#: Supervoxels of half a milliliter (Zwanenburg et al. 2019), but of 20 voxels or more.
_SUPERVOXEL_MM3, _SUPERVOXEL_VOXELS = 500.0, 20

#: Supervoxels covered less are never chosen, covered more always (same source).
_NEVER, _ALWAYS = 0.2, 0.9


def near_box(inside: np.ndarray, spacing_mm: tuple) -> tuple[slice, slice, slice]:
    """Return the box of a mask with `NEAR_MM` around it, as far as the array goes."""
    margins = [ceil(NEAR_MM / spacing) for spacing in spacing_mm]
    return expand_box(bounding_box(inside), margins, inside.shape)


def resize_mask(
    inside: np.ndarray,
    spacing_mm: tuple,
    change: float,
    random: np.random.Generator,
) -> np.ndarray:
    """Grow or shrink a mask to round(n (1 + change)) voxels.

    Raises
    ------
    ValueError
        The image has too few voxels around the mask to grow into, or no background.

    Notes
    -----
    Layer by layer, the last one in part and at random, as in Zwanenburg et al. 2019. A
    layer is all voxels at one distance in mm from the mask (or from the background),
    where they dilate by whole voxels: on anisotropic grids that would grow in mm
    farther across slices than within.
    """
    n_old = np.count_nonzero(inside)
    n_change = round(n_old * (1 + change)) - n_old
    result = inside.copy()
    if n_change == 0:
        return result
    box = near_box(inside, spacing_mm)
    part = result[box]
    open_to_change = ~part if n_change > 0 else part.copy()
    if open_to_change.all() or abs(n_change) > np.count_nonzero(open_to_change):
        msg = (
            f"a mask of {n_old} voxels in an image of {inside.shape} (z, y, x) has no "
            f"room to change by {n_change:+d}. Leave 'volume' out of the kinds, or "
            "exclude the case in cases.csv."
        )
        raise ValueError(msg)
    distance = ndimage.distance_transform_edt(open_to_change, sampling=spacing_mm)
    # rounded, so that layers do not come apart by the last digit of a square root
    distance = distance[open_to_change].round(6)
    last = np.partition(distance, abs(n_change) - 1)[abs(n_change) - 1]
    changes = distance < last
    n_last = abs(n_change) - np.count_nonzero(changes)
    changes[random.choice(np.flatnonzero(distance == last), n_last, False)] = True
    part[open_to_change] ^= changes
    return result


def randomize_contour(
    values: np.ndarray,
    inside: np.ndarray,
    spacing_mm: tuple,
    random: np.random.Generator,
) -> np.ndarray:
    """Draw a mask again as a union of supervoxels.

    Notes
    -----
    As Zwanenburg et al. 2019: SLIC supervoxels; one covered by less than 0.2 is never
    chosen, by 0.9 and the one covered most always; the union is closed. Intensities
    are clipped at three standard deviations around the mean of the lesion, so that
    bone beside it does not flatten its contrast (our choice).
    """
    # half a second to import, for one kind of perturbation
    from skimage.segmentation import slic

    box = near_box(inside, spacing_mm)
    part = inside[box]
    lesion = values[inside]
    # a flat lesion has no scale; any will do
    reach = 3 * float(lesion.std()) or 1.0
    scaled = ((values[box] - lesion.mean()) / reach).clip(-1, 1) / 2
    voxels = max(_SUPERVOXEL_VOXELS, _SUPERVOXEL_MM3 / prod(spacing_mm))
    labels = slic(
        scaled.astype(np.float64),
        n_segments=max(1, int(part.size / voxels)),
        compactness=0.05,
        sigma=min(spacing_mm),
        spacing=spacing_mm,
        channel_axis=None,
        start_label=0,
    )
    covered = np.bincount(labels[part], minlength=labels.max() + 1)
    share = covered / np.bincount(labels.ravel()).clip(1)
    share[share < _NEVER] = 0
    share[(share >= _ALWAYS) | (share == share.max())] = 1
    chosen = (random.random(share.size) < share)[labels]
    result = np.zeros_like(inside)
    # closing takes away what lies at the edge of the box
    result[box] = chosen | ndimage.binary_closing(chosen)
    return result
