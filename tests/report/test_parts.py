"""Tables of the page: those that do not fit get their intervals on a second line."""

import pandas as pd
import pytest

from radlatent.report.parts import environment, on_page
from radlatent.report.sections import TABLES, Table
from radlatent.report.tables import _interval

PLAN = Table("it", "cohort", "What it shows.", n_keys=1, at_most=8)


@pytest.mark.parametrize(("n_groups", "wide"), [(2, False), (8, True)])
def test_a_table_of_many_intervals_is_wide(tmp_path, n_groups, wide):
    groups = {f"G{k} (n = 16)": ["0.546 (0.289–0.625)"] for k in range(n_groups)}
    (piece,) = on_page(PLAN, pd.DataFrame({"of": ["ejection"], **groups}), tmp_path)
    assert piece["wide"] is wide


def test_gaps_and_headers_count(tmp_path):
    """As wide as the page with no gap between columns: the last was cut at 1280 px."""
    row = {"Endpoint": "relapse", "Model": "logistic with clinical", "n": 120}
    row |= {"Features": "clinical + ct", "Events": 42}
    four = {"Brier score": "0.20 (0.17–0.24)", "AUPRC": "0.55 (0.40–0.71)"}
    four |= {"Calibration intercept": "−0.04 (−0.46 to 0.34)"}
    areas = ["AUC", "AUC (DeLong)", "Balanced accuracy", "Accuracy"]
    narrow = pd.DataFrame([row | dict.fromkeys(areas, "0.70 (0.60–0.80)")])
    plan = Table("it", "cohort", "What it shows.", n_keys=5, at_most=4)
    assert not on_page(plan, narrow, tmp_path)[0]["wide"]
    wide = pd.DataFrame([row | four | {"Calibration slope": "0.14 (−0.06 to 1.2)"}])
    assert on_page(plan, wide, tmp_path)[0]["wide"]


def test_a_cell_on_a_telephone_has_its_column_beside_it():
    table = {"name": "it", "caption": "", "columns": ["AUC <1>", "n"]}
    table |= {"rows": [["0.70", 12]], "wide": False}
    source = "{% import 'parts.html' as parts %}{{ parts.printed(table, 1) }}"
    page = environment().from_string(source).render(table=table)
    assert '<td data-label="AUC &lt;1&gt;" class="short">0.70</td>' in page
    assert '<td data-label="n" class="short">12</td>' in page


def test_no_zero_is_negative():
    assert _interval(-0.001, -0.47, 0.004) == "0.00 (−0.47 to 0.00)"


def test_a_long_text_is_broken_and_makes_no_table_wide(tmp_path):
    (piece,) = on_page(PLAN, pd.DataFrame({"of": ["word " * 99], "n": [3]}), tmp_path)
    assert piece["wide"] is False


def test_groups_of_numbers_have_their_metric_and_its_p_in_one_piece(tmp_path):
    """There are no events, and R² was taken for one of the names of a group."""
    row = {"Model": "ridge", "Subgroup": "site", "Group": "A", "n": 40}
    for name in ("R²", "MAE"):
        row |= {name: "0.4 (0.1–0.6)", f"p, {name}": 0.5, f"p (Holm), {name}": 1}
    (plan,) = (one for one in TABLES if one.name == "performance_by_group")
    parts = on_page(plan, pd.DataFrame([row]), tmp_path)
    names = ["Model", "Subgroup", "Group", "n"]
    assert [part["columns"] for part in parts] == [
        [*names, name, f"p, {name}", f"p (Holm), {name}"] for name in ("R²", "MAE")
    ]
