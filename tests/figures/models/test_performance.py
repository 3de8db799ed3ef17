import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from radlatent import figures
from radlatent.errors import SchemaError

KEYS = {"model": "logistic", "blocks": "all", "endpoint": "diagnosis"}


def curves(names, column="class"):
    """Return a curve table with one curve a name, each a little lower."""
    x = np.array([0, 0.25, 0.5, 1])
    parts = [
        pd.DataFrame(
            KEYS
            | {"class": "1", column: name, "false_positive_rate": x}
            | {"true_positive_rate": x ** (0.3 + 0.1 * number)}
            | {"lower": x, "upper": np.sqrt(np.sqrt(x))}
        )
        for number, name in enumerate(names)
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def metrics():
    rows = [
        KEYS
        | {"blocks": blocks, "metric": metric, "estimate": estimate}
        | {"lower": estimate - 0.09, "upper": estimate + 0.08, "level": 0.95}
        | {"n": 100, "n_events": 40, "method": ""}
        for blocks, shift in (("latent", 0), ("handcrafted", 0.03))
        for metric, estimate in (("auc", 0.81 - shift), ("brier", 0.2 + shift))
    ]
    return pd.DataFrame(rows)


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_roc_draws_the_table_on_the_given_axes():
    _, ax = plt.subplots()
    table = curves(["a", "b"])
    assert figures.roc(table, ax) is ax
    chance, first, _ = ax.lines
    assert chance.get_xydata().tolist() == [[0, 0], [1, 1]]
    np.testing.assert_array_equal(first.get_ydata(), table["true_positive_rate"][:4])
    np.testing.assert_array_equal(first.get_xdata(), table["false_positive_rate"][:4])
    band = ax.collections[0].get_paths()[0].vertices
    upper = set(table["upper"][:4])
    assert upper <= set(band[:, 1])
    assert legend(ax) == ["a", "b"]


def test_roc_legend_carries_auc_and_interval(metrics):
    table = curves(["latent", "handcrafted"], "blocks")
    expected = ["latent\nAUC 0.81 (0.72–0.89)", "handcrafted\nAUC 0.78 (0.69–0.86)"]
    assert legend(figures.roc(table, metrics=metrics)) == expected


def test_one_curve_is_named_after_its_model():
    (name,) = legend(figures.roc(curves(["1"])))
    assert name == KEYS["model"]


@pytest.mark.parametrize(("n", "below"), [(2, False), (9, True)])
def test_a_long_legend_stands_below_the_curves_and_inside_the_figure(n, below):
    with figures.canvas((6, 6)) as (figure, ax):
        figures.roc(curves([f"class number {k}" for k in range(n)]), ax)
        figure.draw_without_rendering()
        box, drawn = ax.get_legend().get_window_extent(), ax.get_window_extent()
        label = ax.xaxis.label.get_window_extent()
        assert (box.y1 < label.y0) == below
        assert (box.y1 < drawn.y0) == below
        assert box.y0 >= 0


def test_roc_of_several_classes_shows_no_auc(metrics):
    table = curves(["a", "b"]).assign(blocks="latent")
    assert legend(figures.roc(table, metrics=metrics)) == ["a", "b"]


def test_keywords_reach_the_lines():
    ax = figures.roc(curves(["a"]), linewidth=4, color="red")
    assert (ax.lines[1].get_linewidth(), ax.lines[1].get_color()) == (4, "red")


def test_colors_are_those_of_the_palette():
    ax = figures.roc(curves("abcdefghi"))
    colors = [to_hex(line.get_color()).upper() for line in ax.lines[1:]]
    assert tuple(colors[:8]) == figures.PALETTE
    assert len(set(colors)) == 8


def test_forest_draws_estimates_and_intervals(metrics):
    _, ax = plt.subplots()
    assert figures.forest(metrics, ax) is ax
    points = next(line for line in ax.lines if line.get_marker() == "o")
    np.testing.assert_array_equal(points.get_xdata(), [0.81, 0.78])
    (arms,) = (c for c in ax.collections if len(c.get_segments()) == 2)
    # 0.81 - 0.09 and back is rounded twice in float64
    np.testing.assert_allclose(arms.get_segments()[0][:, 0], [0.72, 0.89], atol=1e-12)
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert labels == ["latent (n = 100)", "handcrafted (n = 100)"]
    assert ax.yaxis_inverted()
    assert ax.get_xlabel() == "AUC (higher = better)\n95% interval"


def test_chance_is_drawn_where_it_is_known(metrics):
    def dashed(ax):
        return [
            line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == "--"
        ]

    assert dashed(figures.forest(metrics)) == [0.5]
    assert dashed(figures.forest(metrics, plt.figure().gca(), metric="brier")) == []
    ax = figures.forest(metrics, plt.figure().gca(), metric="brier", chance=0.25)
    assert dashed(ax) == [0.25]


def test_forest_lists_the_metrics_it_has(metrics):
    with pytest.raises(SchemaError, match="'auc', 'brier'"):
        figures.forest(metrics, metric="f1")


@pytest.fixture
def counts():
    rows = [("a", "a", 15), ("a", "b", 5), ("b", "a", 2.5), ("b", "b", 7.5)]
    table = pd.DataFrame(rows, columns=["truth", "predicted", "count"])
    return table.assign(**KEYS)


def test_confusion_shows_row_percentages_and_counts(counts):
    _, ax = plt.subplots()
    assert figures.confusion(counts, ax) is ax
    assert ax.collections[0].get_array().tolist() == [[75, 25], [25, 75]]
    texts = [text.get_text() for text in ax.texts]
    assert texts == ["75%\n(15)", "25%\n(5)", "25%\n(2.5)", "75%\n(7.5)"]


def test_confusion_of_several_models_is_refused(counts):
    both = pd.concat([counts, counts.assign(model="other")])
    with pytest.raises(SchemaError, match=r"several .*'model'"):
        figures.confusion(both)
