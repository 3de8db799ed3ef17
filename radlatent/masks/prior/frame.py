"""The canonical frame: slices of any grid enter, maps on one grid leave, and back.

A prior looks at every slice from the same place: around its own structures, turned so
that one of them lies to the left. The frame is found from the mask under judgment
alone; a reference mask of the case never enters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from radlatent.errors import SchemaError
from radlatent.imaging import bounding_box, expand_box

__all__ = [
    "Frame",
    "Placement",
    "classes_of",
    "from_frame",
    "image_to_frame",
    "outside_share",
    "place",
    "steadied",
    "to_frame",
    "with_context",
]


_ANCHORS = ("structures", "image")


@dataclass(frozen=True)
class Frame:
    """A square of pixels around the structures of a slice.

    Parameters
    ----------
    size
        Pixels along each side, a multiple of 16.
    spacing_mm
        Distance of pixel centers in mm.
    center
        Structures whose centroid is looked for; those that the masks have not are left
        out, and all count where none is there.
    toward
        Structure that lies to the left of ``center``; None, or where a volume lacks
        it, leaves the slices as they are.
    ahead_mm
        Distance in mm from that centroid, toward the structure, of the middle of the
        frame: the right ventricle reaches farther out than the left.
    context
        Whether the slices before and after are seen as well, from the same place.
    anchor
        ``"structures"``, or ``"image"``: the middle of the frame is that of the slice,
        and nothing is turned, so that place and tilt of a shape are told by its latent.

    Notes
    -----
    The default is the short axis of the heart: the centroid of left ventricle and
    myocardium, the right ventricle turned to the left; of an apical view
    ``toward="LA"`` does so with the atrium. Slices are turned together, each has a
    center of its own. Of a lesion all structures count, and nothing is turned.

    References
    ----------
    Painchaud et al. 2020, doi:10.1109/TMI.2020.3003240, register masks in this way.
    """

    size: int = 64
    spacing_mm: float = 2.5
    center: tuple[str, ...] = ("LV", "MYO")
    toward: str | None = "RV"
    ahead_mm: float = 20.0
    context: bool = False
    anchor: str = "structures"

    def problems(self) -> list[str]:
        """Return what is wrong with the settings."""
        found = []
        if self.size < 16 or self.size % 16:
            found.append(f"size is {self.size!r}; give a multiple of 16")
        if not self.spacing_mm > 0:
            found.append(f"spacing_mm is {self.spacing_mm!r}; give a number above 0")
        if self.anchor not in _ANCHORS:
            found.append(f"anchor is {self.anchor!r}; give one of {_ANCHORS}")
        return [f"frame: {problem}" for problem in found]


@dataclass(frozen=True, eq=False)
class Placement:
    """Where the frame lies in the slices of one volume.

    Parameters
    ----------
    frame
        The frame.
    slices
        Numbers of the slices that hold a structure, shape (n,).
    center_mm
        Middle of the frame in each, (row, column) in mm, shape (n, 2).
    axes
        Unit vectors of the rows and columns of the frame, shape (2, 2).
    spacing_mm
        Of rows and columns of the slices.
    shape
        Of a slice.
    """

    frame: Frame
    slices: np.ndarray
    center_mm: np.ndarray
    axes: np.ndarray
    spacing_mm: tuple[float, float]
    shape: tuple[int, int]


def place(
    labels: np.ndarray,
    frame: Frame,
    *,
    structures: Mapping[str, int],
    spacing_mm: Sequence[float],
) -> Placement:
    """Return where the frame lies in the slices of a volume.

    Parameters
    ----------
    labels
        Integers, shape (z, y, x).
    frame
        The frame wanted.
    structures
        Name to label.
    spacing_mm
        Of (z, y, x).

    Raises
    ------
    SchemaError
        The labels are not those of a volume.
    """
    if labels.ndim != 3 or len(spacing_mm) != 3:
        msg = (
            f"labels have shape {labels.shape} and spacing_mm is {spacing_mm!r}. Give "
            "a volume (z, y, x) and its three spacings; one slice as (1, y, x)."
        )
        raise SchemaError(msg)
    pixel = np.asarray(spacing_mm[1:], dtype=np.float64)
    slices = np.flatnonzero(labels.any(axis=(1, 2)))
    if frame.anchor == "image":
        middle = (np.asarray(labels.shape[1:]) - 1) / 2 * pixel
        center = np.tile(middle, (len(slices), 1))
        return Placement(
            frame, slices, center, np.eye(2), tuple(pixel), labels.shape[1:]
        )
    named = [structures[name] for name in frame.center if name in structures]
    toward = structures.get(frame.toward)
    middles, heading = [], np.zeros(2)
    for plane in labels[slices]:
        middle = _centroid(np.isin(plane, named)) if named else None
        anchored = middle is not None
        middles.append((middle if anchored else _centroid(plane > 0)) * pixel)
        if anchored and toward is not None:
            there = plane == toward
            if there.any():
                heading += (_centroid(there) * pixel - middles[-1]) * there.sum()
    axes, ahead = np.eye(2), np.zeros(2)
    if heading.any():
        unit = heading / np.linalg.norm(heading)
        # columns run away from the structure; rows follow without mirroring
        axes = np.array([[-unit[1], unit[0]], -unit])
        ahead = frame.ahead_mm * unit
    center = np.reshape(middles, (-1, 2)) + ahead
    return Placement(frame, slices, center, axes, tuple(pixel), labels.shape[1:])


def steadied(placement: Placement, n_slices: int) -> Placement:
    """Return the frame at one place for all slices of a volume, and for one more.

    Parameters
    ----------
    placement
        From `place`.
    n_slices
        Of the volume.

    Returns
    -------
    Placement
        Of the slices from the first to the last that hold something, those between and
        one beyond each end; its middle is the median of the middles, which a false
        island of one slice does not move.
    """
    if not len(placement.slices):
        return placement
    first = max(placement.slices[0] - 1, 0)
    last = min(placement.slices[-1] + 1, n_slices - 1)
    slices = np.arange(first, last + 1)
    center = np.median(placement.center_mm, axis=0)
    return replace(
        placement, slices=slices, center_mm=np.tile(center, (len(slices), 1))
    )


def _centroid(inside):
    rows, columns = np.nonzero(inside)
    return np.array([rows.mean(), columns.mean()]) if len(rows) else None


def to_frame(labels: np.ndarray, placement: Placement, values: Sequence[int]) -> Tensor:
    """Return the share of each class in each pixel of the frame.

    Parameters
    ----------
    labels
        Integers, shape (z, y, x).
    placement
        From `place`.
    values
        Label of each structure, in the order of the channels.

    Returns
    -------
    Tensor
        Shape (n, 1 + structures, size, size), float32; the first channel is background,
        also where the frame reaches out of the slice.
    """
    if not len(placement.slices) or not labels.any():
        n, size = len(placement.slices), placement.frame.size
        empty = torch.zeros((n, 1 + len(values), size, size))
        empty[:, 0] = 1
        return empty
    # a pixel of background around the structures stands for all that lies beyond
    box = expand_box(bounding_box(labels), (0, 1, 1), labels.shape)[1:]
    planes = labels[placement.slices][:, *box]
    maps = torch.from_numpy(
        np.stack([planes == value for value in values], axis=1).astype(np.float32)
    )
    points = _frame_points(placement) / np.asarray(placement.spacing_mm)
    grid = _normalized(points - [part.start for part in box], planes.shape[1:])
    sampled = F.grid_sample(maps, grid, align_corners=True)
    return torch.cat([1 - sampled.sum(dim=1, keepdim=True), sampled], dim=1)


def image_to_frame(image: np.ndarray, placement: Placement) -> Tensor:
    """Return intensities in the frame, shape (n, size, size), float32.

    Parameters
    ----------
    image
        Shape (z, y, x), on the grid of the mask that was placed.
    placement
        From `place`.

    Notes
    -----
    Linear interpolation; beyond its border the image goes on as it ends.
    """
    planes = torch.from_numpy(image[placement.slices].astype(np.float32))[:, None]
    points = _frame_points(placement) / np.asarray(placement.spacing_mm)
    grid = _normalized(points, image.shape[1:])
    sampled = F.grid_sample(planes, grid, align_corners=True, padding_mode="border")
    return sampled[:, 0]


def with_context(
    labels: np.ndarray, placement: Placement, values: Sequence[int]
) -> Tensor:
    """Return the shares of the slice before, the slice itself and the one after.

    Parameters
    ----------
    labels, placement, values
        As in `to_frame`.

    Returns
    -------
    Tensor
        Shape (n, 3 (1 + structures), size, size). Beyond either end of the stack lies a
        slice of background.
    """
    end = np.zeros_like(labels[:1])
    before, after = (
        np.concatenate([end, labels[:-1]]),
        np.concatenate([labels[1:], end]),
    )
    return torch.cat(
        [to_frame(part, placement, values) for part in (before, labels, after)], dim=1
    )


def from_frame(maps: Tensor, placement: Placement, rows: Sequence[int]) -> Tensor:
    """Return maps of the frame on the grid of the slices.

    Parameters
    ----------
    maps
        Probabilities, shape (k, classes, size, size), of ``rows``.
    placement
        From `place`.
    rows
        Which of the slices of the placement, shape (k,).

    Returns
    -------
    Tensor
        Shape (k, classes, *slice); background outside of the frame.
    """
    frame, pixel = placement.frame, np.asarray(placement.spacing_mm)
    indices = np.indices(placement.shape).reshape(2, -1).T * pixel
    away = indices[None] - placement.center_mm[rows][:, None]  # (k, pixels, 2)
    where = away @ placement.axes.T / frame.spacing_mm + (frame.size - 1) / 2
    where = where.reshape(len(rows), *placement.shape, 2)
    grid = _normalized(where, (frame.size, frame.size))
    sampled = F.grid_sample(maps[:, 1:].contiguous(), grid, align_corners=True)
    return torch.cat([1 - sampled.sum(dim=1, keepdim=True), sampled], dim=1)


def classes_of(maps: Tensor) -> np.ndarray:
    """Return the number of the largest channel of each pixel, shape (n, *pixels)."""
    best, found = maps[:, 0].clone(), torch.zeros_like(maps[:, 0], dtype=torch.int16)
    # torch's own argmax takes ten times as long along an axis that is not the last
    for channel in range(1, maps.shape[1]):
        larger = maps[:, channel] > best
        found[larger] = channel
        best = torch.maximum(best, maps[:, channel])
    return found.numpy()


def outside_share(labels: np.ndarray, placement: Placement) -> np.ndarray:
    """Return the share of the structures of each slice that the frame does not hold."""
    frame, pixel = placement.frame, np.asarray(placement.spacing_mm)
    half = frame.size * frame.spacing_mm / 2
    shares = []
    for plane, center in zip(
        labels[placement.slices], placement.center_mm, strict=True
    ):
        away = (np.argwhere(plane) * pixel - center) @ placement.axes.T
        shares.append((np.abs(away) > half).any(axis=1).mean())
    return np.array(shares)


def _frame_points(placement):
    """Return the world place in mm of each pixel of the frame, shape (n, s, s, 2)."""
    size = placement.frame.size
    steps = (np.arange(size) - (size - 1) / 2) * placement.frame.spacing_mm
    offsets = (
        steps[:, None, None] * placement.axes[0]
        + steps[None, :, None] * placement.axes[1]
    )
    return placement.center_mm[:, None, None] + offsets


def _normalized(where, shape):
    """Return (row, column) indices as torch wants them: (x, y), -1 to 1."""
    last = np.maximum(np.asarray(shape) - 1, 1)
    return torch.from_numpy((2 * where / last - 1)[..., ::-1].astype(np.float32))
