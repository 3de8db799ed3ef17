"""What a reviser sees: one place for all slices, and those beside each."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from radlatent.cohort.labels import LabelMap  # noqa: E402
from radlatent.imaging import Volume  # noqa: E402
from radlatent.masks.prior.frame import Frame  # noqa: E402
from radlatent.masks.revision.pairs import Pair  # noqa: E402
from radlatent.masks.revision.views import (  # noqa: E402
    ViewSource,
    channels_of,
    view,
    view_of_pair,
)

FRAME = Frame(size=32, spacing_mm=4.0)
NAMES = ("LV", "MYO", "RV")


@pytest.fixture
def heart(drawn, rng):
    """Return a heart of three slices between two empty ones, and its image."""
    labels = np.pad(drawn.draw_heart(rng), ((2, 2), (0, 0), (0, 0)))
    image = Volume(drawn.paint(labels, rng).astype(np.float32), drawn.SPACING_MM)
    return LabelMap(image.with_array(labels), drawn.STRUCTURES), image


def test_one_slice_beyond_each_end_is_seen(heart):
    seen = view(*heart, FRAME, NAMES)
    assert seen.placement.slices.tolist() == [1, 2, 3, 4, 5]
    assert seen.mask.shape == (5, 3, 32, 32)
    assert seen.image.shape == (5, 32, 32)
    assert not seen.mask[[0, 4]].any()
    assert np.ptp(seen.placement.center_mm, axis=0).tolist() == [0, 0]
    # the shares are those of the mask: pixels of 4 mm hold four of 2 mm
    for channel, name in enumerate(NAMES):
        n = (heart[0].array[3] == heart[0].structures[name]).sum()
        assert 4 * seen.mask[2, channel].sum() / 255 == pytest.approx(n, rel=0.05)


def test_a_false_island_of_one_slice_does_not_move_the_frame(heart):
    mask, image = heart
    array = mask.array.copy()
    array[2] = 0
    array[2, :4, :4] = mask.structures["LV"]
    one, two = (view(m, image, FRAME, NAMES) for m in (mask, mask.with_array(array)))
    away = one.placement.center_mm[0] - two.placement.center_mm[0]
    assert np.abs(away).max() < 8


def test_slices_beside_are_laid_over_each_other(heart):
    mask, image = heart
    source = ViewSource(
        [view_of_pair(Pair(mask, mask, "a", image=image), FRAME, NAMES)]
    )
    x = source.inputs(torch.arange(5))
    assert x.shape == (5, channels_of(4), 32, 32)
    own, before, after = x[:, :4], x[:, 4:8], x[:, 8:12]
    torch.testing.assert_close(before[1:], own[:-1])
    torch.testing.assert_close(after[:-1], own[1:])
    # beyond either end: background
    assert (before[0, 0] == 1).all()
    assert (after[4, 0] == 1).all()
    torch.testing.assert_close(x[1:, 13], x[:-1, 12])
    torch.testing.assert_close(x[0, 13], x[0, 12])
    assert (x[:, 15] == 1).all()
    assert x[:, 12].min() == -1
    assert x[:, 12].max() == 1


def test_without_an_image_its_channels_are_nought(heart):
    source = ViewSource([view(heart[0], None, FRAME, NAMES)])
    x = source.inputs(torch.arange(5))
    assert not x[:, 12:].any()


def test_what_was_moved_stays_together(heart):
    mask, image = heart
    source = ViewSource(
        [view_of_pair(Pair(mask, mask, "a", image=image), FRAME, NAMES)]
    )
    torch.manual_seed(0)
    rows, device = torch.arange(5).repeat(8), torch.device("cpu")
    moved = source.minibatch(rows, device, augment=True)
    # a pair of two equal masks stays one, wherever it goes
    torch.testing.assert_close(moved.x[:, 1:4], moved.target[:, 1:4])
    still = source.minibatch(rows, device, augment=False)
    assert (moved.x != still.x).any()
    shown = moved.x[:, 15, 0, 0]
    assert 0 < (shown == 0).sum() < 40
    assert not moved.x[shown == 0, 12:].any()


def test_an_empty_mask_has_no_slices(heart):
    mask, image = heart
    empty = mask.with_array(np.zeros_like(mask.array))
    assert len(view(empty, image, FRAME, NAMES).mask) == 0
