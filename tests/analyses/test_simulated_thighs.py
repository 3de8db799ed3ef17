"""Masks against fat: what is counted, by hand."""

import importlib
import sys
from pathlib import Path

import pandas as pd
import pytest

FOLDER = Path(__file__).parents[2] / "analyses" / "simulated_thighs"


@pytest.fixture(scope="module")
def evaluate():
    """Return a module of the analysis, which other analyses name alike."""
    kept = sys.modules.pop("evaluate", None)
    sys.path.insert(0, str(FOLDER))
    found = importlib.import_module("evaluate")
    sys.path.remove(str(FOLDER))
    sys.modules.pop("evaluate")
    if kept is not None:
        sys.modules["evaluate"] = kept
    return found


def comparison():
    """Return two patients of two muscles, one of which was drawn nowhere."""
    rows = [
        ("a_one", "a", "one", 0.9, 1.0, "both"),
        ("a_two", "a", "two", 0.0, None, "mask_empty"),
        ("b_one", "b", "one", 0.7, 3.0, "both"),
        ("b_two", "b", "two", None, None, "both_empty"),
    ]
    columns = ["case_id", "patient_id", "structure", "dice", "assd_pooled_mm", "state"]
    return pd.DataFrame(rows, columns=columns).set_index("case_id")


TRUTH = pd.DataFrame(
    {
        "patient_id": ["a", "b"],
        "infiltration": [0.2, 0.0],
        "one": [0.25, 0.0],
        "two": [0.65, None],
    }
)


def test_a_muscle_has_its_own_fat_and_none_that_is_not_there(evaluate):
    found = evaluate.muscles(comparison(), TRUTH).set_index("case_id")
    assert found["fat"].to_dict() == {"a_one": 0.25, "a_two": 0.65, "b_one": 0.0}
    assert found["degree"].to_dict() == {
        "a_one": "20 to 30 %",
        "a_two": "60 to 100 %",
        "b_one": "0 to 10 %",
    }
    missed = found["not_segmented_percent"]
    assert missed.to_dict() == {"a_one": 0.0, "a_two": 100.0, "b_one": 0.0}


def test_degrees_ascend_and_networks_keep_their_order(evaluate):
    one = evaluate.muscles(comparison(), TRUTH)
    table = pd.concat([one.assign(network=name) for name in ("u", "h")])
    found = evaluate.by_degree(table)
    assert found["network"].tolist() == ["u"] * 3 + ["h"] * 3
    first = found.query("network == 'u'")
    assert first["degree"].tolist() == ["0 to 10 %", "20 to 30 %", "60 to 100 %"]
    assert first["not_segmented_percent"].tolist() == [0.0, 0.0, 100.0]
    assert first["n_not_segmented"].tolist() == [0, 0, 1]
    assert first["dice"].tolist() == [0.7, 0.9, 0.0]
    # of one patient there is one mean
    assert (first["dice_lower"] == first["dice_upper"]).all()
    # where nothing was drawn there is no distance
    assert first["assd_pooled_mm"].isna().tolist() == [False, False, True]
