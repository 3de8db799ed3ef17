from functools import partial

import numpy as np
import pytest
from lifelines import KaplanMeierFitter
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold

from radlatent.fusion.models import SURVIVAL_MODELS
from radlatent.fusion.models.survival import (
    aft,
    boosted_survival,
    cox,
    sign_average,
    survival_forest,
)
from radlatent.fusion.solvers.cox import CoxRegression, breslow
from radlatent.fusion.solvers.signs import SignAverage
from radlatent.fusion.solvers.weibull import WeibullRegression

FAMILIES = {
    **SURVIVAL_MODELS,
    "lasso": partial(cox, l1_ratio=1.0, penalty_strength=0.05),
    "selected": partial(cox, n_features=10),
    "boosted_aft": partial(boosted_survival, objective="aft"),
    "bagged": partial(sign_average, n_estimators=5),
    "survival_forest": partial(survival_forest, n_estimators=50),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_planted_effect_is_ranked_and_noise_is_not(name, simulate):
    def rank(effect):
        X, y = simulate(700, 20, effect, seed=3)
        return FAMILIES[name]().fit(X[:200], y[:200]).score(X[200:], y[200:])

    assert rank(1.5) > 0.6
    # four standard errors of C of 500 patients with 330 events
    assert abs(rank(0.0) - 0.5) < 0.07


@pytest.mark.parametrize("name", FAMILIES)
def test_survival_of_noise_is_no_worse_than_that_of_knowing_nothing(name, simulate):
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
def test_calibrated_survival_agrees_with_kaplan_meier(name, simulate):
    X, y = simulate(1500, 40, 1.5, seed=2)
    model = SURVIVAL_MODELS[name]().fit(X[:500], y[:500])
    chance = model.predict_survival(X[500:], [700])[:, 0]
    for third in np.array_split(np.argsort(chance), 3):
        test = y[500:][third]
        curve = KaplanMeierFitter().fit(test["time"], test["event"])
        # three standard errors of a share of 333 patients
        assert abs(chance[third].mean() - curve.predict(700)) < 0.085


@pytest.mark.parametrize("name", FAMILIES)
def test_models_are_cloned_and_give_the_same_numbers(name, simulate):
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


def test_penalty_is_searched_with_a_structured_outcome(simulate):
    X, y = simulate(90, 30, 1.0)
    grid = {"risk__penalty_strength": [0.01, 0.1, 1.0]}
    search = GridSearchCV(cox(), grid, cv=KFold(3), error_score="raise").fit(X, y)
    assert search.best_estimator_.predict_survival(X, [100.0]).shape == (90, 1)
    assert search.score(X, y) > 0.6


def test_lasso_without_a_column_gives_one_curve(simulate):
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
def test_errors_say_what_is_wrong_with_the_outcome(name, outcome, simulate):
    X, y = simulate(40, 8, 1.0)
    wrong = y.copy()
    wrong["time"][[3, 5]] = [0, -2]
    with pytest.raises(ValueError, match=r"2 times.*'p003', 'p005'.*0.0, -2.0"):
        FAMILIES[name]().fit(X, wrong)
    with pytest.raises(ValueError, match="0 events in 40 patients"):
        FAMILIES[name]().fit(X, outcome(y["time"], np.zeros(40)))
    with pytest.raises(ValueError, match="events at different times"):
        FAMILIES[name]().fit(X, outcome(np.full(40, 7.0), np.ones(40)))


def test_column_that_orders_all_events_needs_a_penalty(simulate):
    X, y = simulate(40, 8, 1.0)
    X["ct__oracle"] = -np.log(y["time"])
    with pytest.raises(ValueError, match=r"order all \d+ events .*'ct__oracle'"):
        cox(penalty_strength=0).fit(X, y)
    assert cox().fit(X, y).score(X, y) > 0.8


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
def test_options_are_checked(make, message, simulate):
    with pytest.raises(ValueError, match=message):
        make().fit(*simulate(40, 8, 1.0))


def test_constant_columns_are_named_as_the_reason(simulate):
    X, y = simulate(40, 8, 1.0)
    for model in (CoxRegression(), WeibullRegression(), SignAverage()):
        with pytest.raises(ValueError, match="all 8 columns are constant"):
            model.fit(X * 0, y)


def test_sign_average_of_classes_ranks_an_effect_and_is_not_certain_of_noise(simulate):
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
