"""GLRLM, GLSZM, GLDM: gray levels by the size of what they form.

Runs of one gray level along a direction, zones of connected voxels of one gray
level, and the number of neighbors of a similar gray level. Each is a table of gray
level by size, and all three are summed up alike. Names and values are pyradiomics'.

References
----------
Galloway 1975, doi:10.1016/S0146-664X(75)80008-6 (GLRLM); Thibault et al. 2009 (GLSZM);
Sun, Wee 1983, doi:10.1016/0734-189X(83)90032-4 (NGLDM, here GLDM); IBSI reference
manual, arXiv:1612.07003
"""

import numpy as np

__all__ = ["gldm_features", "glrlm_features", "glszm_features"]

_EPS = np.spacing(1.0)


def glrlm_features(
    runs: np.ndarray, gray: np.ndarray, weights: np.ndarray | None
) -> dict[str, float]:
    """Measure run-length matrices; a feature is the mean over directions.

    Parameters
    ----------
    runs
        Number of runs, shape (n_levels, n_directions, n_lengths).
    gray
        Gray levels, shape (n_levels,).
    weights
        Of directions, which are then added up; None leaves them apart.
    """
    runs = runs.transpose(1, 0, 2).astype(float)
    if weights is not None:
        runs = np.tensordot(weights, runs, axes=1)[None]
    runs = runs[runs.any(axis=(1, 2))]
    kept = np.flatnonzero(runs.any(axis=(0, 1)))
    if not kept.size:
        kept, runs = np.arange(1), np.full((1, gray.size, 1), np.nan)
    s = _summed(runs[:, :, kept], gray, kept + 1)
    names = {
        "GrayLevelNonUniformity": s["levels"],
        "GrayLevelNonUniformityNormalized": s["levels"] / s["n"],
        "GrayLevelVariance": s["level variance"],
        "HighGrayLevelRunEmphasis": s["high"],
        "LongRunEmphasis": s["large"],
        "LongRunHighGrayLevelEmphasis": s["large high"],
        "LongRunLowGrayLevelEmphasis": s["large low"],
        "LowGrayLevelRunEmphasis": s["low"],
        "RunEntropy": s["entropy"],
        "RunLengthNonUniformity": s["sizes"],
        "RunLengthNonUniformityNormalized": s["sizes"] / s["n"],
        "RunPercentage": s["n"] / s["voxels"],
        "RunVariance": s["size variance"],
        "ShortRunEmphasis": s["small"],
        "ShortRunHighGrayLevelEmphasis": s["small high"],
        "ShortRunLowGrayLevelEmphasis": s["small low"],
    }
    return {name: values.mean() for name, values in names.items()}


def glszm_features(
    ranks: np.ndarray, sizes: np.ndarray, gray: np.ndarray
) -> dict[str, float]:
    """Measure zones.

    Parameters
    ----------
    ranks, sizes
        Of each zone: the place of its gray level in ``gray``, and its voxels.
    gray
        Gray levels, shape (n_levels,).
    """
    found = np.flatnonzero(np.bincount(sizes))
    place = np.searchsorted(found, sizes)
    n_cells = gray.size * found.size
    zones = np.bincount(ranks * found.size + place, minlength=n_cells)
    s = _summed(zones.reshape(1, gray.size, found.size).astype(float), gray, found)
    names = {
        "GrayLevelNonUniformity": s["levels"],
        "GrayLevelNonUniformityNormalized": s["levels"] / s["n"],
        "GrayLevelVariance": s["level variance"],
        "HighGrayLevelZoneEmphasis": s["high"],
        "LargeAreaEmphasis": s["large"],
        "LargeAreaHighGrayLevelEmphasis": s["large high"],
        "LargeAreaLowGrayLevelEmphasis": s["large low"],
        "LowGrayLevelZoneEmphasis": s["low"],
        "SizeZoneNonUniformity": s["sizes"],
        "SizeZoneNonUniformityNormalized": s["sizes"] / s["n"],
        "SmallAreaEmphasis": s["small"],
        "SmallAreaHighGrayLevelEmphasis": s["small high"],
        "SmallAreaLowGrayLevelEmphasis": s["small low"],
        "ZoneEntropy": s["entropy"],
        "ZonePercentage": s["n"] / s["voxels"],
        "ZoneVariance": s["size variance"],
    }
    return {name: values[0] for name, values in names.items()}


def gldm_features(dependence: np.ndarray, gray: np.ndarray) -> dict[str, float]:
    """Measure a dependence matrix.

    Parameters
    ----------
    dependence
        Voxels by gray level and number of dependent neighbors, from 0, shape
        (n_levels, n_dependences).
    gray
        Gray levels, shape (n_levels,).

    Notes
    -----
    A voxel with k dependent neighbors has dependence k + 1.
    """
    found = np.flatnonzero(dependence.any(axis=0))
    s = _summed(dependence[None, :, found].astype(float), gray, found + 1)
    names = {
        "DependenceEntropy": s["entropy"],
        "DependenceNonUniformity": s["sizes"],
        "DependenceNonUniformityNormalized": s["sizes"] / s["n"],
        "DependenceVariance": s["size variance"],
        "GrayLevelNonUniformity": s["levels"],
        "GrayLevelVariance": s["level variance"],
        "HighGrayLevelEmphasis": s["high"],
        "LargeDependenceEmphasis": s["large"],
        "LargeDependenceHighGrayLevelEmphasis": s["large high"],
        "LargeDependenceLowGrayLevelEmphasis": s["large low"],
        "LowGrayLevelEmphasis": s["low"],
        "SmallDependenceEmphasis": s["small"],
        "SmallDependenceHighGrayLevelEmphasis": s["small high"],
        "SmallDependenceLowGrayLevelEmphasis": s["small low"],
    }
    return {name: values[0] for name, values in names.items()}


def _summed(counts, gray, sizes):
    """Sum up tables of gray level by size, shape (n_tables, n_levels, n_sizes)."""
    i, j = gray.astype(float), sizes.astype(float)
    n = counts.sum(axis=(1, 2))
    by_level, by_size = counts.sum(axis=2), counts.sum(axis=1)
    # rows: any, high, low gray level; columns: any, large, small size
    rows = np.stack([np.ones_like(i), i**2, i**-2])
    columns = np.stack([np.ones_like(j), j**2, j**-2], axis=1)
    emphasis = (rows @ counts @ columns) / n[:, None, None]
    shares = counts / n[:, None, None]
    return {
        "n": n,
        "voxels": by_size @ j,
        "high": emphasis[:, 1, 0],
        "low": emphasis[:, 2, 0],
        "large": emphasis[:, 0, 1],
        "small": emphasis[:, 0, 2],
        "large high": emphasis[:, 1, 1],
        "large low": emphasis[:, 2, 1],
        "small high": emphasis[:, 1, 2],
        "small low": emphasis[:, 2, 2],
        "levels": (by_level**2).sum(axis=1) / n,
        "sizes": (by_size**2).sum(axis=1) / n,
        "level variance": _variance(by_level / n[:, None], i),
        "size variance": _variance(by_size / n[:, None], j),
        "entropy": -(shares * np.log2(shares + _EPS)).sum(axis=(1, 2)),
    }


def _variance(shares, values):
    mean = shares @ values
    return (shares * (values - mean[:, None]) ** 2).sum(axis=1)
