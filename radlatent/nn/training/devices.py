"""Where a model is trained: settings in, Lightning Fabric on its devices out."""

import contextlib
import os
from collections.abc import Iterator

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from radlatent.errors import RadlatentError
from radlatent.nn.objective import Minibatch
from radlatent.nn.training.settings import Training

__all__ = ["Methods", "launched", "one_thread"]


class Methods(nn.Module):
    """A model whose methods are called through ``forward``.

    Parameters
    ----------
    model
        With ``loss``, and ``pairs`` where there is a discriminator.

    Notes
    -----
    Fabric brings half precision and several devices to ``forward`` alone: a method
    called past it on one device is computed in full precision.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(
        self, method: str, minibatch: Minibatch, **kwargs
    ) -> tuple[Tensor, dict | Tensor]:
        """Return total and parts of the loss, or the pairs of a minibatch."""
        found = getattr(self.model, method)(minibatch, **kwargs)
        # Fabric looks for tensors in what is plain
        return (found.total, found.parts) if method == "loss" else found


def launched(training: Training) -> Fabric:
    """Return Fabric, with its processes started.

    Parameters
    ----------
    training
        Its device, n_devices and precision; what ``fabric run`` says counts more.

    Raises
    ------
    RadlatentError
        The machine has no such devices.
    """
    accelerator = {"cuda": "gpu"}.get(training.device, training.device)
    accelerator = os.environ.get("LT_ACCELERATOR", accelerator)
    precision = training.precision
    if precision in ("auto", "half"):
        on_gpu = accelerator in ("gpu", "cuda", "auto") and torch.cuda.is_available()
        half = on_gpu and torch.cuda.is_bf16_supported()
        if precision == "half" and not on_gpu:
            # below AVX-512 bfloat16 is slower than float32
            half = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
        precision = "bf16-mixed" if half else "32-true"
    n = training.n_devices
    asked = {"accelerator": accelerator, "devices": n, "precision": precision}
    # Fabric refuses to be told twice
    asked = {k: v for k, v in asked.items() if f"LT_{k.upper()}" not in os.environ}
    try:
        fabric = Fabric(**asked)
    except (RuntimeError, ValueError) as error:
        msg = (
            f"device {training.device!r} with n_devices={n}, precision "
            f"{training.precision!r}: {error} Give device='cpu', or see what "
            "radlatent doctor finds."
        )
        raise RadlatentError(msg) from error
    if "LT_CLI_USED" not in os.environ:
        fabric.launch()
    return fabric


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let torch sum in one order, whatever the number of processes and cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
