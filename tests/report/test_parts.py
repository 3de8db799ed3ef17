"""Tables of the page: those that do not fit get their intervals on a second line."""

import pandas as pd
import pytest

from radlatent.report.parts import on_page
from radlatent.report.sections import Table

PLAN = Table("it", "cohort", "What it shows.", n_keys=1, at_most=8)


@pytest.mark.parametrize(("n_groups", "wide"), [(2, False), (8, True)])
def test_a_table_of_many_intervals_is_wide(tmp_path, n_groups, wide):
    groups = {f"G{k} (n = 16)": ["0.546 (0.289–0.625)"] for k in range(n_groups)}
    (piece,) = on_page(PLAN, pd.DataFrame({"of": ["ejection"], **groups}), tmp_path)
    assert piece["wide"] is wide


def test_a_long_text_is_broken_and_makes_no_table_wide(tmp_path):
    (piece,) = on_page(PLAN, pd.DataFrame({"of": ["word " * 99], "n": [3]}), tmp_path)
    assert piece["wide"] is False
