"""Folds and outcomes that do not fit are refused, all at once."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from radlatent.errors import SchemaError
from radlatent.fusion import make_folds, read_folds, site_folds
from radlatent.fusion.validation.inputs import check_inputs, outcome_of


@pytest.fixture
def world(make_survival, make_features):
    endpoint = make_survival(40)
    features = make_features(np.zeros((40, 2)), endpoint.frame.index)
    return features, endpoint, make_folds(endpoint, n_folds=4, n_repeats=1)


def test_survival_is_a_structured_array_in_the_order_asked_for(world):
    _, endpoint, _ = world
    patients = ["p003", "p001"]
    y = outcome_of(endpoint, patients)
    assert y.dtype.names == ("event", "time")
    assert y["time"].tolist() == endpoint.frame.loc[patients, "time"].tolist()
    assert y["event"].tolist() == (endpoint.frame.loc[patients, "event"] == 1).tolist()


def test_times_that_are_not_positive_are_refused_with_their_patients(world):
    features, endpoint, folds = world
    frame = endpoint.frame.copy()
    frame.loc[["p001", "p005"], "time"] = [0.0, -3.0]
    with pytest.raises(SchemaError, match=r"2 patients .*\['p001', 'p005'\]"):
        check_inputs(features, replace(endpoint, frame=frame), folds)


def test_no_event_at_all_is_refused(world):
    features, endpoint, folds = world
    frame = endpoint.frame.assign(event=0)
    with pytest.raises(SchemaError, match="no patient has an event"):
        check_inputs(features, replace(endpoint, frame=frame), folds)


def test_training_patients_without_an_event_are_refused(world):
    features, endpoint, folds = world
    tested = folds.loc[folds["fold"] == 2, "patient_id"]
    event = endpoint.frame.index.isin(tested).astype(int)
    with pytest.raises(SchemaError, match="fold 2: events"):
        check_inputs(
            features, replace(endpoint, frame=endpoint.frame.assign(event=event)), folds
        )


class TestSites:
    def test_a_site_is_tested_by_models_of_the_others(self):
        sites = pd.Series(list("bbac"), list("wxyz"))
        folds = site_folds(sites.rename_axis("patient_id"))
        assert dict(zip(folds["patient_id"], folds["fold"], strict=True)) == (
            {"w": 1, "x": 1, "y": 0, "z": 2}
        )

    def test_all_faults_are_told_at_once(self):
        sites = pd.Series(["a", None, "a"], ["x", "y", "x"])
        with pytest.raises(SchemaError) as error:
            site_folds(sites)
        for word in ("occur twice: ['x']", "no site: ['y']", "one site only: ['a']"):
            assert word in str(error.value)


def test_folds_are_read_as_they_were_written(world, tmp_path):
    _, _, folds = world
    folds.to_csv(tmp_path / "folds.csv", index=False)
    pd.testing.assert_frame_equal(read_folds(tmp_path / "folds.csv"), folds)
    folds.drop(columns="fold").to_csv(tmp_path / "folds.csv", index=False)
    with pytest.raises(SchemaError, match="'fold' is missing"):
        read_folds(tmp_path / "folds.csv")
