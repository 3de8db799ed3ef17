"""A voxel array and where it lies in the patient; nothing here touches a file.

Every axis-indexed quantity follows the array's own axis order, (z, y, x) for what
:mod:`radlatent.imaging` reads, so that no caller ever reverses a spacing. World
coordinates are LPS (x to the left, y to the back, z to the head) in mm, as in ITK
and DICOM.
"""

import itertools
from dataclasses import dataclass, field, replace

import numpy as np

from radlatent.errors import GeometryError

__all__ = [
    "TOLERANCE_MM",
    "Geometry",
    "Volume",
    "check_same_grid",
    "geometry_difference",
]

# Largest entry of |direction^T direction - I|. Headers round their cosines; a grid
# sheared by less than this is off by 0.2 mm over 200 mm.
ORTHOGONALITY_TOLERANCE = 1e-3

# Two grids that a header makes different are the same grid: a float32 quaternion holds
# a position over 500 mm to 1e-3 mm, and converters write coordinates of two decimals.
TOLERANCE_MM = 1e-2


def _itk_identity() -> np.ndarray:
    return np.eye(3)[:, ::-1]


class _Grid:
    """What a geometry and a volume share: ``shape`` and three more quantities."""

    def _set_grid(self) -> None:
        direction = np.array(self.direction, dtype=np.float64) + 0.0  # no -0.0
        direction.flags.writeable = False
        spacing_mm = tuple(float(value) for value in self.spacing_mm)
        origin = tuple(float(value) + 0.0 for value in self.origin)
        _check_grid(self.shape, spacing_mm, origin, direction)
        object.__setattr__(self, "spacing_mm", spacing_mm)
        object.__setattr__(self, "origin", origin)
        object.__setattr__(self, "direction", direction)

    def _placement(self) -> str:
        return (
            f"shape={self.shape}, spacing_mm={_numbers(self.spacing_mm)}, "
            f"origin={_numbers(self.origin)}, "
            f"direction={self.direction.round(4).tolist()}"
        )

    @property
    def affine(self) -> np.ndarray:
        """Index to world, shape (4, 4): array indices in, LPS mm out."""
        affine = np.eye(4)
        affine[:3, :3] = self.direction * self.spacing_mm
        affine[:3, 3] = self.origin
        return affine

    def to_world(self, index: np.ndarray) -> np.ndarray:
        """Place array indices in the world.

        Parameters
        ----------
        index
            Array indices, fractions allowed, shape (n, 3).

        Returns
        -------
        numpy.ndarray
            LPS (x, y, z) positions in mm, shape (n, 3).
        """
        scaled = np.asarray(index, dtype=np.float64) * self.spacing_mm
        return scaled @ self.direction.T + self.origin

    def to_index(self, world: np.ndarray) -> np.ndarray:
        """Find the fractional array indices of world positions.

        Parameters
        ----------
        world
            LPS (x, y, z) positions in mm, shape (n, 3).

        Returns
        -------
        numpy.ndarray
            Array indices, shape (n, 3).
        """
        offset = np.asarray(world, dtype=np.float64) - self.origin
        # direction is orthogonal only within a tolerance, so its transpose will not do
        return offset @ np.linalg.inv(self.direction).T / self.spacing_mm


@dataclass(frozen=True, eq=False, repr=False)
class Geometry(_Grid):
    """A grid in the world, without voxels.

    Parameters
    ----------
    shape
        Number of voxels along each array axis (z, y, x).
    spacing_mm
        Distance of voxel centers in mm along each array axis (z, y, x).
    origin
        World position (LPS x, y, z, in mm) of the center of voxel [0, 0, 0].
    direction
        Shape (3, 3); column k is the unit vector (LPS x, y, z) of array axis k. By
        default ITK's identity: axis z is (0, 0, 1), y (0, 1, 0), x (1, 0, 0).

    Raises
    ------
    GeometryError
        If the grid is not 3D, a spacing is not positive, or the axes are not
        orthogonal.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: np.ndarray = field(default_factory=_itk_identity)

    def __post_init__(self):
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        self._set_grid()

    def __repr__(self):
        return f"Geometry({self._placement()})"


@dataclass(frozen=True, eq=False, repr=False)
class Volume(_Grid):
    """A 3D array of voxels and its grid in the world.

    Parameters
    ----------
    array
        Voxels, shape (z, y, x); an intensity image or a mask.
    spacing_mm, origin, direction
        As in :class:`Geometry`.

    Raises
    ------
    GeometryError
        As for :class:`Geometry`.

    Examples
    --------
    >>> import numpy as np
    >>> volume = Volume(np.zeros((4, 5, 6)), (3.0, 1.0, 1.0))
    >>> volume.to_world([[1, 0, 2]])
    array([[2., 0., 3.]])
    """

    array: np.ndarray
    spacing_mm: tuple[float, float, float]
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: np.ndarray = field(default_factory=_itk_identity)

    def __post_init__(self):
        object.__setattr__(self, "array", np.asarray(self.array))
        self._set_grid()

    def __repr__(self):
        return f"Volume(dtype={self.array.dtype}, {self._placement()})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of voxels along each array axis (z, y, x)."""
        return self.array.shape

    def with_array(self, array: np.ndarray) -> "Volume":
        """Put other voxels on the same grid.

        Parameters
        ----------
        array
            Voxels, of the shape of this volume.
        """
        if np.shape(array) != self.shape:
            msg = (
                f"array has shape {np.shape(array)}, its grid has {self.shape}. Give "
                "an array of the grid's shape, or make a new Volume."
            )
            raise GeometryError(msg)
        return replace(self, array=array)


def _numbers(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:.6g}" for value in values) + ")"


def _check_grid(shape, spacing_mm, origin, direction) -> None:
    if len(shape) != 3 or min(shape) < 1:
        msg = (
            f"shape is {tuple(shape)}, which is not that of one 3D volume. Give three "
            "axes (z, y, x) of at least one voxel each."
        )
        raise GeometryError(msg)
    finite = np.isfinite(spacing_mm).all() and np.isfinite(origin).all()
    if len(spacing_mm) != 3 or len(origin) != 3 or not finite or min(spacing_mm) <= 0:
        msg = (
            f"spacing_mm is {spacing_mm} and origin is {origin}. Give three positive "
            "spacings (z, y, x) in mm and three finite coordinates (x, y, z) in mm."
        )
        raise GeometryError(msg)
    if direction.shape != (3, 3):
        msg = f"direction has shape {direction.shape}. Give a 3x3 matrix."
        raise GeometryError(msg)
    deviation = np.abs(direction.T @ direction - np.eye(3)).max()
    if not deviation <= ORTHOGONALITY_TOLERANCE:  # so that NaN is refused as well
        msg = (
            "the axes of the grid are not orthogonal unit vectors: direction "
            f"{direction.round(5).tolist()} deviates by {deviation:.2g}, "
            f"{ORTHOGONALITY_TOLERANCE:g} is allowed. Resample the image onto an "
            "orthogonal grid, or mend its header."
        )
        raise GeometryError(msg)


def geometry_difference(
    a: Geometry | Volume,
    b: Geometry | Volume,
    *,
    tolerance_mm: float = TOLERANCE_MM,
) -> str:
    """Say in what two grids differ, or return an empty string.

    Parameters
    ----------
    a, b
        The grids.
    tolerance_mm
        How far apart in mm a corner of one grid may lie from that of the other.

    Notes
    -----
    The grids agree if their shapes are equal and each of the eight outer corners lies
    within ``tolerance_mm`` of its counterpart. This weighs spacing, origin and
    direction by their effect on the voxels farthest away. The corners are those of
    the outermost voxels, not their centers, so that one slice has a thickness.
    """
    if a.shape != b.shape:
        return f"shape {a.shape} against {b.shape}"
    corners = np.array(list(itertools.product(*((-0.5, n - 0.5) for n in a.shape))))
    apart = np.linalg.norm(a.to_world(corners) - b.to_world(corners), axis=1).max()
    if apart <= tolerance_mm:
        return ""
    parts = []
    stretch = np.abs(np.subtract(a.spacing_mm, b.spacing_mm)) * a.shape
    if stretch.max() > tolerance_mm:
        spacings = f"{_numbers(a.spacing_mm)} against {_numbers(b.spacing_mm)}"
        parts.append(f"spacing_mm {spacings}")
    if np.abs(np.subtract(a.origin, b.origin)).max() > tolerance_mm:
        parts.append(f"origin {_numbers(a.origin)} against {_numbers(b.origin)}")
    cosines = (a.direction * b.direction).sum(axis=0).clip(-1, 1)
    angle = np.degrees(np.arccos(cosines)).max()
    extent = np.multiply(a.shape, a.spacing_mm).max()
    if np.radians(angle) * extent > tolerance_mm:
        parts.append(f"an axis direction turned by {angle:.3g} degrees")
    return "; ".join([f"corners up to {apart:.3g} mm apart", *parts])


def check_same_grid(
    image: Geometry | Volume,
    mask: Geometry | Volume,
    *,
    case_id: str | None = None,
    tolerance_mm: float = TOLERANCE_MM,
) -> None:
    """Refuse an image and a mask that do not share one grid.

    Parameters
    ----------
    image, mask
        Volumes, or their geometries.
    case_id
        The case that the message names.
    tolerance_mm
        As in :func:`geometry_difference`.

    Raises
    ------
    GeometryError
        If the grids differ.
    """
    difference = geometry_difference(mask, image, tolerance_mm=tolerance_mm)
    if difference:
        case = "" if case_id is None else f"case {case_id!r}: "
        msg = (
            f"{case}the mask grid differs from the image grid, found (mask against "
            f"image): {difference}. Resample the mask onto the image grid, or exclude "
            "the case in cases.csv."
        )
        raise GeometryError(msg)
