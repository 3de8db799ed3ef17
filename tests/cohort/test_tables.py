import numpy as np
import pandas as pd
import pytest

from radlatent.cohort import Cohort
from radlatent.cohort.problems import Problems
from radlatent.cohort.tables import parse_numbers


def parse(*texts):
    series = pd.Series(texts, range(2, len(texts) + 2), dtype=object, name="age")
    problems = Problems()
    return parse_numbers(series, problems.of("x.csv")), problems


def test_numbers_are_read_to_the_last_bit(rng):
    values = rng.normal(size=5000) * 10.0 ** rng.integers(-5, 5, 5000)
    texts = [repr(value) for value in values.tolist()]
    # what pandas makes of these texts is another number in many of them
    assert (pd.to_numeric(pd.Series(texts)).to_numpy() != values).any()
    numbers, problems = parse(*texts)
    assert numbers.to_numpy().tobytes() == values.tobytes()
    assert not problems.rows


def test_an_empty_cell_is_missing_and_whole_numbers_are_floats():
    numbers, problems = parse("", "7", "1e3")
    np.testing.assert_array_equal(numbers, [np.nan, 7.0, 1000.0])
    assert numbers.dtype == "float64"
    assert not problems.rows


@pytest.mark.parametrize(
    "text", ["1_000", "1 000", "\uff11\uff12", "inf", "1e400", "yes"]
)
def test_what_pandas_takes_for_no_number_is_none(text):
    _, problems = parse(text)
    assert problems.rows[0]["problem"] == f"{text!r} is not a number"


def test_a_written_cohort_reads_back_to_the_last_bit(tiny_folder, tmp_path):
    patients = pd.read_csv(tiny_folder / "endpoints.csv", dtype=str)
    ages = [50 + 1 / 3, 60.123456789012345, 7.0000000000000115]
    patients["age"] = [repr(age) for age in ages]
    patients.to_csv(tiny_folder / "endpoints.csv", index=False)
    cohort = Cohort.read(tiny_folder)
    assert cohort.patients["age"].tolist() == ages
    again = Cohort.read(cohort.write(tmp_path / "again"))
    assert again.patients["age"].tolist() == ages
    assert again.key == cohort.key
