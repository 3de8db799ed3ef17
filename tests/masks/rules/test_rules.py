"""Rules, sets and verdicts: what enters is checked, what leaves says its unit."""

import numpy as np
import pytest

from radlatent.errors import GeometryError, SchemaError
from radlatent.masks.rules.rules import (
    Rule,
    RuleSet,
    broken_rules,
    judge,
    keeps,
    measure,
    offending,
    rule_set,
)

ACDC = {"RV": 1, "MYO": 2, "LV": 3}
RULES = rule_set("short_axis_16")


def heart(n=64):
    """Return a ring of 2 around a disk of 3, with a crescent of 1 to its left."""
    r, c = (axis - n // 2 for axis in np.ogrid[:n, :n])
    labels = np.zeros((n, n), np.uint8)
    labels[r**2 + (c + 12) ** 2 <= 12**2] = 1
    labels[r**2 + c**2 <= 11**2] = 2
    labels[r**2 + c**2 <= 7**2] = 3
    return labels


def rule(name, of="short_axis_16"):
    return next(one for one in rule_set(of).rules if one.name == name)


def values(labels, rules=RULES, structures=ACDC, spacing_mm=(1.5, 1.5)):
    return measure(labels, rules, structures=structures, spacing_mm=spacing_mm)


def test_every_set_says_unit_and_source():
    sizes = {"short_axis_16": 16, "apical_12": 12, "short_axis_7": 7, "lesion": 12}
    for name, n in sizes.items():
        found = rule_set(name)
        assert len(found.rules) == n
        assert all(one.source and one.unit for one in found.rules)
    assert rule("concavity_rv").unit == "mm"
    assert rule("concavity_rv").threshold == 30
    assert rule("holes_lv").unit == "pixels"
    with pytest.raises(SchemaError, match=r"'short_axis_1'.*mean 'short_axis_16'"):
        rule_set("short_axis_1")


def test_a_heart_keeps_every_rule_and_no_argument_changes():
    labels = heart()
    before = labels.copy()
    found = values(labels)
    assert keeps(found, RULES).all()
    assert found.dtype == np.float64
    for one in RULES.rules:
        marked = offending(labels, one, structures=ACDC, spacing_mm=(1, 1))
        assert marked.shape == labels.shape
        assert not marked.any()
    np.testing.assert_array_equal(labels, before)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint16, np.int64])
def test_the_type_of_the_labels_does_not_matter(dtype):
    np.testing.assert_array_equal(values(heart().astype(dtype)), values(heart()))


def test_labels_beyond_eight_bits():
    labels = heart().astype(np.int16)
    many = {"RV": 1000, "MYO": 256, "LV": 511}
    renamed = np.zeros_like(labels)
    for name, label in ACDC.items():
        renamed[labels == label] = many[name]
    np.testing.assert_array_equal(values(renamed, structures=many), values(labels))


def test_the_offending_pixels_are_those_counted():
    labels = heart()
    labels[32, 15:17] = 0
    labels[10, 10] = 1
    labels[40, 32] = 2
    labels[22, 32] = 3
    known = {"structures": ACDC, "spacing_mm": (1.5, 1.5)}
    for one, value in zip(RULES.rules, values(labels), strict=True):
        if one.unit == "pixels":
            assert offending(labels, one, **known).sum() == value
    holes = offending(labels, rule("holes_rv"), **known)
    assert np.argwhere(holes).tolist() == [[32, 15], [32, 16]]
    away = offending(labels, rule("pieces_rv"), **known)
    assert np.argwhere(away).tolist() == [[10, 10]]


def test_the_offending_pixels_of_depths_and_ratios():
    labels = np.zeros((80, 80), int)
    labels[20:60, 20:60] = 3
    labels[20:30, 38:43] = 0
    known = {"structures": ACDC, "spacing_mm": (1.0, 1.0)}
    deep = offending(labels, rule("concavity_lv"), **known)
    # deeper than 4 mm: rows 4 to 8 of a notch of 10, without the pixels at its rim
    assert np.argwhere(deep).min(axis=0).tolist() == [24, 39]
    assert np.argwhere(deep).max(axis=0).tolist() == [28, 41]
    thin = np.zeros((80, 80), int)
    thin[20:23, 10:70] = 3
    rim = offending(thin, rule("circularity_lv"), **known)
    np.testing.assert_array_equal(rim[20:23, 10:70].sum(axis=1), [60, 2, 60])
    apart = np.zeros((80, 80), int)
    apart[20:30, 20:30], apart[20:30, 32:40] = 1, 2
    marked = offending(apart, rule("apart_rv_myo"), **known)
    np.testing.assert_array_equal(marked, apart == 1)


def test_the_offending_pixels_of_apical_rules():
    structures = {"LV": 1, "MYO": 2, "LA": 3}
    known = {"structures": structures, "spacing_mm": (1.0, 1.0)}
    labels = np.zeros((128, 128), int)
    labels[20:90, 28:93] = 2
    labels[30:90, 45:76] = 1
    labels[90:110, 41:80] = 3
    labels[20:28, 59:62] = 0
    values = measure(labels, rule_set("apical_12"), **known)
    broken = ~keeps(values, rule_set("apical_12"))
    names = [n for n, b in zip(rule_set("apical_12").names, broken, strict=True) if b]
    assert names == ["frontier_myo_la", "erosion_myo"]
    marked = offending(labels, rule("frontier_myo_la", "apical_12"), **known)
    # five pixels of the wall on each side see the atrium below
    assert np.argwhere(marked)[:, 1].tolist() == [40, *range(41, 45), *range(76, 81)]
    neck = offending(labels, rule("erosion_myo", "apical_12"), **known)
    assert neck[28:30, 59:62].all()
    assert (labels[neck] == 2).all()
    labels[:, :28], labels[:, 93:] = 0, 0
    labels[20:90, 28:43], labels[20:90, 78:93] = 0, 0
    wide = offending(labels, rule("width_lv_myo", "apical_12"), **known)
    assert np.unique(np.argwhere(wide)[:, 0]).size == 1
    assert wide.sum() == 31


def test_a_missing_structure_is_nan_and_offends_nowhere():
    labels = np.where(heart() == 1, 0, heart())
    found = dict(zip(RULES.names, values(labels), strict=True))
    absent = {name for name, value in found.items() if np.isnan(value)}
    assert absent == {one.name for one in RULES.rules if "RV" in one.structures}
    known = {"structures": ACDC, "spacing_mm": (1.0, 1.0)}
    assert not offending(labels, rule("holes_rv"), **known).any()
    apical = {"LV": 3, "MYO": 2, "LA": 4}
    assert not offending(
        labels,
        rule("holes_la", "apical_12"),
        structures=ACDC | apical,
        spacing_mm=(1, 1),
    ).any()


def test_an_empty_slice_has_no_values_and_each_sets_verdict():
    empty = np.zeros((20, 30), int)
    assert np.isnan(values(empty)).all()
    assert keeps(values(empty), RULES).all()
    apical = rule_set("apical_12")
    structures = {"LV": 1, "MYO": 2, "LA": 3}
    assert not keeps(values(empty, apical, structures), apical).any()
    marked = offending(empty, rule("holes_lv"), structures=ACDC, spacing_mm=(1, 1))
    assert marked.shape == (20, 30)


def test_one_pixel_is_a_structure_without_a_circularity():
    labels = np.zeros((20, 30), int)
    labels[4, 5] = 3
    found = dict(zip(RULES.names, values(labels), strict=True))
    assert np.isnan(found["circularity_lv"])
    assert found["concavity_lv"] == 0
    # one pixel that sees the background is put up with
    assert found["frontier_lv_background"] == 0


def test_a_volume_is_judged_slice_by_slice():
    broken = heart()
    broken[32, 15:17] = 0
    volume = np.stack([heart(), broken, np.zeros_like(broken)])
    known = {"structures": ACDC, "spacing_mm": (10.0, 1.5, 1.5)}
    table = judge(volume, RULES, **known)
    assert len(table) == 48
    assert table["slice"].unique().tolist() == [0, 1, 2]
    [row] = table[~table["kept"]].to_dict("records")
    assert (row["slice"], row["rule"], row["value"]) == (1, "holes_rv", 2)
    assert (row["relation"], row["threshold"], row["unit"]) == ("at most", 0, "pixels")
    assert "Painchaud" in row["source"]
    np.testing.assert_array_equal(
        table.loc[table["slice"] == 1, "value"], values(broken)
    )
    marked = offending(volume, rule("holes_rv"), **known)
    assert marked.sum(axis=(1, 2)).tolist() == [0, 2, 0]
    one = judge(volume[1:2], RULES, **known)
    np.testing.assert_array_equal(one["value"], values(broken))
    flat = judge(broken, RULES, structures=ACDC, spacing_mm=(1.5, 1.5))
    np.testing.assert_array_equal(flat["value"], one["value"])
    assert flat["slice"].unique().tolist() == [0]


def test_lesions_are_judged_as_volumes():
    mask = np.zeros((6, 20, 20), int)
    mask[1:4, 5:15, 5:15] = 1
    known = {"structures": {"lesion": 1}, "spacing_mm": (3.0, 1.0, 1.0)}
    table = judge(mask, rule_set("lesion"), **known)
    assert len(table) == 12
    assert "slice" not in table
    assert table["kept"].isna().sum() == 3
    assert table["kept"].dropna().all()


def test_verdicts_of_many_slices_at_once():
    found = np.stack([values(heart()), values(heart() * 0)])
    kept = keeps(found, RULES)
    assert kept.shape == (2, 16)
    assert kept.all()
    found[0, RULES.names.index("circularity_lv")] = 0.2
    found[1, RULES.names.index("concavity_lv")] = 4.0
    assert keeps(found, RULES).all()
    found[0, RULES.names.index("circularity_lv")] = np.nextafter(0.2, 0)
    found[1, RULES.names.index("concavity_lv")] = np.nextafter(4, 5)
    assert np.argwhere(~keeps(found, RULES)).tolist() == [[0, 14], [1, 11]]


def test_pixels_that_are_not_square():
    # a heart stretched along the columns, whose pixels are half as wide
    plain = heart(96)
    wide = np.repeat(plain, 2, axis=1)
    square = dict(zip(RULES.names, values(plain, spacing_mm=(1, 1)), strict=True))
    found = dict(zip(RULES.names, values(wide, spacing_mm=(1, 0.5)), strict=True))
    # mm stay mm to within a pixel; counts and circularities are those of pixels
    assert found["concavity_rv"] == pytest.approx(square["concavity_rv"], abs=1)
    assert found["circularity_lv"] < square["circularity_lv"]


def test_labels_that_no_structure_has():
    labels = heart()
    labels[0, 0] = 7
    with pytest.raises(SchemaError, match=r"labels \[7\] of a mask belong to no"):
        values(labels)
    found = values(labels, structures=ACDC | {"scar": 7})
    np.testing.assert_array_equal(found, values(heart()))
    with pytest.raises(SchemaError, match="holds the label -1"):
        values(np.where(heart() == 3, -1, heart().astype(int)))


def test_structures_that_do_not_fit():
    with pytest.raises(SchemaError, match=r"'apical_12' needs the structures \['LA'\]"):
        values(heart(), rule_set("apical_12"))
    with pytest.raises(SchemaError, match="rule 'holes_la' needs"):
        offending(
            heart(), rule("holes_la", "apical_12"), structures=ACDC, spacing_mm=(1, 1)
        )
    with pytest.raises(SchemaError, match="a whole label of its own above 0"):
        values(heart(), structures={"RV": 1, "MYO": 2, "LV": 2})
    with pytest.raises(SchemaError, match="a whole label of its own above 0"):
        values(heart(), structures={"RV": 0, "MYO": 2, "LV": 3})


def test_arrays_that_do_not_fit():
    with pytest.raises(SchemaError, match="of type float64"):
        values(heart().astype(float))
    volume = heart()[np.newaxis]
    with pytest.raises(GeometryError, match="looks at one slice of 2 axes"):
        values(volume, spacing_mm=(1, 1, 1))
    with pytest.raises(GeometryError, match="looks at one volume of 3 axes"):
        measure(
            heart(), rule_set("lesion"), structures={"lesion": 1}, spacing_mm=(1, 1)
        )
    for spacing_mm in ((1.0,), (1.0, 0.0), (1.0, np.nan), (1.0, 1.0, 1.0)):
        with pytest.raises(GeometryError, match="positive numbers in mm"):
            values(heart(), spacing_mm=spacing_mm)


def test_rules_and_sets_of_ones_own():
    good = Rule("lv", ["LV"], "circularity", "at least", 0.96, "ratio", "me")
    assert good.plane == "slice"
    round_lv = RuleSet("round", [good])
    assert round_lv.structures == ("LV",)
    assert not keeps(values(heart(), round_lv), round_lv).all()
    with pytest.raises(SchemaError, match=r"measure is 'circulrity'.*'circularity'"):
        Rule("lv", ("LV",), "circulrity", "at least", 0.9, "ratio", "me")
    with pytest.raises(SchemaError, match="relation is 'below'"):
        Rule("lv", ("LV",), "circularity", "below", 0.9, "ratio", "me")
    with pytest.raises(SchemaError, match="missing is 'ignored'"):
        Rule("lv", ("LV",), "circularity", "at least", 0.9, "ratio", "me", "ignored")
    lesion = rule_set("lesion").rules[0]
    for rules in ((), (good, good), (good, lesion)):
        with pytest.raises(SchemaError, match="each of another name, all of slices"):
            RuleSet("mine", rules)


def test_broken_rules_are_those_that_judge_finds(drawn, rng):
    array = drawn.draw_heart(rng, n_slices=4)
    array[1, :2, :2], array[2][array[2] == 2] = 3, 0
    found = broken_rules(array, RULES, structures=ACDC, spacing_mm=(2.0, 1.5))
    judged = judge(array, RULES, structures=ACDC, spacing_mm=(8.0, 2.0, 1.5))
    kept = judged["kept"].to_numpy(dtype=bool).reshape(4, 16)
    np.testing.assert_array_equal(found, ~kept)
    assert found.any(axis=1).tolist() == [False, True, True, False]


def test_broken_rules_of_no_slices():
    found = broken_rules([], RULES, structures=ACDC, spacing_mm=(1, 1))
    assert found.shape == (0, 16)
