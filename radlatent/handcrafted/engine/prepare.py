"""What happens to image and mask before they are measured.

Normalize, resample, re-segment, check, find the box: pyradiomics' steps in its order.

References
----------
van Griethuysen et al. 2017, doi:10.1158/0008-5472.CAN-17-0339
"""

import itertools
from dataclasses import dataclass

import numpy as np

from radlatent.handcrafted.settings import Settings
from radlatent.imaging import (
    Geometry,
    Volume,
    bounding_box,
    crop,
    expand_box,
    interpolate,
    resample,
    resample_to,
    standardize,
)

__all__ = ["Prepared", "prepare"]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A lesion that is ready to be measured.

    Parameters
    ----------
    image
        Intensities on the final grid, as far as the filters may look.
    box
        Of the lesion in ``image``.
    mask
        Voxels whose intensities count, cut to ``box``.
    shape_mask
        Voxels whose shape is measured.
    """

    image: Volume
    box: tuple[slice, slice, slice]
    mask: np.ndarray
    shape_mask: np.ndarray


def prepare(image: Volume, mask: Volume, settings: Settings) -> Prepared:
    """Bring image and mask to the grid and the voxels that are measured.

    Parameters
    ----------
    image
        Intensities.
    mask
        Booleans on the same grid; on any where the settings resample: the mask goes
        from its own grid to the final one in one step.
    settings
        Their ``setting`` section is what counts here.

    Raises
    ------
    ValueError
        The lesion is smaller than the settings allow.
    """
    options, ibsi = settings.setting, settings.ibsi
    if options.normalize:
        image = standardize(
            image, scale=options.normalizeScale, outliers=options.removeOutliers
        )
    if options.resampledPixelSpacing is not None:
        steps = _resample if ibsi is None else _resample_by_centers
        image, mask = steps(image, mask, settings)
        if not mask.array.any():
            msg = (
                f"no voxel is left after resampling to {image.spacing_mm} mm (z, y, x)"
            )
            raise ValueError(msg)
    elif options.preCrop:
        around = expand_box(bounding_box(mask), [options.padDistance] * 3, mask.shape)
        image, mask = crop(image, around), crop(mask, around)
    box = bounding_box(mask)
    whole = np.ascontiguousarray(mask.array[box], dtype=bool)
    _check(whole, options)
    kept = _within(image.array[box], whole, options)
    if ibsi is not None and ibsi.outlierSigma is not None:
        kept = _within_sigmas(image.array[box], kept, ibsi.outlierSigma)
    if kept.sum() <= 1:
        msg = (
            f"re-segmentation ({options.resegmentRange}, {options.resegmentMode}) "
            f"leaves {kept.sum()} of {whole.sum()} voxels of the lesion"
        )
        raise ValueError(msg)
    tight = bounding_box(kept)
    _check(kept[tight], options)
    shape_mask = kept[tight]
    if ibsi is not None:
        shape_mask = whole
    elif not options.resegmentShape:
        # pyradiomics cuts the mask to the box of what is left, even for its shape
        shape_mask = whole[tight]
    inner = tuple(
        slice(outer.start + part.start, outer.start + part.stop)
        for outer, part in zip(box, tight, strict=True)
    )
    return Prepared(image, inner, kept[tight], shape_mask)


def _check(mask, options):
    """Refuse what pyradiomics refuses; the mask is cut to its box."""
    n_axes = sum(n > 1 for n in mask.shape)
    if n_axes < max(1, options.minimumROIDimensions):
        msg = (
            f"the lesion extends over {mask.shape} voxels (z, y, x), and "
            f"{options.minimumROIDimensions} axes of more than one are needed"
        )
        raise ValueError(msg)
    least = options.minimumROISize
    if least is not None and mask.sum() <= least:
        msg = (
            f"the lesion has {mask.sum()} voxels, and more than {least} are needed "
            "(minimumROISize)"
        )
        raise ValueError(msg)


def _within(image, mask, options):
    """Return the voxels of a mask whose intensity is in the range, if there is one."""
    if options.resegmentRange is None:
        return mask
    values = image[mask]
    bounds = sorted(options.resegmentRange)
    if options.resegmentMode == "relative":
        bounds = [values.max() * bound for bound in bounds]
    elif options.resegmentMode == "sigma":
        mean, deviation = np.mean(values), np.std(values)
        bounds = [mean + deviation * bound for bound in bounds]
    inside = values >= bounds[0]
    if len(bounds) == 2:
        inside &= values <= bounds[1]
    kept = np.zeros_like(mask)
    kept[mask] = inside
    return kept


def _within_sigmas(image, mask, sigmas):
    values = image[mask].astype(float)
    kept = mask.copy()
    kept[mask] = np.abs(values - values.mean()) <= sigmas * values.std()
    return kept


def _one_grid(image, mask):
    return image.shape == mask.shape and np.array_equal(image.affine, mask.affine)


def _wanted_spacing(grid, options):
    # the settings are x, y, z; a 0 keeps the spacing of that axis
    wanted = np.array(options.resampledPixelSpacing[::-1], dtype=float)
    return np.where(wanted == 0, grid.spacing_mm, wanted)


def _without_outside(mask, image):
    """Return a mask without the voxels whose centers lie outside of an image."""
    points = np.argwhere(mask.array)
    index = image.to_index(mask.to_world(points))
    outside = ((index < -0.5) | (index > np.array(image.shape) - 0.5)).any(axis=1)
    if not outside.any():
        return mask
    kept = mask.array.copy()
    kept[tuple(points[outside].T)] = False
    return mask.with_array(kept)


def _box_in(image, mask):
    """Return the box of an image that holds the lesion of a mask on any grid."""
    if _one_grid(image, mask):
        return bounding_box(mask)
    box = bounding_box(mask)
    ends = [(part.start - 0.5, part.stop - 0.5) for part in box]
    corners = image.to_index(mask.to_world(list(itertools.product(*ends))))
    low = np.floor(corners.min(axis=0)).clip(0, np.array(image.shape) - 1)
    high = np.ceil(corners.max(axis=0)).clip(0, np.array(image.shape) - 1)
    return tuple(slice(int(a), int(b) + 1) for a, b in zip(low, high, strict=True))


def _resample_by_centers(image, mask, settings):
    """Resample as IBSI does: grids share their center, a voxel is half inside."""
    spacing_mm = _wanted_spacing(image, settings.setting)
    name = settings.setting.interpolator
    how = {"sitkLinear": "linear", "sitkBSpline": "bspline"}.get(name, "nearest")
    # a filter looks further, and normalization everywhere
    near = set(settings.imageType) == {"Original"}
    wide = expand_box(_box_in(image, mask), (2, 2, 2), image.shape) if near else None
    floats = image.with_array(image.array.astype(float))
    final = resample(floats, spacing_mm, interpolation=how, around=wide)
    if settings.ibsi.roundIntensities:
        final = final.with_array(np.rint(final.array))
    inside = mask.with_array(mask.array.astype(float))
    if _one_grid(image, mask):
        share = resample(inside, spacing_mm, interpolation="linear", around=wide)
    else:
        share = resample_to(inside, final, interpolation="linear", fill=0)
    # weights of one half are common, and rounded
    half = final.with_array(share.array >= 0.5 - 1e-9)
    return final, _without_outside(half, image)


def _resample(image, mask, settings):
    """Resample onto pyradiomics' grid: aligned at the corner of the mask's first voxel.

    A mask on a grid of its own goes to the final one in one step, as in pyradiomics;
    what lies outside of the image is left out (there a bounding box that reaches out is
    refused).
    """
    options, spacing = settings.setting, np.array(mask.spacing_mm)
    if options.interpolator in ("sitkBSpline", 3) and 2 in image.shape:
        msg = (
            f"the image has {image.shape} voxels (z, y, x), and ITK's B-spline reads "
            "beyond an axis of two; take interpolator sitkLinear"
        )
        raise ValueError(msg)
    wanted = _wanted_spacing(mask, options)
    box = bounding_box(mask)
    start = np.array([part.start for part in box])
    stop = np.array([part.stop for part in box])
    # an axis of one slice stays as it is
    wanted = np.where(stop - start != 1, wanted, spacing)
    if np.allclose(image.spacing_mm, wanted):
        return _cropped(image, mask, options.padDistance)
    ratio = spacing / wanted
    first = np.floor((start - 0.5) * ratio - options.padDistance).clip(min=0)
    last = np.ceil((stop - 0.5) * ratio + options.padDistance)
    last = np.minimum(last, np.ceil(mask.shape * ratio) - 1)
    origin = 0.5 * (wanted - spacing) / spacing + first / ratio
    grid = Geometry(
        tuple((last - first + 1).astype(int)),
        tuple(wanted),
        tuple(mask.to_world([origin])[0]),
        mask.direction,
    )
    final = interpolate(mask, grid, interpolator="sitkNearestNeighbor")
    if not _one_grid(image, mask):
        final = _without_outside(final, image)
    return interpolate(image, grid, interpolator=options.interpolator), final


def _cropped(image, mask, pad):
    """Return image and mask on the grid of the image, cut to the lesion."""
    if not _one_grid(image, mask):
        mask = resample_to(mask, image, interpolation="nearest", fill=0)
        if not mask.array.any():
            return image, mask
    around = expand_box(bounding_box(mask), [pad] * 3, mask.shape)
    return crop(image, around), crop(mask, around)
