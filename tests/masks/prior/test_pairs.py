"""Pairs to learn from: where they lie, which slices are in, what a byte keeps."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from radlatent.cohort.labels import LabelMap  # noqa: E402
from radlatent.imaging import Volume  # noqa: E402
from radlatent.masks.degradation.apply import degrade  # noqa: E402
from radlatent.masks.degradation.draws import Degradation, mix_for_mask  # noqa: E402
from radlatent.masks.prior.frame import Frame, place, to_frame  # noqa: E402
from radlatent.masks.prior.pairs import collect_pairs, slice_positions  # noqa: E402

PAIRS = "radlatent.masks.prior.pairs"
FRAME = Frame(size=32, spacing_mm=4.0)
NAMES = ("LV", "MYO", "RV")

#: Half of 1/255.
HALF_STEP = 0.5 / 255


@pytest.fixture
def hearts(drawn, rng):
    return [
        LabelMap(
            Volume(drawn.draw_heart(rng, n_slices=4), drawn.SPACING_MM),
            drawn.STRUCTURES,
            f"p{number}",
        )
        for number in range(3)
    ]


def pairs_of(masks, n_degraded=0, random_state=0):
    return collect_pairs(
        masks, FRAME, NAMES, n_degraded, random_state=random_state, description=""
    )


def framed(labels, by, mask):
    """Return shares of labels in the frame of another mask."""
    known = {"structures": mask.structures, "spacing_mm": mask.spacing_mm}
    placement = place(by, FRAME, **known)
    return to_frame(labels, placement, [mask.structures[name] for name in NAMES])


def test_expert_masks_alone_are_pairs_of_themselves(hearts):
    pairs = pairs_of(hearts)
    assert len(pairs) == 12
    assert torch.equal(pairs.inputs, pairs.targets)
    assert pairs.owners.tolist() == 4 * [0] + 4 * [1] + 4 * [2]
    assert pairs.inputs.shape == (12, 3, 32, 32)
    assert pairs.inputs.dtype == torch.uint8


def test_context_is_the_slices_beside_in_the_same_frame(hearts):
    frame = replace(FRAME, context=True)
    pairs = collect_pairs(hearts[:1], frame, NAMES, 0)
    assert pairs.inputs.shape == (4, 9, 32, 32)
    assert torch.equal(pairs.inputs[:, 3:6], pairs.targets)
    found = pairs.minibatch(torch.arange(4), "cpu", augment=True)
    assert found.x.shape == (4, 12, 32, 32)
    assert found.target.shape == (4, 4, 32, 32)
    end = torch.eye(4)[0][:, None, None].expand(4, 32, 32)
    labels, close = hearts[0].array, {"rtol": 0, "atol": 4 * HALF_STEP}
    for row in range(4):
        for part, beside in ((0, row - 1), (1, row), (2, row + 1)):
            seen = found.x[row, 4 * part : 4 * part + 4]
            if beside not in range(4):
                assert torch.equal(seen, end)
                continue
            moved = labels.copy()
            moved[row] = labels[beside]
            expected = framed(moved, labels, hearts[0])[row]
            torch.testing.assert_close(seen, expected, **close)


def test_bytes_keep_shares_to_half_a_step(hearts):
    found = pairs_of(hearts).minibatch(torch.arange(4, 8), "cpu", augment=True)
    exact = framed(hearts[1].array, hearts[1].array, hearts[1])
    # float32 beside the half step; the background collects those of three structures
    assert (found.x - exact)[:, 1:].abs().max() <= HALF_STEP + 1e-6
    assert (found.x - exact)[:, 0].abs().max() <= 3 * HALF_STEP + 1e-6
    torch.testing.assert_close(found.x.sum(dim=1), torch.ones(4, 32, 32))
    assert torch.equal(found.x, found.target)


def test_both_maps_lie_in_the_frame_of_the_degraded_mask(hearts, monkeypatch):
    moved = Degradation(shift=8.0, seed=3)
    monkeypatch.setattr(f"{PAIRS}.mix_for_mask", lambda *_, **__: [moved])
    mask = hearts[0]
    known = {"structures": mask.structures, "spacing_mm": mask.spacing_mm}
    changed = degrade(mask.array, moved, **known)
    found = pairs_of([mask], 1).minibatch(torch.arange(4, 8), "cpu", augment=False)
    for maps, labels in ((found.x, changed), (found.target, mask.array)):
        expected = framed(labels, changed, mask)
        assert (maps - expected)[:, 1:].abs().max() <= HALF_STEP + 1e-6
    # what a reference would give: another place
    assert (found.target - framed(mask.array, mask.array, mask)).abs().max() > 0.5


def test_every_mask_has_draws_of_its_own(hearts):
    mask = hearts[0]
    one, two = pairs_of([mask], 2), pairs_of([mask], 2, random_state=1)
    drawn = [Degradation(), *mix_for_mask("p0", 2, random_state=0)]
    known = {"structures": mask.structures, "spacing_mm": mask.spacing_mm}
    expected = []
    for each in drawn:
        changed = degrade(mask.array, each, **known)
        expected.append(framed(changed, changed, mask)[:, 1:])
    expected = torch.cat(expected)
    assert one.inputs.shape == expected.shape
    assert (one.inputs / 255 - expected).abs().max() <= HALF_STEP + 1e-6
    assert not torch.equal(one.inputs, two.inputs)
    # the same heart under another name meets other errors, whatever stands beside it
    twin = LabelMap(mask.volume, mask.structures, "twin")
    both = pairs_of([mask, twin], 2)
    first = both.inputs[torch.from_numpy(both.owners == 0)]
    second = both.inputs[torch.from_numpy(both.owners == 1)]
    assert torch.equal(first, one.inputs)
    assert torch.equal(first[:4], second[:4])
    assert first.shape != second.shape or not torch.equal(first[4:], second[4:])


def test_slices_that_the_expert_left_empty_are_left_out(hearts, monkeypatch):
    array = hearts[0].array.copy()
    array[0] = 0
    mask = hearts[0].with_array(array)

    def leaked(labels, degradation, **_):
        changed = labels.copy()
        if degradation.seed:
            changed[0] = hearts[0].array[0]
        return changed

    monkeypatch.setattr(f"{PAIRS}.degrade", leaked)
    monkeypatch.setattr(
        f"{PAIRS}.mix_for_mask",
        lambda *_, **__: [Degradation(seed=1)],
    )
    pairs = pairs_of([mask], 1)
    assert len(pairs) == 3 + 3
    assert pairs.targets.flatten(1).any(dim=1).all()
    assert pairs.positions.tolist() == 2 * [0.0, 0.5, 1.0]


def test_slices_that_an_error_emptied_are_left_out(hearts, monkeypatch):
    monkeypatch.setattr(
        f"{PAIRS}.degrade",
        lambda labels, degradation, **_: labels * np.reshape([1, 1, 1, 0], (4, 1, 1)),
    )
    pairs = pairs_of(hearts[:1])
    # 0, 1/3, 2/3 of the expert's mask, not of what is left of it
    np.testing.assert_allclose(pairs.positions, [0, 1 / 3, 2 / 3], rtol=1e-6)


def test_labels_of_other_values_give_the_same_pairs(hearts):
    mask = hearts[0]
    other = {"MYO": 40, "LV": 7, "RV": 200}
    table = np.zeros(4, np.uint8)
    table[[mask.structures[name] for name in other]] = list(other.values())
    volume = mask.volume.with_array(table[mask.array])
    pairs = pairs_of([LabelMap(volume, other, "p0")])
    assert torch.equal(pairs.inputs, pairs_of([mask]).inputs)


class TestPositions:
    def test_run_from_base_to_apex(self, hearts):
        labels = hearts[0].array
        found = slice_positions(labels, np.arange(4))
        np.testing.assert_allclose(found, [0, 1 / 3, 2 / 3, 1])

    def test_do_not_depend_on_which_way_a_volume_is_stored(self, hearts):
        labels = np.ascontiguousarray(hearts[0].array[::-1])
        found = slice_positions(labels, np.arange(4))
        np.testing.assert_allclose(found, [1, 2 / 3, 1 / 3, 0])

    def test_count_from_the_ends_of_the_mask(self, hearts):
        labels = np.zeros((9, 64, 64), np.uint8)
        labels[3:7] = hearts[0].array
        found = slice_positions(labels, np.array([2, 3, 6, 8]))
        # beyond its ends a mask is as at its ends
        np.testing.assert_allclose(found, [0, 0, 1, 1])

    @pytest.mark.parametrize("held", [[], [2]])
    def test_one_slice_is_in_the_middle(self, held):
        labels = np.zeros((4, 5, 5), int)
        labels[held] = 1
        assert slice_positions(labels, np.array([2, 3])).tolist() == [0.5, 0.5]

    def test_middle_slice_of_three_counts_for_neither_end(self):
        labels = np.zeros((3, 5, 5), int)
        labels[0, :1], labels[1], labels[2, :2] = 1, 1, 1
        assert slice_positions(labels, np.arange(3)).tolist() == [1, 0.5, 0]
