"""A network and its loss, as the training loop takes them; and its windows, as one.

Tensors enter, a loss or probabilities leave.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from radlatent.nn import Loss
from radlatent.segmentation.patch import Patch
from radlatent.segmentation.source import PatchMinibatch, with_neighbors

__all__ = ["SegmentationModel", "probabilities_of"]

#: Voxels of all windows that pass at once: a few hundred megabytes of activations.
_TOGETHER = 2**18


class SegmentationModel(nn.Module):
    """A network with the loss that it is trained with.

    Parameters
    ----------
    network
        Gives logits of shape (minibatch, n_classes, *size).
    criterion
        As `radlatent.segmentation.losses.build_loss` returns it; what it learns is
        trained along.
    """

    def __init__(self, network: nn.Module, criterion: nn.Module):
        super().__init__()
        self.network, self.criterion = network, criterion

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of images of shape (minibatch, in_channels, *size)."""
        return self.network(x)

    def loss(self, minibatch: PatchMinibatch, *, progress: float = 0.0) -> Loss:
        """Return the loss and its parts, each of shape (minibatch,).

        Parameters
        ----------
        minibatch
            Patches with their targets.
        progress
            Share of the training that is done.
        """
        logits = self.network(minibatch.x)
        total, parts = self.criterion(
            logits, minibatch.target, distance=minibatch.distance, progress=progress
        )
        return Loss(total, parts, logits)


@torch.no_grad()
def probabilities_of(
    model: nn.Module,
    image: np.ndarray,
    patch: Patch,
    *,
    flips: bool = False,
    half: bool = False,
) -> np.ndarray:
    """Return the probability of every class in every voxel of a field.

    Parameters
    ----------
    model
        Gives logits; it is in evaluation mode.
    image
        A prepared image, shape (z, y, x).
    patch
        What the network sees.
    flips
        Whether to average over the image mirrored along x, along y and along both.
    half
        Whether to compute in bfloat16.

    Returns
    -------
    numpy.ndarray
        float32, shape (n_classes, z, y, x); windows are weighted by a Gaussian.
    """
    device = next(model.parameters()).device
    weights = torch.from_numpy(patch.weights()).to(device)
    total, seen = None, torch.zeros(image.shape, device=device)
    kind = {"device_type": device.type, "dtype": torch.bfloat16, "enabled": half}
    # one for all windows: weights are cast once
    with torch.autocast(**kind):
        for places, windows in _windows(image, patch):
            x = torch.from_numpy(windows).float().to(device)
            found = _averaged(model, x, flips) * weights
            if total is None:
                total = torch.zeros((found.shape[1], *image.shape), device=device)
            for place, one in zip(places, found, strict=True):
                total[(slice(None), *place)] += one
                seen[place] += weights
    return (total / seen).cpu().numpy()


def _averaged(model, x, flips):
    """Return probabilities, shape (n, n_classes, *size)."""
    last = x.ndim - 1
    turns: Sequence[tuple[int, ...]] = [()]
    if flips:
        turns = [(), (last,), (last - 1,), (last - 1, last)]
    total = 0
    for axes in turns:
        logits = model(x.flip(axes) if axes else x)
        found = torch.softmax(logits.float(), dim=1)
        total = total + (found.flip(axes) if axes else found)
    return total / len(turns)


def _windows(image, patch) -> Iterator[tuple[list, np.ndarray]]:
    """Yield places in the image and windows (n, channels, *size), some at a time."""
    axes = len(patch.size)
    boxes = [
        tuple(slice(a, a + n) for a, n in zip(corner, patch.size, strict=True))
        for corner in patch.corners(image.shape[3 - axes :]).tolist()
    ]
    places = boxes
    if not patch.is_volume:
        places = [(part, *box) for part in range(len(image)) for box in boxes]
    n = max(1, _TOGETHER // int(np.prod(patch.size)))
    for start in range(0, len(places), n):
        some = places[start : start + n]
        yield some, np.stack([_window(image, place, patch) for place in some])


def _window(image, place, patch):
    if patch.is_volume:
        return image[place][None]
    part, *box = place
    return with_neighbors(image, part, patch.neighbors)[(slice(None), *box)]
