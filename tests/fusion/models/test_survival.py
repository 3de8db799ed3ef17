from functools import partial

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter, KaplanMeierFitter, WeibullAFTFitter
from lifelines.datasets import load_rossi
from lifelines.utils import concordance_index
from scipy.io import arff
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.utils.estimator_checks import parametrize_with_checks

from radlatent.fusion.models import SURVIVAL_MODELS
from radlatent.fusion.models.survival import (
    aft,
    boosted_survival,
    cox,
    sign_average,
)
from radlatent.fusion.solvers.concordance import concordance
from radlatent.fusion.solvers.cox import CoxRegression, breslow
from radlatent.fusion.solvers.signs import SignAverage, SignAverageClassifier
from radlatent.fusion.solvers.weibull import WeibullRegression
from radlatent.fusion.steps.selection import SelectByConcordance

FAMILIES = {
    **SURVIVAL_MODELS,
    "lasso": partial(cox, l1_ratio=1.0, penalty_strength=0.05),
    "selected": partial(cox, n_features=10),
    "boosted_aft": partial(boosted_survival, objective="aft"),
    "bagged": partial(sign_average, n_estimators=5),
}


def outcome(time, event):
    y = np.empty(len(time), dtype=[("event", bool), ("time", float)])
    y["time"], y["event"] = time, event
    return y


def simulate(n, n_columns, effect, seed=0):
    """Return patients of whom the first six columns tell the hazard."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, n_columns))
    risk = effect * X[:, :6] @ [1, -1, 1, -1, 1, -1] / np.sqrt(6)
    time, end = 1000 * rng.exponential(np.exp(-risk)), rng.exponential(2000, n)
    index = pd.Index([f"p{i:03d}" for i in range(n)], name="patient_id")
    X = pd.DataFrame(X, index, [f"ct__f{i:03d}" for i in range(n_columns)])
    return X, outcome(np.minimum(time, end), time <= end)


@pytest.fixture(scope="module")
def rossi():
    table = load_rossi().astype(float)
    y = outcome(table.pop("week"), table.pop("arrest") == 1)
    return table, y


@pytest.fixture
def gbsg2(real_data):
    folder = real_data / "sksurv_reference/sksurv/datasets/data"
    table = pd.DataFrame(arff.loadarff(folder / "GBSG2.arff")[0])
    X = table[["age", "tsize", "pnodes", "progrec", "estrec"]].astype(float)
    return X, outcome(table["time"], table["cens"] == b"1")


def test_cox_without_penalty_has_the_published_coefficients_of_r(rossi):
    X, y = rossi
    model = CoxRegression(penalty_strength=0).fit(_standardize(X), y)
    # Fox & Weisberg 2011, Cox regression in R, p. 6: coxph(Surv(week, arrest) ~ ...)
    printed = [-0.37942, -0.05744, 0.31390, -0.14980, -0.43370, -0.08487, 0.09150]
    # printed with five decimals
    np.testing.assert_allclose(model.coef_ / X.std(ddof=0), printed, atol=6e-6)


def _standardize(X):
    return (X - X.mean()) / X.std(ddof=0)


def test_cox_survival_is_that_of_lifelines(rossi):
    X, y = _standardize(rossi[0]), rossi[1]
    fitter = CoxPHFitter().fit(X.assign(t=y["time"], e=y["event"]), "t", "e")
    times = [1, 20, 52]
    expected = fitter.predict_survival_function(X[:5], times).T
    found = CoxRegression(penalty_strength=0).fit(X, y).predict_survival(X[:5], times)
    # slopes of 1e-7 over curvatures above 0.01
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("n_columns", [12, 60])
def test_ridge_is_that_of_lifelines_on_a_collinear_table_with_ties(n_columns):
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


def test_survival_before_the_first_event_is_one_and_flat_after_the_last(rossi):
    X, y = _standardize(rossi[0]), rossi[1]
    model = CoxRegression().fit(X, y)
    early, last, late = model.predict_survival(X, [0.5, 52, 9999]).T
    assert (early == 1).all()
    np.testing.assert_array_equal(last, late)


def test_breslow_of_equal_risks_is_nelson_aalen():
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
def test_elastic_net_has_the_coefficients_of_glmnet(real_data, step, strength):
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


def test_weibull_without_penalty_is_that_of_lifelines(rossi):
    X, y = _standardize(rossi[0]), rossi[1]
    fitter = WeibullAFTFitter().fit(X.assign(t=y["time"], e=y["event"]), "t", "e")
    model = WeibullRegression(penalty_strength=0).fit(X, y)
    expected = fitter.params_["lambda_"].drop("Intercept")[X.columns]
    # tolerances of both solvers
    np.testing.assert_allclose(-model.coef_ / model.shape_, expected, atol=1e-4)
    found = model.predict_survival(X[:5], [10, 52])
    expected = fitter.predict_survival_function(X[:5], times=[10, 52]).T
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_weibull_stays_finite_where_columns_fit_all_times():
    X, y = simulate(40, 300, 1.0)
    # lifelines, whose penalty does not grow with the shape, does not converge here
    assert WeibullRegression(penalty_strength=0.1).fit(X, y).shape_ < 10


def test_concordance_is_that_of_lifelines_with_ties():
    rng = np.random.default_rng(1)
    X = rng.integers(0, 6, (60, 9)).astype(float)
    y = outcome(rng.integers(1, 15, 60), rng.random(60) < 0.6)
    expected = [concordance_index(y["time"], -x, y["event"]) for x in X.T]
    # counts over a count
    np.testing.assert_allclose(concordance(X, y), expected, atol=1e-12)


def test_selection_keeps_what_is_farthest_from_a_half():
    X, y = simulate(100, 40, 2.0)
    kept = SelectByConcordance(3).fit(X, y).get_feature_names_out()
    far = pd.Series(abs(concordance(X.to_numpy(), y) - 0.5), X.columns)
    assert set(kept) == set(far.nlargest(3).index)
    assert SelectByConcordance(99).fit(X, y).get_support().all()


def test_sign_average_is_icare():
    i = np.arange(12.0)
    X = np.c_[np.sin(i), np.cos(2 * i), i % 5, (i * 7) % 11]
    y = outcome([5, 3, 9, 2, 8, 7, 12, 1, 4, 11, 6, 10], i % 3 > 0)
    # icare 0.1.0: IcareSurvival(rho=None, sign_method="harrell")
    signs = [1, -1, -1, -1]
    risk = [0.533744, 0.671139, 1.078954, -1.627679, -1.303196, 0.774159]
    risk += [-1.062958, 0.17536, 1.267466, -1.321493, 0.01456, 0.799943]
    model = SignAverage(max_correlation=1.0).fit(X, y)
    assert np.sign(model.coef_).tolist() == signs
    # icare computes with single precision
    np.testing.assert_allclose(model.predict(X), risk, atol=5e-6)


def test_sign_average_drops_what_is_like_a_stronger_column():
    X, y = simulate(200, 6, 2.0)
    X["alike"] = X.iloc[:, 0] + np.random.default_rng(1).normal(0, 0.3, 200)
    # the correlation of both is 0.96
    strength = abs(concordance(X.to_numpy()[:, [0, -1]], y) - 0.5)
    left = SignAverage(max_correlation=0.9).fit(X, y).coef_[[0, -1]] != 0
    assert left.tolist() == (strength == strength.max()).tolist()
    assert SignAverage(max_correlation=1.0).fit(X, y).coef_[-1] != 0
    assert (SignAverage(n_features=2).fit(X, y).coef_ != 0).sum() == 2


@pytest.mark.parametrize("name", FAMILIES)
def test_planted_effect_is_ranked_and_noise_is_not(name):
    def rank(effect):
        X, y = simulate(700, 20, effect, seed=3)
        return FAMILIES[name]().fit(X[:200], y[:200]).score(X[200:], y[200:])

    assert rank(1.5) > 0.6
    # four standard errors of C of 500 patients with 330 events
    assert abs(rank(0.0) - 0.5) < 0.07


@pytest.mark.parametrize("name", FAMILIES)
def test_survival_of_noise_is_no_worse_than_that_of_knowing_nothing(name):
    X, y = simulate(360, 300, 0.0, seed=1)
    model = FAMILIES[name]().fit(X[:60], y[:60])
    found = model.predict_survival(X, [300, 700])
    assert found.shape == (360, 2)
    assert (np.diff(found, axis=1) <= 0).all()
    y, chance = y[60:], found[60:, 1]
    known = y["event"] | (y["time"] > 700)
    free = y["time"][known] > 700
    # twice the error of a mean of 60; uncalibrated, wide ridges give 0.4
    assert np.mean((chance[known] - free) ** 2) < free.var() + 0.05


@pytest.mark.parametrize("name", ["cox", "aft"])
def test_calibrated_survival_agrees_with_kaplan_meier(name):
    X, y = simulate(1500, 40, 1.5, seed=2)
    model = SURVIVAL_MODELS[name]().fit(X[:500], y[:500])
    chance = model.predict_survival(X[500:], [700])[:, 0]
    for third in np.array_split(np.argsort(chance), 3):
        test = y[500:][third]
        curve = KaplanMeierFitter().fit(test["time"], test["event"])
        # three standard errors of a share of 333 patients
        assert abs(chance[third].mean() - curve.predict(700)) < 0.085


@pytest.mark.parametrize("name", FAMILIES)
def test_models_are_cloned_and_give_the_same_numbers(name):
    X, y = simulate(70, 12, 1.0)
    X = X.mask(np.random.default_rng(1).random(X.shape) < 0.05)
    X = X.assign(empty=np.nan, constant=1.0, twice=X.iloc[:, 0])
    model = FAMILIES[name]()
    fits = [clone(model).fit(X, y) for _ in range(2)]
    np.testing.assert_array_equal(fits[0].predict(X), fits[1].predict(X))
    assert fits[0].feature_names_in_.tolist() == X.columns.tolist()
    assert fits[0][-1].feature_names_in_[0].startswith("ct__")
    # arrays do as well as tables
    array = clone(model).fit(X.to_numpy(), y).predict(X.to_numpy())
    np.testing.assert_allclose(array, fits[0].predict(X), atol=1e-9)


def test_penalty_is_searched_with_a_structured_outcome():
    X, y = simulate(90, 30, 1.0)
    grid = {"risk__penalty_strength": [0.01, 0.1, 1.0]}
    search = GridSearchCV(cox(), grid, cv=KFold(3), error_score="raise").fit(X, y)
    assert search.best_estimator_.predict_survival(X, [100.0]).shape == (90, 1)
    assert search.score(X, y) > 0.6


def test_lasso_without_a_column_gives_one_curve():
    X, y = simulate(60, 20, 0.0)
    model = cox(l1_ratio=1.0, penalty_strength=5.0).fit(X, y)
    assert (model.predict(X) == 0).all()
    curve, baseline = model.predict_survival(X, [500.0]), breslow(np.zeros(60), y)
    assert np.ptp(curve) == 0
    np.testing.assert_allclose(
        -np.log(curve[0, 0]),
        baseline.hazard[baseline.times <= 500][-1],
        # an unused column bends the baseline by its penalized coefficient
        rtol=0.01,
    )


@pytest.mark.parametrize("name", FAMILIES)
def test_errors_say_what_is_wrong_with_the_outcome(name):
    X, y = simulate(40, 8, 1.0)
    wrong = y.copy()
    wrong["time"][[3, 5]] = [0, -2]
    with pytest.raises(ValueError, match=r"2 times.*'p003', 'p005'.*0.0, -2.0"):
        FAMILIES[name]().fit(X, wrong)
    with pytest.raises(ValueError, match="0 events in 40 patients"):
        FAMILIES[name]().fit(X, outcome(y["time"], np.zeros(40)))
    with pytest.raises(ValueError, match="events at different times"):
        FAMILIES[name]().fit(X, outcome(np.full(40, 7.0), np.ones(40)))


def test_outcome_of_another_form_is_refused():
    X, y = simulate(40, 8, 1.0)
    with pytest.raises(ValueError, match="'event' and 'time'"):
        CoxRegression().fit(X, y["time"])
    with pytest.raises(ValueError, match="40 patients, y has 39"):
        CoxRegression().fit(X, y[:-1])


def test_column_that_orders_all_events_needs_a_penalty():
    X, y = simulate(40, 8, 1.0)
    X["ct__oracle"] = -np.log(y["time"])
    with pytest.raises(ValueError, match=r"order all \d+ events .*'ct__oracle'"):
        cox(penalty_strength=0).fit(X, y)
    assert cox().fit(X, y).score(X, y) > 0.8


def test_more_columns_than_patients_need_a_penalty():
    X, y = simulate(30, 60, 1.0)
    with pytest.raises(ValueError, match="Give a penalty_strength"):
        CoxRegression(penalty_strength=0).fit(X, y)


def test_fit_that_does_not_converge_says_what_to_do(rossi):
    X, y = rossi[0][:100], rossi[1][:100]
    with pytest.raises(ValueError, match=r"did not converge.*larger penalty_strength"):
        CoxRegression(penalty_strength=0).fit(X * np.logspace(-4, 4, 7), y)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (partial(cox, penalty_strength=-1), "penalty_strength is 0 or more"),
        (partial(boosted_survival, objective="other"), "'cox', 'aft'"),
        (partial(sign_average, n_estimators=0), "n_estimators from 1"),
        (partial(sign_average, n_features=0), "n_features is 0"),
        (partial(aft, n_features=0.5), "n_features is 0.5"),
        (partial(cox, n_features=0), "n_features is 0"),
    ],
)
def test_options_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make().fit(*simulate(40, 8, 1.0))


def test_constant_columns_are_named_as_the_reason():
    X, y = simulate(40, 8, 1.0)
    for model in (CoxRegression(), WeibullRegression(), SignAverage()):
        with pytest.raises(ValueError, match="all 8 columns are constant"):
            model.fit(X * 0, y)


@parametrize_with_checks([SignAverageClassifier()])
def test_sign_average_of_classes_is_an_estimator(estimator, check):
    check(estimator)


def test_sign_average_of_classes_ranks_an_effect_and_is_not_certain_of_noise():
    def brier(effect):
        X, _ = simulate(400, 200, 0.0, seed=4)
        labels = np.where(np.arange(400) % 2, "good", "poor")
        X.iloc[:, :40] += effect * (labels == "poor")[:, None]
        model = sign_average(kind="class").fit(X[:80], labels[:80])
        assert not hasattr(model, "predict_survival")
        return np.mean(
            (model.predict_proba(X[80:])[:, 1] - (labels == "poor")[80:]) ** 2
        )

    # 0.25 is that of knowing nothing
    assert brier(0.6) < 0.2
    assert brier(0.0) < 0.27
    with pytest.raises(ValueError, match="kind is 'other'"):
        sign_average(kind="other")
