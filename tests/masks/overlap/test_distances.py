"""Surfaces and distances: closed forms, and every pair of points as the judge."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from radlatent.masks.overlap import distances
from radlatent.masks.overlap.distances import distance_metrics, distances_to, surface_of


def whole(array):
    return tuple(slice(0, n) for n in array.shape)


def brute(points, targets, spacing_mm):
    return cdist(points * np.array(spacing_mm), targets * spacing_mm).min(axis=1)


def test_a_solid_cube_has_the_voxels_of_its_six_faces():
    labels = np.zeros((9, 9, 9), np.uint8)
    labels[2:7, 2:7, 2:7] = 3
    found = surface_of(labels, 3, (slice(2, 7),) * 3)
    assert len(found) == 5**3 - 3**3
    assert (((found == 2) | (found == 6)).any(axis=1)).all()


def test_corners_are_no_neighbors():
    labels = np.ones((3, 3), np.uint8)
    labels[0, 0] = 0
    # the middle has its four neighbors along the axes
    found = surface_of(np.pad(labels, 1), 1, (slice(1, 4),) * 2)
    assert [2, 2] not in found.tolist()
    assert len(found) == 7


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (1, 4, 4)])
def test_beyond_the_edge_of_the_array_lies_nothing(shape):
    labels = np.ones(shape, np.uint8)
    inner = np.prod([max(n - 2, 0) for n in shape])
    assert len(surface_of(labels, 1, whole(labels))) == labels.size - inner


def test_another_label_is_outside():
    labels = np.full((5, 5), 2, np.uint8)
    labels[2, 2] = 1
    found = surface_of(labels, 2, whole(labels)).tolist()
    assert [1, 2] in found
    assert [1, 1] not in found


@pytest.mark.parametrize("shape", [(12, 13), (7, 8, 9)])
def test_sparse_and_dense_boxes_give_one_surface(shape, rng, monkeypatch):
    labels = (rng.random(shape) < 0.6).astype(np.uint8)
    found = []
    for sparse in (0, np.inf):
        monkeypatch.setattr(distances, "_SPARSE", sparse)
        found.append(surface_of(labels, 1, whole(labels)))
    assert len(found[0]) > 10
    # `inf` times a count is above any size: dense; 0 is below: sparse
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("spacing", [(1, 1, 1), (5, 0.7, 0.7), (0.4, 3.1, 1.2)])
@pytest.mark.parametrize("apart", [0, 6, 300])
def test_distances_are_those_of_all_pairs_of_points(axes, spacing, apart, rng):
    spacing = spacing[:axes]
    points, targets = (
        np.unique(rng.integers(0, 15, (60, axes)), axis=0) for _ in range(2)
    )
    targets[:, -1] += apart
    found = distances_to(points, targets, spacing)
    # sums of three squares, added in another order
    np.testing.assert_allclose(found, brute(points, targets, spacing), rtol=1e-12)


def test_every_place_around_a_target_finds_it(rng):
    # on both sides of where looking nearby ends
    spacing = (2.5, 0.8, 1.1)
    points = np.indices((13, 13, 13)).reshape(3, -1).T - 6
    found = distances_to(points, np.zeros((1, 3), int), spacing)
    wanted = np.sqrt(((points * spacing) ** 2).sum(axis=1))
    np.testing.assert_array_equal(found, wanted)


def test_the_nearer_of_two_targets_counts_though_its_step_is_longer():
    # 3 voxels of 1 mm are nearer than 1 voxel of 5 mm
    found = distances_to(np.array([[0, 0]]), np.array([[1, 0], [0, 3]]), (5.0, 1.0))
    assert found.tolist() == [3.0]


def test_metrics_of_known_distances():
    found = distance_metrics(
        np.array([0.0, 1.0]), np.array([0.0, 0.0, 0.0, 4.0]), tolerance_mm=1.0
    )
    assert found == {
        "hd_mm": 4.0,
        # rank 0.95 * 3 = 2.85 of (0, 0, 0, 4), against 0.95 of (0, 1)
        "hd95_max_mm": pytest.approx(0.85 * 4, rel=1e-12),
        # rank 0.95 * 5 = 4.75 of (0, 0, 0, 0, 1, 4)
        "hd95_pooled_mm": pytest.approx(1 + 0.75 * 3, rel=1e-12),
        "assd_pooled_mm": pytest.approx(5 / 6, rel=1e-12),
        "assd_mean_mm": pytest.approx((0.5 + 1.0) / 2, rel=1e-12),
        "nsd": pytest.approx(5 / 6, rel=1e-12),
    }


def test_no_last_digit_decides_what_is_within_the_tolerance():
    far = np.array([3 * 0.1])  # 0.30000000000000004
    assert distance_metrics(far, far, tolerance_mm=0.3)["nsd"] == 1.0
    assert distance_metrics(far, far, tolerance_mm=0.2999)["nsd"] == 0.0
