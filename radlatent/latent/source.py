"""Minibatches for training: standardized with the statistics of training patients.

Prepared cases enter; tensors of some of them leave, moved and varied where training
asks for it.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy.special import ndtri
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from radlatent.errors import SchemaError
from radlatent.latent.inputs import Box, Projections
from radlatent.latent.prepared import PreparedCases
from radlatent.nn.blocks import channels_last
from radlatent.nn.objective import Minibatch

__all__ = [
    "CaseSource",
    "apply_scaling",
    "apply_statistics",
    "fit_scaling",
    "fit_statistics",
]

#: Standard deviations that z-scores are clipped to: those of a new case may lie far
#: outside of what the decoder has seen.
LIMIT = 5.0


def fit_statistics(prepared: PreparedCases, inputs: Box | Projections) -> pd.DataFrame:
    """Return percentiles, mean and standard deviation of each channel.

    Parameters
    ----------
    prepared
        The training cases.
    inputs
        Names the channels and the percentiles to clip to.

    Returns
    -------
    DataFrame
        One row a channel; ``lower, upper, mean, standard_deviation`` of the voxels in
        the masks of all cases, mean and standard deviation after clipping. Where
        nothing is clipped, ``lower`` and ``upper`` are the limits of float32.

    Raises
    ------
    SchemaError
        A channel is constant.

    References
    ----------
    Isensee et al. 2021, doi:10.1038/s41592-020-01008-z (CT normalization of nnU-Net)
    """
    rows = []
    for place, channel in enumerate(inputs.channels):
        values = prepared.images[:, place][prepared.masks[:, place]].astype(np.float64)
        limits = np.finfo(np.float32)
        lower, upper = float(limits.min), float(limits.max)
        if inputs.percentiles is not None:
            lower, upper = np.percentile(values, inputs.percentiles)
        clipped = np.clip(values, lower, upper)
        if not clipped.std() > 0:
            msg = (
                f"channel {channel!r} is constant ({values[0]}) in {len(prepared)} "
                "training cases. Leave the modality out, or check its images."
            )
            raise SchemaError(msg)
        rows.append((channel, lower, upper, clipped.mean(), clipped.std()))
    columns = ["channel", "lower", "upper", "mean", "standard_deviation"]
    return pd.DataFrame(rows, columns=columns).set_index("channel")


def apply_statistics(images: Tensor, masks: Tensor, statistics: Tensor) -> Tensor:
    """Return images clipped, standardized, and 0 outside of the masks.

    Parameters
    ----------
    images, masks
        Shape (minibatch, channels, *size).
    statistics
        Shape (channels, 4): the columns of `fit_statistics`.
    """
    shape = (1, -1, *(1,) * (images.ndim - 2))
    lower, upper, mean, deviation = (v.reshape(shape) for v in statistics.T)
    # in place: memory for each step of it would take longer than the arithmetic
    return torch.clamp(images, lower, upper).sub_(mean).div_(deviation).mul_(masks)


@dataclass(frozen=True, eq=False)
class CaseSource:
    """Minibatches of prepared cases.

    Parameters
    ----------
    prepared
        The cases.
    inputs
        How they were prepared; says how training varies them.
    statistics
        Of `fit_statistics`, as an array of shape (channels, 4).
    handcrafted
        Standardized hand-crafted features, shape (n_cases, n_handcrafted), or None.
    y
        Class numbers, shape (n_cases,), -1 where unknown; or None.
    n_voxels
        Voxels of a mask whose reconstruction has a weight of 1: those of others weigh
        as if they had as many. None weighs voxels alike.
    """

    prepared: PreparedCases
    inputs: object
    statistics: np.ndarray
    handcrafted: np.ndarray | None = None
    y: np.ndarray | None = None
    n_voxels: float | None = None

    def __len__(self) -> int:
        return len(self.prepared)

    def minibatch(
        self, rows: Tensor, device: torch.device, *, augment: bool
    ) -> Minibatch:
        """Return some cases on a device.

        Parameters
        ----------
        rows
            Their places, shape (minibatch,).
        device
            Where the tensors go.
        augment
            Whether to vary them as ``inputs`` says, drawn from torch's generator.
        """
        places = rows.numpy()
        images = torch.from_numpy(self.prepared.images[places]).to(device)
        masks = torch.from_numpy(self.prepared.masks[places]).to(device)
        statistics = torch.as_tensor(
            self.statistics, dtype=torch.float32, device=device
        )
        masks = masks.float()
        x = apply_statistics(images, masks, statistics)
        if augment and isinstance(self.inputs, Box):
            alone = self.handcrafted is None
            x, masks = _varied(x, masks, self.inputs.varied(alone=alone))
        h, y = (
            None if v is None else torch.as_tensor(v[places], device=device)
            for v in (self.handcrafted, self.y)
        )
        weight = None
        if self.n_voxels is not None:
            found = masks.sum(dim=tuple(range(1, masks.ndim)))
            weight = self.n_voxels / found.clamp(min=1)
        return Minibatch(channels_last(x), channels_last(masks), h, y, weight)


def _varied(x, masks, inputs):
    """Return cases moved, and their intensities changed, each by its own draw."""
    geometric = ("rotation_degrees", "shift_mm", "flips", "zoom", "jitter")
    if any(getattr(inputs, name) for name in geometric):
        x, masks = _moved(x, masks, inputs)
    if inputs.contrast:
        shape = (2, *x.shape[:2], *(1,) * (x.ndim - 2))
        stretch, level = (inputs.contrast * _between(shape)).to(x.device)
        x = (x * (1 + stretch) + level) * masks
    return x, masks


def _moved(x, masks, inputs):
    """Return cases turned about a random axis, shifted, mirrored and zoomed."""
    grid = affine_grid(_moves(len(x), inputs).to(x.device), x.shape, False)
    edge = torch.full((len(x),), 0.5)
    if inputs.jitter:
        edge = edge + inputs.jitter * _between(len(x))
    edge = edge.to(x.device).reshape(-1, *(1,) * (x.ndim - 1))
    inside = grid_sample(masks, grid, align_corners=False)
    kept = inside >= edge
    # the image is 0 outside of the mask: divided by the mask, edges are not darkened
    values = grid_sample(x, grid, align_corners=False) / inside.clamp(min=edge)
    return values * kept, kept.float()


def _moves(n, inputs):
    """Return where each voxel comes from, as affine matrices of shape (n, 3, 4)."""
    size = np.array(inputs.size)
    extent = torch.tensor(size * inputs.spacing_mm, dtype=torch.float32)
    axis = torch.nn.functional.normalize(torch.randn(n, 3), dim=1)
    angle = np.deg2rad(inputs.rotation_degrees) * _between(n)
    turn = _rotation(axis, angle)  # (n, 3, 3), in mm, axes x, y, z
    half = extent.flip(0) / 2
    shift = inputs.shift_mm * _between((n, 3)) / half
    if inputs.flips:
        turn = turn * (2.0 * torch.randint(2, (n, 1, 3)) - 1)
    if inputs.zoom:
        turn = turn * (1 + inputs.zoom) ** _between((n, 1, 1))
    # grid_sample measures in half boxes, so that a turn of an oblong box is a shear
    matrix = turn * half / half[:, None]
    return torch.cat([matrix, shift[:, :, None]], dim=2)


def _between(shape):
    """Return draws from -1 to 1."""
    return 2 * torch.rand(shape) - 1


def _rotation(axis, angle):
    """Return rotation matrices by Rodrigues' formula, shape (n, 3, 3)."""
    x, y, z = axis.T
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1)
    cross = cross.reshape(-1, 3, 3)
    sine, cosine = torch.sin(angle)[:, None, None], torch.cos(angle)[:, None, None]
    return torch.eye(3) + sine * cross + (1 - cosine) * cross @ cross


def fit_scaling(handcrafted: pd.DataFrame) -> pd.DataFrame:
    """Return the quantiles of every hand-crafted feature.

    Returns
    -------
    DataFrame
        One row a feature, one column a level, named by it: of at most 101 equal parts
        of the cases the middle of each.
    """
    n = min(len(handcrafted), 101)
    levels = (np.arange(n) + 0.5) / n
    values = np.quantile(handcrafted, levels, axis=0, method="hazen").T
    names = [f"{level:.9f}" for level in levels]
    return pd.DataFrame(values, pd.Index(handcrafted.columns, name="feature"), names)


def apply_scaling(handcrafted: pd.DataFrame, scaling: pd.DataFrame) -> np.ndarray:
    """Return normal scores of the ranks among training cases, float32.

    Parameters
    ----------
    handcrafted
        **features** table of some cases.
    scaling
        Of `fit_scaling`. ``mean`` and ``standard_deviation``, as encoders of before
        have them, give z-scores, clipped to 5.

    Notes
    -----
    A volume of which the largest is fifty times the median is no outlier by rank, and
    what is new is never beyond all training cases. Equal values share the mean of
    their levels.
    """
    handcrafted = handcrafted[list(scaling.index)]
    if "mean" in scaling:
        centered = handcrafted - scaling["mean"]
        scores = (centered / scaling["standard_deviation"]).clip(-LIMIT, LIMIT)
        return scores.to_numpy(np.float32)
    levels = scaling.columns.to_numpy(float)
    ranks = [
        _levels(values, known, levels)
        for values, known in zip(
            handcrafted.to_numpy(float).T, scaling.to_numpy(float), strict=True
        )
    ]
    return ndtri(np.stack(ranks, axis=1)).astype(np.float32)


def _levels(values, known, levels):
    """Return the level of values among known quantiles, which may be equal."""
    places, first = np.unique(known, return_inverse=True)
    shared = np.bincount(first, levels) / np.bincount(first)
    return np.interp(values, places, shared)
