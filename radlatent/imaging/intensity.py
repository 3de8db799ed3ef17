"""Voxel values: clip, normalize, project."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from radlatent.errors import EmptyMaskError
from radlatent.imaging.volume import Volume, check_same_grid

__all__ = [
    "Projection",
    "clip",
    "maximum_intensity_projection",
    "normalize",
    "unit_doubt",
    "unit_fault",
]

#: No lesion takes up more than a hundred times the mean of the body: brain and bladder
#: stay below. Bq/ml of a clinical dose is some thousand times SUV.
_MOST_SUV = 200.0

#: Stored values of a CT without its intercept: air at 0, soft tissue near 1000.
_STORED_HU = 500.0

#: Decimals that are read as whole numbers lie above: 0.01 is 1,008,981,770 then.
_FARTHEST = 1e8

#: Scanners fill what lies outside of their circle with -1500 and less.
_PADDING_HU = -1500.0

#: The noise of a CT alone spans more.
_LEAST_RANGE_HU = 20.0

#: Above it a voxel of a lesion is no air; and what no CT holds, metal included.
_AIR_HU, _MOST_HU = -900.0, 1e5

#: Reconstructions go below zero, by noise; a CT goes to -1000.
_LEAST_SUV = -5.0

# view: (world axis projected along, rows, columns); LPS axes are x 0, y 1, z 2
_VIEWS = {"sagittal": (0, 2, 1), "coronal": (1, 2, 0), "axial": (2, 1, 0)}


@dataclass(frozen=True, eq=False)
class Projection:
    """A 2D picture of a volume.

    Parameters
    ----------
    array
        Shape (rows, columns).
    spacing_mm
        Distance of pixel centers in mm, (rows, columns).
    """

    array: np.ndarray
    spacing_mm: tuple[float, float]


def clip(volume: Volume, *, lower: float, upper: float) -> Volume:
    """Limit the voxel values to an interval; NaN stays NaN.

    Parameters
    ----------
    volume
        The image. A float dtype is kept, integers become float64.
    lower, upper
        Bounds in the unit of the image; infinite for no bound.
    """
    if not lower < upper:
        msg = f"lower is {lower!r} and upper is {upper!r}. Give lower < upper."
        raise ValueError(msg)
    return volume.with_array(np.clip(volume.array, float(lower), float(upper)))


def normalize(volume: Volume, mask: Volume | None = None) -> Volume:
    """Subtract the mean and divide by the standard deviation (ddof 0).

    Parameters
    ----------
    volume
        The image. A float dtype is kept; integers become float32, or float64 where
        float32 would lose digits.
    mask
        Where mean and standard deviation are taken, on the grid of the image; any
        voxel but 0 counts. By default the whole image. Every voxel is normalized.

    Raises
    ------
    ValueError
        If the values there are constant or not all finite.
    EmptyMaskError
        If no voxel of the mask is set.
    """
    region, values = "the whole image", volume.array
    if mask is not None:
        check_same_grid(volume, mask)
        region, values = "the mask", volume.array[mask.array != 0]
        if values.size == 0:
            msg = "the mask holds no voxel to normalize by. Check the mask label."
            raise EmptyMaskError(msg)
    if not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        msg = (
            f"{bad} of {values.size} voxels in {region} are NaN or infinite. Mend the "
            "image, or normalize by a mask that leaves them out."
        )
        raise ValueError(msg)
    if values.min() == values.max():
        msg = (
            f"the intensity in {region} is constant, {values.flat[0]} in {values.size} "
            "voxels, and has no standard deviation. Normalize by another region."
        )
        raise ValueError(msg)
    array = volume.array.astype(np.result_type(volume.array, np.float32))
    array -= values.mean(dtype=np.float64)
    array /= values.std(dtype=np.float64)
    return volume.with_array(array)


def maximum_intensity_projection(volume: Volume, axis: str) -> Projection:
    """Project the highest voxel values along a body axis.

    Parameters
    ----------
    volume
        The image, stored in any orientation.
    axis
        The view: ``"coronal"`` projects along world y, ``"sagittal"`` along x,
        ``"axial"`` along z.

    Returns
    -------
    Projection
        Upright whatever the storage order: row 0 is superior in the coronal and
        sagittal view and anterior in the axial one; column 0 is the patient's right
        (radiological convention), in the sagittal view anterior.

    Notes
    -----
    The projection runs along the array axis closest to the world axis; an oblique
    volume is not resampled. A NaN voxel makes its pixel NaN.
    """
    if axis not in _VIEWS:
        msg = f"axis is {axis!r}. Use one of {', '.join(map(repr, _VIEWS))}."
        raise ValueError(msg)
    _, nearest = linear_sum_assignment(-np.abs(volume.direction))  # world x, y, z
    along, rows, columns = nearest[list(_VIEWS[axis])]
    picture = volume.array.transpose(along, rows, columns).max(axis=0)
    _, world_rows, world_columns = _VIEWS[axis]
    # LPS grows toward left, posterior and superior; only z is shown descending
    if (volume.direction[world_rows, rows] > 0) == (world_rows == 2):
        picture = picture[::-1]
    if volume.direction[world_columns, columns] < 0:
        picture = picture[:, ::-1]
    spacing_mm = (volume.spacing_mm[rows], volume.spacing_mm[columns])
    return Projection(np.ascontiguousarray(picture), spacing_mm)


def unit_fault(unit: str, image: Volume, low: float, high: float) -> str:
    """Say why the values of a lesion cannot be in the unit of its image, or nothing.

    Parameters
    ----------
    unit
        As in ``cohort.yml``: SUV and HU have a range, others none.
    image
        The whole image.
    low, high
        Smallest and largest value of the lesion.

    Notes
    -----
    SUV is the uptake over the mean of the body, and lesions reach some tens; a CT holds
    air, at -1000 HU, unless it was cut out of a body. The whole image is looked at only
    where the lesion is odd.
    """
    farthest = max(-low, high)
    if farthest > _FARTHEST:
        return (
            f"the lesion reaches {farthest:.4g}, which no scanner gives: is the data "
            "type of the header that of the voxels? Convert it again from its source"
        )
    judge = {"SUV": _suv_fault, "HU": _hu_fault}.get(unit)
    return _told(unit, judge(image.array, low, high) if judge else "")


def unit_doubt(unit: str, image: Volume, low: float, high: float) -> str:
    """Say why the values of a lesion are hardly in the unit of its image, or nothing.

    Parameters
    ----------
    unit, image, low, high
        As in `unit_fault`, which these values have to pass.

    Notes
    -----
    The mean of a body is 1 SUV; the noise of a CT alone spans tens of HU.
    """
    judge = {"SUV": _suv_doubt, "HU": _hu_doubt}.get(unit)
    return _told(unit, judge(image.array, low, high) if judge else "")


def _told(unit, found):
    return f"unit {unit}, but {found}" if found else ""


def _suv_fault(_, low, high):
    if high > _MOST_SUV:
        return (
            f"the lesion reaches {high:,.0f}: Bq/ml? Divide by the injected dose "
            "(decayed) over the weight"
        )
    if low < _LEAST_SUV:
        return f"the lesion goes down to {low:,.0f}, and SUV is never negative: a CT?"
    return ""


def _suv_doubt(array, _, high):
    if high <= 1 and (most := float(np.nanmax(array))) <= 1:
        return (
            f"no voxel of the image is above {most:.3g}, and the mean of a body is 1: "
            "normalized, or in other units of dose and weight?"
        )
    return ""


def _hu_fault(array, low, high):
    if max(abs(low), abs(high)) > _MOST_HU:
        return f"the lesion holds values from {low:.3g} to {high:.3g}, as no CT does"
    if low < 0:
        return ""
    inside = array[array > _PADDING_HU] if array.min() < 0 else array
    if inside.min() >= 0 and (most := float(inside.max())) > _STORED_HU:
        return (
            f"no voxel of the image is below 0 (up to {most:,.0f}): stored values "
            "without their intercept (RescaleIntercept, often -1024)?"
        )
    return ""


def _hu_doubt(array, low, high):
    if high < _AIR_HU:
        return (
            f"the lesion is air alone (up to {high:,.0f}): an intercept applied twice, "
            "or a mask in another place?"
        )
    if array.dtype == np.uint8:
        return "the image holds 8 bits a voxel: a window written as a picture?"
    if 0 < high - low < _LEAST_RANGE_HU:
        least, most = float(np.nanmin(array)), float(np.nanmax(array))
        if most - least < _LEAST_RANGE_HU:
            return (
                f"the whole image lies between {least:.4g} and {most:.4g}: normalized, "
                "or in another unit?"
            )
    return ""
