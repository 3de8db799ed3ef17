"""HRNet: branches of falling resolution side by side, none of them ever given up.

Wang et al. 2020, Deep High-Resolution Representation Learning for Visual Recognition,
doi:10.1109/TPAMI.2020.2983686, arXiv:1908.07919: HRNetV2, whose head sees all branches.
Written from the paper's figures 2 to 4; weights are not compatible.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["HRNET_FULL", "HRNET_SMALL", "HRNET_W18_SMALL", "HRNet", "HRNetDepth"]

#: Branches of the last stage; their channels double, their resolution halves.
_BRANCHES = 4
#: Channels inside the bottleneck blocks of the first stage, and what leaves them.
_NARROW, _WIDE = 64, 256


@dataclass(frozen=True)
class HRNetDepth:
    """How deep an HRNet is.

    Parameters
    ----------
    halvings
        How often the stem halves the image before the first branch: 2 as published,
        for photographs of 1024 x 2048; contours of slices of 128 x 128 need 1.
    bottlenecks
        Bottleneck blocks of the first stage.
    two, three, four
        Modules of the stages with two, three and four branches; each module ends in an
        exchange between all its branches.
    blocks
        Residual blocks of a branch in a module.
    """

    halvings: int = 2
    bottlenecks: int = 4
    two: int = 1
    three: int = 4
    four: int = 3
    blocks: int = 4


#: HRNetV2-W18 and W48 (65.8 million parameters with 19 classes) as published.
HRNET_FULL = HRNetDepth()
#: HRNetV2-W18-Small-v2 of the authors (3.9 million parameters with 19 classes).
HRNET_W18_SMALL = HRNetDepth(bottlenecks=2, three=3, four=2, blocks=2)
#: For slices and two cores: one module a stage, as in HRNetV2-W18-Small-v1.
HRNET_SMALL = HRNetDepth(halvings=1, bottlenecks=1, three=1, four=1, blocks=2)


class HRNet(nn.Module):
    """A High-Resolution Net for segmentation, 2D.

    Parameters
    ----------
    in_channels
        Channels of the image.
    n_classes
        Classes, background included.
    width
        Channels of the first branch (18 and 48 as published); others double it.
    depth
        How deep it is.

    Notes
    -----
    Each side of an image is a multiple of 2^(halvings + 3). Convolutions are followed
    by batch norm, as published.
    """

    def __init__(
        self,
        in_channels: int,
        n_classes: int,
        width: int,
        *,
        depth: HRNetDepth = HRNET_SMALL,
    ):
        super().__init__()
        channels = [width * 2**branch for branch in range(_BRANCHES)]
        strides = [2] * depth.halvings + [1] * (2 - depth.halvings)
        self.stem = nn.Sequential(
            _convolve(in_channels, _NARROW, 3, strides[0]),
            _convolve(_NARROW, _NARROW, 3, strides[1]),
            _Bottleneck(_NARROW),
            *(_Bottleneck(_WIDE) for _ in range(depth.bottlenecks - 1)),
        )
        self.first = _convolve(_WIDE, width, 3)
        self.added = nn.ModuleList()
        # published: the second branch starts from what the first starts from
        sources = [_WIDE, *channels[1:-1]]
        for before, after in zip(sources, channels[1:], strict=True):
            self.added.append(_convolve(before, after, 3, 2))
        self.stages = nn.ModuleList(
            nn.Sequential(
                *(_Module(channels[:n], depth.blocks) for _ in range(modules))
            )
            for n, modules in zip(
                (2, 3, 4), (depth.two, depth.three, depth.four), strict=True
            )
        )
        together = sum(channels)
        self.head = nn.Sequential(
            nn.Conv2d(together, together, 1),
            nn.BatchNorm2d(together),
            nn.ReLU(inplace=True),
            nn.Conv2d(together, n_classes, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of images, shape (minibatch, n_classes, rows, columns)."""
        start = self.stem(x)  # (B, 256, H/2, W/2)
        branches, source = [self.first(start)], start
        for added, stage in zip(self.added, self.stages, strict=True):
            branches = stage([*branches, added(source)])
            source = branches[-1]
        size = branches[0].shape[2:]
        whole = torch.cat([_enlarge(one, size) for one in branches], dim=1)
        return _enlarge(self.head(whole), x.shape[2:])


class _Bottleneck(nn.Module):
    """1 x 1, 3 x 3, 1 x 1 around a shortcut: the block of ResNet-50."""

    def __init__(self, before):
        super().__init__()
        self.body = nn.Sequential(
            _convolve(before, _NARROW, 1),
            _convolve(_NARROW, _NARROW, 3),
            *_normed(_NARROW, _WIDE, 1),
        )
        self.short = (
            nn.Identity()
            if before == _WIDE
            else nn.Sequential(*_normed(before, _WIDE, 1))
        )

    def forward(self, x):
        return F.relu(self.body(x) + self.short(x))


class _Block(nn.Module):
    """Two 3 x 3 convolutions around a shortcut: the block of ResNet-18."""

    def __init__(self, channels):
        super().__init__()
        self.body = nn.Sequential(
            _convolve(channels, channels, 3), *_normed(channels, channels, 3)
        )

    def forward(self, x):
        return F.relu(self.body(x) + x)


class _Module(nn.Module):
    """Residual blocks on every branch, then each branch gets the sum of all."""

    def __init__(self, channels, blocks):
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(_Block(n) for _ in range(blocks))) for n in channels
        )
        # [to][from]
        self.exchange = nn.ModuleList(
            nn.ModuleList(_path(channels, start, end) for start in range(len(channels)))
            for end in range(len(channels))
        )

    def forward(self, branches):
        refined = [
            blocks(branch)
            for blocks, branch in zip(self.branches, branches, strict=True)
        ]
        mixed = []
        for own, paths in zip(refined, self.exchange, strict=True):
            reached = [path(x) for path, x in zip(paths, refined, strict=True)]
            total = sum(_enlarge(one, own.shape[2:]) for one in reached)
            mixed.append(F.relu(total))
        return mixed


def _path(channels, start, end):
    """Return the way from a branch to another, before any enlargement."""
    if start == end:
        return nn.Identity()
    if start > end:
        return nn.Sequential(*_normed(channels[start], channels[end], 1))
    # halvings keep the channels; the last one changes them and has no ReLU
    before, after = channels[start], channels[end]
    halved = [_convolve(before, before, 3, 2) for _ in range(end - start - 1)]
    return nn.Sequential(*halved, *_normed(before, after, 3, 2))


def _normed(before, after, kernel, stride=1):
    return (
        nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(after),
    )


def _convolve(before, after, kernel, stride=1):
    return nn.Sequential(*_normed(before, after, kernel, stride), nn.ReLU(inplace=True))


def _enlarge(x, size):
    if x.shape[2:] == size:
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
