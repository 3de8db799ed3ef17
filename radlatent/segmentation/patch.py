"""What a segmentation network sees at once, and where in an image it looks.

A description enters; grids around the middle of an image, and the windows that cover
them, leave. No place depends on a mask: at inference there is none.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from radlatent.imaging import Geometry, Volume

__all__ = ["Patch"]


@dataclass(frozen=True)
class Patch:
    """What a network sees at once: slices, slices with their neighbors, or volumes.

    Parameters
    ----------
    size
        Pixels (y, x) of a slice, or voxels (z, y, x) of a volume.
    spacing_mm
        Distance of their centers, one number an axis. Slices keep their own distance.
    field_mm
        Extent of the part around the middle of the image that is segmented, one number
        an axis; None is all of the image. Where it is wider than the patch, patches
        are put side by side.
    neighbors
        Slices above and below that are channels beside a slice (2.5D); 0 for volumes.
    overlap
        Share of a patch that the next one sees too.
    """

    size: tuple[int, ...] = (128, 128)
    spacing_mm: tuple[float, ...] = (1.5, 1.5)
    field_mm: tuple[float, ...] | None = None
    neighbors: int = 0
    overlap: float = 0.5

    def problems(self) -> list[str]:
        """Return what is wrong with the description."""
        found = []
        for name, whole in (("size", True), ("spacing_mm", False), ("field_mm", False)):
            value = getattr(self, name)
            if value is None and name == "field_mm":
                continue
            if not (_are_numbers(value, whole) and len(value) == len(self.size)):
                kind = "whole numbers" if whole else "numbers"
                found.append(
                    f"{name} is {value!r}; give {kind} above 0, two for slices (y, x) "
                    "or three for volumes (z, y, x), as many as of size"
                )
        if _are_numbers(self.size, True) and len(self.size) not in (2, 3):
            found.append(f"size is {self.size!r}; give (y, x) or (z, y, x)")
        most = 0 if self.is_volume else 10
        if not (isinstance(self.neighbors, int) and 0 <= self.neighbors <= most):
            found.append(
                f"neighbors is {self.neighbors!r}; give 0 to 10 slices, 0 for volumes"
            )
        if not 0 <= self.overlap < 1:
            found.append(f"overlap is {self.overlap!r}; give 0 or more, less than 1")
        return [f"patch: {problem}" for problem in found]

    @property
    def is_volume(self) -> bool:
        """Whether it has three axes."""
        return len(self.size) == 3

    @property
    def size_mm(self) -> tuple[float, ...]:
        """Extent of a patch."""
        return tuple(n * mm for n, mm in zip(self.size, self.spacing_mm, strict=True))

    @property
    def in_channels(self) -> int:
        """Channels of one image: the slice and its neighbors."""
        return 1 + 2 * self.neighbors

    def grid(self, image: Volume | Geometry) -> Geometry:
        """Return the grid around the middle of an image that is segmented.

        It is at least as large as a patch, which may reach out of the image.
        """
        old_shape, old_mm = np.array(image.shape), np.array(image.spacing_mm)
        spacing, axes = old_mm.copy(), slice(3 - len(self.size), 3)
        spacing[axes] = self.spacing_mm
        extent = old_shape * old_mm
        if self.field_mm is not None:
            extent[axes] = self.field_mm
        # as many voxels as the extent begins; 1e-6 keeps 12.0000001 at 12
        shape = np.ceil(extent / spacing - 1e-6).astype(int)
        shape[axes] = np.maximum(shape[axes], self.size)
        if not self.is_volume:
            shape[0] = old_shape[0]
        middle = image.to_world([(old_shape - 1) / 2])[0]
        origin = middle - image.direction @ ((shape - 1) / 2 * spacing)
        return Geometry(shape, spacing, origin, image.direction)

    def corners(self, shape: Sequence[int]) -> np.ndarray:
        """Return the first voxels of the windows that cover a field.

        Parameters
        ----------
        shape
            Of the field, at least the size of the patch; as many axes as ``size``.

        Returns
        -------
        numpy.ndarray
            Shape (n_windows, axes).
        """
        starts = []
        for n, size in zip(shape, self.size, strict=True):
            step = max(1, round(size * (1 - self.overlap)))
            # evenly, so that no window is nearly the one before it
            count = 1 + -(-(n - size) // step)
            starts.append(np.linspace(0, n - size, count).round().astype(int))
        grids = np.meshgrid(*starts, indexing="ij")
        return np.stack([grid.ravel() for grid in grids], axis=1)

    def weights(self) -> np.ndarray:
        """Return how much each voxel of a window counts: a Gaussian about its middle.

        Notes
        -----
        Its standard deviation is an eighth of the patch, as in nnU-Net (Isensee et al.
        2021, doi:10.1038/s41592-020-01008-z); nowhere is it 0.
        """
        total = np.ones(self.size, np.float32)
        for axis, n in enumerate(self.size):
            offset = (np.arange(n) - (n - 1) / 2) / (n / 8)
            shape = [1] * len(self.size)
            shape[axis] = n
            total *= np.exp(-0.5 * offset**2).reshape(shape).astype(np.float32)
        return np.maximum(total, 1e-3)


def _are_numbers(values, whole):
    if not isinstance(values, tuple | list) or not values:
        return False
    kinds = (int, np.integer) if whole else (int, float, np.number)
    return all(isinstance(v, kinds) and np.isfinite(v) and v > 0 for v in values)
