"""Minibatches for training: standardized with the statistics of training patients.

Prepared cases enter; tensors of some of them leave, turned and shifted where training
asks for it.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
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

#: Standard deviations that a hand-crafted feature is clipped to: those of a new case
#: may lie far outside of what the decoder has seen.
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
        How they were prepared; says how far training turns and shifts them.
    statistics
        Of `fit_statistics`, as an array of shape (channels, 4).
    handcrafted
        Standardized hand-crafted features, shape (n_cases, n_handcrafted), or None.
    y
        Class numbers, shape (n_cases,), -1 where unknown; or None.
    """

    prepared: PreparedCases
    inputs: object
    statistics: np.ndarray
    handcrafted: np.ndarray | None = None
    y: np.ndarray | None = None

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
            Whether to turn and shift them, drawn from torch's generator.
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
            x, masks = _moved(x, masks, self.inputs)
        h, y = (
            None if v is None else torch.as_tensor(v[places], device=device)
            for v in (self.handcrafted, self.y)
        )
        return Minibatch(channels_last(x), channels_last(masks), h, y)


def _moved(x, masks, inputs):
    """Return cases turned about a random axis and shifted, each by its own draw."""
    if not (inputs.rotation_degrees or inputs.shift_mm):
        return x, masks
    n, size = len(x), np.array(inputs.size)
    extent = torch.tensor(size * inputs.spacing_mm, dtype=torch.float32)
    axis = torch.nn.functional.normalize(torch.randn(n, 3), dim=1)
    angle = np.deg2rad(inputs.rotation_degrees) * (2 * torch.rand(n) - 1)
    turn = _rotation(axis, angle)  # (n, 3, 3), in mm, axes x, y, z
    half = extent.flip(0) / 2
    # grid_sample measures in half boxes, so that a turn of an oblong box is a shear
    matrix = turn * half / half[:, None]
    shift = inputs.shift_mm * (2 * torch.rand(n, 3) - 1) / half
    moves = torch.cat([matrix, shift[:, :, None]], dim=2).to(x.device)
    grid = affine_grid(moves, x.shape, align_corners=False)
    inside = grid_sample(masks, grid, align_corners=False)
    # the image is 0 outside of the mask: divided by the mask, edges are not darkened
    values = grid_sample(x, grid, align_corners=False) / inside.clamp(min=0.5)
    kept = (inside >= 0.5).float()
    return values * kept, kept


def _rotation(axis, angle):
    """Return rotation matrices by Rodrigues' formula, shape (n, 3, 3)."""
    x, y, z = axis.T
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1)
    cross = cross.reshape(-1, 3, 3)
    sine, cosine = torch.sin(angle)[:, None, None], torch.cos(angle)[:, None, None]
    return torch.eye(3) + sine * cross + (1 - cosine) * cross @ cross


def fit_scaling(handcrafted: pd.DataFrame) -> pd.DataFrame:
    """Return ``mean`` and ``standard_deviation`` of every hand-crafted feature."""
    return pd.DataFrame(
        {"mean": handcrafted.mean(), "standard_deviation": handcrafted.std(ddof=0)}
    )


def apply_scaling(handcrafted: pd.DataFrame, scaling: pd.DataFrame) -> np.ndarray:
    """Return z-scores, clipped to 5 standard deviations, float32."""
    centered = handcrafted[list(scaling.index)] - scaling["mean"]
    scores = (centered / scaling["standard_deviation"]).clip(-LIMIT, LIMIT)
    return scores.to_numpy(np.float32)
