"""What the model of an encoder is made of: a description in, a torch module out."""

from dataclasses import dataclass

import torch
from torch import nn

from radlatent.nn import VAE, Discriminator, NonRedundantVAE, SepVAE, Supervised

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
    """

    width: int = 8
    dropout: float = 0.0
    conditional: bool = True
    capacity: float | None = None
    classification_weight: float = 0.0
    n_salient: int = 0


def build_model(
    network: Network,
    shape: tuple[int, ...],
    lengths: tuple[int, int, int],
    *,
    beta: float,
    kappa: float,
) -> nn.Module:
    """Return an untrained model.

    Parameters
    ----------
    network
        What it is made of.
    shape
        Channels and voxels along each axis.
    lengths
        Number of hand-crafted features, of latent features and of classes; without
        hand-crafted features it is a plain VAE, without classes it has no head.
    beta, kappa
        Weights of the KL and of the mutual-information term.
    """
    n_handcrafted, n_latent, n_classes = lengths
    if network.n_salient:
        model = SepVAE(
            shape,
            (n_latent - network.n_salient, network.n_salient),
            width=network.width,
            beta=(beta, beta),
            kappa=kappa,
            classification_weight=network.classification_weight,
        )
        return _channels_last(model, shape)
    common = {"width": network.width, "dropout": network.dropout, "beta": beta}
    if n_handcrafted:
        model = NonRedundantVAE(
            shape,
            (n_handcrafted, n_latent),
            kappa=kappa,
            conditional=network.conditional,
            **common,
        )
    else:
        model = VAE(shape, n_latent, capacity=network.capacity, **common)
    if n_classes:
        weight = network.classification_weight
        model = Supervised(model, n_classes, n_latent=n_latent, weight=weight)
    return _channels_last(model, shape)


def _channels_last(model, shape):
    # CPUs and GPUs convolve that faster, where the images lie so as well
    formats = {3: torch.channels_last, 4: torch.channels_last_3d}
    return model.to(memory_format=formats[len(shape)])


def build_discriminator(
    network: Network, lengths: tuple[int, int], kappa: float, width: int
) -> Discriminator | None:
    """Return an untrained discriminator, or None where its term is not in the loss.

    Parameters
    ----------
    network
        What the model is made of.
    lengths
        Number of hand-crafted and of latent features.
    kappa
        Weight of the mutual-information term.
    width
        Units of its hidden layer.
    """
    n_handcrafted, n_latent = lengths
    if network.n_salient:
        lengths = (n_latent - network.n_salient, network.n_salient)
    elif not n_handcrafted:
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
