"""The models that a prior may have: settings enter, an untrained model leaves.

Either encodes shares of classes to a latent vector with a standard normal prior, and
decodes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Real

import torch
from torch import nn

from radlatent.masks.prior.frame import Frame
from radlatent.nn import NVAE, Hierarchy, MaskVAE, Ordering, Penalties, Training
from radlatent.schema import nearest

__all__ = ["MODELS", "NVAESettings", "build", "defaults_of", "model_problems"]

#: Names of the models with their defaults.
MODELS = ("vae", "nvae")


@dataclass(frozen=True)
class NVAESettings:
    """How the NVAE of a prior is built and trained.

    Parameters
    ----------
    hierarchy
        Its scales and groups.
    penalties
        How its KL term grows, and others.
    """

    hierarchy: Hierarchy = field(default_factory=Hierarchy)
    penalties: Penalties = field(default_factory=Penalties)


#: What each looks at, and how it is trained, on one core: the VAE of fifty patients in
#: four minutes; the NVAE of 64, as an autoencoder and in bfloat16, in five and a half.
_DEFAULTS = {
    "vae": (Frame(), Training(epochs=15, minibatch_size=128, learning_rate=4e-3)),
    # at 1.25 mm a wall of the heart has four pixels, where it has two at 2.5 mm
    "nvae": (
        Frame(size=128, spacing_mm=1.25),
        Training(
            epochs=24,
            minibatch_size=16,
            learning_rate=5e-3,
            weight_decay=3e-4,
            clip_norm=200.0,
            precision="half",
            optimizer="adamax",
            eps=1e-3,
            floor=1e-4,
            warm_up_epochs=1,
        ),
    ),
}


def defaults_of(model: str | NVAESettings) -> tuple[Frame, Training]:
    """Return what a model looks at, and how it is trained, where nothing is said."""
    return _DEFAULTS["vae" if model == "vae" else "nvae"]


def model_problems(
    model: str | NVAESettings,
    frame: Frame,
    *,
    beta: float | Sequence[float],
    constraint: float,
    n_attributes: int = 0,
) -> list[str]:
    """Return what is wrong with the settings of a model.

    Parameters
    ----------
    model
        One of `MODELS`, or settings of an NVAE.
    frame
        What it looks at.
    beta, constraint
        Weights of its loss.
    n_attributes
        Along which latents are ordered.
    """
    if n_attributes and model != "vae":
        return ["attributes: latents are ordered in the VAE alone"]
    if model == "vae":
        found = []
        if frame.context:
            found.append("frame: the VAE sees one slice; context is for the NVAE")
        if not isinstance(beta, Real):
            found.append(f"beta is {beta!r}; the VAE has no groups, give a number")
        return found
    if not isinstance(model, NVAESettings) and model not in MODELS:
        hint = nearest(model, MODELS) if isinstance(model, str) else ""
        return [f"model is {model!r}{hint}; give one of {MODELS}, or NVAESettings"]
    settings = _settings(model)
    found = settings.hierarchy.problems(frame.size) + settings.penalties.problems()
    if constraint:
        found.append("constraint: that of the position is for the VAE")
    n_groups = sum(settings.hierarchy.n_groups)
    if not isinstance(beta, Real) and len(beta) != n_groups:
        found.append(f"beta is {beta!r}; give a number, or {n_groups}, one a group")
    return found


def _settings(model):
    return model if isinstance(model, NVAESettings) else NVAESettings()


def build(
    model: str | NVAESettings,
    n_classes: int,
    frame: Frame,
    *,
    n_latent: int,
    beta: float | Sequence[float],
    constraint: float,
    ordering: Ordering | None = None,
) -> nn.Module:
    """Return an untrained model, its weights drawn from torch's generator.

    Parameters
    ----------
    model, frame, beta, constraint
        As in `model_problems`.
    n_classes
        Background and structures.
    n_latent
        Length of the latent vector of a VAE.
    ordering
        How strongly it follows attributes; None: not at all.
    """
    if model == "vae":
        weights = {"beta": beta, "constraint": constraint, "ordering": ordering}
        found = MaskVAE(n_classes, frame.size, n_latent, **weights)
    else:
        settings = _settings(model)
        found = NVAE(
            n_classes * (3 if frame.context else 1),
            n_classes,
            frame.size,
            hierarchy=settings.hierarchy,
            beta=beta,
            penalties=settings.penalties,
        )
    # a sixth less time for a step on a CPU
    return found.to(memory_format=torch.channels_last)
