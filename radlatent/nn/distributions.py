"""Distributions of the latents: tensors in, ``torch.distributions`` out."""

import torch
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence

__all__ = ["diagonal_normal", "divergence", "log_variance_of", "standard_normal_like"]

#: Log variances are bent into (-10, 10): beyond it, float32 divides by nothing.
LOG_VARIANCE_LIMIT = 10.0


def diagonal_normal(mean: Tensor, log_variance: Tensor) -> Independent:
    """Return N(mean, diag(exp(log_variance))), one distribution a row.

    Parameters
    ----------
    mean, log_variance
        Shape (minibatch, n_latent). The log variance is bent into (-10, 10) by
        10 tanh(v / 10), which changes it by less than 1% between -1.7 and 1.7.

    References
    ----------
    Vahdat & Kautz 2020, arXiv:2007.03898, use the same soft clamp at 5.
    """
    # sums of squares in half precision lose the small posterior variances
    mean, log_variance = mean.float(), log_variance.float()
    bent = LOG_VARIANCE_LIMIT * torch.tanh(log_variance / LOG_VARIANCE_LIMIT)
    scale = torch.exp(0.5 * bent)
    return Independent(Normal(mean, scale, validate_args=False), 1)


def log_variance_of(distribution: Independent) -> Tensor:
    """Return the log variances of a diagonal normal, shape (minibatch, n_latent)."""
    return 2 * distribution.base_dist.scale.log()


def standard_normal_like(distribution: Independent, *, variance: float = 1.0):
    """Return N(0, variance I) of the shape of another distribution."""
    zero = torch.zeros_like(distribution.mean)
    scale = torch.full_like(zero, variance**0.5)
    return Independent(Normal(zero, scale, validate_args=False), 1)


def divergence(posterior: Independent, prior: Independent | None = None) -> Tensor:
    """Return KL(posterior || prior), in nats, shape (minibatch,).

    Parameters
    ----------
    posterior
        A diagonal normal.
    prior
        Another one; None is the standard normal.

    References
    ----------
    Kingma & Welling 2014, appendix B, arXiv:1312.6114
    """
    return kl_divergence(posterior, prior or standard_normal_like(posterior))
