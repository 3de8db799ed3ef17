"""First-order features: the intensities of a lesion, wherever they lie.

Names and values are pyradiomics'. In the unit of the image, unless it cancels.

References
----------
IBSI reference manual, chapters "Intensity-based statistical features" and "Intensity
histogram features", arXiv:1612.07003
"""

import numpy as np

from radlatent.handcrafted.engine.kernels import texture

__all__ = ["firstorder_features"]

#: Added to probabilities before their logarithm is taken, as pyradiomics does.
_EPS = np.spacing(1.0)


def firstorder_features(
    values: np.ndarray, counts: np.ndarray, voxel_mm3: float, shift: float
) -> dict[str, float]:
    """Measure the intensities of a lesion.

    Parameters
    ----------
    values
        Intensities in the type of the image, shape (n,).
    counts
        Voxels of each gray level that occurs.
    voxel_mm3
        Volume of a voxel in mm3.
    shift
        Added to intensities before they are squared (``voxelArrayShift``).
    """
    ordered, values = np.sort(values), values.astype(float)
    p10, p25, median, p75, p90 = (
        _percentile(ordered, share) for share in (0.1, 0.25, 0.5, 0.75, 0.9)
    )
    low, high = np.searchsorted(ordered, p10), np.searchsorted(ordered, p90, "right")
    middle = ordered[low:high].astype(float)
    # two voxels of two intensities: none lies between
    robust = np.abs(middle - middle.mean()).mean() if middle.size else np.nan
    mean = values.mean()
    powers = texture.sum_powers(values, mean)
    absolute, variance, third, fourth = (total / values.size for total in powers)
    shifted = values + shift if shift else values
    energy = shifted @ shifted
    shares = counts / counts.sum()
    divisor = variance if variance else 1.0
    return {
        "10Percentile": p10,
        "90Percentile": p90,
        "Energy": energy,
        "Entropy": -(shares * np.log2(shares + _EPS)).sum(),
        "InterquartileRange": p75 - p25,
        "Kurtosis": fourth / divisor**2,
        "Maximum": ordered[-1],
        "MeanAbsoluteDeviation": absolute,
        "Mean": mean,
        "Median": median,
        "Minimum": ordered[0],
        "Range": float(ordered[-1]) - float(ordered[0]),
        "RobustMeanAbsoluteDeviation": robust,
        "RootMeanSquared": np.sqrt(energy / values.size),
        "Skewness": third / divisor**1.5,
        "TotalEnergy": energy * voxel_mm3,
        "Uniformity": (shares * shares).sum(),
        "Variance": variance,
    }


def _percentile(ordered, share):
    """Interpolate between sorted values, to the last bit as ``numpy.percentile``."""
    place = share * (ordered.size - 1)
    before = int(place)
    low = float(ordered[before])
    high = float(ordered[min(before + 1, ordered.size - 1)])
    part = place - before
    if part < 0.5:
        return low + (high - low) * part
    return high - (high - low) * (1 - part)
