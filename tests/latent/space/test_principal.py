"""Principal components of few cases of many voxels."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from radlatent.latent.space.principal import fit_principal


@pytest.mark.parametrize("shape", [(12, 300), (300, 12)])
def test_equals_that_of_scikit_learn(rng, shape):
    flat = rng.normal(size=shape) @ rng.normal(size=(shape[1], shape[1])) + 5
    found, wanted = fit_principal(flat, 4), PCA(4, svd_solver="full").fit(flat)
    np.testing.assert_allclose(found.mean, wanted.mean_)
    np.testing.assert_allclose(found.variances, wanted.explained_variance_)
    cosines = (found.axes * wanted.components_).sum(axis=1)
    np.testing.assert_allclose(np.abs(cosines), 1, atol=1e-6)
    # it counts one direction more than 12 cases span
    n_left = min(shape) - 4, min(shape[0] - 1, shape[1]) - 4
    wanted_rest = wanted.noise_variance_ * n_left[0] / n_left[1]
    assert found.rest == pytest.approx(wanted_rest)
    new = rng.normal(size=(3, shape[1]))
    back = wanted.inverse_transform(wanted.transform(new))
    np.testing.assert_allclose(found.images(found.scores(new)), back)


def test_the_sign_does_not_depend_on_the_order_of_cases(rng):
    flat = rng.exponential(size=(20, 50))
    first, second = fit_principal(flat, 3), fit_principal(flat[::-1], 3)
    np.testing.assert_allclose(first.axes, second.axes, atol=1e-8)
    assert ((first.axes**3).sum(axis=1) > 0).all()


def test_directions_without_variance_have_no_axis(rng):
    flat = np.outer(rng.normal(size=9), rng.normal(size=30))
    found = fit_principal(flat, 3)
    np.testing.assert_allclose(found.axes[1:], 0)
    np.testing.assert_allclose(found.images(found.scores(flat)), flat)
