"""Gray levels of a lesion, and every texture matrix of them in one pass.

A lesion is one flat array of levels on a padded box, 0 outside of the mask, so that
no neighbor needs a check of bounds. Indices are unsigned: numba then leaves out the
test for negative ones.
"""

import numpy as np
from numba import int64, njit, uint16, uint32, uint64

__all__ = [
    "connect_zones",
    "count_neighbors",
    "discretize",
    "lay_out",
    "list_zones",
    "sum_powers",
]


@njit("void(float64[::1], float64[::1], float64, int64[::1])", cache=True)
def discretize(values, edges, width, levels):
    """Write the bin of each value, 1 for the first, as ``numpy.digitize`` counts.

    Parameters
    ----------
    values
        Shape (n,).
    edges
        Lower edges of the bins and the last upper one, ascending, shape (n_edges,).
    width
        Of a bin, about: where the search starts.
    levels
        Filled, shape (n,).
    """
    last = edges.size - 1
    for n in range(values.size):
        value = values[n]
        # in floats first: a value far out would overflow an integer
        guess = min(max((value - edges[0]) / width, 0.0), float(last))
        k = int(guess)
        while k > 0 and value < edges[k]:
            k -= 1
        while k < last and value >= edges[k + 1]:
            k += 1
        levels[n] = k + 1


@njit("void(int64[::1], uint16[::1], uint64[::1], uint16[::1])", cache=True)
def lay_out(levels, ranks, voxels, box):
    """Write the rank of each voxel's level to its place in the box."""
    for n in range(voxels.size):
        box[voxels[n]] = ranks[uint64(levels[n])]


@njit(
    "void(uint16[::1], uint64[::1], int64[::1], uint16[:,::1], uint64[::1],"
    "uint64[::1], int32[::1], int32[::1], uint16[::1], int32[:,::1], float64[:,::1])",
    cache=True,
)
def count_neighbors(  # noqa: PLR0913 - a kernel has no objects to hold them
    levels,
    voxels,
    gray,
    similar,
    offsets,
    steps,
    pairs,
    runs,
    ring,
    dependence,
    difference,
):
    """Count co-occurrences, runs, dependences and neighborhood differences.

    Parameters
    ----------
    levels
        Rank of the gray level of each voxel of the padded box, 0 outside.
    voxels
        Indices of the lesion's voxels in ``levels``, ascending, shape (n,).
    gray
        Gray level of each rank, shape (n_levels,); rank 0 is the outside.
    similar
        First rank that depends on each rank, and how many follow, (n_levels, 2).
    offsets
        Steps in ``levels`` to half of the neighbors, the others being opposite.
    steps
        Steps of runs, directions of length one.
    pairs
        Added to: co-occurrences, shape (n_levels * n_offsets * n_levels,).
    runs
        Added to: how many voxels are the (j + 1)th of their run, shape (n_levels *
        n_steps * n_lengths,). Runs of one length are the difference of two of them.
    ring
        16 for each of a power of two of voxels that is above all steps: the lengths of
        the runs so far. What was not written before is read, and multiplied by 0.
    dependence
        Added to: voxels by number of dependent neighbors, (n_levels, 2 n_offsets + 1).
    difference
        Added to: voxels, and the sum of their distances to the mean of their
        neighbors, (n_levels, 2).
    """
    n_offsets, n_steps = uint64(offsets.size), uint64(steps.size)
    n_levels = uint64(gray.size)
    n_lengths = uint64(runs.size) // max(n_levels * n_steps, uint64(1))
    within = uint64(ring.size // 16 - 1)
    for n in range(voxels.size):
        i = voxels[n]
        rank = levels[i]
        first, further = similar[uint64(rank), 0], similar[uint64(rank), 1]
        total, outside, same = int64(0), uint32(0), uint32(0)
        cell = uint64(rank) * n_offsets * n_levels
        for a in range(n_offsets):
            ahead, behind = levels[i + offsets[a]], levels[i - offsets[a]]
            total += gray[ahead] + gray[behind]
            outside += uint32(ahead == 0) + uint32(behind == 0)
            # unsigned: what lies below the first is far above all that follow
            same += uint32(uint16(ahead - first) <= further)
            same += uint32(uint16(behind - first) <= further)
            pairs[cell + uint64(ahead)] += 1
            cell += n_levels
        cell = uint64(rank) * n_steps * n_lengths
        own = (i & within) << uint64(4)
        for a in range(n_steps):
            before = i - steps[a]
            # no branch: a mispredicted one costs more than all the rest
            length = uint16(
                uint16(levels[before] == rank)
                * (ring[((before & within) << uint64(4)) + uint64(a)] + uint16(1))
            )
            ring[own + uint64(a)] = length
            runs[cell + uint64(length)] += 1
            cell += n_lengths
        dependence[uint64(rank), uint64(same)] += 1
        difference[uint64(rank), 0] += 1.0
        count = int64(2 * n_offsets) - int64(outside)
        if count > 0:
            difference[uint64(rank), 1] += abs(gray[rank] - total / count)


@njit(
    "int64(uint16[::1], uint64[::1], uint64[::1], int64[::1], uint32[::1],int32[::1])",
    cache=True,
)
def connect_zones(levels, voxels, offsets, covered, parent, size):
    """Unite neighboring voxels of one level; return the number of zones.

    Parameters
    ----------
    levels, voxels
        As in `count_neighbors`.
    offsets
        Steps back to the neighbors that come earlier.
    covered
        For each of them a bit mask of those of them that it neighbors itself: they
        are in its zone already.
    parent
        Written for each voxel: the first voxel of its zone.
    size
        Added to at the first voxel of each zone; zeros before.

    References
    ----------
    Wu, Otoo, Suzuki 2009, doi:10.1007/s10044-008-0109-y (union by scan order)
    """
    for n in range(voxels.size):
        i = voxels[n]
        root = i
        pending = (1 << offsets.size) - 1
        for a in range(offsets.size):
            j = i - offsets[a]
            if (pending >> a) & 1 and levels[j] == levels[i]:
                pending &= ~covered[a]
                while uint64(parent[j]) != j:
                    parent[j] = parent[parent[j]]
                    j = uint64(parent[j])
                parent[max(root, j)] = min(root, j)
                root = min(root, j)
        parent[i] = root
    n_zones = 0
    for n in range(voxels.size):
        i = voxels[n]
        # those before it point at the first voxel of their zones by now
        root = uint64(parent[parent[i]])
        parent[i] = root
        size[root] += 1
        n_zones += int(root == i)
    return n_zones


@njit(
    "void(uint16[::1], uint64[::1], uint32[::1], int32[::1], int64[::1], int64[::1])",
    cache=True,
)
def list_zones(levels, voxels, parent, size, ranks, sizes):
    """Write the rank of the level and the size of each zone, and clear ``size``."""
    zone = 0
    for n in range(voxels.size):
        i = voxels[n]
        if uint64(parent[i]) == i:
            ranks[zone], sizes[zone] = levels[i], size[i]
            size[i] = 0
            zone += 1


@njit("UniTuple(float64, 4)(float64[::1], float64)", cache=True)
def sum_powers(values, mean):
    """Return the sums of abs(d), d^2, d^3 and d^4 of d = values - mean."""
    # four of each: they wait less for one another, and lose less to rounding
    sums = np.zeros((4, 4))
    for n in range(values.size):
        off = values[n] - mean
        squared = off * off
        k = uint64(n & 3)
        sums[k, 0] += abs(off)
        sums[k, 1] += squared
        sums[k, 2] += squared * off
        sums[k, 3] += squared * squared
    return sums[:, 0].sum(), sums[:, 1].sum(), sums[:, 2].sum(), sums[:, 3].sum()
