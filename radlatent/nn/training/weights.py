"""How weights change: the optimizer, its rate by epoch, and a running mean of them."""

import contextlib
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from radlatent.nn.training.settings import Training

__all__ = ["borrowed", "copy_of", "mean_of", "optimizer_of", "rate_at"]


def optimizer_of(model: nn.Module, training: Training) -> torch.optim.Optimizer:
    """Return the optimizer that the settings name."""
    shared = {
        "lr": training.learning_rate,
        "weight_decay": training.weight_decay,
        "eps": training.eps,
    }
    # one pass over the weights, a third of the time on a CPU
    if training.optimizer == "adamax":
        return torch.optim.Adamax(model.parameters(), foreach=True, **shared)
    return torch.optim.AdamW(model.parameters(), fused=True, **shared)


def rate_at(epoch: int, training: Training) -> float:
    """Return the learning rate of an epoch: a rise, then half a cosine."""
    n_rising = min(training.warm_up_epochs, training.epochs - 1)
    if epoch < n_rising:
        return training.learning_rate * (epoch + 1) / (n_rising + 1)
    done = (epoch - n_rising) / (training.epochs - n_rising)
    share = 0.5 * (1 + np.cos(np.pi * done))
    return training.floor + (training.learning_rate - training.floor) * share


def mean_of(model: nn.Module, share: float) -> AveragedModel | None:
    """Return what keeps a running mean of a model's weights and statistics.

    Parameters
    ----------
    model
        The model. ``update_parameters(model)`` takes its weights in.
    share
        That the mean keeps at every step; of 0 there is none.
    """
    if not share:
        return None
    average = get_ema_multi_avg_fn(share)
    return AveragedModel(model, multi_avg_fn=average, use_buffers=True)


@contextlib.contextmanager
def borrowed(mean: AveragedModel | None, model: nn.Module) -> Iterator[None]:
    """Give a model the mean of its weights for a while, where there is one."""
    if mean is None:
        yield
        return
    own = copy_of(model)
    model.load_state_dict(mean.module.state_dict())
    try:
        yield
    finally:
        model.load_state_dict(own)


def copy_of(module: nn.Module) -> dict[str, Tensor]:
    """Return the weights and statistics of a module, on the CPU."""
    return {k: v.detach().to("cpu", copy=True) for k, v in module.state_dict().items()}
