"""Metrics of survival where other events compete with that of interest."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from radlatent.fusion.metrics.arrays import Risks
from radlatent.fusion.metrics.censoring import (
    censoring_steps,
    incidence_steps,
    survival_steps,
)
from radlatent.fusion.metrics.incidence import aalen_johansen
from radlatent.fusion.metrics.survival import (
    auc_at,
    brier_by_day,
    c_harrell,
    c_uno,
    observed_expected,
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
