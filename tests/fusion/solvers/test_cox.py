import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter

from radlatent.fusion.solvers.concordance import concordance
from radlatent.fusion.solvers.cox import CoxRegression, breslow


def _standardize(X):
    return (X - X.mean()) / X.std(ddof=0)


def test_cox_without_penalty_has_the_published_coefficients_of_r(rossi):
    X, y = rossi
    model = CoxRegression(penalty_strength=0).fit(_standardize(X), y)
    # Fox & Weisberg 2011, Cox regression in R, p. 6: coxph(Surv(week, arrest) ~ ...)
    printed = [-0.37942, -0.05744, 0.31390, -0.14980, -0.43370, -0.08487, 0.09150]
    # printed with five decimals
    np.testing.assert_allclose(model.coef_ / X.std(ddof=0), printed, atol=6e-6)


def test_cox_survival_is_that_of_lifelines(rossi):
    X, y = _standardize(rossi[0]), rossi[1]
    fitter = CoxPHFitter().fit(X.assign(t=y["time"], e=y["event"]), "t", "e")
    times = [1, 20, 52]
    expected = fitter.predict_survival_function(X[:5], times).T
    found = CoxRegression(penalty_strength=0).fit(X, y).predict_survival(X[:5], times)
    # slopes of 1e-7 over curvatures above 0.01
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("n_columns", [12, 60])
def test_ridge_is_that_of_lifelines_on_a_collinear_table_with_ties(
    n_columns, outcome, simulate
):
    X, y = simulate(80, n_columns, 2.0)
    X = _standardize(X.assign(sum=X.iloc[:, 0] + X.iloc[:, 1]))
    y = outcome(np.ceil(y["time"] / 200), y["event"])
    table = X.assign(t=y["time"], e=y["event"])
    # it divides columns by the deviation of n - 1
    expected = CoxPHFitter(penalizer=0.05 * 79 / 80).fit(table, "t", "e").params_
    model = CoxRegression(0.05).fit(X.assign(copy=X.iloc[:, 0]), y)
    # slopes of 1e-7 and of Newton's last step over a curvature of 0.05
    np.testing.assert_allclose(model.coef_[:-1], expected, atol=1e-5)
    assert model.dropped_.tolist() == [n_columns + 1]


def test_survival_is_one_before_the_events_and_unknown_after_the_follow_up(rossi):
    X, y = _standardize(rossi[0]), rossi[1].copy()
    y["event"] &= y["time"] < 50  # the last weeks are without an event
    model = CoxRegression().fit(X, y)
    early, last, end, late = model.predict_survival(X, [0.5, 49, 52, 52.1]).T
    assert (early == 1).all()
    assert (last < 1).all()
    np.testing.assert_array_equal(last, end)
    assert np.isnan(late).all()


def test_breslow_of_equal_risks_is_nelson_aalen(outcome):
    y = outcome([1, 2, 2, 3, 4, 4], [1, 1, 1, 0, 1, 0])
    expected = np.cumsum([1 / 6, 2 / 5, 1 / 2])
    for risk in (0.0, 5.0):
        baseline = breslow(np.full(6, risk), y)
        assert baseline.times.tolist() == [1, 2, 4]
        # sums of a few fractions
        hazard = baseline.hazard * np.exp(risk)
        np.testing.assert_allclose(hazard, expected, rtol=1e-14)


@pytest.mark.real
def test_cox_agrees_with_scikit_survival_on_breast_cancer(gbsg2):
    X, y = gbsg2
    model = CoxRegression(penalty_strength=0).fit(_standardize(X), y)
    # scikit-survival 0.28.0: CoxPHSurvivalAnalysis(ties="efron", tol=1e-12)
    coef = [-0.003471305, 0.007647054, 0.050879989, -0.002684206, 0.000125026]
    # its predict_survival_function; it fits Efron's ties and takes Breslow's hazard
    expected = [[0.931338, 0.697399, 0.493226], [0.920696, 0.657949, 0.439997]]
    found = model.predict_survival(_standardize(X)[:2], [365, 1000, 2000])
    # six decimals were noted
    np.testing.assert_allclose(model.coef_ / X.std(ddof=0), coef, atol=1e-6)
    np.testing.assert_allclose(found, expected, atol=2e-6)
    # its concordance_index_censored, of the model and of each column
    assert model.score(_standardize(X), y) == pytest.approx(0.6818338944, abs=1e-9)
    each = [0.48144613442, 0.57182202116, 0.64524467957, 0.36358888421, 0.40900039]
    np.testing.assert_allclose(concordance(X.to_numpy(), y), each, atol=1e-8)


@pytest.mark.real
def test_ridge_agrees_with_scikit_survival(gbsg2):
    X, y = _standardize(gbsg2[0]), gbsg2[1]
    # scikit-survival 0.28.0: CoxPHSurvivalAnalysis(alpha=68.6, ties="efron")
    expected = [-0.020751726, 0.099751460, 0.257762877, -0.303196360, -0.021397213]
    found = CoxRegression(penalty_strength=0.1).fit(X, y).coef_
    # slopes of 1e-7 over a curvature above 0.1
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.real
@pytest.mark.parametrize(
    ("step", "strength"),
    [
        ("s8", 0.222765399396784),
        ("s20", 0.0729456252112861),
        ("s35", 0.018069188348391),
    ],
)
def test_elastic_net_has_the_coefficients_of_glmnet(real_data, step, strength, outcome):
    folder = real_data / "sksurv_reference/tests/data"
    X = pd.read_csv(folder / "cox-example.csv")
    y = outcome(X.pop("time"), X.pop("status") == 1)
    # R's glmnet, alpha = 0.5, standardize = FALSE, at these steps of its path of
    # penalties (scikit-survival 0d71616, tests/test_coxnet.py, data_example_1)
    expected = pd.read_csv(folder / "cox-example-coef-1.csv")[step]
    model = CoxRegression(strength, l1_ratio=0.5).fit(X, y)
    # glmnet stops before the optimum, where the deviance changes by less than 1e-7
    np.testing.assert_allclose(model.coef_, expected, atol=1e-3)
    if step == "s20":
        # scikit-survival 0.28.0: CoxnetSurvivalAnalysis(l1_ratio=0.5, tol=1e-14)
        converged = [0.38467555, -0.11371986, -0.15302402, 0.11691618, -0.12942763]
        converged += [-0.3937744, 0.25453311, 0.05258101, 0.35219415, 0.05951264]
        # slopes of 1e-7 over a curvature above 0.1
        np.testing.assert_allclose(model.coef_[:10], converged, atol=1e-6)


def test_outcome_of_another_form_is_refused(simulate):
    X, y = simulate(40, 8, 1.0)
    with pytest.raises(ValueError, match="'event' and 'time'"):
        CoxRegression().fit(X, y["time"])
    with pytest.raises(ValueError, match="40 patients, y has 39"):
        CoxRegression().fit(X, y[:-1])


def test_more_columns_than_patients_need_a_penalty(simulate):
    X, y = simulate(30, 60, 1.0)
    with pytest.raises(ValueError, match="Give a penalty_strength"):
        CoxRegression(penalty_strength=0).fit(X, y)


def test_fit_that_does_not_converge_says_what_to_do(rossi):
    X, y = rossi[0][:100], rossi[1][:100]
    with pytest.raises(ValueError, match=r"did not converge.*larger penalty_strength"):
        CoxRegression(penalty_strength=0).fit(X * np.logspace(-4, 4, 7), y)
