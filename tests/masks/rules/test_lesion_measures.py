"""Rules of lesions: a ball keeps them all, and each has one that breaks it alone."""

import numpy as np
import pytest

from radlatent.errors import GeometryError
from radlatent.masks.rules.rules import keeps, measure, offending, rule_set

RULES = rule_set("lesion")
SPACING_MM = (3.0, 2.0, 2.0)


def ball(radius_mm=14.0, shape=(20, 30, 30)):
    grid = [
        (np.arange(n) - (n - 1) / 2) * mm
        for n, mm in zip(shape, SPACING_MM, strict=True)
    ]
    z, y, x = np.meshgrid(*grid, indexing="ij", sparse=True)
    return z**2 + y**2 + x**2 <= radius_mm**2


def picture(mask):
    """Return noise of 1 around 10 in a mask, around 0 elsewhere."""
    return 10.0 * mask + np.random.default_rng(0).standard_normal(mask.shape)


def values(mask, image=None, spacing_mm=SPACING_MM):
    known = {"structures": {"lesion": 1}, "spacing_mm": spacing_mm, "image": image}
    return measure(mask, RULES, **known)


def broken(mask, image, spacing_mm=SPACING_MM):
    found = values(mask, image, spacing_mm)
    told = zip(RULES.names, found.tolist(), keeps(found, RULES), strict=True)
    return {name: value for name, value, kept in told if not kept}


def test_a_ball_keeps_every_rule():
    mask = ball()
    assert broken(mask, picture(mask)) == {}
    found = dict(zip(RULES.names, values(mask, picture(mask)), strict=True))
    n = np.count_nonzero(mask)
    assert found["volume_least"] == found["specks"] == 12 * n
    assert found["components"] == 1
    # 14 mm reach 4.67 slices to each side of the middle between two slices
    assert found["flat"] == 10
    assert found["contrast"] == pytest.approx(1, abs=1e-3)  # 10 sd apart


def test_holes_are_a_share_of_the_filled_lesion():
    mask = ball()
    n = np.count_nonzero(mask)
    n_hole = round(0.02 * n)
    mask[tuple(np.argwhere(ball(8.0))[:n_hole].T)] = False
    assert broken(mask, picture(mask)) == {"holes": n_hole / n}
    assert holes_of(mask).sum() == n_hole
    few = ball()
    few[10, 15, 15] = False
    assert broken(few, picture(few)) == {}


def holes_of(mask):
    rule = RULES.rules[RULES.names.index("holes")]
    return offending(mask, rule, structures={"lesion": 1}, spacing_mm=SPACING_MM)


def test_components_and_specks():
    mask = ball()
    mask[1:3, 1:4, 1:4] = True
    # 18 voxels of 12 mm3 are 216 mm3: a component, but no speck
    assert set(broken(mask, picture(ball()))) == {"components"}
    mask = ball()
    mask[1, 1:5, 1:3] = True
    found = broken(mask, picture(mask))
    assert found == {"components": 2.0, "specks": 96.0}
    rule = RULES.rules[RULES.names.index("specks")]
    known = {"structures": {"lesion": 1}, "spacing_mm": SPACING_MM}
    marked = offending(mask, rule, **known)
    assert marked[1, 1:5, 1:3].all()
    assert marked.sum() == 8
    # an edge is enough to be one component
    touching = ball()
    row = np.flatnonzero(touching[:, 15, 15])[0]
    touching[row - 1, 14, 14] = True
    assert broken(touching, picture(touching)) == {}


def test_one_slice_is_flat():
    mask = ball()
    mask[:10], mask[11:] = False, False
    assert broken(mask, picture(mask)) == {"flat": 1.0}
    mask = ball()
    mask[:9], mask[11:] = False, False
    assert broken(mask, picture(mask)) == {}
    # the only slice of a volume lies at the border of it
    assert set(broken(mask[10:11], picture(mask[10:11]))) == {"flat", "border"}


def test_an_area_that_jumps():
    mask = np.zeros((20, 30, 30), bool)
    mask[5:10, 5:15, 5:15] = True
    mask[10:14, 5:15, 5:9] = True
    found = broken(mask, picture(mask))
    assert found == {"area_jump": 0.6}
    rule = RULES.rules[RULES.names.index("area_jump")]
    known = {"structures": {"lesion": 1}, "spacing_mm": SPACING_MM}
    marked = offending(mask, rule, **known)
    assert np.flatnonzero(marked.any(axis=(1, 2))).tolist() == [9, 10]
    mask[10:14, 5:15, 5:10] = True
    assert broken(mask, picture(mask)) == {}


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("side", [0, -1])
def test_a_lesion_that_the_image_cuts(axis, side):
    mask = ball()
    away = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
    # cut so that the outermost layer of the lesion is that of the image
    part = slice(away[0], None) if side == 0 else slice(None, away[-1] + 1)
    cut = mask[(slice(None),) * axis + (part,)]
    layer = np.count_nonzero(np.moveaxis(cut, axis, 0)[side])
    assert broken(cut, picture(cut)) == {"border": layer}
    rule = RULES.rules[RULES.names.index("border")]
    known = {"structures": {"lesion": 1}, "spacing_mm": SPACING_MM}
    marked = offending(cut, rule, **known)
    assert np.moveaxis(marked, axis, 0)[side].sum() == layer == marked.sum()


def test_a_hook_is_not_convex():
    mask = np.zeros((20, 30, 30), bool)
    mask[5:10, 3:27, 3:7] = True
    mask[5:10, 23:27, 3:27] = True
    assert set(broken(mask, picture(mask))) == {"convexity"}
    thick = mask.copy()
    thick[5:10, 13:27, 3:27] = True
    assert broken(thick, picture(thick)) == {}


def test_sizes_that_no_lesion_has():
    small = np.zeros((20, 30, 30), bool)
    small[8:11, 10:14, 10:13] = True
    assert broken(small, picture(small)) == {"volume_least": 36 * 12}
    small[8:11, 10:14, 13] = True
    assert broken(small, picture(small)) == {}
    # the same voxels, 27 times as large, are a lesion
    assert broken(small[:, :, :], picture(small), (9.0, 6.0, 6.0)) == {}
    large = ball()
    n = np.count_nonzero(large)
    spacing_mm = (100.0, 100.0, 1.001 * 1e7 / 1e4 / n)
    assert set(broken(large, picture(large), spacing_mm)) == {"volume_most"}


def test_voxels_that_are_no_numbers():
    mask = ball()
    image = picture(mask)
    image[10, 15, 15], image[0, 0, 0] = np.nan, np.inf
    assert broken(mask, image) == {"not_finite": 1.0}
    # all of them: there is nothing to tell outliers and contrast from
    image[mask] = np.nan
    assert set(broken(mask, image)) == {"not_finite"}
    found = dict(zip(RULES.names, values(mask, image), strict=True))
    assert np.isnan(found["outliers"])
    assert np.isnan(found["contrast"])


def test_voxels_far_from_the_rest():
    mask = ball()
    image = picture(mask)
    inside = np.argwhere(mask)
    few = inside[: int(0.19 * len(inside))]
    image[tuple(few.T)] = 500
    assert broken(mask, image) == {}
    many = inside[: int(0.21 * len(inside)) + 1]
    image[tuple(many.T)] = 500
    found = broken(mask, image)
    assert found == {"outliers": len(many) / len(inside)}
    # a change of scale changes nothing
    assert broken(mask, -3 * image + 70) == found


def test_a_lesion_like_its_rim():
    mask = ball()
    image = picture(np.zeros_like(mask))
    found = values(mask, image)[RULES.names.index("contrast")]
    # two samples of some thousand voxels differ by about (1/n + 1/m) ** 0.5
    assert found < 0.06
    assert set(broken(mask, np.zeros(mask.shape))) == {"contrast"}
    # a tenth of the lesion above all of the rim
    image = np.zeros(mask.shape)
    inside = np.argwhere(mask)
    image[tuple(inside[: len(inside) // 10].T)] = 1
    found = values(mask, image)[RULES.names.index("contrast")]
    assert found == pytest.approx(len(inside) // 10 / len(inside))


def test_the_rim_is_five_millimeters_wide():
    mask = ball()
    within = {reach: mask.copy() for reach in (4.9, 5.0)}
    for step in np.ndindex(3, 5, 5):
        shift = np.subtract(step, (1, 2, 2))
        for reach, near in within.items():
            if np.linalg.norm(shift * SPACING_MM) <= reach:
                near |= np.roll(mask, tuple(shift), axis=(0, 1, 2))
    # one slice and two pixels on, a voxel is 5 mm away
    assert (within[4.9] != within[5.0]).any()
    place = RULES.names.index("contrast")
    assert values(mask, 1.0 * (mask | ~within[5.0]))[place] == 1
    assert values(mask, 1.0 * (mask | ~within[4.9]))[place] < 1


def test_without_an_image_intensities_have_no_verdict():
    mask = ball()
    found = values(mask)
    assert np.isnan(found[-3:]).all()
    assert np.isfinite(found[:-3]).all()
    assert keeps(found, RULES).all()
    empty = values(np.zeros((3, 4, 5), bool))
    assert np.isnan(empty).all()
    assert keeps(empty, RULES).tolist() == [False] * 9 + [True] * 3


def test_an_image_of_another_shape():
    with pytest.raises(GeometryError, match="the image has \\(3, 4, 4\\)"):
        values(np.ones((3, 4, 5), bool), np.zeros((3, 4, 4)))


def test_the_place_of_a_lesion_does_not_matter():
    mask = ball()
    mask[10, 15, 15] = False
    wide = np.pad(mask, ((4, 6), (5, 1), (0, 7)))
    np.testing.assert_array_equal(
        values(wide, np.pad(picture(mask), ((4, 6), (5, 1), (0, 7)))),
        values(mask, picture(mask)),
    )
