import numpy as np
import pytest
from sklearn.feature_selection import f_classif
from sklearn.utils.estimator_checks import parametrize_with_checks

from radlatent.fusion import MODELS, logistic
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
