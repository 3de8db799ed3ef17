import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from radlatent import figures
from radlatent.figures.models.calibration import calibration
from radlatent.figures.models.decision import decision_curve
from radlatent.figures.models.survival import survival_auc, survival_calibration
from radlatent.figures.style.look import PALETTE

NAMES = ["a", "b", "c", "d", "e"]
KEYS = {"blocks": "all", "endpoint": "response"}


def each(table, **factors):
    """Return a table once a model, with a factor a model for some columns."""
    parts = []
    for number, name in enumerate(NAMES):
        changed = {column: table[column] * f[number] for column, f in factors.items()}
        parts.append(table.assign(**KEYS, model=name, **changed))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def roc():
    x = np.array([0, 0.5, 1])
    table = {"class": "1", "false_positive_rate": x, "true_positive_rate": x**0.5}
    return each(pd.DataFrame(table | {"lower": x, "upper": x**0.25}))


@pytest.fixture
def benefit():
    t = np.array([0, 0.2, 0.4])
    parts = [
        pd.DataFrame({"strategy": strategy, "threshold": t, "net_benefit": value})
        for strategy, value in (("model", 0.3 - t / 2), ("all", 0.3 - t), ("none", t))
    ]
    table = pd.concat(parts)
    table["lower"], table["upper"] = table["net_benefit"], table["net_benefit"] + 0.1
    return each(table, upper=[1, 1, 1, 1, 2])


def tables():
    risks = {"predicted": [0.2, 0.4], "observed": [0.25, 0.3], "horizon": 730.0}
    risks |= {"lower": [0.1, 0.2], "upper": [0.3, 0.4]}
    days = {"time": [100.0, 400.0], "auc": [0.7, 0.8]}
    days |= {"lower": [0.6, 0.7], "upper": [0.8, 0.9]}
    shares = risks | {"class": "1", "curve": ["bins", "smooth"], "count": 40.0}
    shares.pop("horizon")
    return [
        (survival_calibration, risks, {"upper": [1, 1, 1, 1, 2]}, "d"),
        (survival_auc, days, {"lower": [1, 1, 1, 1, 0.2]}, "d"),
        (calibration, shares, {"upper": [1, 1, 1, 1, 1]}, "d (n = 40)"),
    ]


def test_each_model_has_a_panel_in_its_color_at_the_place_of_the_axes(roc):
    figure, (left, right) = plt.subplots(1, 2)
    grid = figures.panels(figures.roc, roc, left)
    assert figure.axes == [right, *grid]
    assert [panel.get_title(loc="left") for panel in grid] == NAMES
    assert [panel.lines[1].get_color() for panel in grid] == list(PALETTE[:5])
    assert all(len(panel.lines) == 2 and not panel.get_legend() for panel in grid)
    np.testing.assert_array_equal(grid[4].lines[1].get_ydata(), [0, 0.5**0.5, 1])


def test_what_a_legend_would_say_stands_above(roc):
    about = {"metric": "auc", "estimate": 0.81, "lower": 0.72, "upper": 0.89}
    metrics = pd.DataFrame([KEYS | {"model": name} | about for name in NAMES[:2]])
    grid = figures.panels(figures.roc, roc, metrics=metrics)
    assert grid[1].get_title(loc="left") == "b\nAUC 0.81 (0.72–0.89)"
    assert grid[2].get_title(loc="left") == "c"


def test_only_the_lowest_and_the_left_panels_are_labeled(roc):
    grid = figures.panels(figures.roc, roc)
    below = "False positive rate\n(1 − specificity)"
    assert [panel.get_xlabel() for panel in grid] == ["", "", "", below, below]
    beside = "True positive rate\n(sensitivity)"
    assert [panel.get_ylabel() for panel in grid] == [beside, "", beside, "", beside]


def test_some_models_are_drawn_as_among_all(benefit):
    (whole,) = [decision_curve(benefit, plt.figure().subplots())]
    some = benefit[benefit["model"].isin(["b", "d"])]
    first, second = figures.panels(decision_curve, some, like=benefit)
    assert first.get_ylim() == second.get_ylim() == whole.get_ylim()
    assert second.get_ylim()[1] == pytest.approx(1.05 * 2 * 0.5)
    assert second.lines[-1].get_color() == PALETTE[3]
    texts = [text.get_text() for text in first.get_legend().get_texts()]
    assert texts == ["treat all", "treat none"]
    assert second.get_legend() is None
    assert [line.get_label() for line in second.lines][-1] == "d"


@pytest.mark.parametrize(("draw", "table", "changes", "title"), tables())
def test_panels_of_other_curves_share_limits_and_keep_colors(
    draw, table, changes, title
):
    table = each(pd.DataFrame(table), **changes)
    whole = draw(table, plt.figure().subplots())
    part = table[table["model"] == "d"]
    (panel,) = figures.panels(draw, part, plt.figure().subplots(), like=table)
    assert panel.get_xlim() == whole.get_xlim()
    assert panel.get_ylim() == whole.get_ylim()
    # of one model alone they would be narrower, but for calibration
    alone = draw(part, plt.figure().subplots())
    assert (alone.get_ylim() == whole.get_ylim()) == (draw is calibration)
    assert PALETTE[3] in [line.get_color() for line in panel.lines]
    assert panel.get_title(loc="left") == title


def test_a_long_name_is_wrapped_between_words(roc):
    long = roc.assign(blocks=[f"pet_handcrafted + ct-{name}" for name in roc["model"]])
    titles = [p.get_title(loc="left") for p in figures.panels(figures.roc, long)]
    assert titles[0] == "a, pet_handcrafted + ct-a"
    long["model"] += " of some length"
    titles = [p.get_title(loc="left") for p in figures.panels(figures.roc, long)]
    assert titles[0] == "a of some length,\npet_handcrafted + ct-a"
