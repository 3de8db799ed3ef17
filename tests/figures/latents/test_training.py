import matplotlib.pyplot as plt
import pandas as pd
import pytest

from radlatent import figures
from radlatent.errors import SchemaError
from radlatent.figures.style.look import PALETTE


@pytest.fixture
def curve():
    rows = [
        (epoch, split, part, value * (epoch + 1))
        for epoch in (0, 1)
        for split, factor in (("train", 1), ("validation", 2))
        for part, value in (("total", 5.0 * factor), ("kl", 2.0 * factor))
    ]
    return pd.DataFrame(rows, columns=["epoch", "split", "part", "value"])


def test_parts_have_colors_and_splits_have_styles(curve):
    _, ax = plt.subplots()
    assert figures.learning_curve(curve, ax) is ax
    drawn = {(line.get_color(), line.get_linestyle()): line for line in ax.lines}
    assert len(drawn) == 4
    kl = drawn[PALETTE[1], "--"]
    assert kl.get_xdata().tolist() == [0, 1]
    assert kl.get_ydata().tolist() == [4, 8]
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["total", "kl", "train", "validation"]


def test_a_single_epoch_is_a_point(curve):
    ax = figures.learning_curve(curve[curve["epoch"] == 0])
    assert {line.get_marker() for line in ax.lines} == {"."}


def test_parts_that_lie_far_apart_have_a_logarithmic_axis(curve):
    assert figures.learning_curve(curve).get_yscale() == "linear"
    plt.clf()
    wide = curve.assign(value=curve["value"].where(curve["part"] == "kl", 1e4))
    assert figures.learning_curve(wide).get_yscale() == "log"
    plt.clf()
    assert figures.learning_curve(wide, log=False).get_yscale() == "linear"
    plt.clf()
    zero = wide.assign(value=wide["value"].where(wide["part"] != "kl", 0))
    assert figures.learning_curve(zero).get_yscale() == "linear"


def test_accuracy_is_drawn_against_chance():
    table = {"epoch": [0, 1, 0, 1], "split": ["train"] * 2 + ["validation"] * 2}
    table = pd.DataFrame(table | {"accuracy": [0.8, 0.6, 0.7, 0.3], "chance": 0.5})
    ax = figures.discriminator_accuracy(table)
    drawn = {line.get_label(): line for line in ax.lines}
    assert drawn["chance"].get_ydata() == [0.5, 0.5]
    assert drawn["validation"].get_ydata().tolist() == [0.7, 0.3]
    assert ax.get_ylim()[0] < 0.3


@pytest.fixture
def sweep():
    rows = {"beta": [4, 1, 4, 1], "units": ["all", "all", "active", "active"]}
    rows |= {"value": [0.2, 0.1, 0.4, 0.3], "expected_if_independent": 0.05}
    return pd.DataFrame(rows)


def test_a_sweep_has_a_line_a_name_in_the_order_of_beta(sweep):
    _, ax = plt.subplots()
    drawn = figures.sweep(sweep, ax, value="value", label="Mean |ρ|", by="units")
    assert drawn is ax
    lines = {line.get_label(): line for line in ax.lines}
    assert lines["active"].get_xdata().tolist() == [1, 4]
    assert lines["active"].get_ydata().tolist() == [0.3, 0.4]
    assert lines["expected if independent"].get_ydata() == [0.05, 0.05]
    assert ax.get_xscale() == "log"
    assert [text.get_text() for text in ax.get_xticklabels()] == ["1", "4"]
    assert ax.get_ylabel() == "Mean |ρ|"


def test_a_sweep_of_an_absent_column_is_refused(sweep):
    with pytest.raises(SchemaError, match="'kl'"):
        figures.sweep(sweep, value="kl", label="KL")


def test_violins_hold_the_errors_of_each_split_and_model():
    rows = [
        (model, split, value * factor)
        for model, factor in (("log", 1), ("no log", 10))
        for split, values in (("train", [1, 2, 3]), ("test", [4, 6]))
        for value in values
    ]
    table = pd.DataFrame(rows, columns=["model", "split", "mean_squared_error"])
    _, ax = plt.subplots()
    assert figures.split_errors(table, ax, unit="SUV") is ax
    medians = [line.get_ydata()[0] for line in ax.lines if line.get_marker() == "_"]
    assert medians == [2, 5, 20, 50]
    bars = [line for line in ax.lines if line.get_linewidth() == 4]
    quartiles = [[1.5, 2.5], [4.5, 5.5], [15, 25], [45, 55]]
    assert [bar.get_ydata().tolist() for bar in bars] == quartiles
    colors = [PALETTE[0], PALETTE[0], PALETTE[1], PALETTE[1]]
    assert [bar.get_color() for bar in bars] == colors
    # a violin stands at its bar and ends at the extremes
    boxes = {}
    for violin in ax.collections:
        points = violin.get_paths()[0].vertices
        place = round(float(points[:, 0].mean()), 2)
        boxes[place] = points[:, 1].min(), points[:, 1].max()
    extremes = [(1, 3), (4, 6), (10, 30), (40, 60)]
    for bar, ends in zip(bars, extremes, strict=True):
        found = boxes[round(bar.get_xdata()[0], 2)]
        # there and back through the logarithm
        assert found == pytest.approx(ends, rel=1e-9)
    means = [line.get_ydata()[0] for line in ax.lines if line.get_marker() == "D"]
    assert means == [2, 5, 20, 50]
    labels = [text.get_text() for text in ax.get_xticklabels()]
    assert labels == ["train\n(n = 3)", "test\n(n = 2)"]
    assert "SUV, squared" in ax.get_ylabel().replace("\n", " ")
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["log", "no log"]


def test_a_weight_of_zero_has_its_place_on_the_axis():
    table = pd.DataFrame({"kappa": [0.0, 0.01, 10.0], "r2": [0.3, 0.2, 0.0]})
    ax = figures.sweep(table, parameter="kappa", value="r2", label="R²")
    assert ax.get_xscale() == "symlog"
    assert ax.get_lines()[0].get_xdata().tolist() == [0.0, 0.01, 10.0]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["0", "0.01", "10"]
    assert ax.get_xlabel().startswith("κ")
