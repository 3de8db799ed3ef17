"""Minibatches of patches: prepared images enter, tensors of some patches leave.

Every slice of every image is looked at once in a pass, or of volumes as many patches
as an image has room for. Where a patch lies is drawn from torch's generator.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from radlatent.nn.blocks import channels_last
from radlatent.segmentation.augmentation import (
    MOST_ANISOTROPIC,
    Augmentation,
    augment,
)
from radlatent.segmentation.patch import Patch
from radlatent.segmentation.prepare import PreparedImage

__all__ = ["PatchMinibatch", "PatchSource", "with_neighbors"]

#: Share of the training patches that lie about a voxel of a structure: patches of large
#: fields would else hold little but background (a third in nnU-Net).
_ABOUT_STRUCTURES = 0.5
#: What is cut around a patch that is augmented, as a share of its size: turned or made
#: smaller it shows its surroundings instead of a frame of nothing, as in nnU-Net.
_MARGIN = 1 / 6


class PatchMinibatch(NamedTuple):
    """Tensors of some patches.

    Parameters
    ----------
    x
        Standardized intensities, shape (minibatch, channels, *size).
    target
        Class numbers, 0 is background, shape (minibatch, *size).
    distance
        Signed distances in mm, shape (minibatch, n_structures, *size), or None.
    """

    x: Tensor
    target: Tensor
    distance: Tensor | None = None


class PatchSource:
    """Minibatches of prepared images.

    Parameters
    ----------
    images
        The images.
    patch
        What the network sees.
    augmentation
        What training changes; None: nothing.
    """

    def __init__(
        self,
        images: Sequence[PreparedImage],
        patch: Patch,
        augmentation: Augmentation | None = None,
    ):
        self.images, self.patch, self.augmentation = images, patch, augmentation
        # image and slice; of a volume the number of the patch, which says nothing
        self.items = [
            (number, part)
            for number, image in enumerate(images)
            for part in range(self._parts(image))
        ]
        self.places = [self._places_of(image) for image in images]
        self.margin = self._margin()

    def __len__(self) -> int:
        return len(self.items)

    def minibatch(
        self, rows: Tensor, device: torch.device, *, augment: bool
    ) -> PatchMinibatch:
        """Return some patches on a device.

        Parameters
        ----------
        rows
            Their places, shape (minibatch,).
        device
            Where the tensors go.
        augment
            Whether places are drawn and patches changed, from torch's generator;
            without it a patch is the middle of its field.
        """
        draws = torch.rand(len(rows), 2 + len(self.patch.size)).numpy()
        changed = augment and self.augmentation is not None
        margin = self.margin if changed else np.zeros_like(self.margin)
        cut = [
            self._cut(*self.items[row], draw if augment else None, margin)
            for row, draw in zip(rows.tolist(), draws, strict=True)
        ]
        x, target, distance = (
            None if part[0] is None else torch.from_numpy(np.stack(part)).to(device)
            for part in zip(*cut, strict=True)
        )
        x, target = x.float(), target.long()
        distance = None if distance is None else distance.float()
        if changed:
            x, target, distance = self._augmented(x, target, distance)
        return PatchMinibatch(channels_last(x), target, distance)

    def _augmented(self, x, target, distance):
        about = {"distance": distance, "spacing_mm": self.patch.spacing_mm}
        found = augment(x, target, self.augmentation, **about)
        inner = tuple(
            slice(m, m + n) for m, n in zip(self.margin, self.patch.size, strict=True)
        )
        return (_of(one, (..., *inner)) for one in found)

    def _margin(self):
        """Return the voxels around a patch that are cut along, as far as there are."""
        size, spacing = np.array(self.patch.size), np.array(self.patch.spacing_mm)
        axes = len(size)
        shapes = [image.labels.shape[3 - axes :] for image in self.images] or [size]
        room = np.max(shapes, axis=0) - size
        # coarse axes are not moved
        fine = spacing <= MOST_ANISOTROPIC * spacing.min()
        wanted = np.where(fine, np.ceil(size * _MARGIN), 0)
        return np.minimum(wanted, room).astype(int)

    def _parts(self, image):
        """Return how many patches of an image a pass looks at."""
        if not self.patch.is_volume:
            return len(image.image)
        return max(1, round(image.image.size / np.prod(self.patch.size)))

    def _places_of(self, image):
        """Return the voxels of structures: of volumes all, else slice by slice."""
        if self.patch.is_volume:
            return np.argwhere(image.labels).astype(np.int16)
        return [np.argwhere(plane).astype(np.int16) for plane in image.labels]

    def _cut(self, number, part, draw, margin):
        image = self.images[number]
        volume = self.patch.is_volume
        places = self.places[number] if volume else self.places[number][part]
        shape = image.labels.shape[3 - len(self.patch.size) :]
        box = self._box(shape, places, draw)
        if volume:
            x, labels, maps = image.image[None], image.labels, image.distance
        else:
            x = with_neighbors(image.image, part, self.patch.neighbors)
            labels = image.labels[part]
            maps = _of(image.distance, (slice(None), part))
        return (
            _around(x, box, margin, "constant", constant_values=x.min()),
            _around(labels, box, margin, "constant"),
            None if maps is None else _around(maps, box, margin, "edge"),
        )

    def _box(self, shape, places, draw):
        size = np.array(self.patch.size)
        room = np.array(shape) - size
        if draw is None:
            start = room // 2
        elif len(places) and draw[0] < _ABOUT_STRUCTURES:
            chosen = places[int(draw[1] * len(places))]
            start = (chosen - size // 2).clip(0, room)
        else:
            start = (draw[2:] * (room + 1)).astype(int)
        return tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))


def with_neighbors(array: np.ndarray, place: int, n: int) -> np.ndarray:
    """Return a slice between its neighbors, shape (1 + 2 n, y, x).

    Beyond the first and the last slice these are repeated.
    """
    places = np.arange(place - n, place + n + 1).clip(0, len(array) - 1)
    return array[places]


def _around(array, box, margin, mode, **kwargs):
    """Return a box of the last axes with a margin, padded beyond the array."""
    inside, beyond = [], [(0, 0)] * (array.ndim - len(box))
    sides = zip(box, margin, array.shape[-len(box) :], strict=True)
    for part, more, n in sides:
        start, stop = part.start - more, part.stop + more
        inside.append(slice(max(start, 0), min(stop, n)))
        beyond.append((max(-start, 0), max(stop - n, 0)))
    found = array[(..., *inside)]
    return np.pad(found, beyond, mode, **kwargs) if np.any(beyond) else found


def _of(array, box):
    return None if array is None else array[box]
