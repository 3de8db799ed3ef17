"""Competing events through validation: predictions, metrics, searches, chance."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from radlatent.errors import SchemaError
from radlatent.features.endpoint import CENSORED, Endpoint
from radlatent.fusion import (
    bootstrap_validate,
    cause_specific_cox,
    compare,
    cox,
    cross_validate,
    fine_gray,
    kaplan_meier,
    late_fusion,
    learning_curve,
    make_folds,
    multivariable,
    outcome_of,
    permutation_importance,
    permute_outcomes,
    study_size,
    subgroups,
    tune,
    univariable,
    validate_externally,
)
from radlatent.fusion.explain import importance
from radlatent.fusion.metrics.arrays import Risks
from radlatent.fusion.metrics.incidence import incidence_by_risk
from radlatent.fusion.metrics.survival import c_harrell
from radlatent.fusion.models import COMPETING_MODELS
from radlatent.fusion.solvers.calibrated import Calibrated, uncalibrated
from radlatent.fusion.validation import permuted
from radlatent.model import fit as rl_fit


def world(n, effect, seed=0, *, make_features):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6))
    first = rng.exponential(1000 * np.exp(-effect * x[:, 0]))
    second, end = rng.exponential(1500, n), rng.uniform(200, 3000, n)
    time = np.minimum(np.minimum(first, second), end)
    patients = pd.Index([f"p{i:03d}" for i in range(n)], name="patient_id")
    what = np.where(time == end, "none", np.where(time == first, "relapse", "death"))
    frame = pd.DataFrame({"days": time, "what": what}, patients)
    names = {"time": "days", "event": "what", "censored": "none"}
    endpoint = Endpoint.competing(frame, **names, positive="relapse", name="first")
    return make_features(x, patients), endpoint


@pytest.fixture
def cohort(make_features):
    features, endpoint = world(110, 1.0, make_features=make_features)
    return features, endpoint, make_folds(endpoint, n_folds=3, n_repeats=1)


@pytest.mark.parametrize("name", COMPETING_MODELS)
def test_models_find_the_effect_and_tell_incidences(cohort, name):
    endpoint = cohort[1]
    result = cross_validate(COMPETING_MODELS[name](), *cohort)
    table = result.predictions
    assert set(table["cause"]) == {"relapse", "death", CENSORED}
    assert (table["event"] == (table["cause"] == "relapse")).all()
    assert (table["positive"] == "relapse").all()
    chances = table.filter(regex="^incidence_")
    assert len(chances.columns) == 19
    assert ((chances >= 0) & (chances <= 1)).all(axis=None)
    assert (np.diff(chances, axis=1) >= 0).all()
    metrics = result.metrics.set_index("metric")
    assert [*metrics.index] == [
        "c_harrell",
        "c_uno",
        "auc_at_quartiles",
        "integrated_brier",
        "observed_expected",
    ]
    assert (metrics["n_events"] == (endpoint.frame["cause"] == "relapse").sum()).all()
    assert metrics.loc["c_harrell", "lower"] > 0.5
    row = metrics.loc["observed_expected"]
    assert row["lower"] < 1 < row["upper"]


def told(endpoint, risk):
    """Return predictions of one model that gives these risks."""
    frame = endpoint.frame.assign(risk=risk, positive=endpoint.positive)
    about = {"model": "m", "blocks": "b", "endpoint": "first", "repeat": 0, "fold": 0}
    return frame.assign(**about).rename_axis("patient_id").reset_index()


def test_groups_of_risk_have_the_incidence_of_the_world(make_features):
    features, endpoint = world(4000, 1.0, make_features=make_features)
    found = incidence_by_risk(told(endpoint, features.iloc[:, 0]))
    at = found.at(800).set_index(["group", "cause"])["incidence"]
    # 0.411 in 100 000 patients; three standard errors of two groups of 2000 are 0.047
    apart = at["high", "relapse"] - at["low", "relapse"]
    assert apart == pytest.approx(0.411, abs=0.047)
    # who relapses cannot die before: the other event is rarer
    assert at["high", "death"] < at["low", "death"]


def test_plot_is_the_observed_incidence_of_groups_of_risk(cohort):
    result = cross_validate(fine_gray(), *cohort)
    found = incidence_by_risk(result.predictions)
    assert found.groups["group"].tolist() == ["low", "low", "high", "high"]
    assert found.groups["cause"].tolist() == ["relapse", "death"] * 2
    assert found.groups["n"].sum() == 2 * 110
    _, ax = plt.subplots()
    lines = result.plot(ax).lines
    rows = found.curves.groupby(["group", "cause"], sort=False)
    assert len(lines) == 4
    for line, (_, one) in zip(lines, rows, strict=True):
        assert (line.get_ydata() == one["incidence"]).all()
    plt.close("all")
    with pytest.raises(SchemaError, match=r"no survival. Take incidence_by_risk"):
        kaplan_meier(result.predictions)


def test_models_are_compared_searched_and_permuted(cohort):
    models = {"fg": fine_gray(), "cox": cause_specific_cox(n_features=2)}
    both = pd.concat(
        cross_validate(m, *cohort, name=n).predictions for n, m in models.items()
    )
    assert compare(both, n_boot=50)["metric"].tolist() == ["c_harrell"]
    grid = {"risk__penalty_strength": [0.01, 1.0]}
    chosen = cross_validate(tune(fine_gray(), grid, n_folds=2), *cohort).fits["chosen"]
    assert chosen.str.contains("penalty_strength").all()
    told = permute_outcomes(fine_gray(), *cohort, n_permutations=3)
    assert "c_harrell" in repr(told)


def test_models_of_one_event_are_told_what_to_take(cohort):
    with pytest.raises(SchemaError, match=r"take for censored. Take fine_gray"):
        cross_validate(cox(), *cohort)


@pytest.mark.parametrize("name", COMPETING_MODELS)
def test_clinical_columns_may_have_no_penalty(cohort, name):
    features, endpoint = cohort[:2]
    names = ["clinical__age", *(f"ct__x{i}" for i in range(5))]
    features, y = features.set_axis(names, axis=1), outcome_of(endpoint)
    make = COMPETING_MODELS[name]
    # of a penalty that leaves nothing else, what is without one is as if it were alone
    free = make(penalty_strength=1e4, unpenalized="clinical").fit(features, y)
    alone = make(penalty_strength=0).fit(features[["clinical__age"]], y)
    for one, other in zip(free[-1].models_, alone[-1].models_, strict=True):
        assert one.coef_[0] == pytest.approx(other.coef_[0], abs=1e-3)
        assert np.abs(one.coef_[1:]).max() < 1e-3
    kept = make(n_features=1, unpenalized="clinical").fit(features, y)
    assert kept[-1].n_features_in_ == 2
    found = rl_fit(make(unpenalized="clinical"), features, endpoint)
    said = found.predict(features)
    np.testing.assert_allclose(said["risk"], found.estimator.predict(features))


@pytest.mark.parametrize("name", COMPETING_MODELS)
def test_a_search_tells_the_incidences_of_the_model_it_chose(cohort, name):
    model = COMPETING_MODELS[name]()
    grid = {"risk__penalty_strength": [0.1]}
    one, searched = (
        cross_validate(m, *cohort).predictions.filter(regex="^(risk$|incidence)")
        for m in (model, tune(model, grid, n_folds=2))
    )
    assert len(one.columns) == 20
    pd.testing.assert_frame_equal(one, searched)


def test_late_fusion_tells_incidences(make_features):
    features, endpoint = world(110, 1.0, make_features=make_features)
    columns = [f"{'ct' if i < 3 else 'pet'}__x{i}" for i in range(6)]
    features = features.set_axis(columns, axis=1)
    folds = make_folds(endpoint, n_folds=3, n_repeats=1)
    fused = late_fusion({"ct": fine_gray(), "pet": fine_gray()}, n_folds=3)
    result = cross_validate(fused, features, endpoint, folds)
    metrics = result.metrics.set_index("metric")
    assert metrics.loc["c_harrell", "lower"] > 0.5
    row = metrics.loc["observed_expected"]
    assert row["lower"] < 1 < row["upper"]
    assert len(result.predictions.filter(regex="^incidence").columns) == 19
    fitted = fused.fit(features, outcome_of(endpoint))
    # the effect is in the first column of the first block alone
    assert fitted.weights_["ct"] > 3 * abs(fitted.weights_["pet"])


def test_what_is_told_of_models_is_told_of_these(cohort):
    features, endpoint = cohort[:2]
    lost = permutation_importance(
        fine_gray(), *cohort, by="feature", n_permutations=3
    ).set_index("name")
    assert lost["metric"].eq("c_harrell").all()
    assert lost["loss"].idxmax() == features.columns[0]
    curve = learning_curve(fine_gray(), *cohort, sizes=[40, 70])
    assert set(curve["n_train"]) == {40, 70}
    predictions = cross_validate(fine_gray(), *cohort).predictions
    by = pd.Series(np.arange(110) % 2, endpoint.frame.index, name="half")
    groups = subgroups(predictions, by, n_boot=50)
    assert groups["n_events"].iloc[0] == groups["n_events"].iloc[1:].sum()
    x, truth = world(60, 1.0, 1, make_features=make_named(features))
    other = x, replace(truth, frame=truth.frame.set_axis(x.index))
    there = validate_externally(fine_gray(), features, endpoint, other)
    assert there.metrics["method"].str.contains("events: 'relapse'").all()


def test_what_ranks_is_fitted_without_curves_and_says_the_same(cohort, monkeypatch):
    found, grid = [], {"risk__penalty_strength": [0.1, 1]}
    for model in (fine_gray(), tune(fine_gray(), grid, n_folds=2)):
        for without in (uncalibrated, lambda model: model):
            for module in (permuted, importance):
                monkeypatch.setattr(module, "uncalibrated", without)
            told = permute_outcomes(model, *cohort, n_permutations=2)
            lost = permutation_importance(model, *cohort, n_permutations=2)
            found.append([*told.draws, told.summary["estimate"][0], *lost["loss"]])
    assert found[0] == found[1]
    assert found[2] == found[3]
    assert not isinstance(uncalibrated(fine_gray()), Calibrated)


def test_optimism_of_bootstrap_draws_is_that_of_models_that_saw_the_patients(cohort):
    found = bootstrap_validate(fine_gray(), *cohort[:2], n_boot=8).summary
    row = found.set_index("metric").loc["c_harrell"]
    assert row["n_events"] == (cohort[1].frame["cause"] == "relapse").sum()
    assert row["optimism"] > 0
    assert row["corrected"] < row["apparent"]


def make_named(features):
    """Return a maker of features with ids and columns of another cohort."""

    def make(x, patients):
        others = pd.Index([f"q{p}" for p in patients], name="patient_id")
        return pd.DataFrame(x, others, features.columns)

    return make


@pytest.mark.parametrize("what", [univariable, multivariable, study_size])
def test_tables_of_one_event_refuse_several_in_a_line(cohort, what):
    with pytest.raises(SchemaError, match=r"hazard of each cause.*fine_gray\(\)"):
        what(cohort[0], cohort[1])


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPETING_MODELS)
def test_by_chance_c_is_one_half_and_intervals_hold_it(name, make_features):
    inside, elsewhere = [], []
    many, truth = world(2000, 0.0, 100, make_features=make_features)
    risks = (np.empty((2000, 0)), np.empty(0))
    for seed in range(20):
        features, endpoint = world(90, 0.0, seed, make_features=make_features)
        folds = make_folds(endpoint, n_folds=3, n_repeats=1)
        result = cross_validate(COMPETING_MODELS[name](), features, endpoint, folds)
        row = result.metrics.set_index("metric").loc["c_harrell"]
        inside.append(row["lower"] <= 0.5 <= row["upper"])
        fitted = COMPETING_MODELS[name]().fit(features, outcome_of(endpoint))
        found = Risks(fitted.predict(many), *risks)
        elsewhere.append(c_harrell(outcome_of(truth), found, np.ones((1, 2000)))[0])
    # 95 % of 20 less three standard errors
    assert sum(inside) >= 16
    # on other patients, whom cross-validation cannot mislead: pooled out-of-fold risks
    # of small cohorts are a little below (0.485 of 120 cohorts, as those of Cox)
    error = np.std(elsewhere, ddof=1) / np.sqrt(20)
    assert error < 0.006
    assert np.mean(elsewhere) == pytest.approx(0.5, abs=3 * error)
