"""Settings are chosen on training patients, and the search is counted."""

import json
import logging
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from radlatent.errors import SchemaError
from radlatent.features.endpoint import Endpoint
from radlatent.features.folded import FoldedFeatures
from radlatent.fusion import (
    boosted,
    cox,
    cross_validate,
    forest,
    logistic,
    make_folds,
    outcome_of,
    ridge,
    svm,
    tune,
)
from radlatent.fusion.solvers.boosted import Boosted
from radlatent.fusion.validation.inputs import check_inputs
from radlatent.fusion.validation.tuning import (
    InnerFolds,
    Tuned,
    rank_score,
    search_folds,
    settings_of,
)


@parametrize_with_checks(
    [Tuned(LogisticRegression(), {"C": [0.1, 1.0]}, cv=InnerFolds(2))]
)
def test_a_search_is_an_estimator(estimator, check):
    check(estimator)


def test_a_search_does_what_its_model_does():
    classes, survival = tune(logistic(), {"classify__C": [1]}), tune(cox(), COX)
    assert is_classifier(classes)
    assert hasattr(classes, "predict_proba")
    assert not hasattr(classes, "predict_survival")
    assert not is_classifier(survival)
    assert hasattr(survival, "predict_survival")
    assert not hasattr(survival, "predict_proba")
    assert clone(survival).get_params()["estimator__risk__penalty_strength"] == 0.1


COX = {"risk__penalty_strength": [0.01, 1.0]}


@pytest.fixture
def world(make_endpoint, make_features):
    """Return two columns that tell much together, thirty that tell nothing."""
    rng = np.random.default_rng(2)
    endpoint = make_endpoint("ab" * 50)
    values = rng.normal(size=(100, 32))
    values[1::2, :2] += 1.5
    features = make_features(values, endpoint.frame.index)
    return features, endpoint, make_folds(endpoint, n_folds=4, n_repeats=1)


GRID = {"select__n_features": [1, 2, 32], "classify__C": [0.01, 1.0]}


def test_every_fold_chooses_and_counts_its_fits(world):
    result = cross_validate(tune(logistic(n_features=2), GRID), *world)
    # 6 candidates on 5 inner folds, and the chosen one again
    assert result.fits["n_pipelines"].tolist() == [31] * 4
    assert result.n_pipelines == 124
    chosen = [json.loads(text) for text in result.fits["chosen"]]
    assert all(set(one) == set(GRID) for one in chosen)
    assert result.metrics.set_index("metric").loc["auc", "estimate"] > 0.85


def test_the_best_number_of_columns_is_found(world):
    features, endpoint, _ = world
    tuned = tune(logistic(n_features=1), {"select__n_features": [1, 2]})
    tuned.fit(features, endpoint.frame["class"])
    assert tuned.best_params_ == {"select__n_features": 2}


def test_outcomes_of_tested_patients_choose_nothing(world):
    features, endpoint, folds = world
    tuned = tune(logistic(n_features=2), GRID)
    first = cross_validate(tuned, features, endpoint, folds)
    tested = folds.loc[folds["fold"] == 0, "patient_id"]
    frame = endpoint.frame.copy()
    frame.loc[tested] = frame.loc[tested, "class"].map({"a": "b", "b": "a"}).to_frame()
    endpoint = replace(endpoint, frame=frame)
    again = cross_validate(tuned, features, endpoint, folds)
    of_first = first.predictions["fold"] == 0
    pd.testing.assert_series_equal(
        first.predictions.loc[of_first, "probability_a"],
        again.predictions.loc[of_first, "probability_a"],
    )
    assert first.fits["chosen"][0] == again.fits["chosen"][0]


def test_noise_is_not_made_to_look_good_by_a_search(make_endpoint, make_features):
    endpoint = make_endpoint("ab" * 40)
    folds = make_folds(endpoint, n_folds=5, n_repeats=1)
    tuned = tune(logistic(n_features=1), {"select__n_features": [1, 5, 20, 100]})
    nested, searched = [], []
    for seed in range(8):
        values = np.random.default_rng(seed).normal(size=(80, 200))
        features = make_features(values, endpoint.frame.index)
        found = cross_validate(tuned, features, endpoint, folds).metrics
        nested.append(found.set_index("metric").loc["auc", "estimate"])
        searched.append(tuned.fit(features, endpoint.frame["class"]).best_score_)
    # 8 cohorts of 80 patients: the mean has a standard error of 0.023
    assert abs(np.mean(nested) - 0.5) < 0.07
    # the best of four candidates is better than chance, which is why folds are nested
    assert np.mean(searched) > np.mean(nested)


def test_scores_are_the_auc_of_scikit_learn(world):
    from sklearn.metrics import roc_auc_score

    features, endpoint, _ = world
    y = endpoint.frame["class"]
    fitted = logistic().fit(features[:50], y[:50])
    wanted = roc_auc_score(y[50:] == "b", fitted.predict_proba(features[50:])[:, 1])
    found = rank_score(fitted, features[50:], y[50:])
    assert found == pytest.approx(wanted, abs=1e-12)


def test_inner_folds_spread_events_evenly(make_survival):
    y = outcome_of(make_survival(60))
    counts = [y["event"][test].sum() for _, test in InnerFolds(5).split(y, y)]
    assert max(counts) - min(counts) <= 1


def test_too_few_events_for_the_inner_folds_are_told(make_endpoint, make_features):
    endpoint = make_endpoint("a" * 30 + "b" * 4)
    features = make_features(
        np.random.default_rng(0).normal(size=(34, 3)), endpoint.frame.index
    )
    with pytest.raises(ValueError, match=r"4 patients of a class .* Use n_folds=4"):
        tune(logistic(), {"classify__C": [1, 2]}).fit(features, endpoint.frame["class"])


def test_a_grid_that_fits_nothing_is_refused_with_the_nearest_name():
    with pytest.raises(
        SchemaError, match=r"'classify__c'; did you mean 'classify__C'.*no candidate"
    ):
        tune(logistic(), {"classify__c": [1], "scale__with_mean": []})
    with pytest.raises(SchemaError, match="it is empty"):
        tune(logistic(), {})


SEARCHES = {
    "last step": (lambda: logistic(n_features=2), {"classify__C": [1.0, 0.01]}),
    "steps in the middle": (lambda: logistic(n_features=2), GRID),
    "a whole step": (
        lambda: logistic(n_features=2),
        {"scale": [StandardScaler(with_std=False), "passthrough"]},
    ),
    "number of trees": (
        boosted,
        {"classify__max_depth": [1, 2], "classify__n_estimators": [20, 5, 60]},
    ),
    "trees and their step": (
        boosted,
        {"classify": [Boosted(), Boosted(5)], "classify__n_estimators": [9, 3]},
    ),
    "no Pipeline": (Boosted, {"n_estimators": [3, 9], "max_depth": [1]}),
    "trees of a forest": (forest, {"classify__n_estimators": [3, 9]}),
}


@pytest.mark.parametrize("what", SEARCHES)
def test_search_finds_what_that_of_scikit_learn_finds(world, what):
    make, grid = SEARCHES[what]
    features, endpoint, _ = world
    y = endpoint.frame["class"]
    found = tune(make(), grid, n_folds=3).fit(features, y)
    plain = GridSearchCV(make(), grid, scoring=rank_score, cv=InnerFolds(3))
    plain.fit(features, y)
    ours, theirs = found.cv_results_, plain.cv_results_
    assert ours["params"] == theirs["params"]
    for name in ("mean_test_score", "std_test_score"):
        # scikit-learn adds up in another order
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-12)
    assert found.best_params_ == plain.best_params_
    chances = plain.predict_proba(features)
    np.testing.assert_array_equal(found.predict_proba(features), chances)
    assert (found.predict(features) == plain.predict(features)).all()
    assert list(found.feature_names_in_) == list(features)


def test_search_of_survival_is_that_of_scikit_learn_and_has_a_curve(make_survival):
    rng = np.random.default_rng(0)
    endpoint = make_survival(60, risk=rng.normal(size=60))
    features = pd.DataFrame(rng.normal(size=(60, 5)), endpoint.frame.index)
    features.columns = [f"ct__x{i}" for i in range(5)]
    y, grid = outcome_of(endpoint), {"risk__penalty_strength": [0.01, 1.0]}
    found = tune(cox(), grid, n_folds=2).fit(features, y)
    plain = GridSearchCV(cox(), grid, scoring=rank_score, cv=InnerFolds(2))
    plain.fit(features, y)
    expected = plain.cv_results_["mean_test_score"]
    np.testing.assert_allclose(found.cv_results_["mean_test_score"], expected)
    both = found, plain.best_estimator_
    curves = (model.predict_survival(features, [500.0]) for model in both)
    np.testing.assert_array_equal(*curves)


def test_candidate_without_a_score_in_a_fold_is_not_chosen(world):
    features, endpoint, _ = world
    tuned = tune(logistic(), {"classify__C": [0.1, 1.0, 10.0]})
    tuned.choose(features, endpoint.frame["class"], [[np.nan, 0.6, 0.7], [1, 0.5, 0.6]])
    assert tuned.best_params_ == {"classify__C": 10.0}
    assert tuned.best_score_ == pytest.approx(0.65)


def test_an_inner_fold_that_scores_nothing_is_left_out(world):
    """One without a patient of a class says nothing of any candidate."""
    features, endpoint, _ = world
    tuned = tune(logistic(), {"classify__C": [0.1, 1.0]})
    scores = [[np.nan, np.nan], [0.5, 0.7], [0.6, 0.5]]
    tuned.choose(features, endpoint.frame["class"], scores)
    assert tuned.best_params_ == {"classify__C": 1.0}
    assert tuned.best_score_ == pytest.approx(0.6)
    assert tuned.n_splits_ == 3
    with pytest.raises(SchemaError, match="no inner fold of the search scores"):
        tuned.choose(features, endpoint.frame["class"], scores[:1])


class Counted(StandardScaler):
    """Keeps, beyond its copies, how many patients each was fitted on."""

    sizes: ClassVar = []

    def fit(self, X, y=None, sample_weight=None):
        """Fit as usual."""
        self.sizes.append(len(X))
        return super().fit(X)


def test_steps_that_no_candidate_changes_are_fitted_once_an_inner_fold(world):
    features, endpoint, _ = world
    model = logistic(n_features=2).set_params(scale=Counted())
    Counted.sizes.clear()
    tune(model, GRID, n_folds=5).fit(features, endpoint.frame["class"])
    assert Counted.sizes == [80] * 5 + [100]


@pytest.mark.slow
@pytest.mark.parametrize("random_state", [0, None])
def test_folds_are_searched_in_parts_as_each_would_be(world, random_state, caplog):
    features, endpoint, folds = world
    grid = {"select__n_features": [1, 2]}
    tuned = tune(logistic(n_features=2), grid, n_folds=3, random_state=random_state)
    with caplog.at_level(logging.INFO):
        # workers do not see the endpoint of tests
        real = Endpoint(endpoint.name, endpoint.kind, endpoint.frame)
        result = cross_validate(tuned, features, real, folds, name="searched", jobs=2)
    # the progress of a search counts inner folds
    assert "Searching searched, all: 12 of 12" in caplog.text
    part = result.predictions[result.predictions["fold"] == 1]
    train = features.index.difference(part["patient_id"], sort=False)
    chosen = json.loads(result.fits["chosen"][1])
    # folds of the search that are drawn anew may choose another candidate
    model = tuned if random_state == 0 else logistic(n_features=2).set_params(**chosen)
    model.fit(features.loc[train], endpoint.frame["class"].loc[train])
    expected = model.predict_proba(features.loc[part["patient_id"]])[:, 1]
    np.testing.assert_array_equal(part["probability_b"], expected)


def test_each_fold_is_searched_on_its_own_features(world):
    features, endpoint, folds = world
    rng, tables, patients = np.random.default_rng(0), {}, {}
    for fold, tested in folds.groupby("fold"):
        # the planted columns are there in fold 2 only
        noise = features * 0 + rng.normal(size=features.shape)
        tables[0, fold] = features if fold == 2 else noise
        patients[0, fold] = sorted(set(features.index) - set(tested["patient_id"]))
    tuned = tune(logistic(n_features=2), {"classify__C": [0.1, 1.0]})
    splits = check_inputs(FoldedFeatures(tables, patients), endpoint, folds)
    scores, failures = search_folds(tuned, tables.get, endpoint, splits)
    assert failures == {}
    best = {fold: np.mean(found) for (_, fold), found in scores.items()}
    assert max(best, key=best.get) == 2
    folded = cross_validate(tuned, FoldedFeatures(tables, patients), endpoint, folds)
    whole = cross_validate(tuned, features, endpoint, folds)
    both = (one.predictions.query("fold == 2") for one in (folded, whole))
    pd.testing.assert_frame_equal(*both)


def test_folds_that_cannot_be_searched_are_all_told(make_endpoint, make_features):
    endpoint = make_endpoint("a" * 30 + "b" * 6)
    values = np.random.default_rng(0).normal(size=(36, 3))
    features = make_features(values, endpoint.frame.index)
    folds = make_folds(endpoint, n_folds=3, n_repeats=1)
    tuned = tune(logistic(), {"classify__C": [1, 2]})
    with pytest.raises(SchemaError, match=r"fold 0: 4 patients .* fold 2: 4 patients"):
        cross_validate(tuned, features, endpoint, folds)


@pytest.mark.parametrize(
    ("model", "word", "setting"),
    [
        (logistic(n_features=3), "n_features", "select__n_features"),
        (logistic(), "C", "classify__C"),
        (svm(), "gamma", "classify__estimator__machine__gamma"),
        (forest(), "max_features", "classify__max_features"),
        (boosted(), "max_depth", "classify__max_depth"),
        (cox(), "penalty_strength", "risk__penalty_strength"),
        (ridge(unpenalized=["a"]), "penalty_strength", "regress__penalty_strength"),
    ],
)
def test_a_grid_names_settings_as_builders_do(model, word, setting):
    assert settings_of(model)[word] == setting
    assert settings_of(model)[setting] == setting


def test_both_names_find_the_same():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 4)), np.arange(60) % 2
    short = tune(logistic(n_features=2), {"C": [0.01, 1.0], "n_features": [1, 2]})
    long = {"classify__C": [0.01, 1.0], "select__n_features": [1, 2]}
    short, long = short.fit(X, y), tune(logistic(n_features=2), long).fit(X, y)
    assert short.best_score_ == long.best_score_
    assert set(short.best_params_) == {"C", "n_features"}
    assert [*short.best_params_.values()] == [*long.best_params_.values()]
    np.testing.assert_array_equal(short.predict_proba(X), long.predict_proba(X))


def test_what_is_no_setting_is_told():
    with pytest.raises(SchemaError, match="no setting 'n_features'"):
        tune(logistic(), {"n_features": [3]})
    # scikit-learn's words are others than the builder's
    with pytest.raises(SchemaError, match="no setting 'penalty'"):
        tune(logistic(), {"penalty": ["ridge", "lasso"]})
    with pytest.raises(SchemaError, match="no setting 'l1_ratio'"):
        tune(logistic(), {"l1_ratio": [0.5]})
    with pytest.raises(SchemaError, match="no setting 'threshold'"):
        tune(logistic(), {"threshold": [0.5]})
