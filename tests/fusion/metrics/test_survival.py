import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter, KaplanMeierFitter
from lifelines.datasets import load_gbsg2
from lifelines.utils import concordance_index
from scipy.io import arff

from radlatent.fusion.metrics import classes as class_metrics
from radlatent.fusion.metrics.arrays import Risks, SurvivalRun
from radlatent.fusion.metrics.censoring import censoring_steps, survival_steps
from radlatent.fusion.metrics.survival import (
    SURVIVAL_METRICS,
    auc_at,
    auc_by_day,
    brier_by_day,
    c_harrell,
    c_uno,
    event_days,
    integrated_brier,
    observed_expected,
    scores_of,
    survival_at,
)

# sums of some thousand float64 numbers near one
ROUNDING = 1e-10

DAYS = np.array([300.5, 600.5, 900.5, 1200.5, 1500.5])

#: scikit-survival 0.28.0: concordance_index_censored, concordance_index_ipcw with and
#: without tau=1500.5, cumulative_dynamic_auc, brier_score, integrated_brier_score of
#: the risk below, survival_train = survival_test. Censored times are 0.25 days later
#: there, since it takes the censoring on the day of an event and not on its eve.
SKSURV = {
    "gbsg2": (
        [0.672226313575, 0.664740321184, 0.675679867368],
        [0.769281118427, 0.706796065163, 0.722036684548, 0.71208971801, 0.693392751185],
        [
            0.051024932899,
            0.158730806257,
            0.199331615911,
            0.214359667303,
            0.225352298592,
        ],
        0.177652676304,
    ),
    "whas500": (
        [0.731233948556, 0.727791492877, 0.773315757281],
        [
            0.758829241519,
            0.763516968891,
            0.765843712593,
            0.771282257122,
            0.769230695835,
        ],
        [0.20136077095, 0.214890560968, 0.20903416184, 0.207311479205, 0.207096421423],
        0.20886619955,
    ),
    "flchain": (
        [0.778817428261, 0.776728372912, 0.770915267175],
        [
            0.764429499085,
            0.771776176752,
            0.781779334139,
            0.783106125249,
            0.791243266114,
        ],
        [0.03359657577, 0.064464570336, 0.101467802073, 0.139181068327, 0.176256107332],
        0.102509945572,
    ),
}
#: Columns of event and time, and the event.
COLUMNS = {
    "whas500": ("fstat", b"1", "lenfol"),
    "flchain": ("death", b"dead", "futime"),
}


def outcome(event, time):
    truth = np.empty(len(time), dtype=[("event", bool), ("time", float)])
    truth["event"], truth["time"] = event, time
    return truth


def with_survival(risk):
    """Return risks with survival from their ranks."""
    rank = np.searchsorted(np.sort(risk), risk, side="right") / len(risk)
    return Risks(risk, np.exp(-np.outer(0.2 + rank, DAYS) / 2000), DAYS)


@pytest.fixture
def gbsg2():
    table = load_gbsg2()
    risk = (100 * table["pnodes"] - table["progrec"]).to_numpy(float)
    return outcome(table["cens"] == 1, table["time"]), with_survival(risk)


@pytest.fixture(
    params=["gbsg2", *(pytest.param(n, marks=pytest.mark.real) for n in COLUMNS)]
)
def known(request):
    if request.param == "gbsg2":
        return *request.getfixturevalue("gbsg2"), SKSURV["gbsg2"]
    folder = request.getfixturevalue("real_data") / "sksurv_reference/sksurv/datasets"
    table = pd.DataFrame(arff.loadarff(folder / f"data/{request.param}.arff")[0])
    event, value, time = COLUMNS[request.param]
    truth = outcome(table[event] == value, table[time])
    return truth, with_survival(table["age"].to_numpy()), SKSURV[request.param]


def test_metrics_are_those_of_scikit_survival(known):
    truth, risks, (c, auc, brier, integrated) = known
    once = np.ones((1, len(truth)))
    found = [c_harrell(truth, risks, once)[0]]
    found += [c_uno(truth, risks, once, horizon)[0] for horizon in (1500.5, np.inf)]
    np.testing.assert_allclose(found, c, atol=ROUNDING)
    by_day = auc_by_day(truth, risks, once, DAYS)
    np.testing.assert_allclose(by_day[0], auc, atol=ROUNDING)
    assert auc_at(truth, risks, once, DAYS)[0] == pytest.approx(np.mean(auc))
    np.testing.assert_allclose(
        brier_by_day(truth, risks, once)[0], brier, atol=ROUNDING
    )
    found = integrated_brier(truth, risks, once)[0]
    assert found == pytest.approx(integrated, abs=ROUNDING)


def test_integrated_brier_of_a_cox_model_is_the_published_one():
    # the example of scikit-survival's integrated_brier_score: 0.1816
    table = load_gbsg2()
    table["tgrade"] = table["tgrade"].str.len()
    table = pd.get_dummies(table, drop_first=True, dtype=float)
    model = CoxPHFitter().fit(table, "time", "cens")
    days = np.arange(365.0, 1826.0)
    survival = model.predict_survival_function(table, times=days).to_numpy().T
    risks = Risks(model.predict_partial_hazard(table).to_numpy(), survival, days)
    truth = outcome(table["cens"] == 1, table["time"])
    found = integrated_brier(truth, risks, np.ones((1, len(table))))[0]
    # four published digits; Cox models of two libraries
    assert found == pytest.approx(0.1816, abs=6e-5)


def test_harrells_c_is_that_of_lifelines_with_ties(rng):
    truth = outcome(rng.random(150) < 0.6, rng.integers(1, 20, 150))
    risk = rng.integers(0, 6, 150).astype(float)
    expected = concordance_index(truth["time"], -risk, truth["event"])
    found = c_harrell(truth, with_survival(risk), np.ones((1, 150)))[0]
    assert found == pytest.approx(expected, abs=ROUNDING)


def test_steps_are_those_of_lifelines(rng):
    truth = outcome(rng.random(80) < 0.5, rng.integers(1, 15, 80))
    weights = rng.integers(0, 4, (3, 80)).astype(float)
    days = np.arange(0.0, 16.0)
    found = survival_steps(truth, weights), censoring_steps(truth, weights)
    # lifelines has no order of events and censorings on one day
    later = truth["time"] + 0.25 * ~truth["event"]
    for row, weight in enumerate(weights):
        drawn = weight > 0
        for steps, event in zip(found, (truth["event"], ~truth["event"]), strict=True):
            fitter = KaplanMeierFitter()
            fitter.fit(later[drawn], event[drawn], weights=weight[drawn].astype(int))
            on_day = fitter.predict(days + 0.5).to_numpy()
            np.testing.assert_allclose(steps.at(days)[row], on_day, atol=ROUNDING)
            eve = fitter.predict(np.maximum(days - 0.5, 0)).to_numpy()
            np.testing.assert_allclose(steps.before(days)[row], eve, atol=ROUNDING)


@pytest.mark.parametrize("metric", SURVIVAL_METRICS)
def test_a_weight_counts_a_patient_as_often(gbsg2, rng, metric):
    truth, risks = gbsg2
    truth, survival = truth[:200], risks.survival[:200]
    weights = rng.multinomial(200, np.full(200, 1 / 200), 3).astype(float)
    function, fixed = SURVIVAL_METRICS[metric], {}
    if metric in ("c_uno", "observed_expected"):
        fixed = {"horizon": 1400.0}
    if metric == "auc_at_quartiles":
        fixed = {"days": DAYS}
    found = function(truth, Risks(risks.risk[:200], survival, DAYS), weights, **fixed)
    for value, weight in zip(found, weights, strict=True):
        rows = np.repeat(np.arange(200), weight.astype(int))
        drawn = Risks(risks.risk[rows], survival[rows], DAYS)
        expected = function(truth[rows], drawn, np.ones((1, 200)), **fixed)[0]
        assert value == pytest.approx(expected, abs=ROUNDING)


def test_without_censoring_nothing_is_weighted(gbsg2):
    truth, risks = gbsg2
    truth = outcome(True, truth["time"])
    once = np.ones((1, len(truth)))
    assert c_uno(truth, risks, once) == pytest.approx(c_harrell(truth, risks, once))
    dead = truth["time"] <= 900.5
    score = np.column_stack([-risks.risk, risks.risk])
    expected = class_metrics.auc(dead.astype(int), score, once)
    assert auc_at(truth, risks, once, 900.5) == pytest.approx(expected)
    expected = ((risks.survival[:, 2] - ~dead) ** 2).mean()
    assert brier_by_day(truth, risks, once)[0, 2] == pytest.approx(expected)
    expected = dead.mean() / (1 - risks.survival[:, 2]).mean()
    assert observed_expected(truth, risks, once, 900.5)[0] == pytest.approx(expected)


def test_days_of_the_events_are_quantiles_of_them_alone():
    truth = outcome([True] * 5 + [False], [10, 20, 30, 40, 50, 500])
    shares = np.array([0.25, 0.5, 0.75])
    assert event_days(truth, shares).tolist() == [20, 30, 40]


def test_unos_c_counts_all_events_as_r_does_or_those_before_a_horizon():
    truth = outcome([True, True, False, True, False], [1, 2, 3, 4, 4])
    risk = np.array([2.5, 0, 1, 3, 4])
    risks, once = Risks(risk, np.empty((5, 0)), np.empty(0)), np.ones((1, 5))
    assert c_uno(truth, risks, once, 2).tolist() == [2 / 4]
    assert c_uno(truth, risks, once, 2.5).tolist() == [2 / 7]
    # the event on day 4 weighs 1 / (2/3)^2: censoring on day 3 left 2 of 3
    assert c_uno(truth, risks, once)[0] == pytest.approx(2 / (7 + 9 / 4))


#: scikit-survival 0.24, concordance_index_ipcw(y, y, risk), tau not given, of risks
#: that its tests hold; R: concordance(Surv(time, event) ~ risk, timewt = "n/G2").
@pytest.mark.parametrize("name", ["whas500", "flchain"])
@pytest.mark.real
def test_unos_c_without_a_horizon_is_what_scikit_survival_prints(name, request):
    folder = request.getfixturevalue("real_data") / "sksurv_reference/sksurv/datasets"
    table = pd.DataFrame(arff.loadarff(folder / f"data/{name}.arff")[0])
    event, value, time = COLUMNS[name]
    truth = outcome(table[event] == value, table[time])
    once, risks = np.ones((1, len(truth))), with_survival(table["age"].to_numpy())
    assert c_uno(truth, risks, once)[0] == pytest.approx(SKSURV[name][0][2], abs=1e-10)


def of_training(until):
    truth = outcome([True] * 8 + [False] * 4, [*range(10, 90, 10), 15, 35, 90, 95])
    days = np.array([10.0, 30.0, 50.0, 70.0])
    survival = np.exp(-np.outer(np.linspace(2, 0.2, 12), days) / 60)
    about = {"key": {}, "patients": [*range(12)], "repeats": [0], "n_folds": 1}
    kept = Risks(
        np.linspace(2, 0.2, 12), survival[:, days <= until], days[days <= until]
    )
    return SurvivalRun(**about, truth=truth, predicted=[kept], until=until)


def test_no_day_is_scored_that_training_did_not_cover():
    scores = scores_of(of_training(until=60.0))
    horizons = {name: score.horizon for name, score in scores.items()}
    # C counts all events: it ranks, and tells no day
    assert horizons["c_uno"] == 80
    assert np.isnan(horizons["c_harrell"])
    assert horizons["auc_at_quartiles"] == np.quantile([10, 20, 30, 40, 50, 60], 0.75)
    assert horizons["integrated_brier"] == 50
    assert horizons["observed_expected"] == 45  # the median of all events is covered
    assert scores_of(of_training(until=40.0))["observed_expected"].horizon == 20
    assert "day 10 to 50" in scores["integrated_brier"].words


def test_a_horizon_holds_for_every_metric_that_has_one():
    run = of_training(until=np.inf)
    scores, once = scores_of(run, 55.0), np.ones((1, 12))
    (risks,) = run.predicted
    assert {s.horizon for s in scores.values() if s.horizon == s.horizon} == {
        55.0,
        40.0,
        50.0,
    }
    assert scores["c_uno"](run.truth, risks, once) == c_uno(run.truth, risks, once, 55)
    found = scores["observed_expected"](run.truth, risks, once)
    assert found == observed_expected(run.truth, risks, once, 55)


def test_survival_is_linear_from_one_and_unknown_after_the_last_day():
    risks = Risks(np.zeros(1), np.array([[0.8, 0.6]]), np.array([100.0, 200.0]))
    found = [survival_at(risks, day)[0] for day in (0, 50, 150, 201)]
    np.testing.assert_allclose(found, [1, 0.9, 0.7, np.nan])


@pytest.mark.parametrize("metric", SURVIVAL_METRICS)
def test_without_events_or_probabilities_a_metric_is_not_defined(metric):
    bare = Risks(np.arange(4.0), np.empty((4, 0)), np.empty(0))
    censored, mixed = (outcome(e, [1, 2, 3, 4]) for e in (False, [1, 0, 1, 0]))
    function = SURVIVAL_METRICS[metric]
    assert np.isnan(function(censored, bare, np.ones((2, 4)))).all()
    needs = metric in ("integrated_brier", "observed_expected")
    assert np.isnan(function(mixed, bare, np.ones((2, 4)))).all() == needs
