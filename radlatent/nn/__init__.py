"""Torch modules: tensors in, tensors out; no files, no pandas, no patients.

=====================================  =============================================
:class:`VAE`                           convolutional VAE, beta, capacity
:class:`NonRedundantVAE`               decodes [h, d]; d is told apart from h
:class:`SepVAE`                        common and salient latents
:class:`MaskVAE`, `MaskMinibatch`      slices of masks
:class:`Ordering`                      orders their latents along attributes
:class:`MaskUNet`                      revises them, given the image
:class:`NVAE`, `Hierarchy`,            the same, with latents at several scales
:class:`Penalties`
:class:`Supervised`                    any of them with a classification head
:class:`Sizes`                         how long their tensors are
:class:`Discriminator`                 density ratio of joint and shuffled pairs
:class:`Minibatch`, :class:`Loss`      what a loss takes and gives
:func:`train`, :class:`Training`,      the one training loop
:class:`Schedule`
:func:`arrays_of`, :func:`fill`        weights out of a module and into it
=====================================  =============================================
"""

from radlatent.nn.blocks import Sizes
from radlatent.nn.discriminator import Discriminator
from radlatent.nn.distributions import log_variance_of
from radlatent.nn.mask_unet import MaskUNet
from radlatent.nn.mask_vae import MaskMinibatch, MaskVAE
from radlatent.nn.nonredundant import NonRedundantVAE
from radlatent.nn.nvae import NVAE, Hierarchy, Penalties
from radlatent.nn.objective import Loss, Minibatch, Ordering
from radlatent.nn.sepvae import SepVAE
from radlatent.nn.supervised import Supervised
from radlatent.nn.training.fit import train
from radlatent.nn.training.settings import (
    Schedule,
    Source,
    Sources,
    Trained,
    Training,
)
from radlatent.nn.training.state import Checkpoint, State, arrays_of, fill
from radlatent.nn.vae import VAE

__all__ = [
    "NVAE",
    "VAE",
    "Checkpoint",
    "Discriminator",
    "Hierarchy",
    "Loss",
    "MaskMinibatch",
    "MaskUNet",
    "MaskVAE",
    "Minibatch",
    "NonRedundantVAE",
    "Ordering",
    "Penalties",
    "Schedule",
    "SepVAE",
    "Sizes",
    "Source",
    "Sources",
    "State",
    "Supervised",
    "Trained",
    "Training",
    "arrays_of",
    "fill",
    "log_variance_of",
    "train",
]
