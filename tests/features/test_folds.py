from dataclasses import replace

import pandas as pd
import pytest

from radlatent.errors import SchemaError
from radlatent.fusion import make_folds


def test_every_patient_is_tested_once_a_repeat(make_endpoint):
    folds = make_folds(make_endpoint("ab" * 25), n_repeats=3)
    assert len(folds) == 150
    assert not folds.duplicated(["repeat", "patient_id"]).any()


def test_folds_are_stratified_within_one_patient(make_endpoint):
    endpoint = make_endpoint("a" * 33 + "b" * 14 + "c" * 6)
    folds = make_folds(endpoint, n_repeats=4)
    folds["class"] = folds["patient_id"].map(endpoint.strata)
    counts = folds.groupby(["repeat", "class", "fold"]).size()
    spread = counts.groupby(["repeat", "class"]).agg(lambda c: c.max() - c.min())
    assert spread.max() <= 1


def test_order_of_patients_does_not_matter(make_endpoint):
    endpoint = make_endpoint("ab" * 20)
    before = make_folds(endpoint, random_state=5)
    endpoint = replace(endpoint, frame=endpoint.frame.sample(frac=1, random_state=3))
    pd.testing.assert_frame_equal(make_folds(endpoint, random_state=5), before)


def test_repeats_and_random_states_differ(make_endpoint):
    endpoint = make_endpoint("ab" * 20)
    fold = make_folds(endpoint, n_repeats=2, random_state=0).groupby("repeat")["fold"]
    first, second = (part.tolist() for _, part in fold)
    other = make_folds(endpoint, n_repeats=1, random_state=1)["fold"].tolist()
    assert first != second
    assert first != other


def test_small_class_is_named_with_a_remedy(make_endpoint):
    with pytest.raises(SchemaError, match=r"\{'b': 3\} has fewer .* Use n_folds=3"):
        make_folds(make_endpoint("a" * 20 + "b" * 3))


def test_single_class_is_refused(make_endpoint):
    with pytest.raises(SchemaError, match="all 9 patients are of one class"):
        make_folds(make_endpoint("a" * 9))
