"""A classification head on any model: its loss, and a cross-entropy of the latent."""

from torch import Tensor, nn
from torch.distributions import Independent
from torch.nn.functional import cross_entropy

from radlatent.nn.blocks import Sizes
from radlatent.nn.objective import Loss, Minibatch

__all__ = ["Supervised"]

#: Class number of a case whose class is not known.
UNLABELED = -1


class Supervised(nn.Module):
    """A model whose latent is also to predict a class.

    Parameters
    ----------
    model
        Any model of this room.
    sizes
        Of the latent vector of the model, and the number of classes, whose order is the
        caller's.
    weight
        Weight of the cross-entropy; a zero removes the term and its head.

    Notes
    -----
    loss = loss of the model - weight log p(y|z), with p(y|z) linear in the latent
    z and a softmax. In training z is the draw that is decoded, in evaluation the
    posterior mean. With a reconstruction summed over some thousand voxels a weight of 1
    is next to nothing.
    """

    def __init__(self, model: nn.Module, sizes: Sizes, *, weight: float = 1.0):
        super().__init__()
        self.model, self.weight = model, weight
        n_latent, n_classes = sizes.n_latent, sizes.n_classes
        self.head = nn.Linear(n_latent, n_classes) if weight else None

    def encode(self, x: Tensor) -> Independent:
        """Return the posterior of images of shape (minibatch, in_channels, *size)."""
        return self.model.encode(x)

    def decode(self, *args) -> Tensor:
        """Return the means of the images; the arguments are those of the model."""
        return self.model.decode(*args)

    def forward(self, minibatch: Minibatch) -> Tensor:
        """Return the reconstructions of a minibatch."""
        return self.model(minibatch)

    def pairs(self, minibatch: Minibatch) -> tuple[Tensor, Tensor]:
        """Return the pairs of the model for the discriminator."""
        return self.model.pairs(minibatch)

    def loss(self, minibatch: Minibatch, **kwargs) -> Loss:
        """Return the loss and its parts, each of shape (minibatch,).

        Parameters
        ----------
        minibatch
            What the model needs, and y: class numbers from 0, or -1 where the class is
            not known, which adds nothing. Without y the loss is that of the model.
        **kwargs
            Passed to the loss of the model.
        """
        loss = self.model.loss(minibatch, **kwargs)
        if self.head is None or minibatch.y is None:
            return loss
        logits = self.head(loss.z)  # (minibatch, n_classes)
        entropy = cross_entropy(
            logits, minibatch.y, reduction="none", ignore_index=UNLABELED
        )
        parts = loss.parts | {"classification": entropy}
        return Loss(loss.total + self.weight * entropy, parts, loss.z)
