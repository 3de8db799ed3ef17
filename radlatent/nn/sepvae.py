"""SepVAE: what all cases share, told apart from what only the targets have.

Images and y enter: 0 is a background case (healthy, say), anything else a target. Two
encoders give a common latent c and a salient latent s; the decoder sees [c, s] of a
target and [c, 0] of a background case. Louiset et al. 2023, arXiv:2307.06206.
"""

import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal
from torch.nn.functional import binary_cross_entropy_with_logits

from radlatent.nn.blocks import (
    ConvolutionalDecoder,
    ConvolutionalEncoder,
    GaussianEncoder,
    Sizes,
)
from radlatent.nn.discriminator import mutual_information
from radlatent.nn.distributions import divergence, standard_normal_like
from radlatent.nn.objective import Loss, Minibatch, squared_error

__all__ = ["SepVAE"]

#: Units of the hidden layer of the salient classifier. The paper does not give it.
HIDDEN = 64


class SepVAE(nn.Module):
    """A VAE with a common and a salient latent.

    Parameters
    ----------
    sizes
        Of the images and of both latent vectors together.
    n_salient
        Length of the salient one.
    width
        Channels of the first stage of each encoder and of the decoder.
    beta
        Weights of the two KL terms: (common, salient).
    kappa
        Weight of the mutual information of c and s; a zero removes the term.
    background_variance
        Of the salient prior of background cases.
    classification_weight
        Weight of the cross-entropy of y given s; a zero removes the term and its head.

    Attributes
    ----------
    n_latent
        Length of [c, s].
    latent_names
        Names of its entries: common000, ..., salient000, ...

    Notes
    -----
    loss = 1/2 sum over the mask of (x - f([c, y s]))^2 + beta_c KL(q(c|x) || N(0, I))
    + beta_s KL(q(s|x) || p(s|y)) + kappa max(logit D(c, s), 0) - w log p(y|s), with
    p(s|target) = N(0, I) and p(s|background) = N(0, variance I). The variances of the
    paper (sigma_p) are 0.025, 0.05 and 0.01, its code sets a log variance of log 0.1.
    Its squared errors have no half: its weights are twice those meant here, pneumonia
    for instance beta (0.25, 0.05), kappa 1, w 2.5e-10. A case without y, or with y
    below 0, is decoded as a target and left out of the cross-entropy.

    References
    ----------
    Louiset et al. 2023, eq. 3, appendix C, arXiv:2307.06206
    """

    def __init__(
        self,
        sizes: Sizes,
        n_salient: int,
        *,
        width: int = 8,
        beta: tuple[float, float] = (1.0, 1.0),
        kappa: float = 1.0,
        background_variance: float = 0.05,
        classification_weight: float = 1.0,
    ):
        super().__init__()
        self.n_common, self.n_salient = sizes.n_latent - n_salient, n_salient
        self.beta, self.kappa = tuple(beta), kappa
        self.background_variance = background_variance
        self.classification_weight = classification_weight
        self.common = _branch(sizes, self.n_common, width)
        self.salient = _branch(sizes, self.n_salient, width)
        self.decoder = ConvolutionalDecoder(
            sizes.size, sizes.in_channels, sizes.n_latent, width
        )
        self.classifier = None
        if self.classification_weight:
            self.classifier = nn.Sequential(
                nn.Linear(self.n_salient, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1)
            )

    @property
    def n_latent(self) -> int:
        """Length of [c, s]."""
        return self.n_common + self.n_salient

    @property
    def latent_names(self) -> list[str]:
        """Names of the entries of [c, s]."""
        lengths = {"common": self.n_common, "salient": self.n_salient}
        return [f"{name}{i:03d}" for name, n in lengths.items() for i in range(n)]

    def encode_common(self, x: Tensor) -> Independent:
        """Return the posterior of c given images, (minibatch, in_channels, *size)."""
        return self.common.encode(x)

    def encode_salient(self, x: Tensor) -> Independent:
        """Return the posterior of s given images, (minibatch, in_channels, *size)."""
        return self.salient.encode(x)

    def encode(self, x: Tensor) -> Independent:
        """Return the posterior of [c, s], which does not depend on y."""
        parts = [part.encode(x).base_dist for part in (self.common, self.salient)]
        mean = torch.cat([part.loc for part in parts], dim=1)
        scale = torch.cat([part.scale for part in parts], dim=1)
        return Independent(Normal(mean, scale, validate_args=False), 1)

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Return the means of the images, shape (minibatch, in_channels, *size).

        Parameters
        ----------
        z
            [c, s], shape (minibatch, n_latent).
        y
            0 replaces the s of a case by zeros; None is a target everywhere.
        """
        if y is None:
            return self.decoder(z)
        c, s = z.split([self.n_common, self.n_salient], dim=1)
        return self.decoder(torch.cat([c, s * (y != 0).to(s)[:, None]], dim=1))

    def forward(self, minibatch: Minibatch) -> Tensor:
        """Return the reconstructions of a minibatch."""
        return self.decode(torch.cat(self.pairs(minibatch), dim=1), minibatch.y)

    def pairs(self, minibatch: Minibatch) -> tuple[Tensor, Tensor]:
        """Return c and s, whose mutual information the discriminator is to learn."""
        c = self.common.draw(self.common.encode(minibatch.x))
        s = self.salient.draw(self.salient.encode(minibatch.x))
        return c, s

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
            Images, masks and y; in evaluation y may be None.
        progress
            Not used: the terms of this loss do not change in training.
        discriminator
            Gives the logits of pairs (c, s); None leaves the term out.

        Notes
        -----
        The z of the result is [c, s] before s is set to zero by y: what is learned
        from it must not see y.
        """
        x, mask, y = minibatch.x, minibatch.mask, minibatch.y
        if self.training and y is None:
            msg = "SepVAE is trained with y: 0 for background cases, 1 for targets."
            raise ValueError(msg)
        common, salient = self.common.encode(x), self.salient.encode(x)
        c, s = self.common.draw(common), self.salient.draw(salient)
        z = torch.cat([c, s], dim=1)
        parts = {
            "reconstruction": squared_error(
                x, self.decode(z, y), mask, minibatch.weight
            ),
            "kl_common": divergence(common),
            "kl_salient": self._salient_divergence(salient, y),
        }
        weights = dict(zip(parts, (1.0, *self.beta), strict=True))
        if discriminator is not None and self.kappa:
            parts["mutual_information"] = mutual_information(discriminator(c, s))
            weights["mutual_information"] = self.kappa
        if self.classifier is not None and y is not None:
            parts["salient_classification"] = self._cross_entropy(s, y)
            weights["salient_classification"] = self.classification_weight
        total = sum(weights[name] * part for name, part in parts.items())
        return Loss(total, parts, z)

    def _salient_divergence(self, posterior, y):
        target = divergence(posterior)
        if y is None:
            return target
        narrow = standard_normal_like(posterior, variance=self.background_variance)
        return torch.where(y == 0, divergence(posterior, narrow), target)

    def _cross_entropy(self, s, y):
        logits = self.classifier(s).squeeze(1)
        entropy = binary_cross_entropy_with_logits(
            logits, (y != 0).to(logits), reduction="none"
        )
        return torch.where(y < 0, torch.zeros_like(entropy), entropy)


def _branch(sizes, n_latent, width):
    encoder = ConvolutionalEncoder(sizes.size, sizes.in_channels, width)
    return GaussianEncoder(encoder, encoder.n_out, n_latent)
