import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from radlatent.errors import SchemaError
from radlatent.fusion import cross_validate, logistic, make_folds, select_blocks
from radlatent.fusion.models.late import LateFusion, LateFusionSurvival, late_fusion

BLOCKS = {"ct": logistic(), "pet": logistic()}


def patients(n, effect=1.0, seed=0):
    """Return features of two blocks, the first column of each with an effect."""
    rng = np.random.default_rng(seed)
    index = pd.Index([f"p{i:04d}" for i in range(n)], name="patient_id")
    columns = [f"{block}__x{i}" for block in ("ct", "pet") for i in range(5)]
    X = pd.DataFrame(rng.normal(size=(n, 10)), index, columns)
    risk = effect * (X["ct__x0"] + X["pet__x0"])
    sick = rng.random(n) < 1 / (1 + np.exp(-risk))
    return X, pd.Series(np.where(sick, "yes", "no"), index)


def without_ct(X, share=0.3):
    X = X.copy()
    lost = np.random.default_rng(3).random(len(X)) < share
    X.loc[lost, X.columns.str.startswith("ct")] = np.nan
    return X


def auc(model, X, y):
    return roc_auc_score(y == "yes", model.predict_proba(X)[:, 1])


@pytest.fixture(scope="module")
def split():
    X, y = patients(1200)
    return X[:400], y[:400], X[400:], y[400:]


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_two_blocks_together_tell_more_than_each(split, missing):
    X, y, new, truth = split
    X, new = without_ct(X, missing), without_ct(new, missing)
    fused = late_fusion(BLOCKS).fit(X, y)
    alone = [
        auc(logistic().fit(select_blocks(X, b), y), select_blocks(new, b), truth)
        for b in BLOCKS
    ]
    # of log-odds of variance 1 and 2 the AUC is about 0.70 and 0.80
    assert auc(fused, new, truth) > max(alone) + 0.05
    assert fused.weights_.index.tolist() == ["ct", "pet"]
    assert (fused.weights_ > 0.5).all()


def stacked(X, **about):
    parts = StratifiedKFold(5, shuffle=True, random_state=0)
    models = []
    for block in BLOCKS:
        names = list(select_blocks(X, block))
        take = ColumnTransformer([("take", "passthrough", names)])
        models.append((block, make_pipeline(take, logistic())))
    return StackingClassifier(models, cv=parts, **about)


def test_without_missing_blocks_it_is_the_stacking_of_scikit_learn(split):
    X, y, new, truth = split
    # log-odds are what decision_function gives; without penalty scaling has no effect
    same = stacked(
        X,
        final_estimator=LogisticRegression(C=1e6),
        stack_method="decision_function",
    ).fit(X, y)
    ours = late_fusion(BLOCKS, C=1e6).fit(X, y)
    # the solver stops at a gradient of 1e-4
    expected = same.predict_proba(new)
    np.testing.assert_allclose(ours.predict_proba(new), expected, atol=2e-3)
    # on probabilities, its default, it is another model that says nearly the same
    usual = stacked(X).fit(X, y)
    chances = [
        m.predict_proba(new)[:, 1] for m in (late_fusion(BLOCKS).fit(X, y), usual)
    ]
    assert np.corrcoef(*chances)[0, 1] > 0.99
    assert abs(np.subtract(*[roc_auc_score(truth, c) for c in chances])) < 0.005


@pytest.mark.slow
def test_noise_ranks_nobody():
    found = []
    for seed in range(30):
        X, y = patients(300, 0.0, seed)
        found.append(auc(late_fusion(BLOCKS).fit(X[:100], y[:100]), X[100:], y[100:]))
    # the standard error of 30 AUCs of 200 patients is 0.008
    assert abs(np.mean(found) - 0.5) < 0.025


def test_a_model_that_remembers_its_patients_gets_no_weight():
    X, y = patients(300)
    X["ct__x0"] = 0.0
    nearest = make_pipeline(KNeighborsClassifier(1))
    fused = late_fusion({"ct": nearest, "pet": logistic()}).fit(X, y)
    # right on every patient it was fitted on, and useless on any other
    assert (fused.models_["ct"].predict(select_blocks(X, "ct")) == y).all()
    assert abs(fused.weights_["ct"]) < 0.2 * fused.weights_["pet"]


def test_a_missing_block_says_nothing(split):
    X, y, new, _ = split
    fused = late_fusion(BLOCKS).fit(without_ct(X), y)
    log_odds = fused.models_["pet"].decision_function(select_blocks(new[:1], "pet"))
    score = (log_odds - fused.center_[1]) / fused.scale_[1]
    expected = score * fused.weights_["pet"] + fused.fuse_.intercept_
    chance = fused.predict_proba(without_ct(new[:1], 1.0))[0, 1]
    assert chance == pytest.approx(1 / (1 + np.exp(-expected[0])), rel=1e-9)
    nothing = fused.predict_proba(new[:1] * np.nan)[0, 1]
    assert nothing == pytest.approx(1 / (1 + np.exp(-fused.fuse_.intercept_[0])))


def test_a_model_of_a_block_is_fitted_on_those_who_have_it(split):
    X, y, new, _ = split
    X = without_ct(X)
    fused = late_fusion(BLOCKS).fit(X, y)
    there = X["ct__x0"].notna()
    ct = [select_blocks(table, "ct") for table in (X[there], new)]
    alone = logistic().fit(ct[0], y[there]).predict_proba(ct[1])
    np.testing.assert_array_equal(fused.models_["ct"].predict_proba(ct[1]), alone)


def test_other_patients_change_no_prediction(split):
    X, y, new, _ = split
    fused = late_fusion(BLOCKS).fit(X, y)
    together = fused.predict_proba(new)[:5]
    # sums of other lengths round otherwise
    np.testing.assert_allclose(fused.predict_proba(new[:5]), together, rtol=1e-12)


def test_cross_validation_takes_it(make_endpoint):
    X, y = patients(300)
    X = without_ct(X)
    endpoint = make_endpoint(y)
    endpoint.frame.index = X.index
    folds = make_folds(endpoint, n_folds=3, n_repeats=1)
    before = cross_validate(late_fusion(BLOCKS), X, endpoint, folds)
    metrics = before.metrics.set_index("metric")["estimate"]
    assert metrics["auc"] > 0.7
    # a row that is tested changes nothing that is fitted: others of its fold stay
    tested = folds.query("fold == 0")["patient_id"].tolist()
    X.loc[tested[0]] = 50.0
    after = cross_validate(late_fusion(BLOCKS), X, endpoint, folds)
    column = "probability_yes"
    pairs = [
        r.predictions.set_index("patient_id").loc[tested[1:], column]
        for r in (before, after)
    ]
    pd.testing.assert_series_equal(*pairs, rtol=1e-12)


def test_several_classes_have_a_score_each():
    X, _ = patients(300)
    y = np.where(X["ct__x0"] > 0.5, "c", np.where(X["pet__x0"] > 0, "b", "a"))
    fused = late_fusion({"*": logistic()}).fit(X, y)
    assert fused.center_.shape == (1, 3)
    chances = fused.predict_proba(X)
    # probabilities are divided by their sum in float64
    np.testing.assert_allclose(chances.sum(axis=1), 1, rtol=1e-12)
    assert (fused.predict(X) == y).mean() > 0.9
    assert fused.weights_["*"] > 0


def test_it_is_an_estimator():
    fused = late_fusion(BLOCKS, C=2.0)
    assert isinstance(fused, LateFusion)
    assert clone(fused).get_params()["C"] == 2.0
    assert clone(fused).models["ct"] is not fused.models["ct"]


def test_small_classes_and_unknown_blocks_are_named():
    X, y = patients(40)
    X.loc[y[y == "yes"].index[3:], "pet__x0":] = np.nan
    with pytest.raises(SchemaError, match=r"n_folds=5 .*'pet': .*'yes': 3"):
        late_fusion(BLOCKS).fit(X, y)
    late_fusion(BLOCKS, n_folds=3).fit(X, y)
    with pytest.raises(SchemaError, match=r"no block fits \['mr'\]"):
        late_fusion({"mr": logistic()}).fit(X, y)
    twice = X.iloc[[*range(40), 0]].copy()
    twice.iloc[40, 0] += 1
    with pytest.raises(SchemaError, match="more than once"):
        late_fusion(BLOCKS).fit(twice, y.iloc[[*range(40), 0]])


def test_a_patient_who_was_drawn_twice_is_in_one_part():
    X, y = patients(40)
    rows = [*range(40), *range(0, 40, 3)]
    drawn = X.iloc[rows]
    late_fusion(BLOCKS).fit(drawn, y.iloc[rows])
    for inside, outside in late_fusion(BLOCKS)._deal(drawn, y.iloc[rows]).split():
        assert not set(drawn.index[inside]) & set(drawn.index[outside])


class FirstColumn(BaseEstimator):
    """A score that was made elsewhere: its first column is the risk."""

    def fit(self, X, y):
        return self

    def predict(self, X):
        return X.iloc[:, 0].to_numpy()


SCORES = {"ct": FirstColumn(), "pet": FirstColumn()}


@pytest.fixture
def survival():
    rng = np.random.default_rng(7)
    scores = rng.normal(size=(80, 2))
    time = rng.exponential(np.exp(-scores @ [1.0, 0.5]))
    y = np.empty(80, dtype=[("event", bool), ("time", float)])
    y["event"], y["time"] = rng.random(80) < 0.7, time
    index = pd.Index([f"p{i:02d}" for i in range(80)], name="patient_id")
    return pd.DataFrame(scores, index, ["ct__risk", "pet__risk"]), y


def test_risks_are_weighed_by_a_ridge_cox_regression(survival):
    X, y = survival
    fused = late_fusion(SCORES, C=0.05).fit(X, y)
    assert isinstance(fused, LateFusionSurvival)
    # scikit-survival 0.28.0 on the standardized columns:
    # CoxPHSurvivalAnalysis(alpha=1 / 0.05, ties="efron", tol=1e-12).fit(z, y), .predict
    # and .predict_survival_function at 0.5; the solver of ours stops at 1e-6
    np.testing.assert_allclose(fused.weights_, [0.29954215, 0.40800566], rtol=1e-5)
    expected = [0.2744857, -0.3748383]
    np.testing.assert_allclose(fused.predict(X[:2]), expected, rtol=1e-5)
    chances = fused.predict_survival(X[:2], [0.5])[:, 0]
    np.testing.assert_allclose(chances, [0.6761295, 0.8150942], rtol=1e-5)


def test_a_missing_risk_is_the_mean_and_an_equal_one_has_no_weight(survival):
    X, y = survival
    X.loc["p00", "ct__risk"] = np.nan
    fused = late_fusion(SCORES).fit(X, y)
    score = (X.loc["p00", "pet__risk"] - fused.center_[1, 0]) / fused.scale_[1, 0]
    # risks are centered at the mean patient, and the score of pet already is
    expected = score * fused.weights_["pet"]
    assert fused.predict(X[:1])[0] == pytest.approx(expected, rel=1e-9)
    X["ct__risk"] = 0.1
    fused = late_fusion(SCORES).fit(X, y)
    assert fused.weights_["ct"] == 0
    assert fused.weights_["pet"] > 0
