"""What the model of an encoder is made of: a description in, a torch module out."""

from dataclasses import dataclass

from torch import nn

from radlatent.nn import (
    VAE,
    Discriminator,
    NonRedundantVAE,
    SepVAE,
    Sizes,
    Supervised,
)
from radlatent.nn.blocks import CHANNELS_LAST

__all__ = ["Network", "build_discriminator", "build_model", "latent_names"]


@dataclass(frozen=True)
class Network:
    """What the model is made of.

    Parameters
    ----------
    width
        Channels of the first stage; the published model has 4.
    dropout
        Share of the encoder's features left out in training.
    conditional
        Whether the decoder sees the hand-crafted features.
    capacity
        Of a VAE without hand-crafted features: nats that the KL term is drawn to.
    classification_weight
        Weight of the cross-entropy of a linear head on the latents; 0 removes it.
    n_salient
        Above 0 the model is SepVAE (Louiset et al. 2023): so many of the latents are
        salient, what the second class of y (sorted) has and the first, the background,
        lacks; the others are common. It knows no dropout and no capacity.
    per_lesion
        Whether the reconstruction of every lesion counts the same, as if each had the
        voxels that training lesions have on average. Else voxels count the same: small
        lesions have few, their latents are drawn to 0, and the length of z tells size.
    """

    width: int = 8
    dropout: float = 0.0
    conditional: bool = True
    capacity: float | None = None
    classification_weight: float = 0.0
    n_salient: int = 0
    per_lesion: bool = True

    @classmethod
    def of(cls, **told) -> "Network":
        """Return what `dataclasses.asdict` told of; before, voxels counted the same."""
        return cls(**({"per_lesion": False} | told))


def build_model(
    network: Network, sizes: Sizes, *, beta: float, kappa: float
) -> nn.Module:
    """Return an untrained model.

    Parameters
    ----------
    network
        What it is made of.
    sizes
        Of its tensors; without hand-crafted features it is a plain VAE, without classes
        it has no head.
    beta, kappa
        Weights of the KL and of the mutual-information term.
    """
    if network.n_salient:
        model = SepVAE(
            sizes,
            network.n_salient,
            width=network.width,
            beta=(beta, beta),
            kappa=kappa,
            classification_weight=network.classification_weight,
        )
        return _channels_last(model, sizes)
    common = {"width": network.width, "dropout": network.dropout, "beta": beta}
    if sizes.n_handcrafted:
        conditional = network.conditional
        model = NonRedundantVAE(sizes, kappa=kappa, conditional=conditional, **common)
    else:
        model = VAE(sizes, capacity=network.capacity, **common)
    if sizes.n_classes:
        model = Supervised(model, sizes, weight=network.classification_weight)
    return _channels_last(model, sizes)


def _channels_last(model, sizes):
    return model.to(memory_format=CHANNELS_LAST[len(sizes.size)])


def build_discriminator(
    network: Network, sizes: Sizes, kappa: float, width: int
) -> Discriminator | None:
    """Return an untrained discriminator, or None where its term is not in the loss.

    Parameters
    ----------
    network, sizes
        Of the model.
    kappa
        Weight of the mutual-information term.
    width
        Units of its hidden layer.
    """
    lengths = (sizes.n_handcrafted, sizes.n_latent)
    if network.n_salient:
        lengths = (sizes.n_latent - network.n_salient, network.n_salient)
    elif not sizes.n_handcrafted:
        return None
    return Discriminator(*lengths, width) if kappa else None


def latent_names(network: Network, n_latent: int) -> list[str]:
    """Return the names of latents: mu000, or common000 and salient000."""
    kinds = {"mu": n_latent}
    if network.n_salient:
        kinds = {
            "common": n_latent - network.n_salient,
            "salient": network.n_salient,
        }
    return [f"{kind}{k:03d}" for kind, n in kinds.items() for k in range(n)]
