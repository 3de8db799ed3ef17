"""What models are made of: encoders and decoders for 2D and 3D inputs of any size.

The topology is that of nnU-Net without skip connections: every convolution is followed
by instance norm and leaky ReLU, every axis is halved as long as four voxels are left.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Independent

from radlatent.nn.distributions import diagonal_normal

__all__ = [
    "CHANNELS_LAST",
    "ConvolutionalDecoder",
    "ConvolutionalEncoder",
    "GaussianEncoder",
    "Sizes",
    "channels_last",
    "strides_of",
]

#: Voxels along an axis below which it is not halved.
SMALLEST = 4
#: No stage has more channels (nnU-Net's limit in 3D).
MOST_CHANNELS = 320

#: Number of axes of an image to the order in memory that CPUs and GPUs convolve faster:
#: channels last.
CHANNELS_LAST = {2: torch.channels_last, 3: torch.channels_last_3d}

_CONVOLUTION = {2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


@dataclass(frozen=True)
class Sizes:
    """How long the tensors of a model are.

    Parameters
    ----------
    in_channels
        Channels of an image.
    size
        Its voxels along each of the two or three axes.
    n_latent
        Length of the latent vector.
    n_handcrafted
        Number of hand-crafted features; 0 where there are none.
    n_classes
        Number of classes; 0 where none is predicted.
    """

    in_channels: int
    size: tuple[int, ...]
    n_latent: int
    n_handcrafted: int = 0
    n_classes: int = 0


def channels_last(images: Tensor) -> Tensor:
    """Return images with their channels last in memory.

    Parameters
    ----------
    images
        Shape (minibatch, channels, *size).
    """
    return images.contiguous(memory_format=CHANNELS_LAST[images.ndim - 2])


def strides_of(size: Sequence[int]) -> list[tuple[int, ...]]:
    """Return the strides of each stage, 1 or 2 an axis.

    Parameters
    ----------
    size
        Voxels along each axis.

    Notes
    -----
    An axis is halved, rounding up, as long as it has eight voxels or more; the axes
    with fewer halvings are spared in the first stages, as in nnU-Net.

    Examples
    --------
    >>> strides_of((64, 128, 192))
    [(1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2)]
    """
    halvings = [max(0, (n // SMALLEST).bit_length() - 1) for n in size]
    stages = max(halvings)
    return [
        tuple(2 if stage >= stages - n else 1 for n in halvings)
        for stage in range(stages)
    ]


def _channels(width, stages):
    """Return the channels of each stage; the first halving does not double them."""
    return [
        min(width * 2 ** max(0, stage - 1), MOST_CHANNELS)
        for stage in range(stages + 1)
    ]


def _convolve(before, after, kernel, stride=None):
    """Return convolution, instance norm and leaky ReLU; odd kernels keep the size."""
    padding = tuple(k // 2 for k in kernel)
    return nn.Sequential(
        _CONVOLUTION[len(kernel)](
            before, after, kernel, stride=stride or 1, padding=padding
        ),
        # one group a channel is instance norm; torch's own copies channels-last tensors
        nn.GroupNorm(after, after),
        nn.LeakyReLU(0.01, inplace=True),
    )


class ConvolutionalEncoder(nn.Module):
    """An image to a vector of features.

    Parameters
    ----------
    size
        Voxels along each of the two or three axes.
    in_channels
        Channels of the image.
    width
        Channels of the first two stages; every later stage doubles them.

    Attributes
    ----------
    n_out
        Length of the vector: the last stage, and mean and standard deviation of each
        channel of the image. Instance norm takes level and scale of its input away, so
        that without them an encoder could not tell x from 2x.
    sizes
        Voxels along each axis at every stage, the input first.
    """

    def __init__(self, size: Sequence[int], in_channels: int, width: int):
        super().__init__()
        strides = strides_of(size)
        channels = _channels(width, len(strides))
        full = (3,) * len(size)
        # nnU-Net: no kernel across an axis that is too short to be halved yet
        first = tuple(3 if s == 2 else 1 for s in strides[0]) if strides else full
        stages = [
            nn.Sequential(
                _convolve(in_channels, width, first), _convolve(width, width, full)
            )
        ]
        self.sizes = [tuple(size)]
        for stride, before, after in zip(strides, channels, channels[1:], strict=False):
            stages.append(
                nn.Sequential(
                    _convolve(before, after, full, stride),
                    _convolve(after, after, full),
                )
            )
            halved = zip(self.sizes[-1], stride, strict=True)
            self.sizes.append(tuple(-(-n // s) for n, s in halved))
        self.stages = nn.Sequential(*stages, nn.Flatten())
        self.n_out = channels[-1] * _product(self.sizes[-1]) + 2 * in_channels

    def forward(self, x: Tensor) -> Tensor:
        """Return the features of an image, shape (minibatch, n_out)."""
        voxels = x.flatten(2)
        level = [voxels.mean(dim=2), voxels.std(dim=2, correction=0)]
        return torch.cat([self.stages(x), *level], dim=1)


class GaussianEncoder(nn.Module):
    """An image to the posterior of its latent vector.

    Parameters
    ----------
    encoder
        An image to a vector of features.
    n_features
        Length of that vector.
    n_latent
        Length of the latent vector.
    dropout
        Share of the features that is left out in training.
    """

    def __init__(
        self,
        encoder: nn.Module,
        n_features: int,
        n_latent: int,
        *,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.mean = nn.Linear(n_features, n_latent)
        self.log_variance = nn.Linear(n_features, n_latent)

    def encode(self, x: Tensor) -> Independent:
        """Return the posterior of images of shape (minibatch, in_channels, *size)."""
        features = self.dropout(self.encoder(x))  # (minibatch, n_features)
        return diagonal_normal(self.mean(features), self.log_variance(features))

    def draw(self, posterior: Independent) -> Tensor:
        """Return a draw in training, the mean in evaluation: (minibatch, n_latent)."""
        return posterior.rsample() if self.training else posterior.mean


class ConvolutionalDecoder(nn.Module):
    """A vector to an image; the mirror of `ConvolutionalEncoder`.

    Parameters
    ----------
    size
        Voxels along each axis of the image.
    out_channels
        Channels of the image.
    n_in
        Length of the vector.
    width
        As in the encoder.

    Notes
    -----
    The output is linear: targets are standardized intensities, which no sigmoid can
    reach.
    """

    def __init__(self, size: Sequence[int], out_channels: int, n_in: int, width: int):
        super().__init__()
        strides = strides_of(size)
        channels = _channels(width, len(strides))
        self.sizes = [tuple(size)]
        for stride in strides:
            halved = zip(self.sizes[-1], stride, strict=True)
            self.sizes.append(tuple(-(-n // s) for n, s in halved))
        self.start = (channels[-1], *self.sizes[-1])
        self.project = nn.Linear(n_in, _product(self.start))
        full = (3,) * len(size)
        self.enlarge, self.refine = nn.ModuleList(), nn.ModuleList()
        for stage in reversed(range(len(strides))):
            before, after = channels[stage + 1], channels[stage]
            up = _TRANSPOSED[len(size)]
            self.enlarge.append(up(before, after, strides[stage], strides[stage]))
            self.refine.append(
                nn.Sequential(
                    _convolve(after, after, full), _convolve(after, after, full)
                )
            )
        self.last = _CONVOLUTION[len(size)](channels[0], out_channels, 1)

    def forward(self, z: Tensor) -> Tensor:
        """Return the image, shape (minibatch, out_channels, *size)."""
        image = self.project(z).reshape(-1, *self.start)
        steps = zip(self.enlarge, self.refine, reversed(self.sizes[:-1]), strict=True)
        for enlarge, refine, size in steps:
            # odd sizes were rounded up on the way down
            image = refine(_cut(enlarge(image), size))
        return self.last(image)


def _cut(image, size):
    return image[(..., *(slice(n) for n in size))]


def _product(numbers):
    product = 1
    for number in numbers:
        product *= number
    return product
