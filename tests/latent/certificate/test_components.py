"""Components of training rows: what they span, without the test rows."""

import numpy as np
import pytest

from radlatent.latent.certificate.components import (
    components,
    components_in_folds,
    n_components,
)


def factors(rng, n=60):
    """Return 30 columns of three factors of different size, hardly noisy."""
    hidden = rng.standard_normal((n, 3)) * [4, 2, 1]
    turn = np.linalg.qr(rng.standard_normal((30, 3)))[0]
    return hidden @ turn.T + 1e-3 * rng.standard_normal((n, 30))


def test_components_hold_the_variance_of_standardized_columns(rng):
    values = factors(rng)
    found = components(values, 3)
    standard = (values - values.mean(axis=0)) / values.std(axis=0)
    assert (found**2).sum() == pytest.approx((standard**2).sum(), rel=1e-3)
    assert np.all(np.diff(found.var(axis=0)) < 0)


def test_folds_agree_on_numbers_and_signs_of_components(rng):
    values, folds = factors(rng), np.arange(60) % 5
    found, everyone = components_in_folds(values, folds, 3), components(values, 3)
    assert found.shape == (5, 60, 3)
    for one in found:
        for k in range(3):
            assert np.corrcoef(one[:, k], everyone[:, k])[0, 1] > 0.9


def test_test_rows_have_no_part_in_what_training_rows_span(rng):
    values, folds = factors(rng), np.arange(60) % 5
    before = components_in_folds(values, folds, 3)[1]
    changed = np.where(folds[:, None] == 1, rng.standard_normal((60, 30)), values)
    after = components_in_folds(changed, folds, 3)[1]
    train = folds != 1
    # the numbers may turn, the span of the training rows may not
    hat = [part[train] @ np.linalg.pinv(part[train]) for part in (before, after)]
    np.testing.assert_allclose(*hat, atol=1e-9)


def test_components_beyond_the_rank_are_zero(rng):
    values = np.repeat(rng.standard_normal((20, 1)), 5, axis=1)
    found = components(values, 3)
    assert found[:, 0].std() > 0
    assert not found[:, 1:].any()


def test_there_is_at_most_one_component_for_eight_patients():
    assert n_components(2000, 80, 32) == 10
    assert n_components(2000, 800, 32) == 32
    assert n_components(3, 800, 32) == 3
    assert n_components(5, 4, 32) == 1
