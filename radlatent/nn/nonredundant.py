"""The non-redundant VAE: latents that say what hand-crafted features do not.

An image x and its fixed hand-crafted features h enter. The encoder sees x only; the
decoder sees [h, d], so that d need not repeat h, and a discriminator
(`radlatent.nn.discriminator`) estimates the mutual information of h and d, which is
made small. Vetil et al. 2023, arXiv:2308.11389.
"""

import torch
from torch import Tensor, nn

from radlatent.nn.blocks import (
    ConvolutionalDecoder,
    ConvolutionalEncoder,
    GaussianEncoder,
    Sizes,
)
from radlatent.nn.discriminator import mutual_information
from radlatent.nn.distributions import divergence
from radlatent.nn.objective import Loss, Minibatch, squared_error

__all__ = ["NonRedundantVAE"]


class NonRedundantVAE(GaussianEncoder):
    """A VAE whose latent is told apart from a given vector.

    Parameters
    ----------
    sizes
        Of the images, of h (``n_handcrafted``) and of the latent vector d.
    width
        Channels of the first stage.
    beta, kappa
        Weights of the KL and of the mutual-information term; a zero removes the term.
    conditional
        Whether the decoder sees h; without it the decoder has d alone.
    dropout
        Share of the encoder's features that is left out in training.

    Notes
    -----
    loss = 1/2 sum over the mask of (x - f([h, d]))^2 + beta KL(q(d|x) || N(0, I))
    + kappa max(logit D(h, E d), 0). h is a constant: the gradient of the last term
    reaches the encoder through d only. The discriminator sees posterior means, because
    they are the features: draws of an uncertain posterior can be independent of h where
    their means are not, shrunken in small lesions for instance. The published model
    ends in a sigmoid although its targets are standardized; this one is linear.

    References
    ----------
    Vetil et al. 2023, eq. 1 to 4, arXiv:2308.11389
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        width: int = 8,
        beta: float = 1.0,
        kappa: float = 1.0,
        conditional: bool = True,
        dropout: float = 0.0,
    ):
        size, in_channels = sizes.size, sizes.in_channels
        encoder = ConvolutionalEncoder(size, in_channels, width)
        super().__init__(encoder, encoder.n_out, sizes.n_latent, dropout=dropout)
        self.beta, self.kappa, self.conditional = beta, kappa, conditional
        n_in = sizes.n_latent + (sizes.n_handcrafted if conditional else 0)
        self.decoder = ConvolutionalDecoder(size, in_channels, n_in, width)

    def decode(self, d: Tensor, h: Tensor) -> Tensor:
        """Return the means of the images, shape (minibatch, in_channels, *size)."""
        return self.decoder(torch.cat([h, d], dim=1) if self.conditional else d)

    def forward(self, minibatch: Minibatch) -> Tensor:
        """Return the reconstructions of a minibatch."""
        return self.decode(self.draw(self.encode(minibatch.x)), minibatch.h)

    def pairs(self, minibatch: Minibatch) -> tuple[Tensor, Tensor]:
        """Return h and the means of d, whose dependence the discriminator learns."""
        return minibatch.h, self.encode(minibatch.x).mean

    def loss(
        self,
        minibatch: Minibatch,
        *,
        progress: float = 1.0,
        discriminator: nn.Module | None = None,
    ) -> Loss:
        """Return the loss and its parts, each of shape (minibatch,).

        Parameters
        ----------
        minibatch
            Images, masks and h.
        progress
            Not used: the terms of this loss do not change in training.
        discriminator
            Gives the logits of pairs (h, d); None leaves the term out.
        """
        x, mask, h = minibatch.x, minibatch.mask, minibatch.h
        posterior = self.encode(x)
        d = self.draw(posterior)
        reconstruction = squared_error(x, self.decode(d, h), mask, minibatch.weight)
        kl = divergence(posterior)
        total = reconstruction + self.beta * kl
        parts = {"reconstruction": reconstruction, "kl": kl}
        if discriminator is not None and self.kappa:
            information = mutual_information(discriminator(h, posterior.mean))
            total = total + self.kappa * information
            parts["mutual_information"] = information
        return Loss(total, parts, d)
