import numpy as np
import pandas as pd
import pytest

from radlatent.cohort import Endpoint
from radlatent.errors import SchemaError
from radlatent.report import table_one

PATIENTS = """\
b,55.4,0,III b,81.0,1,I a,62.0,0,I b,,0,III a,59.2,0,III b,53.4,0,I b,58.7,0,III
a,,1,III b,57.9,1,II a,65.5,0,II a,59.4,0,III a,54.1,1,III b,69.1,1,III a,68.3,0,II
a,43.6,0,I a,57.4,0,III a,50.2,0,I a,58.3,1,II a,47.1,1,III b,65.2,1,I a,59.6,0,I
b,62.0,1,III b,54.5,1,I a,56.0,0,III"""


@pytest.fixture
def clinical():
    rows = [one.split(",") for one in PATIENTS.split()]
    table = pd.DataFrame(rows, columns=["group", "clinical__age", "sex", "stage"])
    table.index = pd.Index([f"p{i}" for i in range(len(table))], name="patient_id")
    table["clinical__age"] = pd.to_numeric(table["clinical__age"])
    return table.assign(sex=table["sex"].astype(float))


@pytest.fixture
def endpoint(clinical):
    frame = clinical[["group"]].set_axis(["class"], axis=1)
    return Endpoint("response", "class", frame)


def test_table_one_is_that_of_another_library(clinical, endpoint):
    # tableone 0.9.5 with pandas 2.3.3, TableOne(df, categorical=["sex", "stage"],
    # nonnormal=["age"], groupby="group", smd=True): medians, quartiles, counts and
    # SMD 0.622, 0.667, 0.354
    table = table_one(clinical.drop(columns="group"), endpoint)
    table = table.set_index("Characteristic")
    assert list(table) == ["All (n = 24)", "a (n = 14)", "b (n = 10)", "Missing", "SMD"]
    expected = {
        "age, median (quartiles)": [
            *("58.5 (54.7–62)", "58.3 (54.1–59.6)", "58.7 (55.4–65.2)", "2", "0.62"),
        ],
        "sex = 1, n (%)": ["10 (42)", "4 (29)", "6 (60)", "0", "0.67"],
        "stage = I, n (%)": ["8 (33)", "4 (29)", "4 (40)", "0", "0.35"],
        "stage = II, n (%)": ["4 (17)", "3 (21)", "1 (10)", "", ""],
        "stage = III, n (%)": ["12 (50)", "7 (50)", "5 (50)", "", ""],
    }
    assert {name: list(row) for name, row in table.iterrows()} == expected


def test_survival_is_described_by_event(clinical):
    frame = pd.DataFrame({"time": 9.0, "event": [1, 0] * 12}, clinical.index)
    table = table_one(clinical[["sex"]], Endpoint("os", "survival", frame))
    assert list(table)[2:4] == ["Censored (n = 12)", "Event (n = 12)"]


def test_several_groups_show_the_pair_furthest_apart(endpoint):
    names = endpoint.frame.index
    frame = pd.DataFrame({"class": np.repeat(["a", "b", "c"], 8)}, names)
    values = np.tile([-1.0, 1.0, -1.0, 1.0], 6) + np.repeat([0, 1, 3], 8)
    table = table_one(
        pd.DataFrame({"x": values}, names), Endpoint("three", "class", frame)
    )
    # a and c: 3 apart, variance 8 / 7 in each
    assert table.loc[0, "SMD"] == f"{3 / np.sqrt(8 / 7):.2f}"


def test_what_cannot_be_told_is_not_a_number(clinical, endpoint):
    table = table_one(clinical[["sex"]] * 0 + 5, endpoint)
    assert table.loc[0, "SMD"] == "–"
    with pytest.raises(SchemaError, match="no row of"):
        table_one(clinical.iloc[1:], endpoint)


def test_a_range_below_zero_has_no_dash_beside_its_minus(make_endpoint):
    endpoint = make_endpoint("ab" * 20)
    values = np.linspace(-30.0, -0.5, 40)
    clinical = pd.DataFrame({"clinical__t": values}, endpoint.frame.index)
    table = table_one(clinical, endpoint)
    (cell,) = table.loc[table["Characteristic"].str.startswith("t"), "All (n = 40)"]
    assert cell == "−15.2 (−22.6 to −7.88)"
