from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from radlatent import figures
from radlatent.errors import SchemaError
from radlatent.figures.style.look import PALETTE

NO_GROUP = to_hex("0.7").upper()


def square(values):
    names = [f"pet_latent__mu{i:03d}" for i in range(len(values))]
    return pd.DataFrame(np.array(values, float), names, names)


def test_opposite_features_are_neighbors_in_the_matrix():
    table = square(
        [[1, 0, -0.9, 0.1], [0, 1, 0, 0.8], [-0.9, 0, 1, 0.2], [0.1, 0.8, 0.2, 1]]
    )
    _, ax = plt.subplots()
    assert figures.clustered_correlations(table, ax) is ax
    names = [text.get_text() for text in ax.get_yticklabels()]
    assert abs(names.index("mu000") - names.index("mu002")) == 1
    assert abs(names.index("mu001") - names.index("mu003")) == 1
    order = [f"pet_latent__{name}" for name in names]
    (cells,) = ax.collections
    assert np.array_equal(cells.get_array(), table.loc[order, order])
    assert cells.get_clim() == (-1, 1)


def test_a_fork_of_the_tree_is_as_high_as_its_features_are_apart():
    table = square(
        [[1, 0, -0.9, 0.1], [0, 1, 0, 0.8], [-0.9, 0, 1, 0.2], [0.1, 0.8, 0.2, 1]]
    )
    ax = figures.clustered_correlations(table)
    names = [text.get_text() for text in ax.get_yticklabels()]
    (forks,) = ax.child_axes[0].collections
    tops = {tuple(fork[[0, -1], 0]): fork[1, 1] for fork in forks.get_segments()}
    places = {name: place + 0.5 for place, name in enumerate(names)}
    pairs = [sorted([places["mu000"], places["mu002"]])]
    pairs.append(sorted([places["mu001"], places["mu003"]]))
    assert tops[tuple(pairs[0])] == pytest.approx(1 - 0.9)
    assert tops[tuple(pairs[1])] == pytest.approx(1 - 0.8)
    # average linkage: the mean of 1, 0.9, 1 and 0.8
    middles = tuple(sorted(np.mean(pair) for pair in pairs))
    assert tops[middles] == pytest.approx(0.925)


def test_names_of_many_features_are_left_out_where_they_have_no_room(rng):
    table = pd.DataFrame(rng.normal(size=(50, 64)))
    table.columns = [f"pet_latent__mu{i:03d}" for i in range(64)]
    figure, ax = plt.subplots(figsize=(3.5, 3.2))
    figures.clustered_correlations(table.corr(), ax)
    figure.canvas.draw()
    labels = ax.get_yticklabels()
    assert len(labels) < 64
    edges = sorted((b.y0, b.y1) for b in (t.get_window_extent() for t in labels))
    assert all(below[1] <= above[0] + 1 for below, above in pairwise(edges))
    # a name stands at its row
    assert {tick % 1 for tick in ax.get_yticks()} == {0.5}


def test_a_constant_feature_is_left_out_and_counted():
    table = square([[1, 0.5, np.nan], [0.5, 1, np.nan], [np.nan, np.nan, np.nan]])
    ax = figures.clustered_correlations(table)
    assert ax.collections[0].get_array().shape == (2, 2)
    assert "1 constant left out" in ax.get_xlabel()
    with pytest.raises(SchemaError, match="0 of 1 features"):
        figures.clustered_correlations(table.iloc[2:, 2:])


def test_a_table_that_is_not_square_is_refused():
    table = square([[1, 0], [0, 1]])
    with pytest.raises(SchemaError, match="square"):
        figures.clustered_correlations(table.iloc[:, ::-1])


@pytest.fixture
def coordinates():
    table = {"coordinate_1": [0, 1, 2, None, 4], "coordinate_2": [0, 1, 4, 9, 16.0]}
    return pd.DataFrame(table | {"group": ["a", "b", "a", "a", None]})


def test_a_map_has_the_cases_of_each_group(coordinates):
    _, ax = plt.subplots()
    assert figures.latent_map(coordinates, ax) is ax
    (points,) = ax.collections
    colors = [to_hex(color).upper() for color in points.get_facecolors()]
    drawn = pd.DataFrame(points.get_offsets()).groupby(colors)
    drawn = {color: sorted(rows.to_numpy().tolist()) for color, rows in drawn}
    assert drawn == {
        PALETTE[0]: [[0, 0], [2, 4]],
        PALETTE[1]: [[1, 1]],
        NO_GROUP: [[4, 16]],
    }
    legend = ax.get_legend()
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["a (n = 2)", "b (n = 1)", "no group (n = 1)"]
    marks = [to_hex(mark.get_color()).upper() for mark in legend.legend_handles]
    assert marks == [*PALETTE[:2], NO_GROUP]
    # below the others
    assert colors[0] == NO_GROUP


def test_no_group_of_a_map_lies_on_another():
    n = 200
    table = pd.DataFrame({"coordinate_1": range(2 * n), "coordinate_2": 0.0})
    table["group"] = ["a"] * n + ["b"] * n
    (points,) = figures.latent_map(table).collections
    order = points.get_offsets()[:, 0]
    # mean rank of a group drawn in an order of chance: standard error 10
    assert abs(np.flatnonzero(order < n).mean() - np.arange(2 * n).mean()) < 40


def test_a_map_says_what_its_axes_are(coordinates):
    axes = {"label": ["principal component 1", "discriminant axis 2, cross-fitted"]}
    axes = pd.DataFrame(axes | {"share": [0.42, 0.9]})
    ax = figures.latent_map(coordinates.drop(columns="group"), axes=axes)
    assert ax.get_xlabel() == "Principal component 1\n(42% of the variance)"
    assert ax.get_ylabel().endswith("(90% between groups)")
    assert ax.get_legend() is None
    assert len(ax.collections[0].get_offsets()) == 4


def test_bars_count_the_ranks():
    _, ax = plt.subplots()
    assert figures.ranking(pd.Series([1, 1, 1, 3]), ax) is ax
    bars = [(b.get_x(), b.get_height()) for b in ax.patches]
    assert bars == [(0.5, 3), (2.5, 1)]
    lines = {line.get_label(): line.get_xdata()[0] for line in ax.lines}
    assert lines == {"chance, 2.5": 2.5, "mean 1.50 (SD 0.87)": 1.5}
    assert "our reading" in ax.get_xlabel()
    assert "saturated" not in ax.get_xlabel()


def test_a_bar_holds_several_ranks_of_a_large_pool():
    ax = figures.ranking(pd.Series(np.arange(1, 201)))
    assert {b.get_height() for b in ax.patches} == {5}
    assert sum(b.get_height() for b in ax.patches) == 200


def test_ranks_that_are_all_one_are_called_uninformative():
    assert "uninformative" in figures.ranking(pd.Series([1, 1])).get_xlabel()
