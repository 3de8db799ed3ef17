"""What validation is given may be wrong: it says so, or does what is written here.

Cases that belong to one module alone stand with it: classes and events that training
lacks and times that are not positive in ``test_inputs.py`` and ``test_validate.py``, a
site of one patient in ``test_combat.py``, blocks that nobody has in ``test_blocks.py``,
ratios of a column that separates in ``test_inference.py``.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from radlatent.errors import SchemaError
from radlatent.fusion import (
    MODELS,
    SURVIVAL_MODELS,
    Combat,
    compare,
    cox,
    cross_validate,
    join,
    late_fusion,
    logistic,
    make_folds,
    site_folds,
    svm,
    tune,
    validate_externally,
)

FAMILIES = [(name, "class") for name in MODELS]
FAMILIES += [(name, "survival") for name in SURVIVAL_MODELS]


def make(name, kind, **options):
    # a tenth of the trees, so that the cases take seconds
    options |= {"n_estimators": 50} if name == "forest" else {}
    return (MODELS if kind == "class" else SURVIVAL_MODELS)[name](**options)


@pytest.fixture
def worlds(make_endpoint, make_survival, make_features):
    """Return features of sixty patients; kind to endpoint and folds."""
    endpoints = {"class": make_endpoint("ab" * 30), "survival": make_survival(60)}
    index = endpoints["class"].frame.index
    features = make_features(np.random.default_rng(1).normal(size=(60, 5)), index)
    about = {"n_folds": 3, "n_repeats": 1}
    return features, {
        kind: (endpoint, make_folds(endpoint, **about))
        for kind, endpoint in endpoints.items()
    }


def test_a_fold_whose_test_patients_are_of_one_class_is_pooled_with_the_others(worlds):
    features, known = worlds
    endpoint = known["class"][0]
    of_one_class = features.index[:20:2]
    sites = pd.Series(np.where(np.arange(60) < 40, "x", "y"), features.index)
    sites[of_one_class] = "z"
    result = cross_validate(logistic(), features, endpoint, site_folds(sites))
    tested = result.predictions.groupby("fold")["truth"].unique()
    assert [*tested[2]] == ["a"]
    row = result.metrics.set_index("metric").loc["auc"]
    assert np.isfinite([row["estimate"], row["lower"], row["upper"]]).all()
    assert row["n"] == 60


def test_fewer_events_than_folds_are_counted_with_a_remedy(worlds):
    features, known = worlds
    frame = known["survival"][0].frame.assign(event=[1] * 3 + [0] * 57)
    few = replace(known["survival"][0], frame=frame)
    with pytest.raises(SchemaError, match=r"\{'1': 3\} has fewer .*Use n_folds=3"):
        make_folds(few)
    folds = make_folds(few, n_folds=3, n_repeats=1)
    searched = tune(cox(), {"risk__penalty_strength": [0.1, 1.0]})
    with pytest.raises(SchemaError, match=r"fold 0: 2 events .*inner folds. Use"):
        cross_validate(searched, features, few, folds)
    fused = late_fusion({"ct_*": cox()})
    with pytest.raises(SchemaError, match=r"n_folds=5 takes .*'True': 2"):
        cross_validate(fused, features, few, folds)


def test_a_class_too_small_for_probabilities_of_a_machine_is_told(
    worlds, make_endpoint
):
    endpoint = make_endpoint("b" * 4 + "a" * 56)
    folds = make_folds(endpoint, n_folds=2, n_repeats=1)
    with pytest.raises(SchemaError, match=r"fold 1: .*less than 5 examples"):
        cross_validate(svm(), worlds[0], endpoint, folds)


@pytest.mark.parametrize(("name", "kind"), FAMILIES)
def test_a_column_without_a_value_is_as_if_it_were_not_there(worlds, name, kind):
    features, known = worlds
    column = features.columns[2]
    predicted = [
        cross_validate(make(name, kind), table, *known[kind]).predictions
        for table in (
            features.assign(**{column: np.nan}),
            features.drop(columns=column),
        )
    ]
    pd.testing.assert_frame_equal(*predicted)


@pytest.mark.parametrize("kind", ["class", "survival"])
def test_columns_that_are_all_without_a_value_are_refused(worlds, kind):
    features, known = worlds
    model = logistic() if kind == "class" else cox()
    with pytest.raises(SchemaError, match=r"fold 0: No feature .* variance threshold"):
        cross_validate(model, features * np.nan, *known[kind])


@pytest.mark.parametrize("kind", ["class", "survival"])
def test_patients_that_occur_twice_are_named_wherever_they_are(worlds, kind):
    features, known = worlds
    endpoint, folds = known[kind]
    model = logistic() if kind == "class" else cox()

    def double(table):
        return pd.concat([table, table.iloc[:2]])

    with pytest.raises(SchemaError, match=r"\['p000', 'p001'\] more than once"):
        cross_validate(model, double(features), endpoint, folds)
    twice = replace(endpoint, frame=double(endpoint.frame))
    message = r"2 patients have more than one outcome: \['p000', 'p001'\]"
    with pytest.raises(SchemaError, match=message):
        cross_validate(model, features, twice, folds)
    with pytest.raises(SchemaError, match=message):
        make_folds(twice)
    far = features.set_axis("q" + features.index).rename_axis("patient_id")
    frame = endpoint.frame.set_axis(far.index)
    external = (far, replace(endpoint, frame=frame))
    with pytest.raises(SchemaError, match=message):
        validate_externally(model, features, twice, external)
    with pytest.raises(SchemaError, match="more than once"):
        join(features, double(far.add_prefix("pet_")))


@pytest.mark.parametrize("name", MODELS)
def test_a_column_that_separates_the_classes_is_found_and_stays_finite(worlds, name):
    features, known = worlds
    endpoint, folds = known["class"]
    features["ct_handcrafted__mu0004"] = 1.0 * (endpoint.strata == "b")
    model = make(name, "class", n_features=1)
    metrics = cross_validate(model, features, endpoint, folds).metrics
    metrics = metrics.set_index("metric")
    assert metrics.loc["auc", ["estimate", "lower", "upper"]].tolist() == [1] * 3
    assert np.isfinite(metrics.loc["brier", "estimate"])
    # no slope is best, and a variance of nothing gives no interval
    assert np.isnan(metrics.loc["calibration_slope", "estimate"])
    assert metrics.loc["auc_delong", ["lower", "upper"]].isna().all()


@pytest.mark.parametrize("name", SURVIVAL_MODELS)
def test_a_column_that_orders_the_times_is_found_and_stays_finite(worlds, name):
    features, known = worlds
    endpoint, folds = known["survival"]
    # it was measured after the outcome
    features["ct_handcrafted__mu0004"] = -endpoint.frame["time"]
    model = make(name, "survival", n_features=1)
    result = cross_validate(model, features, endpoint, folds)
    table = result.predictions
    assert np.isfinite(table.filter(regex="^(risk|survival_)")).all(axis=None)
    assert result.metrics.set_index("metric").loc["c_harrell", "estimate"] > 0.85


def test_without_penalty_a_column_that_orders_the_times_is_refused(worlds):
    features, known = worlds
    endpoint, folds = known["survival"]
    features["ct_handcrafted__mu0004"] = -endpoint.frame["time"]
    with pytest.raises(SchemaError, match=r"fold 0: .*Give a penalty_strength"):
        cross_validate(cox(penalty_strength=0), features, endpoint, folds)


@pytest.mark.parametrize("time", [0.0, -30.0, np.nan, np.inf])
def test_a_time_that_is_none_is_refused_before_any_fit(worlds, time):
    features, known = worlds
    endpoint, folds = known["survival"]
    frame = endpoint.frame.copy()
    frame.loc["p004", "time"] = time
    strange = replace(endpoint, frame=frame)
    with pytest.raises(SchemaError, match=r"1 patients .* not above 0.*\['p004'\]"):
        cross_validate(cox(), features, strange, folds)
    with pytest.raises(SchemaError, match=r"not above 0"):
        validate_externally(cox(), features, strange, (features, endpoint))


def test_an_event_of_another_kind_is_not_taken_for_censoring(worlds):
    features, known = worlds
    endpoint, folds = known["survival"]
    event = endpoint.frame["event"].astype(float)
    event["p003"], event["p007"] = 2.0, np.nan
    strange = replace(endpoint, frame=endpoint.frame.assign(event=event))
    with pytest.raises(SchemaError, match=r"2 .* neither 0 nor 1: \['p003', 'p007'\]"):
        cross_validate(cox(), features, strange, folds)


def test_a_site_of_one_patient_is_refused_in_the_fold_that_tests_it(worlds):
    features, known = worlds
    endpoint, folds = known["class"]
    site = pd.Series(np.where(np.arange(60) < 30, "x", "y"), features.index)
    site["p011"] = "z"
    (tested,) = folds.loc[folds["patient_id"] == "p011", "fold"]
    model = logistic(prepare={"combat": Combat(site)})
    message = rf"fold {tested}: sites \['z'\] have no training patient.*unseen='pool'"
    with pytest.raises(SchemaError, match=message):
        cross_validate(model, features, endpoint, folds)
    pooled = logistic(prepare={"combat": Combat(site, unseen="pool")})
    for dealt in (folds, site_folds(site)):
        result = cross_validate(pooled, features, endpoint, dealt)
        assert result.predictions["probability_a"].notna().all()
    # left out as a site, it is a fold of one
    assert result.fits["n_test"].tolist() == [29, 30, 1]


@pytest.fixture
def apart(worlds, make_features):
    """Return two blocks of which nobody has both."""
    features, known = worlds
    values = np.random.default_rng(3).normal(size=(30, 3))
    pet = make_features(values, features.index[30:], "pet_handcrafted")
    return features.iloc[:30], pet, known["class"]


def test_blocks_without_a_patient_in_common_are_not_joined_inside(apart):
    with pytest.raises(SchemaError, match=r"no patient_id is in all .*how='outer'"):
        join(*apart[:2])


@pytest.mark.parametrize("late", [False, True])
def test_blocks_without_a_patient_in_common_predict_who_has_one(apart, late):
    ct, pet, (endpoint, folds) = apart
    blocks = {"ct_handcrafted": logistic(), "pet_handcrafted": logistic()}
    model = late_fusion(blocks, n_folds=2) if late else logistic()
    table = cross_validate(model, join(ct, pet, how="outer"), endpoint, folds)
    assert table.predictions["probability_a"].notna().all()
    assert len(table.predictions) == 60


def test_features_of_other_patients_are_refused_with_their_number(worlds):
    features, known = worlds
    far = features.set_axis("q" + features.index).rename_axis("patient_id")
    with pytest.raises(SchemaError, match="60 patients have no features"):
        cross_validate(logistic(), far, *known["class"])


def test_models_of_patients_that_none_share_are_not_compared(worlds):
    features, known = worlds
    one = cross_validate(logistic(), features, *known["class"]).predictions
    other = one.assign(blocks="other", patient_id="q" + one["patient_id"])
    with pytest.raises(SchemaError, match="120 patients are in one only"):
        compare(pd.concat([one, other]))
