"""Signed distances: exact, in mm, and the same as from two whole transforms."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from radlatent.imaging import signed_distance


@pytest.mark.parametrize("spacing_mm", [(1.25, 2.0), (9.0, 1.3, 1.3)])
def test_are_those_of_two_whole_transforms(rng, spacing_mm):
    shape = (9, 24, 30)[-len(spacing_mm) :]
    inside = np.zeros(shape, bool)
    inside[tuple(slice(2, n - 3) for n in shape)] = True
    inside ^= rng.random(shape) < 0.05
    expected = distance_transform_edt(~inside, sampling=spacing_mm)
    expected -= distance_transform_edt(inside, sampling=spacing_mm)
    np.testing.assert_array_equal(signed_distance(inside, spacing_mm), expected)


def test_a_region_at_the_edge_ends_where_the_array_does():
    inside = np.zeros((4, 6), bool)
    inside[:, :2] = True
    expected = np.tile([-4.0, -2.0, 2.0, 4.0, 6.0, 8.0], (4, 1))
    np.testing.assert_array_equal(signed_distance(inside, (1.0, 2.0)), expected)


def test_no_border_is_infinitely_far():
    nothing = np.zeros((3, 4), bool)
    assert (signed_distance(nothing, (1, 1)) == np.inf).all()
    assert (signed_distance(~nothing, (1, 1)) == -np.inf).all()
