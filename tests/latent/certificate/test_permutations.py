"""Orders exchange whole patients; p-values keep their level."""

import numpy as np

from radlatent.features.folds import deal
from radlatent.latent.certificate import dependence as dep
from radlatent.latent.certificate import prediction as pred
from radlatent.latent.certificate.permutations import (
    adjusted_p_values,
    block_orders,
    joint_p_values,
    p_values,
    widened,
)


def lesions(n_patients, n_lesions, rng):
    """Return two independent columns that resemble one another inside patients."""
    patients = np.repeat(np.arange(n_patients), n_lesions)
    x, y = (
        rng.standard_normal(n_patients)[patients]
        + 0.3 * rng.standard_normal(len(patients))
        for _ in range(2)
    )
    return x, y, patients


def test_p_values_count_the_observed_order():
    statistics = np.array([[3.0, 1.0], [1, 2], [4, 0], [3, 0]])
    # 4 and 3 reach 3; 2 reaches 1
    assert p_values(statistics).tolist() == [3 / 4, 2 / 4]
    # the largest of each order: 2, 4, 3
    assert adjusted_p_values(statistics).tolist() == [3 / 4, 4 / 4]


def test_orders_exchange_patients_with_as_many_rows(rng):
    patients = np.array(list("abbcddeeeg"))
    orders, movable = block_orders(patients, 200, rng)
    assert orders[0].tolist() == list(range(10))
    np.testing.assert_array_equal(np.sort(orders, axis=1), orders[:1].repeat(201, 0))
    # e alone has three rows
    assert (orders[:, 6:9] == [6, 7, 8]).all()
    assert movable == 7
    assert {tuple(o[[1, 2]]) for o in orders} == {(1, 2), (4, 5)}
    assert set(orders[:, 0]) == {0, 3, 9}


def test_orders_inside_folds_stay_there(rng):
    folds = np.arange(12) % 3
    orders, movable = block_orders(np.arange(12), 50, rng, folds)
    assert (folds[orders] == folds).all()
    assert movable == 12
    assert len(np.unique(orders, axis=0)) > 40


def kernel_p(x, y, orders):
    statistics = [
        dep.permuted_alignment(make(x), [make(y)], orders)
        for make in (dep.distances, dep.gaussian_kernel)
    ]
    return [float(p_values(s)[0]) for s in statistics]


def test_p_values_of_independent_rows_are_uniform(rng):
    found = []
    for _ in range(50):
        x, y = rng.standard_normal((2, 30, 2))
        orders, _ = block_orders(np.arange(30), 99, rng)
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
        orders, _ = block_orders(patients, 99, rng)
        whole.append(kernel_p(x, y, orders))
        orders, _ = block_orders(np.arange(len(x)), 99, rng)
        single.append(kernel_p(x, y, orders))
    # 1 in 1000 exceeds 7 of 40 at 5%
    assert ((np.array(whole) <= 0.05).sum(axis=0) <= 7).all()
    assert ((np.array(single) <= 0.05).sum(axis=0) >= 20).all()


def test_widened_permutations_have_the_variance_of_nadeau_and_bengio(rng):
    statistics = rng.standard_normal((100, 2))
    found = widened(statistics, 5)
    assert (found[0] == statistics[0]).all()
    np.testing.assert_allclose(found[1:].mean(0), statistics[1:].mean(0), atol=1e-12)
    # 1 / 5 + 1 / 4 in place of 1 / 5
    np.testing.assert_allclose(found[1:].var(0), 2.25 * statistics[1:].var(0))


def test_held_out_predictions_keep_the_level_because_they_are_widened(rng):
    found = []
    for _ in range(60):
        x, y = rng.standard_normal((60, 30)), rng.standard_normal((60, 6))
        patients = np.arange(60)
        folds = deal(patients, 5, random_state=rng)
        orders, _ = block_orders(patients, 99, rng, folds)
        # products with 30 columns, not shrunk: the most that folds can err together
        targets, predictions = pred.cross_fit(
            x, y, patients, folds, lambda x, y, _, new: new @ (x.T @ y)
        )
        r2 = pred.permuted_r2(targets, predictions, orders).mean(axis=1, keepdims=True)
        one = slice(0, 1)
        information = dep.permuted_mutual_information(
            predictions[:, one], targets[:, one], orders[:40]
        )
        tests = [widened(r2, 5), widened(information, 5), r2]
        found.append([p_values(s)[0] for s in tests])
    counts = (np.array(found) <= 0.05).sum(axis=0)
    # 1 in 1000 exceeds 9 of 60 at 5%
    assert (counts[:2] <= 9).all()
    assert counts[2] > counts[0]


def test_joint_p_values_find_the_feature_and_leave_the_others(rng):
    wholes, features = rng.standard_normal((200, 3)), rng.standard_normal((200, 3, 4))
    # units do not matter
    features[:, 1] *= 1000
    features[0, 1, 2] = 9000
    p, each = joint_p_values(wholes, features)
    assert p == 1 / 200
    assert each[2] == 1 / 200
    assert (each[[0, 1, 3]] > 0.05).all()


def test_joint_p_values_claim_anything_as_often_as_one_test(rng):
    claimed = 0
    for _ in range(400):
        wholes = rng.standard_normal((100, 5))
        features = rng.exponential(size=(100, 4, 6))
        claimed += joint_p_values(wholes, features)[0] <= 0.05
    # three standard deviations of a share of 0.05 in 400
    assert abs(claimed / 400 - 0.05) < 3 * np.sqrt(0.05 * 0.95 / 400)
