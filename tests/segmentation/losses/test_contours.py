"""Contour-distance losses: hand-counted values, and what distance is for."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from radlatent.errors import RadlatentError  # noqa: E402
from radlatent.segmentation.losses.build import build_loss  # noqa: E402
from radlatent.segmentation.losses.contours import (  # noqa: E402
    boundary_term,
    error_term,
    signed_distances,
)

SURE = 15.0


def disk(radius=8, shift=0, size=48):
    rows, columns = np.indices((size, size)) - (size - 1) / 2
    return torch.from_numpy((np.hypot(rows, columns - shift) <= radius).astype(int))


def logits_of(labels):
    maps = torch.nn.functional.one_hot(labels, 2).movedim(-1, 1)
    return SURE * maps.float()


def maps_of(labels, n_classes=2, spacing_mm=(1.0, 1.0)):
    found = [signed_distances(one.numpy(), n_classes, spacing_mm) for one in labels]
    return torch.from_numpy(np.stack(found))


def test_maps_of_absent_and_of_full_structures_are_zero():
    labels = np.zeros((4, 5, 6), np.uint8)
    labels[1:3, 1:4, 2:5] = 2
    maps = signed_distances(labels, 4, (2.0, 1.0, 1.0))
    assert maps.shape == (3, 4, 5, 6)
    assert maps.dtype == np.float32
    assert not maps[[0, 2]].any()
    assert (maps[1] < 0).sum() == 2 * 3 * 3
    assert maps[1, 0, 2, 3] == 2.0
    assert not signed_distances(np.ones((3, 3), int), 2, (1, 1)).any()


def test_terms_by_hand():
    # one row: two voxels of the structure, then four of background, 2 mm apart
    labels = torch.tensor([[[1, 1, 0, 0, 0, 0]]])
    maps = maps_of(labels, spacing_mm=(1.0, 2.0))
    assert maps[0, 0, 0].tolist() == [-4, -2, 2, 4, 6, 8]
    reference = labels.unsqueeze(1).float()
    shares = torch.tensor([1.0, 0.5, 0.5, 0, 0, 1.0]).view(1, 1, 1, 6)
    wrong = 0.25 * 2 + 0.25 * 2 + 1 * 8
    assert error_term(shares, reference, maps).item() == wrong / 2
    boundary = (-4 - 0.5 * 2 + 0.5 * 2 + 8) / 6
    assert boundary_term(shares, reference, maps).item() == pytest.approx(boundary)


@pytest.mark.parametrize("term", ["error", "boundary"])
def test_what_is_far_costs_more_than_dice_can_tell(term):
    target = disk().unsqueeze(0)
    maps = maps_of(target)
    near, far = target.clone(), target.clone()
    near[0, 22:26, 32:34] = 1  # eight voxels that touch the disk
    far[0, 22:26, 45:47] = 1  # and eight 13 mm farther out
    assert near.sum() == far.sum() == target.sum() + 8
    dice = build_loss("dice")
    naive = build_loss("contour_naive", term=term)
    a, b = (dice(logits_of(one), target)[0].item() for one in (near, far))
    assert a == pytest.approx(b, abs=1e-5)
    a, b = (naive(logits_of(one), target, distance=maps)[0] for one in (near, far))
    assert b > 1.02 * a


def test_a_shift_costs_more_with_distance_than_without():
    target = disk().unsqueeze(0)
    maps, costs = maps_of(target), {"dice": [], "contour_naive": []}
    for shift in (2, 8):
        logits = logits_of(disk(shift=shift).unsqueeze(0))
        for name, values in costs.items():
            values.append(build_loss(name)(logits, target, distance=maps)[0].item())
    dice, naive = costs["dice"], costs["contour_naive"]
    assert naive[0] > dice[0]
    assert naive[1] / naive[0] > 1.1 * dice[1] / dice[0]


def test_error_term_is_in_mm_whatever_the_resolution():
    found = []
    for factor in (2, 4):
        target = disk(radius=8 * factor, size=48 * factor).unsqueeze(0)
        moved = disk(radius=8 * factor, shift=4 * factor, size=48 * factor)
        maps = maps_of(target, spacing_mm=(1 / factor, 1 / factor))
        shares = moved.view(1, 1, *moved.shape).float()
        found.append(error_term(shares, target.unsqueeze(1).float(), maps).item())
    # but for the half voxel by which center-to-center distances are longer
    assert found[0] == pytest.approx(found[1], rel=0.08)


def test_far_places_are_alike():
    target = torch.zeros(2, 60, 6, dtype=torch.long)
    target[:, :3] = 1
    drawn = target.clone()
    drawn[0, 30:32], drawn[1, 50:52] = 1, 1  # 27 and 47 mm away
    cost, _ = build_loss("contour_naive")(
        logits_of(drawn), target, distance=maps_of(target)
    )
    assert cost[0].item() == pytest.approx(cost[1].item(), rel=1e-3)


def test_naive_is_the_weighted_sum_and_the_schedule_starts_from_dice():
    target = disk().unsqueeze(0)
    logits, maps = logits_of(disk(shift=5).unsqueeze(0)), maps_of(target)
    naive, parts = build_loss("contour_naive", weight=0.3)(
        logits, target, distance=maps
    )
    torch.testing.assert_close(naive, parts["dice"] + 0.3 * parts["distance"])
    adaptive = build_loss("contour_adaptive", weight=0.4)
    for progress in (0.0, 0.25, 1.0):
        found, told = adaptive(logits, target, distance=maps, progress=progress)
        expected = parts["dice"] + 0.4 * progress * parts["distance"]
        torch.testing.assert_close(found, expected)
        assert told["weight"].item() == pytest.approx(0.4 * progress)


def test_learned_weights_go_where_kendalls_would():
    target = disk().unsqueeze(0)
    logits, maps = logits_of(disk(shift=5).unsqueeze(0)), maps_of(target)
    loss = build_loss("contour_adaptive", weighting="uncertainty", weight=0.25)
    total, parts = loss(logits, target, distance=maps)
    assert parts["weight"].item() == pytest.approx(0.25)
    s = np.log(4)
    expected = 0.5 * (parts["dice"] + parts["distance"] / 4 + s)
    torch.testing.assert_close(total, expected, check_dtype=False)
    descent = torch.optim.SGD(loss.parameters(), lr=1.0)
    for _ in range(80):
        descent.zero_grad()
        loss(logits, target, distance=maps)[0].mean().backward()
        descent.step()
    # the minimum over s of exp(-s) part + s lies where exp(s) is the part
    learned = loss.log_variances.detach().exp()
    assert learned.tolist() == pytest.approx(
        [parts["dice"].item(), parts["distance"].item()], rel=1e-3
    )


def test_hausdorff_is_monais():
    losses = pytest.importorskip("monai.losses")
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 3, 12, 12, generator=generator)
    target = torch.zeros(2, 12, 12, dtype=torch.long)
    target[:, 2:6, 3:8], target[:, 7:10, 3:8] = 1, 2
    plain, parts = build_loss("hausdorff", weight=0.5)(logits, target)
    monai = losses.HausdorffDTLoss(to_onehot_y=True, softmax=True)
    expected = monai(logits, target.unsqueeze(1))
    torch.testing.assert_close(parts["hausdorff"].mean(), expected)
    torch.testing.assert_close(plain, parts["dice"] + 0.5 * parts["hausdorff"])
    _, parts = build_loss("log_hausdorff")(logits, target)
    by_structure = losses.HausdorffDTLoss(
        to_onehot_y=True, softmax=True, reduction="none"
    )(logits, target.unsqueeze(1))
    torch.testing.assert_close(
        parts["hausdorff"], torch.log(by_structure + 1).flatten(1).mean(dim=1)
    )


@pytest.mark.parametrize("name", ["contour_naive", "contour_adaptive", "hausdorff"])
def test_dice_may_be_of_the_whole_minibatch(name):
    if name == "hausdorff":
        pytest.importorskip("monai")
    target = torch.stack([disk(), disk(radius=3), torch.zeros_like(disk())])
    logits, maps = logits_of(disk(shift=4).expand(3, -1, -1)), maps_of(target)
    expected = build_loss("dice", by="minibatch")(logits, target)[0]
    _, parts = build_loss(name, by="minibatch")(logits, target, distance=maps)
    torch.testing.assert_close(parts["dice"], expected)
    _, alone = build_loss(name)(logits, target, distance=maps)
    assert alone["dice"].unique().numel() == 3


def test_maps_that_are_missing_or_of_another_shape_are_told():
    target = disk().unsqueeze(0)
    loss = build_loss("contour_naive")
    assert loss.needs_distance
    assert not build_loss("dice").needs_distance
    with pytest.raises(RadlatentError, match=r"distance is None.*signed_distances"):
        loss(logits_of(target), target)
    with pytest.raises(RadlatentError, match=r"\(1, 2, 48, 48\).*one map a structure"):
        loss(logits_of(target), target, distance=maps_of(target, 3))
