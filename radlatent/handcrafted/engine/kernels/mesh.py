"""The surface of a mask: cubes of a mesh, hulls of its planes, moments of its voxels.

What a mesh adds up to is linear in where its cubes lie, so cubes are only counted.
"""

import numpy as np
from numba import njit

__all__ = ["count_cubes", "count_squares", "plane_hulls", "sum_coordinates", "widest"]


@njit("int64[:,::1](uint8[:,:,::1])", cache=True)
def count_cubes(mask):
    """Count the cubes between voxels by which of their corners are inside.

    Parameters
    ----------
    mask
        0 and 1, with a layer of 0 on every side.

    Returns
    -------
    numpy.ndarray
        Shape (256, 4): number of cubes, and the sums of their z, y and x. Corner
        (z, y, x) is bit 4 z + 2 y + x.
    """
    found = np.zeros((256, 4), np.int64)
    for z in range(mask.shape[0] - 1):
        for y in range(mask.shape[1] - 1):
            code = 0
            for x in range(mask.shape[2]):
                right = (
                    mask[z, y, x]
                    | mask[z, y + 1, x] << 2
                    | mask[z + 1, y, x] << 4
                    | mask[z + 1, y + 1, x] << 6
                )
                code = (code >> 1) & 0x55 | right << 1
                if 0 < code < 255:
                    found[code, 0] += 1
                    found[code, 1] += z
                    found[code, 2] += y
                    found[code, 3] += x - 1
    return found


@njit("int64[:,::1](uint8[:,::1])", cache=True)
def count_squares(mask):
    """As `count_cubes` for a slice; corner (y, x) is bit 2 y + x, shape (16, 3)."""
    found = np.zeros((16, 3), np.int64)
    for y in range(mask.shape[0] - 1):
        for x in range(mask.shape[1] - 1):
            code = (
                mask[y, x]
                | mask[y, x + 1] << 1
                | mask[y + 1, x] << 2
                | mask[y + 1, x + 1] << 3
            )
            found[code, 0] += 1
            found[code, 1] += y
            found[code, 2] += x
    return found


@njit("int64[::1](uint8[:,:,::1])", cache=True)
def sum_coordinates(mask):
    """Return n and the sums of z, y, x, zz, yy, xx, zy, zx, yx over a mask's voxels."""
    sums = np.zeros(10, np.int64)
    for z in range(mask.shape[0]):
        for y in range(mask.shape[1]):
            n, sx, sxx = 0, 0, 0
            for x in range(mask.shape[2]):
                inside = int(mask[z, y, x])
                n += inside
                sx += inside * x
                sxx += inside * x * x
            sums[0] += n
            sums[1] += n * z
            sums[2] += n * y
            sums[3] += sx
            sums[4] += n * z * z
            sums[5] += n * y * y
            sums[6] += sxx
            sums[7] += n * z * y
            sums[8] += z * sx
            sums[9] += y * sx
    return sums


@njit("void(int64[::1], int64[::1], int64, int64, int64)", cache=True)
def _widen(low, high, line, first, last):
    low[line] = min(low[line], first)
    high[line] = max(high[line], last)


@njit("int64(int64[::1], int64, int64[:,::1], int64)", cache=True)
def _half_hull(bounds, sign, hull, n_points):
    """Append one side of a convex hull; lines without a point are marked by +-2^62."""
    start = n_points
    for line in range(bounds.size):
        x = bounds[line]
        if abs(x) == 1 << 62:
            continue
        while n_points - start > 1:
            y1, x1 = hull[n_points - 2, 0], hull[n_points - 2, 1]
            y2, x2 = hull[n_points - 1, 0], hull[n_points - 1, 1]
            if sign * ((y2 - y1) * (x - x1) - (line - y1) * (x2 - x1)) < 0:
                break
            n_points -= 1
        hull[n_points, 0], hull[n_points, 1] = line, x
        n_points += 1
    return n_points


@njit(
    "UniTuple(int64, 2)(uint8[::1], int64, int64, int64, int64[::1], int64[::1])",
    cache=True,
)
def _ends(mask, here, there, y, shape, strides):
    """Return first and last x of a line: inside, or different in two planes."""
    same = here == there
    here += y * strides[1]
    there += y * strides[1]
    first, last = 0, shape[2] - 1
    while first <= last:
        a, b = mask[here + first * strides[2]], mask[there + first * strides[2]]
        if (a and same) or a != b:
            break
        first += 1
    while last > first:
        a, b = mask[here + last * strides[2]], mask[there + last * strides[2]]
        if (a and same) or a != b:
            break
        last -= 1
    return first, last


@njit(
    "Tuple((int64[:,::1], int64[::1]))(uint8[::1], int64[::1], int64[::1])", cache=True
)
def plane_hulls(mask, shape, strides):
    """Find the convex hulls of a mesh's vertices, plane by plane.

    Vertices lie halfway between a voxel inside and one outside. In doubled
    coordinates a plane along the first axis is even (through voxels) or odd (between
    them).

    Parameters
    ----------
    mask
        Flat, 0 and 1, with a layer of 0 on every side.
    shape, strides
        Of its axes, the one across the planes first.

    Returns
    -------
    points
        Doubled coordinates (plane, line, x) of the hulls' vertices, shape (n, 3).
    starts
        Where the points of each plane start, shape (n_planes + 1,).
    """
    n_planes, n_lines = 2 * shape[0] - 1, 2 * shape[1]
    hull = np.empty((2 * n_lines, 2), np.int64)
    points = np.empty((1024, 3), np.int64)
    starts = np.zeros(n_planes + 1, np.int64)
    n_points = 0
    for plane in range(n_planes):
        low = np.full(n_lines, 1 << 62, np.int64)
        high = np.full(n_lines, -(1 << 62), np.int64)
        here = (plane // 2) * strides[0]
        there = here + (plane % 2) * strides[0]
        for y in range(1, shape[1] - 1):
            first, last = _ends(mask, here, there, y, shape, strides)
            if first > last:
                continue
            if plane % 2:
                _widen(low, high, 2 * y, 2 * first, 2 * last)
            else:
                _widen(low, high, 2 * y, 2 * first - 1, 2 * last + 1)
                _widen(low, high, 2 * y - 1, 2 * first, 2 * last)
                _widen(low, high, 2 * y + 1, 2 * first, 2 * last)
        n_left = _half_hull(low, -1, hull, 0)
        n_hull = _half_hull(high, 1, hull, n_left)
        if n_points + n_hull > points.shape[0]:
            larger = np.empty((2 * (n_points + n_hull), 3), np.int64)
            larger[:n_points] = points[:n_points]
            points = larger
        for k in range(n_hull):
            points[n_points + k, 0] = plane
            points[n_points + k, 1] = hull[k, 0]
            points[n_points + k, 2] = hull[k, 1]
        n_points += n_hull
        starts[plane + 1] = n_points
    return points[:n_points].copy(), starts


@njit(
    "float64(float64[:,::1], float64[::1], float64[::1], int64[::1], int64, int64,"
    "float64)",
    cache=True,
)
def _farthest(place, radius, reach, starts, p, q, best):
    """Return the larger of ``best`` and the squared distances of two planes' points."""
    if starts[p] == starts[p + 1] or starts[q] == starts[q + 1]:
        return best
    apart = (place[starts[p], 0] - place[starts[q], 0]) ** 2
    # both lie in circles around one center: a bound that leaves out almost all pairs
    if apart + (reach[p] + reach[q]) ** 2 < best:
        return best
    for i in range(starts[p], starts[p + 1]):
        if apart + (radius[i] + reach[q]) ** 2 < best:
            continue
        for j in range(starts[q], starts[q + 1]):
            across = (place[i, 1] - place[j, 1]) ** 2 + (place[i, 2] - place[j, 2]) ** 2
            best = max(best, apart + across)
    return best


@njit(
    "UniTuple(float64, 2)(int64[:,::1], int64[::1], float64[::1], boolean)", cache=True
)
def widest(points, starts, spacing, between):
    """Return the largest distance within a plane, and the largest of all.

    Parameters
    ----------
    points, starts
        From `plane_hulls`.
    spacing
        Of the axes of ``points``, in mm.
    between
        Whether to look for the largest of all: once will do for three axes.
    """
    n_planes = starts.size - 1
    place = points * (spacing / 2)
    center = np.zeros(2)
    for axis in range(2):
        center[axis] = (place[:, axis + 1].min() + place[:, axis + 1].max()) / 2
    radius = np.sqrt((place[:, 1] - center[0]) ** 2 + (place[:, 2] - center[1]) ** 2)
    reach = np.zeros(n_planes)
    planar = 0.0
    for p in range(n_planes):
        if starts[p] < starts[p + 1]:
            reach[p] = radius[starts[p] : starts[p + 1]].max()
            planar = max(planar, _farthest(place, radius, reach, starts, p, p, planar))
    overall = planar
    if not between:
        return np.sqrt(planar), np.sqrt(overall)
    for gap in range(n_planes - 1, 0, -1):
        for p in range(n_planes - gap):
            overall = max(
                overall, _farthest(place, radius, reach, starts, p, p + gap, overall)
            )
    return np.sqrt(planar), np.sqrt(overall)
