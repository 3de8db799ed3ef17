"""Distributions of the latents: tensors in, ``torch.distributions`` out."""

import torch
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence

__all__ = [
    "bounded_normal",
    "diagonal_normal",
    "divergence",
    "log_variance_of",
    "soft_clamp",
    "standard_normal_like",
    "whitened",
]

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


def soft_clamp(x: Tensor, limit: float = 5.0) -> Tensor:
    """Return limit tanh(x / limit): x near 0, never beyond the limit.

    References
    ----------
    Vahdat & Kautz 2020, arXiv:2007.03898, clamp means and log scales at 5.
    """
    return limit * torch.tanh(x / limit)


def bounded_normal(mean: Tensor, log_scale: Tensor) -> Normal:
    """Return N(c(mean), (exp(c(log_scale)) + 0.01)^2), one normal an element.

    Parameters
    ----------
    mean, log_scale
        Of one shape; c is `soft_clamp`. Without bounds on both, the KL of deep
        hierarchies explodes.

    References
    ----------
    Vahdat & Kautz 2020, arXiv:2007.03898
    """
    # float32: squares and logarithms of what half precision rounds
    mean, log_scale = soft_clamp(mean.float()), soft_clamp(log_scale.float())
    return Normal(mean, log_scale.exp() + 0.01, validate_args=False)


def whitened(posterior: Normal, prior: Normal) -> Normal:
    """Return a posterior in units of its prior, which becomes N(0, 1).

    Parameters
    ----------
    posterior, prior
        Normals of one shape.

    Returns
    -------
    Normal
        Of e where z = prior mean + prior scale e: its mean is (difference of means) /
        s, its scale the ratio r of scales, so that KL(posterior || prior) =
        (mean^2 + r^2) / 2 - 1/2 - log r is its KL from the standard normal.

    References
    ----------
    Vahdat & Kautz 2020, arXiv:2007.03898, eq. 2 (residual normal distributions)
    """
    mean = (posterior.mean - prior.mean) / prior.scale
    return Normal(mean, posterior.scale / prior.scale, validate_args=False)
