"""Patients with many lesions: the causes are there, and a mean does not show them."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import pdist

import radlatent as rl
from radlatent.errors import CohortError
from radlatent.features.origin import origin_of_blocks


@pytest.fixture(scope="module")
def made():
    effects = {"spread_effect": 1.0, "outlier_effect": 1.0, "pair_effect": 1.0}
    return rl.simulate_lesions(n_patients=200, random_state=3, **effects)


def by_patient(made, table):
    return table.groupby(made.cases["patient_id"])


def test_each_factor_is_what_its_hand_made_feature_says(made):
    places = by_patient(made, made.centroids)
    dmax = places.apply(lambda one: pdist(one).max())
    assert np.corrcoef(dmax, made.truth["spread"])[0, 1] == pytest.approx(1)
    nearest = places.apply(lambda one: pdist(one).min())
    assert ((nearest < 30) == (made.truth["pair"] > 0)).all()
    entropy = made.features["pet_handcrafted__original_firstorder_Entropy"]
    spread = by_patient(made, entropy).agg(lambda one: one.max() - one.median())
    assert spread[made.truth["outlier"] > 0].min() > 0.6
    assert spread[made.truth["outlier"] < 0].median() < 0.4


def test_the_linear_predictor_is_the_sum_and_ranks_best(made):
    parts = made.truth[["spread", "outlier", "pair"]]
    np.testing.assert_allclose(made.truth["linear_predictor"], parts.sum(axis=1))
    auc = made.oracle["auc"]
    assert auc["linear_predictor"] == max(auc.values()) > 0.8


def test_a_patient_is_the_same_whatever_the_number_and_the_effects(made):
    few = rl.simulate_lesions(n_patients=5, random_state=3)
    pd.testing.assert_frame_equal(few.features, made.features.loc[few.features.index])
    assert (few.truth["linear_predictor"] == 0).all()


def test_the_expected_fraction_is_censored(made):
    assert 1 - made.endpoints["survival_event"].mean() == pytest.approx(0.3, abs=0.1)


def test_the_tables_go_through_the_house(made):
    assert origin_of_blocks(made.features)["pet_handcrafted"].told
    burden = rl.lesion_burden(made.features, made.cases, centroids=made.centroids)
    counted = burden["pet_burden__n_lesions"].reindex(made.truth.index)
    assert (counted == made.truth["n_lesions"]).all()
    assert 3 <= counted.min() <= counted.max() <= 10


def test_one_lesion_a_patient_tells_no_factor():
    one = rl.simulate_lesions(n_patients=9, n_lesions=1, pair_effect=2.0)
    assert len(one.features) == 9
    assert (one.truth[["spread", "outlier", "pair"]] == 0).all(axis=None)


def test_arguments_out_of_range_are_named_at_once():
    with pytest.raises(CohortError) as error:
        rl.simulate_lesions(n_patients=1, n_lesions=2, pair_effect=9.0, censoring=1.0)
    for name in ("n_patients", "n_lesions", "pair_effect", "censoring"):
        assert name in str(error.value)
