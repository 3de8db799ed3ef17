"""Networks by name: a name, channels, classes and a size enter, a module leaves.

`NETWORKS` says what each takes and where it is from.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import nn

from radlatent.errors import RadlatentError
from radlatent.nn.blocks import CHANNELS_LAST, strides_of
from radlatent.schema.yaml import nearest
from radlatent.segmentation.networks.from_monai import attention_unet, swin_unetr, unet
from radlatent.segmentation.networks.hrnet import HRNet
from radlatent.segmentation.networks.plain_unet import PlainUNet
from radlatent.segmentation.networks.transunet import TransUNet

__all__ = [
    "NETWORKS",
    "NetworkFacts",
    "build_network",
    "count_parameters",
    "fitting_size",
]

#: How often the U-Nets halve an image.
_HALVINGS = 4


@dataclass(frozen=True)
class NetworkFacts:
    """What a network takes, and where it is from.

    Parameters
    ----------
    dimensions
        Axes that its images may have: 2, 3 or both.
    width
        Channels of its first stage that two cores can train.
    published_width
        Those of the publication.
    divisor
        Voxels along each axis must be a multiple of it, twice it or more;
        `fitting_size` knows what ``unet3d`` grants to thin axes.
    source
        The publication, and who wrote the code.
    make
        Called with in_channels, n_classes, size and width.
    """

    dimensions: tuple[int, ...]
    width: int
    published_width: int
    divisor: int
    source: str
    make: Callable[[int, int, tuple[int, ...], int], nn.Module]


def _unet(in_channels, n_classes, size, width, *, residual_units=0):
    strides = _strides(size) if len(size) == 3 else [2] * _HALVINGS
    return unet(
        in_channels,
        n_classes,
        width,
        strides,
        dimensions=len(size),
        residual_units=residual_units,
    )


def _attention_unet(in_channels, n_classes, size, width):
    return attention_unet(in_channels, n_classes, width)


def _swin_unetr(in_channels, n_classes, size, width):
    return swin_unetr(in_channels, n_classes, width, dimensions=len(size))


def _plain_unet(in_channels, n_classes, size, width):
    return PlainUNet(in_channels, n_classes, width)


def _hrnet(in_channels, n_classes, size, width):
    return HRNet(in_channels, n_classes, width)


#: Name to what the network takes and where it is from.
NETWORKS = {
    "unet": NetworkFacts(
        (2,), 24, 64, 16, "Ronneberger et al. 2015, arXiv:1505.04597; MONAI", _unet
    ),
    "plain_unet": NetworkFacts(
        (2,),
        16,
        64,
        16,
        "Ronneberger et al. 2015, arXiv:1505.04597; radlatent",
        _plain_unet,
    ),
    "unet3d": NetworkFacts(
        (3,), 16, 64, 16, "Çiçek et al. 2016, arXiv:1606.06650; MONAI", _unet
    ),
    "res_unet": NetworkFacts(
        (2,),
        16,
        64,
        16,
        "Kerfoot et al. 2019, doi:10.1007/978-3-030-12029-0_40; MONAI",
        partial(_unet, residual_units=2),
    ),
    "attention_unet": NetworkFacts(
        (2,), 16, 64, 16, "Oktay et al. 2018, arXiv:1804.03999; MONAI", _attention_unet
    ),
    "swin_unetr": NetworkFacts(
        (2, 3),
        12,
        48,
        32,
        "Hatamizadeh et al. 2022, arXiv:2201.01266; MONAI",
        _swin_unetr,
    ),
    "hrnet": NetworkFacts(
        (2,), 16, 48, 16, "Wang et al. 2020, arXiv:1908.07919; radlatent", _hrnet
    ),
    "transunet": NetworkFacts(
        (2,), 16, 64, 16, "Chen et al. 2021, arXiv:2102.04306; radlatent", TransUNet
    ),
}


def build_network(
    name: str,
    *,
    in_channels: int,
    n_classes: int,
    size: tuple[int, ...],
    width: int | None = None,
) -> nn.Module:
    """Return a network of random weights, drawn from torch's generator.

    Parameters
    ----------
    name
        One of `NETWORKS`.
    in_channels
        Channels of the image.
    n_classes
        Classes, background included: two or more.
    size
        Voxels along each axis.
    width
        Channels of the first stage; None takes the one that two cores can train.

    Returns
    -------
    torch.nn.Module
        Images (minibatch, in_channels, *size) to logits (minibatch, n_classes, *size).

    Raises
    ------
    RadlatentError
        The name is not known, or the network does not take such images.
    """
    facts = _facts(name)
    width = facts.width if width is None else width
    _check(name, {"in_channels": in_channels, "n_classes": n_classes, "width": width})
    fits = fitting_size(name, size)
    if tuple(size) != fits:
        msg = (
            f"network {name!r}: size {tuple(size)} is too small or cannot be halved as "
            f"often as it halves. Take {fits}, the next that can."
        )
        raise RadlatentError(msg)
    network = facts.make(in_channels, n_classes, tuple(size), width)
    # as minibatches lie in memory
    return network.to(memory_format=CHANNELS_LAST[len(size)])


def fitting_size(name: str, size: tuple[int, ...]) -> tuple[int, ...]:
    """Return the smallest size that holds another and that a network takes.

    Parameters
    ----------
    name
        One of `NETWORKS`.
    size
        Voxels along each axis, at least.

    Raises
    ------
    RadlatentError
        The name is not known, or the network takes another number of axes.

    Notes
    -----
    Two voxels are left along each axis at the lowest scale: of one alone there is no
    instance norm. ``unet3d`` halves an axis as long as four voxels are left, at most
    four times; thin axes are spared in the first stages, as in nnU-Net.

    Examples
    --------
    >>> fitting_size("unet", (100, 128)), fitting_size("unet3d", (9, 100, 128))
    ((112, 128), (10, 112, 128))
    """
    facts = _facts(name)
    if len(size) not in facts.dimensions:
        able = [key for key, one in NETWORKS.items() if len(size) in one.dimensions]
        other = f"Take {_listed(able)}." if able else "Give two or three axes."
        axes = " or ".join(map(str, facts.dimensions))
        msg = (
            f"network {name!r} takes {axes} axes, and size {tuple(size)} has "
            f"{len(size)}. {other}"
        )
        raise RadlatentError(msg)
    if name == "unet3d":
        return tuple(_next(n, 2 ** _halvings(n)) for n in size)
    return tuple(max(2 * facts.divisor, _next(n, facts.divisor)) for n in size)


def count_parameters(module: nn.Module) -> int:
    """Return how many numbers a module learns."""
    return sum(one.numel() for one in module.parameters() if one.requires_grad)


def _facts(name):
    if name not in NETWORKS:
        msg = (
            f"network is {name!r}; give one of {_listed(NETWORKS)}"
            f"{nearest(name, NETWORKS)}"
        )
        raise RadlatentError(msg)
    return NETWORKS[name]


def _check(name, numbers):
    least = {"in_channels": 1, "n_classes": 2, "width": 4}
    wrong = [
        f"{key} is {value!r}; give a whole number from {least[key]}"
        for key, value in numbers.items()
        if not isinstance(value, int) or value < least[key]
    ]
    if wrong:
        msg = f"network {name!r}: {'; '.join(wrong)}."
        raise RadlatentError(msg)


def _strides(size):
    """Return four strides of three numbers: thin axes are spared first."""
    halvings = [_halvings(n) for n in size]
    return [
        tuple(2 if stage >= _HALVINGS - n else 1 for n in halvings)
        for stage in range(_HALVINGS)
    ]


def _halvings(n):
    return min(_HALVINGS, len(strides_of((n,))))


def _next(n, divisor):
    return max(1, -(-n // divisor)) * divisor


def _listed(names):
    return ", ".join(repr(name) for name in names)
