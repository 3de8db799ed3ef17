"""ITK's own steps where a value must be ITK's to the last bit.

pyradiomics is built on them; what equals it goes through here.
"""

import SimpleITK as sitk

from radlatent.imaging.grid import onto_grid
from radlatent.imaging.itk import from_sitk, to_sitk
from radlatent.imaging.volume import Geometry, Volume

__all__ = ["gradient_magnitude", "interpolate", "standardize"]


def standardize(volume: Volume, *, scale: float, outliers: float | None) -> Volume:
    """Bring a whole volume to mean 0 and standard deviation ``scale``.

    Parameters
    ----------
    volume
        Intensities.
    scale
        The standard deviation wanted.
    outliers
        Values beyond this many standard deviations are set to the bound; None keeps
        them.
    """
    image = sitk.Normalize(to_sitk(volume))
    if outliers is not None:
        array = sitk.GetArrayFromImage(image)
        limited = sitk.GetImageFromArray(array.clip(-outliers, outliers))
        limited.CopyInformation(image)
        image = limited
    return volume.with_array(from_sitk(image * scale).array)


def gradient_magnitude(volume: Volume, *, use_spacing: bool) -> Volume:
    """Return the length of the gradient, by central differences.

    Parameters
    ----------
    volume
        Intensities.
    use_spacing
        Whether per mm; else per voxel.
    """
    gradient = sitk.GradientMagnitudeImageFilter()
    gradient.SetUseImageSpacing(use_spacing)
    return volume.with_array(from_sitk(gradient.Execute(to_sitk(volume))).array)


def interpolate(volume: Volume, grid: Geometry, *, interpolator: str | int) -> Volume:
    """Resample a volume onto a grid, keeping its type; outside of it lies 0.

    Parameters
    ----------
    volume
        Intensities, or a mask.
    grid
        The grid wanted.
    interpolator
        ITK's name for it, as ``"sitkBSpline"``, or its number.
    """
    if isinstance(interpolator, str):
        interpolator = getattr(sitk, interpolator)
    return onto_grid(volume, grid, interpolator, 0)
