import matplotlib.pyplot as plt
import pandas as pd
import pytest

from radlatent.errors import SchemaError
from radlatent.figures.models.shares import top_k_shares
from radlatent.figures.style.look import PALETTE


@pytest.fixture
def table():
    counts = {"count": [0, 1, 2, 2], "all_last": [0, 0, 1, 2]}
    counts |= {"all_first": [1, 2, 2, 2], "even": [0.5, 1.0, 1.5, 2.0]}
    return pd.DataFrame({"blocks": "latent", "k": [1, 2, 3, 4]} | counts)


def test_lines_carry_the_table_on_the_given_axes(table):
    _, ax = plt.subplots()
    assert top_k_shares(table, ax) is ax
    drawn = {line.get_label(): line for line in ax.lines}
    names = {"latent": "count", "all latent first": "all_first"}
    names |= {"all latent last": "all_last", "no preference": "even"}
    assert drawn.keys() == names.keys()
    for label, column in names.items():
        assert drawn[label].get_xdata().tolist() == [0, 1, 2, 3, 4]
        assert drawn[label].get_ydata().tolist() == [0, *table[column]]
    assert drawn["latent"].get_color() == PALETTE[0]
    band = ax.collections[0].get_paths()[0].vertices.tolist()
    assert [1, 0] in band
    assert [2, 2] in band
    assert ax.get_ylabel() == "Columns of latent among them"


def test_keywords_reach_the_line_of_counts(table):
    ax = top_k_shares(table, color="red", label="deep")
    line = next(line for line in ax.lines if line.get_label() == "deep")
    assert line.get_color() == "red"


def test_several_groups_are_refused(table):
    both = pd.concat([table, table.assign(blocks="clinical")])
    with pytest.raises(SchemaError, match=r"\['latent', 'clinical'\]"):
        top_k_shares(both)
