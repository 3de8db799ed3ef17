"""Surfaces of structures and the distances between them, in mm.

Labels and a box enter, indices of surface voxels leave; two sets of those enter,
distances leave. Both cost what the structures need, not what the volume holds.
"""

from functools import lru_cache

import numpy as np
from scipy.spatial import cKDTree

__all__ = ["SURFACE", "distance_metrics", "distances_to", "surface_of"]

#: What a surface is in this room: that of MedPy, and of MONAI without sub-voxels.
SURFACE = (
    "voxels of a structure with a neighbor along an axis (2 an axis) outside of it; "
    "beyond the edge of the array lies nothing"
)

#: Boxes emptier than this are cheaper to walk voxel by voxel of the structure.
_SPARSE = 8

#: Offsets of fewer voxels than this are tried one by one: most surfaces lie that near.
_NEAR_VOXELS = 4

#: So that 3 * 0.1 mm is within 0.3 mm.
_ROUNDING_MM = 1e-9


def surface_of(labels: np.ndarray, label: int, box: tuple[slice, ...]) -> np.ndarray:
    """Return the surface voxels of a structure, as `SURFACE` says.

    Parameters
    ----------
    labels
        Integers.
    label
        The structure.
    box
        A box around all of it, one slice an axis.

    Returns
    -------
    numpy.ndarray
        Indices into ``labels``, shape (n, axes), in the order of the array.
    """
    # a rim of nothing: every voxel has its neighbors, and no row sees the next one
    padded = np.zeros([part.stop - part.start + 2 for part in box], dtype=bool)
    inside = padded[(slice(1, -1),) * labels.ndim]
    np.equal(labels[box], label, out=inside)
    flat = padded.ravel()
    if np.count_nonzero(flat) * _SPARSE < flat.size:
        at = np.flatnonzero(flat)
        inner = np.ones(at.size, dtype=bool)
        for stride in padded.strides:
            inner &= flat[at - stride]
            inner &= flat[at + stride]
        at = at[~inner]
    else:
        rim, n = padded.strides[0], flat.size
        inner = flat[rim : n - rim].copy()
        for stride in padded.strides:
            inner &= flat[rim - stride : n - rim - stride]
            inner &= flat[rim + stride : n - rim + stride]
        at = np.flatnonzero(inner ^ flat[rim : n - rim]) + rim
    corner = [part.start - 1 for part in box]
    return np.stack(np.unravel_index(at, padded.shape), axis=1) + corner


def distances_to(
    points: np.ndarray, targets: np.ndarray, spacing_mm: tuple[float, ...]
) -> np.ndarray:
    """Return how far each point is from the nearest target, in mm.

    Parameters
    ----------
    points, targets
        Indices of voxels, shape (n, axes), at least one of each.
    spacing_mm
        In the order of the axes.

    Returns
    -------
    numpy.ndarray
        Float64, shape (n,), in the order of the points.

    Notes
    -----
    Offsets up to 4 voxels are looked up from the shortest on; what finds no target
    there asks a KD-tree. The result is exact. A distance transform would visit every
    voxel of the box around both surfaces, which a speck far away makes large.
    """
    spacing = np.asarray(spacing_mm, dtype=np.float64)
    found = np.empty(len(points))
    left = _look_nearby(points, targets, tuple(spacing.tolist()), found)
    if left.size:
        far = points[left]
        tree = cKDTree(targets * spacing, balanced_tree=False, compact_nodes=False)
        nearest = targets[tree.query(far * spacing)[1]]
        # from whole voxels, so that equal distances are equal to the last digit
        found[left] = _lengths(far - nearest, spacing)
    return found


def _look_nearby(points, targets, spacing_mm, found):
    """Enter the distances of points near a target; return which are left."""
    offsets, lengths_mm = _short_offsets(spacing_mm)
    low = np.minimum(points.min(axis=0), targets.min(axis=0)) - _NEAR_VOXELS
    high = np.maximum(points.max(axis=0), targets.max(axis=0)) + _NEAR_VOXELS + 1
    # zeros that nobody touches take no memory, however far apart the surfaces lie
    taken = np.zeros(high - low, dtype=bool)
    strides, flat = np.array(taken.strides), taken.ravel()
    flat[(targets - low) @ strides] = True
    at, left = (points - low) @ strides, np.arange(len(points))
    for step, length_mm in zip(offsets @ strides, lengths_mm, strict=True):
        hit = flat[at + step]
        if hit.any():
            found[left[hit]] = length_mm
            at, left = at[~hit], left[~hit]
            if not left.size:
                break
    return left


@lru_cache(maxsize=16)
def _short_offsets(spacing_mm):
    """Return the shortest offsets in voxels, shape (n, axes), and their lengths in mm.

    All that are shorter than the first one left out, so that a hit is the nearest.
    """
    n, spacing = len(spacing_mm), np.array(spacing_mm)
    reach = _NEAR_VOXELS - 1
    offsets = np.indices((2 * reach + 1,) * n).reshape(n, -1).T - reach
    lengths = _lengths(offsets, spacing)
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] < _NEAR_VOXELS * spacing.min()]
    return offsets[order], lengths[order]


def _lengths(offsets, spacing_mm):
    return np.sqrt(((offsets * spacing_mm) ** 2).sum(axis=1))


def distance_metrics(
    to_reference: np.ndarray, to_mask: np.ndarray, *, tolerance_mm: float
) -> dict[str, float]:
    """Return the metrics of two sets of directed distances.

    Parameters
    ----------
    to_reference
        From each surface voxel of the mask, in mm.
    to_mask
        From each surface voxel of the reference, in mm.
    tolerance_mm
        What ``nsd`` takes for equal.

    Notes
    -----
    Percentiles are interpolated linearly between values.
    """
    directed = to_reference, to_mask
    pooled = np.concatenate(directed)
    near = np.count_nonzero(pooled <= tolerance_mm + _ROUNDING_MM)
    return {
        "hd_mm": float(pooled.max()),
        "hd95_max_mm": float(max(np.percentile(one, 95) for one in directed)),
        "hd95_pooled_mm": float(np.percentile(pooled, 95)),
        "assd_pooled_mm": float(pooled.mean()),
        "assd_mean_mm": float(np.mean([one.mean() for one in directed])),
        "nsd": near / pooled.size,
    }
