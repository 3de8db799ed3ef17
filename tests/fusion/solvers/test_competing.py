import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter
from scipy.optimize import approx_fprime
from sklearn.preprocessing import StandardScaler

from radlatent.fusion.metrics.censoring import aalen_johansen
from radlatent.fusion.solvers.competing import (
    CauseSpecificCox,
    CompetingPipeline,
    FineGray,
    Subdistribution,
    _Weighted,
    of_cause,
    others_censored,
)
from radlatent.fusion.solvers.concordance import concordance
from radlatent.fusion.solvers.cox import CoxRegression


def causes(time, cause):
    y = np.empty(len(time), [("event", bool), ("time", float), ("cause", np.int64)])
    y["time"], y["cause"], y["event"] = time, cause, np.asarray(cause) == 1
    return y


@pytest.fixture
def transplants(project_root):
    table = pd.read_csv(project_root / "tests" / "data" / "competing" / "bmtcrr.csv")
    # R printed what follows with this event on the day of a censoring or earlier, as
    # test_incidence.py says
    time = table["ftime"].replace(9.98, 9.97)
    # as.integer of R's factors: in the order of their names, from 1 on
    X = table[["Sex", "D", "Phase", "Age", "Source"]].copy()
    for name in ("Sex", "D", "Phase", "Source"):
        X[name] = X[name].astype("category").cat.codes + 1
    return X.astype(float), causes(time, table["Status"])


def drawn(n, effect, seed=0):
    """Return patients whose first column raises the first hazard, not the second."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    first = rng.exponential(1000 * np.exp(-effect * X[:, 0]))
    second, end = rng.exponential(1500, n), rng.uniform(0, 3000, n)
    time = np.minimum(np.minimum(first, second), end)
    return X, causes(time, np.where(time == end, 0, np.where(time == first, 1, 2)))


def test_coefficients_are_those_of_crr(transplants):
    X, y = transplants
    spread = X.std()
    model = FineGray(penalty_strength=0).fit(X / spread, y)
    # R, cmprsk: crr(bmtcrr$ftime, bmtcrr$Status, covs, failcode = 1, cencode = 0)
    printed = [0.0494, -0.4860, 0.4144, -0.0174, 0.9526]
    assert (model.coef_ / spread).tolist() == pytest.approx(printed, abs=5e-5)
    risk = np.asarray(X / spread - (X / spread).mean()) @ model.coef_
    weighted = _Weighted(y)
    told, none = (-len(y) * weighted.loss(r)[0] for r in (risk, np.zeros(len(y))))
    # it prints: Pseudo Log-likelihood = -267, likelihood ratio test = 23.6
    assert told == pytest.approx(-267, abs=0.5)
    assert 2 * (told - none) == pytest.approx(23.6, abs=0.05)


def test_slope_of_the_likelihood_is_that_of_its_values(transplants):
    _, y = transplants
    y = y[:60]
    weighted = _Weighted(y)
    risk = np.random.default_rng(0).normal(size=len(y))
    slope = approx_fprime(risk, lambda risk: weighted.loss(risk)[0], 1e-6)
    np.testing.assert_allclose(weighted.loss(risk)[1], slope, atol=1e-6)


def test_without_competing_events_it_is_cox_regression():
    X, y = drawn(150, 0.7)
    y["cause"][y["cause"] == 2] = 0
    one = Subdistribution(0.05).fit(X, y)
    other = CoxRegression(0.05).fit(X, others_censored(y))
    np.testing.assert_allclose(one.coef_, other.coef_, atol=1e-6)
    days = [100, 500, 1500]
    np.testing.assert_allclose(
        one.predict_survival(X[:9], days), other.predict_survival(X[:9], days), 1e-5
    )


def test_without_effect_its_incidence_is_that_of_aalen_and_johansen(transplants):
    X, y = transplants
    model = FineGray(penalty_strength=1e6).fit(StandardScaler().fit_transform(X), y)
    days = np.array([5.0, 20, 40])
    found = model.predict_incidence(np.zeros((1, 5)), days)[0, 0]
    curve = aalen_johansen(y["time"], y["cause"], 2)
    curve = curve[curve["cause"] == 1].set_index("time")["incidence"]
    expected = [curve[curve.index <= day].iloc[-1] for day in days]
    # exp(-sum) in place of the product; the same weights (Geskus 2011)
    np.testing.assert_allclose(found, expected, rtol=0.01)


def test_cause_specific_hazards_are_those_of_lifelines(transplants):
    X, y = transplants
    spread = X.std()
    model = CauseSpecificCox(penalty_strength=0).fit(X / spread, y)
    for cause, one in enumerate(model.models_, 1):
        frame = X.assign(time=y["time"], event=y["cause"] == cause)
        fitter = CoxPHFitter().fit(frame, "time", "event")
        np.testing.assert_allclose(one.coef_ / spread, fitter.params_, atol=1e-4)


def test_incidences_and_the_chance_to_be_free_add_up_to_one():
    X, y = drawn(200, 0.7)
    model = CauseSpecificCox(0.01).fit(X, y)
    days = np.array([0.0, 10, 300, 900, y["time"].max()])
    found = model.predict_incidence(X, days)
    assert found.shape == (2, 200, 5)
    assert (found[:, :, 0] == 0).all()
    assert (np.diff(found, axis=2) >= 0).all()
    hazard = sum(
        -np.log(one.baseline_.survival(one.predict(X), days)) for one in model.models_
    )
    np.testing.assert_allclose(found.sum(axis=0), 1 - np.exp(-hazard), atol=1e-9)
    assert np.isnan(model.predict_incidence(X, [y["time"].max() + 1])).all()


@pytest.mark.parametrize("family", [FineGray, CauseSpecificCox])
def test_incidence_is_as_often_as_it_says(family):
    X, y = drawn(1500, 0.7, seed=1)
    pipe = CompetingPipeline([("scale", StandardScaler()), ("risk", family(0.01))]).fit(
        X[:500], y[:500]
    )
    found = pipe.predict_incidence(X[500:], [800.0])[0, :, 0]
    order = np.argsort(found)
    for part in np.array_split(order, 2):
        rest = y[500:][part]
        curve = aalen_johansen(rest["time"], rest["cause"], 2)
        curve = curve[(curve["cause"] == 1) & (curve["time"] <= 800)].iloc[-1]
        assert abs(found[part].mean() - curve["incidence"]) < 4 * curve["error"]
    assert found[order[-500:]].mean() > found[order[:500]].mean() + 0.15


@pytest.mark.parametrize("family", [FineGray, CauseSpecificCox])
def test_risk_ranks_those_who_have_the_event_and_chance_does_not(family):
    def rank(effect):
        X, y = drawn(900, effect, seed=2)
        return family(0.05).fit(X[:200], y[:200]).score(X[200:], y[200:])

    assert rank(1.0) > 0.65
    # four standard errors of C of 700 patients
    assert abs(rank(0.0) - 0.5) < 0.07


def test_whoever_had_a_competing_event_outlives_those_with_the_event():
    y = causes([1, 2, 3, 4], [2, 1, 0, 1])
    # pairs: the event on day 2 before 1 (competing), 3 (censored), 4; that on day 4
    # before the competing one only
    assert concordance(np.array([[0.0], [3], [1], [2]]), y)[0] == 1
    assert concordance(np.array([[9.0], [3], [1], [2]]), y)[0] == 0.5


def test_cause_of_which_training_has_no_event_has_no_incidence():
    X, y = drawn(80, 0.5)
    y["cause"][y["cause"] == 2] = 0
    for family in (FineGray, CauseSpecificCox):
        pipe = CompetingPipeline(
            [("scale", StandardScaler()), ("risk", family(0.1))]
        ).fit(X, y)
        found = pipe.predict_incidence(X[:5], [500.0])
        assert (found[1] == 0).all()
        assert (found[0] > 0).all()


def test_survival_and_competing_events_are_not_taken_for_each_other():
    X, y = drawn(60, 0.5)
    for family in (FineGray, CauseSpecificCox, Subdistribution):
        with pytest.raises(ValueError, match=r"no field 'cause'.*take cox"):
            family().fit(X, others_censored(y))
    with pytest.raises(
        ValueError, match=r"CoxRegression is of one event.*Take fine_gray"
    ):
        CoxRegression().fit(X, y)


def test_cause_of_interest_can_be_another():
    y = causes([1, 2, 3], [2, 1, 0])
    assert of_cause(y, 2)["event"].tolist() == [True, False, False]
    assert others_censored(of_cause(y, 2)).dtype.names == ("event", "time")
