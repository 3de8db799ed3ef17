"""How a model is trained: settings, and what training takes and leaves."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral
from typing import Literal, Protocol, get_args

import torch
from torch import Tensor

from radlatent.nn.objective import Minibatch

__all__ = ["Schedule", "Source", "Sources", "Trained", "Training"]

Kind = Literal["phases", "steps"]

Optimizer = Literal["adamw", "adamax"]


@dataclass(frozen=True)
class Schedule:
    """How the discriminator takes turns with the model.

    The noise is that of Sønderby et al. 2017, section 3.1, arXiv:1610.04490.

    Parameters
    ----------
    kind
        "phases": every ``every`` epochs the model stands still while the discriminator
        takes ``n_steps`` steps on the whole training set at once (Vetil et al. 2023:
        150 steps every 5 epochs). "steps": one step on every minibatch, whose shuffled
        pairs come from the same minibatch (Louiset et al. 2023).
    every, n_steps
        Of "phases".
    learning_rate
        Of the discriminator's own Adam.
    width
        Units of its hidden layer; neither paper's text gives it.
    noise
        Standard deviation of the noise that is added to the first vector (the
        standardized hand-crafted features) while the discriminator learns. Without it,
        some hundred cases are learned by heart: the penalty then pushes latents away
        from what was memorized and leaves the dependence that other patients show.
    """

    kind: Kind = "phases"
    every: int = 5
    n_steps: int = 150
    learning_rate: float = 1e-3
    width: int = 64
    noise: float = 1.0

    def problems(self) -> list[str]:
        """Return what is wrong with the settings."""
        found = _not_whole(self, ("every", "n_steps", "width"))
        found += _not_positive(self, ("learning_rate",))
        if not self.noise >= 0:
            found.append(f"noise is {self.noise!r}; give 0 or more")
        if self.kind not in get_args(Kind):
            found.append(f"kind is {self.kind!r}; give one of {get_args(Kind)}")
        return [f"schedule: {problem}" for problem in found]


@dataclass(frozen=True)
class Training:
    """How a model is trained.

    Parameters
    ----------
    epochs
        Passes through the training cases.
    minibatch_size
        Cases a step, over all devices together.
    learning_rate
        Of the optimizer at the start; it falls to ``floor`` along half a cosine.
    weight_decay
        Decoupled in AdamW, added to the gradient in Adamax.
    clip_norm
        Largest norm of a gradient.
    patience
        Epochs without a better validation loss after which training ends, with the
        best weights; None trains to the end and keeps the last.
    validation_fraction
        Share of the training patients kept out for the validation loss. None leaves it
        to what is trained: encoders of 30 patients or more keep out 0.15 and stop with
        a ``patience`` of 30 epochs, unless another is given; all else keeps none.
    schedule
        Of the discriminator.
    device
        "cpu", "cuda", "mps" or "auto".
    n_devices
        Devices on this machine; under ``fabric run`` as it says.
    precision
        "auto" is bfloat16 where a GPU has it and float32 elsewhere; "half" is bfloat16
        on CPUs with AVX-512 as well; else as in Fabric.
    optimizer
        "adamw" or "adamax", in which one large gradient is not forgotten at once.
    eps
        Added to the denominator of its steps.
    floor
        Learning rate that the cosine falls to.
    warm_up_epochs
        First epochs, over which the learning rate rises in equal steps.
    averaging
        Share that a running mean of the weights keeps at every step: 0.99 is a mean of
        about the last hundred steps. Validation and the trained model have the mean; 0
        takes the weights themselves.
    """

    epochs: int = 200
    minibatch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    clip_norm: float = 100.0
    patience: int | None = None
    validation_fraction: float | None = None
    schedule: Schedule = field(default_factory=Schedule)
    device: str = "cpu"
    n_devices: int = 1
    precision: str = "auto"
    optimizer: Optimizer = "adamw"
    eps: float = 1e-8
    floor: float = 0.0
    warm_up_epochs: int = 0
    averaging: float = 0.0

    @classmethod
    def of(cls, *, schedule: Mapping, **told) -> "Training":
        """Return the settings that `dataclasses.asdict` told of."""
        return cls(schedule=Schedule(**schedule), **told)

    def problems(self) -> list[str]:
        """Return what is wrong with the settings."""
        whole = ("epochs", "minibatch_size", "n_devices")
        if self.patience is not None:
            whole = (*whole, "patience")
        found = _not_whole(self, whole)
        found += _not_positive(self, ("learning_rate", "clip_norm", "eps"))
        found += [
            f"{name} is {value!r}; give 0 or more"
            for name in ("weight_decay", "floor", "warm_up_epochs")
            if not (value := getattr(self, name)) >= 0
        ]
        if self.optimizer not in get_args(Optimizer):
            found.append(
                f"optimizer is {self.optimizer!r}; give one of {get_args(Optimizer)}"
            )
        found += [
            f"{name} is {value!r}; give 0 or more, less than 1"
            for name in ("validation_fraction", "averaging")
            if not 0 <= (value := getattr(self, name) or 0) < 1
        ]
        return found + self.schedule.problems()


def _not_whole(settings, names):
    values = {name: getattr(settings, name) for name in names}
    return [
        f"{name} is {value!r}; give a whole number from 1"
        for name, value in values.items()
        if not (isinstance(value, Integral) and value >= 1)
    ]


def _not_positive(settings, names):
    values = {name: getattr(settings, name) for name in names}
    return [
        f"{name} is {value!r}; give a number above 0"
        for name, value in values.items()
        if not value > 0
    ]


class Source(Protocol):
    """Where minibatches come from."""

    def __len__(self) -> int:
        """Return the number of cases."""

    def minibatch(
        self, rows: Tensor, device: torch.device, *, augment: bool
    ) -> Minibatch:
        """Return some cases, standardized, on a device."""


@dataclass(frozen=True)
class Sources:
    """Where the minibatches of a training come from.

    Parameters
    ----------
    training
        The cases that are learned.
    validation
        Those whose loss is watched, or None.
    """

    training: Source
    validation: Source | None = None


@dataclass(frozen=True)
class Trained:
    """What training leaves beside the model.

    Parameters
    ----------
    history
        One dict an epoch and split: epoch, split, total, its parts, seconds, and of the
        discriminator its loss and accuracy.
    best_epoch
        The epoch whose weights the model has.
    """

    history: list[dict]
    best_epoch: int
