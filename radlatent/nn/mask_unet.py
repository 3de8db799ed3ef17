"""The U-Net that revises masks: a mask and its image in, classes and structures out.

A mask that a network drew enters, with the slices beside it and the image where there
is one; what the reader would have drawn leaves, and which structures the slice has at
all. It starts from the mask: what it learns is what to change.

Ronneberger et al. 2015, arXiv:1505.04597, with strided convolutions; one network after
another as in Tu & Bai 2010, doi:10.1109/TPAMI.2009.186 (auto-context).
"""

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from radlatent.nn.cells import activated
from radlatent.nn.objective import Loss

__all__ = ["MaskUNet", "Revised", "RevisionMinibatch"]

#: Channels of the stages, in multiples of the width; each halves the image.
_STAGES = (1, 2, 4, 8)

#: Logit that a pixel of the mask that enters starts with, against its other classes.
_START = 2.0


class RevisionMinibatch(NamedTuple):
    """Tensors of some slices.

    Parameters
    ----------
    x
        Shape (minibatch, in_channels, size, size); the first channels are the shares of
        the classes in the slice that is revised.
    target
        Shares of the classes as the reader drew them, (minibatch, n_classes, size,
        size).
    """

    x: Tensor
    target: Tensor


class Revised(NamedTuple):
    """What the network makes of some slices.

    Parameters
    ----------
    logits
        Of the classes of each pixel, shape (minibatch, n_classes, size, size).
    presence
        Logits of whether the slice has each structure, (minibatch, n_classes - 1).
    """

    logits: Tensor
    presence: Tensor


class MaskUNet(nn.Module):
    """A U-Net on masks and images.

    Parameters
    ----------
    in_channels
        Channels that enter; the first ``n_classes`` are those of the mask.
    n_classes
        Background and structures.
    width
        Channels of the first of four stages.

    Notes
    -----
    loss = mean over pixels of cross-entropy + 1 - Dice of the minibatch (its mean over
    structures, of soft masks) + mean over structures of the cross-entropy of presence.
    The image is halved before its first convolution ends and doubled by the last: a
    third of the time of full resolution on a CPU.
    """

    def __init__(self, in_channels: int, n_classes: int, *, width: int = 16):
        super().__init__()
        channels = [in_channels, *(width * n for n in _STAGES)]
        self.n_classes = n_classes
        self.down = nn.ModuleList(_halve(*pair) for pair in pairwise(channels))
        upward = list(pairwise(channels[:0:-1]))
        self.enlarge = nn.ModuleList(
            nn.ConvTranspose2d(before, after, 2, stride=2) for before, after in upward
        )
        self.refine = nn.ModuleList(_refine(2 * after, after) for _, after in upward)
        # four classes of four pixels each: twice the resolution without a convolution
        self.head = nn.Sequential(
            nn.Conv2d(width, 4 * n_classes, 1), nn.PixelShuffle(2)
        )
        self.present = nn.Linear(2 * channels[-1], n_classes - 1)

    def forward(self, x: Tensor) -> Revised:
        """Return what the reader would have drawn, for maps that entered."""
        kept, found = [], x
        for stage in self.down:
            found = stage(found)
            kept.append(found)
        pooled = torch.cat([found.mean(dim=(2, 3)), found.amax(dim=(2, 3))], dim=1)
        steps = zip(self.enlarge, self.refine, kept[-2::-1], strict=True)
        for enlarge, refine, beside in steps:
            found = refine(torch.cat([enlarge(found), beside], dim=1))
        logits = self.head(found) + _START * x[:, : self.n_classes]
        return Revised(logits, self.present(pooled))

    def loss(self, minibatch: RevisionMinibatch, *, progress: float = 0.0) -> Loss:
        """Return the loss and its parts, each of shape (minibatch,).

        Parameters
        ----------
        minibatch
            What enters, and what should leave.
        progress
            How much of the training is done; nothing depends on it.
        """
        found = self(minibatch.x)
        logits, target = found.logits.float(), minibatch.target
        entropy = -(target * F.log_softmax(logits, dim=1)).sum(dim=1).mean(dim=(1, 2))
        dice = _soft_dice(logits.softmax(dim=1)[:, 1:], target[:, 1:])
        there = (target[:, 1:] > 0.5).flatten(2).any(dim=2).float()
        presence = F.binary_cross_entropy_with_logits(
            found.presence.float(), there, reduction="none"
        ).mean(dim=1)
        parts = {"entropy": entropy, "dice": (1 - dice).expand_as(entropy)}
        parts["presence"] = presence
        return Loss(sum(parts.values()), parts, logits)


def _soft_dice(found, target):
    """Return the Dice of soft masks over a minibatch, its mean over structures."""
    common = (found * target).sum(dim=(0, 2, 3))
    sizes = (found + target).sum(dim=(0, 2, 3))
    return (2 * common / sizes.clamp(min=1)).mean()


def _halve(before, after):
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
        activated(after),
        nn.Conv2d(after, after, 3, padding=1, bias=False),
        activated(after),
    )


def _refine(before, after):
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False), activated(after)
    )
