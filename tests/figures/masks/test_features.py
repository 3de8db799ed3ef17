import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.colors import to_hex

from radlatent import figures
from radlatent.errors import SchemaError
from radlatent.figures.masks.slices import structure_colors


@pytest.fixture
def stability():
    frame = {"structure": ["RV", "RV", "LV", "LV", "LV", "RV"]}
    frame |= {"tier": ["high", "low", "low", "low", "high", "low"]}
    frame |= {"feature": list("aaabab"), "estimate": [0.9, 0.4, 0.6, 0.8, 0.95, 0.2]}
    frame |= {"lower": [0.75, 0.1, 0.74, 0.76, np.nan, 0.0]}
    table = pd.DataFrame(frame).assign(icc="ICC(2,1)")
    return table.astype({"tier": pd.CategoricalDtype(["low", "high"], ordered=True)})


@pytest.fixture
def shifts():
    frame = {"feature": list("abcabc"), "family": ["shape", "glcm", "glcm"] * 2}
    frame |= {"when": ["degraded"] * 3 + ["corrected"] * 3}
    return pd.DataFrame(frame | {"shift": [0.5, 1.0, 0.2, 0.1, 0.4, 0.6]})


def points(ax):
    found = [c for c in ax.collections if isinstance(c, PathCollection)]
    return [c for c in found if len(c.get_offsets())]


def ticks(ax):
    return [text.get_text() for text in ax.get_yticklabels()]


def test_rows_are_structures_in_the_order_of_the_table_and_tiers_within(stability):
    _, ax = plt.subplots()
    assert figures.feature_stability(stability, ax) is ax
    # 0.75 itself is good; a lower limit that is not known is not
    assert ticks(ax) == [
        "RV, low (n = 2)\n0% good or better",
        "RV, high (n = 1)\n100% good or better",
        "LV, low (n = 2)\n50% good or better",
        "LV, high (n = 1)\n0% good or better",
    ]
    drawn = [sorted(c.get_offsets()[:, 0].tolist()) for c in points(ax)]
    assert drawn == [[0.2, 0.4], [0.9], [0.6, 0.8], [0.95]]
    # a row of one value has no density
    violins = [c for c in ax.collections if isinstance(c, PolyCollection)]
    ends = [c.get_paths()[0].vertices[:, 0] for c in violins]
    found = [(x.min(), x.max()) for x in ends]
    assert np.allclose(found, [(0.2, 0.4), (0.6, 0.8)], rtol=1e-12)
    medians = [c for c in ax.collections if isinstance(c, LineCollection)]
    found = [c.get_segments()[0][0, 0] for c in medians]
    assert found == pytest.approx([0.3, 0.9, 0.7, 0.95])
    for place, strip in zip(ax.get_yticks(), points(ax), strict=True):
        assert np.abs(strip.get_offsets()[:, 1] - place).max() <= 0.3
    assert ax.get_xlabel().startswith("ICC(2,1)")


def test_verdicts_stand_between_their_limits(stability):
    ax = figures.feature_stability(stability, plt.figure().gca())
    assert [line.get_xdata()[0] for line in ax.lines] == [0.5, 0.75, 0.9]
    (top,) = ax.child_axes
    names = [text.get_text() for text in top.get_xticklabels()]
    assert names == ["poor", "moderate", "good", "excellent"]
    assert np.allclose(top.get_xticks()[1:3], [0.625, 0.825])


def test_structures_have_the_colors_of_the_overlays(stability):
    order = ["RV", "MYO", "LV"]
    ax = figures.feature_stability(stability, plt.figure().gca(), structures=order)
    expected = structure_colors(order)
    found = [to_hex(c.get_facecolor()[0], keep_alpha=False) for c in points(ax)]
    assert found == [expected[name].lower() for name in ("RV", "RV", "LV", "LV")]


def test_family_or_nothing_may_stand_for_structure_and_tier_may_lack(stability):
    bare = stability[["feature", "estimate"]].rename(columns={"estimate": "icc"})
    ax = figures.feature_stability(bare, plt.figure().gca())
    assert ticks(ax) == ["all (n = 6)"]
    assert ax.get_xlabel() == "ICC of a feature over masks (1 = stable)"
    families = bare.assign(family=list("ttsstt"))
    ax = figures.feature_stability(families, plt.figure().gca())
    assert ticks(ax) == ["t (n = 4)", "s (n = 2)"]


def test_negative_coefficients_are_seen_and_undefined_ones_counted(stability):
    table = stability.assign(estimate=[-0.6, np.nan, 0.6, 0.8, 0.9, 0.2])
    ax = figures.feature_stability(table, plt.figure().gca())
    assert ax.get_xlim()[0] < -0.6
    assert ax.get_xlabel().endswith("\n1 without a value")
    one = figures.feature_stability(table.head(1), plt.figure().gca())
    assert ticks(one) == ["RV, high (n = 1)\n100% good or better"]


def test_one_coefficient_is_drawn_at_a_time(stability):
    both = pd.concat([stability, stability.assign(icc="ICC(3,1)")])
    with pytest.raises(SchemaError, match=r"ICC\(2,1\).*choose the rows of one"):
        figures.feature_stability(both)


def test_pairs_are_joined_and_medians_are_large(shifts):
    _, ax = plt.subplots()
    assert figures.feature_shift(shifts, ax) is ax
    assert ticks(ax) == ["shape (n = 1)", "glcm (n = 2)"]
    joined = [line.get_xydata().tolist() for line in ax.lines]
    assert joined[0] == [[0.5, -0.2], [0.1, 0.2]]
    # b from 1.0 to 0.4, c from 0.2 to 0.6, then the medians
    assert joined[2:] == [
        [[1.0, 0.8], [0.4, 1.2]],
        [[0.2, 0.8], [0.6, 1.2]],
        [[0.6, 0.8], [0.5, 1.2]],
    ]
    large = [c.get_offsets().tolist() for c in points(ax) if c.get_sizes()[0] > 40]
    assert large[2:] == [[[0.6, 0.8]], [[0.5, 1.2]]]
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["degraded", "corrected"]
    assert "standard deviations between patients" in ax.get_xlabel()
    assert ax.get_xscale() == "linear"


def test_one_long_shift_does_not_hide_the_others(shifts):
    table = shifts.assign(shift=[0.5, 100.0, 0.2, 0.0, 0.4, 0.6])
    ax = figures.feature_shift(table, plt.figure().gca())
    assert ax.get_xscale() == "symlog"
    low, high = ax.get_xlim()
    assert low < 0 < 100 < high


def test_features_of_one_time_are_counted_and_not_drawn(shifts):
    table = shifts.assign(shift=[0.5, 1.0, 0.2, 0.1, np.nan, 0.6])
    ax = figures.feature_shift(table, plt.figure().gca())
    assert ticks(ax) == ["shape (n = 1)", "glcm (n = 1)"]
    assert ax.get_xlabel().endswith("; 1 features in one only")


def test_masks_without_any_shift_are_drawn(shifts):
    ax = figures.feature_shift(shifts.assign(shift=0.0), plt.figure().gca())
    assert ax.get_xlim() == (0, 1)


def test_tables_of_shifts_that_cannot_be_paired_are_refused(shifts):
    with pytest.raises(SchemaError, match=r"times \['degraded'\]"):
        figures.feature_shift(shifts.head(3))
    with pytest.raises(SchemaError, match="1 features more than once"):
        figures.feature_shift(pd.concat([shifts, shifts.head(1)]))
    with pytest.raises(SchemaError, match="no row of the table can be drawn"):
        # each feature at one of the two times only
        figures.feature_shift(shifts.iloc[[0, 4]])


@pytest.mark.parametrize(
    ("draw", "name", "number"),
    [
        (figures.feature_stability, "stability", "estimate"),
        (figures.feature_shift, "shifts", "shift"),
    ],
)
def test_tables_that_cannot_be_drawn_are_refused(draw, name, number, request):
    table = request.getfixturevalue(name)
    with pytest.raises(SchemaError, match=r"lacks \['feature'\]"):
        draw(table.drop(columns="feature"))
    with pytest.raises(SchemaError, match=rf"'{number}': .* not numeric"):
        draw(table.assign(**{number: "a"}))
    with pytest.raises(SchemaError, match="of 0 rows"):
        draw(table.head(0))
    with pytest.raises(SchemaError, match=rf"'{number}': 0"):
        draw(table.assign(**{number: np.nan}))
