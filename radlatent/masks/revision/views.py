"""What a reviser looks at: a mask and its image enter, maps in one frame leave.

All slices of a volume are seen from one place, so that the slices beside one can be
laid over it, and that a slice in which the network drew nothing is seen as well. The
place is found from the mask under judgment alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from radlatent.cohort.labels import LabelMap
from radlatent.imaging import Volume
from radlatent.masks.prior.frame import (
    Frame,
    Placement,
    image_to_frame,
    place,
    steadied,
    to_frame,
)
from radlatent.masks.revision.pairs import Pair
from radlatent.nn.blocks import channels_last
from radlatent.nn.mask_unet import RevisionMinibatch

__all__ = ["View", "ViewSource", "channels_of", "inputs_of", "view", "view_of_pair"]

#: Shares and intensities are kept in one byte.
_FULL = 255

#: Percentiles of the voxels in the frame that intensities are clipped to.
_LIMITS = (1.0, 99.0)

#: Share of the slices that training shows without their image.
_WITHHELD = 0.25

#: How far training turns (radians), scales and shifts (share of the frame) what is
#: seen, and changes contrast, brightness and noise of the image (its range is 2).
_TURN, _SCALE, _SHIFT = 0.35, 0.15, 0.06
_CONTRAST, _BRIGHTNESS, _NOISE = 0.25, 0.2, 0.06


@dataclass(frozen=True, eq=False)
class View:
    """The slices of a volume in the frame, n of them.

    Parameters
    ----------
    placement
        Where the frame lies; ``placement.slices`` numbers the slices.
    mask
        Shares of the structures in 1/255, shape (n, structures, size, size), uint8.
    image
        Intensities in 1/255 of their range, shape (n, size, size), uint8; None where
        there is no image.
    target
        As ``mask``, as the reader drew them; None where nobody did.
    """

    placement: Placement
    mask: Tensor
    image: Tensor | None
    target: Tensor | None = None


def view(
    mask: LabelMap, image: Volume | None, frame: Frame, names: Sequence[str]
) -> View:
    """Return the slices of a mask as a reviser sees them.

    Parameters
    ----------
    mask
        The mask under judgment.
    image
        What it was drawn on, on its grid, or None.
    frame
        The canonical frame.
    names
        Structures, in the order of the channels.
    """
    found = place(mask.array, frame, **mask.legend)
    placement = steadied(found, len(mask.array))
    maps = None
    if image is not None and len(placement.slices):
        maps = _bytes_of_image(image_to_frame(image.array, placement))
    return View(placement, _bytes_of_mask(mask, placement, names), maps)


def view_of_pair(pair: Pair, frame: Frame, names: Sequence[str]) -> View:
    """Return the same with what the reader drew.

    Parameters
    ----------
    pair
        A mask of a network and one of a reader.
    frame, names
        As of `view`.
    """
    seen = view(pair.mask, pair.image, frame, names)
    target = _bytes_of_mask(pair.truth, seen.placement, names)
    return View(seen.placement, seen.mask, seen.image, target)


def _bytes_of_mask(mask, placement, names):
    values = [mask.structures[name] for name in names]
    return (to_frame(mask.array, placement, values)[:, 1:] * _FULL).round().byte()


def _bytes_of_image(maps):
    low, high = np.percentile(maps.numpy(), _LIMITS)
    return ((maps - low) / max(high - low, 1e-12) * _FULL).clamp(0, _FULL).byte()


def channels_of(n_classes: int) -> int:
    """Return how many channels `inputs_of` gives: three slices of both, and a flag."""
    return 3 * n_classes + 4


def inputs_of(masks: Tensor, images: Tensor, known: Tensor) -> Tensor:
    """Return what enters the network.

    Parameters
    ----------
    masks
        Shares of the structures in a slice, the one before and the one after, shape (n,
        3 structures, size, size), float.
    images
        Intensities of the same, -1 to 1, shape (n, 3, size, size).
    known
        1 where there is an image, else 0, shape (n,).
    """
    n, size = masks.shape[1] // 3, masks.shape[-1]
    parts = []
    for part in masks.split(n, dim=1):
        parts += [1 - part.sum(dim=1, keepdim=True), part]
    flag = known[:, None, None, None].to(images.dtype)
    shown = flag.expand(-1, 1, size, size)
    return channels_last(torch.cat([*parts, images * flag, shown], dim=1))


class ViewSource:
    """Slices of views, as `radlatent.nn.train` takes them and a reviser looks at them.

    Parameters
    ----------
    views
        Of volumes; a slice beyond either end of one holds no structure, and its image
        is that of the last slice.
    """

    def __init__(self, views: Sequence[View]):
        self.masks = torch.cat([each.mask for each in views])
        blank = torch.zeros_like(self.masks[:, 0])
        self.images, self.known = blank, torch.zeros(len(blank), dtype=torch.bool)
        before, after, start = [], [], 0
        for each in views:
            n = len(each.mask)
            own = torch.arange(start, start + n)
            before += [own[:1], own[:-1]]
            after += [own[1:], own[-1:]]
            if each.image is not None:
                self.images[start : start + n] = each.image
                self.known[start : start + n] = True
            start += n
        self.before, self.after = torch.cat(before), torch.cat(after)
        targets = [each.target for each in views if each.target is not None]
        self.targets = torch.cat(targets) if targets else None

    def __len__(self) -> int:
        return len(self.masks)

    def inputs(self, rows: Tensor) -> Tensor:
        """Return what enters the network of some slices."""
        return inputs_of(*self._gathered(rows), self.known[rows])

    def minibatch(
        self, rows: Tensor, device: torch.device, *, augment: bool
    ) -> RevisionMinibatch:
        """Return some slices and what the reader drew there.

        Parameters
        ----------
        rows
            Their places, shape (minibatch,).
        device
            Where the tensors go.
        augment
            Whether what is seen is moved, its image changed or withheld, by draws from
            torch's generator.
        """
        masks, images = self._gathered(rows)
        targets, known = self.targets[rows].float() / _FULL, self.known[rows]
        if augment:
            masks, images, targets = _moved(masks, images, targets)
            images = _dimmed(images)
            known = known & (torch.rand(len(rows)) >= _WITHHELD)
        classes = torch.cat([1 - targets.sum(dim=1, keepdim=True), targets], dim=1)
        x = inputs_of(masks, images, known)
        return RevisionMinibatch(x.to(device), classes.to(device))

    def _gathered(self, rows):
        """Return masks and images of slices and those beside them."""
        before, after = self.before[rows], self.after[rows]
        images = torch.stack([self.images[k] for k in (rows, before, after)], dim=1)
        masks = [self.masks[rows].float()]
        for beside in (before, after):
            inside = (beside != rows)[:, None, None, None]
            masks.append(self.masks[beside].float() * inside)
        return torch.cat(masks, dim=1) / _FULL, images.float() * (2 / _FULL) - 1


def _moved(masks, images, targets):
    """Return the same, turned, scaled and shifted."""
    n = len(masks)
    angle, scale = _TURN * _drawn(n), 1 + _SCALE * _drawn(n)
    shift = 2 * _SHIFT * _drawn(n, 2)
    rows = [
        torch.stack([scale * angle.cos(), -scale * angle.sin(), shift[:, 0]], dim=1),
        torch.stack([scale * angle.sin(), scale * angle.cos(), shift[:, 1]], dim=1),
    ]
    grid = F.affine_grid(torch.stack(rows, dim=1), masks.shape, align_corners=False)
    both = F.grid_sample(torch.cat([masks, targets], dim=1), grid, align_corners=False)
    sides = {"align_corners": False, "padding_mode": "border"}
    images = F.grid_sample(images, grid, **sides)
    return both[:, : masks.shape[1]], images, both[:, masks.shape[1] :]


def _dimmed(images):
    """Return images of other contrast, brightness and noise."""
    n = len(images)
    factor = (1 + _CONTRAST * _drawn(n))[:, None, None, None]
    offset = (_BRIGHTNESS * _drawn(n))[:, None, None, None]
    return images * factor + offset + _NOISE * torch.randn_like(images)


def _drawn(*shape):
    return 2 * torch.rand(*shape) - 1
