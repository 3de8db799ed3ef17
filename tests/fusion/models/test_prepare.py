"""What happens to columns before a model of classes, and before one of survival."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

from radlatent.errors import SchemaError
from radlatent.features.endpoint import Endpoint
from radlatent.fusion import (
    Combat,
    Preparation,
    aft,
    boosted,
    boosted_survival,
    cox,
    cross_validate,
    forest,
    late_fusion,
    logistic,
    make_folds,
    sign_average,
    svm,
    tune,
)
from radlatent.fusion.solvers.calibrated import SurvivalPipeline
from radlatent.fusion.solvers.concordance import concordance

SMALL = [svm, partial(forest, n_estimators=20), partial(boosted, n_estimators=20)]
SURVIVAL = {
    "cox": cox,
    "aft": aft,
    "boosted_survival": partial(boosted_survival, n_estimators=20),
    "sign_average": sign_average,
}


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


@pytest.fixture
def patients(make_features):
    """Return 60 patients of two sites, the second moved by 5, and their classes."""
    rng = np.random.default_rng(6)
    values = rng.normal(size=(60, 12))
    y = np.where(values[:, 0] + 0.5 * rng.normal(size=60) > 0, "case", "control")
    values[:, 3] = values[:, 0] + 0.05 * rng.normal(size=60)
    values[:, 4] = np.arange(60) == 7  # nearly constant
    values[30:, :3] += 5
    X = make_features(values, [f"p{i:02d}" for i in range(60)])
    X.iloc[3, 1] = np.nan
    site = pd.Series(["a"] * 30 + ["b"] * 30, X.index)
    return X, pd.Series(y, X.index), site


@pytest.mark.parametrize("make", [logistic, *SMALL])
def test_preparation_is_in_order_and_names_reach_the_end(make, patients):
    X, y, site = patients
    table = pd.DataFrame({"feature": X.columns, "icc": "ICC(2,1)", "lower": 0.9})
    table.loc[2, "lower"] = 0.1
    prepare = Preparation("mrmr", 0.9, 0.95, table, Combat(site))
    model = make(n_features=4, prepare=prepare).fit(X, y)
    steps = ["near_constant", "combat", "stability"]
    steps += ["impute", "drop_constant", "scale"]
    inner = make is svm
    steps += [] if inner else ["correlation", "select"]
    assert [*model.named_steps] == [*steps, "classify"]
    names = [*model[:-1].get_feature_names_out()]
    assert X.columns[2] not in names
    assert X.columns[4] not in names
    if not inner:
        assert len(names) == 4
        # one of the two copies, and it is the one that tells more
        assert len({*X.columns[[0, 3]]} & {*names}) == 1
    assert model.predict_proba(X.iloc[:9]).shape == (9, 2)


def test_harmonization_brings_the_sites_of_a_model_together(patients):
    X, y, site = patients
    plain = logistic(n_features=1).fit(X[X.columns[:3]], y)
    model = logistic(n_features=1, prepare={"combat": Combat(site)})
    model.fit(X[X.columns[:3]], y)
    scores = [m.score(X[X.columns[:3]], y) for m in (plain, model)]
    assert scores[0] < 0.75 < 0.8 < scores[1]


@pytest.mark.parametrize("select", ["univariate", "mrmr", "elastic_net"])
def test_each_selection_finds_the_column_that_tells(select, patients):
    X, y, _ = patients
    X = X.drop(columns=[*X.columns[[0, 4]]])
    model = logistic(n_features=1, prepare={"select": select}).fit(X, y)
    assert [*model[:-1].get_feature_names_out()] == ["ct_handcrafted__mu0003"]


def test_boruta_in_a_model_confirms_the_two_columns_that_tell(patients):
    X, y, _ = patients
    model = logistic(prepare={"select": "boruta"})
    # what tells at once need not be asked a hundred times; where nothing is confirmed
    # one column is kept, so that one would prove nothing
    model.set_params(select__n_estimators=20, select__n_rounds=16)
    model.fit(X.drop(columns=X.columns[4]), y)
    two = ["ct_handcrafted__mu0000", "ct_handcrafted__mu0003"]
    assert [*model[:-1].get_feature_names_out()] == two


def test_wrong_preparations_are_named():
    with pytest.raises(SchemaError, match="unknown select 'mrm'; did you mean 'mrmr'"):
        logistic(prepare={"select": "mrm"})
    with pytest.raises(SchemaError, match="unknown 'corelation'; did you mean"):
        forest(prepare={"corelation": 0.9})
    with pytest.raises(SchemaError, match="select='mrmr' needs n_features"):
        svm(prepare={"select": "mrmr"})


@pytest.fixture
def survival(patients):
    """Return the same patients, and survival of which columns 0 and 3 tell."""
    X, _, site = patients
    rng = np.random.default_rng(7)
    risk = X.iloc[:, 3].to_numpy()
    time = np.ceil(1000 * rng.exponential(size=60) / np.exp(1.5 * risk))
    event = (rng.random(60) < 0.8).astype(int)
    frame = pd.DataFrame({"time": time, "event": event}, X.index)
    y = np.empty(60, dtype=[("event", bool), ("time", float)])
    y["event"], y["time"] = event == 1, time
    return X, y, site, Endpoint("survival", "survival", frame)


@pytest.mark.parametrize("name", SURVIVAL)
def test_preparation_of_survival_is_in_the_same_order(name, survival):
    X, y, site, _ = survival
    table = pd.DataFrame({"feature": X.columns, "icc": "ICC(2,1)", "lower": 0.9})
    table.loc[2, "lower"] = 0.1
    prepare = Preparation("univariate", 0.9, 0.95, table, Combat(site))
    model = SURVIVAL[name](n_features=4, prepare=prepare).fit(X, y)
    steps = ["near_constant", "combat", "stability", "impute", "drop_constant"]
    steps += ["scale", "correlation", "select", "risk"]
    assert [*model.named_steps] == steps
    names = {*model[:-1].get_feature_names_out()}
    # not repeatable, nearly constant
    assert not {X.columns[2], X.columns[4]} & names
    assert len(names) == 4
    # one of the two copies
    assert len({*X.columns[[0, 3]]} & names) == 1
    assert model.predict_survival(X.iloc[:9], [300.0]).shape == (9, 1)
    # what the user gave stays unfitted
    assert not hasattr(prepare.combat, "sites_")


@pytest.mark.parametrize("name", SURVIVAL)
def test_combat_of_survival_is_the_pipeline_made_by_hand(name, survival):
    X, _, site, endpoint = survival
    combat = Combat(site, unseen="pool")
    prepared = SURVIVAL[name](prepare={"combat": combat})
    by_hand = SurvivalPipeline([("combat", combat), *SURVIVAL[name]().steps])
    folds = make_folds(endpoint, n_folds=3, n_repeats=1)
    of_both = (
        cross_validate(model, X, endpoint, folds, name="one").predictions
        for model in (prepared, by_hand)
    )
    pd.testing.assert_frame_equal(*of_both, check_exact=True)
    plain = cross_validate(SURVIVAL[name](), X, endpoint, folds).predictions
    moved = cross_validate(prepared, X, endpoint, folds).predictions
    assert not plain["risk"].equals(moved["risk"])


def test_harmonization_uncovers_the_column_that_tells(survival):
    X, y, site, _ = survival
    # the site moves this column by more than the risk does
    X = X[X.columns[[3]]].add(np.where(site == "b", 6.0, 0.0), axis=0)
    X = X.assign(ct_handcrafted__noise=np.random.default_rng(0).normal(size=60))
    scores = [
        cox(prepare=p).fit(X, y).score(X, y) for p in (None, {"combat": Combat(site)})
    ]
    assert scores[0] + 0.05 < scores[1]


def test_of_columns_that_go_along_the_one_that_tells_more_is_kept(survival):
    X, y, _, _ = survival
    tells, rng = X.iloc[:, 3], np.random.default_rng(0)
    X = X.iloc[:, [0, 3, 5]].assign(
        ct_handcrafted__mu0000=tells + 0.2 * rng.normal(size=60)
    )
    C = concordance(X.to_numpy(), y)
    assert abs(C[1] - 0.5) > abs(C[0] - 0.5)
    model = cox(prepare={"correlation": 0.9}).fit(X, y)
    # by the order of the columns it would be the first
    assert [*model[:-1].get_feature_names_out()] == [*X.columns[[1, 2]]]


def test_prepared_survival_is_searched_and_fused(survival):
    X, y, site, _ = survival
    prepare = {"combat": Combat(site), "correlation": 0.9}
    grid = {"correlation__limit": [0.5, 0.95], "risk__penalty_strength": [0.1, 1.0]}
    tuned = tune(cox(prepare=prepare), grid, n_folds=3).fit(X, y)
    assert set(tuned.best_params_) == set(grid)
    assert tuned.predict_survival(X, [300.0]).shape == (60, 1)
    both = late_fusion({"ct*": cox(prepare=prepare), "ct_*": cox()}, n_folds=3)
    assert np.isfinite(both.fit(X, y).predict(X)).all()


@pytest.mark.parametrize("select", ["mrmr", "elastic_net", "boruta"])
@pytest.mark.parametrize("name", SURVIVAL)
def test_selections_by_class_are_refused_for_survival(name, select):
    with pytest.raises(SchemaError, match=f"'{select}' looks at classes.*univariate"):
        SURVIVAL[name](n_features=3, prepare={"select": select})


def test_wrong_preparations_of_survival_are_named():
    with pytest.raises(SchemaError, match="unknown 'combt'; did you mean 'combat'"):
        cox(prepare={"combt": None})
    with pytest.raises(SchemaError, match="select='univariate' needs n_features"):
        aft(prepare={"select": "univariate"})


def test_sign_average_of_classes_takes_any_selection(patients):
    X, y, site = patients
    prepare = {"select": "mrmr", "combat": Combat(site)}
    model = sign_average(kind="class", n_features=3, prepare=prepare).fit(X, y)
    assert len(model[:-1].get_feature_names_out()) == 3
    assert model.predict_proba(X).shape == (60, 2)
