"""The banded solver gives where the published descent ends."""

import numpy as np
import pytest

from radlatent.errors import SchemaError
from radlatent.masks.sequences.smoothing import (
    descend_sequence,
    least_weights,
    second_differences,
    smooth_sequence,
)


def penalty(n, order):
    """Return P as a full matrix, from its definition."""
    if order == 1:
        steps = np.diff(np.eye(n), axis=0)
        return steps.T @ steps / 2
    jumps = second_differences(np.eye(n))
    return jumps.T @ jumps


@pytest.mark.parametrize("n", [1, 2, 3, 4, 30])
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("fixed", [(), (0,), (0, -2), (0, 1, -1)])
def test_the_solver_is_the_minimum_of_its_energy(rng, n, order, fixed):
    fixed = sorted({k % n for k in fixed if -n <= k < n})
    signals = rng.standard_normal((n, 2))
    found = smooth_sequence(signals, 7.0, order=order, fixed=fixed)
    free = np.setdiff1d(np.arange(n), fixed)
    matrix = np.eye(n) + 7.0 * penalty(n, order)
    right = signals[free] - matrix[np.ix_(free, fixed)] @ signals[fixed]
    expected = signals.copy()
    expected[free] = np.linalg.solve(matrix[np.ix_(free, free)], right)
    assert np.allclose(found, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("weight", [0.0, 1.0, 50.0, 128.0])
def test_the_published_descent_ends_where_the_solver_is(rng, weight):
    signals = rng.standard_normal((45, 16))
    # a tenth of float32's epsilon: with that alone the descent stops 1e-6 short
    end = descend_sequence(signals, weight, tolerance=1e-8)
    assert np.abs(smooth_sequence(signals, weight) - end).max() < 1e-6


def test_second_differences_are_those_of_the_definition():
    found = second_differences(np.array([0.0, 1.0, 0.0, 4.0]))
    assert found.tolist() == [0.0, 1.0, -2.5, 0.0]
    assert second_differences(np.array([3.0])).tolist() == [0.0]


def test_the_least_weight_is_enough_and_hardly_more(rng):
    frames = np.linspace(0, 2 * np.pi, 40)
    signals = np.stack([np.cos(frames), np.cos(frames), frames], axis=1)
    signals[:, 1] += 0.1 * rng.standard_normal(40)
    limits = np.array([0.05, 0.05, 0.01])
    weights = least_weights(signals, limits)
    assert weights[0] == weights[2] == 0
    smooth = smooth_sequence(signals, weights)
    assert np.array_equal(smooth[:, [0, 2]], signals[:, [0, 2]])
    assert np.abs(second_differences(smooth)).max() <= 0.05
    less = smooth_sequence(signals, weights * 0.999)
    assert np.abs(second_differences(less)[:, 1]).max() > 0.05
    coarse = least_weights(signals, limits, steps=5)
    assert weights[1] <= coarse[1] <= weights[1] + 128 / 2**5


def test_noise_that_the_published_weight_cannot_smooth_is_smoothed_by_order_2(rng):
    signals = np.cos(np.linspace(0, 2 * np.pi, 40))[:, None]
    signals = signals + 0.3 * rng.standard_normal((40, 1))
    weights = least_weights(signals, [0.015], order=2)
    assert 128 < weights[0] < 128**2
    smooth = smooth_sequence(signals, weights, order=2)
    assert np.abs(second_differences(smooth)).max() <= 0.015


def test_second_order_keeps_the_amplitude_of_a_beat():
    beat = np.cos(np.linspace(0, 2 * np.pi, 30))
    first, second = (smooth_sequence(beat, 50.0, order=k) for k in (1, 2))
    assert np.ptp(first) < 0.7 * np.ptp(beat)
    assert np.ptp(second) > 0.9 * np.ptp(beat)


def test_what_cannot_be_smoothed_is_refused():
    with pytest.raises(SchemaError, match="filled first"):
        smooth_sequence(np.array([0.0, np.nan]), 1.0)
    with pytest.raises(SchemaError, match="order 3"):
        smooth_sequence(np.zeros(4), 1.0, order=3)
    with pytest.raises(SchemaError, match="0 to 3"):
        smooth_sequence(np.zeros(4), 1.0, fixed=[4])
