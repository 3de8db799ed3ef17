"""TransUNet: a convolutional encoder, a vision transformer where it ends, a decoder.

Chen et al. 2021, TransUNet: Transformers Make Strong Encoders for Medical Image
Segmentation, arXiv:2102.04306, figure 1. Written from the paper.

What differs from their R50-ViT-B/16 (105 million parameters), which starts from weights
of ImageNet-21k that this one has no use for:

- residual blocks of two 3 x 3 convolutions with batch norm, one a resolution, stand for
  the bottlenecks of a ResNet-50 with group norm (3, 4 and 9 a resolution);
- 4 transformer layers of 12 x width units stand for 12 of 768, which is 12 x 64;
- the last block of the decoder has half the width (theirs: a quarter of 64).

The same as theirs: the resolutions (1/2, 1/4, 1/8 are passed on, tokens are the pixels
at 1/16), learned positions, the channels of the decoder (8, 4, 2 and 1 x width), a
decoder that starts from the tokens alone.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["TransUNet"]

#: Channels of the encoder at 1/2, 1/4, 1/8 and 1/16, in multiples of the width.
_ENCODER = (1, 2, 4, 8)
#: Units of the transformer, in multiples of the width: 768 of 64.
_UNITS = 12
#: Units of a head, as in every ViT.
_HEAD = 64
_DROPOUT = 0.1


class TransUNet(nn.Module):
    """A hybrid of convolutions and a transformer for segmentation, 2D.

    Parameters
    ----------
    in_channels
        Channels of the image.
    n_classes
        Classes, background included.
    size
        Rows and columns, multiples of 16: positions are learned, one a token.
    width
        Channels at half the resolution (64 as published), a multiple of 4.
    layers
        Layers of the transformer (12 as published).
    """

    def __init__(
        self,
        in_channels: int,
        n_classes: int,
        size: tuple[int, int],
        width: int,
        *,
        layers: int = 4,
    ):
        super().__init__()
        channels = [width * n for n in _ENCODER]
        units = width * _UNITS
        self.stem = _convolve(in_channels, width, 2)
        self.first = _Residual(width, width, 1)
        self.down = nn.ModuleList(_Residual(*pair, 2) for pair in pairwise(channels))
        self.tokens = nn.Conv2d(channels[-1], units, 1)
        n_tokens = (size[0] // 16) * (size[1] // 16)
        self.positions = nn.Parameter(torch.empty(1, n_tokens, units))
        nn.init.trunc_normal_(self.positions, std=0.02)
        self.transformer = nn.Sequential(
            *(_layer(units) for _ in range(layers)), nn.LayerNorm(units)
        )
        self.start = _convolve(units, channels[-1])
        # from below and passed on; the last has nothing passed on
        passed = [*channels[-2::-1], 0]
        coming = channels[::-1]
        leaving = [*coming[1:], width // 2]
        self.up = nn.ModuleList(
            nn.Sequential(_convolve(below + side, after), _convolve(after, after))
            for below, side, after in zip(coming, passed, leaving, strict=True)
        )
        self.head = nn.Conv2d(width // 2, n_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of images, shape (minibatch, n_classes, rows, columns)."""
        h = self.first(self.stem(x))  # (B, width, H/2, W/2)
        passed = []
        for down in self.down:
            passed.append(h)
            h = down(h)
        tokens = self.tokens(h)  # (B, units, H/16, W/16)
        place = tokens.shape
        tokens = tokens.flatten(2).transpose(1, 2) + self.positions
        tokens = self.transformer(tokens).transpose(1, 2).reshape(place)
        h = self.start(tokens)
        for up, side in zip(self.up, [*passed[::-1], None], strict=True):
            h = F.interpolate(h, scale_factor=2, mode="bilinear", align_corners=False)
            h = up(h if side is None else torch.cat([h, side], dim=1))
        return self.head(h)


class _Residual(nn.Module):
    def __init__(self, before, after, stride):
        super().__init__()
        self.body = nn.Sequential(
            _convolve(before, after, stride),
            nn.Conv2d(after, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.short = nn.Sequential()
        if stride > 1 or before != after:
            self.short.append(nn.Conv2d(before, after, 1, stride, bias=False))
            self.short.append(nn.BatchNorm2d(after))

    def forward(self, x):
        return F.relu(self.body(x) + self.short(x))


def _layer(units):
    return nn.TransformerEncoderLayer(
        units,
        max(1, units // _HEAD),
        4 * units,
        _DROPOUT,
        activation="gelu",
        batch_first=True,
        norm_first=True,
    )


def _convolve(before, after, stride=1):
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )
