"""The state of a training as named tensors and numbers, which any file can hold.

Modules and optimizers enter, a `State` leaves, and back. No object of Python is kept,
so that a file of it can run no code.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["Checkpoint", "State", "arrays_of", "fill", "pack", "unpack"]


@dataclass(frozen=True)
class State:
    """What a training goes on from.

    Parameters
    ----------
    tensors
        Name to tensor, on the CPU.
    numbers
        What JSON can hold: epoch, history, best epoch and loss.
    """

    tensors: dict[str, Tensor]
    numbers: dict


@dataclass(frozen=True)
class Checkpoint:
    """How a training is kept.

    Parameters
    ----------
    start
        What it goes on from; None begins anew.
    keep
        Called with the state after every epoch; None keeps nothing.
    """

    start: State | None = None
    keep: Callable[[State], None] | None = None


def pack(modules: dict, optimizers: dict, best: dict | None, numbers: dict) -> State:
    """Return the state of modules and optimizers.

    Parameters
    ----------
    modules, optimizers
        Name to object.
    best
        The best weights so far, or None.
    numbers
        Kept as they are.
    """
    tensors = {}
    for name, module in modules.items():
        tensors |= {f"{name}/{k}": v for k, v in module.state_dict().items()}
    for name, optimizer in optimizers.items():
        for place, values in optimizer.state_dict()["state"].items():
            tensors |= {f"{name}/{place}/{k}": v for k, v in values.items()}
    tensors |= {f"best/{k}": v for k, v in (best or {}).items()}
    # a copy: training goes on in place while the state is written
    copies = {k: v.detach().to("cpu", copy=True) for k, v in tensors.items()}
    return State(copies, dict(numbers))


def unpack(state: State, modules: dict, optimizers: dict) -> dict | None:
    """Fill modules and optimizers with a state; return the best weights or None."""
    for name, module in modules.items():
        module.load_state_dict(_under(state.tensors, name))
    for name, optimizer in optimizers.items():
        filled, weights = {}, optimizer.param_groups[0]["params"]
        for key, value in _under(state.tensors, name).items():
            place, _, what = key.partition("/")
            weight = weights[int(place)]
            # a copy: optimizers count on in the tensors that they are given; laid out
            # in memory as the weight, since a fused step goes through both side by side
            like = weight.shape == value.shape
            copy = torch.empty_like(weight, device="cpu") if like else value.clone()
            filled.setdefault(int(place), {})[what] = copy.copy_(value)
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": filled, "param_groups": groups})
    return _under(state.tensors, "best") or None


def arrays_of(module: nn.Module) -> dict[str, np.ndarray]:
    """Return the weights of a module as named arrays."""
    weights = module.state_dict().items()
    return {name: value.cpu().contiguous().numpy() for name, value in weights}


def fill(module: nn.Module, arrays: Mapping[str, np.ndarray]) -> None:
    """Fill a module with the weights that `arrays_of` gave.

    Raises
    ------
    RuntimeError
        They are of another module: the message names what does not fit.
    """
    module.load_state_dict({k: torch.from_numpy(v) for k, v in arrays.items()})


def _under(tensors, name):
    start = f"{name}/"
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
