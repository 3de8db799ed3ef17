"""Metrics of survival where other events compete with that of interest."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from radlatent.errors import SchemaError
from radlatent.fusion.metrics.arrays import Risks
from radlatent.fusion.metrics.calibration import recalibrate_in_the_large
from radlatent.fusion.metrics.censoring import (
    aalen_johansen,
    censoring_steps,
    incidence_steps,
    survival_steps,
)
from radlatent.fusion.metrics.evaluate import evaluate
from radlatent.fusion.metrics.incidence import incidence_by_risk
from radlatent.fusion.metrics.survival import (
    auc_at,
    brier_by_day,
    c_harrell,
    c_uno,
    observed_expected,
)
from radlatent.fusion.metrics.survival_curves import (
    survival_auc_curve,
    survival_calibration,
    survival_net_benefit,
)
from radlatent.fusion.solvers.concordance import concordance

DAYS = np.array([200.0, 500, 900])


def world(n, censored, seed=0):
    """Return truth and risks that are right; the same patients with any censoring."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    rates = np.column_stack([np.exp(0.8 * x) / 1500, np.full(n, 1 / 1200)])
    total = rates.sum(axis=1)
    time = rng.exponential(1 / total)
    cause = 1 + (rng.random(n) > rates[:, 0] / total)
    end = rng.uniform(0, 2500, n)
    cut = censored & (end < time)
    y = np.empty(n, [("event", bool), ("time", float), ("cause", np.int64)])
    y["time"], y["cause"] = np.where(cut, end, time), np.where(cut, 0, cause)
    y["event"] = y["cause"] == 1
    incidence = (rates[:, :1] / total[:, None]) * (1 - np.exp(-total[:, None] * DAYS))
    return y, Risks(x, 1 - incidence, DAYS)


def table(truth, risks, start="incidence"):
    """Return predictions of these risks, of competing events or of survival."""
    made = pd.DataFrame(
        {"model": "m", "blocks": "b", "endpoint": "e"}, range(len(truth))
    )
    made["repeat"], made["fold"] = 0, 0
    made["patient_id"] = [f"p{i:05d}" for i in range(len(truth))]
    made["time"], made["event"] = truth["time"], truth["event"].astype(int)
    made["risk"], told = risks.risk, risks.survival
    if start == "incidence":
        names = np.array(["censored", "relapse", "death"])
        made["cause"], made["positive"] = names[truth["cause"]], "relapse"
        told = 1 - told
    names = [f"{start}_{day:g}" for day in risks.times]
    return made.join(pd.DataFrame(told, columns=names))


def ones(truth):
    return np.ones((1, len(truth)))


def test_without_censoring_auc_and_brier_are_those_of_who_had_the_event():
    truth, risks = world(300, censored=False)
    for k, day in enumerate(DAYS):
        had = truth["event"] & (truth["time"] <= day)
        found = auc_at(truth, risks, ones(truth), day)
        assert found == pytest.approx(roc_auc_score(had, risks.risk))
        brier = ((1 - risks.survival[:, k] - had) ** 2).mean()
        assert brier_by_day(truth, risks, ones(truth))[0, k] == pytest.approx(brier)


def test_c_counts_those_with_a_competing_event_as_outliving_all_with_the_event():
    truth, risks = world(200, censored=True)
    plain = concordance(risks.risk[:, None], truth)[0]
    assert c_harrell(truth, risks, ones(truth)) == pytest.approx(plain)
    truth, risks = world(200, censored=False)
    # nobody is censored: no pair weighs more than another
    plain = concordance(risks.risk[:, None], truth)[0]
    assert c_uno(truth, risks, ones(truth)) == pytest.approx(plain)


def test_weights_make_up_for_the_censored():
    whole, risks = world(20000, censored=False, seed=1)
    cut, _ = world(20000, censored=True, seed=1)
    assert 0.2 < (cut["cause"] == 0).mean() < 0.5
    for metric, error in (
        (lambda y, r, w: auc_at(y, r, w, DAYS), 0.01),
        (lambda y, r, w: brier_by_day(y, r, w)[0], 0.005),
        (lambda y, r, w: observed_expected(y, r, w, 900), 0.05),
    ):
        one, other = (metric(y, risks, ones(y)) for y in (whole, cut))
        np.testing.assert_allclose(other, one, atol=error)
    few, told = whole[:3000], Risks(risks.risk[:3000], risks.survival[:3000], DAYS)
    one = c_uno(few, told, ones(few), 900)
    other = c_uno(cut[:3000], told, ones(few), 900)
    assert other == pytest.approx(one, abs=0.015)
    assert observed_expected(whole, risks, ones(whole), 900) == pytest.approx(
        1, abs=0.05
    )


def test_taking_competing_events_for_censored_expects_too_many():
    truth, _ = world(3000, censored=True)
    right = 1 - incidence_steps(truth, ones(truth)).at(900.0)
    wrong = 1 - survival_steps(truth, ones(truth)).at(900.0)
    assert wrong > right + 0.1


def test_incidence_of_draws_is_aalen_johansen_of_repeated_patients():
    truth, _ = world(80, censored=True)
    truth["time"] = np.ceil(truth["time"] / 50)  # with ties
    weights = np.random.default_rng(0).multinomial(80, np.full(80, 1 / 80), 3)
    steps = incidence_steps(truth, weights.astype(float))
    for draw, counts in enumerate(weights):
        again = np.repeat(truth, counts)
        curve = aalen_johansen(again["time"], again["cause"], 2)
        curve = curve[curve["cause"] == 1]
        found = 1 - steps.at(curve["time"].to_numpy())[draw]
        np.testing.assert_allclose(found, curve["incidence"], atol=1e-12)


def test_without_competing_events_nothing_changes():
    truth, risks = world(200, censored=True)
    truth["cause"][truth["cause"] == 2] = 0
    plain = np.empty(200, [("event", bool), ("time", float)])
    plain["event"], plain["time"] = truth["event"], truth["time"]
    for metric in (c_harrell, c_uno, auc_at, brier_by_day, observed_expected):
        one, other = (metric(y, risks, ones(y)) for y in (truth, plain))
        np.testing.assert_allclose(one, other)
    for steps in (censoring_steps, incidence_steps):
        np.testing.assert_allclose(
            steps(truth, ones(truth)).values, steps(plain, ones(plain)).values
        )
    np.testing.assert_allclose(
        incidence_steps(plain, ones(plain)).values,
        survival_steps(plain, ones(plain)).values,
        atol=1e-12,
    )


def test_chance_has_a_c_and_an_auc_of_one_half():
    truth, risks = world(4000, censored=True)
    noise = np.random.default_rng(5).normal(size=4000)
    risks = Risks(noise, risks.survival, DAYS)
    # four standard errors of an AUC of these
    assert auc_at(truth, risks, ones(truth)) == pytest.approx(0.5, abs=0.06)
    part = slice(0, 1500)
    told = Risks(noise[part], risks.survival[part], DAYS)
    found = c_harrell(truth[part], told, ones(truth[part]))
    assert found == pytest.approx(0.5, abs=0.06)


def test_calibration_of_right_risks_is_on_the_diagonal():
    predictions = table(*world(8000, censored=True))
    found = survival_calibration(predictions, horizon=500, level=0.9973)
    assert (found["cause"] == "relapse").all()
    # three standard errors of groups of 1600
    assert (found["lower"] < found["predicted"]).all()
    assert (found["predicted"] < found["upper"]).all()
    assert (found["upper"] - found["lower"] < 0.1).all()


def test_of_one_group_the_observed_risk_is_that_of_aalen_and_johansen():
    truth, risks = world(300, censored=True)
    row = survival_calibration(table(truth, risks), horizon=500, n_groups=1).iloc[0]
    curve = aalen_johansen(truth["time"], truth["cause"], 2)
    curve = curve[(curve["cause"] == 1) & (curve["time"] <= 500)].iloc[-1]
    same = {"observed": "incidence", "lower": "lower", "upper": "upper"}
    for name, other in same.items():
        assert row[name] == pytest.approx(curve[other])
    found = incidence_by_risk(table(truth, risks), horizon=500, n_groups=1).summary
    assert found["incidence"].iloc[0] == pytest.approx(row["observed"])
    assert found["n_events"].tolist() == [(truth["cause"] == k).sum() for k in (1, 2)]
    assert found["horizon"].eq(500).all()


def test_where_everybody_had_an_event_the_incidence_is_known_ever_after():
    truth, risks = world(60, censored=False)
    days = np.array([truth["time"].max() - 1, truth["time"].max() + 100])
    told = Risks(risks.risk, np.full((60, 2), 0.5), days)
    with pytest.raises(SchemaError, match="are followed until day"):
        survival_calibration(table(truth, told), horizon=days[1])
    low = truth["time"] < 300
    some = Risks(risks.risk, np.where(low, 0.1, 0.9)[:, None] * np.ones(2), days)
    found = survival_calibration(table(truth, some), horizon=days[0], n_groups=2)
    share = (truth["cause"][low] == 1).mean()
    assert found["observed"].iloc[-1] == pytest.approx(share)


def test_in_the_large_as_many_events_are_expected_as_observed():
    truth, risks = world(300, censored=True)
    low = replace(risks, survival=risks.survival**0.5)
    before = evaluate(table(truth, low), n_boot=2).set_index("metric")["estimate"]
    moved = recalibrate_in_the_large(table(truth, low))
    after = evaluate(moved, n_boot=2).set_index("metric")["estimate"]
    assert before["observed_expected"] > 1.3
    assert after["observed_expected"] == pytest.approx(1)
    assert after["c_harrell"] == before["c_harrell"]
    assert after["integrated_brier"] < before["integrated_brier"]


def test_treating_all_is_worth_the_incidence_less_the_others():
    truth, risks = world(300, censored=True)
    found = survival_net_benefit(
        table(truth, risks), horizon=500, thresholds=np.array([0.2]), n_boot=10
    ).set_index("strategy")["net_benefit"]
    share = 1 - incidence_steps(truth, ones(truth)).at(500.0)[0]
    assert found["all"] == pytest.approx(share - (1 - share) * 0.2 / 0.8)
    assert found["none"] == 0


def test_without_competing_events_curves_are_those_of_survival():
    truth, risks = world(120, censored=True)
    truth["cause"][truth["cause"] == 2] = 0
    ours, plain = (table(truth, risks, start) for start in ("incidence", "survival"))
    days = {"horizon": 500, "thresholds": np.array([0.1, 0.4])}
    for make, about, column in (
        (survival_auc_curve, {}, "auc"),
        (survival_net_benefit, days, "net_benefit"),
    ):
        one, other = (make(side, n_boot=20, **about) for side in (ours, plain))
        for name in (column, "lower", "upper"):
            np.testing.assert_allclose(one[name], other[name], atol=1e-12)
    one, other = (survival_calibration(side, horizon=500) for side in (ours, plain))
    np.testing.assert_allclose(one["observed"], other["observed"], atol=1e-12)
    assert "cause" not in other
