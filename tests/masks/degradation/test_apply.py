"""Degradations: drawn once, applied the same everywhere, as large as they say."""

import json
from dataclasses import asdict, replace
from math import pi

import numpy as np
import pytest
from scipy import ndimage

from radlatent.errors import SchemaError
from radlatent.imaging import read_volume
from radlatent.masks.degradation.apply import degrade
from radlatent.masks.degradation.draws import (
    KINDS,
    Degradation,
    degradation_mix,
    draw_degradations,
)

HEART = {"RV": 1, "MYO": 2, "LV": 3}
SPACING = (10.0, 1.5, 1.5)


def disk(radius, shape, center):
    rows, columns = np.indices(shape)
    return np.hypot(rows - center[0], columns - center[1]) <= radius


def heart(n_slices=6, shape=(110, 130)):
    """Return a ring around a disk, and a disk cut by the ring, smaller to one end."""
    planes = []
    for z in range(n_slices):
        scale = 1 - 0.08 * z
        plane = np.zeros(shape, np.uint8)
        plane[disk(20 * scale, shape, (55, 48))] = HEART["RV"]
        plane[disk(21 * scale, shape, (55, 72))] = HEART["MYO"]
        plane[disk(15 * scale, shape, (55, 72))] = HEART["LV"]
        planes.append(plane)
    return np.stack(planes)


def dice(one, other):
    """Return the mean over the structures that there are."""
    found = []
    for label in HEART.values():
        both = ((one == label) & (other == label)).sum()
        either = (one == label).sum() + (other == label).sum()
        if either:
            found.append(2 * both / either)
    return np.mean(found)


def degraded(labels, degradation, *, structures=HEART, spacing_mm=SPACING):
    return degrade(labels, degradation, structures=structures, spacing_mm=spacing_mm)


def lesion(radius=20, shape=(90, 90)):
    """Return one disk in one slice."""
    return disk(radius, shape, np.array(shape) / 2).astype(np.uint8)


def of_lesion(labels, degradation, spacing_mm=(1.0, 1.0)):
    return degraded(labels, degradation, structures={"GTV": 1}, spacing_mm=spacing_mm)


def n_components(inside):
    return ndimage.label(inside, np.ones((3,) * inside.ndim))[1]


@pytest.mark.parametrize("kind", [*KINDS, "all"])
def test_severity_zero_changes_nothing(kind):
    kinds = KINDS if kind == "all" else [kind]
    for drawn in draw_degradations(3, kinds=kinds, severity=(0, 0)):
        np.testing.assert_array_equal(degraded(heart(), drawn), heart())


@pytest.mark.parametrize("kind", KINDS)
def test_greater_severity_lowers_dice(kind):
    overlap = []
    for severity in (0, 0.4, 1, 2.5):
        drawn = draw_degradations(10, kinds=[kind], severity=(severity, severity))
        overlap.append(np.mean([dice(degraded(heart(), d), heart()) for d in drawn]))
    assert (np.diff(overlap) < 0).all(), overlap


def test_the_same_degradation_gives_identical_bytes():
    [drawn] = draw_degradations(1, severity=(1, 1))
    again = Degradation(**json.loads(json.dumps(asdict(drawn))))
    assert again == drawn
    first, second = degraded(heart(), drawn), degraded(heart(), again)
    assert first.tobytes() == second.tobytes()
    other = degraded(heart(), replace(drawn, seed=drawn.seed + 1))
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64])
def test_labels_keep_their_type_and_are_left_as_they_were(dtype):
    labels = heart().astype(dtype)
    labels.flags.writeable = False
    for drawn in draw_degradations(3, severity=(1, 1)):
        found = degraded(labels, drawn)
        assert found.dtype == dtype
        assert found.shape == labels.shape
        assert set(np.unique(found)) <= {0, 1, 2, 3}
    assert degraded(labels, Degradation()) is not labels


def test_a_slice_is_a_volume_of_one_slice():
    for drawn in draw_degradations(3, severity=(1, 1)):
        plane = degraded(heart()[0], drawn, spacing_mm=SPACING[1:])
        volume = degraded(heart()[:1], drawn)
        np.testing.assert_array_equal(plane, volume[0])


def test_booleans_of_one_lesion_stay_booleans():
    inside = lesion() > 0
    found = of_lesion(inside, Degradation(missing_piece=6))
    assert found.dtype == bool
    assert (found <= inside).all()


def test_labels_may_have_any_values():
    values = {"RV": 40, "MYO": 200, "LV": 7}
    # in the order of the labels: LV, RV, MYO
    table = np.zeros(256, np.uint8)
    table[[7, 40, 200]] = [1, 2, 3]
    back = np.array([0, 7, 40, 200], np.uint8)
    order = {"LV": 1, "RV": 2, "MYO": 3}
    labels = np.array([0, 40, 200, 7], np.uint8)[heart()]
    for drawn in draw_degradations(3, severity=(1, 1)):
        found = degraded(labels, drawn, structures=values)
        plain = degraded(table[labels], drawn, structures=order)
        np.testing.assert_array_equal(found, back[plain])


def test_a_crop_with_room_around_it_changes_nothing():
    large = np.pad(heart(), ((0, 0), (70, 70), (70, 70)))
    part = np.pad(heart(), ((0, 0), (60, 65), (65, 60)))
    for drawn in draw_degradations(4, severity=(1, 1)):
        found = degraded(large, drawn)[:, 10:-5, 5:-10]
        np.testing.assert_array_equal(found, degraded(part, drawn))


def moves_of_a_straight_border(drawn, spacing_mm=(50.0, 1.0, 1.0), n_slices=60):
    """Return by how many mm the border of a half plane moves, slice by column."""
    labels = np.zeros((n_slices, 80, 160), np.uint8)
    labels[:, :40] = 1
    found = degraded(labels, drawn, structures={"GTV": 1}, spacing_mm=spacing_mm)
    # away from the sides, where the mask ends
    return (found.sum(axis=1, dtype=int) - 40)[:, 30:-30]


@pytest.mark.parametrize("size_mm", [1.0, 3.0])
def test_borders_move_by_the_standard_deviation_drawn(size_mm):
    moves = moves_of_a_straight_border(Degradation(boundary=size_mm))
    # 60 slices of about 7 independent places: an error of 3.5 % of the sd; rounding to
    # pixels adds 1 / 12
    found = np.sqrt(moves.var() - 1 / 12)
    assert found == pytest.approx(size_mm, rel=0.09)
    # four standard errors of the mean
    assert abs(moves.mean()) < 4 * size_mm / np.sqrt(60 * 7)


def test_borders_move_together_in_neighboring_slices_only():
    drawn = Degradation(boundary=3.0)
    for z_mm, expected in ((1.0, 1.0), (10.0, np.exp(-100 / (4 * 49))), (50.0, 0.0)):
        moves = moves_of_a_straight_border(drawn, (z_mm, 1.0, 1.0), 200)
        found = np.corrcoef(moves[1:].ravel(), moves[:-1].ravel())[0, 1]
        # of about 200 * 7 places, fewer of slices that move together
        assert found == pytest.approx(expected, abs=0.12)


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0), (0.8, 1.6)])
def test_a_hole_has_its_size_and_a_closed_rim(spacing_mm):
    inside = lesion(30)
    areas = []
    for seed in range(20):
        drawn = Degradation(hole=6.0, seed=seed)
        found = of_lesion(inside, drawn, spacing_mm)
        np.testing.assert_array_equal(ndimage.binary_fill_holes(found), inside > 0)
        assert n_components((inside > 0) & (found == 0)) == 1
        areas.append((inside.sum() - found.sum()) * np.prod(spacing_mm))
    # a disk of 6 mm on pixels, each by a few of 113
    np.testing.assert_allclose(areas, pi * 36, rtol=0.08)
    assert np.mean(areas) == pytest.approx(pi * 36, rel=0.02)


def test_a_hole_in_a_thin_wall_leaves_the_wall_closed():
    plane = heart()[0]
    for seed in range(30):
        found = degraded(plane, Degradation(hole=8.0, seed=seed), spacing_mm=(1.5, 1.5))
        gone = (plane > 0) & (found == 0)
        assert gone.any()
        [label] = np.unique(plane[gone])
        # nothing but its own structure around it
        around = ndimage.binary_dilation(gone, np.ones((3, 3))) & ~gone
        assert (plane[around] == label).all()


def test_an_island_has_its_size_and_touches_nothing():
    plane, areas = heart()[0], []
    for seed in range(20):
        found = degraded(
            plane, Degradation(extra_piece=6.0, seed=seed), spacing_mm=(1.5, 1.5)
        )
        gained = found != plane
        assert (plane[gained] == 0).all()
        assert len(np.unique(found[gained])) == 1
        assert n_components(found > 0) == 2
        areas.append(gained.sum() * 2.25)
    # 50 pixels, each island by a few
    np.testing.assert_allclose(areas, pi * 36, atol=4 * 2.25)


def test_an_island_without_room_is_left_out():
    full = np.ones((40, 40), np.uint8)
    found = of_lesion(full, Degradation(extra_piece=6.0))
    np.testing.assert_array_equal(found, full)


def test_a_missing_piece_lies_at_the_rim_and_goes_to_the_neighbor():
    plane, neighbors = heart()[0], set()
    for seed in range(40):
        found = degraded(
            plane, Degradation(missing_piece=8.0, seed=seed), spacing_mm=(1.5, 1.5)
        )
        lost = found != plane
        [label], [neighbor] = np.unique(plane[lost]), np.unique(found[lost])
        assert 0 < lost.sum() * 2.25 <= 1.1 * pi * 64
        # it touches what it became
        around = ndimage.binary_dilation(lost, np.ones((3, 3))) & ~lost
        assert neighbor in plane[around]
        neighbors.add((int(label), int(neighbor)))
    # the cavity only ever borders on the wall
    assert {pair for pair in neighbors if pair[0] == 3} == {(3, 2)}
    assert {(1, 0), (2, 0)} <= neighbors


def test_half_of_a_piece_lies_within_a_straight_rim():
    plane = np.zeros((60, 200), np.uint8)
    plane[30:] = 1
    lost = []
    for seed in range(60):
        drawn = Degradation(missing_piece=8.0, seed=seed)
        found = of_lesion(plane, drawn)
        rows = np.flatnonzero((found != plane).any(axis=1))
        if rows[0] == 30 and rows[-1] < 50:
            lost.append(plane.sum() - found.sum())
    # and the row of the rim itself, 16 pixels; lobes vary by a fifth
    assert np.mean(lost) == pytest.approx(pi * 64 / 2 + 8, rel=0.08)


def test_a_leak_grows_one_structure_over_its_rim():
    plane = heart()[0]
    gains = {0: 0, 1: 0, 2: 0, 3: 0}
    for seed in range(40):
        found = degraded(plane, Degradation(leak=6.0, seed=seed), spacing_mm=(1.5, 1.5))
        changed = found != plane
        [label] = np.unique(found[changed])
        assert 0 < changed.sum() * 2.25 <= 1.1 * pi * 36
        # it stays one with the structure, part of which it is
        assert n_components(found == label) == 1
        gains[int(label)] += 1
    assert gains[0] == 0
    assert min(gains[label] for label in (1, 2, 3)) > 0


def test_a_swapped_piece_keeps_the_outline_of_all():
    plane = heart()[0]
    for seed in range(20):
        found = degraded(plane, Degradation(swap=8.0, seed=seed), spacing_mm=(1.5, 1.5))
        np.testing.assert_array_equal(found > 0, plane > 0)
        changed = found != plane
        assert len(np.unique(plane[changed])) == len(np.unique(found[changed])) == 1


def test_one_structure_has_none_to_swap_with():
    found = of_lesion(lesion(), Degradation(swap=8.0))
    np.testing.assert_array_equal(found, lesion())


@pytest.mark.parametrize("size_mm", [3.0, 9.0])
def test_a_shifted_structure_moves_by_mm(size_mm):
    spacing_mm = (1.0, 2.0)
    for seed in range(10):
        found = of_lesion(lesion(15), Degradation(shift=size_mm, seed=seed), spacing_mm)
        assert found.sum() == lesion(15).sum()
        middle = [np.argwhere(x).mean(axis=0) * spacing_mm for x in (found, lesion(15))]
        # rounded to pixels: half a pixel of 1 mm and half of one of 2 mm
        assert np.hypot(*(middle[0] - middle[1])) == pytest.approx(size_mm, abs=1.12)


def test_what_a_structure_leaves_is_given_to_its_neighbors():
    plane, kinds = heart()[0], set()
    for seed in range(40):
        found = degraded(
            plane, Degradation(shift=4.5, seed=seed), spacing_mm=(1.5, 1.5)
        )
        left = (plane == HEART["LV"]) & (found != HEART["LV"])
        kept = [((found == k).sum() == (plane == k).sum()) for k in (1, 2, 3)]
        kinds.add("all" if all(kept) else "one")
        # the wall around the cavity takes its place: no gap between them
        if not all(kept) and left.any() and (found[plane == 1] == 1).all():
            assert set(np.unique(found[left])) <= {2, 1}
    assert kinds == {"all", "one"}


def test_as_many_pixels_are_specks_as_drawn():
    found = degraded(heart(), Degradation(specks=9, seed=2))
    changed = found != heart()
    assert changed.sum(axis=(1, 2)).tolist() == [9] * 6
    # near the foreground: within 6 mm of its box, 4 pixels
    rows, columns = np.nonzero(changed[0])
    whole = np.minimum(heart()[0], 1)
    box = [(p.start, p.stop) for p in ndimage.find_objects(whole)[0]]
    assert box[0][0] - 4 <= rows.min() <= rows.max() < box[0][1] + 4
    assert box[1][0] - 4 <= columns.min() <= columns.max() < box[1][1] + 4


def test_slices_go_missing_at_one_end():
    ends, labels = set(), set()
    for seed in range(40):
        found = degraded(heart(), Degradation(missing_slices=2, seed=seed))
        changed = np.flatnonzero((found != heart()).any(axis=(1, 2))).tolist()
        assert changed in ([0, 1], [4, 5])
        ends.add(changed[0])
        gone = np.unique(heart()[found != heart()]).tolist()
        assert gone in ([1], [2], [3], [1, 2, 3])
        labels.add(tuple(gone))
        assert (found[changed][heart()[changed] == gone[0]] == 0).all()
    assert (len(ends), len(labels)) == (2, 4)


def test_one_slice_never_goes_missing():
    plane = heart()[0]
    drawn = Degradation(missing_slices=3)
    found = degraded(plane, drawn, spacing_mm=(1.5, 1.5))
    np.testing.assert_array_equal(found, plane)
    volume = degraded(heart(3), Degradation(missing_slices=9))
    assert [(volume == label).any() for label in (1, 2, 3)] == [True] * 3


@pytest.mark.parametrize(("share", "n"), [(0.01, 1), (0.5, 3), (1.0, 6)])
def test_a_share_of_neighboring_slices_is_reached(share, n):
    starts = set()
    for seed in range(12):
        drawn = Degradation(hole=4.0, share=share, seed=seed)
        changed = (degraded(heart(), drawn) != heart()).any(axis=(1, 2))
        slices = np.flatnonzero(changed)
        assert slices.tolist() == list(range(slices[0], slices[0] + n))
        starts.add(slices[0])
    assert len(starts) > 1 or n == 6


def test_masks_without_room_for_an_error_are_no_error():
    rng = np.random.default_rng(0)
    for drawn in draw_degradations(60, severity=(0.2, 3.0)):
        labels = np.zeros(rng.integers(1, 9, 3), np.uint8)
        for _ in range(rng.integers(1, 5)):
            labels[tuple(rng.integers(labels.shape))] = rng.integers(1, 4)
        found = degraded(labels, drawn)
        assert found.shape == labels.shape
        assert set(np.unique(found)) <= {0, 1, 2, 3}


def test_an_empty_mask_stays_empty():
    empty = np.zeros((3, 20, 20), np.uint8)
    [drawn] = draw_degradations(1, severity=(1, 1))
    assert not degraded(empty, drawn).any()


def test_draws_depend_on_the_seed_alone():
    for draw in (draw_degradations, degradation_mix):
        drawn = draw(3, random_state=5)
        assert drawn == draw(5, random_state=5)[:3]
        assert drawn != draw(3, random_state=6)


def test_kinds_left_out_change_nothing_else():
    every = draw_degradations(4)
    for number, one in enumerate(draw_degradations(4, kinds=["leak", "specks"])):
        expected = Degradation(
            leak=every[number].leak, specks=every[number].specks, seed=one.seed
        )
        assert one == expected
        assert one.seed == every[number].seed


def test_kinds_left_out_leave_the_others_in_their_places():
    both = degraded(heart(), Degradation(hole=4.0, missing_slices=1, seed=3))
    alone = degraded(heart(), Degradation(hole=4.0, seed=3))
    same = (both == alone).all(axis=(1, 2))
    assert np.count_nonzero(~same) == 1


def test_severity_is_the_size_of_every_kind():
    [low], [high] = (draw_degradations(1, severity=(s, s)) for s in (0.5, 1.0))
    assert (high.boundary, high.missing_piece, high.specks) == (2.5, 10.0, 10)
    assert (low.boundary, low.missing_piece, low.missing_slices) == (1.25, 5.0, 1)


def test_masks_have_seeds_of_their_own():
    [drawn] = draw_degradations(1)
    names = (("a", "ED"), ("a", "ES"), ("b", "ED"))
    assert len({drawn.for_mask(*name).seed for name in names}) == 3
    assert drawn.for_mask("a", "ED") == drawn.for_mask("a", "ED")
    assert replace(drawn.for_mask("a"), seed=drawn.seed) == drawn


def test_a_mix_has_untouched_and_badly_broken_masks():
    overlap = np.array(
        [dice(degraded(heart(), d), heart()) for d in degradation_mix(60)]
    )
    # one of ten, by a binomial of 60 draws
    assert 1 <= np.count_nonzero(overlap == 1) <= 16
    assert overlap.min() < 0.6
    assert np.median(overlap) > 0.8
    assert {k for d in degradation_mix(60) for k in KINDS if getattr(d, k)} == {*KINDS}


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"n": 0}, "n is 0"),
        ({"n": 2, "kinds": ["hoel"]}, "did you mean 'hole'"),
        ({"n": 2, "kinds": "hole"}, "Draw 1 or more"),
        ({"n": 2, "kinds": []}, "boundary"),
        ({"n": 2, "severity": (1.0, 0.5)}, "lowest and the highest"),
        ({"n": 2, "severity": (-1.0, 0.5)}, "lowest and the highest"),
    ],
)
def test_draws_that_make_no_sense_are_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        draw_degradations(**arguments)
    with pytest.raises(ValueError, match="n is 0"):
        degradation_mix(0)


@pytest.mark.parametrize(
    "fields",
    [
        {"boundary": -1.0},
        {"hole": float("nan")},
        {"specks": 1.5},
        {"share": 0.0},
        {"share": 1.5},
        {"seed": -1},
    ],
)
def test_degradations_that_cannot_be_are_refused(fields):
    with pytest.raises(ValueError, match="give finite numbers"):
        Degradation(**fields)


def test_labels_that_no_structure_has_are_refused():
    with pytest.raises(SchemaError, match=r"labels \[3\] besides those of structures"):
        degraded(heart(), Degradation(), structures={"RV": 1, "MYO": 2})


@pytest.mark.parametrize("structures", [{}, {"RV": 0}, {"RV": 1, "LV": 1}])
def test_structures_that_share_a_label_or_have_none_are_refused(structures):
    empty = np.zeros((2, 9, 9), int)
    with pytest.raises(SchemaError, match="a whole label of its own above 0"):
        degraded(empty, Degradation(), structures=structures)


def test_structures_that_are_absent_never_appear():
    labels = np.where(heart() == HEART["RV"], 0, heart())
    more = HEART | {"LA": 300}
    for drawn in draw_degradations(6, severity=(1, 1)):
        found = degraded(labels, drawn, structures=more)
        assert set(np.unique(found)) <= {0, HEART["MYO"], HEART["LV"]}


@pytest.mark.parametrize("labels", [np.zeros((2, 3, 4)), np.zeros(5, int)])
def test_what_is_no_mask_is_refused(labels):
    with pytest.raises(ValueError, match=r"Give integer labels|Give \(z, y, x\)"):
        degraded(labels, Degradation())


@pytest.mark.parametrize("spacing_mm", [(1.5, 1.5), (10, 0, 1.5), (10, 1.5, np.nan)])
def test_spacings_that_do_not_fit_are_refused(spacing_mm):
    with pytest.raises(ValueError, match="Give 3 positive numbers in mm"):
        degraded(heart(), Degradation(), spacing_mm=spacing_mm)


@pytest.mark.real
@pytest.mark.slow
def test_a_mix_of_hearts_is_as_broken_as_the_docstring_says(real_data):
    paths = sorted((real_data / "acdc" / "training").glob("*/*_gt.nii.gz"))
    overlap = []
    for path, drawn in zip(paths, degradation_mix(len(paths)), strict=True):
        volume = read_volume(path)
        labels = volume.array.astype(np.uint8)
        found = degraded(labels, drawn, spacing_mm=volume.spacing_mm)
        overlap += [
            dice(one, other)
            for one, other in zip(found, labels, strict=True)
            if other.any()
        ]
    # about 1500 slices of 160 draws: two standard errors
    assert np.mean(overlap) == pytest.approx(0.86, abs=0.02)
    assert np.mean(np.less(overlap, 0.7)) == pytest.approx(0.16, abs=0.04)
    assert np.mean(np.equal(overlap, 1)) == pytest.approx(0.17, abs=0.05)
