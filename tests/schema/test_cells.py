"""CSV files are text to a spreadsheet, and what they were to whoever reads them."""

import csv

import pandas as pd
import pytest

from radlatent.cohort import Cohort
from radlatent.report.parts import write_printed
from radlatent.schema import inert, meant, read_features, write_table

FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "-A"]
NUMBERS = ["-1", "+2", "-1.5e-3", "-inf", "-0.05 (-0.10–0.02)", "-3 (-4 to -1)", "-5%"]
#: What begins with an apostrophe of its own.
QUOTED = ["'=1", "''-A", "'s-Hertogenbosch", "'-1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_becomes_text(text):
    table = pd.DataFrame({text: [text]}, index=pd.Index([text], name="case_id"))
    made = inert(table)
    assert [made.iloc[0, 0], made.index[0], made.columns[0]] == [f"'{text}"] * 3
    assert made.index.name == "case_id"
    assert table.iloc[0, 0] == text


@pytest.mark.parametrize("text", [*NUMBERS, "a=1", "a", "", "5"])
def test_numbers_and_other_texts_stay(text):
    assert inert(pd.DataFrame({"x": [text]}))["x"].tolist() == [text]


def test_columns_of_numbers_stay_as_they_are():
    table = pd.DataFrame({"n": [-1.5, 2.0], "i": [-1, 2], "b": [True, False]})
    pd.testing.assert_frame_equal(inert(table), table)


def test_every_kind_of_text_column_is_looked_at():
    texts = pd.Series(["=1", None])
    table = pd.DataFrame({"o": texts, "s": texts.astype("string")})
    table["c"] = texts.astype("category")
    assert inert(table).iloc[0].tolist() == ["'=1"] * 3
    assert inert(table).iloc[1].isna().all()


@pytest.mark.parametrize("text", [*FORMULAS, *NUMBERS, *QUOTED, "a", ""])
def test_what_was_written_is_read_as_it_was(text):
    assert meant(inert(pd.DataFrame({"x": [text]}))["x"][0]) == text


def test_ids_of_features_survive_their_csv(tmp_path):
    ids = pd.Index(["=1", "-A", "'=1", "b"], name="case_id")
    table = pd.DataFrame({"ct_handcrafted__x": [-1.5, 2, 3, 4]}, ids)
    write_table(table, tmp_path / "f.csv")
    with (tmp_path / "f.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert [row[0] for row in rows[1:]] == ["'=1", "'-A", "''=1", "b"]
    assert rows[1][1] == "-1.5"
    again = read_features(tmp_path / "f.csv")
    assert again.index.tolist() == ids.tolist()


def test_ids_of_a_cohort_survive_being_written(tiny_folder, tmp_path):
    for name in ("cases.csv", "endpoints.csv"):
        path = tiny_folder / name
        lines = [line.split(",") for line in path.read_text("utf-8").splitlines()]
        for line in lines[1:]:
            # the places of images begin with the id of the patient
            line[: 2 if name == "cases.csv" else 1] = (
                [f"=c{line[0]}", f"@{line[1]}"]
                if name == "cases.csv"
                else [f"@{line[0]}"]
            )
        path.write_text("\n".join(",".join(line) for line in lines), "utf-8")
    cohort = Cohort.read(tiny_folder)
    folder = cohort.write(tmp_path / "written")
    assert "\n'=cp1,'@p1," in (folder / "cases.csv").read_text("utf-8")
    again = Cohort.read(folder)
    assert again.cases.index.tolist() == cohort.cases.index.tolist()
    assert again.patients.index.tolist() == cohort.patients.index.tolist()
    assert again.key == cohort.key


def test_printed_tables_are_inert(tmp_path):
    write_printed(pd.DataFrame({"Site": ["=1"], "n": ["-2"]}), tmp_path / "t", "Sites")
    assert (tmp_path / "t.csv").read_text() == "Site,n\n'=1,-2\n"
