"""The convolutional VAE, with beta and capacity: an image in, a Gaussian latent out.

Kingma & Welling 2014, arXiv:1312.6114; beta: Higgins et al. 2017; capacity: Burgess et
al. 2018, arXiv:1804.03599.
"""

import torch
from torch import Tensor

from radlatent.nn.blocks import (
    ConvolutionalDecoder,
    ConvolutionalEncoder,
    GaussianEncoder,
    Sizes,
)
from radlatent.nn.distributions import divergence
from radlatent.nn.objective import Loss, Minibatch, squared_error

__all__ = ["VAE", "regularized"]

#: Share of the training over which the capacity grows to its final value.
CAPACITY_RAMP = 0.5


class VAE(GaussianEncoder):
    """A variational autoencoder of masked images.

    Parameters
    ----------
    sizes
        Of the images and of the latent vector.
    width
        Channels of the first stage.
    beta
        Weight of the KL term.
    capacity
        Nats that the KL term is drawn to, growing from 0 over the first half of the
        training; None is the usual pull to 0.
    dropout
        Share of the encoder's features that is left out in training.

    Notes
    -----
    loss = 1/2 sum over the mask of (x - f(z))^2 + beta KL, or + beta |KL - capacity|.
    In evaluation z is the posterior mean, never a draw.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        width: int = 8,
        beta: float = 1.0,
        capacity: float | None = None,
        dropout: float = 0.0,
    ):
        size, in_channels, n_latent = sizes.size, sizes.in_channels, sizes.n_latent
        encoder = ConvolutionalEncoder(size, in_channels, width)
        super().__init__(encoder, encoder.n_out, n_latent, dropout=dropout)
        self.beta, self.capacity = beta, capacity
        self.decoder = ConvolutionalDecoder(size, in_channels, n_latent, width)

    def decode(self, z: Tensor) -> Tensor:
        """Return the means of the images, shape (minibatch, in_channels, *size)."""
        return self.decoder(z)

    def forward(self, minibatch: Minibatch) -> Tensor:
        """Return the reconstructions of a minibatch."""
        return self.decode(self.draw(self.encode(minibatch.x)))

    def loss(self, minibatch: Minibatch, *, progress: float = 1.0) -> Loss:
        """Return the loss and its parts, each of shape (minibatch,).

        Parameters
        ----------
        minibatch
            Images and masks.
        progress
            How much of the training is done, 0 to 1; the capacity follows it.
        """
        x, mask = minibatch.x, minibatch.mask
        posterior = self.encode(x)
        z = self.draw(posterior)
        reconstruction = squared_error(x, self.decode(z), mask, minibatch.weight)
        kl = divergence(posterior)
        total = reconstruction + regularized(kl, self.beta, self.capacity, progress)
        return Loss(total, {"reconstruction": reconstruction, "kl": kl}, z)


def regularized(
    kl: Tensor, beta: float, capacity: float | None, progress: float
) -> Tensor:
    """Return beta KL, or beta |KL - C| with C growing to ``capacity``.

    Parameters
    ----------
    kl
        Shape (minibatch,), nats.
    beta, capacity
        As in `VAE`.
    progress
        How much of the training is done, 0 to 1.

    References
    ----------
    Burgess et al. 2018, eq. 8, arXiv:1804.03599
    """
    if capacity is None:
        return beta * kl
    return beta * torch.abs(kl - capacity * min(1.0, progress / CAPACITY_RAMP))
