"""Losses of overlap: logits and labels enter, one value a case and its parts leave.

All are called alike, ``loss(logits, target, distance=None, progress=0.0)``; these look
at neither of the last two.
"""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from radlatent.errors import RadlatentError

__all__ = [
    "By",
    "CrossEntropy",
    "Dice",
    "DiceCrossEntropy",
    "Focal",
    "check_choice",
    "check_positive",
    "dice_loss",
    "shares_of",
]

By = Literal["case", "minibatch"]


def shares_of(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return softmax and one-hot reference of the structures, without the background.

    Parameters
    ----------
    logits
        Shape (minibatch, n_classes, *size), of any precision.
    target
        Labels from 0 to n_classes - 1, shape (minibatch, *size).

    Returns
    -------
    tuple of Tensor
        Float32, each of shape (minibatch, n_classes - 1, *size).
    """
    shares = torch.softmax(logits.float(), dim=1)[:, 1:]
    labels = torch.arange(1, logits.shape[1], device=target.device)
    labels = labels.view(1, -1, *(1,) * (target.ndim - 1))
    return shares, (target.unsqueeze(1) == labels).to(shares.dtype)


def dice_loss(
    shares: Tensor, reference: Tensor, *, smoothing: float = 1.0, by: By = "case"
) -> Tensor:
    """Return 1 - soft Dice, the mean over structures, shape (minibatch,).

    Parameters
    ----------
    shares, reference
        As of `shares_of`.
    smoothing
        Voxels that are added to both sides of the fraction.
    by
        "case" or "minibatch", as of `Dice`.
    """
    axes = tuple(range(2, shares.ndim))
    common = (shares * reference).sum(axes)  # (minibatch, structures)
    total = shares.sum(axes) + reference.sum(axes)
    if by == "minibatch":
        common, total = (
            one.sum(dim=0, keepdim=True).expand(len(shares), -1)
            for one in (common, total)
        )
    return 1 - ((2 * common + smoothing) / (total + smoothing)).mean(dim=1)


class _Loss(nn.Module):
    """What all losses here have in common: they need no distance maps."""

    needs_distance = False


class Dice(_Loss):
    """1 - soft Dice of the structures, background excluded.

    Parameters
    ----------
    smoothing
        s, in voxels; small against a structure.
    by
        "case": each case has its own Dice. "minibatch": sums run over all cases
        together, as nnU-Net does in 2D, and every case gets the one value; structures
        that are absent from a slice then weigh nothing extra.

    Notes
    -----
    1 - mean over structures of (2 sum(p g) + s) / (sum(p) + sum(g) + s), with p the
    softmax and g the reference; without squares in the denominator. A structure that is
    absent from a case costs P / (P + s) where P is the sum of its softmax: 0 where
    nothing is drawn, nearly 1 where more than a few voxels are.

    References
    ----------
    Milletari et al. 2016, arXiv:1606.04797 (with squares); Drozdzal et al. 2016,
    arXiv:1608.04117, as here
    """

    def __init__(self, *, smoothing: float = 1.0, by: By = "case"):
        super().__init__()
        check_positive({"smoothing": smoothing})
        check_choice("by", by, By)
        self.smoothing, self.by = smoothing, by

    def forward(self, logits, target, *, distance=None, progress=0.0):
        """Return the loss and its parts, each of shape (minibatch,)."""
        shares, reference = shares_of(logits, target)
        dice = dice_loss(shares, reference, smoothing=self.smoothing, by=self.by)
        return dice, {"dice": dice}


class CrossEntropy(_Loss):
    """Cross-entropy in nats, the mean over voxels, background included."""

    def forward(self, logits, target, *, distance=None, progress=0.0):
        """Return the loss and its parts, each of shape (minibatch,)."""
        entropy = _by_case(F.cross_entropy(logits.float(), target, reduction="none"))
        return entropy, {"cross_entropy": entropy}


class DiceCrossEntropy(_Loss):
    """Weighted sum of 1 - Dice and cross-entropy.

    Parameters
    ----------
    dice_weight, cross_entropy_weight
        1 and 1 as in nnU-Net; 1 and 0.1 in Painchaud's mask VAEs and CRISP.
    smoothing, by
        Of `Dice`.

    References
    ----------
    Isensee et al. 2021, doi:10.1038/s41592-020-01008-z
    """

    def __init__(
        self,
        *,
        dice_weight: float = 1.0,
        cross_entropy_weight: float = 1.0,
        smoothing: float = 1.0,
        by: By = "case",
    ):
        super().__init__()
        check_positive(
            {"dice_weight": dice_weight, "cross_entropy_weight": cross_entropy_weight}
        )
        self.dice = Dice(smoothing=smoothing, by=by)
        self.cross_entropy = CrossEntropy()
        self.weights = dice_weight, cross_entropy_weight

    def forward(self, logits, target, *, distance=None, progress=0.0):
        """Return the loss and its parts, each of shape (minibatch,)."""
        dice, parts = self.dice(logits, target)
        entropy, more = self.cross_entropy(logits, target)
        total = self.weights[0] * dice + self.weights[1] * entropy
        return total, parts | more


class Focal(_Loss):
    """Cross-entropy in which voxels that are right count little, mean over voxels.

    Parameters
    ----------
    gamma
        0 is cross-entropy.

    Notes
    -----
    -(1 - p)^gamma log p, with p the softmax of the class that a voxel has.

    References
    ----------
    Lin et al. 2017, arXiv:1708.02002, eq. 4
    """

    def __init__(self, *, gamma: float = 2.0):
        super().__init__()
        if not gamma >= 0:
            msg = f"gamma is {gamma!r}; give 0 or more."
            raise RadlatentError(msg)
        self.gamma = gamma

    def forward(self, logits, target, *, distance=None, progress=0.0):
        """Return the loss and its parts, each of shape (minibatch,)."""
        entropy = F.cross_entropy(logits.float(), target, reduction="none")
        # 1 - p, exact where p is nearly 1; its power has no gradient at 0
        wrong = (-torch.expm1(-entropy)).clamp_min(torch.finfo(entropy.dtype).tiny)
        focal = _by_case(wrong**self.gamma * entropy)
        return focal, {"focal": focal}


def check_positive(numbers: dict[str, float]) -> None:
    """Raise where a setting, name to number, is not above 0."""
    wrong = [f"{key} is {value!r}" for key, value in numbers.items() if not value > 0]
    if wrong:
        msg = f"{'; '.join(wrong)}; give a number above 0."
        raise RadlatentError(msg)


def check_choice(name: str, value: object, choices: object) -> None:
    """Raise where a setting is none of the values of a ``Literal``."""
    if value not in get_args(choices):
        msg = f"{name} is {value!r}; give one of {get_args(choices)}."
        raise RadlatentError(msg)


def _by_case(values):
    return values.flatten(1).mean(dim=1)
