"""Held-out prediction: what a line and trees explain, of rows that they did not see."""

import numpy as np
import pytest

from radlatent.features.folds import deal
from radlatent.latent.certificate import prediction as pred
from radlatent.latent.certificate.permutations import block_orders

RHOS = [0.0, 0.5, 0.9]


@pytest.mark.parametrize("rho", RHOS)
def test_held_out_r2_of_gaussians(rho, rng, gaussians):
    x, y = gaussians(rho, 2000, rng, columns=10)
    patients = np.arange(2000)
    folds = deal(patients, 5, random_state=rng)
    fitted = pred.cross_fit(x, y, patients, folds, pred.linear)
    found = pred.held_out_r2(*fitted, np.ones((1, 2000)))[0]
    # the standard deviation of a squared correlation: 2 rho (1 - rho²) / sqrt(n)
    assert found[0] == pytest.approx(rho**2, abs=0.05)
    np.testing.assert_allclose(found[1:], 0, atol=0.01)
    fitted = pred.cross_fit(x[:, :1], y[:, :1], patients, folds, pred.trees)
    # trees approach a straight line by steps
    by_trees = pred.held_out_r2(*fitted, np.ones((1, 2000)))[0, 0]
    assert by_trees == pytest.approx(rho**2, abs=0.06)


def test_r2_is_against_the_mean_of_training_rows():
    x = np.zeros((6, 1))
    y = np.array([[0.0], [0], [0], [3], [3], [3]])
    folds = np.array([0, 0, 0, 1, 1, 1])
    targets, predictions = pred.cross_fit(
        x, y, np.arange(6), folds, lambda *a: np.full((len(a[3]), 1), 1.0)
    )
    assert targets.ravel().tolist() == [-3, -3, -3, 3, 3, 3]
    found = pred.held_out_r2(targets, predictions, np.ones((1, 6)))
    # errors of -4 and 2 against 3
    assert found[0, 0] == pytest.approx(1 - (16 + 4) / (9 + 9))


def test_held_out_rows_do_not_reach_their_predictions(rng, gaussians):
    x, y = gaussians(0.5, 60, rng, columns=3)
    patients = np.repeat(np.arange(30), 2)
    folds = deal(patients, 3, random_state=rng)
    for predict in (pred.linear, pred.trees):
        before = pred.cross_fit(x, y, patients, folds, predict)[1]
        changed = np.where(folds[:, None] == 1, 100 * y, y)
        after = pred.cross_fit(x, changed, patients, folds, predict)[1]
        np.testing.assert_array_equal(before[folds == 1], after[folds == 1])
        assert not np.allclose(before[folds == 0], after[folds == 0])


def test_collinear_columns_do_not_spoil_the_linear_prediction(rng):
    factors = rng.standard_normal((100, 3))
    x = factors @ rng.standard_normal((3, 107))
    y = factors[:, :1] + 0.5 * rng.standard_normal((100, 1))
    patients = np.arange(100)
    folds = deal(patients, 5, random_state=rng)
    fitted = pred.cross_fit(x, y, patients, folds, pred.linear)
    # 1 / 1.25 = 0.8 is what the factor explains
    found = pred.held_out_r2(*fitted, np.ones((1, 100)))[0, 0]
    assert found == pytest.approx(0.8, abs=0.1)


def test_permuted_r2_is_that_of_permuted_targets(rng):
    targets, predictions = rng.standard_normal((2, 20, 3))
    orders, _ = block_orders(np.arange(20), 5, rng)
    found = pred.permuted_r2(targets, predictions, orders)
    for row, order in enumerate(orders):
        one = pred.held_out_r2(targets[order], predictions, np.ones((1, 20)))
        np.testing.assert_allclose(found[row], one[0], atol=1e-12)
