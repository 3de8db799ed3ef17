"""A lesion as its texture is measured: its voxels, their neighbors, their gray levels.

Made once for a mask; then each image is put into gray levels and counted in one pass.

References
----------
IBSI reference manual, chapters "Intensity discretisation" and "Grey level
co-occurrence based features", arXiv:1612.07003
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

from radlatent.handcrafted.engine.kernels import texture

__all__ = ["Levels", "Matrices", "Roi", "bin_edges", "discretize"]

#: pyradiomics' width of bins where the settings name none.
_BIN_WIDTH = 25.0

#: More bins than this are a mistake in the width, and would not fit in memory.
_MOST_BINS = 1_000_000

_LARGEST_MATRIX = 2**31  # bytes


@dataclass(frozen=True, eq=False)
class Levels:
    """Gray levels of a lesion's voxels.

    Parameters
    ----------
    levels
        Of each voxel, shape (n,).
    gray
        Levels that occur, ascending, shape (n_levels,).
    counts
        Voxels of each of them, shape (n_levels,).
    """

    levels: np.ndarray
    gray: np.ndarray
    counts: np.ndarray


@dataclass(frozen=True, eq=False)
class Matrices:
    """Texture matrices of one image; see `texture.count_neighbors` for their axes."""

    pairs: np.ndarray
    runs: np.ndarray
    dependence: np.ndarray
    difference: np.ndarray


def bin_edges(
    values: np.ndarray,
    width: float | None,
    count: int | None,
    start: float | None = None,
) -> np.ndarray:
    """Return the edges of gray levels, bit for bit as pyradiomics draws them.

    Parameters
    ----------
    values
        Intensities of the lesion in the type of the image, shape (n,).
    width
        Of a bin; the first starts at a multiple of it.
    count
        Of bins between the extremes; overrides ``width``.
    start
        Where the first bin starts instead.

    Notes
    -----
    Whole numbers are computed as such: pyradiomics' sums wrap around in uint8 and at
    the ends of int16.
    """
    low, high = values.min(), values.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        msg = f"the lesion holds values that are not finite ({low} to {high})"
        raise ValueError(msg)
    if count is not None:
        try:
            edges = np.histogram_bin_edges(np.array([low, high]), count)
        except ValueError as error:
            msg = f"values from {low} to {high} are too alike for {count} bins"
            raise ValueError(msg) from error
        edges[-1] += 1
        return edges.astype(float)
    if values.dtype.kind in "iu":
        low, high = int(low), int(high)
    width = _BIN_WIDTH if width is None else width
    width = int(width) if width == int(width) else width
    if (high - low) / width > _MOST_BINS:
        msg = (
            f"bins of width {width:g} between {low:g} and {high:g} are more than "
            f"{_MOST_BINS}; take a larger binWidth, or binCount"
        )
        raise ValueError(msg)
    start = low - low % width if start is None else start
    edges = np.arange(start, high + 2 * width, width)
    return edges.astype(float)


def discretize(values: np.ndarray, edges: np.ndarray) -> Levels:
    """Put intensities into gray levels.

    Parameters
    ----------
    values
        float64, shape (n,).
    edges
        From `bin_edges`.
    """
    levels = np.empty(values.size, np.int64)
    width = (edges[-1] - edges[0]) / max(edges.size - 1, 1) or 1.0
    texture.discretize(values, edges, width, levels)
    counts = np.bincount(levels)
    gray = np.flatnonzero(counts)
    return Levels(levels, gray, counts[gray])


class Roi:
    """The voxels of a mask, laid out for counting.

    Parameters
    ----------
    mask
        Booleans, shape (z, y, x), cut to their bounding box.
    distances
        Of neighbors, in voxels along an axis at most (GLCM, GLDM, NGTDM).
    flat_axis
        The axis across slices that are measured one by one; None measures in 3D.
    """

    def __init__(
        self, mask: np.ndarray, distances: tuple[int, ...], flat_axis: int | None
    ):
        padded = np.ascontiguousarray(np.pad(mask, max(1, *distances)))
        if max(padded.shape) > 2**16 or padded.size > 2**32:
            msg = f"a lesion in a box of {mask.shape} voxels is too large"
            raise ValueError(msg)
        self._shape = padded.shape
        self._strides = np.array(padded.strides)
        self._voxels = np.flatnonzero(padded).astype(np.uint64)
        self.directions = np.array(
            [d for one in distances for d in _half_sphere(one, flat_axis)]
        ).reshape(-1, 3)
        self.steps = np.array(_half_sphere(1, flat_axis))
        # kept from image to image: fresh memory costs more than what is done in it
        self._levels = np.zeros(padded.size, np.uint16)
        self._parent = np.empty(padded.size, np.uint32)
        self._size = np.zeros(padded.size, np.int32)

    def place(self, levels: Levels) -> None:
        """Lay out the gray levels of an image, those of the last one are replaced."""
        if levels.gray.size >= np.iinfo(np.uint16).max:
            msg = f"{levels.gray.size} gray levels are too many; take wider bins"
            raise ValueError(msg)
        ranks = np.zeros(int(levels.gray[-1]) + 1, np.uint16)
        ranks[levels.gray] = np.arange(1, levels.gray.size + 1)
        texture.lay_out(levels.levels, ranks, self._voxels, self._levels)

    def count(self, levels: Levels, alpha: int) -> Matrices:
        """Return the matrices of the image that was placed last.

        Parameters
        ----------
        levels
            Its gray levels.
        alpha
            Largest difference of levels that counts as dependent (``gldm_a``).

        Raises
        ------
        ValueError
            There are too many gray levels for the memory.
        """
        n, n_offsets = levels.gray.size + 1, len(self.directions)
        n_steps = len(self.steps)
        if n * n * n_offsets * 4 > _LARGEST_MATRIX:
            msg = (
                f"{n - 1} gray levels give matrices of more than 2 GiB; take a larger "
                "binWidth, or binCount"
            )
            raise ValueError(msg)
        offsets = (self.directions @ self._strides).astype(np.uint64)
        steps = (self.steps @ self._strides).astype(np.uint64)
        n_lengths = max(self._shape)
        pairs = np.zeros(n * n_offsets * n, np.int32)
        runs = np.zeros(n * n_steps * n_lengths, np.int32)
        dependence = np.zeros((n, 2 * n_offsets + 1), np.int32)
        difference = np.zeros((n, 2))
        ring = np.empty(16 << int(steps.max()).bit_length(), np.uint16)
        gray = np.concatenate([[0], levels.gray])
        first = np.searchsorted(levels.gray, gray - alpha) + 1
        last = np.searchsorted(levels.gray, gray + alpha, "right")
        similar = np.stack([first, last - first], axis=1).astype(np.uint16)
        texture.count_neighbors(
            self._levels,
            self._voxels,
            gray,
            similar,
            offsets,
            steps,
            pairs,
            runs,
            ring,
            dependence,
            difference,
        )
        return Matrices(
            pairs.reshape(n, n_offsets, n)[1:, :, 1:],
            self._runs(runs.reshape(n, n_steps, n_lengths)[1:]),
            dependence[1:],
            difference[1:],
        )

    def _runs(self, reached):
        """Return runs by length, from voxels by their place in a run."""
        runs = reached - np.append(reached[:, :, 1:], 0 * reached[:, :, :1], axis=2)
        for k in np.flatnonzero(~reached[:, :, 1:].any(axis=(0, 2))):
            # pyradiomics leaves out a direction whose lines meet one voxel each
            if not self._has_row_of_two(self.steps[k]):
                runs[:, k] = 0
        return runs

    def _has_row_of_two(self, step):
        """Return whether two voxels lie on one line along a direction."""
        axis = np.flatnonzero(step)[0]
        n_lines = np.prod(self._shape) - np.prod(self._shape - np.abs(step))
        if self._voxels.size > n_lines:
            return True  # more voxels than lines
        places = np.stack(np.unravel_index(self._voxels.astype(np.int64), self._shape))
        lines = places - step[:, None] * (places[axis] * step[axis])
        return len(np.unique(lines, axis=1).T) < places.shape[1]

    def zones(self) -> tuple[np.ndarray, np.ndarray]:
        """Return rank of level, from 0, and number of voxels of each zone."""
        # first those that neighbor most of the others: they decide most often
        near = [[np.abs(a - b).max() <= 1 for b in self.steps] for a in self.steps]
        order = np.argsort([-sum(row) for row in near], kind="stable")
        covered = [
            sum(1 << k for k, o in enumerate(order) if near[p][o]) for p in order
        ]
        offsets = (self.steps[order] @ self._strides).astype(np.uint64)
        parent, size = self._parent, self._size
        n_zones = texture.connect_zones(
            self._levels, self._voxels, offsets, np.array(covered), parent, size
        )
        ranks, sizes = np.empty(n_zones, np.int64), np.empty(n_zones, np.int64)
        texture.list_zones(self._levels, self._voxels, parent, size, ranks, sizes)
        return ranks - 1, sizes


def _half_sphere(distance, flat_axis):
    """Return one of each two opposite steps whose longest side is the distance."""
    sides = range(-distance, distance + 1)
    return [
        step
        for step in product(sides, repeat=3)
        if step > (0, 0, 0)
        and max(map(abs, step)) == distance
        and (flat_axis is None or step[flat_axis] == 0)
    ]
