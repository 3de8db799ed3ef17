import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.colors import to_hex

from radlatent import figures
from radlatent.errors import SchemaError
from radlatent.figures.style.look import PALETTE


@pytest.fixture
def broken():
    frame = {"rule": ["holes", "pieces", "holes", "pieces"]}
    frame |= {"when": ["before"] * 2 + ["after"] * 2, "n_broken": [10, 40, 5, 0]}
    return pd.DataFrame(frame).assign(n=200)


@pytest.fixture
def predicted():
    frame = {"dice": [0.5, 0.9, 0.8], "predicted_dice": [0.6, 0.95, 0.75]}
    frame |= {"lower": [0.4, 0.9, 0.6], "upper": [0.8, 1.0, 0.9]}
    return pd.DataFrame(frame).assign(flagged=[True, False, False], level=0.9)


@pytest.fixture
def decisions():
    frame = {"dice_before": [0.9, 0.6, 0.65, 0.5], "dice_after": [0.9, 0.8, 0.45, 0.5]}
    names = ["kept", "corrected", "corrected", "refused"]
    return pd.DataFrame(frame).assign(decision=names)


def scatters(ax):
    """Label to the places of points."""
    found = [c for c in ax.collections if isinstance(c, PathCollection)]
    return {c.get_label(): c.get_offsets().tolist() for c in found}


def test_bars_are_shares_and_the_rule_broken_most_is_on_top(broken):
    _, ax = plt.subplots()
    assert figures.rules_broken(broken, ax) is ax
    assert [text.get_text() for text in ax.get_yticklabels()] == ["pieces", "holes"]
    bars = [(bar.get_y() + bar.get_height() / 2, bar.get_width()) for bar in ax.patches]
    # 40 / 200 on top; the bar of after lies 0.4 below that of before
    expected = [(0.8, 5), (-0.2, 20), (1.2, 2.5), (0.2, 0)]
    np.testing.assert_allclose(bars, expected, atol=1e-12)
    assert [text.get_text() for text in ax.texts] == ["10", "40", "5", "0"]
    assert ax.get_xlabel() == "Slices that break the rule (%; n = 200)"
    assert ax.yaxis_inverted()


def test_n_stands_at_the_bars_where_it_differs(broken):
    table = broken.assign(n=[200, 200, 1500, 200])
    ax = figures.rules_broken(table, plt.figure().gca())
    assert [text.get_text() for text in ax.texts][2] == "5 of 1,500"
    assert ax.get_xlabel() == "Slices that break the rule (%)"


def test_a_rule_without_slices_is_left_out_and_counted(broken):
    table = broken.assign(n=[200, 200, 0, 200], n_broken=[10, 40, 0, 0])
    ax = figures.rules_broken(table, plt.figure().gca())
    assert len(ax.patches) == 3
    assert ax.get_xlabel().endswith("\n1 without a value")


def test_one_row_of_a_rule_that_is_kept_is_drawn(broken):
    ax = figures.rules_broken(broken.tail(1), plt.figure().gca(), color="red")
    assert [bar.get_width() for bar in ax.patches] == [0]
    assert ax.get_xlim() == (0, 1)
    assert to_hex(ax.patches[0].get_facecolor()) == "#ff0000"


def test_a_rule_of_two_sets_is_refused(broken):
    with pytest.raises(SchemaError, match=r"\['holes', 'before'\].* more than once"):
        figures.rules_broken(pd.concat([broken, broken]))


def test_agreement_draws_flagged_masks_apart(predicted):
    _, ax = plt.subplots()
    assert figures.dice_agreement(predicted, ax) is ax
    assert scatters(ax) == {
        "not flagged (n = 2)": [[0.95, 0.9], [0.75, 0.8]],
        "flagged (n = 1)": [[0.6, 0.5]],
    }
    identity = ax.lines[0].get_xydata().tolist()
    assert identity == [[0, 0], [1, 1]]
    assert len(ax.lines) == 1


def test_few_masks_have_their_own_intervals(predicted):
    ax = figures.dice_agreement(predicted, plt.figure().gca())
    (bars,) = [c for c in ax.collections if isinstance(c, LineCollection)]
    assert bars.get_segments()[0].tolist() == [[0.6, 0.4], [0.6, 0.8]]
    assert len(bars.get_segments()) == 3
    assert bars.get_label() == "90% interval"
    bare = figures.dice_agreement(
        predicted.drop(columns=["lower", "upper"]), plt.figure().gca()
    )
    assert not [c for c in bare.collections if isinstance(c, LineCollection)]


def test_many_masks_have_the_median_limits_of_groups(rng):
    center = rng.permutation(np.linspace(0.1, 0.9, 2000))
    table = pd.DataFrame({"dice": center, "predicted_dice": center, "flagged": False})
    table = table.assign(lower=center - 0.1, upper=center + 0.05, level=0.8)
    ax = figures.dice_agreement(table, plt.figure().gca())
    _, lower, upper = ax.lines
    assert lower.get_label() == "80% interval, median"
    # the middle of the first hundred of two thousand
    middle = np.sort(center)[:100].mean()
    x, y = lower.get_xydata()[0]
    assert [x, y] == pytest.approx([middle, middle - 0.1])
    assert upper.get_ydata()[0] == pytest.approx(middle + 0.05)
    assert len(lower.get_xdata()) == 20
    assert any(isinstance(c, PolyCollection) for c in ax.collections)
    points = [c for c in ax.collections if isinstance(c, PathCollection)]
    assert all(c.get_rasterized() for c in points)
    marks = ax.get_legend().legend_handles
    assert {mark.get_alpha() for mark in marks} == {1}


def test_thresholds_are_lines(predicted):
    axes = plt.figure().gca()
    ax = figures.dice_agreement(predicted, axes, flag_below=0.7, threshold=0.78)
    vertical, horizontal = ax.lines[1:]
    assert list(vertical.get_xdata()) == [0.78, 0.78]
    assert list(horizontal.get_ydata()) == [0.7, 0.7]


def test_masks_without_a_true_dice_are_counted_and_not_drawn(predicted):
    table = predicted.assign(dice=[0.5, np.nan, np.inf], lower=np.nan)
    ax = figures.dice_agreement(table, plt.figure().gca())
    assert scatters(ax)["flagged (n = 1)"] == [[0.6, 0.5]]
    assert ax.get_xlabel().endswith("\n2 without a value")


def test_effect_has_a_color_a_decision_and_counts_who_lost_more(decisions):
    _, ax = plt.subplots()
    assert figures.correction_effect(decisions, ax) is ax
    assert scatters(ax) == {
        "kept (n = 1; 0 lose more)": [[0.9, 0.9]],
        "corrected (n = 2; 1 lose more)": [[0.6, 0.8], [0.65, 0.45]],
        "refused (n = 1; 0 lose more)": [[0.5, 0.5]],
    }
    colors = [to_hex(c.get_facecolor()[0]) for c in ax.collections]
    assert colors[1:] == [PALETTE[0].lower(), PALETTE[1].lower()]
    identity, harm = (line.get_xydata().tolist() for line in ax.lines)
    assert identity == [[0, 0], [1, 1]]
    assert harm == [[0.02, 0], [1, 0.98]]
    # the worst is 0.45
    assert ax.get_xlim() == ax.get_ylim() == pytest.approx((0.38, 1.02))


def test_a_loss_of_the_limit_is_not_above_it(decisions):
    # 0.9 - 0.88 is more than 0.02 by rounding
    table = decisions.head(1).assign(dice_after=0.88)
    ax = figures.correction_effect(table, plt.figure().gca())
    assert list(scatters(ax)) == ["kept (n = 1; 0 lose more)"]
    more = figures.correction_effect(table, plt.figure().gca(), worse_by=0.01)
    assert list(scatters(more)) == ["kept (n = 1; 1 lose more)"]
    assert more.lines[1].get_label() == "loss of 0.01"


def test_other_decisions_are_drawn_last_in_other_colors(decisions):
    table = decisions.assign(decision=["failed", "kept", "kept", "refused"])
    ax = figures.correction_effect(table, plt.figure().gca())
    assert list(scatters(ax))[-1] == "failed (n = 1; 0 lose more)"
    color = to_hex(ax.collections[-1].get_facecolor()[0])
    assert color == PALETTE[2].lower()


@pytest.mark.parametrize(
    ("draw", "name"),
    [
        (figures.rules_broken, "broken"),
        (figures.dice_agreement, "predicted"),
        (figures.correction_effect, "decisions"),
    ],
)
def test_tables_that_cannot_be_drawn_are_refused(draw, name, request):
    table = request.getfixturevalue(name)
    number = table.select_dtypes("number").columns[0]
    with pytest.raises(SchemaError, match=rf"lacks \['{number}'\]; it has"):
        draw(table.drop(columns=number))
    with pytest.raises(SchemaError, match=rf"'{number}': .* not numeric"):
        draw(table.assign(**{number: "a"}))
    with pytest.raises(SchemaError, match="of 0 rows"):
        draw(table.head(0))
    with pytest.raises(SchemaError, match=rf"'{number}': 0"):
        draw(table.assign(**{number: np.nan}))


@pytest.fixture
def drawn_by_networks():
    rows = [
        ("unet", "RV", 0.9, "both"),
        ("unet", "RV", 0.7, "both"),
        ("unet", "RV", 0.8, "both"),
        ("unet", "RV", 0.0, "missed"),
        ("swin", "RV", 0.5, "both"),
        ("swin", "RV", 0.6, "both"),
        ("swin", "RV", 0.0, "invented"),
        ("unet", "LV", 0.95, "both"),
    ]
    return pd.DataFrame(rows, columns=["name", "structure", "dice", "state"])


def test_violins_are_of_what_both_drew_and_the_lobe_at_0_is_named(drawn_by_networks):
    _, ax = plt.subplots()
    assert figures.dice_violins(drawn_by_networks, ax, structures=["LV"]) is ax
    assert [text.get_text() for text in ax.get_yticklabels()] == [
        "LV, unet (n = 1)",
        "RV, unet (n = 4)",
        "RV, swin (n = 3)",
    ]
    assert [text.get_text() for text in ax.texts] == [
        "0 missed, 0 invented",
        "1 missed, 0 invented",
        "0 missed, 1 invented",
    ]
    lines = [c for c in ax.collections if isinstance(c, LineCollection)]
    medians = [line.get_segments()[0][0, 0] for line in lines]
    np.testing.assert_allclose(medians, [0.95, 0.8, 0.55])
    # of one value there is no density
    assert sum(isinstance(c, PolyCollection) for c in ax.collections) == 2
    assert ax.get_xlabel() == "Dice with the reference"


def test_violins_of_nothing_are_refused(drawn_by_networks):
    with pytest.raises(SchemaError):
        figures.dice_violins(drawn_by_networks.assign(dice=np.nan))
