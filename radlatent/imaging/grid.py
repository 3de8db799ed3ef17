"""Volumes onto other grids: resample, crop.

What is cropped keeps its place in the world; what is resampled keeps its content
there.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import SimpleITK as sitk

from radlatent.errors import EmptyMaskError, GeometryError
from radlatent.imaging.itk import from_sitk, to_sitk
from radlatent.imaging.volume import Geometry, Volume, check_same_grid

__all__ = [
    "bounding_box",
    "crop",
    "crop_to_mask",
    "expand_box",
    "onto_grid",
    "resample",
    "resample_to",
]

Box = tuple[slice, slice, slice]

_INTERPOLATORS = {
    "linear": sitk.sitkLinear,
    "bspline": sitk.sitkBSpline,  # cubic
    "nearest": sitk.sitkNearestNeighbor,
}

# coefficients of a cubic spline fade to 1e-16 of a voxel within 28 voxels
_SPLINE_VOXELS = 30

# keeps 3 * 0.4 mm / 0.1 mm at 12 voxels, where float64 division gives a little more
_ROUNDING = 1e-6


def resample(
    volume: Volume,
    spacing_mm: Sequence[float],
    *,
    interpolation: str = "linear",
    around: Box | None = None,
) -> Volume:
    """Resample a volume to a spacing, on a grid with the same center.

    Parameters
    ----------
    volume
        The volume; a bool or integer array is taken as a mask.
    spacing_mm
        The spacing wanted in mm, in the order of the array axes (z, y, x).
    interpolation
        ``"linear"``, ``"bspline"`` (cubic) or ``"nearest"`` (the one for masks).
    around
        A box of the volume: only that part of the new grid is resampled, and a voxel
        more on each side. None resamples all of it.

    Raises
    ------
    ValueError
        If the interpolation is unknown or would blend the labels of a mask.

    Notes
    -----
    The new grid has ceil(n * old spacing / new spacing) voxels along an axis, and
    the center of the new grid coincides with that of the old one. A new voxel center
    beyond the outermost old centers, by less than half an old voxel, takes the value
    at the edge. The dtype is kept.

    References
    ----------
    Image Biomarker Standardisation Initiative, reference manual, chapter
    "Interpolation" (align by grid centers), arXiv:1612.07003; Zwanenburg et al.
    2020, doi:10.1148/radiol.2020191145
    """
    spacing_mm = np.asarray(spacing_mm, dtype=np.float64)
    if (
        spacing_mm.shape != (3,)
        or not (np.isfinite(spacing_mm) & (spacing_mm > 0)).all()
    ):
        msg = (
            f"spacing_mm is {spacing_mm.tolist()}. Give three positive numbers "
            "(z, y, x) in mm."
        )
        raise ValueError(msg)
    grid = _centered(volume, spacing_mm)
    if around is not None:
        volume, grid = _near(volume, grid, around)
    return _resampled(volume, grid, interpolation=interpolation, fill=None)


def _centered(volume, spacing_mm):
    """Return the grid of another spacing with the same center."""
    old_shape = np.array(volume.shape)
    extent = old_shape * volume.spacing_mm
    shape = np.ceil(extent / spacing_mm - _ROUNDING).astype(int).clip(min=1)
    center = volume.to_world([(old_shape - 1) / 2])[0]
    origin = center - volume.direction @ ((shape - 1) / 2 * spacing_mm)
    return Geometry(shape, spacing_mm, origin, volume.direction)


def _near(volume, grid, around):
    """Return the part of a volume that a box needs, and the part of a grid over it."""
    wide = expand_box(around, (_SPLINE_VOXELS,) * 3, volume.shape)
    low, high = ([getattr(s, end) for s in around] for end in ("start", "stop"))
    ends = grid.to_index(volume.to_world([np.subtract(low, 1), high]))
    start = np.floor(ends[0]).clip(min=0).astype(int)
    stop = np.minimum(np.ceil(ends[1]).astype(int) + 1, grid.shape)
    origin = grid.to_world([start])[0]
    part = Geometry(stop - start, grid.spacing_mm, origin, grid.direction)
    return crop(volume, wide), part


def resample_to(
    volume: Volume,
    reference: Geometry | Volume,
    *,
    interpolation: str,
    fill: float | None,
) -> Volume:
    """Resample a volume onto the grid of another.

    Parameters
    ----------
    volume
        The volume; a bool or integer array is taken as a mask.
    reference
        The grid wanted.
    interpolation
        As in :func:`resample`.
    fill
        The value of voxels outside ``volume``: 0 for a mask, air for a CT; None
        continues its edge.

    Raises
    ------
    ValueError
        As for :func:`resample`.
    """
    return _resampled(volume, reference, interpolation=interpolation, fill=fill)


def _resampled(volume, grid, *, interpolation, fill) -> Volume:
    _check_interpolation(interpolation, volume)
    return onto_grid(volume, grid, _INTERPOLATORS[interpolation], fill)


def onto_grid(
    volume: Volume, grid: Geometry | Volume, interpolator: int, fill: float | None
) -> Volume:
    """Resample a volume onto a grid, keeping its type.

    Parameters
    ----------
    volume
        Intensities, or a mask.
    grid
        The grid wanted.
    interpolator
        ITK's number of it.
    fill
        The value outside of the volume; None continues its edge.
    """
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize([int(n) for n in grid.shape[::-1]])
    resampler.SetOutputSpacing(grid.spacing_mm[::-1])
    resampler.SetOutputOrigin(grid.origin)
    resampler.SetOutputDirection(grid.direction[:, ::-1].ravel().tolist())
    resampler.SetInterpolator(interpolator)
    if fill is None:
        resampler.SetUseNearestNeighborExtrapolator(True)
    else:
        resampler.SetDefaultPixelValue(float(fill))
    array = from_sitk(resampler.Execute(to_sitk(volume))).array
    # the grid itself, not ITK's copy of it, so that check_same_grid sees no rounding
    return Volume(
        array.astype(volume.array.dtype, copy=False),
        grid.spacing_mm,
        grid.origin,
        grid.direction,
    )


def _check_interpolation(interpolation: str, volume: Volume) -> None:
    dtype = volume.array.dtype
    if interpolation not in _INTERPOLATORS:
        msg = (
            f"interpolation is {interpolation!r}. Use one of "
            f"{', '.join(map(repr, _INTERPOLATORS))}."
        )
        raise ValueError(msg)
    if dtype.kind in "biu" and interpolation != "nearest":
        msg = (
            f"interpolation is {interpolation!r} for a volume of {dtype}, which would "
            "blend the labels of a mask. Use 'nearest' for a mask; give an image as "
            "float."
        )
        raise ValueError(msg)
    if interpolation == "bspline" and min(volume.shape) < 4:
        msg = (
            "interpolation is 'bspline', a cubic that needs four voxels along each "
            f"axis, for a volume of shape {volume.shape}. Use 'linear'."
        )
        raise ValueError(msg)


def bounding_box(mask: Volume | np.ndarray) -> Box:
    """Find the smallest box around the voxels of a mask.

    Parameters
    ----------
    mask
        Bool or integer voxels, shape (z, y, x); any but 0 counts.

    Returns
    -------
    tuple of slice
        One slice an axis, to index an array with.

    Raises
    ------
    EmptyMaskError
        If no voxel is set.
    """
    mask = np.asarray(mask.array if isinstance(mask, Volume) else mask)
    box: list[slice] = []
    for axis in range(mask.ndim):
        # each axis is sought only inside the slices already found
        inside = mask[tuple(box)]
        others = tuple(other for other in range(mask.ndim) if other != axis)
        found = np.flatnonzero(inside.any(axis=others))
        if found.size == 0:
            msg = (
                f"the mask of shape {mask.shape} holds no voxel. Check the mask label, "
                "or exclude the case in cases.csv."
            )
            raise EmptyMaskError(msg)
        box.append(slice(int(found[0]), int(found[-1]) + 1))
    return tuple(box)


def expand_box(box: Box, margin_voxels: Sequence[int], shape: Sequence[int]) -> Box:
    """Widen a box on both sides of each axis, as far as the array goes.

    Parameters
    ----------
    box
        One slice an axis.
    margin_voxels
        Voxels to add on each side, one number an axis (z, y, x).
    shape
        Shape of the array that the box indexes.
    """
    return tuple(
        slice(max(part.start - margin, 0), min(part.stop + margin, size))
        for part, margin, size in zip(box, margin_voxels, shape, strict=True)
    )


def crop(volume: Volume, box: Box) -> Volume:
    """Cut a box out of a volume; each voxel keeps its world position.

    Parameters
    ----------
    volume
        The volume; the voxels of the box are copied.
    box
        One slice an axis (z, y, x), inside the volume, without a step.

    Raises
    ------
    GeometryError
        If the box is empty or reaches out of the volume.
    """
    starts = [part.start for part in box]
    stops = [part.stop for part in box]
    inside = all(
        0 <= start < stop <= size
        for start, stop, size in zip(starts, stops, volume.shape, strict=True)
    )
    if not inside or any(part.step not in (None, 1) for part in box):
        msg = (
            f"box {box} is not inside a volume of shape {volume.shape}. Give one "
            "slice an axis with 0 <= start < stop <= size and no step."
        )
        raise GeometryError(msg)
    # a copy, so that the uncropped array can be freed
    return replace(
        volume, array=volume.array[box].copy(), origin=volume.to_world([starts])[0]
    )


def crop_to_mask(
    image: Volume, mask: Volume, *, margin_mm: float = 0.0
) -> tuple[Volume, Volume]:
    """Crop an image and its mask to the box around the mask.

    Parameters
    ----------
    image, mask
        Volumes on one grid.
    margin_mm
        Width in mm kept around the mask on each side: ceil(margin_mm / spacing)
        voxels along an axis, as far as the volume goes.

    Returns
    -------
    tuple of Volume
        The cropped image and the cropped mask.

    Raises
    ------
    EmptyMaskError
        If no voxel of the mask is set.
    GeometryError
        If the grids differ.
    """
    check_same_grid(image, mask)
    if not margin_mm >= 0:
        msg = f"margin_mm is {margin_mm!r}. Give 0 or a positive number of mm."
        raise ValueError(msg)
    margin = np.ceil(np.divide(margin_mm, mask.spacing_mm) - _ROUNDING)
    margin = [int(voxels) for voxels in margin]
    box = expand_box(bounding_box(mask), margin, mask.shape)
    return crop(image, box), crop(mask, box)
