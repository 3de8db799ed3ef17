from functools import partial

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from radlatent.errors import SchemaError
from radlatent.fusion.models.classes import boosted, forest, logistic, svm


def test_weak_penalty_on_many_columns_converges():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(60, 600)) * 10.0 ** rng.integers(-6, 9, 600)
    logistic(C=1e3).fit(X, np.arange(60) % 5)


def test_models_give_unfitted_pipelines():
    assert all(hasattr(make(), "steps") for make in (logistic, svm, forest, boosted))


@pytest.fixture
def circle():
    """Return patients of two classes, one around the other, and three of noise."""
    rng = np.random.default_rng(5)
    X = rng.normal(size=(300, 5))
    y = np.where(np.hypot(X[:, 0], X[:, 1]) > 1.2, "outside", "inside")
    return X, y


@pytest.mark.parametrize("make", [svm, lambda: forest(n_estimators=50), boosted])
def test_models_that_bend_find_a_circle(make, circle):
    X, y = circle
    truth = y[200:] == "outside"

    def rank(model):
        score = model.fit(X[:200], y[:200]).predict_proba(X[200:])[:, 1]
        return roc_auc_score(truth, score)

    assert rank(make()) > 0.9
    assert rank(logistic()) < 0.7


SMALL = [svm, partial(forest, n_estimators=20), partial(boosted, n_estimators=20)]


@pytest.mark.parametrize("make", SMALL)
def test_models_are_the_same_at_every_fit(make, circle):
    X, y = circle
    X, y = X[:60], y[:60]
    fits = [make(n_features=3).fit(X, y).predict_proba(X) for _ in range(2)]
    np.testing.assert_array_equal(*fits)
    other = make(n_features=3, random_state=1).fit(X, y).predict_proba(X)
    assert not np.array_equal(fits[0], other)


@pytest.mark.parametrize("make", [*SMALL, partial(logistic, penalty="elastic_net")])
def test_every_model_takes_missing_values_and_several_classes(make):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(60, 6))
    X[:, 0], X[:, 1], X[4, 2] = 7.0, np.nan, np.nan
    chances = make().fit(X, np.arange(60) % 3).predict_proba(X)
    assert chances.shape == (60, 3)
    # probabilities are divided by their sum in float64
    np.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-12)


def test_svm_has_no_limit_of_iterations_and_converges():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(60, 300)) * 10.0 ** rng.integers(-6, 9, 300)
    model = svm(C=1e3).fit(X, np.arange(60) % 2)
    machine = model["classify"].calibrated_classifiers_[0].estimator["machine"]
    assert machine.max_iter == -1
    assert machine.fit_status_ == 0


def test_svm_gives_probabilities_that_agree_with_frequencies():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(2000, 2))
    # the log odds are known: those of two normal classes, 1.5 apart
    y = rng.random(2000) < 1 / (1 + np.exp(-1.5 * X[:, 0]))
    chances = svm().fit(X[:1000], y[:1000]).predict_proba(X[1000:])[:, 1]
    for low, high in ((0, 0.3), (0.3, 0.7), (0.7, 1)):
        chosen = (chances >= low) & (chances < high)
        error = np.sqrt(0.25 / chosen.sum())
        gap = abs(chances[chosen].mean() - y[1000:][chosen].mean())
        # three standard errors of a frequency, and the same for the fitted sigmoid
        assert gap < 6 * error


def test_svm_is_not_certain_of_noise_that_was_selected():
    errors = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        X, y = rng.normal(size=(160, 1000)), np.arange(160) % 2
        model = svm(n_features=10).fit(X[:80], y[:80])
        errors.append(np.mean((model.predict_proba(X[80:])[:, 1] - y[80:]) ** 2))
    # 0.25 is that of knowing nothing; with columns chosen outside the parts, 0.34
    assert np.mean(errors) < 0.27


def test_svm_names_the_class_that_is_too_small():
    X, y = np.random.default_rng(1).normal(size=(20, 2)), np.arange(20) < 3
    with pytest.raises(ValueError, match="less than 5 examples"):
        svm().fit(X, y)
    svm(n_folds=3).fit(X, y)


def test_forest_obeys_its_options(circle):
    X, y = circle
    model = forest(n_estimators=7, max_features=2, min_samples_leaf=30).fit(X, y)
    trees = model["classify"].estimators_
    assert len(trees) == 7
    assert {tree.max_features for tree in trees} == {2}
    # 300 patients, at least 30 of them in a leaf
    assert 2 < max(tree.get_n_leaves() for tree in trees) <= 10


def test_boosted_trees_are_those_of_xgboost(circle):
    xgboost = pytest.importorskip("xgboost")
    X, y = circle
    words = {"max_depth": 3, "learning_rate": 0.1, "random_state": 4}
    ours = boosted(n_estimators=30, **words).fit(X, y).predict_proba(X)
    rounds = {"eta": 0.1, "max_depth": 3, "subsample": 0.8, "seed": 4, "nthread": 1}
    rounds |= {"objective": "binary:logistic", "tree_method": "hist", "max_bin": 64}
    # the pipeline scales first, which a tree sees in float32 only
    scaled = ((X - X.mean(axis=0)) / X.std(axis=0)).astype(np.float32)
    data = xgboost.DMatrix(scaled, label=y == "outside")
    theirs = xgboost.train(rounds, data, num_boost_round=30).predict(data)
    # in float32
    np.testing.assert_allclose(ours[:, 1], theirs, atol=1e-5)


def test_fewer_trees_after_the_fit_are_those_of_a_fit_of_fewer(circle):
    pytest.importorskip("xgboost")
    X, y = circle
    wanted = boosted(n_estimators=7).fit(X, y).predict_proba(X)
    lowered = boosted(n_estimators=30).fit(X, y)
    assert np.abs(lowered.predict_proba(X) - wanted).max() > 0.05
    lowered.set_params(classify__n_estimators=7)
    np.testing.assert_array_equal(lowered.predict_proba(X), wanted)


def test_penalties_leave_out_more_and_more(circle):
    rng = np.random.default_rng(1)
    X, y = np.c_[rng.normal(size=(300, 40)), circle[0][:, 0]], circle[0][:, 0] > 0.5
    words = ["ridge", "elastic_net", "lasso"]
    used = [
        np.count_nonzero(logistic(C=0.05, penalty=p).fit(X, y)["classify"].coef_)
        for p in words
    ]
    assert used[0] == 41 > used[1] > used[2] >= 1
    nearly = logistic(C=0.05, penalty="elastic_net", l1_ratio=0.999).fit(X, y)
    lasso = logistic(C=0.05, penalty="lasso").fit(X, y)
    gap = nearly["classify"].coef_ - lasso["classify"].coef_
    assert np.abs(gap).max() < 0.01
    with pytest.raises(SchemaError, match="unknown penalty 'laso'; did you mean"):
        logistic(penalty="laso")
