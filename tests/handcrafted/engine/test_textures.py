"""Texture matrices against the printed ones, and features of them by hand."""

import numpy as np
import pytest
from scipy import ndimage

from radlatent.handcrafted.engine.glcm import glcm_features
from radlatent.handcrafted.engine.ngtdm import ngtdm_features
from radlatent.handcrafted.engine.roi import Roi, bin_edges, discretize
from radlatent.handcrafted.engine.sizes import (
    gldm_features,
    glrlm_features,
    glszm_features,
)

#: Haralick, Shanmugam, Dinstein 1973, figure 3: an image, and its four matrices.
HARALICK = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 2, 2, 2], [2, 2, 3, 3]])
HARALICK_MATRICES = {
    (0, 0, 1): [[4, 2, 1, 0], [2, 4, 0, 0], [1, 0, 6, 1], [0, 0, 1, 2]],
    (0, 1, 0): [[6, 0, 2, 0], [0, 4, 2, 0], [2, 2, 2, 2], [0, 0, 2, 0]],
    (0, 1, 1): [[2, 1, 3, 0], [1, 2, 1, 0], [3, 1, 0, 2], [0, 0, 2, 0]],
    (0, 1, -1): [[4, 1, 0, 0], [1, 2, 2, 0], [0, 2, 4, 1], [0, 0, 1, 0]],
}
#: Galloway 1975, figure 1: an image, and its runs from left to right.
GALLOWAY = np.array([[0, 1, 2, 3], [0, 2, 3, 3], [2, 1, 1, 1], [3, 0, 3, 0]])
GALLOWAY_RUNS = [[4, 0, 0, 0], [1, 0, 1, 0], [3, 0, 0, 0], [3, 1, 0, 0]]
#: The examples in the documentation of pyradiomics (glrlm.py, glszm.py, gldm.py).
PRINTED = np.array(
    [
        [5, 2, 5, 4, 4],
        [3, 3, 3, 1, 3],
        [2, 1, 1, 1, 3],
        [4, 2, 2, 2, 3],
        [3, 5, 3, 3, 2],
    ]
)
PRINTED_RUNS = [
    [1, 0, 1, 0, 0],
    [3, 0, 1, 0, 0],
    [4, 1, 1, 0, 0],
    [1, 1, 0, 0, 0],
    [3, 0, 0, 0, 0],
]
PRINTED_ZONES = [
    [0, 0, 0, 1, 0],
    [1, 0, 0, 0, 1],
    [1, 0, 1, 0, 1],
    [1, 1, 0, 0, 0],
    [3, 0, 0, 0, 0],
]
PRINTED_DEPENDENCE = [
    [0, 1, 2, 1],
    [1, 2, 3, 0],
    [1, 4, 4, 0],
    [1, 2, 0, 0],
    [3, 0, 0, 0],
]
#: The example of pyradiomics' ngtdm.py: an image; its voxels and differences, where the
#: sum written out for level 3 is 3.03 and the table says 2.63.
AMADASUN = np.array([[1, 2, 5, 2], [3, 5, 1, 3], [1, 3, 5, 5], [3, 1, 1, 1]])
AMADASUN_ROWS = {1: (6, 13.35), 2: (2, 2.00), 3: (4, 3.03), 5: (4, 10.075)}


def placed(image, mask=None, distances=(1,), flat_axis=0):
    """Return the voxels of a slice or a volume, and their gray levels."""
    image = image if image.ndim == 3 else image[None]
    mask = np.ones(image.shape, bool) if mask is None else mask
    roi = Roi(mask, distances, flat_axis)
    values = image[mask]
    levels = discretize(values.astype(float), bin_edges(values, 1, None))
    roi.place(levels)
    return roi, levels


def matrix_of(roi, levels, step):
    """Return the co-occurrences of a direction in both orders."""
    k = [tuple(d) for d in roi.directions.tolist()].index(step)
    pairs = roi.count(levels, 0).pairs[:, k]
    return pairs + pairs.T


@pytest.mark.parametrize("step", HARALICK_MATRICES)
def test_the_matrices_that_haralick_printed(step):
    found = matrix_of(*placed(HARALICK), step)
    assert found.tolist() == HARALICK_MATRICES[step]


def test_features_of_a_matrix_that_haralick_printed():
    roi, levels = placed(HARALICK)
    k = [tuple(d) for d in roi.directions.tolist()].index((0, 0, 1))
    pairs = roi.count(levels, 0).pairs[:, [k]]
    found = glcm_features(pairs, levels.gray, symmetric=True, weights=None)
    p = np.array(HARALICK_MATRICES[0, 0, 1]) / 24
    # 24 pairs: 2 + 2 and 1 + 1 are one level apart, 1 + 1 two
    by_hand = {
        "Contrast": (6 * 1 + 2 * 4) / 24,
        "DifferenceAverage": (6 * 1 + 2 * 2) / 24,
        "JointEnergy": (36 + 2 * 16 + 3 * 4 + 4 * 1) / 24**2,
        "MaximumProbability": 6 / 24,
        "Id": (16 + 6 / 2 + 2 / 3) / 24,
        "Idm": (16 + 6 / 2 + 2 / 5) / 24,
        "InverseVariance": (6 / 1 + 2 / 4) / 24,
        "JointAverage": (7 * 1 + 6 * 2 + 8 * 3 + 3 * 4) / 24,
        "JointEntropy": -(p[p > 0] * np.log2(p[p > 0])).sum(),
        "Autocorrelation": (4 + 4 * 2 + 2 * 3 + 4 * 4 + 6 * 9 + 2 * 12 + 2 * 16) / 24,
    }
    for name, value in by_hand.items():
        # 1e-16 is added below each logarithm
        assert found[name] == pytest.approx(value, rel=1e-12), name


@pytest.mark.parametrize(
    ("image", "expected"), [(GALLOWAY, GALLOWAY_RUNS), (PRINTED, PRINTED_RUNS)]
)
def test_the_runs_that_galloway_and_pyradiomics_printed(image, expected):
    roi, levels = placed(image)
    k = [tuple(d) for d in roi.steps.tolist()].index((0, 0, 1))
    found = roi.count(levels, 0).runs[:, k]
    n = len(expected[0])
    assert found[:, :n].tolist() == expected
    assert not found[:, n:].any()


def test_features_of_the_runs_that_galloway_printed():
    runs = np.array(GALLOWAY_RUNS)[:, None]
    found = glrlm_features(runs, np.arange(1, 5), None)
    # 11 runs of one voxel, one of two, one of three: 13 runs of 16 voxels
    by_hand = {
        "ShortRunEmphasis": (11 + 1 / 4 + 1 / 9) / 13,
        "LongRunEmphasis": (11 + 4 + 9) / 13,
        "RunLengthNonUniformity": (11**2 + 1 + 1) / 13,
        "GrayLevelNonUniformity": (4**2 + 2**2 + 3**2 + 4**2) / 13,
        "RunPercentage": 13 / 16,
        "HighGrayLevelRunEmphasis": (4 * 1 + 2 * 4 + 3 * 9 + 4 * 16) / 13,
    }
    for name, value in by_hand.items():
        assert found[name] == pytest.approx(value, rel=1e-14), name


def test_the_zones_that_pyradiomics_printed():
    roi, levels = placed(PRINTED)
    ranks, sizes = roi.zones()
    found = np.zeros((5, 5), int)
    np.add.at(found, (ranks, sizes - 1), 1)
    assert found.tolist() == PRINTED_ZONES
    features = glszm_features(ranks, sizes, levels.gray)
    # 6 zones of one voxel, one each of 2, 3 and 4, and two of 5
    assert features["ZonePercentage"] == pytest.approx(11 / 25, rel=1e-14)
    large = (6 + 4 + 9 + 16 + 2 * 25) / 11
    assert features["LargeAreaEmphasis"] == pytest.approx(large, rel=1e-14)


def test_the_dependences_that_pyradiomics_printed():
    roi, levels = placed(PRINTED)
    found = roi.count(levels, 0).dependence
    assert found[:, :4].tolist() == PRINTED_DEPENDENCE
    assert not found[:, 4:].any()
    features = gldm_features(found, levels.gray)
    # 6, 9, 9 and 1 voxels of dependence 1 to 4
    large = (6 + 9 * 4 + 9 * 9 + 16) / 25
    assert features["LargeDependenceEmphasis"] == pytest.approx(large, rel=1e-14)


def test_the_differences_that_pyradiomics_printed():
    roi, levels = placed(AMADASUN)
    found = roi.count(levels, 0).difference
    assert levels.gray.tolist() == list(AMADASUN_ROWS)
    for row, (n, difference) in zip(found, AMADASUN_ROWS.values(), strict=True):
        assert row[0] == n
        # printed with two decimals
        assert row[1] == pytest.approx(difference, abs=0.006)
    features = ngtdm_features(found, levels.gray)
    p = np.array([6, 2, 4, 4]) / 16
    coarseness = 1 / (p @ found[:, 1])
    assert features["Coarseness"] == pytest.approx(coarseness, rel=1e-14)


@pytest.mark.parametrize("flat_axis", [None, 0, 1, 2])
def test_zones_are_those_of_scipy(flat_axis, rng):
    around = np.ones((3, 3, 3), bool)
    if flat_axis is not None:
        around[tuple([0, 2] if k == flat_axis else slice(None) for k in range(3))] = 0
    for share in (0.1, 0.5, 0.9, 1.0):
        image = rng.integers(0, 3, (9, 8, 7))
        mask = rng.random(image.shape) < share
        roi, _ = placed(image, mask, flat_axis=flat_axis)
        ranks, sizes = roi.zones()
        for rank, gray in enumerate(np.unique(image[mask])):
            labels, n = ndimage.label(mask & (image == gray), around)
            expected = sorted(np.bincount(labels.ravel())[1:].tolist())
            assert sorted(sizes[ranks == rank].tolist()) == expected
            assert len(expected) == n
        assert sizes.sum() == mask.sum()
        # a second image on the same voxels finds nothing left of the first
        again = roi.zones()
        np.testing.assert_array_equal(again[1], sizes)


def by_shifting(image, mask, step):
    """Return pairs of values one step apart, both inside of the mask."""
    outside = np.pad(np.where(mask, image, -1), 3, constant_values=-1)
    there = np.roll(outside, [-s for s in step], (0, 1, 2))
    both = (outside >= 0) & (there >= 0)
    return outside[both], there[both]


@pytest.mark.parametrize("flat_axis", [None, 1])
def test_pairs_are_those_of_shifted_images(flat_axis, rng):
    image = rng.integers(0, 4, (6, 7, 8))
    mask = rng.random(image.shape) < 0.7
    roi, levels = placed(image, mask, (1, 3), flat_axis)
    pairs = roi.count(levels, 0).pairs
    # half of 3 x 3 x 3 - 1 and of 7 x 7 x 7 - 5 x 5 x 5 neighbors; a plane: 8 and 24
    assert pairs.shape[1] == (13 + 109 if flat_axis is None else 4 + 12)
    for k, step in enumerate(roi.directions):
        expected = np.zeros((4, 4), int)
        np.add.at(expected, by_shifting(image, mask, step), 1)
        assert pairs[:, k].tolist() == expected.tolist(), step


def test_dependences_and_differences_are_those_of_shifted_images(rng):
    image = rng.integers(0, 5, (6, 7, 8))
    mask = rng.random(image.shape) < 0.6
    roi, levels = placed(image, mask, (2,), None)
    found = roi.count(levels, 1)
    every = [*roi.directions, *-roi.directions]
    values = np.pad(np.where(mask, image + 1.0, 0), 2)
    total, n, close = (np.zeros(values.shape) for _ in range(3))
    for step in every:
        there = np.roll(values, list(step), (0, 1, 2))
        total += there
        n += there > 0
        close += (there > 0) & (np.abs(there - values) <= 1)
    inside = values > 0
    dependence = np.zeros_like(found.dependence)
    place = (values[inside].astype(int) - 1, close[inside].astype(int))
    np.add.at(dependence, place, 1)
    assert found.dependence.tolist() == dependence.tolist()
    off = np.abs(values - total / np.maximum(n, 1)) * (n > 0) * inside
    for rank in range(5):
        expected = off[values == rank + 1].sum()
        assert found.difference[rank, 1] == pytest.approx(expected, rel=1e-13)


def longest_runs(line):
    """Return (value, length) of the runs of a line; -1 ends a run."""
    found, start = [], 0
    for k in range(1, len(line) + 1):
        if k == len(line) or line[k] != line[start]:
            found.append((line[start], k - start))
            start = k
    return [run for run in found if run[0] >= 0]


def test_runs_are_those_of_the_lines_of_a_volume(rng):
    image = rng.integers(0, 2, (6, 7, 8))
    mask = rng.random(image.shape) < 0.9
    roi, levels = placed(image, mask, flat_axis=None)
    found = roi.count(levels, 0).runs
    for axis in range(3):
        step = tuple(int(k == axis) for k in range(3))
        k = [tuple(s) for s in roi.steps.tolist()].index(step)
        lines = np.moveaxis(np.where(mask, image, -1), axis, -1)
        expected = np.zeros_like(found[:, k])
        for line in lines.reshape(-1, image.shape[axis]):
            for value, length in longest_runs(line):
                expected[value, length - 1] += 1
        assert found[:, k].tolist() == expected.tolist()


def test_every_voxel_is_in_one_run_a_direction(rng):
    image = rng.integers(0, 2, (9, 8, 7))
    mask = rng.random(image.shape) < 0.8
    roi, levels = placed(image, mask, flat_axis=None)
    runs = roi.count(levels, 0).runs
    lengths = np.arange(1, runs.shape[2] + 1)
    assert (runs.sum(axis=0) @ lengths).tolist() == [mask.sum()] * 13


def test_a_direction_whose_lines_meet_one_voxel_each_has_no_runs():
    # along its own diagonal three voxels share a line, along any other none do
    mask = np.eye(3, dtype=bool)[None]
    roi, levels = placed(np.zeros((1, 3, 3), int), mask, flat_axis=0)
    runs = roi.count(levels, 0).runs
    used = [tuple(step) for k, step in enumerate(roi.steps) if runs[:, k].any()]
    assert used == [(0, 1, 1)]


@pytest.mark.parametrize("width", [1, 3, 25, 0.7, 12.5])
def test_gray_levels_are_those_of_numpy(width, rng):
    for values in (
        rng.normal(0, 100, 500),
        rng.integers(-300, 300, 500).astype(float),
        width * np.arange(-10.0, 10),  # on the edges themselves
    ):
        edges = bin_edges(values, width, None)
        assert edges[0] <= values.min() < edges[0] + width
        whole = edges[0] / width
        assert whole == pytest.approx(round(whole), abs=1e-9)
        levels = discretize(values, edges)
        expected = np.digitize(values, edges)
        np.testing.assert_array_equal(levels.levels, expected)
        gray, counts = np.unique(expected, return_counts=True)
        assert levels.gray.tolist() == gray.tolist()
        assert levels.counts.tolist() == counts.tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint16])
def test_bins_of_extreme_whole_numbers_do_not_wrap_around(dtype):
    info = np.iinfo(dtype)
    values = np.array([info.min, info.max], dtype)
    edges = bin_edges(values, 25, None)
    assert edges[0] <= info.min
    assert edges[-1] > info.max
    np.testing.assert_array_equal(np.diff(edges), 25)


def test_a_number_of_bins_is_kept(rng):
    values = rng.normal(0, 100, 500)
    levels = discretize(values, bin_edges(values, None, 16))
    assert levels.gray.max() == 16
    inner = np.linspace(values.min(), values.max(), 17)[1:-1]
    expected = np.searchsorted(inner, values, "right") + 1
    np.testing.assert_array_equal(levels.levels, expected)


def test_too_many_gray_levels_are_refused():
    with pytest.raises(ValueError, match="take a larger binWidth"):
        bin_edges(np.array([0.0, 1e9]), 1e-3, None)
    values = np.arange(70_000.0)
    roi = Roi(np.ones((1, 7, 10_000), bool), (1,), None)
    with pytest.raises(ValueError, match="gray levels are too many"):
        roi.place(discretize(values, bin_edges(values, 1, None)))
    levels = discretize(values[:30_000], bin_edges(values[:30_000], 1, None))
    with pytest.raises(ValueError, match="more than 2 GiB"):
        Roi(np.ones((1, 1, 30_000), bool), (1,), None).count(levels, 0)
    # lengths of runs are kept in 16 bits
    with pytest.raises(ValueError, match="is too large"):
        Roi(np.ones((1, 1, 70_000), bool), (1,), None)
