import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

from radlatent.fusion.solvers.sparse import SparseLogistic


@parametrize_with_checks([SparseLogistic()])
def test_it_is_an_estimator(estimator, check):
    check(estimator)


@pytest.fixture
def wide():
    """Return 80 patients, 700 columns that go along, and classes of a few of them."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(80, 20)) @ rng.normal(size=(20, 700))
    X += 3 * rng.normal(size=X.shape)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    return X, X[:, :4].sum(axis=1) + rng.normal(size=80)


@pytest.mark.slow
@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
@pytest.mark.parametrize("cuts", [[0.0], [-1.5, 1.5]])
def test_solution_is_that_of_all_columns(wide, l1_ratio, cuts):
    X, y = wide[0], np.digitize(wide[1], cuts)
    C = 0.1
    words = {"l1_ratio": l1_ratio}
    if LogisticRegression().penalty != "deprecated":
        words["penalty"] = "elasticnet"
    solver = {"solver": "saga", "max_iter": 100_000, "random_state": 0}
    expected = LogisticRegression(C=C, tol=1e-6, **solver, **words).fit(X, y)
    found = SparseLogistic(C=C, l1_ratio=l1_ratio, tol=1e-6).fit(X, y)
    used = np.count_nonzero(found.coef_)
    assert 3 < used < 500
    # a gradient 1% beyond its condition moves no probability by more than that
    gap = found.predict_proba(X) - expected.predict_proba(X)
    assert np.abs(gap).max() < 0.003
    assert np.abs(found.coef_ - expected.coef_).max() < 0.01


def test_it_stops_near_the_optimum_where_the_penalty_is_weak(wide):
    X, y, new = wide[0][:60], wide[1][:60] > 0, wide[0][60:]
    expected = SparseLogistic(tol=1e-8).fit(X, y).predict_proba(new)
    found = SparseLogistic().fit(X, y).predict_proba(new)
    # with the tolerance of scikit-learn it is 0.05
    assert np.abs(found - expected).max() < 0.01


def test_conditions_of_the_optimum_hold_for_every_column(wide):
    X, y = wide[0], wide[1] > 0
    C, l1_ratio = 0.1, 0.7
    found = SparseLogistic(C, l1_ratio, tol=1e-6).fit(X, y)
    weights = found.coef_[0]
    gradient = C * X.T @ (found.predict_proba(X)[:, 1] - y)
    used = weights != 0
    assert (np.abs(gradient[~used]) <= l1_ratio * 1.01).all()
    expected = -l1_ratio * np.sign(weights) - (1 - l1_ratio) * weights
    # the solver stops at a relative change of 1e-6
    np.testing.assert_allclose(gradient[used], expected[used], atol=1e-3)


def test_ratio_of_a_pure_ridge_is_refused(wide):
    with pytest.raises(ValueError, match="l1_ratio is 0"):
        SparseLogistic(l1_ratio=0).fit(wide[0], wide[1] > 0)
