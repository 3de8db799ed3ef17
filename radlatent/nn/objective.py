"""What goes into a loss and what comes out: a minibatch, named parts, and terms."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Loss", "Minibatch", "Ordering", "order_loss", "squared_error"]


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
    weight
        Of the reconstruction of each case, shape (minibatch,); None is 1.
    """

    x: Tensor
    mask: Tensor
    h: Tensor | None = None
    y: Tensor | None = None
    weight: Tensor | None = None


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


def squared_error(
    x: Tensor, reconstruction: Tensor, mask: Tensor, weight: Tensor | None = None
) -> Tensor:
    """Return half the sum of squared errors over the mask, shape (minibatch,).

    Parameters
    ----------
    x, reconstruction, mask
        Shape (minibatch, channels, *size).
    weight
        Of each case, shape (minibatch,); None is 1.

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
    total = 0.5 * torch.sum(error**2, dim=tuple(range(1, x.ndim)))
    return total if weight is None else weight * total


@dataclass(frozen=True)
class Ordering:
    """How strongly latents are ordered along attributes.

    Parameters
    ----------
    gamma
        Weight of the term, beside a reconstruction that is summed over pixels.
    delta
        How sharp the order is: differences of latents are multiplied with it.

    Notes
    -----
    10 and 1 are the defaults of the authors; Painchaud et al. 2022 take 0.1 and 16
    beside a reconstruction that is a mean over pixels.
    """

    gamma: float = 10.0
    delta: float = 1.0

    def problems(self) -> list[str]:
        """Return what is wrong with the settings."""
        return [
            f"ordering: {name} is {value!r}; give a number above 0"
            for name, value in (("gamma", self.gamma), ("delta", self.delta))
            if not value > 0
        ]


def order_loss(z: Tensor, attributes: Tensor, delta: float) -> Tensor:
    """Return how far the first latents are from the order of the attributes.

    Parameters
    ----------
    z
        Latents, shape (minibatch, n_latent).
    attributes
        Attribute l is that of latent l; NaN where there is none, shape (minibatch,
        n_attributes).
    delta
        As in `Ordering`.

    Returns
    -------
    Tensor
        Shape (minibatch,): of each observation the mean over all others and itself of
        | tanh(delta (z_i - z_j)) - sign(a_i - a_j) |, summed over attributes. Its mean
        is the published mean over pairs.

    References
    ----------
    Pati & Lerch 2021, arXiv:2004.05485
    """
    own = z[:, : attributes.shape[1]].float()
    apart = torch.tanh(delta * (own[:, None] - own[None]))
    difference = attributes[:, None] - attributes[None]
    known = ~difference.isnan()
    away = (apart - torch.sign(difference.nan_to_num())).abs() * known
    # without a single pair there is nothing to order
    return (away.sum(dim=1) / known.sum(dim=1).clamp(min=1)).sum(dim=1)
