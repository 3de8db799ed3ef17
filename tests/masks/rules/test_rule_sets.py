"""Each rule is broken alone by a drawn mask, and kept by one just inside its limit.

Drawn at 1 mm on 128 x 128 pixels, where one pixel of a gap is put up with. ``PATCH`` is
a known structure that no rule asks about: what lies in it touches no background.
"""

import numpy as np
import pytest

from radlatent.masks.rules.rules import judge, keeps, measure, rule_set

STRUCTURES = {"RV": 5, "MYO": 2, "LV": 9, "LA": 4, "PATCH": 7}
RV, MYO, LV, LA, PATCH = STRUCTURES.values()


def disk(row, column, radius):
    r, c = np.ogrid[:128, :128]
    return (r - row) ** 2 + (c - column) ** 2 <= radius**2


def heart():
    """Return a short-axis slice that keeps every rule."""
    labels = np.zeros((128, 128), np.int16)
    labels[disk(64, 40, 22)] = RV
    labels[disk(64, 64, 20)] = MYO
    labels[disk(64, 64, 13)] = LV
    return labels


def boxes(ground, *parts):
    """Return a slice of one label with boxes (label, rows, columns)."""
    labels = np.full((128, 128), ground, np.int16)
    for label, rows, columns in parts:
        labels[slice(*rows), slice(*columns)] = label
    return labels


def changed(labels, *points):
    for label, rows, columns in points:
        labels[rows, columns] = label
    return labels


def broken(labels, name, spacing_mm=(1.0, 1.0)):
    rules = rule_set(name)
    values = measure(labels, rules, structures=STRUCTURES, spacing_mm=spacing_mm)
    kept = keeps(values, rules)
    told = zip(rules.names, values.tolist(), kept, strict=True)
    return {rule: value for rule, value, ok in told if not ok}


def value(labels, name, rule):
    rules = rule_set(name)
    values = measure(labels, rules, structures=STRUCTURES, spacing_mm=(1.0, 1.0))
    return dict(zip(rules.names, values.tolist(), strict=True))[rule]


LV_BOX, MYO_BOX = (LV, (30, 50), (30, 50)), (MYO, (30, 50), (50, 70))
RV_BOX = (RV, (30, 50), (50, 70))

#: Rule to a mask that breaks it with a value, and one that keeps it with another.
SHORT_AXIS_16 = {
    # the hole is full of PATCH, and there is no myocardium that would have it, too
    "holes_lv": (
        boxes(PATCH, LV_BOX, (PATCH, (40, 41), (40, 43))),
        3.0,
        # open across a corner: the 8 neighbors of the background lead out
        changed(boxes(PATCH, LV_BOX), (PATCH, [31, 30], [31, 30])),
        0.0,
    ),
    "holes_rv": (
        changed(heart(), (0, [64, 64], [30, 31])),
        2.0,
        changed(boxes(0, RV_BOX), (0, [31, 30], [51, 50])),
        0.0,
    ),
    "holes_myo": (
        changed(heart(), (0, 64, 80)),
        1.0,
        changed(heart(), (0, 64, [83, 84])),
        0.0,
    ),
    "pieces_lv": (
        changed(heart(), (LV, 64, 80)),
        1.0,
        changed(heart(), (LV, [76, 77, 78], [68, 69, 70])),
        0.0,
    ),
    "pieces_rv": (
        changed(heart(), (RV, 85, 64), (MYO, 84, 64)),
        1.0,
        changed(heart(), (RV, 86, 40), (RV, 87, 41)),
        0.0,
    ),
    "pieces_myo": (
        changed(heart(), (MYO, 64, 86)),
        1.0,
        changed(heart(), (MYO, [84, 85], [64, 65])),
        0.0,
    ),
    # a notch of one pixel in the cavity, behind the wall
    "gap_lv_myo": (
        changed(boxes(PATCH, LV_BOX, MYO_BOX), (PATCH, [40, 41], 49)),
        2.0,
        changed(boxes(PATCH, LV_BOX, MYO_BOX), (PATCH, 40, 49)),
        0.0,
    ),
    "gap_rv_myo": (
        changed(heart(), (0, [64, 65], 43)),
        2.0,
        changed(heart(), (0, 64, 43)),
        0.0,
    ),
    "apart_rv_myo": (
        boxes(0, (RV, (30, 50), (49, 69)), (MYO, (30, 50), (70, 90))),
        1.0,
        boxes(0, (RV, (30, 50), (50, 70)), (MYO, (50, 70), (70, 90))),
        0.0,
    ),
    "frontier_lv_rv": (
        boxes(PATCH, LV_BOX, (RV, (48, 60), (50, 70))),
        3.0,
        # across the corner, one pixel is put up with
        boxes(PATCH, LV_BOX, (RV, (50, 60), (50, 70))),
        0.0,
    ),
    "frontier_lv_background": (
        boxes(PATCH, LV_BOX, (0, (50, 52), (49, 60))),
        2.0,
        boxes(PATCH, LV_BOX, (0, (50, 52), (50, 60))),
        0.0,
    ),
    # a papillary muscle, three pixels wide and six long, is five pixels deep
    "concavity_lv": (
        boxes(PATCH, LV_BOX, (MYO, (30, 36), (39, 42))),
        5.0,
        boxes(PATCH, LV_BOX, (MYO, (30, 35), (39, 42))),
        4.0,
    ),
    "concavity_rv": (
        boxes(0, (RV, (20, 90), (20, 100)), (0, (20, 52), (59, 62))),
        31.0,
        boxes(0, (RV, (20, 90), (20, 100)), (0, (20, 51), (59, 62))),
        30.0,
    ),
    "concavity_myo": (
        boxes(0, MYO_BOX, (0, (30, 33), (58, 61))),
        2.0,
        boxes(0, MYO_BOX, (0, (30, 32), (58, 61))),
        0.0,
    ),
    # 3 x n pixels have an area of 3 n and a perimeter of 2 (2 + n - 1)
    "circularity_lv": (
        boxes(PATCH, (LV, (30, 33), (20, 80))),
        4 * np.pi * 180 / 122**2,
        boxes(PATCH, (LV, (30, 33), (20, 60))),
        4 * np.pi * 120 / 82**2,
    ),
    "circularity_myo": (
        boxes(0, (MYO, (30, 33), (20, 80))),
        4 * np.pi * 180 / 122**2,
        boxes(0, (MYO, (30, 33), (20, 60))),
        4 * np.pi * 120 / 82**2,
    ),
}


def apical(atrium=(45, 76), walls=(30, 91), cavity=(45, 76), top=20):
    """Return a four-chamber view without the right heart: MYO around LV, LA below."""
    return boxes(
        0,
        (MYO, (top, 90), walls),
        (LV, (30, 90), cavity),
        (LA, (90, 120), atrium),
    )


APICAL_12 = {
    # the muscle fills the hole: elsewhere a hole is one of the epicardium as well
    "holes_lv": (
        boxes(PATCH, LV_BOX, (MYO, (36, 44), (36, 44)), (LA, (60, 70), (30, 50))),
        64.0,
        boxes(PATCH, LV_BOX, (MYO, (36, 50), (36, 44)), (LA, (60, 70), (30, 50))),
        0.0,
    ),
    "holes_epicardium": (
        changed(apical(), (0, 60, 37)),
        1.0,
        changed(apical(), (0, [89, 88], [30, 31])),
        0.0,
    ),
    "holes_la": (
        changed(apical(), (0, 105, 60)),
        1.0,
        changed(apical(), (0, [119, 118], [75, 74])),
        0.0,
    ),
    "pieces_lv": (
        changed(apical(), (LV, 80, 37)),
        1.0,
        changed(apical(), (LV, [29, 28], [60, 61])),
        0.0,
    ),
    "pieces_la": (
        changed(apical(), (LA, 124, 60)),
        1.0,
        changed(apical(), (LA, [120, 121], [76, 77])),
        0.0,
    ),
    # open across a corner, so that it is no hole of the epicardium
    "gap_lv_myo": (
        changed(apical(), (0, [87, 88, 89], [44, 44, 43])),
        2.0,
        changed(apical(), (0, [88, 89], [44, 43])),
        0.0,
    ),
    "gap_lv_la": (
        changed(apical(), (0, 90, [60, 61])),
        2.0,
        changed(apical(), (0, 90, 60)),
        0.0,
    ),
    # all but n - 2 of the 31 pixels above n of the atrium see the background
    "frontier_lv_background": (
        apical(atrium=(51, 70)),
        14 / 31,
        apical(atrium=(50, 71)),
        12 / 31,
    ),
    "frontier_myo_la": (
        apical(atrium=(42, 79)),
        8 / 61,
        apical(atrium=(43, 78)),
        6 / 61,
    ),
    "width_lv_myo": (
        apical(walls=(42, 80)),
        31 / 7,
        apical(walls=(41, 80)),
        31 / 8,
    ),
    # a neck of two pixels goes at the first erosion; the half width is 9 or 8 pixels
    "erosion_myo": (
        changed(apical(walls=(28, 93)), (0, slice(20, 28), slice(59, 62))),
        1 / 9,
        changed(apical(), (0, slice(20, 28), slice(59, 62))),
        1 / 8,
    ),
}

SHORT_AXIS_7 = {
    "holes": (
        changed(heart(), (0, 64, 30)),
        1.0,
        changed(boxes(0, RV_BOX), (0, [31, 30], [51, 50])),
        0.0,
    ),
    "components_rv": (
        changed(heart(), (RV, 85, 64)),
        2.0,
        changed(heart(), (RV, [86, 87], [40, 41])),
        1.0,
    ),
    "components_myo": (
        changed(heart(), (MYO, 64, 86)),
        2.0,
        changed(heart(), (MYO, [84, 85], [64, 65])),
        1.0,
    ),
    "components_lv": (
        changed(heart(), (LV, 64, 80)),
        2.0,
        changed(heart(), (LV, [76, 77, 78], [68, 69, 70])),
        1.0,
    ),
    "apart_rv_myo": (
        boxes(0, (RV, (30, 50), (49, 69)), (MYO, (30, 50), (70, 90))),
        400.0,
        boxes(0, (RV, (30, 50), (50, 70)), (MYO, (49, 60), (70, 90))),
        0.0,
    ),
    "touching_lv_rv": (
        boxes(PATCH, LV_BOX, (RV, (49, 60), (50, 70))),
        1.0,
        boxes(PATCH, LV_BOX, (RV, (50, 60), (50, 70))),
        0.0,
    ),
    "touching_lv_background": (
        boxes(PATCH, LV_BOX, (0, (50, 52), (49, 60))),
        1.0,
        boxes(PATCH, LV_BOX, (0, (50, 52), (50, 60))),
        0.0,
    ),
}

CASES = [
    (name, rule, *case)
    for name, cases in (
        ("short_axis_16", SHORT_AXIS_16),
        ("apical_12", APICAL_12),
        ("short_axis_7", SHORT_AXIS_7),
    )
    for rule, case in cases.items()
]


@pytest.mark.parametrize(
    ("name", "rule", "wrong", "found", "right", "inside"),
    CASES,
    ids=[f"{name}-{rule}" for name, rule, *_ in CASES],
)
def test_a_rule_is_broken_alone_and_kept_at_its_limit(
    name, rule, wrong, found, right, inside
):
    # rel: the square root of squared distances in the distance transform
    assert broken(wrong, name) == pytest.approx({rule: found}, rel=1e-12)
    assert broken(right, name) == {}
    assert value(right, name, rule) == pytest.approx(inside, rel=1e-12)


def test_every_rule_has_its_masks():
    assert list(SHORT_AXIS_16) == rule_set("short_axis_16").names
    assert list(SHORT_AXIS_7) == rule_set("short_axis_7").names
    # a muscle in pieces has split before the first erosion: broken with that rule only
    assert {*APICAL_12, "pieces_myo"} == set(rule_set("apical_12").names)
    assert len(APICAL_12) == 11


def test_limits_are_those_of_the_sources():
    limits = {
        "short_axis_16": {
            "concavity_lv": 4,
            "concavity_rv": 30,
            "circularity_lv": 0.2,
            "circularity_myo": 0.2,
        },
        "apical_12": {
            "frontier_lv_background": 0.4,
            "frontier_myo_la": 0.11,
            "width_lv_myo": 4.15,
            "erosion_myo": 0.12,
        },
        "short_axis_7": dict.fromkeys(
            ("components_rv", "components_myo", "components_lv"), 1
        ),
    }
    for name, expected in limits.items():
        found = {r.name: r.threshold for r in rule_set(name).rules if r.threshold}
        assert found == expected


def test_a_muscle_in_pieces_breaks_its_erosion_as_well():
    labels = changed(apical(), (MYO, 10, 60))
    assert broken(labels, "apical_12") == {"pieces_myo": 1.0, "erosion_myo": 0.0}
    labels = changed(apical(), (MYO, [19, 18], [60, 61]))
    assert broken(labels, "apical_12") == {}


def test_a_speck_that_erosion_leaves_is_no_part():
    # a knob on a thread is one pixel after an erosion: fewer than 4 are put up with at
    # 256 x 256, fewer than 1 at 128 x 128
    knob = changed(apical(), (MYO, slice(17, 20), 60))
    knob[14:17, 59:62] = MYO
    assert broken(knob, "apical_12") == {}
    assert value(knob, "apical_12", "erosion_myo") == 1 / 8
    assert value(np.pad(knob, 64), "apical_12", "erosion_myo") == 5 / 8
    assert value(apical(), "apical_12", "erosion_myo") == 5 / 8


def test_drawn_organs_keep_every_rule():
    assert broken(heart(), "short_axis_16") == {}
    assert broken(heart(), "short_axis_7") == {}
    assert broken(apical(), "apical_12") == {}


def test_a_gap_is_measured_against_the_whole_slice():
    # H W / 2^14 pixels: 1 of 128 x 128, 4 of 256 x 256
    gap = changed(heart(), (0, [62, 63, 64, 65], 43))
    assert broken(gap, "short_axis_16") == {"gap_rv_myo": 4.0}
    wide = np.pad(gap, 64)
    assert broken(wide, "short_axis_16") == {}
    wide[64 + 66, 64 + 43] = 0
    assert broken(wide, "short_axis_16") == {"gap_rv_myo": 5.0}


def test_the_cavity_is_not_a_gap_of_both_ventricles():
    assert value(heart(), "short_axis_16", "gap_rv_myo") == 0
    # a ring that the right ventricle closes encloses the cavity with it
    labels = heart()
    wall = labels[62:67, 44:52]
    wall[wall == MYO] = RV
    found = broken(labels, "short_axis_16")
    assert found["gap_rv_myo"] == np.count_nonzero(labels == LV)


def test_gaps_are_enclosed_across_edges_and_holes_across_corners():
    ring = [(39, 40), (40, 41), (41, 40), (40, 39)]
    labels = boxes(0)
    for row, column in ring[:2]:
        labels[row, column] = LV
    for row, column in ring[2:]:
        labels[row, column] = MYO
    # larger than the tolerance only where the slice is small
    small = labels[:60, :60]
    assert value(small, "short_axis_16", "gap_lv_myo") == 1
    rules = rule_set("apical_12")
    values = measure(small, rules, structures=STRUCTURES, spacing_mm=(1, 1))
    assert values[rules.names.index("holes_epicardium")] == 0
    assert value(small, "short_axis_16", "pieces_lv") == 0


def test_missing_structures_are_judged_as_each_set_says():
    no_right = np.where(heart() == RV, 0, heart())
    assert broken(no_right, "short_axis_16") == {}
    only_right = np.where(heart() == RV, heart(), 0)
    assert set(broken(only_right, "short_axis_16")) == set()
    known = {"structures": STRUCTURES, "spacing_mm": (1, 1)}
    table = judge(only_right, rule_set("short_axis_7"), **known).set_index("rule")
    assert table["kept"].isna().sum() == 1
    assert table["kept"].isna()["apart_rv_myo"]
    assert table["kept"]["touching_lv_rv"]
    no_atrium = np.where(apical() == LA, 0, apical())
    rules = set(broken(no_atrium, "apical_12"))
    # the cavity is open below without its atrium
    opened = {"frontier_lv_background"}
    assert rules == opened | {"holes_la", "pieces_la", "gap_lv_la", "frontier_myo_la"}


def test_no_pixel_of_the_cavity_is_a_hole_of_the_muscle():
    # published code subtracts the first part of the cavity only
    labels = changed(heart(), (LV, [64, 50], [80, 62]))
    assert broken(labels, "short_axis_16") == {"pieces_lv": 2.0}
    # nor is any subtracted that lies elsewhere
    labels = changed(heart(), (LV, 20, 20), (0, 64, 80))
    assert value(labels, "short_axis_16", "holes_myo") == 1
    # without a cavity, what the muscle encloses is a hole
    closed = np.where(heart() == LV, 0, heart())
    n_pixels = np.count_nonzero(heart() == LV)
    assert value(closed, "short_axis_16", "holes_myo") == n_pixels


def test_the_gap_below_the_ventricle_is_one_with_the_atrium():
    # published code measured the ventricle and its muscle again
    labels = changed(apical(), (0, 90, [60, 61]))
    assert value(labels, "apical_12", "gap_lv_la") == 2
    assert value(labels, "apical_12", "gap_lv_myo") == 0


def test_the_same_verdict_at_any_place_of_the_slice():
    n_moved = 0
    for name, rule, wrong, *_ in CASES:
        moved = np.roll(wrong, (3, 5), axis=(0, 1))
        if wrong[0, 0] != PATCH and not (wrong[-3:].any() or wrong[:, -5:].any()):
            assert broken(moved, name) == broken(wrong, name), rule
            n_moved += 1
    assert n_moved == 25


def test_the_edge_of_the_image_is_no_background_and_encloses_nothing():
    labels = boxes(LV, (MYO, (0, 20), (0, 128)))
    assert "frontier_lv_background" not in broken(labels, "short_axis_16")
    # a bay of the edge is open
    labels = boxes(RV, (0, (0, 5), (60, 70)))
    assert value(labels, "short_axis_16", "holes_rv") == 0
    assert value(labels, "short_axis_16", "concavity_rv") == 4


@pytest.mark.parametrize("name", ["short_axis_16", "apical_12", "short_axis_7"])
def test_the_numbers_of_labels_do_not_matter(name):
    other = {"RV": 3, "MYO": 200, "LV": 1, "LA": 2, "PATCH": 90}
    rules = rule_set(name)
    for of, _, wrong, *_ in CASES:
        if of == name:
            renamed = np.zeros_like(wrong)
            for structure, label in STRUCTURES.items():
                renamed[wrong == label] = other[structure]
            np.testing.assert_array_equal(
                measure(renamed, rules, structures=other, spacing_mm=(1, 1)),
                measure(wrong, rules, structures=STRUCTURES, spacing_mm=(1, 1)),
            )


def test_depths_and_distances_follow_the_spacing_and_pixels_do_not():
    wrong = SHORT_AXIS_16["concavity_lv"][0]
    assert broken(wrong, "short_axis_16", (0.8, 0.8)) == {}
    assert broken(wrong, "short_axis_16", (1.5, 1.0))["concavity_lv"] == 7.5
    apart = SHORT_AXIS_16["apart_rv_myo"][0]
    assert broken(apart, "short_axis_16", (9.0, 1.25)) == {"apart_rv_myo": 1.25}
    holed = SHORT_AXIS_16["holes_rv"][0]
    assert broken(holed, "short_axis_16", (0.1, 2.0))["holes_rv"] == 2
    # 4 pi area / perimeter^2 is one of pixels, whatever their sides
    thin = SHORT_AXIS_16["circularity_myo"][0]
    assert set(broken(thin, "short_axis_16", (20.0, 1.0))) == {"circularity_myo"}
