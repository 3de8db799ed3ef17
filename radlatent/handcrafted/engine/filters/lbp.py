"""Local binary patterns: which neighbors are at least as bright as a voxel.

As pyradiomics makes them, with its habits: images keep their type, so that a pattern
of whole numbers is rounded; spacing is ignored; in 3D the two angles are swapped.

References
----------
Ojala et al. 2002, doi:10.1109/TPAMI.2002.1017623 (2D); Banerjee et al. 2013,
doi:10.1007/978-3-642-40760-4_48 (3D)
"""

import threading
import warnings
from collections.abc import Iterator

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.special import sph_harm_y
from skimage.feature import local_binary_pattern

from radlatent.handcrafted.settings import Options

__all__ = ["lbp2d_image", "lbp3d_images"]

#: The filters of warnings belong to all threads of a process.
_filters = threading.Lock()


def lbp2d_image(image: np.ndarray, options: Options) -> np.ndarray:
    """Return the patterns of each slice, in the type of the image.

    Parameters
    ----------
    image
        Shape (z, y, x); beyond its edges lie zeros.
    options
        ``lbp2DRadius``, ``lbp2DSamples``, ``lbp2DMethod``, ``force2Ddimension``.
    """
    slices = np.moveaxis(image, options.force2Ddimension, 0)
    patterns = np.empty_like(slices)
    for found, one in zip(patterns, slices, strict=True):
        with np.errstate(invalid="ignore"), _filters, warnings.catch_warnings():
            # that rounding of floating images decides ties, which is what is wanted
            warnings.simplefilter("ignore", UserWarning)
            found[...] = local_binary_pattern(
                one,
                P=options.lbp2DSamples,
                R=options.lbp2DRadius,
                method=options.lbp2DMethod,
            )
    return np.moveaxis(patterns, 0, options.force2Ddimension)


def lbp3d_images(
    image: np.ndarray,
    box: tuple[slice, slice, slice],
    mask: np.ndarray,
    options: Options,
) -> Iterator[np.ndarray]:
    """Yield a pattern for each order of spherical harmonics, then the kurtosis.

    Parameters
    ----------
    image
        Shape (z, y, x).
    box
        Of the lesion in it.
    mask
        Booleans of the shape of the box.
    options
        ``lbp3DLevels``, ``lbp3DIcosphereRadius``, ``lbp3DIcosphereSubdivision``.
    """
    radius = options.lbp3DIcosphereRadius
    sphere = icosphere(options.lbp3DIcosphereSubdivision, radius)
    azimuth = np.arccos((sphere[:, 2] / radius).clip(-1, 1))
    polar = np.arctan2(sphere[:, 1], sphere[:, 0])
    starts = [part.start for part in box]
    places = np.argwhere(mask) + starts
    # in the type of the image: samples of whole numbers are rounded
    samples = map_coordinates(image, (places[None] + sphere[:, None]).T, order=3)
    brighter = (samples >= image[box][mask][:, None]).astype(float)
    for order in range(options.lbp3DLevels):
        waves = np.stack(
            [sph_harm_y(order, m, polar, azimuth) for m in range(-order, order + 1)], 1
        )
        response = brighter @ (waves @ waves.T)
        yield _spread(np.sqrt((response**2).sum(axis=1)).real, mask)
    yield _spread(_kurtosis(samples), mask)


def _kurtosis(samples):
    """Return the excess kurtosis of each row, NaN of one whose samples are alike."""
    off = samples - samples.mean(axis=1, keepdims=True)
    squared = off * off
    with np.errstate(invalid="ignore", divide="ignore"):
        return (squared**2).mean(axis=1) / squared.mean(axis=1) ** 2 - 3


def _spread(values, mask):
    image = np.zeros(mask.shape, values.dtype)
    image[mask] = values
    return image


def icosphere(subdivisions: int, radius: float) -> np.ndarray:
    """Return points spread evenly over a sphere: a divided icosahedron, shape (n, 3).

    Parameters
    ----------
    subdivisions
        How often each triangle is cut into four.
    radius
        Of the sphere.
    """
    golden = (1 + 5**0.5) / 2
    # in the order of trimesh: sums of float32 samples depend on it
    signs = [(a, b) for b in (1, -1) for a in (-1, 1)]
    corners = [np.roll([a, b * golden, 0], k) for k in range(3) for a, b in signs]
    corners = np.array(corners) / np.sqrt(1 + golden * golden)
    apart = np.linalg.norm(corners[:, None] - corners, axis=2)
    edges = apart < 1.1 * apart[apart > 0].min()
    n = range(12)
    faces = [
        (i, j, k)
        for i in n
        for j in n[i + 1 :]
        for k in n[j + 1 :]
        if edges[i, j] and edges[j, k] and edges[i, k]
    ]
    if not subdivisions:
        return corners * radius
    for _ in range(subdivisions):
        corners, faces = _divided(corners, faces)
        length = np.sqrt((corners**2).sum(axis=1, keepdims=True))
        corners = corners + corners / length * (radius - length)
    return corners


def _divided(corners, faces):
    """Cut each triangle into four at the middles of its sides."""
    around = [side for a, b, c in faces for side in ((a, b), (b, c), (c, a))]
    sides = sorted({tuple(sorted(s)) for s in around}, key=lambda side: side[::-1])
    number = {side: len(corners) + k for k, side in enumerate(sides)}
    middles = np.array([corners[list(side)].mean(axis=0) for side in sides])
    smaller = []
    for a, b, c in faces:
        ab, bc, ca = (number[tuple(sorted(s))] for s in ((a, b), (b, c), (c, a)))
        smaller += [(a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca)]
    return np.concatenate([corners, middles]), smaller
