"""Augmentation: a minibatch of images and labels enters, a changed one leaves.

All that moves voxels is one resampling on the device of the tensors. Draws come from
torch's generator, which the training loop seeds every epoch: choices, angles and the
like are drawn on the CPU, so that they are the same on every device and none waits.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["MOST_ANISOTROPIC", "Augmentation", "Augmented", "augment"]

#: Beyond this ratio of spacings an axis is left alone, as in nnU-Net.
MOST_ANISOTROPIC = 3.0
#: Voxels between the nodes of elastic shifts.
_NODE = 16
#: Nodes of a bias field along each axis: it changes once or twice across an image.
_BIAS_NODES = 3


class Augmented(NamedTuple):
    """What `augment` gives back: image, labels, distance maps or None."""

    x: Tensor
    target: Tensor
    distance: Tensor | None


@dataclass(frozen=True)
class Augmentation:
    """How images and labels are varied in training; every pair is a range.

    Parameters
    ----------
    rotation_deg
        Largest angle about each axis. nnU-Net takes 30 in 3D and 180 in 2D; slices of a
        scanner keep their orientation.
    scale
        Smallest and largest zoom.
    elastic
        Standard deviation, in voxels, of the shifts at the nodes of a coarse grid; 0
        leaves out. nnU-Net takes it no longer.
    gamma
        Smallest and largest exponent of the intensities, scaled to their range.
    noise
        Largest standard deviation of Gaussian noise, in those of the image.
    low_resolution
        Smallest and largest share of the voxels that are kept along each axis.
    contrast
        Smallest and largest factor of the intensities about their mean; 1 and 1 leave
        out. nnU-Net takes 0.65 and 1.5.
    brightness
        Largest shift of the intensities, in their standard deviations; 0 leaves out.
    bias_field
        Standard deviation, at the nodes of a coarse grid, of the logarithm of a smooth
        factor, as coils of a scanner have it; 0 leaves out.
    flips
        Whether each axis is mirrored in half of the cases.
    probability
        Share of the cases that each change but flips touches.

    Notes
    -----
    Ranges that do something by default are nnU-Net's, with one probability for all
    (theirs: 0.1 to 0.3). nnU-Net mirrors by default; we do not, since organs have a
    left and a right.

    References
    ----------
    Isensee et al. 2021, doi:10.1038/s41592-020-01008-z, supplementary note 4
    """

    rotation_deg: float = 30.0
    scale: tuple[float, float] = (0.7, 1.4)
    elastic: float = 2.0
    gamma: tuple[float, float] = (0.7, 1.5)
    noise: float = 0.3
    low_resolution: tuple[float, float] = (0.5, 1.0)
    contrast: tuple[float, float] = (1.0, 1.0)
    brightness: float = 0.0
    bias_field: float = 0.0
    flips: bool = False
    probability: float = 0.2

    @classmethod
    def none(cls) -> "Augmentation":
        """Return settings that change nothing."""
        return cls(probability=0.0, flips=False)

    def problems(self) -> list[str]:
        """Return what is wrong with the settings."""
        found = [
            f"{name} is {value!r}; give 0 or more"
            for name in ("rotation_deg", "elastic", "noise", "brightness", "bias_field")
            if not (value := getattr(self, name)) >= 0
        ]
        for name in ("scale", "gamma", "low_resolution", "contrast"):
            pair = getattr(self, name)
            if len(pair) != 2 or not 0 < pair[0] <= pair[1]:
                found.append(f"{name} is {pair!r}; give two numbers above 0, ascending")
        if self.low_resolution[-1] > 1:
            found.append(f"low_resolution is {self.low_resolution!r}; give at most 1")
        if not 0 <= self.probability <= 1:
            found.append(f"probability is {self.probability!r}; give 0 to 1")
        return [f"augmentation: {problem}" for problem in found]


def augment(
    x: Tensor,
    target: Tensor,
    augmentation: Augmentation,
    *,
    distance: Tensor | None = None,
    spacing_mm: Sequence[float] | None = None,
) -> Augmented:
    """Return a changed copy of a minibatch.

    Parameters
    ----------
    x
        Images, shape (minibatch, channels, *size), two or three axes.
    target
        Labels, shape (minibatch, *size).
    augmentation
        The settings.
    distance
        Signed distance maps in mm, shape (minibatch, structures, *size), or None.
    spacing_mm
        Of the voxels, in the order of the axes; None takes them for cubes. Along axes
        more than three times as coarse as the finest nothing is moved but mirrored, as
        in nnU-Net.

    Returns
    -------
    Augmented
        What comes from beyond the image is background and as dark as its darkest voxel,
        as of images that are smaller than the field. Distances are those of the
        maps that enter, moved, and multiplied by the zoom; elastic shifts bend them a
        little.
    """
    place = _grid(x, augmentation, spacing_mm)
    if place is not None:
        x, target, distance = _moved(x, target, distance, place)
    x = _low_resolution(x, augmentation)
    x = _noisy(x, augmentation)
    x = _contrasted(x, augmentation)
    x = _biased(x, augmentation)
    return Augmented(_gamma(x, augmentation), target, distance)


class _Place(NamedTuple):
    """Where the voxels of some cases come from."""

    rows: Tensor  # cases that move
    grid: Tensor  # (cases, *size, axes), -1 to 1, the last axis first
    zoom: Tensor  # (cases,)


def _grid(x, augmentation, spacing_mm):
    """Return where voxels come from, or None where nothing moves."""
    n, axes = len(x), x.ndim - 2
    flipped = torch.ones(n, axes)
    if augmentation.flips:
        flipped = 1 - 2 * _coin((n, axes), 0.5).float()
    share = augmentation.probability
    turned, zoomed, bent = (_coin((n,), share) for _ in range(3))
    angles = _between(-augmentation.rotation_deg, augmentation.rotation_deg, (n, 3))
    angles = torch.deg2rad(angles) * turned[:, None]
    zoom = torch.where(zoomed, _log_between(*augmentation.scale, n), 1.0)
    moves = turned | zoomed | bent | (flipped < 0).any(dim=1)
    rows = moves.nonzero().squeeze(1)
    if not len(rows):
        return None
    size = torch.tensor(x.shape[2:], dtype=torch.float32)
    spacing = torch.ones(axes) if spacing_mm is None else torch.tensor(spacing_mm)
    fine = spacing <= MOST_ANISOTROPIC * spacing.min()
    turn = _rotation(angles[rows], fine)  # (cases, axes, axes), in mm
    # from an output voxel, in halves of the image, to mm, turned, and back
    half_mm = size * spacing.float() / 2
    zooms = torch.where(fine, zoom[rows, None], 1.0)
    matrix = turn * (flipped[rows] / zooms)[:, None, :]
    matrix = matrix * half_mm[None, None, :] / half_mm[None, :, None]
    # torch counts the last axis first; nothing is shifted
    theta = F.pad(matrix.flip(1, 2), (0, 1)).to(x.device)
    shape = (len(rows), 1, *x.shape[2:])
    grid = F.affine_grid(theta, shape, align_corners=False)
    if augmentation.elastic and bent.any():
        strength = augmentation.elastic * 2 * fine / size
        strength = strength * bent[rows, None]  # (cases, axes), in halves of the image
        shift = _smooth(strength.to(x.device), x.shape[2:])
        grid = grid + shift.flip(1).movedim(1, -1)
    return _Place(rows.to(x.device), grid, zoom[rows].to(x.device))


def _rotation(angles, fine):
    """Return rotations between the axes of fine spacing, shape (cases, axes, axes)."""
    axes = len(fine)
    turn = torch.eye(axes, device=angles.device).expand(len(angles), -1, -1)
    planes = [(a, b) for a in range(axes) for b in range(a + 1, axes)]
    for number, (a, b) in enumerate(planes):
        if not (fine[a] and fine[b]):
            continue
        one = torch.eye(axes, device=angles.device).repeat(len(angles), 1, 1)
        sine, cosine = angles[:, number].sin(), angles[:, number].cos()
        one[:, a, a], one[:, b, b] = cosine, cosine
        one[:, a, b], one[:, b, a] = -sine, sine
        turn = turn @ one
    return turn


def _smooth(strength, size):
    """Return smooth shifts of some strength, shape (cases, axes, *size)."""
    nodes = [max(2, n // _NODE) for n in size]
    drawn = torch.randn(*strength.shape, *nodes).to(strength.device)
    mode = "bicubic" if len(size) == 2 else "trilinear"
    shift = F.interpolate(drawn, size=size, mode=mode, align_corners=True)
    return shift * strength.view(*strength.shape, *(1,) * len(size))


def _moved(x, target, distance, place):
    """Return copies in which some cases were resampled; labels from the nearest."""
    x, target = x.clone(), target.clone()
    rows, grid = place.rows, place.grid.to(x.dtype)
    low = x[rows].amin(tuple(range(1, x.ndim)), keepdim=True)
    # beyond the image torch takes 0, which of a standardized image is its mean
    x[rows] = F.grid_sample(x[rows] - low, grid, align_corners=False) + low
    labels = target[rows].unsqueeze(1).to(x.dtype)
    labels = F.grid_sample(labels, grid, mode="nearest", align_corners=False)
    target[rows] = labels.squeeze(1).to(target.dtype)
    if distance is not None:
        distance = distance.clone()
        # beyond the image it goes on as at its edge
        maps = F.grid_sample(
            distance[rows], grid, padding_mode="border", align_corners=False
        )
        distance[rows] = maps * place.zoom.view(-1, *(1,) * (maps.ndim - 1))
    return x, target, distance


def _low_resolution(x, augmentation):
    rows = _chosen(x, augmentation.probability)
    if not len(rows):
        return x
    # one share for all that are chosen: they pass together
    share = float(_between(*augmentation.low_resolution, (1,)))
    size = x.shape[2:]
    small = [max(1, round(n * share)) for n in size]
    mode = "bilinear" if len(size) == 2 else "trilinear"
    coarse = F.interpolate(x[rows], size=small, mode="nearest-exact")
    return x.index_copy(0, rows, F.interpolate(coarse, size=size, mode=mode))


def _noisy(x, augmentation):
    rows = _chosen(x, augmentation.probability)
    if not len(rows) or not augmentation.noise:
        return x
    part = x[rows]
    sd = _column(_between(0.0, augmentation.noise, (len(rows),)), x)
    own = part.std(dim=tuple(range(1, x.ndim)), correction=0, keepdim=True)
    return x.index_copy(0, rows, part + sd * own * torch.randn_like(part))


def _contrasted(x, augmentation):
    if tuple(augmentation.contrast) == (1.0, 1.0) and not augmentation.brightness:
        return x
    rows = _chosen(x, augmentation.probability)
    if not len(rows):
        return x
    # slices beside a slice change as it does
    part, axes = x[rows], tuple(range(1, x.ndim))
    deviation, mean = torch.std_mean(part, axes, correction=0, keepdim=True)
    factor = _column(_log_between(*augmentation.contrast, len(rows)), x)
    most = augmentation.brightness
    shift = _column(_between(-most, most, (len(rows),)), x) * deviation
    return x.index_copy(0, rows, (part - mean) * factor + mean + shift)


def _biased(x, augmentation):
    if not augmentation.bias_field:
        return x
    rows = _chosen(x, augmentation.probability)
    if not len(rows):
        return x
    part, size = x[rows], x.shape[2:]
    nodes = torch.randn(len(rows), 1, *(_BIAS_NODES,) * len(size)).to(x.device)
    mode = "bilinear" if len(size) == 2 else "trilinear"
    field = F.interpolate(nodes, size=size, mode=mode, align_corners=True)
    low = part.amin(tuple(range(1, x.ndim)), keepdim=True)
    part = (part - low) * torch.exp(augmentation.bias_field * field).to(x.dtype) + low
    return x.index_copy(0, rows, part)


def _gamma(x, augmentation):
    rows = _chosen(x, augmentation.probability)
    if not len(rows):
        return x
    part, axes = x[rows], tuple(range(2, x.ndim))
    low, high = part.amin(axes, keepdim=True), part.amax(axes, keepdim=True)
    span = (high - low).clamp_min(torch.finfo(x.dtype).eps)
    exponent = _column(_log_between(*augmentation.gamma, len(rows)), x)
    part = ((part - low) / span).clamp(0, 1) ** exponent * span + low
    return x.index_copy(0, rows, part)


def _chosen(x, share):
    return _coin((len(x),), share).nonzero().squeeze(1).to(x.device)


def _coin(shape, share):
    return torch.rand(shape) < share


def _between(low, high, shape):
    return low + (high - low) * torch.rand(shape)


def _log_between(low, high, n):
    """Draw so that x and 1 / x are alike: 0.5 is as far from 1 as 2 is."""
    return torch.exp(_between(math.log(low), math.log(high), (n,)))


def _column(values, like):
    return values.to(like.device, like.dtype).view(-1, *(1,) * (like.ndim - 1))
