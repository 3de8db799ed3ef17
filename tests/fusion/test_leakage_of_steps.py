"""Change a test patient, and nothing that was fitted changes: a case a step.

One device for all: the features, the outcomes and the sites of the patients tested in
fold 0 are made others, and every number that a fit on the other folds learned must be
the same. Fits that have them in training must differ in the step that the case names: a
device that sees nothing would pass everything. Encoders have their own cases in
``test_leakage.py``: features tell whom their encoder was fitted on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.feature_selection import VarianceThreshold
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from radlatent.cohort import Endpoint
from radlatent.fusion import (
    Combat,
    aft,
    boosted,
    boosted_survival,
    cox,
    cross_validate,
    forest,
    late_fusion,
    logistic,
    make_folds,
    sign_average,
    survival_forest,
    svm,
    tune,
)
from radlatent.fusion.steps.filters import DropCorrelated
from radlatent.fusion.steps.selection import SelectAtMost
from radlatent.fusion.validation.validate import fit_folds

N_PATIENTS, N_COLUMNS = 80, 8


@dataclass
class World:
    """What a validation is given."""

    features: pd.DataFrame
    classes: Endpoint
    survival: Endpoint
    site: pd.Series
    folds: pd.DataFrame


@pytest.fixture(scope="module")
def world():
    """Return patients with what every step works on: gaps, copies, sites, an effect."""
    rng = np.random.default_rng(1)
    index = pd.Index([f"p{at:02d}" for at in range(N_PATIENTS)], name="patient_id")
    values = rng.normal(size=(N_PATIENTS, 2 * N_COLUMNS))
    values[1::2, [0, N_COLUMNS]] += 1.5
    values[:, 1] = values[:, 0] + 0.1 * rng.normal(size=N_PATIENTS)
    values[:, 2] = np.arange(N_PATIENTS) < 2
    values[::9, 3] = np.nan
    names = [f"{block}__x{at}" for block in ("ct", "pet") for at in range(N_COLUMNS)]
    labels = np.where(np.arange(N_PATIENTS) % 2, "b", "a")
    classes = Endpoint("diagnosis", "class", pd.DataFrame({"class": labels}, index))
    time = np.ceil(1000 * rng.exponential(size=N_PATIENTS) / np.exp(values[:, 0]))
    event = (rng.random(N_PATIENTS) < 0.7).astype(int)
    frame = pd.DataFrame({"time": time, "event": event}, index)
    return World(
        pd.DataFrame(values, index, names),
        classes,
        Endpoint("survival", "survival", frame),
        pd.Series(rng.choice(["east", "west"], N_PATIENTS), index),
        make_folds(classes, n_folds=3, n_repeats=1),
    )


@pytest.fixture(scope="module")
def other(world):
    """Return the world with other patients in the test part of fold 0."""
    rng = np.random.default_rng(2)
    tested = world.folds.loc[world.folds["fold"] == 0, "patient_id"]
    # the same layout in memory, on which the rounding of sums depends
    values, site = world.features.to_numpy(copy=True), world.site.copy()
    drawn = rng.normal(5.0, 20.0, size=(len(tested), values.shape[1]))
    # nearly all of one class, so that shares of classes change as well
    labels = pd.Series("b", tested).where(tested.to_numpy() != tested.iloc[0], "a")
    # a column that told nothing now tells the class of these patients
    drawn[:, 5] = np.where(labels == "a", 90.0, -90.0)
    drawn[0, 6] = np.nan
    values[world.features.index.isin(tested)] = drawn
    site[tested] = site[tested].map({"east": "west", "west": "east"})
    classes, survival = world.classes.frame.copy(), world.survival.frame.copy()
    classes.loc[tested, "class"] = labels
    survival.loc[tested, "time"] = rng.permutation(np.arange(1.0, len(tested) + 1))
    survival.loc[tested, "event"] = 1 - survival.loc[tested, "event"]
    return replace(
        world,
        features=pd.DataFrame(values, site.index, world.features.columns),
        site=site,
        classes=replace(world.classes, frame=classes),
        survival=replace(world.survival, frame=survival),
    )


def learned_by(model):
    """Return the attributes that an estimator learned, by name."""
    if isinstance(model, Pipeline):
        # its steps are a parameter, and are fitted where they are; a curve is not
        return dict(model.steps) | {"curve_": getattr(model, "curve_", None)}
    if isinstance(model, FrozenEstimator):
        return {"frozen": model.estimator}
    given = model.get_params(deep=False)
    return {k: v for k, v in vars(model).items() if k not in given}


def parts_of(thing):
    """Return what a thing is made of, by name; None of a plain value."""
    trees = getattr(thing, "get_booster", lambda: thing)()
    if hasattr(trees, "save_raw"):
        return {"trees": bytes(trees.save_raw("json"))}
    if isinstance(thing, BaseEstimator):
        return learned_by(thing)
    if isinstance(thing, pd.DataFrame | pd.Series):
        return {"values": thing.to_numpy(), "index": thing.index.to_numpy()}
    if isinstance(thing, list | tuple):
        return dict(enumerate(thing))
    if hasattr(thing, "node_count"):
        return {"tree": thing.__getstate__()}
    if isinstance(thing, Mapping) or callable(thing):
        return thing if isinstance(thing, Mapping) else None
    return getattr(thing, "__dict__", None)


def learned(thing, path=""):
    """Yield path and value of everything that was learned."""
    parts = parts_of(thing)
    if parts is None:
        yield path, thing.tolist() if isinstance(thing, np.ndarray) else thing
        return
    for name, part in parts.items():
        # a search notes how long its fits took
        if "_time" not in str(name):
            yield from learned(part, f"{path}.{name}".removeprefix("."))


def same(one, two):
    """Return whether values are equal, NaN being equal to NaN."""
    return repr(one) == repr(two)


def changed(make, world, other, kind="classes"):
    """Return paths to what is learned otherwise: by the fit of fold 0, by any other."""
    fits = [
        fit_folds(make(w), w.features, getattr(w, kind), w.folds)
        for w in (world, other)
    ]
    found = []
    for pair in zip(*fits, strict=True):
        before, after = (dict(learned(fit[2])) for fit in pair)
        keys = before.keys() | after.keys()
        found.append({k for k in keys if not same(before.get(k), after.get(k))})
    return found[0], set.union(*found[1:])


def prepared(**prepare):
    """Return a function of a world to logistic regression, prepared."""
    n_features = 3 if prepare.get("select") in ("univariate", "mrmr") else None
    return lambda _: logistic(n_features=n_features, prepare=prepare)


def boruta(_):
    model = logistic(prepare={"select": "boruta"})
    return model.set_params(select__n_estimators=20, select__n_rounds=15)


def harmonized(world, **settings):
    return logistic(prepare={"combat": Combat(world.site, **settings)})


def tuned(_):
    grid = {"select__n_features": [1, 4, 16], "classify__C": [0.01, 1.0]}
    return tune(logistic(n_features=1), grid, n_folds=3)


def before_cox(_, **prepare):
    return cox(prepare=prepare)


def risk_only(**options):
    """Return `cox` without its curve, which takes five more fits."""
    return Pipeline(cox(**options).steps)


def fused(make):
    return late_fusion({"ct": make(), "pet": make(n_features=2)}, n_folds=2)


#: Step: what a world gives the device, and what patients in training must change.
STEPS = {
    "imputer": (prepared(), "impute.statistics_"),
    "constant filter": (prepared(), "drop_constant.variances_"),
    "scaler": (prepared(), "scale.mean_"),
    "coefficients": (prepared(), "classify.coef_"),
    "near-constant filter": (prepared(near_constant=0.9), "near_constant.support_"),
    "correlation filter": (prepared(correlation=0.9), "correlation.support_"),
    "univariate": (prepared(select="univariate"), "select.support_"),
    "mrmr": (prepared(select="mrmr"), "select.ranking_"),
    "elastic net": (prepared(select="elastic_net"), "select.support_"),
    "boruta": (boruta, "select.support_"),
    "combat": (harmonized, "combat.shift_"),
    "combat, nonparametric": (partial(harmonized, parametric=False), "combat.ratio_"),
    "lasso": (lambda _: logistic(penalty="lasso"), "classify.coef_"),
    "svm": (lambda _: svm(n_features=3), "classify.calibrated_classifiers_"),
    "forest": (lambda _: forest(n_estimators=5), "classify.estimators_"),
    "boosted": (lambda _: boosted(n_estimators=5), "classify.model_"),
    "signs": (lambda _: sign_average(kind="class"), "risk.calibration_"),
    "search": (tuned, "best_params_"),
    "scores of a search": (tuned, "cv_results_.mean_test_score"),
    "late fusion": (lambda _: fused(logistic), "weights_"),
    "scores of late fusion": (lambda _: fused(logistic), "center_"),
}

SURVIVAL_STEPS = {
    "cox": (lambda _: cox(), "risk.coef_"),
    "baseline": (lambda _: cox(), "risk.baseline_"),
    "calibrated curve": (lambda _: cox(), "curve_.baseline_"),
    "concordance": (lambda _: cox(n_features=3), "select.support_"),
    "correlation filter": (
        partial(before_cox, correlation=0.9),
        "correlation.support_",
    ),
    "near-constant filter": (
        partial(before_cox, near_constant=0.9),
        "near_constant.support_",
    ),
    "combat": (lambda w: before_cox(w, combat=Combat(w.site)), "combat.shift_"),
    "curve behind combat": (
        lambda w: before_cox(w, combat=Combat(w.site)),
        "curve_.baseline_",
    ),
    "aft": (lambda _: aft(), "risk.coef_"),
    "curve of aft": (lambda _: aft(), "curve_.coef_"),
    "boosted": (lambda _: boosted_survival(n_estimators=5), "risk.booster_"),
    "forest": (lambda _: survival_forest(n_estimators=5), "risk.forest_"),
    "signs": (lambda _: sign_average(), "risk.coef_"),
    "search": (
        lambda _: tune(
            risk_only(), {"risk__penalty_strength": [0.01, 10.0]}, n_folds=2
        ),
        "cv_results_.mean_test_score",
    ),
    "late fusion": (lambda _: fused(risk_only), "weights_"),
}


def check(step, world, other, kind):
    make, attribute = step
    tested, trained = changed(make, world, other, kind)
    assert tested == set()
    assert any(path.startswith(attribute) for path in trained)


@pytest.mark.parametrize(
    "step", [pytest.param(s, marks=[pytest.mark.slow] * (s == "boruta")) for s in STEPS]
)
def test_no_step_of_classes_learns_from_test_patients(world, other, step):
    check(STEPS[step], world, other, "classes")


@pytest.mark.parametrize("step", SURVIVAL_STEPS)
def test_no_step_of_survival_learns_from_test_patients(world, other, step):
    check(SURVIVAL_STEPS[step], world, other, "survival")


def test_filter_of_stable_columns_learns_from_no_patient(world, other):
    table = pd.DataFrame({"feature": world.features.columns, "icc": "ICC(2,1)"})
    table["lower"] = np.linspace(0, 1, len(table))
    tested, trained = changed(prepared(stability=table), world, other)
    assert tested == set()
    assert "scale.mean_" in trained
    assert not any(path.startswith("stability") for path in trained)


def test_threshold_is_that_of_training_patients(world, other):
    found = [
        cross_validate(logistic(), w.features, w.classes, w.folds).predictions
        for w in (world, other)
    ]
    before, after = (table.groupby("fold")["threshold"].unique() for table in found)
    assert [len(values) for values in before] == [1] * 3
    assert before[0] == after[0]
    # the other folds have these patients in training
    assert before[1] != after[1]


@pytest.mark.parametrize("step", STEPS)
def test_prediction_of_a_patient_does_not_depend_on_who_is_tested_beside(world, step):
    model = STEPS[step][0](world)
    _, _, model, _, test = next(
        fit_folds(model, world.features, world.classes, world.folds)
    )
    together = model.predict_proba(test)[:3]
    # sums of other lengths round otherwise
    np.testing.assert_allclose(model.predict_proba(test[:3]), together, rtol=1e-10)


# the device can fail: each of these was fitted on all patients before the folds
LEAKING = {
    "simpleimputer": SimpleImputer(strategy="median"),
    "standardscaler": StandardScaler(),
    "variancethreshold": VarianceThreshold(0.2),
    "dropcorrelated": DropCorrelated(0.9),
    "selectatmost": SelectAtMost(3),
}


@pytest.mark.parametrize("step", LEAKING)
def test_step_that_was_fitted_on_all_patients_is_caught(world, other, step):
    def make(world):
        filled = [] if step == "simpleimputer" else [FunctionTransformer(np.nan_to_num)]
        outside = make_pipeline(*filled, clone(LEAKING[step]))
        outside.fit(world.features, world.classes.frame["class"])
        return make_pipeline(FrozenEstimator(outside), LogisticRegression())

    tested, _ = changed(make, world, other)
    fitted_outside = f"frozenestimator.frozen.{step}."
    assert any(path.startswith(fitted_outside) for path in tested)
    assert "logisticregression.coef_" in tested


def test_harmonizer_that_was_fitted_on_all_patients_is_caught(world, other):
    def make(world):
        outside = Combat(world.site).fit(world.features)
        steps = [("combat", FrozenEstimator(outside)), *logistic().steps]
        return Pipeline(steps)

    tested, _ = changed(make, world, other)
    assert "combat.frozen.shift_" in tested
    assert "classify.coef_" in tested
