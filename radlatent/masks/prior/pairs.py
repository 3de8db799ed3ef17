"""What a prior learns from: expert masks enter, maps of degraded and expert ones leave.

Both maps of a pair lie in the frame of the degraded mask, as they will where no expert
mask is at hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from radlatent.cohort.labels import LabelMap
from radlatent.masks.attributes.measure import shape_attributes
from radlatent.masks.degradation.apply import degrade
from radlatent.masks.degradation.draws import Degradation, mix_for_mask
from radlatent.masks.prior.frame import Frame, place, to_frame, with_context
from radlatent.nn import MaskMinibatch
from radlatent.parallel import progress_bar

__all__ = ["MaskPairs", "collect_pairs", "slice_positions"]

#: Shares are kept in one byte: a map of 64 x 64 x 3 takes 12 KiB.
_FULL = 255


@dataclass(frozen=True, eq=False)
class MaskPairs:
    """Pairs of maps, as `radlatent.nn.train` takes them.

    Parameters
    ----------
    inputs, targets
        Shares of the structures in 1/255, shape (n, structures, size, size), uint8.
        Inputs with context have those of three slices, one after the other.
    positions
        Place of each slice along its axis, 0 to 1, shape (n,).
    owners
        Number of the mask of each pair, shape (n,).
    attributes
        Of the expert's slices, shape (n, n_attributes), NaN where there is none; or
        None.
    """

    inputs: Tensor
    targets: Tensor
    positions: Tensor
    owners: np.ndarray
    attributes: Tensor | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def minibatch(
        self, rows: Tensor, device: torch.device, *, augment: bool
    ) -> MaskMinibatch:
        """Return some pairs; what was degraded is the augmentation."""
        n, inputs = self.targets.shape[1], self.inputs[rows].to(device)
        return MaskMinibatch(
            torch.cat([_shares(part) for part in inputs.split(n, dim=1)], dim=1),
            _shares(self.targets[rows].to(device)),
            self.positions[rows].to(device),
            None if self.attributes is None else self.attributes[rows].to(device),
        )


def _shares(structures):
    maps = structures.float() / _FULL
    return torch.cat([1 - maps.sum(dim=1, keepdim=True), maps], dim=1)


def _bytes(maps, n):
    """Return maps of n structures each, without their backgrounds, in bytes."""
    held = torch.arange(maps.shape[1]) % (n + 1) > 0
    return (maps[:, held] * _FULL).round().to(torch.uint8)


def collect_pairs(
    masks: Sequence[LabelMap],
    frame: Frame,
    names: Sequence[str],
    n_degraded: int,
    *,
    random_state: int = 0,
    attributes: str | None = None,
    description: str = "",
) -> MaskPairs:
    """Return the slices of masks, as they are and degraded.

    Parameters
    ----------
    masks
        Expert masks.
    frame
        The canonical frame.
    names
        Structures, in the order of the channels.
    n_degraded
        Degraded copies of each mask, each under draws of its own.
    random_state
        Seed of the draws.
    attributes
        Name of a set of `radlatent.masks.ATTRIBUTE_SETS` that is measured.
    description
        What the progress bar says.
    """
    parts = []
    with progress_bar(description, len(masks)) as advance:
        for number, mask in enumerate(masks):
            drawn = [Degradation()]
            if n_degraded:
                drawn += mix_for_mask(mask.name, n_degraded, random_state=random_state)
            for degradation in drawn:
                found = _pairs_of(mask, frame, names, degradation, attributes)
                parts.append((*found, np.full(len(found[0]), number)))
            advance()
    inputs, targets, positions, measured, owners = zip(*parts, strict=True)
    maps = [torch.cat(part) for part in (inputs, targets, positions)]
    numbers = None if attributes is None else torch.cat(measured)
    return MaskPairs(*maps, np.concatenate(owners), numbers)


def _pairs_of(mask, frame, names, degradation, attributes):
    changed = degrade(mask.array, degradation, **mask.legend)
    placement = place(changed, frame, **mask.legend)
    values = [mask.structures[name] for name in names]
    position = slice_positions(mask.array, placement.slices)
    # a slice that the expert left empty has nothing to be corrected to
    held = torch.from_numpy(mask.array[placement.slices].any(axis=(1, 2)))
    seen = with_context if frame.context else to_frame
    maps = [
        _bytes(view(labels, placement, values), len(values))[held]
        for view, labels in ((seen, changed), (to_frame, mask.array))
    ]
    numbers = None
    if attributes is not None:
        planes = mask.array[placement.slices]
        found = shape_attributes(planes, attributes, **mask.slice_legend)
        numbers = torch.from_numpy(found.to_numpy(np.float32))[held]
    return (*maps, torch.from_numpy(position).float()[held], numbers)


def slice_positions(labels: np.ndarray, slices: np.ndarray) -> np.ndarray:
    """Return where slices lie between the two ends of a mask, from 0 to 1.

    Parameters
    ----------
    labels
        Integers, shape (z, y, x).
    slices
        Numbers of slices.

    Notes
    -----
    0 is the larger end (the base of a heart): the half of the slices with the larger
    area. A mask of one slice has the position 0.5.
    """
    held = np.flatnonzero(labels.any(axis=(1, 2)))
    if len(held) < 2:
        return np.full(len(slices), 0.5)
    along = (np.asarray(slices) - held[0]) / (held[-1] - held[0])
    area = np.count_nonzero(labels[held[0] : held[-1] + 1], axis=(1, 2))
    half = len(area) // 2
    is_turned = area[:half].sum() < area[-half:].sum()
    return np.clip(1 - along if is_turned else along, 0.0, 1.0)
