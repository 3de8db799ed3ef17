from functools import partial

import numpy as np
import pytest
from sklearn.feature_selection import f_classif
from sklearn.metrics import roc_auc_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from radlatent.fusion import MODELS, forest, logistic, svm
from radlatent.fusion.models import SelectAtMost


@parametrize_with_checks([SelectAtMost(n_features=1)])
def test_selector_is_an_estimator(estimator, check):
    check(estimator)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_selection_is_by_f(n_classes):
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(60, 30)), np.arange(60) % n_classes
    chosen = SelectAtMost(7).fit(X, y).get_support(indices=True)
    assert sorted(np.argsort(f_classif(X, y)[0])[-7:]) == chosen.tolist()


def test_column_that_separates_exactly_is_selected():
    rng = np.random.default_rng(1)
    y = np.arange(20) % 2
    X = np.c_[rng.normal(size=(20, 3)), y, np.ones(20)]
    assert SelectAtMost(1).fit(X, y).get_support(indices=True).tolist() == [3]


def test_constant_and_empty_columns_are_dropped_without_a_warning():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(30, 6))
    X[:, 0], X[:, 1], X[4, 2] = 7.0, np.nan, np.nan
    model = logistic(n_features=20).fit(X, np.arange(30) % 3)
    assert model["drop_constant"].get_support().tolist() == [False] * 2 + [True] * 4
    assert model["select"].get_support().sum() == 4
    assert model.predict_proba(X).shape == (30, 3)


def test_missing_values_become_the_training_median():
    X = np.array([[1.0], [2.0], [9.0], [np.nan]])
    model = logistic().fit(X, ["a", "a", "b", "b"])
    assert model["impute"].statistics_.tolist() == [2.0]


def test_weak_penalty_on_many_columns_converges():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(60, 600)) * 10.0 ** rng.integers(-6, 9, 600)
    logistic(C=1e3).fit(X, np.arange(60) % 5)


def test_models_give_unfitted_pipelines():
    assert all(hasattr(make(), "steps") for make in MODELS.values())


@pytest.fixture
def circle():
    """Return patients of two classes, one around the other, and three of noise."""
    rng = np.random.default_rng(5)
    X = rng.normal(size=(300, 5))
    y = np.where(np.hypot(X[:, 0], X[:, 1]) > 1.2, "outside", "inside")
    return X, y


@pytest.mark.parametrize("make", [svm, lambda: forest(n_estimators=50)])
def test_models_that_bend_find_a_circle(make, circle):
    X, y = circle
    truth = y[200:] == "outside"

    def rank(model):
        score = model.fit(X[:200], y[:200]).predict_proba(X[200:])[:, 1]
        return roc_auc_score(truth, score)

    assert rank(make()) > 0.9
    assert rank(logistic()) < 0.7


@pytest.mark.parametrize("make", [svm, partial(forest, n_estimators=20)])
def test_models_are_the_same_at_every_fit(make, circle):
    X, y = circle
    X, y = X[:60], y[:60]
    fits = [make(n_features=3).fit(X, y).predict_proba(X) for _ in range(2)]
    np.testing.assert_array_equal(*fits)
    other = make(n_features=3, random_state=1).fit(X, y).predict_proba(X)
    assert not np.array_equal(fits[0], other)


@pytest.mark.parametrize("make", [svm, lambda: forest(n_estimators=20)])
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
