"""The discriminator: pairs of two patients, areas under the ROC curve."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from radlatent.features.folds import deal
from radlatent.latent.certificate import discriminator as disc
from radlatent.latent.certificate.permutations import block_orders, p_values, widened


def test_shuffled_pairs_are_of_two_patients(rng):
    patients = np.repeat(np.arange(8), [1, 4, 2, 1, 1, 3, 1, 1])
    for _ in range(50):
        partner = disc.shuffled_pairs(patients, rng)
        assert (patients[partner] != patients).all()
        assert sorted(partner) == list(range(14))
    with pytest.raises(ValueError, match="3 of 5 rows"):
        disc.shuffled_pairs(np.array(list("aaabc")), rng)


def test_auc_of_two_normals(rng):
    # Phi(mu / sqrt(2)), Hanley and McNeil 1982
    scores = np.concatenate([rng.normal(1, 1, 20000), rng.normal(0, 1, 20000)])
    positive = np.repeat([1.0, 0.0], 20000)[None]
    found = disc.weighted_auc(scores, positive, 1 - positive)
    # the standard deviation is 0.0025
    assert found[0] == pytest.approx(norm.cdf(1 / np.sqrt(2)), abs=0.01)


def test_auc_is_the_share_of_pairs_won(rng):
    patients = np.array(list("aabbcddee"))
    rows = [np.arange(4), np.arange(4, 9)]
    scores = [(r, rng.integers(0, 5, (len(r), len(r))).astype(float)) for r in rows]
    weights = np.vstack([np.ones(9), [2, 2, 1, 1, 3, 0, 0, 1, 1]])

    def brute(weight):
        areas = []
        for r, score in scores:
            won = total = 0.0
            for i in range(len(r)):
                for a in range(len(r)):
                    for b in range(len(r)):
                        if patients[r[a]] == patients[r[b]]:
                            continue
                        mass = weight[r[i]] * weight[r[a]] * weight[r[b]]
                        total += mass
                        won += mass * (score[i, i] > score[a, b])
                        won += mass * 0.5 * (score[i, i] == score[a, b])
            areas.append((won / total, weight[r].sum()))
        return sum(a * w for a, w in areas) / sum(w for _, w in areas)

    found = disc.auc(scores, patients, weights)
    np.testing.assert_allclose(found, [brute(w) for w in weights], atol=1e-12)
    identity = np.arange(9)[None]
    same = disc.permuted_auc(scores, patients, identity)
    assert same[0] == pytest.approx(found[0], abs=1e-12)
    swapped = np.array([[2, 3, 0, 1, 4, 7, 8, 5, 6]])
    moved = [
        (r, s[:, o])
        for (r, s), o in zip(scores, ([2, 3, 0, 1], [0, 3, 4, 1, 2]), strict=True)
    ]
    expected = disc.auc(moved, patients, np.ones((1, 9)))
    assert disc.permuted_auc(scores, patients, swapped)[0] == pytest.approx(expected[0])


def test_a_draw_of_one_patient_has_no_auc():
    scores = [(np.arange(3), np.eye(3))]
    weights = np.array([[1.0, 1, 1], [3, 0, 0]])
    assert disc.auc(scores, np.arange(3), weights)[0] == 1
    assert np.isnan(disc.auc(scores, np.arange(3), weights)[1])


def fresh_auc(x, y, rng, n_permutations=199):
    patients = np.arange(len(x))
    folds = deal(patients, 5, random_state=rng)
    scores = disc.cross_fit_scores(x, y, patients, folds, rng)
    orders, _ = block_orders(patients, n_permutations, rng, folds)
    areas = disc.permuted_auc(scores, patients, orders)
    return areas[0], p_values(widened(areas[:, None], 5))[0]


@pytest.mark.slow
def test_the_discriminator_nears_the_best_one_on_gaussians(rng, gaussians):
    rho = 0.8
    x, y = gaussians(rho, 100_000, rng)
    joint = multivariate_normal([0, 0], [[1, rho], [rho, 1]])
    pairs = [np.hstack([x, y]), np.hstack([x, np.roll(y, 1, axis=0)])]
    ratio = np.concatenate(
        [joint.logpdf(p) - norm.logpdf(p).sum(axis=1) for p in pairs]
    )
    positive = np.repeat([1.0, 0.0], 100_000)[None]
    best = disc.weighted_auc(ratio, positive, 1 - positive)[0]
    found, p = fresh_auc(*gaussians(rho, 600, rng), rng)
    # the standard deviation at 600 pairs is about 0.01
    assert found == pytest.approx(best, abs=0.03)
    assert p == 1 / 200


@pytest.mark.long
def test_the_discriminator_sees_one_correlated_dimension_of_sixteen(rng, gaussians):
    found, p = fresh_auc(*gaussians(0.5, 400, rng, columns=16), rng)
    assert found > 0.52
    assert p <= 0.05
    found, p = fresh_auc(*gaussians(0.0, 400, rng, columns=16), rng)
    assert abs(found - 0.5) < 0.05
    assert p > 0.05
