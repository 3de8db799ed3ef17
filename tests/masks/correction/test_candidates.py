"""Candidates: what is wrong is put right, what was right stays, the nearest leaves."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from radlatent.masks.correction import candidates as module
from radlatent.masks.correction.candidates import (
    Proposal,
    between,
    candidates,
    mend,
    propose,
    signed_distances,
    tidied,
)
from radlatent.masks.degradation.apply import degrade
from radlatent.masks.degradation.draws import degradation_mix
from radlatent.masks.overlap.dice import label_dice
from radlatent.masks.rules.rules import (
    broken_rules,
    keeps,
    measure,
    offending,
    rule_set,
)

STRUCTURES = {"RV": 1, "MYO": 2, "LV": 3}
VALUES = [1, 2, 3]
SPACING_MM = (1.5, 1.5)
RULES = rule_set("short_axis_16")
MIDDLE = (40, 46)


def away_from(place, shape=(80, 80)):
    """Return the distance of each pixel from a place, in pixels."""
    grid = np.moveaxis(np.indices(shape), 0, -1) - place
    return np.hypot(grid[..., 0], grid[..., 1])


def sound(cavity=12, wall=6):
    """Return a slice of a heart that keeps all rules."""
    outer = cavity + wall
    plane = np.zeros((80, 80), np.uint8)
    plane[away_from((MIDDLE[0], MIDDLE[1] - 0.8 * outer)) < outer] = 1
    plane[away_from(MIDDLE) < outer] = 2
    plane[away_from(MIDDLE) < cavity] = 3
    return plane


def n_broken(plane, structures=STRUCTURES):
    known = {"structures": structures, "spacing_mm": SPACING_MM}
    return int((~keeps(measure(plane, RULES, **known), RULES)).sum())


def wrong_in(plane):
    """Return the pixels that break rules, those of shapes left out where others are."""
    known = {"structures": STRUCTURES, "spacing_mm": SPACING_MM}
    found = {r.name: offending(plane, r, **known) for r in RULES.rules}
    narrow = [v for k, v in found.items() if not k.startswith(("conc", "circ"))]
    return [np.any(narrow, axis=0), np.any(list(found.values()), axis=0)]


def tried(plane, target):
    return candidates(
        plane, target, wrong_in(plane), values=VALUES, spacing_mm=SPACING_MM
    )


def flawed(kind):
    """Return the sound slice with a flaw, and where that is."""
    plane = sound()
    if kind == "hole":
        plane[39:42, 45:48] = 0
        return plane, MIDDLE
    if kind == "speck":
        plane[70:72, 70:72] = 3
        return plane, (71, 71)
    if kind == "opened ring":
        plane[37:44, 57:66] = 0
        return plane, (40, 61)
    plane[away_from((40, 64)) < 7] = 0
    return plane, (40, 64)


FLAWS = ["hole", "speck", "opened ring", "missing piece of the wall"]


class TestCandidates:
    def test_slices_that_are_drawn_are_sound(self):
        assert n_broken(sound()) == n_broken(sound(13)) == 0

    @pytest.mark.parametrize("kind", FLAWS)
    def test_flaw_is_mended_and_the_far_side_untouched(self, kind):
        plane, place = flawed(kind)
        assert n_broken(plane) > 0
        # what a prior decodes is right about the flaw, and off by a pixel elsewhere
        target = sound(13)
        far = away_from(place) * SPACING_MM[0] > 25
        assert (target != plane)[far].sum() > 50
        found = [each for each in tried(plane, target) if n_broken(each) == 0]
        untouched = [each for each in found if (each == plane)[far].all()]
        assert untouched
        best = max(label_dice(each, sound()) for each in untouched)
        assert best > label_dice(plane, sound())
        assert best > label_dice(target, sound()) + 0.05

    def test_background_that_the_target_fills_near_the_flaw_alone(self):
        plane, place = flawed("opened ring")
        near = away_from(place) * SPACING_MM[0] < 40
        filled = [
            each
            for each in tried(plane, sound(13))
            if (each[plane > 0] == plane[plane > 0]).all() and (each != plane).any()
        ]
        # pixels that had a label keep it, and what is added is the target's
        assert any(near[each != plane].all() for each in filled)
        for each in filled:
            added = each != plane
            assert (each[added] == sound(13)[added]).all()

    def test_last_goes_all_the_way_to_the_target(self):
        plane, _ = flawed("opened ring")
        np.testing.assert_array_equal(tried(plane, sound(9))[-1], sound(9))

    def test_arguments_are_left_alone(self):
        plane, _ = flawed("hole")
        before, target = plane.copy(), sound(13)
        tried(plane, target)
        np.testing.assert_array_equal(plane, before)
        np.testing.assert_array_equal(target, sound(13))

    def test_values_of_labels_do_not_count(self):
        table = np.array([0, 90, 7, 41], np.uint8)
        plane, _ = flawed("opened ring")
        wrong = wrong_in(plane)
        known = {"spacing_mm": SPACING_MM}
        one = candidates(plane, sound(13), wrong, values=[1, 2, 3], **known)
        two = candidates(
            table[plane], table[sound(13)], wrong, values=[90, 7, 41], **known
        )
        assert len(one) == len(two)
        for own, other in zip(one, two, strict=True):
            np.testing.assert_array_equal(table[own], other)

    def test_shape_and_type_are_those_of_the_slice(self):
        plane, _ = flawed("hole")
        for each in tried(plane.astype(np.int16), sound().astype(np.int16)):
            assert each.shape == plane.shape
            assert each.dtype == np.int16

    def test_empty_slices(self):
        empty = np.zeros((80, 80), np.uint8)
        [found] = tried(empty, empty)
        assert not found.any()
        both = tried(empty, sound())
        np.testing.assert_array_equal(both[0], empty)
        np.testing.assert_array_equal(both[-1], sound())
        gone = tried(flawed("hole")[0], empty)
        assert not gone[-1].any()


class TestTidied:
    def test_sound_slice_stays(self):
        np.testing.assert_array_equal(tidied(sound(), VALUES, least=1.0), sound())

    def test_small_components_go_and_large_ones_stay(self):
        plane = np.zeros((20, 20), np.uint8)
        plane[1:9, 1:9], plane[12:16, 12:16], plane[18, 18] = 2, 2, 2
        # 64, 16 and 1 of 81 pixels
        found = tidied(plane, [2], least=0.15)
        assert np.count_nonzero(found) == 80
        assert found[18, 18] == 0
        assert np.count_nonzero(tidied(plane, [2], least=0.25)) == 64
        assert np.count_nonzero(tidied(plane, [2], least=1.0)) == 64

    def test_corners_hold_components_together(self):
        plane = np.zeros((8, 8), np.uint8)
        plane[1:4, 1:4], plane[4, 4] = 1, 1
        np.testing.assert_array_equal(tidied(plane, [1], least=1.0), plane)

    def test_hole_takes_the_label_of_the_nearest_pixel(self):
        plane = sound()
        plane[40, 46], plane[40, 61] = 0, 0
        np.testing.assert_array_equal(tidied(plane, VALUES, least=1.0), sound())

    def test_ring_that_opens_at_a_corner_is_open(self):
        plane = np.zeros((9, 9), np.uint8)
        plane[2:7, 2:7], plane[3:6, 3:6], plane[2, 2] = 1, 0, 0
        np.testing.assert_array_equal(tidied(plane, [1], least=1.0), plane)

    def test_ring_at_the_edge_of_the_image_is_no_hole(self):
        plane = np.zeros((9, 9), np.uint8)
        plane[:4, 2:7], plane[:3, 3:6] = 1, 0
        np.testing.assert_array_equal(tidied(plane, [1], least=1.0), plane)

    def test_empty(self):
        empty = np.zeros((4, 4), int)
        found = tidied(empty, VALUES, least=1.0)
        assert not found.any()
        assert found is not empty


class TestDistances:
    def test_are_mm_to_the_border_positive_inside(self):
        plane = np.zeros((6, 10), int)
        plane[:, 4:] = 5
        found = signed_distances(plane, np.array([0, 5]), (3.0, 1.25))
        row = 1.25 * np.array([-4, -3, -2, -1, 1, 2, 3, 4, 5, 6])
        np.testing.assert_allclose(found[1], np.tile(row, (6, 1)))
        np.testing.assert_allclose(found[0], -found[1])
        along = signed_distances(plane.T, np.array([0, 5]), (3.0, 1.25))
        # 3 mm a row now, up to 15
        expected = np.clip(row * 3 / 1.25, -15, 15)
        np.testing.assert_allclose(along[1], np.tile(expected, (6, 1)).T)

    def test_class_that_is_not_there_or_everywhere(self):
        found = signed_distances(np.full((3, 4), 2), np.array([0, 2]), SPACING_MM)
        assert (found[0] == -15).all()
        assert (found[1] == 15).all()

    @pytest.mark.parametrize("shift", [(0, 0), (95, 0), (70, 120)])
    def test_are_those_of_the_whole_slice(self, shift):
        plane = np.zeros((150, 180), np.uint8)
        plane[:80, :80] = sound()
        plane = np.roll(plane, shift, (0, 1))
        # the image may end inside of a structure
        plane[:, 175:] = 0
        found = signed_distances(plane, np.array([0, *VALUES, 9]), (2.0, 1.25))
        for value, own in zip([0, *VALUES], found[:4], strict=True):
            inside = plane == value
            away = distance_transform_edt(inside, sampling=(2.0, 1.25))
            away -= distance_transform_edt(~inside, sampling=(2.0, 1.25))
            # float32
            np.testing.assert_allclose(own, np.clip(away, -15, 15), atol=1e-5)
        assert (found[4] == -15).all()

    def test_half_way_between_two_disks_is_a_disk_between(self):
        small, large = (
            (away_from((40, 40)) < radius).astype(np.uint8) for radius in (10, 20)
        )
        classes = np.array([0, 1])
        start = signed_distances(small, classes, (1, 1))
        change = signed_distances(large, classes, (1, 1)) - start
        np.testing.assert_array_equal(between(start, change, 0, classes), small)
        np.testing.assert_array_equal(between(start, change, 1, classes), large)
        for share in (0.3, 0.5, 0.7):
            area = between(start, change, share, classes).sum()
            # a disk of pixels is known to half a pixel
            assert np.sqrt(area / np.pi) == pytest.approx(10 + 10 * share, abs=0.5)

    def test_weight_of_a_pixel_counts_there(self):
        small, large = (
            (away_from((40, 40)) < radius).astype(np.uint8) for radius in (10, 20)
        )
        classes = np.array([0, 1])
        start = signed_distances(small, classes, (1, 1))
        change = signed_distances(large, classes, (1, 1)) - start
        weight = np.zeros((80, 80))
        weight[:, 40:] = 1
        found = between(start, change, weight, classes)
        np.testing.assert_array_equal(found[:, :40], small[:, :40])
        np.testing.assert_array_equal(found[:, 40:], large[:, 40:])


@pytest.fixture
def bad(drawn, rng):
    """Return broken slices, other hearts as targets, and what rules need to know."""
    known = {"structures": drawn.STRUCTURES, "spacing_mm": drawn.SPACING_MM}
    slices = {"structures": drawn.STRUCTURES, "spacing_mm": drawn.SPACING_MM[1:]}
    found = []
    for drawn_errors in degradation_mix(14, random_state=5):
        heart = drawn.draw_heart(rng, n_slices=2)
        changed = degrade(heart, drawn_errors, **known)
        broken = broken_rules(changed, RULES, **slices)
        found += [
            (plane, heart[1 - row], broken[row])
            for row, plane in enumerate(changed)
            if broken[row].any()
        ]
    return found, slices


def broken_by(plane, known):
    return int(broken_rules([plane], RULES, **known).sum())


def by_hand(plane, target, broken, known):
    """Return every candidate with what it breaks and how near it is.

    Those that lose a structure, more than half of one or invent one are left out.
    """
    wrong = {
        rule.name: offending(plane, rule, **known)
        for rule, is_broken in zip(RULES.rules, broken, strict=True)
        if is_broken
    }
    wide = np.any(list(wrong.values()), axis=0)
    pieces = [v for k, v in wrong.items() if not k.startswith(("conc", "circ"))]
    narrow = np.any(pieces, axis=0) if pieces else np.zeros_like(wide)
    places = [wide] if (narrow == wide).all() else [narrow, wide]
    values = list(known["structures"].values())
    tried = candidates(
        plane, target, places, values=values, spacing_mm=known["spacing_mm"]
    )
    pixels = 10 / np.prod(known["spacing_mm"])

    def has_the_same(other):
        sizes = [[(each == v).sum() for v in values] for each in (plane, other)]
        return all(
            (2 * after >= before or before <= pixels) if before else not after
            for before, after in zip(*sizes, strict=True)
        )

    return [
        (broken_by(e, known), -label_dice(e, plane) - 0.5 * label_dice(e, target), e)
        for e in tried
        if has_the_same(e)
    ]


@pytest.mark.slow
def test_proposal_is_the_nearest_of_those_that_break_the_fewest(bad):
    found, known = bad
    valid = 0
    for plane, target, broken in found[:12]:
        tried = by_hand(plane, target, broken, known)
        fewest, nearest, _ = min(tried, key=lambda each: each[:2])
        proposal = propose(plane, target, broken, RULES, **known)
        assert proposal.n_broken == fewest == broken_by(proposal.labels, known)
        assert proposal.kept_dice == label_dice(proposal.labels, plane)
        own = -proposal.kept_dice - 0.5 * label_dice(proposal.labels, target)
        assert own == nearest
        valid += fewest == 0
    assert valid >= 6


@pytest.mark.slow
def test_mended_slices_break_fewer_rules_or_are_the_slice(bad):
    found, known = bad
    mended = 0
    for plane, target, broken in found[:16]:
        kept, target_kept = plane.copy(), target.copy()
        proposal = mend(plane, [target], broken, RULES, **known)
        assert proposal.n_broken == broken_by(proposal.labels, known)
        assert proposal.n_broken <= broken.sum()
        assert proposal.kept_dice == label_dice(proposal.labels, plane)
        if proposal.n_broken == broken.sum():
            assert proposal.labels is plane
        once = propose(plane, target, broken, RULES, **known)
        assert proposal.n_broken <= once.n_broken
        mended += proposal.n_broken == 0
        np.testing.assert_array_equal(plane, kept)
        np.testing.assert_array_equal(target, target_kept)
    assert mended >= 8


def test_a_second_target_is_tried_where_the_first_is_of_no_use(drawn, rng):
    heart = drawn.draw_heart(rng, n_slices=1)[0]
    known = {"structures": drawn.STRUCTURES, "spacing_mm": (2.0, 2.0)}
    # a heart cut in halves; the first target lacks the same half
    rows = np.flatnonzero((heart == 3).any(axis=1))
    plane = heart.copy()
    plane[rows[len(rows) // 2] :] = 0
    broken = broken_rules([plane], RULES, **known)[0]
    assert broken.any()
    alone = mend(plane, [plane], broken, RULES, **known)
    both = mend(plane, [plane, heart], broken, RULES, **known)
    assert alone.n_broken > 0
    assert both.n_broken == 0
    assert label_dice(both.labels, heart) > label_dice(plane, heart)


@pytest.fixture
def blocks(drawn):
    """Return a slice, a target with two more columns, and what rules need to know."""
    plane, target = np.zeros((2, 20, 20), np.uint8)
    plane[:10, :10], target[:10, :12] = 3, 3
    return plane, target, {"structures": drawn.STRUCTURES, "spacing_mm": (1.0, 1.0)}


def test_nearness_to_the_target_counts_half(blocks, monkeypatch):
    plane, target, known = blocks
    away, toward = plane.copy(), plane.copy()
    away[0, :4], toward[:6, 10] = 0, 3
    monkeypatch.setattr(module, "candidates", lambda *_, **__: [away, toward])
    monkeypatch.setattr(
        module, "broken_rules", lambda *_, **__: np.zeros((1, 16), bool)
    )
    found = propose(plane, target, np.zeros(16, bool), RULES, **known)
    # 192/196 + 0.5 * 192/216 = 1.424 against 200/206 + 0.5 * 212/226 = 1.440
    np.testing.assert_array_equal(found.labels, toward)
    assert found.kept_dice == 200 / 206


def test_proposal_that_breaks_as_many_rules_is_not_taken(blocks, monkeypatch):
    plane, target, known = blocks
    broken = np.arange(16) < 2
    other = Proposal(target, 2, 0.9, 0.9)
    monkeypatch.setattr(module, "propose", lambda *_, **__: other)
    found = mend(plane, [target], broken, RULES, **known)
    assert found.labels is plane
    assert (found.n_broken, found.kept_dice) == (2, 1)


def test_second_step_starts_where_the_first_led_to(blocks, monkeypatch):
    plane, target, known = blocks
    between = plane.copy()
    between[:, 10] = 3
    starts = []

    def one_step(start, *_, **__):
        starts.append(start)
        if start is plane:
            return Proposal(between, 1, 0.5, 0.5)
        return Proposal(target, 0, 0.5, 0.5)

    monkeypatch.setattr(module, "propose", one_step)
    found = mend(plane, [target], np.arange(16) < 2, RULES, **known)
    assert [start.sum() for start in starts] == [plane.sum(), between.sum()]
    assert found.labels is target
    # of the slice that entered, not of where the step began
    assert found.kept_dice == 200 / 220


def test_valid_slice_needs_no_mending(drawn, rng):
    heart = drawn.draw_heart(rng, n_slices=1)[0]
    known = {"structures": drawn.STRUCTURES, "spacing_mm": (2.0, 2.0)}
    found = mend(heart, [heart], np.zeros(16, bool), RULES, **known)
    assert (found.n_broken, found.kept_dice) == (0, 1)
    np.testing.assert_array_equal(found.labels, heart)
