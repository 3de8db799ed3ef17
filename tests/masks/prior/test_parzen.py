"""The density of latents: equal to scikit-learn's, and drawn from as it is."""

import numpy as np
import pytest
from scipy import stats
from sklearn.neighbors import KernelDensity

from radlatent.errors import SchemaError
from radlatent.masks.prior.parzen import (
    CANDIDATES,
    draw_latents,
    log_density,
    parzen_bandwidth,
)


def slices(rng, n_patients=12, n_slices=6, n_axes=3):
    """Return latents of slices that are alike within a patient, and whose they are."""
    middle = rng.standard_normal((n_patients, 1, n_axes))
    latents = middle + 0.2 * rng.standard_normal((n_patients, n_slices, n_axes))
    return latents.reshape(-1, n_axes), np.repeat(
        [f"p{k:02d}" for k in range(n_patients)], n_slices
    )


def sampled_by_rejection(latents, bandwidth, n, rng):
    """Draw as the published code does: z from Q, kept where u k Q(z) <= P(z).

    Q is the Gaussian of the latents, k the largest P / Q over them.
    """
    density = KernelDensity(bandwidth=bandwidth).fit(latents)
    around = stats.multivariate_normal(latents.mean(0), np.cov(latents.T))
    log_k = (density.score_samples(latents) - around.logpdf(latents)).max()
    kept = []
    while sum(map(len, kept)) < n:
        z = around.rvs(5000, random_state=rng)
        height = np.log(rng.random(len(z))) + log_k + around.logpdf(z)
        kept.append(z[height <= density.score_samples(z)])
    return np.concatenate(kept)[:n]


@pytest.mark.parametrize("n_axes", [1, 2, 32])
@pytest.mark.parametrize("bandwidth", [0.1, 0.9, 10.0])
def test_log_density_equals_scikit_learn(rng, n_axes, bandwidth):
    latents, _ = slices(rng, n_axes=n_axes)
    z = 2 * rng.standard_normal((50, n_axes))
    expected = KernelDensity(bandwidth=bandwidth).fit(latents).score_samples(z)
    # float64; terms of some thousand nats at the narrowest
    np.testing.assert_allclose(
        log_density(z, latents, bandwidth), expected, rtol=1e-10, atol=1e-9
    )


def test_log_density_of_many_points_is_that_of_each(rng):
    latents, _ = slices(rng, n_axes=2)
    z = rng.standard_normal((5000, 2))
    found = log_density(z, latents, 0.5)
    np.testing.assert_array_equal(
        found[4090:4110], log_density(z[4090:4110], latents, 0.5)
    )
    assert log_density(z[:0], latents, 0.5).shape == (0,)


@pytest.mark.parametrize(("n_patients", "n_folds"), [(12, 5), (3, 5), (7, 2)])
def test_bandwidth_equals_brute_force_over_patients(rng, n_patients, n_folds):
    latents, patients = slices(rng, n_patients)
    order = rng.permutation(len(latents))
    latents, patients = latents[order], patients[order]
    names = sorted(set(patients))
    n_folds_used = min(n_folds, n_patients)
    totals = []
    for bandwidth in CANDIDATES:
        total = 0.0
        for fold in np.array_split(names, n_folds_used):
            out = np.isin(patients, fold)
            density = KernelDensity(bandwidth=bandwidth).fit(latents[~out])
            total += density.score(latents[out])
        totals.append(total)
    found = parzen_bandwidth(latents, patients, n_folds=n_folds)
    assert found == CANDIDATES[int(np.argmax(totals))]
    assert CANDIDATES[0] < found < CANDIDATES[-1]


def test_slices_of_one_patient_do_not_narrow_the_bandwidth(rng):
    latents, patients = slices(rng, 30)
    by_patient = parzen_bandwidth(latents, patients)
    shuffled = rng.permutation(len(latents))
    dealt = parzen_bandwidth(
        latents[shuffled], [f"{k:03d}" for k in range(len(latents))]
    )
    # neighbors 0.2 apart in the same fold, or in another: what dealing rows does
    assert dealt < 0.7 * by_patient


def test_candidates_are_those_published():
    np.testing.assert_allclose(CANDIDATES, 10 ** np.linspace(-1, 1, 100))


@pytest.mark.parametrize("patients", [["p1"] * 4, []])
def test_one_patient_is_refused(patients):
    with pytest.raises(SchemaError, match=r"of the patients .*\. Give two or more"):
        parzen_bandwidth(np.zeros((len(patients), 2)), patients)


def test_draws_have_mean_and_covariance_of_the_density(rng):
    latents, _ = slices(rng, 5, 4)
    n, bandwidth = 200_000, 0.4
    drawn = draw_latents(latents, bandwidth, n, 0)
    assert drawn.shape == (n, 3)
    covariance = np.cov(latents.T, bias=True) + bandwidth**2 * np.eye(3)
    error = np.sqrt(np.diag(covariance) / n)
    # five standard errors; those of a covariance are at most sqrt(2/n) of variances
    # for Gaussians, of which this mixture is flatter
    assert (np.abs(drawn.mean(0) - latents.mean(0)) < 5 * error).all()
    spread = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)) * 2 / n)
    assert (np.abs(np.cov(drawn.T) - covariance) < 5 * spread).all()


def test_draws_follow_their_seed(rng):
    latents, _ = slices(rng)
    one = draw_latents(latents, 0.3, 10, 1)
    np.testing.assert_array_equal(one, draw_latents(latents, 0.3, 10, 1))
    assert not np.array_equal(one, draw_latents(latents, 0.3, 10, 2))
    generator = np.random.default_rng(1)
    np.testing.assert_array_equal(one, draw_latents(latents, 0.3, 10, generator))
    assert not np.array_equal(one, draw_latents(latents, 0.3, 10, generator))
    assert draw_latents(latents, 0.3, 0, 1).shape == (0, 3)


def test_draws_are_those_of_the_published_rejection_sampling(rng):
    # the largest P / Q over the latents bounds it elsewhere too where kernels are wide:
    # here sampling by rejection is exact but for some thousandths
    latents, n = rng.standard_normal((200, 2)) @ [[1.5, 0.4], [0, 0.7]], 6000
    bandwidth = 0.35
    rejected = sampled_by_rejection(latents, bandwidth, n, rng)
    drawn = draw_latents(latents, bandwidth, n, rng)
    wider = draw_latents(latents, 2 * bandwidth, n, rng)
    p, different = [], []
    for direction in ([1, 0], [0, 1], [0.6, 0.8], [0.8, -0.6]):
        one = rejected @ direction
        p.append(stats.ks_2samp(one, drawn @ direction).pvalue)
        different.append(stats.ks_2samp(one, wider @ direction).pvalue)
    # Bonferroni of four; the same test tells a kernel of twice the width
    assert min(p) > 0.05 / 4, p
    assert min(different) < 1e-4, different


def test_published_rejection_sampling_accepts_next_to_nothing_in_32_dimensions(rng):
    # 800 slices of 100 patients, held near the standard normal as by a KL term
    latents, patients = slices(rng, 100, 8, 32)
    latents /= latents.std(axis=0)
    bandwidth = parzen_bandwidth(latents, patients)
    around = stats.multivariate_normal(latents.mean(0), np.cov(latents.T))
    log_k = (log_density(latents, latents, bandwidth) - around.logpdf(latents)).max()
    # P and Q have an integral of 1: one of k proposals is kept
    assert np.exp(-log_k) < 1e-6
    # in two dimensions it works
    flat = latents[:, :2]
    width = parzen_bandwidth(flat, patients)
    around = stats.multivariate_normal(flat.mean(0), np.cov(flat.T))
    log_k = (log_density(flat, flat, width) - around.logpdf(flat)).max()
    assert np.exp(-log_k) > 0.02
