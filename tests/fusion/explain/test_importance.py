import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from xgboost import XGBClassifier

from radlatent.cohort import Endpoint
from radlatent.errors import LeakageError, SchemaError
from radlatent.features.folded import FoldedFeatures
from radlatent.fusion import boosted, forest, late_fusion, logistic, make_folds
from radlatent.fusion.explain.importance import permutation_importance, shap_values
from radlatent.fusion.models.survival import boosted_survival, cox
from radlatent.fusion.validation.inputs import outcome_of


@pytest.fixture(params=["class", "survival"])
def planted(request):
    """Sixty patients, two blocks of three columns; one column of ct tells all."""
    rng = np.random.default_rng(3)
    index = pd.Index([f"p{i:03d}" for i in range(60)], name="patient_id")
    columns = [f"{block}__f{i}" for block in ("pet", "ct") for i in range(3)]
    features = pd.DataFrame(rng.normal(size=(60, 6)), index, columns)
    strength = features["ct__f1"] + 0.3 * rng.normal(size=60)
    frame = pd.DataFrame({"class": np.where(strength > 0, "b", "a")}, index)
    if request.param == "survival":
        frame = pd.DataFrame({"time": 1000 * np.exp(-strength), "event": 1}, index)
        frame.loc[index[::4], "event"] = 0
    endpoint = Endpoint("os", request.param, frame)
    model = logistic() if request.param == "class" else cox()
    return model, features, endpoint, make_folds(endpoint, n_folds=2, n_repeats=1)


def test_block_that_tells_the_outcome_loses_most(planted):
    table = permutation_importance(*planted)
    names = "name block n_columns metric loss lower upper level n n_fits method"
    assert list(table) == names.split()
    assert table["name"].tolist() == ["ct", "pet"]
    assert table["n_columns"].tolist() == [3, 3]
    assert set(table["metric"]) == {
        "auc" if planted[2].kind == "class" else "c_harrell"
    }
    # 0.85 or more before, a coin after
    assert 0.3 < table["loss"][0] < 0.55
    assert abs(table["loss"][1]) < 0.1
    assert (table["lower"] <= table["loss"]).all()
    assert (table["loss"] <= table["upper"]).all()
    assert (table["n"][0], table["n_fits"][0]) == (60, 2)
    assert table["method"][0] == "middle of 40 losses: folds x 20 orders"
    pd.testing.assert_frame_equal(table, permutation_importance(*planted))


def test_column_without_weight_loses_nothing(planted):
    model, features, endpoint, folds = planted
    model.set_params(drop_constant="passthrough")
    features = features.assign(pet__constant=1.0)
    table = permutation_importance(
        model, features, endpoint, folds, by="feature", n_permutations=2
    ).set_index("name")
    assert table.index[0] == "ct__f1"
    assert table.loc["pet__constant", ["loss", "lower", "upper"]].tolist() == [0, 0, 0]
    assert table["block"]["pet__constant"] == "pet"


def test_a_fused_model_rests_on_the_block_that_tells(planted):
    one, *about = planted
    fused = late_fusion({"pet": one, "ct": one}, n_folds=3)
    table = permutation_importance(fused, *about, n_permutations=5)
    assert table["name"].tolist() == ["ct", "pet"]
    assert table["loss"][0] > 0.3


def test_rows_of_a_block_stay_in_one_piece(planted):
    # the model adds two columns that cancel in each patient, but not across patients
    model, features, endpoint, folds = planted
    features = features[["ct__f1"]].assign(pet__a=np.arange(60.0), pet__b=0.0)
    features["pet__b"] -= features["pet__a"]
    add = FunctionTransformer(lambda table: table.sum(axis=1).to_frame("ct__sum"))
    model = make_pipeline(add, model[-1])
    blocks = permutation_importance(model, features, endpoint, folds)
    assert blocks.set_index("name")["loss"]["pet"] == 0
    each = permutation_importance(model, features, endpoint, folds, by="feature")
    assert each.set_index("name")["loss"]["pet__a"] > 0.3


def test_patients_of_each_fold_see_the_features_of_their_fold(planted):
    model, features, endpoint, folds = planted
    groups = folds.groupby(["repeat", "fold"])["patient_id"]
    train = {key: sorted(set(features.index) - set(part)) for key, part in groups}
    latent = features.rename(columns=lambda c: c.replace("ct__", "ct_latent__"))
    folded = FoldedFeatures(dict.fromkeys(train, latent), train)
    table = permutation_importance(model, folded, endpoint, folds)
    plain = permutation_importance(model, features, endpoint, folds)
    np.testing.assert_array_equal(table["loss"], plain["loss"])
    with pytest.raises(LeakageError):
        permutation_importance(model, latent, endpoint, folds)


def test_unknown_grouping_and_folds_of_one_patient_are_refused(planted):
    with pytest.raises(SchemaError, match="by='column'"):
        permutation_importance(*planted, by="column")
    model, features, endpoint, folds = planted
    if endpoint.kind == "survival":  # sixty fits of Cox regression take long
        return
    alone = folds.assign(fold=np.arange(60))
    with pytest.raises(SchemaError, match="Use fewer folds"):
        permutation_importance(model, features, endpoint, alone)


@pytest.fixture
def waves():
    """What the references below were made from, without random numbers."""
    i = np.arange(40)
    values = np.c_[np.sin(i), np.cos(2 * i), (i % 3) - 1.0]
    index = pd.Index([f"p{k:03d}" for k in i], name="patient_id")
    features = pd.DataFrame(values, index, ["ct__a", "ct__b", "ct__c"])
    truth = values[:, 0] + 0.8 * values[:, 1] * values[:, 2] + 0.5 * np.cos(5 * i) > 0
    return features, truth.astype(int)


def test_values_of_a_line_are_those_of_shap(waves):
    # shap 0.51.0: LinearExplainer(LogisticRegression(C=1.0, tol=1e-10), Independent(
    # scaled features, max_samples=100)), the first two patients
    features, truth = waves
    line = LogisticRegression(C=1.0, tol=1e-10)
    model = make_pipeline(StandardScaler(), line).fit(features, truth)
    found = shap_values(model, features[:2], train=features)
    expected = [[-0.050572, -0.089264, 0.292273], [1.425626, 0.037898, -0.007494]]
    # six digits are written down
    np.testing.assert_allclose(found.contributions, expected, atol=1e-6)
    assert found.base == pytest.approx(0.13863234, abs=1e-6)


def test_values_of_trees_are_those_of_shap(waves):
    # shap 0.51.0, xgboost 3.2.0: TreeExplainer(XGBClassifier(...)), the same patients
    features, truth = waves
    model = XGBClassifier(n_estimators=5, max_depth=3, learning_rate=0.5, n_jobs=1)
    found = shap_values(model.fit(features, truth), features[:2])
    expected = [[-1.39356, 0, 0.10657], [2.05941, 0, 0.34936]]
    # float32, five digits are written down
    np.testing.assert_allclose(found.contributions, expected, atol=1e-5)
    assert found.base == pytest.approx(0.11222327, abs=1e-5)


@pytest.mark.parametrize("n_estimators", [20, 5])
def test_values_of_boosted_classes_are_those_of_the_trees_that_predict(n_estimators):
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(80, 3)))
    X.columns = ["ct__a", "ct__b", "pet__a"]
    model = boosted(n_estimators=20).fit(X, np.where(X["ct__b"] > 0, "yes", "no"))
    model.set_params(classify__n_estimators=n_estimators)
    found = shap_values(model, X)
    odds = found.contributions.sum(axis=1) + found.base
    # XGBoost adds in float32
    chances = model.predict_proba(X)[:, 1]
    np.testing.assert_allclose(1 / (1 + np.exp(-odds)), chances, atol=1e-6)
    assert found.summary["name"][0] == "ct__b"


@pytest.mark.parametrize("objective", ["cox", "aft"])
def test_values_add_up_to_the_risk_of_boosted_survival(planted, objective):
    _, features, endpoint, _ = planted
    if endpoint.kind == "class":
        pytest.skip("classes are above")
    model = boosted_survival(objective=objective, n_estimators=10)
    model.fit(features, outcome_of(endpoint))
    found = shap_values(model, features)
    sums = found.contributions.sum(axis=1) + found.base
    # XGBoost adds in float32
    np.testing.assert_allclose(sums, model.predict(features), atol=1e-5)
    assert found.summary["name"][0] == "ct__f1"


def test_values_add_up_and_dropped_columns_have_none(planted):
    model, features, endpoint, _ = planted
    features = features.assign(pet__constant=1.0)
    fitted = model.fit(features, outcome_of(endpoint))
    found = shap_values(fitted, features, train=features)
    score = getattr(fitted, "decision_function", fitted.predict)(features)
    sums = found.contributions.sum(axis=1) + found.base
    np.testing.assert_allclose(sums, score, atol=1e-10)
    assert list(found.contributions) == list(features)
    assert (found.contributions["pet__constant"] == 0).all()
    # around the training patients the values of each column are zero on average
    np.testing.assert_allclose(found.contributions.mean(), 0, atol=1e-10)
    table = found.summary
    assert table.loc[0, ["name", "block", "n"]].tolist() == ["ct__f1", "ct", 60]
    assert table["mean_absolute"].is_monotonic_decreasing


def test_models_without_exact_values_are_refused(waves):
    features, truth = waves
    trees = forest(n_estimators=2).fit(features, truth)
    with pytest.raises(SchemaError, match="RandomForestClassifier: Shapley values"):
        shap_values(trees, features, train=features)
    line = logistic().fit(features, truth)
    with pytest.raises(SchemaError, match="give train"):
        shap_values(line, features)
    several = logistic().fit(features, np.arange(40) % 3)
    with pytest.raises(SchemaError, match="two classes"):
        shap_values(several, features, train=features)
    mixed = make_pipeline(PCA(2), LogisticRegression()).fit(features, truth)
    with pytest.raises(SchemaError, match=r"mixes columns, into .*pca0"):
        shap_values(mixed, features, train=features)
