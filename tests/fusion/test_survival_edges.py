"""Survival where follow-up ends, nobody is censored, or a model finds nothing."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest

from radlatent.errors import SchemaError
from radlatent.features.endpoint import Endpoint
from radlatent.fusion import (
    SURVIVAL_MODELS,
    compare,
    cox,
    cross_validate,
    evaluate,
    late_fusion,
    learning_curve,
    make_folds,
    permute_outcomes,
    site_folds,
    survival_calibration,
    tune,
    validate_externally,
)

FAMILIES = [*SURVIVAL_MODELS, "late"]


def family(name):
    if name == "late":
        return late_fusion({"ct": cox(), "pet": cox()}, n_folds=3)
    few = {"n_estimators": 10} if name == "boosted_survival" else {}
    return SURVIVAL_MODELS[name](**few)


def population(n, last_day, seed, prefix="p"):
    """Return features and survival of patients who are followed until a day at most."""
    rng = np.random.default_rng(seed)
    risk = rng.normal(size=n)
    died = np.ceil(900 * rng.exponential(size=n) / np.exp(risk))
    left = np.minimum(np.ceil(rng.uniform(200, last_day, n)), last_day)
    ids = pd.Index([f"{prefix}{i:03d}" for i in range(n)], name="patient_id")
    frame = {"time": np.minimum(died, left), "event": (died <= left).astype(int)}
    features = pd.DataFrame({"ct__x": risk, "pet__y": rng.normal(size=n)}, ids)
    return features, Endpoint("os", "survival", pd.DataFrame(frame, ids))


def by_metric(result):
    return result.metrics.set_index("metric")


@pytest.mark.parametrize("name", FAMILIES)
def test_nothing_is_predicted_or_scored_beyond_the_follow_up_of_training(name):
    short, long = population(90, 500, 0), population(80, 3000, 1, "q")
    until = short[1].frame["time"].max()
    result = validate_externally(family(name), *short, long)
    table = result.predictions
    assert (table["trained_until"] == until).all()
    known = {
        float(column.removeprefix("survival_")): table[column].notna().all()
        for column in table.filter(like="survival_")
    }
    assert max(known) > until
    assert all(there == (day <= until) for day, there in known.items())
    # NaN on those days, for all patients
    assert table.filter(like="survival_").isna().any(axis=0).sum() == sum(
        day > until for day in known
    )
    scored = by_metric(result)
    assert scored["horizon"].drop(["c_harrell", "c_uno"]).max() <= until
    assert scored["estimate"].notna().all()
    with pytest.raises(SchemaError, match=f"were followed until day {until:g}"):
        survival_calibration(table, horizon=until + 1)
    assert survival_calibration(table)["horizon"].max() <= until


def test_a_cut_follow_up_costs_no_calibration():
    # both models know the hazard until day 490; so do their scores until then
    test = population(200, 3000, 1, "q")
    short = validate_externally(cox(), *population(400, 500, 0), test)
    long = validate_externally(cox(), *population(400, 3000, 2), test)
    until = short.predictions["trained_until"].iloc[0]
    same = evaluate(long.predictions, horizon=until, n_boot=20).set_index("metric")
    found = by_metric(short)["estimate"]
    # two cohorts of 400 give two baselines: their noise
    assert found["integrated_brier"] == pytest.approx(
        same.loc["integrated_brier", "estimate"], abs=0.01
    )
    pair = [short.predictions, long.predictions.assign(model="long")]
    row = compare(pd.concat(pair), metric="integrated_brier", n_boot=20).iloc[0]
    # on the days that both know, not each on its own
    assert abs(row["difference"]) < 0.01


def test_a_site_that_is_followed_longer_is_scored_where_the_others_were():
    X, endpoint = population(120, 2000, 3)
    site = pd.Series(np.repeat(["a", "b", "c"], 40), X.index)
    frame = endpoint.frame.copy()
    late = (site != "c") & (frame["time"] > 400)
    frame.loc[late, ["time", "event"]] = [400.0, 0]
    result = cross_validate(cox(), X, replace(endpoint, frame=frame), site_folds(site))
    until = result.predictions.groupby("fold")["trained_until"].first()
    assert until[2] == 400 < until[0]
    scored = by_metric(result)
    assert scored["horizon"].drop(["c_harrell", "c_uno"]).max() <= 400
    assert scored["estimate"].notna().all()


@pytest.mark.parametrize("censored", [0, 1, 3, 6])
@pytest.mark.parametrize("n_folds", [2, 5])
def test_folds_need_events_and_no_censored_patient(censored, n_folds):
    X, endpoint = population(60, 2000, 1)
    event = (np.arange(60) >= censored).astype(int)
    endpoint = replace(endpoint, frame=endpoint.frame.assign(event=event))
    folds = make_folds(endpoint, n_folds=n_folds, n_repeats=2)
    sizes = folds.groupby(["repeat", "fold"]).size()
    assert sizes.max() - sizes.min() <= 1
    searched = tune(cox(), {"risk__penalty_strength": [0.1, 1.0]})
    fused = late_fusion({"ct": cox(), "pet": cox()})
    once = folds[folds["repeat"] == 0]
    for model in (cox(), searched, fused):
        c = by_metric(cross_validate(model, X, endpoint, once)).loc["c_harrell"]
        assert c["estimate"] > 0.55


def test_nobody_censored_is_no_hindrance_to_curves_and_permutations():
    X, endpoint = population(60, 2000, 1)
    endpoint = replace(endpoint, frame=endpoint.frame.assign(event=1))
    folds = make_folds(endpoint, n_folds=3, n_repeats=1)
    assert len(learning_curve(cox(), X, endpoint, folds, sizes=[20])) == 5
    found = permute_outcomes(cox(), X, endpoint, folds, n_permutations=2)
    assert found.summary["p"].notna().all()


def test_too_few_events_are_counted_as_events():
    _, endpoint = population(60, 2000, 1)
    event = np.r_[np.ones(3, int), np.zeros(57, int)]
    endpoint = replace(endpoint, frame=endpoint.frame.assign(event=event))
    with pytest.raises(SchemaError, match="'1': 3} has fewer events than n_folds=5"):
        make_folds(endpoint)


def test_few_events_are_dealt_so_that_every_fold_learns():
    X, endpoint = population(30, 2000, 1)
    event = np.r_[1, 1, np.zeros(28, int)]
    endpoint = replace(endpoint, frame=endpoint.frame.assign(event=event))
    folds = make_folds(endpoint, n_folds=2, n_repeats=1)

    def learned(endpoint):
        with_event = endpoint.frame.index[endpoint.frame["event"] == 1]
        return folds[folds["patient_id"].isin(with_event)]["fold"].nunique() == 2

    assert learned(endpoint)
    from radlatent.fusion.validation.inputs import check_inputs
    from radlatent.fusion.validation.permuted import _dealt

    splits, rng = check_inputs(X, endpoint, folds), np.random.default_rng(0)
    # by chance half of the dealings put both events into one fold
    assert all(learned(_dealt(endpoint, splits, rng)) for _ in range(20))


@pytest.mark.parametrize("time", [0.0, -2.0])
def test_a_time_that_is_not_positive_has_no_folds(time):
    _, endpoint = population(60, 2000, 1)
    frame = endpoint.frame.copy()
    frame.loc["p007", "time"] = time
    with pytest.raises(SchemaError, match=r"not above 0 .*\['p007'\]. Write 0.5"):
        make_folds(replace(endpoint, frame=frame))


def test_a_model_that_finds_nothing_has_metrics_and_one_group():
    X, endpoint = population(60, 2000, 1)
    folds = make_folds(endpoint, n_folds=3, n_repeats=1)
    nothing = cox(l1_ratio=1.0, penalty_strength=50.0)
    result = cross_validate(nothing, X, endpoint, folds)
    assert by_metric(result).loc["c_harrell", "estimate"] == pytest.approx(0.5)
    table = survival_calibration(result.predictions)
    # every fold has a curve of its own
    assert 1 <= len(table) <= 3
    assert table["observed"].notna().all()


def test_years_are_predicted_as_finely_as_days_and_told(caplog):
    X, endpoint = population(60, 2000, 1)
    folds = make_folds(endpoint, n_folds=3, n_repeats=1)
    years = endpoint.frame.assign(time=endpoint.frame["time"] / 365.25)
    days = cross_validate(cox(), X, endpoint, folds)
    found = cross_validate(cox(), X, replace(endpoint, frame=years), folds)
    assert "half of the times are below" in caplog.text
    counts = [
        result.predictions.filter(like="survival_").shape[1] for result in (days, found)
    ]
    assert abs(counts[0] - counts[1]) <= 1
    brier = [by_metric(r).loc["integrated_brier", "estimate"] for r in (days, found)]
    # days are rounded to whole ones, years to three digits
    assert brier[1] == pytest.approx(brier[0], abs=2e-3)


@dataclass
class Plain:
    """An outcome of a class of one's own: what the tables need, and no more."""

    frame: pd.DataFrame
    name: str = "os"
    kind: str = "survival"
    positive: str | None = None

    @property
    def strata(self):
        return self.frame["event"].astype(str)


def test_an_outcome_of_a_class_of_ones_own_is_enough(make_survival):
    risk = np.random.default_rng(0).normal(size=60)
    known = make_survival(60, risk)
    plain = Plain(known.frame)
    X = pd.DataFrame({"ct__f": risk}, known.frame.index)
    found = [
        cross_validate(cox(), X, one, make_folds(one, n_folds=3, n_repeats=1)).metrics
        for one in (known, plain)
    ]
    estimates = [table["estimate"].tolist() for table in found]
    assert estimates[0] == estimates[1]
