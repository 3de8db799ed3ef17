import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from radlatent import figures
from radlatent.errors import SchemaError


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
    drawn = ax.images[0].get_array()
    assert np.array_equal(drawn, table.loc[order, order])
    assert ax.images[0].get_clim() == (-1, 1)


def test_a_constant_feature_is_left_out_and_counted():
    table = square([[1, 0.5, np.nan], [0.5, 1, np.nan], [np.nan, np.nan, np.nan]])
    ax = figures.clustered_correlations(table)
    assert ax.images[0].get_array().shape == (2, 2)
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
    drawn = {c.get_label(): c.get_offsets().tolist() for c in ax.collections}
    assert drawn == {
        "a (n = 2)": [[0, 0], [2, 4]],
        "b (n = 1)": [[1, 1]],
        "no group (n = 1)": [[4, 16]],
    }


def test_a_map_says_what_its_axes_are(coordinates):
    axes = {"label": ["principal component 1", "discriminant axis 2, cross-fitted"]}
    axes = pd.DataFrame(axes | {"share": [0.42, 0.9]})
    ax = figures.latent_map(coordinates.drop(columns="group"), axes=axes)
    assert ax.get_xlabel() == "Principal component 1 (42% of the variance)"
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
