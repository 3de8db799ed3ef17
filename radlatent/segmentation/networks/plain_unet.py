"""The U-Net of the paper with batch norm: two convolutions a stage, all of them plain.

Ronneberger et al. 2015, arXiv:1505.04597, figure 1. What differs: convolutions are
padded, so that logits are as large as the image, batch norm follows each of them, and
at the full resolution, where most of the time would go, there is one instead of two.
MONAI's `UNet` has one convolution a stage and none at the full resolution: it is sooner
done, and its contours are those of images half as fine.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["PlainUNet"]

#: Channels of the stages, in multiples of the width.
_STAGES = (1, 2, 4, 8, 16)


class PlainUNet(nn.Module):
    """A U-Net for segmentation, 2D.

    Parameters
    ----------
    in_channels
        Channels of the image.
    n_classes
        Classes, background included.
    width
        Channels at the full resolution (64 as published); each of the four halvings
        doubles them.
    finest
        Convolutions at the full resolution, down as well as up (2 as published).

    Notes
    -----
    Each side of an image is a multiple of 16.
    """

    def __init__(
        self, in_channels: int, n_classes: int, width: int, *, finest: int = 1
    ):
        super().__init__()
        channels = [width * n for n in _STAGES]
        self.first = _stage(in_channels, width, finest)
        self.down = nn.ModuleList(_stage(*pair, 2) for pair in pairwise(channels))
        rising = list(pairwise(channels[::-1]))
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(*pair, 2, 2) for pair in rising)
        numbers = [2] * (len(rising) - 1) + [finest]
        self.up = nn.ModuleList(
            # twice the channels: what was enlarged beside what was passed on
            _stage(2 * after, after, n)
            for (_, after), n in zip(rising, numbers, strict=True)
        )
        self.head = nn.Conv2d(width, n_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of images, shape (minibatch, n_classes, rows, columns)."""
        h = self.first(x)
        passed = []
        for down in self.down:
            passed.append(h)
            h = down(F.max_pool2d(h, 2))
        for enlarge, up, side in zip(self.enlarge, self.up, passed[::-1], strict=True):
            h = up(torch.cat([enlarge(h), side], dim=1))
        return self.head(h)


def _stage(before, after, n):
    """Return some convolutions, each with batch norm and ReLU."""
    layers = []
    for _ in range(n):
        layers += [
            nn.Conv2d(before, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
        ]
        before = after
    return nn.Sequential(*layers)
