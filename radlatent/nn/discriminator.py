"""A density-ratio discriminator of vectors: whether two come from the same case.

Pairs of vectors enter, logits leave. At the optimum the logit of a pair is
log q(a, b) / (q(a) q(b)), so that its mean over true pairs is the mutual information.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, relu

__all__ = [
    "Discriminator",
    "accuracy",
    "discriminator_loss",
    "mutual_information",
    "shuffled",
]


class Discriminator(nn.Module):
    """A multi-layer perceptron with ReLU on the concatenation of two vectors.

    Parameters
    ----------
    n_first, n_second
        Lengths of the vectors.
    width
        Units of the hidden layer. The paper does not give it.

    References
    ----------
    Vetil et al. 2023, section 2, arXiv:2308.11389 ("2-layer MLP with ReLU")
    """

    def __init__(self, n_first: int, n_second: int, width: int = 64):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_first + n_second, width), nn.ReLU(), nn.Linear(width, 1)
        )

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the logits of pairs, shape (minibatch,)."""
        return self.layers(torch.cat([first, second], dim=1)).squeeze(1)


def shuffled(second: Tensor) -> Tensor:
    """Return the rows in another order in which none keeps its place.

    Parameters
    ----------
    second
        Shape (minibatch, n); at least two rows.

    Notes
    -----
    A random cycle through all rows: unlike a roll by one it does not pair neighbors,
    and unlike a random permutation it leaves no true pair among the shuffled ones.
    """
    if len(second) < 2:
        msg = f"{len(second)} row cannot be paired with another; give two or more."
        raise ValueError(msg)
    order = torch.randperm(len(second), device=second.device)
    moved = torch.empty_like(second)
    moved[order] = second[order.roll(1)]
    return moved


def mutual_information(logits: Tensor) -> Tensor:
    """Return the penalty of true pairs, max(logit, 0) in nats, shape (minibatch,).

    Notes
    -----
    The logit is log D / (1 - D) itself: taken through a sigmoid it would overflow.

    References
    ----------
    Vetil et al. 2023, eq. 4, arXiv:2308.11389; Louiset et al. 2023, arXiv:2307.06206
    """
    return relu(logits)


def discriminator_loss(true: Tensor, false: Tensor) -> Tensor:
    """Return the mean binary cross-entropy of the logits of true and shuffled pairs."""
    logits = torch.cat([true, false])
    labels = torch.cat([torch.ones_like(true), torch.zeros_like(false)])
    return binary_cross_entropy_with_logits(logits, labels)


def accuracy(true: Tensor, false: Tensor) -> Tensor:
    """Return the mean share of true and of shuffled pairs told right; chance is 0.5."""
    return 0.5 * ((true > 0).float().mean() + (false <= 0).float().mean())
