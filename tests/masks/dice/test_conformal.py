"""Limits: exact where they can be counted; the masks of a patient count as one."""

import numpy as np
import pytest
from scipy import stats

from radlatent.masks.dice.conformal import limits, patient_weights, share_by_patient


@pytest.mark.parametrize(("n", "expected"), [(18, np.inf), (19, 19), (39, 38)])
def test_a_limit_of_one_mask_a_patient_is_an_order_statistic(rng, n, expected):
    # the ceil(0.95 (n + 1))-th smallest of n, none where that is more than n
    values = rng.permutation(np.arange(1.0, n + 1))[None]
    weights = patient_weights(np.arange(n))
    np.testing.assert_array_equal(limits(values, weights, 0.05), [expected])


def test_no_mask_has_no_limit():
    found = limits(np.empty((2, 0)), np.empty(0), 0.1)
    np.testing.assert_array_equal(found, [np.inf, np.inf])


def test_masks_that_are_repeated_change_no_limit(rng):
    values, patients = rng.standard_normal((5, 40)), np.arange(40) // 2
    twice = np.repeat(values, 3, axis=1), np.repeat(patients, 3)
    np.testing.assert_array_equal(
        limits(values, patient_weights(patients), 0.2),
        limits(twice[0], patient_weights(twice[1]), 0.2),
    )


def test_a_patient_with_many_masks_counts_as_one():
    # 20 patients with the value 0, one with a hundred masks of value 1
    values = np.r_[np.zeros(20), np.ones(100)]
    patients = np.r_[np.arange(20), np.full(100, 20)]
    weights = patient_weights(patients)
    assert weights.sum() == pytest.approx(21 / 22, rel=1e-12)
    np.testing.assert_array_equal(limits(values[None], weights, 0.1), [0.0])


def test_limits_are_exceeded_as_seldom_as_they_promise(rng):
    # patients differ in size, and those with many masks have larger values
    exceeded = []
    for _ in range(2000):
        sizes = rng.choice([1, 10], 20)
        effects = rng.standard_normal(20) + (sizes == 10)
        values = np.repeat(effects, sizes) + 0.3 * rng.standard_normal(sizes.sum())
        patients = np.repeat(np.arange(20), sizes)
        known = patients > 0
        weights = patient_weights(patients[known])
        limit = limits(values[known][None], weights, 0.2)[0]
        exceeded.append((values[~known] > limit).mean())
    error = np.std(exceeded) / np.sqrt(len(exceeded))
    # at most what was promised, less by 1 / 20 at most
    assert 0.15 - 3 * error < np.mean(exceeded) < 0.2 + 3 * error


@pytest.mark.parametrize(("found", "n"), [(0, 8), (5, 8), (8, 8), (57, 60)])
def test_one_mask_a_patient_has_the_interval_of_clopper_and_pearson(found, n):
    row = share_by_patient(np.arange(n) < found, np.arange(n), 0.9)
    expected = stats.binomtest(found, n).proportion_ci(0.9, method="exact")
    assert row["estimate"] == pytest.approx(found / n, rel=1e-12)
    assert row["lower"] == pytest.approx(expected.low, abs=1e-9)
    assert row["upper"] == pytest.approx(expected.high, abs=1e-9)
    assert (row["n"], row["n_patients"]) == (n, n)


def test_masks_of_one_patient_add_no_certainty():
    hits, patients = np.array([1, 0, 1, 1, 1, 0], bool), np.array(list("aabbcd"))
    row = share_by_patient(hits, patients, 0.9)
    assert row["estimate"] == pytest.approx((0.5 + 1 + 1 + 0) / 4, rel=1e-12)
    more = share_by_patient(np.repeat(hits, 50), np.repeat(patients, 50), 0.9)
    assert more | {"n": 6} == pytest.approx(row, rel=1e-12)


def test_a_share_of_nothing_is_missing():
    row = share_by_patient(np.empty(0, bool), np.empty(0, str), 0.9)
    assert np.isnan([row["estimate"], row["lower"], row["upper"]]).all()
    assert (row["n"], row["n_patients"]) == (0, 0)
