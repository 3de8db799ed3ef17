"""Outcomes of other patients are what a model finds by chance."""

import numpy as np
import pytest

from radlatent.errors import SchemaError
from radlatent.fusion import logistic, make_folds, permute_outcomes


@pytest.fixture
def make_world(make_endpoint, make_features):
    def make(shift):
        endpoint = make_endpoint("ab" * 30)
        values = np.random.default_rng(4).normal(size=(60, 5))
        values[1::2, 0] += shift
        features = make_features(values, endpoint.frame.index)
        return features, endpoint, make_folds(endpoint, n_folds=3, n_repeats=1)

    return make


def test_a_planted_effect_is_beyond_all_permutations(make_world):
    found = permute_outcomes(logistic(), *make_world(2.0), n_permutations=39)
    row = found.summary.iloc[0]
    assert row["p"] == pytest.approx(1 / 40)
    assert row["estimate"] > 0.8 > row["chance_upper"]
    assert len(found.draws) == 39


def test_noise_is_one_of_its_permutations(make_world):
    row = permute_outcomes(
        logistic(), *make_world(0.0), n_permutations=39
    ).summary.iloc[0]
    assert row["p"] > 0.05
    assert row["chance_lower"] < 0.5 < row["chance_upper"]


def test_no_permutation_is_refused(make_world):
    with pytest.raises(SchemaError, match="give 1 or more"):
        permute_outcomes(logistic(), *make_world(0.0), n_permutations=0)
