import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from radlatent.errors import SchemaError
from radlatent.figures.latents.certificate import redundancy


@pytest.fixture
def table():
    linear = np.array([0.1, np.nan, 0.6, -0.1])
    forest = linear - 0.2
    return pd.DataFrame(
        {
            "feature": [f"ct_latent__mu{i:03d}" for i in range(4)],
            "active": [True, False, True, True],
            "r2_linear": linear,
            "r2_linear_lower": linear - 0.05,
            "r2_linear_upper": linear + 0.04,
            "r2_trees": forest,
            "r2_trees_lower": forest - 0.1,
            "r2_trees_upper": forest + 0.1,
            "level": 0.95,
        }
    )


def names(ax):
    return [text.get_text() for text in ax.get_yticklabels()]


def test_marks_are_the_cells_of_the_table(table):
    _, ax = plt.subplots()
    before = table.copy()
    assert redundancy(table, ax) is ax
    pd.testing.assert_frame_equal(table, before)
    points = [line for line in ax.lines if line.get_marker() == "o"]
    np.testing.assert_array_equal(
        points[0].get_xdata().astype(float), [0.6, 0.1, -0.1, np.nan]
    )
    expected = table["r2_trees"][[2, 0, 3, 1]]
    np.testing.assert_array_equal(points[1].get_xdata().astype(float), expected)
    arms = ax.collections[0].get_segments()
    # 0.6 - 0.05 and back is rounded twice in float64
    np.testing.assert_allclose(arms[0][:, 0], [0.55, 0.64], atol=1e-12)


def test_rows_are_sorted_and_inactive_ones_gray(table):
    ax = redundancy(table)
    assert names(ax) == ["mu002", "mu000", "mu003", "mu001 (not active)"]
    assert [t.get_color() for t in ax.get_yticklabels()][-1] == "0.6"
    assert ax.yaxis_inverted()
    assert ax.get_ylabel() == "Latent feature (ct_latent)"
    assert ax.get_xlabel().startswith("Held-out R² from hand-crafted features\n95%")
    assert [
        line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == "--"
    ] == [0]
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["ridge", "boosted trees"]


def test_features_of_several_blocks_keep_their_full_names(table):
    table.loc[0, "feature"] = "pet_latent__mu000"
    ax = redundancy(table)
    assert names(ax)[1] == "pet_latent__mu000"
    assert ax.get_ylabel() == "Latent feature"


def test_keywords_reach_the_marks(table):
    ax = redundancy(table, color="red")
    assert {line.get_color() for line in ax.lines if line.get_marker() == "o"} == {
        "red"
    }


def test_a_table_without_intervals_is_refused(table):
    with pytest.raises(SchemaError, match="r2_trees_upper"):
        redundancy(table.drop(columns="r2_trees_upper"))
