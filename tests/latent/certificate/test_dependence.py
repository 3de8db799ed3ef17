"""Estimators of dependence against Gaussians, whose dependence is known."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from radlatent.latent.certificate import dependence as dep
from radlatent.latent.certificate import discriminator as disc
from radlatent.latent.certificate import prediction as pred

RHOS = [0.0, 0.5, 0.9]


def gaussians(rho, n, rng, columns=1):
    """Return two arrays (n, columns); the first columns correlate by rho."""
    x, y = rng.standard_normal((2, n, columns))
    y[:, 0] = rho * x[:, 0] + np.sqrt(1 - rho**2) * y[:, 0]
    return x, y


def lesions(n_patients, n_lesions, rng):
    """Return two independent columns that resemble one another inside patients."""
    patients = np.repeat(np.arange(n_patients), n_lesions)
    x, y = (
        rng.standard_normal(n_patients)[patients]
        + 0.3 * rng.standard_normal(len(patients))
        for _ in range(2)
    )
    return x, y, patients


@pytest.mark.parametrize("rho", RHOS)
def test_mutual_information_of_gaussians(rho, rng):
    x, y = gaussians(rho, 4000, rng)
    # Kraskov et al. 2004, fig. 4: no visible bias; the standard deviation at n = 4000,
    # k = 3 is about 0.02
    found = dep.mutual_information(x[:, 0], y[:, 0])
    assert found == pytest.approx(-0.5 * np.log(1 - rho**2), abs=0.06)


def test_mutual_information_is_that_of_monotone_functions(rng):
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
def test_distance_correlation_of_gaussians(rho, rng):
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
def test_hsic_of_gaussians(rho, width, rng):
    x, y = gaussians(rho, 1500, rng)
    kernels = [dep.gaussian_kernel(values, width) for values in (x, y)]
    expected = gaussian_hsic(rho, width) / gaussian_hsic(1, width)
    assert dep.alignment(*kernels) == pytest.approx(expected, abs=0.05)


def test_centered_products_are_the_unbiased_hsic(rng):
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
    orders, _ = dep.block_orders(np.arange(25), 7, rng)
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


def test_p_values_count_the_observed_order():
    statistics = np.array([[3.0, 1.0], [1, 2], [4, 0], [3, 0]])
    # 4 and 3 reach 3; 2 reaches 1
    assert dep.p_values(statistics).tolist() == [3 / 4, 2 / 4]
    # the largest of each order: 2, 4, 3
    assert dep.adjusted_p_values(statistics).tolist() == [3 / 4, 4 / 4]


def test_orders_exchange_patients_with_as_many_rows(rng):
    patients = np.array(list("abbcddeeeg"))
    orders, movable = dep.block_orders(patients, 200, rng)
    assert orders[0].tolist() == list(range(10))
    np.testing.assert_array_equal(np.sort(orders, axis=1), orders[:1].repeat(201, 0))
    # e alone has three rows
    assert (orders[:, 6:9] == [6, 7, 8]).all()
    assert movable == 7
    assert {tuple(o[[1, 2]]) for o in orders} == {(1, 2), (4, 5)}
    assert set(orders[:, 0]) == {0, 3, 9}


def test_orders_inside_folds_stay_there(rng):
    folds = np.arange(12) % 3
    orders, movable = dep.block_orders(np.arange(12), 50, rng, folds)
    assert (folds[orders] == folds).all()
    assert movable == 12
    assert len(np.unique(orders, axis=0)) > 40


def kernel_p(x, y, orders):
    statistics = [
        dep.permuted_alignment(make(x), [make(y)], orders)
        for make in (dep.distances, dep.gaussian_kernel)
    ]
    return [float(dep.p_values(s)[0]) for s in statistics]


def test_p_values_of_independent_rows_are_uniform(rng):
    found = []
    for _ in range(50):
        x, y = rng.standard_normal((2, 30, 2))
        orders, _ = dep.block_orders(np.arange(30), 99, rng)
        found.append(kernel_p(x, y, orders))
    found = np.array(found)
    # binomial limits of 50 draws that 1 in 1000 exceeds
    for share, lowest, highest in ((0.05, 0, 9), (0.5, 14, 36)):
        counts = (found <= share).sum(axis=0)
        assert ((lowest <= counts) & (counts <= highest)).all(), (share, counts)


def test_lesions_of_a_patient_move_together_or_the_level_is_lost(rng):
    whole, single = [], []
    for _ in range(40):
        x, y, patients = lesions(20, 5, rng)
        orders, _ = dep.block_orders(patients, 99, rng)
        whole.append(kernel_p(x, y, orders))
        orders, _ = dep.block_orders(np.arange(len(x)), 99, rng)
        single.append(kernel_p(x, y, orders))
    # 1 in 1000 exceeds 7 of 40 at 5%
    assert ((np.array(whole) <= 0.05).sum(axis=0) <= 7).all()
    assert ((np.array(single) <= 0.05).sum(axis=0) >= 20).all()


def test_patients_are_dealt_to_folds_of_similar_size(rng):
    patients = np.repeat(np.arange(23), rng.integers(1, 5, 23))
    folds = pred.deal_folds(patients, 4, rng)
    assert all(len(set(folds[patients == p])) == 1 for p in range(23))
    assert np.ptp(np.bincount(folds)) <= 4


@pytest.mark.parametrize("rho", RHOS)
def test_held_out_r2_of_gaussians(rho, rng):
    x, y = gaussians(rho, 2000, rng, columns=10)
    patients = np.arange(2000)
    folds = pred.deal_folds(patients, 5, rng)
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


def test_held_out_rows_do_not_reach_their_predictions(rng):
    x, y = gaussians(0.5, 60, rng, columns=3)
    patients = np.repeat(np.arange(30), 2)
    folds = pred.deal_folds(patients, 3, rng)
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
    folds = pred.deal_folds(patients, 5, rng)
    fitted = pred.cross_fit(x, y, patients, folds, pred.linear)
    # 1 / 1.25 = 0.8 is what the factor explains
    found = pred.held_out_r2(*fitted, np.ones((1, 100)))[0, 0]
    assert found == pytest.approx(0.8, abs=0.1)


def test_permuted_r2_is_that_of_permuted_targets(rng):
    targets, predictions = rng.standard_normal((2, 20, 3))
    orders, _ = dep.block_orders(np.arange(20), 5, rng)
    found = pred.permuted_r2(targets, predictions, orders)
    for row, order in enumerate(orders):
        one = pred.held_out_r2(targets[order], predictions, np.ones((1, 20)))
        np.testing.assert_allclose(found[row], one[0], atol=1e-12)


def test_widened_permutations_have_the_variance_of_nadeau_and_bengio(rng):
    statistics = rng.standard_normal((100, 2))
    found = dep.widened(statistics, 5)
    assert (found[0] == statistics[0]).all()
    np.testing.assert_allclose(found[1:].mean(0), statistics[1:].mean(0), atol=1e-12)
    # 1 / 5 + 1 / 4 in place of 1 / 5
    np.testing.assert_allclose(found[1:].var(0), 2.25 * statistics[1:].var(0))


def test_held_out_predictions_keep_the_level_because_they_are_widened(rng):
    found = []
    for _ in range(60):
        x, y = rng.standard_normal((60, 30)), rng.standard_normal((60, 6))
        patients = np.arange(60)
        folds = pred.deal_folds(patients, 5, rng)
        orders, _ = dep.block_orders(patients, 99, rng, folds)
        # products with 30 columns, not shrunk: the most that folds can err together
        targets, predictions = pred.cross_fit(
            x, y, patients, folds, lambda x, y, _, new: new @ (x.T @ y)
        )
        r2 = pred.permuted_r2(targets, predictions, orders).mean(axis=1, keepdims=True)
        one = slice(0, 1)
        information = dep.permuted_mutual_information(
            predictions[:, one], targets[:, one], orders[:40]
        )
        tests = [dep.widened(r2, 5), dep.widened(information, 5), r2]
        found.append([dep.p_values(s)[0] for s in tests])
    counts = (np.array(found) <= 0.05).sum(axis=0)
    # 1 in 1000 exceeds 9 of 60 at 5%
    assert (counts[:2] <= 9).all()
    assert counts[2] > counts[0]


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
    folds = pred.deal_folds(patients, 5, rng)
    scores = disc.cross_fit_scores(x, y, patients, folds, rng)
    orders, _ = dep.block_orders(patients, n_permutations, rng, folds)
    areas = disc.permuted_auc(scores, patients, orders)
    return areas[0], dep.p_values(dep.widened(areas[:, None], 5))[0]


@pytest.mark.slow
def test_the_discriminator_nears_the_best_one_on_gaussians(rng):
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


@pytest.mark.slow
def test_the_discriminator_sees_one_correlated_dimension_of_sixteen(rng):
    found, p = fresh_auc(*gaussians(0.5, 400, rng, columns=16), rng)
    assert found > 0.52
    assert p <= 0.05
    found, p = fresh_auc(*gaussians(0.0, 400, rng, columns=16), rng)
    assert abs(found - 0.5) < 0.05
    assert p > 0.05
