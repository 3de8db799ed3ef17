import pandas as pd

from radlatent.report.names import short_blocks, with_short_blocks

NAMES = ("age", "bmi", "duct", "neck", "loss")
FIVE = " + ".join(f"clinical__{name}" for name in NAMES)


def test_many_columns_are_told_by_their_number():
    assert short_blocks([FIVE, "clinical"]) == {
        FIVE: "clinical (5 columns)",
        "clinical": "clinical",
    }
    mixed = "ct_handcrafted + clinical__a + clinical__b + pet__x"
    assert short_blocks([mixed])[mixed] == (
        "ct_handcrafted + clinical (2 columns) + pet__x"
    )
    assert short_blocks(["clinical__a + clinical__b"]) == {
        "clinical__a + clinical__b": "clinical__a + clinical__b"
    }


def test_two_choices_of_as_many_columns_stay_two():
    other = FIVE.replace("age", "sex")
    assert [*short_blocks([FIVE, other]).values()] == [
        *("clinical (5 columns)", "clinical (5 columns), 2"),
    ]


def test_the_tables_of_a_run_agree_on_names_and_stay_as_they_were():
    metrics = pd.DataFrame({"blocks": [FIVE, "ct"], "estimate": [0.1, 0.2]})
    compared = pd.DataFrame({"blocks": ["ct"], "reference_blocks": [FIVE]})
    data = {"metrics": metrics, "compared": compared, "other": pd.DataFrame({"x": [1]})}
    short = with_short_blocks(data)
    assert short["metrics"]["blocks"].tolist() == ["clinical (5 columns)", "ct"]
    assert short["compared"]["reference_blocks"].tolist() == ["clinical (5 columns)"]
    assert metrics["blocks"].tolist() == [FIVE, "ct"]
