"""What it means that two engines give the same values."""

import math
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from radlatent.handcrafted import read_settings
from radlatent.handcrafted.lesion import engine_of
from radlatent.handcrafted.names import FEATURES
from radlatent.imaging import Volume, single_thread

SPACING_MM = (2.0, 0.7, 1.3)

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


@dataclass(frozen=True)
class Directions:
    """How many directions have a pair, and how many of them a value that is rounding.

    Parameters
    ----------
    n
        With at least one pair.
    n_single
        With one gray level on one side: their correlation is 1.
    n_rank_one
        Whose gray levels are independent: their MCC and Imc2 are 0.
    """

    n: int
    n_single: int
    n_rank_one: int


def directions_of(pairs, symmetric, weights):
    """Count in co-occurrence matrices, shape (n_levels, n_directions, n_levels)."""
    matrices = pairs.transpose(1, 0, 2).astype(float)
    if weights is not None:
        matrices = np.tensordot(weights, matrices, 1)[None]
    matrices = [m + m.T if symmetric else m for m in matrices if m.any()]
    sides = [[(m.sum(axis=k) > 0).sum() for k in (0, 1)] for m in matrices]
    ranks = [np.linalg.matrix_rank(m) for m in matrices]
    return Directions(
        len(matrices), sum(min(n) == 1 for n in sides), sum(n == 1 for n in ranks)
    )


def counts_otherwise(feature, found, expected, known):
    """Return whether pyradiomics takes some directions' zeros for rounding errors.

    MCC and Imc2 of a matrix of rank one are 0 up to rounding; where that falls below 0
    its root is NaN, and the direction is left out of the mean. The correlation of a
    matrix with one gray level on one side is 1, but 0 where rounding leaves a spread.

    Parameters
    ----------
    feature
        Name of the feature alone.
    found, expected
        Values that differ.
    known
        `Directions` of the image.
    """
    if feature == "Correlation":
        counts = range(1, known.n_single + 1)
        return any(abs(known.n * (found - expected) - k) < 1e-9 for k in counts)
    if feature not in {"Imc2", "MCC"} or not known.n_rank_one:
        return False
    if known.n_rank_one == known.n:
        # all of them 0, or left out
        return not (abs(found) > 1e-6 or abs(expected) > 1e-6)
    # either leaves out some of them; one that is kept is 0 up to a root of 1e-16
    means = range(known.n - known.n_rank_one, known.n + 1)
    return any(abs(found - expected * m / n) < 1e-7 for m in means for n in means)


def differences(found, expected, directions=None, waived=None):
    """Return name to (found, expected) of what differs by more than rounding.

    Parameters
    ----------
    found, expected
        Name to value.
    directions
        From the name of an image to its `Directions`; None accepts no difference in
        how they are counted.
    waived
        A list to append the names to whose directions are counted otherwise.
    """
    wrong = {}
    for name in sorted(found.keys() & expected.keys()):
        a, b = float(found[name]), float(expected[name])
        if a == b or (math.isnan(a) and math.isnan(b)):
            continue
        if _same(name, found, expected):
            continue
        image, feature_class, feature = name.split("_")
        counted = directions is not None and feature_class == "glcm"
        if counted and counts_otherwise(feature, a, b, directions(image)):
            waived.append(name)
        else:
            wrong[name] = a, b
    return wrong


def _same(name, found, expected):
    a, b = float(found[name]), float(expected[name])
    image, feature_class, feature = name.split("_")
    known = _OF_NOTHING.get(feature)
    if known and math.isnan(a):
        return math.isnan(expected[f"{image}_{feature_class}_{known}"])
    if math.isnan(a) or math.isnan(b):
        return False
    if abs(a - b) <= max(RELATIVE * abs(b), floor_of(name, found, expected)):
        return True
    noisy = image != "original" or feature_class == "shape"
    return noisy and is_noise(name, expected)


@pytest.fixture(scope="session")
def same_values():
    """Return `differences`."""
    return differences


@pytest.fixture(scope="session")
def count_directions():
    """Return `directions_of`."""
    return directions_of


# --- what the tests of the engine share ----------------------------------------------


def _measured(engine, image, mask, settings):
    """Return values, or the error."""
    try:
        # means of threads are added up in any order
        with single_thread(), warnings.catch_warnings():
            # eigenvalues of pyradiomics' MCC, complex by rounding
            warnings.simplefilter("ignore", np.exceptions.ComplexWarning)
            return engine_of(engine).measure(image, mask, settings)
    except (ValueError, RuntimeError) as error:
        return error


@contextmanager
def _recorded():
    """Yield a list that the co-occurrence matrices of our engine are put into."""
    from radlatent.handcrafted.engine import native

    calls, whole = [], native.glcm_features

    def record(pairs, gray, **options):
        calls.append((pairs, options["symmetric"], options["weights"]))
        return whole(pairs, gray, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "glcm_features", record)
        yield calls


def _check_equal(image, mask, settings, waived=None):
    """Return how many values were compared.

    Parameters
    ----------
    image, mask, settings
        As `measure` takes them.
    waived
        As in `differences`; None waives nothing.
    """
    with _recorded() as calls:
        found = _measured("radlatent", image, mask, settings)
    expected = _measured("pyradiomics", image, mask, settings)
    if isinstance(expected, RuntimeError):
        # distances wider than a slice: there is no direction to it
        assert "angle count" in str(expected)
        assert isinstance(found, dict), found
        affected = [name for name in found if name.split("_")[1] == "glcm"]
        assert affected
        assert all(math.isnan(found[name]) for name in affected), found
        return 0
    if isinstance(expected, ValueError):
        assert isinstance(found, ValueError), expected
        return 0
    assert not isinstance(found, Exception), found
    names = set(settings.names)
    # it looks for the slice of shape2D along the wrong axis, and skips the class
    skipped = {name for name in names - expected.keys() if "_shape2D_" in name}
    # a filter wider than the image
    absent = {name for name in names - expected.keys() if name.startswith("log-sigma")}
    assert names - found.keys() == absent
    assert names - expected.keys() == skipped | absent
    # in the order of the calls
    images = list(dict.fromkeys(k.split("_")[0] for k in found if "_glcm_" in k))
    assert len(images) == len(calls)
    known = cache(lambda name: directions_of(*calls[images.index(name)]))
    directions = None if waived is None else known
    assert differences(found, expected, directions, waived) == {}
    return len(found.keys() & expected.keys())


def _ellipsoid(dtype=np.float64, shape=(13, 22, 19)):
    """Return an image of smooth noise and an ellipsoid with a hole in it."""
    rng = np.random.default_rng(7)
    values = rng.standard_normal(shape).cumsum(axis=1).cumsum(axis=2)
    values = 40 * values / values.std() + 15 * rng.standard_normal(shape) + 60
    grid = np.indices(shape) - np.reshape(shape, (3, 1, 1, 1)) / 2
    inside = (grid / np.reshape([5, 8, 7], (3, 1, 1, 1))) ** 2
    mask = abs(inside.sum(axis=0) - 0.55) <= 0.45
    return Volume(values.astype(dtype), SPACING_MM), Volume(mask, SPACING_MM)


def _one_slice(mask, axis):
    return mask.any(axis=tuple(k for k in range(3) if k != axis)).sum() == 1


def _with_classes(content, mask):
    """Add every class that fits the mask."""
    options = content["setting"]
    classes = [name for name in FEATURES if name != "shape2D"]
    if options.get("force2D") and _one_slice(mask.array, options["force2Ddimension"]):
        classes.append("shape2D")
    return read_settings(content | {"featureClass": dict.fromkeys(classes)})


@pytest.fixture(scope="session")
def measured():
    """Return a function: values of an engine, or the error."""
    return _measured


@pytest.fixture(scope="session")
def check_equal():
    """Return a function that compares the engines, and counts the values."""
    return _check_equal


@pytest.fixture(scope="session")
def ellipsoid():
    """Return a function that makes an image and a mask."""
    return _ellipsoid


@pytest.fixture(scope="session")
def with_classes():
    """Return a function that adds every class that fits a mask to a parameter file."""
    return _with_classes
