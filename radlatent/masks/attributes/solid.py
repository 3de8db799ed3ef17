"""Volume, surface and axes of a lesion: booleans enter, numbers leave."""

from collections.abc import Sequence

import numpy as np
from skimage.measure import marching_cubes, mesh_surface_area

__all__ = ["lesion_values"]


def lesion_values(inside: np.ndarray, spacing_mm: Sequence[float]) -> list[float]:
    """Return volume, sphericity and elongation of a lesion, NaN of an empty one.

    Parameters
    ----------
    inside
        Booleans, shape (z, y, x).
    spacing_mm
        Of (z, y, x).

    Notes
    -----
    Both ratios are defined as in pyradiomics. Sphericity is that of a triangle mesh at
    half height, whose steps enlarge the surface: a ball has about 0.9. Elongation is
    the standard deviation along the second axis over that along the first.
    """
    places = np.argwhere(inside) * np.asarray(spacing_mm, dtype=np.float64)
    if not len(places):
        return [np.nan] * 3
    volume = len(places) * float(np.prod(spacing_mm))
    padded = np.pad(inside, 1).astype(np.float32)
    points, triangles, *_ = marching_cubes(padded, 0.5, spacing=tuple(spacing_mm))
    corners = points[triangles].astype(np.float64)
    meshed = abs(np.einsum("ij,ij->i", corners[:, 0], _normals(corners)).sum()) / 6
    surface = float(mesh_surface_area(points, triangles))
    sphericity = (36 * np.pi * meshed**2) ** (1 / 3) / surface
    along = np.linalg.eigvalsh(np.cov(places.T, bias=True)) if len(places) > 1 else None
    elongation = np.nan
    if along is not None and along[2] > 0:
        elongation = float(np.sqrt(max(along[1], 0) / along[2]))
    return [volume, float(sphericity), elongation]


def _normals(corners):
    return np.cross(corners[:, 1], corners[:, 2])
