"""The Laplacian of Gaussian around a lesion, bit for bit as ITK computes it.

It took two thirds of the time of a filtered extraction. A line is filtered as a
whole; across it, only what the lesion's box needs goes on to the next axis.

References
----------
Farneback, Westin 2006, "Improving Deriche-style recursive Gaussian filters",
doi:10.1007/s10851-006-8464-z; ITK's LaplacianRecursiveGaussianImageFilter
"""

from functools import lru_cache
from math import cos, exp, sin

import numpy as np

from radlatent.handcrafted.engine.kernels import gaussian

__all__ = ["laplacian_of_gaussian"]

# Farneback, Westin 2006, table 1: two damped waves whose sum is a Gaussian; of the
# smoothing itself, and of its second derivative
_W1, _L1, _W2, _L2 = 0.6681, -1.3932, 2.0787, -1.3732
_SMOOTH = (1.3530, 1.8151, -0.3531, 0.0902)
_SECOND = (-1.3563, 5.2318, 0.3446, -2.2355)


def laplacian_of_gaussian(
    image: np.ndarray,
    sigma_mm: float,
    spacing_mm: tuple[float, float, float],
    box: tuple[slice, slice, slice],
) -> np.ndarray:
    """Filter an image, and return the filtered voxels of a box.

    Parameters
    ----------
    image
        Shape (z, y, x), at least four voxels along each axis.
    sigma_mm
        Width of the Gaussian in mm; values are normalized across scales.
    spacing_mm
        Of the axes (z, y, x), in mm.
    box
        What is wanted.

    Returns
    -------
    numpy.ndarray
        float32, of the shape of the box.
    """
    exact = image.dtype.kind == "f" and image.dtype.itemsize > 4
    source = image.astype(float if exact else np.float32)
    total = np.zeros([part.stop - part.start for part in box], np.float32)
    # x first, then y and z: the order in which ITK adds up and rounds
    for axis in (2, 1, 0):
        filtered = source
        for along in (axis, *(a for a in (2, 1, 0) if a != axis)):
            weights = _weights(sigma_mm, spacing_mm[along], along == axis)
            filtered = _filter(filtered, weights, along, box[along])
        scaled = filtered.astype(float) * (1.0 / (spacing_mm[axis] * spacing_mm[axis]))
        total = (total + scaled).astype(np.float32)
    return total


def _filter(source, weights, axis, part):
    shape = list(source.shape)
    shape[axis] = part.stop - part.start
    target = np.empty(shape, np.float32)
    # the last axis lies side by side wherever it is not the one to go along
    order = {0: (1, 0, 2), 1: (0, 1, 2), 2: (0, 2, 1)}[axis]
    double = source.dtype == np.float64
    run = gaussian.filter_lines_double if double else gaussian.filter_lines
    run(
        source.transpose(order), target.transpose(order), weights, part.start, part.stop
    )
    return target


@lru_cache(maxsize=64)
def _weights(sigma_mm, spacing_mm, second):
    """Return the rows of `gaussian.filter_lines` for smoothing, or its derivative."""
    scale = sigma_mm / spacing_mm
    feedback = _feedback(scale)
    d1, d2, d3, d4 = feedback
    # from left to right: sum() compensates from Python 3.12 on, and ITK does not
    sd = 1.0 + d1 + d2 + d3 + d4
    n, sn, dn, en = _forward(scale, *_SMOOTH)
    if second:
        dd = d1 + 2 * d2 + 3 * d3 + 4 * d4
        ed = d1 + 4 * d2 + 9 * d3 + 16 * d4
        n0, sn0, dn0, en0 = n, sn, dn, en
        n, sn, dn, en = _forward(scale, *_SECOND)
        beta = -(2 * sn - sd * n[0]) / (2 * sn0 - sd * n0[0])
        n = [b + beta * a for a, b in zip(n0, n, strict=True)]
        sn, dn, en = sn + beta * sn0, dn + beta * dn0, en + beta * en0
        alpha = en * sd * sd - ed * sn * sd - 2 * dn * dd * sd + 2 * dd * dd * sn
        factor = sigma_mm**2 / (alpha / (sd * sd * sd))
    else:
        factor = 1.0 / (2 * sn / sd - n[0])
    n = [value * factor for value in n]
    m = [n[1] - d1 * n[0], n[2] - d2 * n[0], n[3] - d3 * n[0], -d4 * n[0]]
    sn, sm = n[0] + n[1] + n[2] + n[3], m[0] + m[1] + m[2] + m[3]
    edges = [[d * sn / sd for d in feedback], [d * sm / sd for d in feedback]]
    return np.array([n, m, feedback, *edges])


def _feedback(scale):
    cos1, cos2 = cos(_W1 / scale), cos(_W2 / scale)
    exp1, exp2 = exp(_L1 / scale), exp(_L2 / scale)
    d1 = -2 * (exp2 * cos2 + exp1 * cos1)
    d2 = 4 * cos2 * cos1 * exp1 * exp2 + (exp1 * exp1 + exp2 * exp2)
    d3 = -2 * cos1 * exp1 * exp2 * exp2 + -2 * cos2 * exp2 * exp1 * exp1
    return d1, d2, d3, exp1 * exp1 * exp2 * exp2


def _forward(scale, a1, b1, a2, b2):
    """Return four weights, their sum, and their first and second moments."""
    cos1, cos2 = cos(_W1 / scale), cos(_W2 / scale)
    sin1, sin2 = sin(_W1 / scale), sin(_W2 / scale)
    exp1, exp2 = exp(_L1 / scale), exp(_L2 / scale)
    n0 = a1 + a2
    n1 = exp2 * (b2 * sin2 - (a2 + 2 * a1) * cos2)
    n1 += exp1 * (b1 * sin1 - (a1 + 2 * a2) * cos1)
    n2 = (a1 + a2) * cos2 * cos1
    n2 -= b1 * cos2 * sin1 + b2 * cos1 * sin2
    n2 *= 2 * exp1 * exp2
    n2 += a2 * exp1 * exp1 + a1 * exp2 * exp2
    n3 = exp2 * exp1 * exp1 * (b2 * sin2 - a2 * cos2)
    n3 += exp1 * exp2 * exp2 * (b1 * sin1 - a1 * cos1)
    moments = n0 + n1 + n2 + n3, n1 + 2 * n2 + 3 * n3, n1 + 4 * n2 + 9 * n3
    return [n0, n1, n2, n3], *moments
