"""What it means that two engines give the same values."""

import math

import pytest

#: Of a value. Sums of thousands of voxels in another order stay below 1e-12.
RELATIVE = 1e-9

#: Absolute, where a value is a difference that may cancel to 0 in numbers about 1.
CANCELS = 1e-12

_ENTROPIES = {"Entropy", "JointEntropy", "SumEntropy", "DifferenceEntropy"}
_ENTROPIES |= {"RunEntropy", "ZoneEntropy", "DependenceEntropy", "Correlation"}
_SPREADS = {"ClusterTendency", "DifferenceVariance", "SumSquares", "GrayLevelVariance"}
_SPREADS |= {"RunVariance", "ZoneVariance", "DependenceVariance"}
_SQUARED = {"Energy", "TotalEnergy", "Variance"}
_WITHOUT_UNIT = {"Entropy", "Uniformity", "Kurtosis", "Skewness"}

#: What pyradiomics makes of no pair, or no run, at all when directions are weighted:
#: a sum over nothing is 0. It is NaN here, as everything else of that matrix.
_OF_NOTHING = {
    "InverseVariance": "Contrast",
    "MCC": "Contrast",
    "RunEntropy": "ShortRunEmphasis",
    "RunVariance": "ShortRunEmphasis",
}


def floor_of(name, found, expected):
    """Return the absolute difference that rounding may leave of a value near 0.

    Parameters
    ----------
    name
        Of the feature.
    found, expected
        Name to value, of all features.
    """
    image, feature_class, feature = name.split("_")
    prefix = f"{image}_{feature_class}_"
    if feature_class.startswith("shape"):
        return _floor_of_shape(feature, prefix, expected)
    if feature_class == "firstorder":
        return _floor_of_intensities(feature, prefix, expected)
    if feature in {"Imc2", "MCC"}:
        # roots of a difference that is known to a few 1e-15
        return 1e-13 / max(abs(found[name]) + abs(expected[name]), 1e-300)
    if feature == "Imc1":
        # a difference of entropies, in units of one that may itself be tiny
        return CANCELS + 1e-14 / max(expected[f"{prefix}JointEntropy"], 1e-9)
    if feature in {"ClusterShade", "ClusterProminence"}:
        power = 1.5 if feature == "ClusterShade" else 2
        return CANCELS * max(1.0, expected[f"{prefix}Autocorrelation"] ** power)
    return CANCELS if feature in _ENTROPIES | _SPREADS else 0.0


def _floor_of_shape(feature, prefix, expected):
    if feature in {"LeastAxisLength", "MinorAxisLength"}:
        # a root of a variance, itself known to 1e-15 of the largest one
        return 1e-7 * expected[f"{prefix}MajorAxisLength"]
    if feature in {"Elongation", "Flatness"}:
        return 1e-7
    if feature == "MeshVolume":
        # tetrahedra up to the origin, of both signs
        return 1e-13 * expected[f"{prefix}SurfaceArea"] ** 1.5
    return 0.0


def _floor_of_intensities(feature, prefix, expected):
    """Scale by the brightest voxel of the image, or of the one it is derived from."""
    sources = {prefix, "original_firstorder_"}
    names = [f"{p}{end}" for p in sources for end in ("Minimum", "Maximum")]
    brightest = max(abs(expected.get(name, 0.0)) for name in names)
    if feature == "Skewness":
        return 1e-9  # of a symmetric distribution: third moments of both signs
    if feature in _WITHOUT_UNIT:
        return 0.0
    return CANCELS * brightest ** (2 if feature in _SQUARED else 1)


def is_noise(name, expected):
    """Return whether a value is made of rounding errors alone, in either engine.

    An image may be one value up to rounding, here 1e-9 of its source, and its gray
    levels those of the errors. The mesh of voxels that touch at corners is open, and
    may have a volume of 0.
    """
    if name.startswith("original_shape_"):
        volume = abs(expected["original_shape_MeshVolume"])
        of_volume = name.endswith(("Sphericity", "SurfaceVolumeRatio"))
        return of_volume and volume < 1e-9 * expected["original_shape_VoxelVolume"]
    prefix = f"{name.split('_')[0]}_firstorder_"
    source = [f"original_firstorder_{end}" for end in ("Minimum", "Maximum")]
    if prefix + "Range" not in expected or source[0] not in expected:
        return False
    brightest = max(abs(expected[end]) for end in source)
    return expected[prefix + "Range"] <= 1e-9 * brightest


def counts_otherwise(feature, found, expected, n_directions):
    """Return whether pyradiomics takes some directions' zeros for rounding errors.

    MCC and Imc2 of a matrix of rank one are 0 up to rounding; where that falls below 0
    its root is NaN, and the direction is left out of the mean. The correlation of a
    matrix with one gray level on one side is 1, but 0 where rounding leaves a spread.
    """
    if feature == "Correlation":
        more = [n * (found - expected) for n in range(1, n_directions + 1)]
        return any(k > 0.5 and abs(k - round(k)) < 1e-9 for k in more)
    if not 0 <= found < expected:
        return False
    shares = [n * found / expected for n in range(2, n_directions + 1)]
    return any(abs(share - round(share)) < 1e-5 for share in shares)


def differences(found, expected, n_directions=13):
    """Return name to (found, expected) of what differs by more than rounding.

    Parameters
    ----------
    found, expected
        Name to value.
    n_directions
        Over which GLCM features are averaged at most; 1 if they are weighted.
    """
    wrong = {}
    for name in sorted(found.keys() & expected.keys()):
        a, b = float(found[name]), float(expected[name])
        if a == b or (math.isnan(a) and math.isnan(b)):
            continue
        if not _same(name, found, expected, n_directions):
            wrong[name] = a, b
    return wrong


def _same(name, found, expected, n_directions):
    a, b = float(found[name]), float(expected[name])
    image, feature_class, feature = name.split("_")
    known = _OF_NOTHING.get(feature)
    if known and math.isnan(a):
        return math.isnan(expected[f"{image}_{feature_class}_{known}"])
    if math.isnan(a) or math.isnan(b):
        # every direction has a 0 below the root
        return feature in {"Imc2", "MCC"} and (abs(a) < 1e-6 or abs(b) < 1e-6)
    if abs(a - b) <= max(RELATIVE * abs(b), floor_of(name, found, expected)):
        return True
    if (image != "original" or feature_class == "shape") and is_noise(name, expected):
        return True
    counted = feature in {"Correlation", "Imc2", "MCC"}
    return counted and counts_otherwise(feature, a, b, n_directions)


@pytest.fixture(scope="session")
def same_values():
    """Return `differences`."""
    return differences
