"""Losses of overlap: MONAI's values, and those of cases counted by hand."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from radlatent.errors import RadlatentError  # noqa: E402
from radlatent.segmentation.losses.build import LOSSES, build_loss  # noqa: E402
from radlatent.segmentation.losses.contours import signed_distances  # noqa: E402

#: A logit whose softmax is 1 but for a few millionths.
SURE = 15.0


def logits_of(labels, n_classes=3):
    maps = torch.nn.functional.one_hot(labels, n_classes).movedim(-1, 1)
    return SURE * maps.float()


def drawn(n=3, n_classes=3, size=(9, 8)):
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(n, n_classes, *size, generator=generator)
    return logits, torch.randint(0, n_classes, (n, *size), generator=generator)


@pytest.mark.parametrize("size", [(9, 8), (4, 6, 5)])
@pytest.mark.parametrize("smoothing", [1.0, 1e-5])
def test_dice_is_monais(size, smoothing):
    losses = pytest.importorskip("monai.losses")
    logits, target = drawn(size=size)
    monai = losses.DiceLoss(
        include_background=False,
        to_onehot_y=True,
        softmax=True,
        smooth_nr=smoothing,
        smooth_dr=smoothing,
        reduction="none",
    )
    expected = monai(logits, target.unsqueeze(1)).flatten(1).mean(dim=1)
    found, parts = build_loss("dice", smoothing=smoothing)(logits, target)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(parts["dice"], expected)
    monai.batch, monai.reduction = True, "mean"
    found, _ = build_loss("dice", smoothing=smoothing, by="minibatch")(logits, target)
    torch.testing.assert_close(found, monai(logits, target.unsqueeze(1)).expand(3))


def test_dice_by_hand():
    target = torch.zeros(1, 4, 4, dtype=torch.long)
    target[0, :2] = 1  # 8 voxels; structure 2 is absent
    drawn_mask = torch.zeros(1, 4, 4, dtype=torch.long)
    drawn_mask[0, 1:3] = 1  # 8 voxels, 4 in common
    found, _ = build_loss("dice")(logits_of(drawn_mask), target)
    # (2 * 4 + 1) / (8 + 8 + 1); an absent structure that is not drawn costs nothing
    expected = 1 - ((2 * 4 + 1) / (8 + 8 + 1) + 1) / 2
    # softmax leaves millionths in 16 voxels
    assert found.item() == pytest.approx(expected, abs=1e-4)
    drawn_mask[0, 3] = 2  # four voxels of what is not there
    found, _ = build_loss("dice")(logits_of(drawn_mask), target)
    expected = 1 - ((2 * 4 + 1) / (8 + 8 + 1) + 1 / (4 + 1)) / 2
    assert found.item() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0])
def test_focal_is_monais_and_cross_entropy_at_zero(gamma):
    losses = pytest.importorskip("monai.losses")
    logits, target = drawn()
    monai = losses.FocalLoss(
        to_onehot_y=True, gamma=gamma, use_softmax=True, reduction="none"
    )
    # theirs is a mean over classes, of which a voxel has one
    expected = 3 * monai(logits, target.unsqueeze(1)).flatten(1).mean(dim=1)
    found, _ = build_loss("focal", gamma=gamma)(logits, target)
    torch.testing.assert_close(found, expected)
    if gamma == 0:
        entropy, _ = build_loss("cross_entropy")(logits, target)
        torch.testing.assert_close(found, entropy)


def test_cross_entropy_of_ignorance_is_the_logarithm_of_the_classes():
    found, parts = build_loss("cross_entropy")(torch.zeros(3, 4, 9, 8), drawn()[1])
    assert found.tolist() == pytest.approx([np.log(4)] * 3)
    assert parts.keys() == {"cross_entropy"}


def test_both_is_the_weighted_sum():
    logits, target = drawn()
    found, parts = build_loss("dice_cross_entropy", cross_entropy_weight=0.1)(
        logits, target
    )
    dice, _ = build_loss("dice")(logits, target)
    entropy, _ = build_loss("cross_entropy")(logits, target)
    torch.testing.assert_close(found, dice + 0.1 * entropy)
    torch.testing.assert_close(parts["cross_entropy"], entropy)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("full", [None, 0, 1])
@pytest.mark.parametrize("sure", [None, 0, 1])
def test_finite_for_empty_and_full_masks_in_half_precision_too(name, full, sure):
    if "hausdorff" in name:
        pytest.importorskip("monai")
    logits, target = drawn()
    if full is not None:
        target = torch.full_like(target, full)
    if sure is not None:
        logits = 100.0 * logits_of(torch.full_like(target, sure))
    maps = np.stack([signed_distances(one.numpy(), 3, (1, 1)) for one in target])
    loss = build_loss(name)
    for kind in (torch.float32, torch.bfloat16):
        one = logits.detach().to(kind, copy=True).requires_grad_()
        total, parts = loss(one, target, distance=torch.from_numpy(maps), progress=0.5)
        total.mean().backward()
        assert total.shape == (3,)
        assert total.dtype == torch.float32
        assert all(part.shape == (3,) for part in parts.values())
        assert one.grad.isfinite().all()
        assert total.isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
def test_a_case_costs_what_it_costs_alone(name):
    if "hausdorff" in name:
        pytest.importorskip("monai")
    logits, target = drawn()
    maps = np.stack([signed_distances(one.numpy(), 3, (1, 1)) for one in target])
    distance, loss = torch.from_numpy(maps), build_loss(name)
    together, _ = loss(logits, target, distance=distance)
    alone, _ = loss(logits[1:2], target[1:2], distance=distance[1:2])
    torch.testing.assert_close(together[1:2], alone)


@pytest.mark.parametrize(
    ("name", "settings", "told"),
    [
        ("dise", {}, "did you mean 'dice'"),
        ("dice", {"smooth": 1}, "no setting 'smooth'; did you mean 'smoothing'"),
        ("dice", {"smoothing": 0}, "smoothing is 0"),
        ("dice", {"by": "voxel"}, "by is 'voxel'.*'minibatch'"),
        ("focal", {"gamma": -1}, "gamma is -1"),
        ("cross_entropy", {"weight": 1}, r"\(it has: none\)"),
        ("contour_naive", {"term": "hd"}, "term is 'hd'"),
        ("contour_naive", {"by": "voxel"}, "by is 'voxel'.*'minibatch'"),
        (
            "contour_adaptive",
            {"term": "boundary", "weighting": "uncertainty"},
            "never below 0",
        ),
    ],
)
def test_refusals_say_what_was_found_and_what_to_do(name, settings, told):
    with pytest.raises(RadlatentError, match=told):
        build_loss(name, **settings)
