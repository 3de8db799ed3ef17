"""Estimators of dependence against Gaussians, whose dependence is known."""

import numpy as np
import pytest

from radlatent.latent.certificate import dependence as dep
from radlatent.latent.certificate.permutations import block_orders

RHOS = [0.0, 0.5, 0.9]


@pytest.mark.parametrize("rho", RHOS)
def test_mutual_information_of_gaussians(rho, rng, gaussians):
    x, y = gaussians(rho, 4000, rng)
    # Kraskov et al. 2004, fig. 4: no visible bias; the standard deviation at n = 4000,
    # k = 3 is about 0.02
    found = dep.mutual_information(x[:, 0], y[:, 0])
    assert found == pytest.approx(-0.5 * np.log(1 - rho**2), abs=0.06)


def test_mutual_information_is_that_of_monotone_functions(rng, gaussians):
    x, y = gaussians(0.7, 4000, rng)
    found = dep.mutual_information(np.exp(x[:, 0]), -(y[:, 0] ** 3))
    assert found == pytest.approx(-0.5 * np.log(1 - 0.49), abs=0.08)


def test_mutual_information_of_four_points_by_hand():
    # corners of a square and its middle line: with k = 1 each nearest neighbor is at 1
    # in x and 0 in y or the reverse, so nobody is strictly closer but equals
    x, y = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.0, 0.0, 5.0, 5.0])
    # x is standardized to -1, 1 and y to -1, 1: neighbors at 2; n_x = 1, n_y = 1
    expected = -np.euler_gamma + (1 + 1 / 2 + 1 / 3 - np.euler_gamma)
    expected -= 2 * (1 - np.euler_gamma)
    assert dep.mutual_information(x, y, k=1) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("rho", RHOS)
def test_distance_correlation_of_gaussians(rho, rng, gaussians):
    # Székely et al. 2007, theorem 7 (ii), doi:10.1214/009053607000000505
    above = rho * np.arcsin(rho) + np.sqrt(1 - rho**2)
    above -= rho * np.arcsin(rho / 2) + np.sqrt(4 - rho**2) - 1
    expected = above / (1 + np.pi / 3 - np.sqrt(3))
    x, y = gaussians(rho, 1500, rng)
    found = dep.alignment(dep.distances(x), dep.distances(y))
    # three standard deviations over 40 draws of 1500
    assert found == pytest.approx(expected, abs=0.05)


def test_distance_correlation_of_another_program():
    # dcor 0.7: u_distance_correlation_sqr of the arrays below
    grid = np.arange(12.0)
    x = np.column_stack([np.sin(grid), np.cos(2 * grid), grid / 6])
    y = np.column_stack([np.sin(grid) ** 2, np.cos(3 * grid)])
    found = dep.alignment(dep.distances(x), dep.distances(y))
    assert found == pytest.approx(0.028896419934801354, abs=1e-12)


def gaussian_hsic(rho, width):
    """Return HSIC of two standard normals with Gaussian kernels of a bandwidth.

    The three expectations of Gretton et al. 2005, lemma 1, by the integral
    E exp(-v' A v / 2) = det(I + S A)**(-1/2) of a normal v of covariance S: of the
    differences (S doubled, A = I / width**2), and of a point after the integral over
    its partner (A = I / (width**2 + 1)).
    """
    correlation = np.array([[1, rho], [rho, 1]])
    both = np.linalg.det(np.eye(2) + 2 * correlation / width**2) ** -0.5
    apart = (1 + 2 / width**2) ** -1
    point = np.linalg.det(np.eye(2) + correlation / (width**2 + 1)) ** -0.5
    return both + apart - 2 * point / (1 + 1 / width**2)


@pytest.mark.parametrize("rho", RHOS)
@pytest.mark.parametrize("width", [0.5, 1.0])
def test_hsic_of_gaussians(rho, width, rng, gaussians):
    x, y = gaussians(rho, 1500, rng)
    kernels = [dep.gaussian_kernel(values, width) for values in (x, y)]
    expected = gaussian_hsic(rho, width) / gaussian_hsic(1, width)
    assert dep.alignment(*kernels) == pytest.approx(expected, abs=0.05)


def test_centered_products_are_the_unbiased_hsic(rng, gaussians):
    x, y = gaussians(0.5, 30, rng, columns=3)
    k, m = dep.gaussian_kernel(x), dep.gaussian_kernel(y)
    n = len(k)
    found = (dep.u_centered(k) * dep.u_centered(m)).sum() / (n * (n - 3))
    np.fill_diagonal(k, 0)
    np.fill_diagonal(m, 0)
    # Song et al. 2012, eq. 5
    expected = np.trace(k @ m) + k.sum() * m.sum() / ((n - 1) * (n - 2))
    expected = (expected - 2 / (n - 2) * (k @ m).sum()) / (n * (n - 3))
    assert found == pytest.approx(expected, abs=1e-14)


def test_bandwidth_is_the_median_distance():
    kernel = dep.gaussian_kernel(np.array([0.0, 1.0, 3.0]))
    assert kernel[0, 1] == pytest.approx(np.exp(-1 / 8))
    # where most rows are equal the median is no bandwidth
    mostly = dep.gaussian_kernel(np.array([0.0, 0, 0, 0, 10]))
    assert mostly[0, 4] == pytest.approx(np.exp(-0.5 * (10 / 4) ** 2))


def test_independent_blocks_of_many_columns_have_no_distance_correlation(rng):
    found = []
    for _ in range(30):
        x, y = rng.standard_normal((2, 60, 100))
        found.append(dep.alignment(dep.distances(x), dep.distances(y)))
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    assert abs(np.mean(found)) < 3 * error
    assert error < 0.01


def test_a_matrix_of_three_rows_is_refused():
    with pytest.raises(ValueError, match="3 rows"):
        dep.u_centered(np.zeros((3, 3)))


def test_all_features_at_once_are_each_alone(rng, monkeypatch):
    x, y = rng.standard_normal((2, 25, 5))
    orders, _ = block_orders(np.arange(25), 7, rng)
    seconds = [dep.distances(column) for column in y.T]
    first = dep.distances(x)
    found = dep.permuted_alignment(first, seconds, orders)
    # two features at a time
    monkeypatch.setattr(dep, "_BYTES", 2 * 8 * 300)
    np.testing.assert_allclose(
        dep.permuted_alignment(first, seconds, orders), found, atol=1e-14
    )
    for row, order in enumerate(orders):
        for column, second in enumerate(seconds):
            alone = dep.alignment(dep.distances(x[order]), second)
            assert found[row, column] == pytest.approx(alone, abs=1e-12)
