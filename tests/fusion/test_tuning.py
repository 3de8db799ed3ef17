"""Settings are chosen on training patients, and the search is counted."""

import json

import numpy as np
import pandas as pd
import pytest

from radlatent.errors import SchemaError
from radlatent.fusion import cross_validate, logistic, make_folds, tune
from radlatent.fusion.tuning import InnerFolds, rank_score


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
    endpoint.frame = frame
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
    from radlatent.fusion.splits import outcome_of

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
