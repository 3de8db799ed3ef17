import numpy as np
import pandas as pd
import pytest

from radlatent.cohort import Endpoint
from radlatent.errors import SchemaError
from radlatent.fusion.explain.sample_size import (
    r_squared_of_auc,
    sample_size,
    study_size,
)

CHAGAS = {"n_parameters": 24, "prevalence": 0.174}
VTE = {"rate": 0.065, "follow_up": 2.07, "horizon": 2}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        # Chagas disease, Riley et al. 2019; tests of pmsampsize 0.1.0 (Python)
        (CHAGAS | {"r_squared": 0.288}, [623, 662, 221]),
        (CHAGAS | {"auc": 0.89}, [615, 660, 221]),
        # recurrent thromboembolism, the same tests, and those of R's pmsampsize 1.1;
        # they print no size for the overall risk of survival
        ({"n_parameters": 30, "r_squared": 0.051} | VTE, [5143, 1039]),
        (
            {"n_parameters": 40, "r_squared": 0.06}
            | {"rate": 0.08, "follow_up": 5, "horizon": 3},
            [5798, 969],
        ),
        (
            {"n_parameters": 80, "r_squared": 0.3}
            | {"rate": 0.03, "follow_up": 5, "horizon": 1},
            [1974, 2272],
        ),
        # pre-eclampsia, Riley et al. 2020
        ({"n_parameters": 30, "prevalence": 0.05, "r_squared": 0.05}, [5249]),
        ({"n_parameters": 20, "prevalence": 0.05, "r_squared": 0.05}, [3500]),
    ],
)
def test_sizes_are_those_published(given, expected):
    table = sample_size(**given)
    assert table["n"].tolist()[: len(expected)] == expected
    assert table["n"][table["binding"]].tolist() == [table["n"].max()]


def test_overall_risk_and_mean_error_are_those_published():
    # Riley et al. 2020: 385, 246 and 139 for half, a fifth and a tenth
    risks = [sample_size(10, prevalence=share)["n"][2] for share in (0.5, 0.2, 0.1)]
    assert risks == [385, 246, 139]
    # there too: 461 with ten parameters and 0.3, 544 for pre-eclampsia
    assert sample_size(10, prevalence=0.3)["n"][3] == 461
    assert sample_size(30, prevalence=0.05)["n"][3] == 544
    assert np.isnan(sample_size(31, prevalence=0.05)["n"][3])


def test_risk_of_survival_is_within_its_margin_just_so():
    rate, follow_up, horizon = VTE.values()
    n = sample_size(30, **VTE)["n"][2]

    def margin(n):
        half = 1.96 * np.sqrt(rate / (n * follow_up))
        ends = 1 - np.exp(-np.array([rate - half, rate, rate + half]) * horizon)
        return np.abs(ends - ends[1]).max()

    assert margin(n) <= 0.05 < margin(n - 1)


@pytest.mark.parametrize(
    ("auc", "prevalence", "expected"),
    # cstat2rsq of pmsampsize 1.1, a million simulated patients, three digits
    [(0.71, 0.05, 0.028), (0.8, 0.1, 0.111), (0.7, 0.3, 0.103), (0.9, 0.1, 0.216)],
)
def test_r_squared_of_an_auc_is_that_of_the_simulation(auc, prevalence, expected):
    # half a digit and the error of the simulation
    assert r_squared_of_auc(auc, prevalence) == pytest.approx(expected, abs=1e-3)


def test_unknown_model_gets_fifteen_percent_of_the_largest_r_squared():
    # Riley et al. 2020: the largest is 0.33 of 0.05, 0.75 of 0.5
    for prevalence, largest in ((0.05, 0.33), (0.5, 0.75)):
        found = sample_size(10, prevalence=prevalence)["r_squared"][0]
        assert found == pytest.approx(0.15 * largest, abs=0.15 * 0.006)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"prevalence": 0.2, "rate": 0.1},
        {"rate": 0.1, "follow_up": 2},
        {"prevalence": 1.2},
        {"prevalence": 0.2, "auc": 0.5},
        {"prevalence": 0.2, "auc": 0.7, "r_squared": 0.1},
        {"prevalence": 0.2, "n_parameters": 0},
        VTE | {"auc": 0.7},
        VTE | {"rate": -1},
    ],
)
def test_numbers_out_of_range_are_refused(given):
    with pytest.raises(SchemaError, match="give n_parameters from 1"):
        sample_size(**({"n_parameters": 10} | given))


def test_r_squared_above_the_largest_is_refused():
    with pytest.raises(SchemaError, match=r"not between 0 and 0\.328"):
        sample_size(10, prevalence=0.05, r_squared=0.4)


def study(n, n_columns):
    index = pd.Index([f"p{i:03d}" for i in range(n)], name="patient_id")
    columns = [f"ct__f{i}" for i in range(n_columns)]
    return pd.DataFrame(0.0, index, columns)


def test_study_of_classes_is_held_against_its_criteria():
    features = study(100, 3)
    frame = pd.DataFrame({"class": ["a"] * 70 + ["b"] * 30}, features.index)
    table = study_size(features, Endpoint("grade", "class", frame), auc=0.8)
    needed = sample_size(3, prevalence=0.3, auc=0.8)
    pd.testing.assert_frame_equal(table[needed.columns], needed)
    assert table["enough"].tolist() == (needed["n"] <= 100).tolist()
    assert set(table["n_had"]) == {100}
    assert set(table["n_events_had"]) == {30}


def test_study_of_survival_takes_rate_and_follow_up_from_its_times():
    features = study(50, 2)
    frame = {"time": [200.0, 400.0] * 25, "event": [1, 0] * 25}
    endpoint = Endpoint("os", "survival", pd.DataFrame(frame, features.index))
    table = study_size(features, endpoint)
    needed = sample_size(2, rate=25 / 15000, follow_up=300, horizon=300)
    pd.testing.assert_frame_equal(table[needed.columns], needed)
    assert table["enough"].isna().tolist() == [False] * 3 + [True]
