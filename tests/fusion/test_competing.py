"""Competing events through validation: predictions, metrics, searches, chance."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from radlatent.errors import SchemaError
from radlatent.features.endpoint import CENSORED, Endpoint
from radlatent.fusion import (
    cause_specific_cox,
    compare,
    cox,
    cross_validate,
    fine_gray,
    kaplan_meier,
    make_folds,
    permute_outcomes,
    tune,
)
from radlatent.fusion.metrics.incidence import incidence_by_risk
from radlatent.fusion.models import COMPETING_MODELS


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
    features, endpoint = world(150, 1.0, make_features=make_features)
    return features, endpoint, make_folds(endpoint, n_folds=3, n_repeats=2)


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


def test_plot_is_the_observed_incidence_of_groups_of_risk(cohort):
    result = cross_validate(fine_gray(), *cohort)
    found = incidence_by_risk(result.predictions)
    assert found.groups["group"].tolist() == ["low", "low", "high", "high"]
    assert found.groups["cause"].tolist() == ["relapse", "death"] * 2
    assert found.groups["n"].sum() == 2 * 150
    low, high = (
        found.at(800).set_index(["group", "cause"])["incidence"][group, "relapse"]
        for group in ("low", "high")
    )
    assert high > low + 0.1
    _, ax = plt.subplots()
    assert len(result.plot(ax).lines) == 4
    plt.close("all")
    with pytest.raises(SchemaError, match="hold competing events, no survival"):
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


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPETING_MODELS)
def test_by_chance_c_is_one_half_and_intervals_hold_it(name, make_features):
    found = []
    for seed in range(20):
        features, endpoint = world(90, 0.0, seed, make_features=make_features)
        folds = make_folds(endpoint, n_folds=3, n_repeats=1)
        metrics = cross_validate(COMPETING_MODELS[name](), features, endpoint, folds)
        found.append(metrics.metrics.set_index("metric").loc["c_harrell"])
    table = pd.DataFrame(found)
    assert table["estimate"].mean() == pytest.approx(0.5, abs=0.06)
    inside = (table["lower"] <= 0.5) & (table["upper"] >= 0.5)
    # 95 % of 20, within three standard errors
    assert inside.sum() >= 16
