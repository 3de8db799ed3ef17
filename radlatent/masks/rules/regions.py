"""A structure of a mask, cut out: what measures of anatomical rules share.

Booleans enter, parts of one structure leave: components, holes, hull. Each is found
once, inside the box of the structure; beyond it, and beyond the edge of the image, lies
nothing, so that values do not depend on where a structure lies.
"""

from functools import cached_property

import numpy as np
from scipy.ndimage import distance_transform_edt, generate_binary_structure, label
from scipy.spatial import ConvexHull

from radlatent.imaging import bounding_box

__all__ = ["Region", "erode", "grow"]

#: Of a voxel, so that the center of a pixel on an edge of the hull counts as inside.
_ROUNDING = 1e-9

#: Weights of the pixels of a border, by 1 + 2 * edge neighbors + 10 * corner neighbors
#: in that border: Benkrid et al. 2000, as skimage.measure.perimeter.
_PERIMETER = np.zeros(50)
_PERIMETER[[5, 7, 15, 17, 25, 27]] = 1
_PERIMETER[[21, 33]] = np.sqrt(2)
_PERIMETER[[13, 23]] = (1 + np.sqrt(2)) / 2

_NEIGHBORS = {
    (n, corners): generate_binary_structure(n, n if corners else 1)
    for n in (2, 3)
    for corners in (False, True)
}


def grow(mask: np.ndarray, *, corners: bool) -> np.ndarray:
    """Return a mask and its neighbors, those across corners too, or across faces only.

    Parameters
    ----------
    mask
        Booleans, of any number of axes; nothing grows back in at the opposite edge.
    corners
        Whether voxels that share a corner only are neighbors.
    """
    grown = mask.copy()
    for axis in range(mask.ndim):
        before = grown.copy() if corners else mask
        ahead = (slice(None),) * axis + (slice(1, None),)
        behind = (slice(None),) * axis + (slice(None, -1),)
        grown[ahead] |= before[behind]
        grown[behind] |= before[ahead]
    return grown


def erode(mask: np.ndarray, *, corners: bool) -> np.ndarray:
    """Return the voxels whose neighbors are all in the mask; beyond the edge none is.

    Parameters
    ----------
    mask
        Booleans whose edge is False.
    corners
        As in `grow`.
    """
    return ~grow(~mask, corners=corners)


class Region:
    """One structure inside its box, one voxel wider on each side.

    Parameters
    ----------
    mask
        Booleans, two or three axes, at least one of them True.
    spacing_mm
        In the order of the axes.

    Notes
    -----
    Arrays of this class have the shape of the widened box; `placed` brings them back.
    """

    def __init__(self, mask, spacing_mm):
        self.box = bounding_box(mask)
        self.whole = mask.shape
        self.spacing_mm = spacing_mm
        tight = mask[self.box]
        self.inside = np.zeros([n + 2 for n in tight.shape], dtype=bool)
        self.inside[(slice(1, -1),) * mask.ndim] = tight

    @property
    def widths(self) -> tuple[int, ...]:
        """Voxels of the box along each axis."""
        return tuple(n - 2 for n in self.inside.shape)

    @cached_property
    def size(self) -> int:
        """Number of voxels."""
        return int(np.count_nonzero(self.inside))

    def placed(self, voxels: np.ndarray) -> np.ndarray:
        """Return voxels of the box in an array as large as the mask was."""
        out = np.zeros(self.whole, dtype=bool)
        out[self.box] = voxels[(slice(1, -1),) * voxels.ndim]
        return out

    def _labeled(self, mask, corners):
        return label(mask, _NEIGHBORS[mask.ndim, corners])

    @cached_property
    def components(self) -> tuple[np.ndarray, np.ndarray]:
        """Components, neighbors across corners: numbers from 1, and voxels of each."""
        numbers, n = self._labeled(self.inside, True)
        if n == 1:
            return numbers, np.array([0, self.size])
        sizes = np.bincount(numbers.ravel(), minlength=n + 1)
        sizes[0] = 0
        return numbers, sizes

    @property
    def outside_largest(self) -> np.ndarray:
        """Voxels out of the largest component, the first of equal ones."""
        numbers, sizes = self.components
        return self.inside & (numbers != sizes.argmax())

    @cached_property
    def enclosed(self) -> np.ndarray:
        """Voxels around which the structure closes, neighbors across faces."""
        numbers, n = self._labeled(~self.inside, False)
        if n == 1:
            return np.zeros_like(self.inside)
        # the edge of the box is one part, whose first voxel is the first of the array
        return numbers > 1

    @cached_property
    def holes(self) -> np.ndarray:
        """Voxels around which the structure closes, neighbors across corners too."""
        # what is open across faces is open across corners
        if not self.enclosed.any():
            return self.enclosed
        return self._labeled(~self.inside, True)[0] > 1

    @cached_property
    def filled(self) -> np.ndarray:
        """The structure with what it encloses."""
        return self.inside | self.enclosed

    @cached_property
    def hull(self) -> np.ndarray:
        """Pixels whose centers lie in the convex hull of the filled structure.

        The hull is that of the middles of the pixels' edges. Two axes only.
        """
        rows, first, last = _ends(self.filled)
        box = np.arange(rows[0], rows[-1] + 1)[:, np.newaxis]
        left = _outermost(rows, first, box)
        right = -_outermost(rows, -last, box)
        columns = np.arange(self.inside.shape[1])
        hull = np.zeros_like(self.inside)
        hull[box[0, 0] : box[-1, 0] + 1] = (columns >= left) & (columns <= right)
        return hull

    @cached_property
    def depth_mm(self) -> np.ndarray:
        """Distance to the outside of the hull in its gaps, 0 elsewhere.

        A gap is hull without filled structure, without the pixels at its rim.
        """
        gap = erode(self.hull & ~self.filled, corners=True)
        if not gap.any():
            return np.zeros(gap.shape)
        return distance_transform_edt(self.hull, sampling=self.spacing_mm) * gap

    @cached_property
    def rim(self) -> np.ndarray:
        """Voxels of the filled structure with a face to the outside."""
        return self.filled & ~erode(self.filled, corners=False)

    @property
    def perimeter(self) -> float:
        """Length of the rim of the filled structure in pixels (two axes only).

        References
        ----------
        Benkrid et al. 2000, doi:10.1109/ICECS.2000.911630
        """
        rim = self.rim.astype(np.uint8)
        ends = rim[:, :-2] + rim[:, 2:]
        edges = ends[1:-1] + rim[:-2, 1:-1] + rim[2:, 1:-1]
        codes = 1 + 2 * edges + 10 * (ends[:-2] + ends[2:])
        counts = np.bincount(codes[self.rim[1:-1, 1:-1]], minlength=50)
        return float(counts @ _PERIMETER)

    @property
    def solidity(self) -> float:
        """Share of the convex hull around the voxels' corners that is structure."""
        *rows, first, last = _ends(self.inside)
        points = np.stack([np.tile(axis, 2) for axis in rows], axis=1)
        points = np.c_[points, np.r_[first - 0.5, last + 0.5]].astype(np.float64)
        for axis in range(len(rows)):
            shift = 0.5 * (np.arange(points.shape[1]) == axis)
            points = np.concatenate([points - shift, points + shift])
        return self.size / ConvexHull(points).volume


def _outermost(rows, columns, at):
    """Return the left side of the hull of some pixels at the rows asked for.

    Half steps are whole numbers here, so that no rounding decides on the corners.
    """
    across = np.full(2 * (rows[-1] - rows[0]) + 3, np.iinfo(np.int64).max)
    steps = 2 * (rows - rows[0])
    across[steps + 1] = 2 * columns - 1
    for step in (steps, steps + 2):
        across[step] = np.minimum(across[step], 2 * columns)
    held = np.flatnonzero(across < np.iinfo(np.int64).max)
    corners = []
    for down, over in zip(held.tolist(), across[held].tolist(), strict=True):
        while len(corners) > 1:
            (d0, o0), (d1, o1) = corners[-2:]
            if (o1 - o0) * (down - d0) < (over - o0) * (d1 - d0):
                break
            corners.pop()
        corners.append((down, over))
    down, over = np.array(corners).T / 2
    return np.interp(at, down - 0.5 + rows[0], over) - _ROUNDING


def _ends(mask):
    """Return where rows along the last axis hold voxels: the rows, first and last."""
    held = np.nonzero(mask.any(axis=-1))
    lines = mask[held]
    last = mask.shape[-1] - 1 - lines[:, ::-1].argmax(axis=-1)
    return *held, lines.argmax(axis=-1), last
