"""Tables that were measured elsewhere become a cohort, or every fault is told."""

import numpy as np
import pandas as pd
import pytest

from radlatent.cohort import EndpointCard, FeatureFile, Outcomes, read_given
from radlatent.features.aggregate import aggregate
from radlatent.features.origin import origin_of_blocks

N = 12
IDS = [f"p{i:02d}" for i in range(N)]


def outcome(**columns):
    table = pd.DataFrame({"patient_id": IDS, "response": ["yes", "no"] * (N // 2)})
    return table.assign(**{"age": range(40, 40 + N)} | columns)


def features(**columns):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"patient_id": IDS, "x": rng.standard_normal(N)})
    return table.assign(y=rng.standard_normal(N), **columns)


@pytest.fixture
def read(tmp_path):
    def read(table, of=None, endpoint="response", **about):
        table.to_csv(tmp_path / "mr.csv", index=False)
        (outcome() if of is None else of).to_csv(tmp_path / "outcome.csv", index=False)
        kept = {k: about.pop(k) for k in ("leave_out", "measured") if k in about}
        file = FeatureFile("mr", tmp_path / "mr.csv", **kept)
        there = Outcomes(tmp_path / "outcome.csv", endpoint, ("age",), **about)
        return read_given([file], there, name="A")

    return read


def test_tables_become_a_cohort(read):
    given, problems = read(features(), measured=True)
    assert problems.frame.empty
    cohort = given.cohort
    assert (cohort.name, cohort.modalities) == ("A", {})
    assert cohort.endpoint("response").strata.value_counts().to_dict() == {
        "no": 6,
        "yes": 6,
    }
    assert list(cohort.clinical()) == ["clinical__age"]
    assert list(given.of_cases) == ["mr__x", "mr__y"]
    assert given.of_cases.index.tolist() == IDS
    assert origin_of_blocks(given.of_cases)["mr"].told
    assert not origin_of_blocks(read(features())[0].of_cases)["mr"].told
    assert cohort.flow["patients included"] == N


def test_rows_may_be_lesions(read):
    one = features(lesion_id="L1").assign(case_id=[f"{name}_1" for name in IDS])
    two = features(lesion_id="L2").assign(case_id=[f"{name}_2" for name in IDS])
    given, problems = read(pd.concat([one, two[:4]]))
    assert problems.frame.empty
    table = aggregate(given.of_cases, given.cohort.included)
    assert list(table) == ["mr__x__L1", "mr__y__L1", "mr__x__L2", "mr__y__L2"]
    assert table["mr__x__L2"].notna().sum() == 4


def test_a_table_of_patients_stands_beside_one_of_lesions(tmp_path):
    lesions = features().assign(case_id=[f"{name}_1" for name in IDS])
    tables = {"mr": lesions, "deep": features()[["patient_id", "x"]][::-1]}
    for name, table in (*tables.items(), ("outcome", outcome())):
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    files = [FeatureFile(name, tmp_path / f"{name}.csv") for name in tables]
    there = Outcomes(tmp_path / "outcome.csv", "response")
    given, _ = read_given(files, there, name="A")
    assert given.of_cases.index[0] == "p00_1"
    assert list(given.of_patients) == ["deep__x"]
    np.testing.assert_array_equal(given.of_patients.loc[IDS, "deep__x"], lesions["x"])


def test_survival_is_two_columns(read):
    times = {"death_time": np.arange(100, 100 + N), "death_event": [1, 0, 1] * 4}
    given, problems = read(features(), outcome(**times), endpoint="death")
    assert problems.frame.empty
    assert given.cohort.endpoint("death").kind == "survival"


def test_numbers_are_told_how_to_ask_and_are_numbers_once_asked(read):
    ef = outcome(ef=np.linspace(30, 70, N))
    _, problems = read(features(), ef, endpoint="ef")
    (said,) = problems.frame["problem"] + "; " + problems.frame["remedy"]
    assert "12 different numbers are a continuous outcome; Say so, with kind:" in said
    about = EndpointCard(kind="continuous", column="ef", unit="%")
    given, problems = read(features(), ef, endpoint="LVEF", about=about)
    assert problems.frame.empty
    endpoint = given.cohort.endpoint("LVEF")
    assert (endpoint.kind, endpoint.unit) == ("continuous", "%")
    assert endpoint.frame["value"].tolist() == ef["ef"].tolist()
    scaled = features(half=100 - 0.5 * ef["ef"])
    told = read(scaled, ef, endpoint="LVEF", about=about)[1].frame["problem"]
    assert told.tolist() == ["column 'half' tells the outcome of every patient"]
    about = EndpointCard(kind="continuous", column="EF")
    told = read(features(), ef, endpoint="LVEF", about=about)[1].frame["problem"]
    assert "there is no column 'EF'; did you mean 'ef'?" in told.tolist()[0]


def of(column, values):
    return features(**{column: values})


YES = [1, 0] * (N // 2)
TIMES = {"death_time": np.arange(100, 100 + N) ** 2, "death_event": [1, 0, 1] * 4}


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (of("scanner", "GE"), "the column is text ('GE', ...)"),
        (of("diagnostics_x", "3.0.1"), "leave_out: ['diagnostics_*']"),
        (of("z", ["1,5"] * N), "decimal comma"),
        (of("z", [1.0] * (N - 1) + ["high"]), "'high' is not a number"),
        (of("response", YES), "has the name of the outcome"),
        (of("label", YES), "'label' tells the outcome of every patient"),
        (features().drop(columns=["x", "y"]), "no column of features"),
        (
            features().rename(columns={"patient_id": "patient"}),
            "no column 'patient_id'",
        ),
        (pd.concat([features(), features()[:1]]), "'p00' occurs twice"),
        (features().replace({"p03": "P03"}), "did you mean"),
        (features()[:-2], "2 patients of outcome.csv are not in mr.csv"),
        (features().replace({"p03": None}), "the cell is empty"),
        (of("x ", 1.0), "occur twice"),
    ],
)
def test_faults_are_told(read, table, expected):
    given, problems = read(table)
    assert given is None
    told = " ".join(problems.frame["problem"] + " " + problems.frame["remedy"])
    assert expected in told, told


def test_names_of_columns_are_kept(read):
    given, problems = read(of("Ki-67 [%] <20", np.arange(N) % 5))
    assert not problems.rows
    assert "mr__Ki-67 [%] <20" in given.of_patients.columns.union(
        given.of_cases.columns
    )


@pytest.mark.parametrize(
    ("column", "values"),
    [("follow_up_months", TIMES["death_time"] / 30.4), ("dead", TIMES["death_event"])],
)
def test_time_and_event_are_outcomes_too(read, column, values):
    _, problems = read(of(column, values), outcome(**TIMES), endpoint="death")
    assert problems.frame["problem"].str.contains("tells the outcome").tolist() == [
        True
    ]


def test_everything_is_told_at_once(read):
    spoiled = of("scanner", "GE").assign(label=YES).replace({"p03": "P03"})
    _, problems = read(spoiled, outcome(age="old"), endpoint="respons")
    told = " ".join(problems.frame["problem"])
    for part in (
        "did you mean 'response'",
        "is text",
        "'P03'",
        "'old' is not a number",
    ):
        assert part in told, told
    _, problems = read(spoiled, leave_out=("scanner", "lab*"))
    assert len(problems.frame) == 2
