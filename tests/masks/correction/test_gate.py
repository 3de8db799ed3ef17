"""The gate: the nearest valid candidate, never more broken rules, a Dice that holds."""

from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from radlatent.imaging import Volume  # noqa: E402
from radlatent.masks.correction import gate  # noqa: E402
from radlatent.masks.correction.candidates import candidates  # noqa: E402
from radlatent.masks.degradation.apply import degrade  # noqa: E402
from radlatent.masks.degradation.draws import degradation_mix  # noqa: E402
from radlatent.masks.labels import LabelMap  # noqa: E402
from radlatent.masks.overlap.dice import label_dice  # noqa: E402
from radlatent.masks.prior.frame import Frame, place, to_frame  # noqa: E402
from radlatent.masks.rules.rules import broken_rules, offending, rule_set  # noqa: E402

RULES = rule_set("short_axis_16")


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


def n_broken(plane, known):
    return int(broken_rules([plane], RULES, **known).sum())


def by_hand(plane, target, broken, known):
    """Return every candidate with what it breaks and how near it is."""
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
    return [
        (n_broken(e, known), -label_dice(e, plane) - 0.5 * label_dice(e, target), e)
        for e in tried
    ]


@pytest.mark.slow
def test_proposal_is_the_nearest_of_those_that_break_the_fewest(bad):
    found, known = bad
    valid = 0
    for plane, target, broken in found[:12]:
        tried = by_hand(plane, target, broken, known)
        fewest, nearest, _ = min(tried, key=lambda each: each[:2])
        proposal = gate.propose(plane, target, broken, RULES, **known)
        assert proposal.n_broken == fewest == n_broken(proposal.labels, known)
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
        proposal = gate.mend(plane, [target], broken, RULES, **known)
        assert proposal.n_broken == n_broken(proposal.labels, known)
        assert proposal.n_broken <= broken.sum()
        assert proposal.kept_dice == label_dice(proposal.labels, plane)
        if proposal.n_broken == broken.sum():
            assert proposal.labels is plane
        once = gate.propose(plane, target, broken, RULES, **known)
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
    alone = gate.mend(plane, [plane], broken, RULES, **known)
    both = gate.mend(plane, [plane, heart], broken, RULES, **known)
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
    monkeypatch.setattr(gate, "candidates", lambda *_, **__: [away, toward])
    monkeypatch.setattr(gate, "broken_rules", lambda *_, **__: np.zeros((1, 16), bool))
    found = gate.propose(plane, target, np.zeros(16, bool), RULES, **known)
    # 192/196 + 0.5 * 192/216 = 1.424 against 200/206 + 0.5 * 212/226 = 1.440
    np.testing.assert_array_equal(found.labels, toward)
    assert found.kept_dice == 200 / 206


def test_proposal_that_breaks_as_many_rules_is_not_taken(blocks, monkeypatch):
    plane, target, known = blocks
    broken = np.arange(16) < 2
    other = gate.Proposal(target, 2, 0.9)
    monkeypatch.setattr(gate, "propose", lambda *_, **__: other)
    found = gate.mend(plane, [target], broken, RULES, **known)
    assert found.labels is plane
    assert (found.n_broken, found.kept_dice) == (2, 1)


def test_second_step_starts_where_the_first_led_to(blocks, monkeypatch):
    plane, target, known = blocks
    between = plane.copy()
    between[:, 10] = 3
    starts = []

    def propose(start, *_, **__):
        starts.append(start)
        if start is plane:
            return gate.Proposal(between, 1, 0.5)
        return gate.Proposal(target, 0, 0.5)

    monkeypatch.setattr(gate, "propose", propose)
    found = gate.mend(plane, [target], np.arange(16) < 2, RULES, **known)
    assert [start.sum() for start in starts] == [plane.sum(), between.sum()]
    assert found.labels is target
    # of the slice that entered, not of where the step began
    assert found.kept_dice == 200 / 220


def test_valid_slice_needs_no_mending(drawn, rng):
    heart = drawn.draw_heart(rng, n_slices=1)[0]
    known = {"structures": drawn.STRUCTURES, "spacing_mm": (2.0, 2.0)}
    found = gate.mend(heart, [heart], np.zeros(16, bool), RULES, **known)
    assert (found.n_broken, found.kept_dice) == (0, 1)
    np.testing.assert_array_equal(found.labels, heart)


class TestLeastDice:
    """One of 100 slices may come to harm: of 300 three, of 99 none."""

    KEPT = np.array([0.80, 0.95, 0.70, 0.90, 0.75, 0.85])
    BEFORE = np.full(6, 0.9)

    def harmed(self, *kept):
        return np.where(np.isin(self.KEPT, kept), 0.5, 0.95)

    def test_is_the_lowest_with_few_enough_harmed_above_it(self):
        after = self.harmed(0.90, 0.85, 0.80, 0.75)
        assert gate.least_dice(self.KEPT, self.BEFORE, after, 300) == 0.80
        assert gate.least_dice(self.KEPT, self.BEFORE, after, 99) == 0.95

    def test_is_the_lowest_of_all_where_no_harm_is_done(self):
        after = self.harmed()
        assert gate.least_dice(self.KEPT, self.BEFORE, after, 10) == 0.70

    def test_a_proposal_after_the_last_harmed_counts_again(self):
        after = self.harmed(0.95, 0.75)
        assert gate.least_dice(self.KEPT, self.BEFORE, after, 100) == 0.80
        assert gate.least_dice(self.KEPT, self.BEFORE, after, 200) == 0.70

    def test_equal_proposals_pass_together_or_not_at_all(self):
        kept = np.array([0.95, 0.90, 0.90, 0.90])
        before = np.full(4, 0.9)
        after = before - [0, 0, 0.1, 0.1]
        assert gate.least_dice(kept, before, after, 100) == 0.95
        assert gate.least_dice(kept, before, after, 200) == 0.90

    def test_nothing_passes_where_even_the_nearest_harms(self):
        after = self.harmed(0.95)
        assert gate.least_dice(self.KEPT, self.BEFORE, after, 99) > 1

    def test_nothing_passes_where_nothing_was_proposed(self):
        empty = np.zeros(0)
        assert gate.least_dice(empty, empty, empty, 50) > 1

    def test_harm_begins_beyond_two_hundredths(self):
        kept, before = np.array([0.9]), np.array([0.75])
        for loss, passes in ((0.015, True), (0.025, False)):
            found = gate.least_dice(kept, before, before - loss, 10)
            assert (found == 0.9) == passes

    def test_slices_without_a_reference_count_as_unharmed(self):
        nothing = np.array([np.nan])
        assert gate.least_dice(np.array([0.9]), np.array([0.0]), nothing, 10) == 0.9


def prior_of(maps):
    """Return a prior whose latents are numbers of maps."""
    return SimpleNamespace(
        structures_=("LV", "MYO", "RV"),
        decode=lambda z: maps[np.rint(z[:, 0]).astype(int)],
    )


class TestRedraw:
    @pytest.fixture
    def scene(self, drawn, rng):
        """Return two hearts as one mask, with other labels, and maps of its slices."""
        structures = {"LV": 50, "RV": 7, "MYO": 60}
        labels = np.array([0, 7, 60, 50], np.uint8)[drawn.draw_heart(rng)]
        mask = LabelMap(Volume(labels, drawn.SPACING_MM), structures)
        known = {"structures": structures, "spacing_mm": drawn.SPACING_MM}
        placement = place(labels, Frame(), **known)
        maps = to_frame(labels, placement, [50, 60, 7])
        encoded = SimpleNamespace(placement=placement, mean=np.array([[0], [1.0], [2]]))
        return mask, maps, encoded

    def test_own_latents_come_back_on_the_grid_with_the_labels(self, scene):
        mask, maps, encoded = scene
        found = gate.redraw(mask, prior_of(maps), encoded, [2, 0], None)
        assert found.dtype == mask.array.dtype
        assert set(np.unique(found)) == {0, 7, 50, 60}
        for drawn, row in zip(found, (2, 0), strict=True):
            # through pixels of 2.5 mm and back, on pixels of 2 mm
            assert label_dice(drawn, mask.array[row]) > 0.95

    def test_of_a_bank_the_nearest_is_decoded(self, scene):
        mask, maps, encoded = scene
        bank = np.array([[2.4], [0.8]])
        found = gate.redraw(mask, prior_of(maps), encoded, [0, 1, 2], bank)
        own = gate.redraw(mask, prior_of(maps), encoded, [0, 1, 2], None)
        # 0 is nearest to 0.8, which is the map of 1; it lies where slice 0 does
        assert label_dice(found[0], own[1]) > 0.9
        np.testing.assert_array_equal(found[1:], own[1:])

    def test_no_rows(self, scene):
        mask, maps, encoded = scene
        found = gate.redraw(mask, prior_of(maps), encoded, [], np.zeros((2, 1)))
        assert found.shape == (0, 64, 64)
