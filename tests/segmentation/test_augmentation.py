"""Augmentation: image, labels and distances move together, and only as told."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from radlatent.segmentation.augmentation import (  # noqa: E402
    Augmentation,
    augment,
)
from radlatent.segmentation.losses.contours import signed_distances  # noqa: E402

STILL = {"rotation_deg": 0.0, "scale": (1.0, 1.0), "elastic": 0.0, "gamma": (1.0, 1.0)}
STILL |= {"noise": 0.0, "low_resolution": (1.0, 1.0), "probability": 1.0}


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(5)
        yield


def only(**settings):
    return Augmentation(**(STILL | settings))


def shapes(n=4, size=(48, 40)):
    """Return images that are their labels, and the labels: boxes off the middle."""
    target = torch.zeros(n, *size, dtype=torch.long)
    inner = tuple(slice(m // 4, m // 4 + m // 3) for m in size)
    target[(slice(None), *inner)] = 1
    return target.unsqueeze(1).float(), target


def test_none_changes_nothing():
    x, target = shapes()
    distance = torch.randn(4, 2, 48, 40)
    found = augment(x, target, Augmentation.none(), distance=distance)
    for before, after in zip((x, target, distance), found, strict=True):
        assert torch.equal(before, after)


def test_the_same_seed_gives_the_same_and_what_entered_stays():
    x, target = shapes()
    x = x + torch.randn_like(x)
    before = x.clone(), target.clone()
    runs = []
    for _ in range(2):
        torch.manual_seed(3)
        runs.append(augment(x, target, Augmentation(probability=0.7, flips=True)))
    assert torch.equal(runs[0].x, runs[1].x)
    assert torch.equal(runs[0].target, runs[1].target)
    assert not torch.equal(runs[0].x, x)
    assert torch.equal(x, before[0])
    assert torch.equal(target, before[1])


@pytest.mark.parametrize("size", [(48, 40), (12, 24, 20)])
@pytest.mark.parametrize(
    "settings", [{"rotation_deg": 40.0}, {"scale": (0.7, 1.4)}, {"elastic": 2.0}]
)
def test_image_and_labels_move_together(size, settings):
    x, target = shapes(6, size)
    found = augment(x, target, only(**settings))
    assert not torch.equal(found.target, target)
    # bilinear and nearest differ on the contour alone, never by half a voxel or more
    assert ((found.x[:, 0] > 0.5) == (found.target == 1)).float().mean() > 0.97
    assert set(found.target.unique().tolist()) == {0, 1}


def test_distances_stay_those_of_the_moved_labels():
    x, target = shapes(8)
    spacing = (1.25, 1.25)
    maps = torch.from_numpy(signed_distances(target[0].numpy(), 2, spacing))
    settings = only(rotation_deg=30.0, scale=(0.8, 1.25))
    found = augment(x, target, settings, distance=maps.expand(8, -1, -1, -1))
    for labels, moved in zip(found.target, found.distance, strict=True):
        fresh = signed_distances(labels.numpy(), 2, spacing)
        off = np.abs(fresh - moved.numpy())[np.abs(fresh) < 6]
        # labels from the nearest pixel are half a pixel off, their corners two
        assert off.mean() < 0.5 * 1.25
        assert off.max() < 2 * 1.25


def test_mirrored_is_mirrored_to_the_last_voxel():
    x, target = shapes(16)
    x = x + torch.randn_like(x)
    found = augment(x, target, Augmentation(probability=0.0, flips=True))
    kinds = set()
    for number in range(16):
        for axes in ((), (0,), (1,), (0, 1)):
            if torch.equal(found.target[number], target[number].flip(axes)):
                torch.testing.assert_close(
                    found.x[number, 0], x[number, 0].flip(axes), atol=1e-4, rtol=0
                )
                kinds.add(axes)
    assert len(kinds) == 4


@pytest.mark.parametrize("factor", [0.7, 1.4])
def test_zoom_is_of_the_size_that_is_told(factor):
    target = torch.zeros(3, 64, 64, dtype=torch.long)
    target[:, 22:42, 22:42] = 1
    x = target.unsqueeze(1).float()
    found = augment(x, target, only(scale=(factor, factor)))
    side = found.target.sum(dim=(1, 2)).float().sqrt()
    # a pixel on both sides
    assert ((side - 20 * factor).abs() <= 1).all()


def test_rotation_is_in_mm():
    # a square in mm, of pixels twice as high as wide, keeps its area and its sides
    target = torch.zeros(1, 40, 80, dtype=torch.long)
    target[:, 15:25, 30:50] = 1
    x, angle = target.unsqueeze(1).float(), only(rotation_deg=45.0)
    found = augment(x, target, angle, spacing_mm=(2.0, 1.0)).target[0]
    assert found.sum() == pytest.approx(200, abs=8)
    rows, columns = found.nonzero().T
    # the corners of a square of 20 mm lie 14.1 mm from its middle, whatever the angle
    away = ((2.0 * (rows - 19.5)) ** 2 + (columns - 39.5) ** 2).sqrt()
    assert away.max() == pytest.approx(13.4, abs=1)


def test_coarse_axes_are_left_alone():
    target = torch.zeros(2, 8, 32, 32, dtype=torch.long)
    target[:, 3:5, 8:20, 8:20] = 1
    settings = only(rotation_deg=30.0, elastic=2.0, scale=(0.8, 1.25))
    x = target.unsqueeze(1).float()
    found = augment(x, target, settings, spacing_mm=(8.0, 1.5, 1.5))
    taken = (found.target > 0).any(dim=3).any(dim=2)
    assert torch.equal(taken, (target > 0).any(dim=3).any(dim=2))
    assert not torch.equal(found.target, target)


def test_intensities_change_as_told_and_labels_do_not():
    x = torch.randn(64, 1, 16, 16)
    target = torch.zeros(64, 16, 16, dtype=torch.long)
    noisy = augment(x, target, only(noise=0.5))
    sd = (noisy.x - x).std(dim=(1, 2, 3)) / x.std(dim=(1, 2, 3))
    assert 0 < sd.min() < 0.1
    assert 0.4 < sd.max() < 0.6
    bent = augment(x, target, only(gamma=(0.7, 1.5))).x
    # ends and order stay
    torch.testing.assert_close(bent.amin((2, 3)), x.amin((2, 3)))
    torch.testing.assert_close(bent.amax((2, 3)), x.amax((2, 3)))
    order = x.flatten(1).argsort(dim=1)
    assert (bent.flatten(1).gather(1, order).diff(dim=1) >= 0).all()
    coarse = augment(x, target, only(low_resolution=(0.5, 0.5)))
    assert (coarse.x.std(dim=(2, 3)) < x.std(dim=(2, 3))).all()
    assert torch.equal(coarse.target, target)


def test_beyond_the_image_it_is_as_dark_as_the_darkest_voxel():
    # a standardized image: 0 is its mean
    x = torch.rand(3, 2, 24, 24) + 1.0
    target = torch.ones(3, 24, 24, dtype=torch.long)
    found = augment(x, target, only(scale=(0.5, 0.5)))
    low = x.amin((1, 2, 3), keepdim=True)
    outside = (found.target == 0).unsqueeze(1).expand_as(x)
    assert outside.float().mean() == pytest.approx(0.75, abs=0.01)
    assert torch.equal(found.x[outside], low.expand_as(x)[outside])
    assert (found.x >= low - 1e-6).all()


def test_contrast_is_about_the_mean_and_brightness_a_shift():
    x = torch.randn(64, 3, 16, 16) * 2 + 5
    target = torch.zeros(64, 16, 16, dtype=torch.long)
    mean, sd = x.mean((1, 2, 3)), x.std((1, 2, 3))
    found = augment(x, target, only(contrast=(0.5, 2.0))).x
    torch.testing.assert_close(found.mean((1, 2, 3)), mean)
    factor = found.std((1, 2, 3)) / sd
    assert 0.5 <= factor.min() < 0.65
    assert 1.6 < factor.max() <= 2.0
    found = augment(x, target, only(brightness=0.5)).x
    torch.testing.assert_close(found.std((1, 2, 3)), sd)
    shift = (found.mean((1, 2, 3)) - mean) / sd
    assert -0.51 < shift.min() < -0.35
    assert 0.35 < shift.max() < 0.51


@pytest.mark.parametrize("size", [(32, 32), (8, 16, 16)])
def test_a_bias_field_is_a_smooth_factor_the_same_for_all_channels(size):
    x = torch.rand(32, 2, *size) + 3.0
    x[:, :, 0] = 1.0  # the darkest stays
    target = torch.zeros(32, *size, dtype=torch.long)
    found = augment(x, target, only(bias_field=0.2)).x
    factor = ((found - 1) / (x - 1))[:, :, 1:]
    torch.testing.assert_close(factor[:, 0], factor[:, 1])
    assert torch.equal(found[:, :, 0], x[:, :, 0])
    assert factor.log().std() == pytest.approx(0.2 * 0.7, abs=0.05)
    # from voxel to voxel at most what two nodes apart differ by
    assert factor.log().diff(dim=-1).abs().max() < 0.2 * 8 * 2 / size[-1]


def test_what_is_left_out_draws_nothing():
    """A seed gives what it gave before a change was thought of."""
    x, target = torch.randn(8, 1, 16, 16), torch.zeros(8, 16, 16, dtype=torch.long)
    states = []
    for settings in (only(noise=0.3), only(noise=0.3, brightness=0.1)):
        torch.manual_seed(1)
        augment(x, target, settings)
        states.append(torch.get_rng_state())
    torch.manual_seed(1)
    augment(x, target, only(noise=0.3, contrast=(1.0, 1.0), bias_field=0.0))
    assert torch.equal(torch.get_rng_state(), states[0])
    assert not torch.equal(states[0], states[1])


def test_touches_the_share_of_cases_that_is_told():
    x = torch.randn(400, 1, 4, 4)
    target = torch.zeros(400, 4, 4, dtype=torch.long)
    settings = Augmentation(**(STILL | {"noise": 0.3, "probability": 0.2}))
    away = (augment(x, target, settings).x - x).abs().amax(dim=(1, 2, 3))
    # an exponent of 1 leaves rounding errors behind
    changed = (away > 1e-4).sum()
    # four standard deviations of a binomial of 400
    assert abs(int(changed) - 80) <= 32


def test_problems_are_told_together():
    assert Augmentation().problems() == []
    faulty = Augmentation(
        rotation_deg=-1,
        scale=(2, 1),
        low_resolution=(0.5, 2.0),
        contrast=(0.0, 1.0),
        brightness=-1.0,
        bias_field=float("nan"),
    )
    found = " ".join(faulty.problems())
    names = ("rotation_deg", "scale", "low_resolution", "contrast", "brightness")
    assert all(name in found for name in (*names, "bias_field"))
