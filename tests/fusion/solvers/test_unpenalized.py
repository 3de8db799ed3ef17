"""Columns without a penalty beside columns with one: glmnet's penalty.factor of 0.

R 4.2.2, glmnet 4.1-6, on rossi (Rossi et al. 1980): columns standardized by the
standard deviation of n, ``penalty.factor = c(0, 0, 1, 1, 1, 1, 1)``, ``standardize =
FALSE``, ``thresh = 1e-16``. glmnet scales its factors to sum to their number, so that
its lambda is 5/7 of the one here (4/6 of six columns).
"""

import numpy as np
import pandas as pd
import pytest
from lifelines.datasets import load_rossi
from sklearn.utils.estimator_checks import parametrize_with_checks

import radlatent as rl
from radlatent.errors import SchemaError
from radlatent.fusion.solvers.cox import CoxRegression
from radlatent.fusion.solvers.linear import PenalizedLinear
from radlatent.fusion.solvers.sparse import SparingLogistic

FREE = ["clinical__fin", "clinical__age"]


@pytest.fixture(scope="module")
def data():
    """Return standardized columns and the frame."""
    frame = load_rossi()
    frame.index = pd.Index([f"p{i:03d}" for i in range(len(frame))], name="patient_id")
    columns = frame[["fin", "age", "race", "wexp", "mar", "paro", "prio"]]
    columns = (columns - columns.mean()) / columns.std(ddof=0)
    return columns.add_prefix("clinical__"), frame


BINOMIAL = {
    0: [
        *(-1.11823104, -0.21615460, -0.41642452, 0.10208487, -0.07705436),
        *(-0.13983845, -0.04263445, 0.26614273),
    ],
    0.5: [
        *(-1.10900398, -0.20892765, -0.43525667, 0.05166167, -0.04334374),
        *(-0.09522072, 0, 0.24102028),
    ],
    1: [
        *(-1.10391262, -0.20238010, -0.46341766, 0.00069270, -0.00534978),
        *(-0.04592294, 0, 0.20931607),
    ],
}


@pytest.mark.parametrize("l1_ratio", BINOMIAL)
def test_two_classes_are_those_of_glmnet(data, l1_ratio):
    X, frame = data
    model = SparingLogistic(1 / (0.02 * len(X)), l1_ratio, FREE)
    model.fit(X, frame["arrest"])
    told = [*model.intercept_, *model.coef_[0]]
    # descend ends at a slope of 1e-7
    np.testing.assert_allclose(told, BINOMIAL[l1_ratio], atol=2e-6)
    assert (model.coef_[0] == 0).tolist() == [n == 0 for n in BINOMIAL[l1_ratio][1:]]


def test_several_classes_are_those_of_glmnet(data):
    X, frame = data
    y = np.where(frame["arrest"] == 0, "none", "late").astype(object)
    y[(frame["arrest"] == 1) & (frame["week"] <= 26)] = "early"
    model = SparingLogistic(1 / (0.02 * len(X)), 0.5, FREE).fit(X, y)
    assert model.classes_.tolist() == ["early", "late", "none"]
    wanted = [
        [-0.11691366, -0.02656573, 0.14347939],
        [0.29356818, -0.64558839, 0.35202021],
        [0.16678373, 0, 0],
        [-0.20811016, 0.03177106, 0],
        [-0.06733119, 0, 0.03224867],
        [0, -0.07475188, 0],
        [0.18159265, 0, -0.13357279],
    ]
    np.testing.assert_allclose(model.coef_.T, wanted, atol=5e-6)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)


COX = {
    0: [
        *(-0.18571565, -0.35246835, 0.09638967, -0.07459000, -0.12591239),
        *(-0.05067463, 0.25705794),
    ],
    0.5: [
        *(-0.17947773, -0.36812191, 0.06243513, -0.05079695, -0.08866515),
        *(-0.02107332, 0.24478264),
    ],
    1: [
        *(-0.17371313, -0.38681994, 0.02858513, -0.02546297, -0.05209322),
        *(0, 0.22925413),
    ],
}


@pytest.mark.parametrize("l1_ratio", COX)
def test_hazards_are_those_of_glmnet(data, l1_ratio):
    X, frame = data
    y = np.empty(len(X), dtype=[("event", bool), ("time", float)])
    # no two times are equal: glmnet treats ties as Breslow does
    y["event"], y["time"] = frame["arrest"], frame["week"] + np.arange(1, 433) / 1000
    model = CoxRegression(0.02, l1_ratio, FREE).fit(X, y)
    np.testing.assert_allclose(model.coef_, COX[l1_ratio], atol=2e-6)


GAUSSIAN = {
    0: [0.02247574, -0.08990228, -0.25698155, -0.70975293, 0.11907768, -0.31976831],
    0.5: [0.01646166, -0.09593012, -0.19659268, -0.63368323, 0.03103338, -0.25592715],
    1: [0.01255933, -0.10948488, -0.13047509, -0.56522683, 0, -0.19443686],
}


@pytest.mark.parametrize("l1_ratio", GAUSSIAN)
def test_numbers_are_those_of_glmnet(data, l1_ratio):
    X, frame = data
    X = X.drop(columns="clinical__prio")
    model = PenalizedLinear(0.05, l1_ratio, FREE).fit(X, frame["prio"])
    # scikit-learn's coordinate descent ends at a gap of 1e-4
    atol = 1e-8 if l1_ratio == 0 else 2e-3
    np.testing.assert_allclose(model.coef_, GAUSSIAN[l1_ratio], atol=atol)
    assert model.intercept_ == pytest.approx(frame["prio"].mean())


@parametrize_with_checks([SparingLogistic()])
def test_it_is_an_estimator(estimator, check):
    check(estimator)


def test_many_columns_enter_one_batch_after_the_other(data):
    """The lasso of 600 columns is that of all of them at once (its conditions)."""
    X, frame = data
    rng = np.random.default_rng(0)
    names = [f"ct__f{n:03d}" for n in range(600)]
    noise = pd.DataFrame(rng.normal(size=(432, 600)), X.index, names)
    both = pd.concat([X[FREE], noise], axis=1)
    y = frame["arrest"].to_numpy()
    model = SparingLogistic(1 / (0.03 * 432), 1.0, "clinical").fit(both, y)
    slope = both.T.to_numpy() @ (model.predict_proba(both)[:, 1] - y) / 432
    used = model.coef_[0] != 0
    assert used[:2].all()
    assert 2 < used.sum() < 200
    np.testing.assert_allclose(slope[:2], 0, atol=1e-6)
    assert np.abs(slope).max() <= 0.03 * 1.011
    left = np.abs(slope[2:][used[2:]])
    np.testing.assert_allclose(left, 0.03, atol=1e-6)


#: The second is 0 in 88 % of the patients.
KEPT = ["clinical__fin", "clinical__mar"]

BUILDERS = [
    (rl.logistic, {"penalty": "elastic_net", "C": 1e-4}, "class"),
    (rl.cox, {"penalty_strength": 1e3}, "survival"),
    (rl.ridge, {"penalty_strength": 1e3}, "continuous"),
    (rl.elastic_net, {"penalty_strength": 1e3}, "continuous"),
]


@pytest.mark.parametrize(("build", "options", "kind"), BUILDERS)
def test_clinical_columns_stay_whatever_the_penalty_and_the_selection(
    data, build, options, kind, tmp_path
):
    X, frame = data
    rng = np.random.default_rng(1)
    names = [f"ct_handcrafted__f{n:02d}" for n in range(30)]
    noise = pd.DataFrame(rng.normal(size=(432, 30)), X.index, names)
    table = X[KEPT].join(noise)
    table["ct_handcrafted__copy"] = table[KEPT[1]] + 1e-3 * noise.iloc[:, 0]
    endpoint = {
        "class": lambda: rl.Endpoint.binary(frame, "arrest", positive=1),
        "survival": lambda: rl.Endpoint.survival(
            frame, time="week", event="arrest", unit="weeks"
        ),
        "continuous": lambda: rl.Endpoint.continuous(frame, "prio"),
    }[kind]()
    model = build(
        n_features=3,
        unpenalized=["clinical"],
        prepare={"correlation": 0.9, "near_constant": 0.8},
        **options,
    )
    final = rl.fit(model, table, endpoint)
    steps = model.fit(table, rl.fusion.outcome_of(endpoint))
    kept = list(steps[:-1].get_feature_names_out())
    assert kept[:2] == KEPT
    assert len(kept) == 5
    # the penalty leaves nothing of the others, so that this is the model of two
    alone = build(**options, unpenalized=["clinical"]).fit(
        X[KEPT], rl.fusion.outcome_of(endpoint)
    )
    told = np.ravel(steps[-1].coef_)[:2] / np.ravel(alone[-1].coef_)
    np.testing.assert_allclose(told, 1, atol=0.01)
    assert np.abs(np.ravel(steps[-1].coef_)[2:]).max() < 0.01
    final.save(tmp_path / "model")
    again = rl.load_model(tmp_path / "model").predict(table)
    pd.testing.assert_frame_equal(again, final.predict(table))


def test_names_that_fit_nothing_are_told(data):
    X, frame = data
    with pytest.raises(SchemaError, match=r"no block fits \['clinicl'\]; did you"):
        rl.logistic(unpenalized=["clinicl"]).fit(X, frame["arrest"])
    with pytest.raises(SchemaError, match="give a table"):
        SparingLogistic(unpenalized=["clinical"]).fit(X.to_numpy(), frame["arrest"])


@pytest.mark.parametrize("family", ["logistic", "ridge", "elastic_net", "cox"])
def test_a_column_that_is_constant_in_training_changes_nothing(family):
    """A rare category has no patient in some fold; the others are fitted as without."""
    rng = np.random.default_rng(0)
    index = pd.Index([f"p{i:03d}" for i in range(80)], name="patient_id")
    names = ["clinical__rare", "clinical__age", "ct__a", "ct__b"]
    X = pd.DataFrame(rng.normal(size=(80, 4)), index, names).assign(clinical__rare=0.0)
    signal = X["clinical__age"] + X["ct__a"] + rng.normal(size=80)
    y = np.where(signal > 0, "yes", "no") if family == "logistic" else signal
    if family == "cox":
        y = np.empty(80, dtype=[("event", bool), ("time", float)])
        y["event"], y["time"] = rng.random(80) < 0.7, np.exp(-signal) * 100
    builder = getattr(rl, family)
    whole = builder(unpenalized=["clinical"]).fit(X, y)
    less = X.drop(columns="clinical__rare")
    part = builder(unpenalized=["clinical"]).fit(less, y)
    how = "predict_proba" if family == "logistic" else "predict"
    found, expected = getattr(whole, how)(X), getattr(part, how)(less)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    alone = builder(unpenalized=["clinical__rare"]).fit(X, y)
    assert np.isfinite(getattr(alone, how)(X)).all()
