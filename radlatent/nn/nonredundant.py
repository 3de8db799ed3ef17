"""The non-redundant VAE: latents that say what hand-crafted features do not.

An image x and its fixed hand-crafted features h enter. The encoder sees x only; the
decoder sees [h, d], so that d need not repeat h, and a discriminator
(`radlatent.nn.discriminator`) estimates the mutual information of h and d, which is
made small. Vetil et al. 2023, arXiv:2308.11389.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Independent

from radlatent.nn.blocks import ConvolutionalDecoder, ConvolutionalEncoder
from radlatent.nn.discriminator import mutual_information
from radlatent.nn.distributions import diagonal_normal, divergence
from radlatent.nn.objective import Loss, Minibatch, squared_error

__all__ = ["NonRedundantVAE"]


class NonRedundantVAE(nn.Module):
    """A VAE whose latent is told apart from a given vector.

    Parameters
    ----------
    shape
        Of an image: channels, and voxels along each of the two or three axes.
    lengths
        Of h and of the latent vector d: (n_handcrafted, n_latent).
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
        shape: Sequence[int],
        lengths: tuple[int, int],
        *,
        width: int = 8,
        beta: float = 1.0,
        kappa: float = 1.0,
        conditional: bool = True,
        dropout: float = 0.0,
    ):
        super().__init__()
        in_channels, *size = shape
        n_handcrafted, n_latent = lengths
        self.beta, self.kappa, self.conditional = beta, kappa, conditional
        self.encoder = ConvolutionalEncoder(size, in_channels, width)
        self.dropout = nn.Dropout(dropout)
        self.mean = nn.Linear(self.encoder.n_out, n_latent)
        self.log_variance = nn.Linear(self.encoder.n_out, n_latent)
        n_in = n_latent + (n_handcrafted if conditional else 0)
        self.decoder = ConvolutionalDecoder(size, in_channels, n_in, width)

    def encode(self, x: Tensor) -> Independent:
        """Return the posterior of images of shape (minibatch, *shape)."""
        features = self.dropout(self.encoder(x))  # (minibatch, n_out)
        return diagonal_normal(self.mean(features), self.log_variance(features))

    def decode(self, d: Tensor, h: Tensor) -> Tensor:
        """Return the means of the images, shape (minibatch, *shape)."""
        return self.decoder(torch.cat([h, d], dim=1) if self.conditional else d)

    def forward(self, minibatch: Minibatch) -> Tensor:
        """Return the reconstructions of a minibatch."""
        posterior = self.encode(minibatch.x)
        d = posterior.rsample() if self.training else posterior.mean
        return self.decode(d, minibatch.h)

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
        d = posterior.rsample() if self.training else posterior.mean
        reconstruction = squared_error(x, self.decode(d, h), mask)
        kl = divergence(posterior)
        total = reconstruction + self.beta * kl
        parts = {"reconstruction": reconstruction, "kl": kl}
        if discriminator is not None and self.kappa:
            information = mutual_information(discriminator(h, posterior.mean))
            total = total + self.kappa * information
            parts["mutual_information"] = information
        return Loss(total, parts, d)
