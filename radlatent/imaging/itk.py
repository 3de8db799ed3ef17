"""Volumes to SimpleITK images and back, and ITK's global switches.

SimpleITK orders sizes and spacings x, y, z; arrays here are z, y, x. The reversal is
written once, in this module.
"""

import contextlib
import functools
import sys
import threading

import numpy as np
import SimpleITK as sitk
from threadpoolctl import ThreadpoolController

from radlatent.errors import GeometryError
from radlatent.imaging.volume import Geometry, Volume

__all__ = ["from_sitk", "grid_of", "silence", "single_thread", "to_sitk"]


def to_sitk(volume: Volume) -> sitk.Image:
    """Convert a volume to a SimpleITK image; a bool array becomes uint8.

    Parameters
    ----------
    volume
        The volume; its voxels are copied.
    """
    array = volume.array
    image = sitk.GetImageFromArray(
        array.astype(np.uint8) if array.dtype == bool else array, isVector=False
    )
    image.SetSpacing(volume.spacing_mm[::-1])
    image.SetOrigin(volume.origin)
    image.SetDirection(volume.direction[:, ::-1].ravel().tolist())
    return image


def from_sitk(image: sitk.Image) -> Volume:
    """Convert a SimpleITK image to a volume.

    Parameters
    ----------
    image
        A 3D image with one value per voxel; its voxels are copied.

    Raises
    ------
    GeometryError
        If the image is not 3D or holds vectors.
    """
    components = image.GetNumberOfComponentsPerPixel()
    if image.GetDimension() != 3 or components != 1:
        msg = (
            f"the image is {image.GetDimension()}D with {components} values per voxel. "
            "Give a 3D image with one value per voxel."
        )
        raise GeometryError(msg)
    grid = grid_of(image)
    array = sitk.GetArrayFromImage(image)
    return Volume(array, grid.spacing_mm, grid.origin, grid.direction)


def grid_of(source: sitk.Image | sitk.ImageFileReader) -> Geometry:
    """Read the grid of an image, or of a reader that has read a header.

    Parameters
    ----------
    source
        Of three dimensions; further ones are left out.
    """
    n = source.GetDimension()
    direction = np.reshape(source.GetDirection(), (n, n))[:3, :3]
    return Geometry(
        shape=source.GetSize()[2::-1],
        spacing_mm=source.GetSpacing()[2::-1],
        origin=source.GetOrigin()[:3],
        direction=direction[:, ::-1],
    )


class _Silence:
    """Keep ITK's own warnings off stderr while any thread is inside.

    The switch is global to the process, so the first thread in turns it off and the
    last one out puts it back.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._inside = 0
        self._before = True

    def __enter__(self):
        with self._lock:
            if self._inside == 0:
                self._before = sitk.ProcessObject.GetGlobalWarningDisplay()
                sitk.ProcessObject.SetGlobalWarningDisplay(False)
            self._inside += 1

    def __exit__(self, *exception):
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                sitk.ProcessObject.SetGlobalWarningDisplay(self._before)


silence = _Silence()


@functools.lru_cache(maxsize=1)
def _pools(n_modules):
    """Return the pools of threads; looked for again when modules were loaded."""
    return ThreadpoolController()


class _SingleThread:
    """As `_Silence`, for the numbers of threads."""

    def __init__(self):
        self._lock = threading.Lock()
        self._inside = 0
        self._limits = None
        self._before = 0

    def __enter__(self):
        with self._lock:
            if self._inside == 0:
                self._before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
                sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
                self._limits = _pools(len(sys.modules)).limit(limits=1)
            self._inside += 1

    def __exit__(self, *exception):
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._limits.restore_original_limits()
                sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(self._before)


_single_thread = _SingleThread()


def single_thread() -> contextlib.AbstractContextManager:
    """Run ITK, BLAS and OpenMP on one thread each, then restore their settings.

    For workers that already share the cores among cases; threads may overlap in it.
    """
    return _single_thread
