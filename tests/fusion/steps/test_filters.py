import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.utils.estimator_checks import parametrize_with_checks

from radlatent.errors import SchemaError
from radlatent.fusion.steps.filters import (
    DropCorrelated,
    DropNearConstant,
    StableColumns,
)
from radlatent.handcrafted.repeat.agreement import icc


@parametrize_with_checks([DropCorrelated(), DropNearConstant()])
def test_filters_are_estimators(estimator, check):
    check(estimator)


@pytest.fixture
def groups():
    """Return 700 columns, more than are compared at once, in groups of likes."""
    rng = np.random.default_rng(1)
    X = np.repeat(rng.normal(size=(60, 140)), 5, axis=1)
    X += rng.normal(size=X.shape) * rng.uniform(0, 1, X.shape[1])
    X[:, 7] = 2.0
    return np.exp(X), np.arange(60) % 2


def greedy(X, order, limit):
    """Go through the columns one by one, with the correlations of SciPy."""
    with np.errstate(invalid="ignore"):
        rho = np.abs(np.nan_to_num(spearmanr(X).statistic))
    kept = []
    for column in order:
        if not kept or rho[column, kept].max() <= limit:
            kept.append(column)
    return sorted(kept)


@pytest.mark.filterwarnings("ignore:An input array is constant")
@pytest.mark.parametrize("limit", [0.5, 0.9])
def test_kept_columns_are_those_of_a_walk_through_all_pairs(groups, limit):
    X, y = groups
    chosen = DropCorrelated(limit).fit(X).get_support(indices=True)
    assert chosen.tolist() == greedy(X, range(700), limit)
    assert 140 <= len(chosen) < 700
    apart = [np.corrcoef(column, y)[0, 1] for column in np.delete(X, 7, 1).T]
    order = np.argsort(-np.abs(np.insert(apart, 7, 0)), kind="stable")
    chosen = DropCorrelated(limit, keep="relevant").fit(X, y).get_support(indices=True)
    assert chosen.tolist() == greedy(X, order, limit)


def test_correlation_refuses_what_it_cannot_do(groups):
    for wrong in (DropCorrelated(1.0), DropCorrelated(keep="last")):
        with pytest.raises(ValueError, match="'first', 'relevant', 'correlated'"):
            wrong.fit(*groups)


def test_column_of_mostly_one_value_is_dropped():
    X = np.zeros((20, 4))
    X[0, 0], X[:2, 1], X[:, 2] = 1, 3, np.arange(20)
    X[:, 3] = np.arange(20) % 2
    assert DropNearConstant(0.9).fit(X).get_support(indices=True).tolist() == [1, 2, 3]
    assert DropNearConstant(0.5).fit(X).get_support(indices=True).tolist() == [2, 3]
    X[2:, 3] = np.nan
    assert DropNearConstant(0.9).fit(X).get_support(indices=True).tolist() == [1, 2]
    with pytest.raises(SchemaError, match="leaves none of 2 columns"):
        DropNearConstant(0.5).fit(X[:, :2])
    with pytest.raises(ValueError, match="share is"):
        DropNearConstant(0.2).fit(X)


@pytest.fixture
def table():
    """Return ICCs of a column that repeats, one that does not, and one of nothing."""
    rng = np.random.default_rng(1)
    truth = np.repeat(rng.normal(size=30), 3)
    ratings = pd.DataFrame({"case_id": np.repeat(range(30), 3)})
    ratings["perturbation"] = np.tile(range(3), 30)
    ratings["ct__good"] = truth + 0.1 * rng.normal(size=90)
    ratings["ct__fair"] = truth + 0.4 * rng.normal(size=90)
    ratings["ct__none"] = 1.0
    return icc(ratings)


def test_stable_columns_are_those_of_the_table(table, make_features):
    rows = table[table["icc"] == "ICC(2,1)"].set_index("feature")
    # the estimate is good, its lower limit is not
    assert rows.loc["ct__fair", "lower"] < 0.75 < rows.loc["ct__fair", "estimate"]
    columns = ["ct__fair", "clinical__age", "ct__none", "ct__good"]
    X = make_features(np.zeros((3, 4)), [*"abc"]).set_axis(columns, axis=1)
    lower = StableColumns(table).fit(X)
    assert lower.get_feature_names_out().tolist() == ["clinical__age", "ct__good"]
    estimate = StableColumns(table, bound="estimate").fit(X)
    assert estimate.get_support().tolist() == [True, True, False, True]
    with pytest.raises(SchemaError, match="none is among 3 features"):
        StableColumns(table).fit(X[["clinical__age"]])


def test_a_table_of_something_else_is_named(table, make_features):
    X = make_features(np.zeros((3, 4)), [*"abc"])
    with pytest.raises(SchemaError, match=r"lacks \['feature', 'icc'\]"):
        StableColumns(X).fit(X)


def test_a_table_of_groups_is_no_table_of_columns(table, make_features):
    columns = ["ct__fair", "ct__good"]
    X = make_features(np.zeros((3, 2)), [*"abc"]).set_axis(columns, axis=1)
    groups = pd.concat([table.assign(lesion_id=name) for name in ("LV", "RV")])
    with pytest.raises(SchemaError, match=r"3 features are more than .*\.pivoted"):
        StableColumns(groups).fit(X)
    one = groups[groups["lesion_id"] == "LV"]
    assert StableColumns(one).fit(X).get_support().tolist() == [False, True]
