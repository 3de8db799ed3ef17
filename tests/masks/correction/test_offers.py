"""Offers for slices: no structure is lost or invented against its neighbors."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch")

from radlatent.cohort.labels import LabelMap
from radlatent.imaging import Volume
from radlatent.masks.correction.candidates import swept
from radlatent.masks.correction.offers import interpolated, offers, repairs
from radlatent.masks.correction.plausibility import Examined
from radlatent.masks.overlap.dice import label_dice
from radlatent.masks.prior.frame import Frame, outside_share, place
from radlatent.masks.rules.rules import broken_rules, rule_set

RULES = rule_set("short_axis_16")
RV, MYO, LV = 1, 2, 3
STRUCTURES = {"RV": RV, "MYO": MYO, "LV": LV}
MM, N = 2.0, 96
LEGEND = {"structures": STRUCTURES, "spacing_mm": (8.0, MM, MM)}
ROWS, COLUMNS = np.indices((N, N)) * MM


def disk(row, column, radius):
    return np.hypot(ROWS - row, COLUMNS - column) < radius


def heart(rv="whole", *, scale=1.0):
    """Return a slice whose right ventricle is whole, missing, in pieces or apart."""
    plane = np.zeros((N, N), np.uint8)
    if rv == "whole":
        plane[np.hypot((ROWS - 96) / 1.3, COLUMNS - 72) < 26 * scale] = RV
    if rv == "two pieces":
        plane[disk(70, 58, 5) | disk(122, 66, 6)] = RV
    if rv == "apart":
        plane[disk(96, 63, 6)] = RV
    plane[disk(96, 105, 31 * scale)] = MYO
    plane[disk(96, 105, 22 * scale)] = LV
    return plane


def with_island(plane, value=MYO):
    plane = plane.copy()
    plane[disk(20, 175, 6)] = value
    return plane


def without(plane, *values):
    return np.where(np.isin(plane, values), 0, plane).astype(plane.dtype)


def offered(*planes, target=None):
    """Return the offers for a stack, by place; a target for every slice is drawn."""
    array = np.stack(planes)
    mask = LabelMap(Volume(array, LEGEND["spacing_mm"]), STRUCTURES)
    places = np.flatnonzero(array.any(axis=(1, 2)))
    broken = broken_rules(array[places], RULES, **mask.slice_legend)
    table = pd.DataFrame({"outside_share": 0.0}, index=pd.Index(places, name="slice"))
    placed = SimpleNamespace(placement=SimpleNamespace(slices=places))

    def draw(mask, examined, rows):
        own = mask.array[examined.places[rows]]
        return [own if target is None else np.repeat(target[None], len(rows), 0)]

    examined = Examined(placed, broken, table)
    asked = repairs(mask.array, **mask.legend)
    found = offers(mask, examined, RULES, draw, asked)
    return {o.place: o for o in found if not o.refusal}


def count(plane):
    return {name: int((plane == value).sum()) for name, value in STRUCTURES.items()}


class TestNothingIsDeleted:
    """A target without the structure would be the cheapest way to keep all rules."""

    @pytest.mark.parametrize("kind", ["two pieces", "apart"])
    def test_right_ventricle(self, kind):
        plane = heart(kind)
        # in the first slice nobody says what belongs there
        found = offered(plane, heart(), target=heart("missing"))
        for offer in found.values():
            assert 2 * count(offer.proposal.labels)["RV"] >= count(plane)["RV"]

    def test_left_ventricle(self):
        plane = heart()
        plane[disk(96, 122, 12)] = 0  # open through the wall
        solid = np.where(plane == LV, MYO, plane).astype(plane.dtype)
        for target in (solid, without(heart(), LV), without(heart(), LV, MYO)):
            for offer in offered(plane, heart(), target=target).values():
                assert 2 * count(offer.proposal.labels)["LV"] >= count(plane)["LV"]

    def test_nor_invented(self):
        plane = heart("missing")
        plane[46:50, 50:54] = 0  # a hole in the cavity
        [offer] = offered(plane, heart("missing"), target=heart()).values()
        assert offer.proposal.n_broken == 0
        assert count(offer.proposal.labels)["RV"] == 0

    def test_specks_may_go(self):
        plane = heart("missing")
        plane[5, 5] = RV
        [offer] = offered(plane, heart(), target=heart("missing")).values()
        np.testing.assert_array_equal(offer.proposal.labels, heart("missing"))

    def test_least_kept_is_of_the_structure_that_is_kept_least(self):
        plane = heart("missing")
        plane[disk(96, 57, 8)] = RV
        [offer] = offered(plane, heart(), target=heart()).values()
        joined = offer.proposal
        assert joined.kept_least < 0.9 < joined.kept_dice
        assert joined.kept_dice == label_dice(joined.labels, plane)


class TestNeighbors:
    @pytest.mark.parametrize("kind", ["two pieces", "apart", "missing"])
    def test_right_ventricle_comes_back(self, kind):
        [offer] = offered(heart(), heart(kind), heart()).values()
        assert offer.place == 1
        assert "RV is brought back" in offer.proposal.reason
        np.testing.assert_array_equal(offer.proposal.labels, heart())
        # what was there is as it was
        assert offer.proposal.kept_least == 1
        assert offer.proposal.n_broken == 0

    @pytest.mark.parametrize("value", [RV, MYO, LV])
    def test_each_structure_comes_back(self, value):
        plane = without(heart(), value)
        [offer] = offered(heart(), plane, heart()).values()
        np.testing.assert_array_equal(offer.proposal.labels, heart())

    def test_cavity_that_was_labeled_as_wall_comes_back(self):
        solid = np.where(heart() == LV, MYO, heart()).astype(np.uint8)
        [offer] = offered(heart(), solid, heart()).values()
        np.testing.assert_array_equal(offer.proposal.labels, heart())

    def test_empty_slice_comes_back(self):
        found = offered(heart(), np.zeros((N, N), np.uint8), heart(scale=0.8))
        [offer] = found.values()
        sizes = count(offer.proposal.labels)
        for name, size in sizes.items():
            assert count(heart(scale=0.8))[name] < size < count(heart())[name]
        assert offer.proposal.n_broken == 0

    def test_invented_structure_is_taken_away(self):
        plane = heart("missing")
        plane[disk(96, 62, 14)] = RV
        found = offered(heart(), *[heart("missing")], plane, heart("missing"))
        np.testing.assert_array_equal(found[2].proposal.labels, heart("missing"))
        assert found[2].proposal.reason == (
            "RV is taken away: no slice beside it shows any"
        )

    def test_island_alone_in_a_slice_beyond_the_apex_is_taken_away(self):
        empty = np.zeros((N, N), np.uint8)
        found = offered(heart(), heart(), with_island(empty), empty)
        assert not found[2].proposal.labels.any()

    def test_structure_that_ends_is_left_alone(self):
        small = heart("missing")
        small[disk(96, 68, 8)] = RV
        assert offered(heart(), small, heart("missing"), heart("missing")) == {}

    def test_first_and_last_slice_are_left_alone(self):
        assert offered(heart("missing"), heart(), heart(), heart("missing")) == {}
        assert offered(heart("missing")) == {}
        assert offered(heart(), heart("missing")) == {}

    def test_two_missing_slices_are_left_alone(self):
        gap = [heart("missing")] * 2
        assert offered(heart(), *gap, heart()) == {}

    def test_lesion_may_lie_in_one_slice(self):
        array = np.zeros((5, N, N), np.uint8)
        array[1, 10:20, 10:20] = array[3, 10:20, 10:20] = 1
        array[3, 70:80, 70:80] = 1
        known = {"structures": {"lesion": 1}, "spacing_mm": (5.0, 1.0, 1.0)}
        assert repairs(array, **known) == {}

    def test_repair_that_breaks_more_rules_is_not_offered(self):
        # both neighbors show the cavity beside the heart
        other = heart("missing")
        other[other == LV] = MYO
        other[disk(40, 60, 12)] = LV
        plane = np.where(heart() == LV, MYO, heart()).astype(np.uint8)
        assert offered(other, plane, other) == {}

    def test_values_of_labels_do_not_count(self):
        table = np.array([0, 7, 2, 30], np.uint8)
        known = {"structures": {"RV": 7, "MYO": 2, "LV": 30}}
        known["spacing_mm"] = LEGEND["spacing_mm"]
        stack = np.stack([heart(), heart("apart"), heart()])
        [own], [other] = (
            repairs(stack, **LEGEND).values(),
            repairs(table[stack], **known).values(),
        )
        np.testing.assert_array_equal(table[own.labels], other.labels)


class TestIslands:
    def test_are_taken_off(self):
        [offer] = offered(heart(), with_island(heart()), heart()).values()
        assert offer.place == 1
        np.testing.assert_array_equal(offer.proposal.labels, heart())

    def test_of_a_slice_beside_do_not_touch_a_slice(self):
        found = offered(with_island(heart()), heart(), heart())
        assert list(found) == [0]
        np.testing.assert_array_equal(found[0].proposal.labels, heart())

    @pytest.mark.parametrize("value", [RV, MYO, LV])
    def test_do_not_move_the_frame(self, value):
        sound = np.stack([heart(), heart(), heart()])
        array = sound.copy()
        array[1] = with_island(heart(), value)
        clean = swept(array, list(STRUCTURES.values()))
        np.testing.assert_array_equal(clean, sound)
        placed = place(clean, Frame(), **LEGEND)
        assert outside_share(array, placed)[1] > 0
        assert not outside_share(clean, placed).any()

    def test_large_pieces_are_no_islands(self):
        array = np.stack([heart("two pieces")])
        np.testing.assert_array_equal(swept(array, [RV, MYO, LV]), array)


def test_slice_between_two_lies_between_them():
    stack = np.stack([heart(), heart(), heart(scale=0.8)])
    found = interpolated(stack, 1, values=[RV, MYO, LV], spacing_mm=(MM, MM))
    for name, size in count(found).items():
        assert count(stack[2])[name] < size < count(stack[0])[name]
    stack[2] = stack[0]
    same = interpolated(stack, 1, values=[RV, MYO, LV], spacing_mm=(MM, MM))
    np.testing.assert_array_equal(same, heart())
