"""Shape of a mask: volume and surface of its mesh, diameters, principal axes.

Names and values are pyradiomics'; lengths in mm, areas in mm2, volumes in mm3.

References
----------
IBSI reference manual, chapter "Morphological features", arXiv:1612.07003;
van Griethuysen et al. 2017, doi:10.1158/0008-5472.CAN-17-0339
"""

import numpy as np

from radlatent.handcrafted.engine.kernels import mesh
from radlatent.handcrafted.engine.triangles import cube_sums, square_sums

__all__ = ["shape2d_features", "shape_features"]


def shape_features(
    mask: np.ndarray, spacing_mm: tuple[float, float, float]
) -> dict[str, float]:
    """Measure the shape of a mask.

    Parameters
    ----------
    mask
        Booleans, shape (z, y, x), cut to their bounding box.
    spacing_mm
        Of its axes, in mm.

    Notes
    -----
    The largest distances lie between vertices of the mesh on the convex hulls of its
    planes, so that only these are compared.
    """
    padded = np.ascontiguousarray(np.pad(mask, 1)).view(np.uint8)
    area, volume = cube_sums(tuple(spacing_mm))
    cubes = mesh.count_cubes(padded)
    surface_mm2 = area @ cubes[:, 0]
    # an open mesh may have no volume, and then no ratio
    volume_mm3 = (volume * cubes).sum() / 6
    across, overall = _diameters(padded, spacing_mm)
    sums = mesh.sum_coordinates(padded)
    least, minor, major = np.sqrt(_principal_variances(sums, spacing_mm))
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "Elongation": minor / major,
            "Flatness": least / major,
            "LeastAxisLength": 4 * least,
            "MajorAxisLength": 4 * major,
            "Maximum2DDiameterColumn": across[1],
            "Maximum2DDiameterRow": across[2],
            "Maximum2DDiameterSlice": across[0],
            "Maximum3DDiameter": overall,
            "MeshVolume": volume_mm3,
            "MinorAxisLength": 4 * minor,
            "Sphericity": (36 * np.pi * volume_mm3**2) ** (1 / 3) / surface_mm2,
            "SurfaceArea": surface_mm2,
            "SurfaceVolumeRatio": surface_mm2 / volume_mm3,
            "VoxelVolume": int(sums[0]) * float(np.prod(spacing_mm)),
        }


def _diameters(padded, spacing_mm):
    """Return the widest distances in planes across each axis, and the widest of all."""
    shape = np.array(padded.shape)
    strides = np.array(padded.strides)
    flat = padded.ravel()
    across, overall = [], 0.0
    for axes in ([0, 1, 2], [1, 0, 2], [2, 0, 1]):
        points, starts = mesh.plane_hulls(flat, shape[axes], strides[axes])
        spacing = np.array(spacing_mm, dtype=float)[axes]
        planar, widest = mesh.widest(points, starts, spacing, axes[0] == 0)
        across.append(planar)
        overall = max(overall, widest)
    return across, overall


def _principal_variances(sums, spacing_mm):
    """Return the eigenvalues of the covariance of voxel centers, ascending, in mm2."""
    # whole numbers throughout: a flat mask has a variance of exactly 0
    n, *first, zz, yy, xx, zy, zx, yx = (int(value) for value in sums)
    second = np.array([[zz, zy, zx], [zy, yy, yx], [zx, yx, xx]], dtype=object)
    covariance = second * n - np.outer(first, first)
    scaled = covariance.astype(float) / n**2 * np.outer(spacing_mm, spacing_mm)
    return np.linalg.eigvalsh(scaled).clip(min=0)


def shape2d_features(
    mask: np.ndarray, spacing_mm: tuple[float, float]
) -> dict[str, float]:
    """Measure the shape of a slice.

    Parameters
    ----------
    mask
        Booleans, shape (y, x), cut to their bounding box.
    spacing_mm
        Of its axes, in mm.
    """
    padded = np.ascontiguousarray(np.pad(mask, 1)).view(np.uint8)
    length, surface = square_sums(tuple(spacing_mm))
    squares = mesh.count_squares(padded)
    perimeter_mm = length @ squares[:, 0]
    surface_mm2 = (surface * squares).sum() / 2
    sums = mesh.sum_coordinates(padded[None])
    solid = np.pad(padded[None], ((1, 1), (0, 0), (0, 0)))
    spacing = np.array([1.0, *spacing_mm])
    points, _ = mesh.plane_hulls(
        solid.ravel(), np.array(solid.shape), np.array(solid.strides)
    )
    # the plane through the slice itself, not those above and below
    inside = points[points[:, 0] == 2]
    diameter, _ = mesh.widest(inside, np.array([0, len(inside)]), spacing, False)
    _, minor, major = np.sqrt(_principal_variances(sums, spacing))
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "Elongation": minor / major,
            "MajorAxisLength": 4 * major,
            "MaximumDiameter": diameter,
            "MeshSurface": surface_mm2,
            "MinorAxisLength": 4 * minor,
            "Perimeter": perimeter_mm,
            "PerimeterSurfaceRatio": perimeter_mm / surface_mm2,
            "PixelSurface": int(sums[0]) * float(np.prod(spacing_mm)),
            "Sphericity": 2 * np.sqrt(np.pi * surface_mm2) / perimeter_mm,
        }
