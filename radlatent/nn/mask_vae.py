"""The VAE of masks: maps of classes in, a Gaussian latent out, and maps again.

Kingma & Welling 2014, arXiv:1312.6114, with a categorical likelihood; the constraint is
that of Painchaud et al. 2020, doi:10.1109/TMI.2020.3003240: one linear neuron on the
latent. Ordered along attributes it is the AR-VAE of Pati & Lerch 2021
(arXiv:2004.05485).
"""

from itertools import pairwise
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from radlatent.nn.blocks import GaussianEncoder
from radlatent.nn.distributions import divergence
from radlatent.nn.objective import Loss, Ordering, order_loss

__all__ = ["MaskMinibatch", "MaskVAE"]

#: Channels of the four stages, in multiples of the width.
_STAGES = (1, 2, 4, 4)


class MaskMinibatch(NamedTuple):
    """Tensors of some slices of masks.

    Parameters
    ----------
    x
        Shares of the classes that enter, shape (minibatch, n_classes, size, size).
    target
        Those to reconstruct, of the same shape.
    position
        Place of each slice along its axis, 0 to 1, shape (minibatch,).
    attributes
        Numbers along which the first latents are ordered, NaN where there is none,
        shape (minibatch, n_attributes); or None.
    """

    x: Tensor
    target: Tensor
    position: Tensor
    attributes: Tensor | None = None


class MaskVAE(GaussianEncoder):
    """A variational autoencoder of slices of masks.

    Parameters
    ----------
    n_classes
        Background and structures.
    size
        Pixels along each side, a multiple of 16.
    n_latent
        Length of the latent vector.
    width
        Channels of the first stage.
    beta
        Weight of the KL term.
    constraint
        Weight of the squared error of the position that one linear neuron reads from
        the latent; 0 removes the term.
    ordering
        How strongly the first latents follow the attributes of minibatches; None
        removes the term.

    Notes
    -----
    loss = - sum over pixels of log p(class) + beta KL + constraint (position error)^2 +
    gamma `order_loss` of the latent that was drawn.
    What is reconstructed may be another mask than the one that enters: trained on
    (degraded, expert) pairs the model corrects. In evaluation z is the posterior mean.
    """

    def __init__(
        self,
        n_classes: int,
        size: int,
        n_latent: int,
        *,
        width: int = 16,
        beta: float = 1.0,
        constraint: float = 0.0,
        ordering: Ordering | None = None,
    ):
        channels = [n_classes, *(width * n for n in _STAGES)]
        start = (channels[-1], size // 16, size // 16)
        n_out = start[0] * start[1] * start[2]
        halves = [_halve(*pair) for pair in pairwise(channels)]
        super().__init__(nn.Sequential(*halves, nn.Flatten()), n_out, n_latent)
        self.beta, self.constraint, self.ordering = beta, constraint, ordering
        self.position = nn.Linear(n_latent, 1)
        upward = channels[:0:-1]
        self.decoder = nn.Sequential(
            nn.Linear(n_latent, n_out),
            nn.BatchNorm1d(n_out),
            nn.ELU(),
            nn.Unflatten(1, start),
            *(_double(*pair) for pair in pairwise(upward)),
            nn.ConvTranspose2d(width, n_classes, 4, 2, 1),
        )

    def decode(self, z: Tensor) -> Tensor:
        """Return logits of the classes, shape (minibatch, n_classes, size, size)."""
        return self.decoder(z)

    def forward(self, minibatch: MaskMinibatch) -> Tensor:
        """Return the logits of a minibatch."""
        return self.decode(self.draw(self.encode(minibatch.x)))

    def loss(self, minibatch: MaskMinibatch, *, progress: float = 1.0) -> Loss:
        """Return the loss and its parts, each of shape (minibatch,).

        Parameters
        ----------
        minibatch
            What enters, what is to be reconstructed, and positions.
        progress
            How much of the training is done; nothing depends on it.
        """
        posterior = self.encode(minibatch.x)
        z = self.draw(posterior)
        logits = self.decode(z).float()
        entropy = -(minibatch.target * F.log_softmax(logits, dim=1)).sum(dim=(1, 2, 3))
        kl = divergence(posterior)
        away = (self.position(z).squeeze(1) - minibatch.position) ** 2
        total = entropy + self.beta * kl + self.constraint * away
        parts = {"reconstruction": entropy, "kl": kl, "position": away}
        if self.ordering is not None:
            order = order_loss(z, minibatch.attributes, self.ordering.delta)
            parts["order"] = order
            total = total + self.ordering.gamma * order
        return Loss(total, parts, z)


def _halve(before, after):
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ELU(),
    )


def _double(before, after):
    return nn.Sequential(
        nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ELU(),
    )
