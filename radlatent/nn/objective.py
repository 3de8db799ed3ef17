"""What goes into a loss and what comes out: a minibatch, and named parts."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Loss", "Minibatch", "squared_error"]


class Minibatch(NamedTuple):
    """Tensors of some cases.

    Parameters
    ----------
    x
        Standardized image, 0 outside of the mask where inputs are masked; shape
        (minibatch, channels, *size).
    mask
        1 where the reconstruction is judged, 0 elsewhere; the shape of ``x``.
    h
        Standardized hand-crafted features, shape (minibatch, n_handcrafted), or None.
    y
        Class numbers, shape (minibatch,), or None.
    """

    x: Tensor
    mask: Tensor
    h: Tensor | None = None
    y: Tensor | None = None


@dataclass(frozen=True)
class Loss:
    """A loss by observation.

    Parameters
    ----------
    total
        What is minimized, shape (minibatch,).
    parts
        Name to the unweighted part, shape (minibatch,), in nats.
    z
        The latent that was decoded, shape (minibatch, n_latent).
    """

    total: Tensor
    parts: dict[str, Tensor]
    z: Tensor


def squared_error(x: Tensor, reconstruction: Tensor, mask: Tensor) -> Tensor:
    """Return half the sum of squared errors over the mask, shape (minibatch,).

    Notes
    -----
    - log N(x; f, 1) without its constant: the product runs over the voxels of the mask
    only (Vetil et al. 2023, eq. 1, with the minus sign that is missing there).

    References
    ----------
    Vetil et al. 2023, arXiv:2308.11389
    """
    # float32: in half precision a sum over a volume stops growing
    error = (x.float() - reconstruction.float()) * mask
    return 0.5 * torch.sum(error**2, dim=tuple(range(1, x.ndim)))
