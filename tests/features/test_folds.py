from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import StratifiedKFold

from radlatent.errors import SchemaError
from radlatent.features.endpoint import Endpoint
from radlatent.features.folds import deal
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


def rows_of_patients(rng, n_patients=37):
    owners = np.repeat(
        [f"p{i}" for i in range(n_patients)], rng.integers(1, 6, n_patients)
    )
    return rng.permutation(owners)


def test_rows_of_a_patient_are_dealt_together(rng):
    patients = rows_of_patients(rng)
    strata = np.array([int(name[1:]) % 3 for name in patients])
    for about in ({}, {"strata": strata}):
        part = pd.Series(deal(patients, 5, **about))
        assert part.groupby(patients).agg(lambda dealt: len(set(dealt))).max() == 1
        assert set(part) == {0, 1, 2, 3, 4}


def test_order_of_rows_does_not_matter(rng):
    patients = rows_of_patients(rng)
    strata = np.array([int(name[1:]) % 3 for name in patients])
    order = rng.permutation(len(patients))
    whole, shuffled = deal(patients, 4), deal(patients[order], 4)
    assert (whole[order] == shuffled).all()
    whole = deal(patients, 4, strata=strata)
    assert (whole[order] == deal(patients[order], 4, strata=strata[order])).all()


def test_without_strata_parts_are_of_similar_size(rng):
    patients = rows_of_patients(rng)
    sizes = np.bincount(deal(patients, 5))
    # one patient more or less, of at most five rows
    assert sizes.max() - sizes.min() <= 5
    of_patients = np.bincount(deal(np.unique(patients), 5))
    assert of_patients.max() - of_patients.min() <= 1


def test_strata_are_dealt_as_scikit_learn_deals_them(rng):
    strata = rng.choice(["a", "b", "c"], 60, p=[0.6, 0.3, 0.1])
    parts = StratifiedKFold(5, shuffle=True, random_state=3).split(strata, strata)
    part = deal(np.arange(60), 5, strata=strata, random_state=3)
    for one, (_, inside) in enumerate(parts):
        assert np.flatnonzero(part == one).tolist() == inside.tolist()


def test_a_generator_deals_on_and_none_deals_anew():
    patients, strata = np.arange(100), np.arange(100) % 2
    for about in ({}, {"strata": strata}):
        rng = np.random.default_rng(0)
        first, second = (deal(patients, 5, random_state=rng, **about) for _ in "ab")
        assert (first != second).any()
        again = deal(patients, 5, random_state=np.random.default_rng(0), **about)
        assert (first == again).all()
        drawn = [deal(patients, 5, random_state=None, **about) for _ in "ab"]
        assert (drawn[0] != drawn[1]).any()


def test_folds_of_a_continuous_outcome_have_similar_means(rng):
    index = pd.Index([f"p{i:03d}" for i in range(103)], name="patient_id")
    frame = pd.DataFrame({"value": rng.normal(50, 10, 103)}, index)
    endpoint = Endpoint("ef", "continuous", frame)
    folds = make_folds(endpoint, n_folds=5, n_repeats=4)
    sizes = folds.groupby(["repeat", "fold"]).size()
    assert sizes.min() >= 20
    means = (
        folds["patient_id"]
        .map(frame["value"])
        .groupby([folds["repeat"], folds["fold"]])
    )
    # of folds dealt at random the means have a spread of 10 / sqrt(20) = 2.2
    assert means.mean().std() < 1
    other = make_folds(replace(endpoint, frame=frame[::-1]), n_folds=5, n_repeats=4)
    pd.testing.assert_frame_equal(folds, other)
    with pytest.raises(SchemaError, match="3 patients are fewer than n_folds=5"):
        make_folds(replace(endpoint, frame=frame[:3]))
