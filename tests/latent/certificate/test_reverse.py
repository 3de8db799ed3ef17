"""Functions of latent features, and what they tell of hand-crafted ones."""

import numpy as np
import pytest

from radlatent.features.folds import deal
from radlatent.latent.certificate import prediction as pred
from radlatent.latent.certificate import reverse
from radlatent.latent.certificate.permutations import block_orders


def test_functions_are_of_the_centered_and_scaled_feature(rng):
    latent = 5 + 3 * rng.standard_normal((50, 2))
    found = reverse.functions(latent)
    assert found.shape == (50, 2, 7)
    z = (latent - latent.mean(axis=0)) / latent.std(axis=0)
    np.testing.assert_allclose(found[..., 0], z)
    np.testing.assert_allclose(found[..., 1], z**2)
    np.testing.assert_allclose(found[..., 2], np.abs(z))
    median_free = found[..., 3:]
    assert (median_free >= 0).all()
    # a fifth lies below the first bend
    assert (median_free[..., 0] == 0).sum(axis=0).tolist() == [10, 10]


def test_the_length_is_the_last_function_of_all(rng):
    latent = rng.standard_normal((3, 40, 4))
    found = reverse.functions_of_all(latent)
    assert found.shape == (3, 40, 13)
    squares = found[..., [1, 4, 7, 10]]
    np.testing.assert_allclose(found[..., -1], squares.sum(axis=-1))


@pytest.mark.parametrize("function", [np.square, np.abs, np.sin, np.exp])
def test_each_feature_tells_what_is_a_function_of_it(rng, function):
    latent = rng.standard_normal((200, 3))
    told = function(latent[:, 1])
    told = (told - told.mean()) / told.std()
    handcrafted = rng.standard_normal((200, 5))
    handcrafted[:, 2] = told + 0.5 * handcrafted[:, 2]
    patients = np.arange(200)
    folds = deal(patients, 5, random_state=0)
    orders, _ = block_orders(patients, 99, rng, folds)
    about = handcrafted, patients, folds, orders
    found = reverse.reverse_of_each(latent, *about)
    assert found.shape == (100, 3)
    # 1 / 1.25 is known
    assert found[0, 1] == pytest.approx(0.8, abs=0.12)
    assert found[0, 1] > found[1:, 1].max()
    assert (found[0, [0, 2]] < 0.1).all()


def test_the_largest_is_that_of_the_target_that_is_told_best(rng):
    targets = rng.standard_normal((50, 4))
    predictions = 0.1 * rng.standard_normal((50, 4))
    predictions[:, 3] = targets[:, 3]
    orders, _ = block_orders(np.arange(50), 9, rng)
    whole, best = reverse.largest(targets, predictions, orders, 5)
    assert (whole[0], best) == (pytest.approx(1), 3)
    single = pred.held_out_r2(targets, predictions, np.ones((1, 50)))[0]
    assert single.argmax() == best
