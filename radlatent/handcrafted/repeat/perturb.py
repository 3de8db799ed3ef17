"""Perturbed lesions: an image, a mask and what was drawn enter, another pair leaves.

Randomness is drawn in `draw_perturbations` alone. What was drawn is plain numbers, so
that `perturb` gives the same voxels wherever and however often it runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pywt
from scipy import ndimage

from radlatent.errors import EmptyMaskError
from radlatent.handcrafted.repeat.contours import (
    near_box,
    randomize_contour,
    resize_mask,
)
from radlatent.imaging import (
    Volume,
    bounding_box,
    geometry_difference,
    resample_to,
)
from radlatent.provenance import content_key
from radlatent.schema import nearest

__all__ = ["KINDS", "Perturbation", "draw_perturbations", "perturb"]

#: What can be perturbed.
KINDS = ("rotation", "translation", "noise", "volume", "contour")

#: Largest draws, a convention of ours: degrees, and fraction of the volume.
_ROTATION_DEG, _VOLUME_CHANGE = 15.0, 0.2

#: Median of the absolute value of a standard normal variable.
_MEDIAN_OF_NORMAL = 0.6745

_WAVELET = "coif1"


@dataclass(frozen=True)
class Perturbation:
    """What was drawn; the default changes nothing.

    Parameters
    ----------
    rotation_deg
        Turn about the slice axis and the middle of the lesion's box, from y to x.
    translation
        Shift along (z, y, x) in fractions of a voxel.
    noise
        Whether to add normal noise, as strong as that found around the lesion.
    volume_change
        Fraction by which the mask grows (or shrinks, below 0), above -1.
    contour
        Whether to draw the contour again along supervoxels.
    seed
        Of the noise, the rim of the grown mask and the supervoxels.
    """

    rotation_deg: float = 0.0
    translation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    noise: bool = False
    volume_change: float = 0.0
    contour: bool = False
    seed: int = 0

    def __post_init__(self):
        object.__setattr__(self, "translation", tuple(map(float, self.translation)))
        numbers = (self.rotation_deg, *self.translation, self.volume_change)
        if (
            len(numbers) != 5
            or not np.isfinite(numbers).all()
            or self.volume_change <= -1
            or self.seed < 0
        ):
            msg = (
                f"{self}: give finite numbers, three of them for translation (z, y, "
                "x), a volume_change above -1 and a seed from 0."
            )
            raise ValueError(msg)

    @property
    def moves(self) -> bool:
        """Whether the voxels come to lie elsewhere."""
        return bool(self.rotation_deg or any(self.translation))

    def for_lesion(self, *names: str | int | None) -> "Perturbation":
        """Return the same with a seed of its own, so that no two lesions share noise.

        Parameters
        ----------
        names
            What tells this lesion from others, wherever it is stored.
        """
        return replace(self, seed=int(content_key(self.seed, *names)[:8], 16))


def draw_perturbations(
    n: int,
    *,
    kinds: Sequence[str] = KINDS,
    random_state: int | np.random.Generator | None = 0,
) -> list[Perturbation]:
    """Draw perturbations, each a chain of all the kinds wanted.

    Parameters
    ----------
    n
        How many.
    kinds
        Of ``rotation`` (uniform within 15 degrees), ``translation`` (uniform from 0 to
        1 voxel along each axis), ``noise``, ``volume`` (uniform within 20 %) and
        ``contour``; the ranges are ours.
    random_state
        Seed, Generator or None.

    Examples
    --------
    >>> [drawn] = draw_perturbations(1, kinds=["noise"])
    >>> drawn.noise, drawn.rotation_deg
    (True, 0.0)
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds or isinstance(kinds, str) or n < 1:
        hint = nearest(unknown[0], KINDS) if unknown else ""
        msg = f"n is {n!r} and kinds is {kinds!r}{hint}. Draw 1 or more, of {KINDS}."
        raise ValueError(msg)
    random = np.random.default_rng(random_state)
    perturbations = []
    for _ in range(n):
        # all is drawn whatever is wanted: a kind left out does not change the others
        angle, change = random.uniform(-1, 1, 2)
        drawn = {
            "rotation": {"rotation_deg": float(_ROTATION_DEG * angle)},
            "translation": {"translation": tuple(random.random(3).tolist())},
            "noise": {"noise": True},
            "volume": {"volume_change": float(_VOLUME_CHANGE * change)},
            "contour": {"contour": True},
        }
        chosen = {
            k: v for kind in KINDS if kind in kinds for k, v in drawn[kind].items()
        }
        perturbations.append(Perturbation(**chosen, seed=int(random.integers(2**32))))
    return perturbations


def perturb(
    image: Volume, mask: Volume, perturbation: Perturbation
) -> tuple[Volume, Volume]:
    """Return an image and a mask, perturbed, each on the grid that it came on.

    Parameters
    ----------
    image, mask
        Intensities and booleans, shape (z, y, x). Where their grids differ, the
        lesion is turned about the first axis of the image and moved by voxels of the
        image, and its contour is drawn again on the image as it is on the mask's grid.
    perturbation
        What was drawn.

    Raises
    ------
    EmptyMaskError
        The mask is empty, or no voxel of it is left.
    ValueError
        The image has no room for the noise to be estimated or the mask to grow.

    Notes
    -----
    In this order: noise; rotation and translation, by cubic spline for the image and
    linear at a threshold of one half for the mask, the edge continued; volume; contour.
    The noise has the standard deviation median(abs(HHH)) / 0.6745, HHH the diagonal
    details of a coif1 wavelet (Chang et al. 2000) of the lesion with 15 mm around it.
    We estimate it there and not in the whole image, most of which can be air.

    References
    ----------
    Zwanenburg et al. 2019, doi:10.1038/s41598-018-36938-4; Chang et al. 2000,
    doi:10.1109/83.862633

    Examples
    --------
    >>> lesion = np.zeros((9, 30, 30), bool)
    >>> lesion[3:6, 10:20, 10:20] = True
    >>> image = Volume(100.0 * lesion, (2.0, 1.0, 1.0))
    >>> grown = Perturbation(volume_change=0.1)
    >>> _, mask = perturb(image, image.with_array(lesion), grown)
    >>> int(lesion.sum()), int(mask.array.sum())
    (300, 330)
    """
    one_grid = not geometry_difference(image, mask, tolerance_mm=0)
    values, inside = image.array, mask.array > 0
    spacing_mm = mask.spacing_mm
    _check_left(inside, mask, perturbation)
    # a stream for each use: none depends on which of the others are wanted
    streams = [np.random.default_rng([perturbation.seed, use]) for use in range(3)]
    if perturbation.noise:
        there = inside if one_grid else _seen(image, mask)
        level = _noise_level(values[near_box(there, image.spacing_mm)])
        values = values + level * streams[0].standard_normal(values.shape)
    if perturbation.moves:
        values, inside = _moved(
            image.with_array(values), mask.with_array(inside), perturbation
        )
        _check_left(inside, mask, perturbation)
    if perturbation.volume_change:
        change = perturbation.volume_change
        inside = resize_mask(inside, spacing_mm, change, streams[1])
        _check_left(inside, mask, perturbation)
    if perturbation.contour:
        shown = values
        if not one_grid:
            floats = image.with_array(values.astype(np.float64))
            shown = resample_to(floats, mask, interpolation="linear", fill=None).array
        inside = randomize_contour(shown, inside, spacing_mm, streams[2])
    return image.with_array(values), mask.with_array(inside)


def _check_left(inside, mask, perturbation):
    if not inside.any():
        msg = (
            f"no voxel is left of a lesion of {np.count_nonzero(mask.array)} voxels "
            f"after {perturbation}. Use smaller perturbations, or exclude the case in "
            "cases.csv."
        )
        raise EmptyMaskError(msg)


def _noise_level(values):
    """Return the standard deviation of the noise, from the finest diagonal details."""
    shortest = pywt.Wavelet(_WAVELET).dec_len
    # along an axis of few slices there are no details to see
    axes = [axis for axis, n in enumerate(values.shape) if n >= shortest]
    if not axes:
        msg = (
            f"the noise cannot be estimated from {values.shape} voxels (z, y, x): no "
            f"axis has {shortest}. Leave 'noise' out of the kinds, or exclude the case."
        )
        raise ValueError(msg)
    # periodic: orthonormal up to the edge, so that white noise keeps its strength
    details = pywt.dwtn(
        values.astype(np.float64), _WAVELET, mode="periodization", axes=axes
    )
    return np.median(np.abs(details["d" * len(axes)])) / _MEDIAN_OF_NORMAL


def _seen(image, mask):
    """Return the box of an image that a lesion on another grid lies in, as booleans."""
    points = image.to_index(mask.to_world(np.argwhere(mask.array)))
    low, high = np.rint(points.min(axis=0)), np.rint(points.max(axis=0))
    last = np.array(image.shape) - 1
    box = zip(low.clip(0, last), high.clip(0, last), strict=True)
    seen = np.zeros(image.shape, bool)
    seen[tuple(slice(int(a), int(b) + 1) for a, b in box)] = True
    return seen


def _moved(image, mask, perturbation):
    """Return values and lesion, turned about the middle of the lesion and moved."""
    angle = np.deg2rad(perturbation.rotation_deg)
    turn = np.eye(3)
    turn[1:, 1:] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    # in voxels of the image, from the result back; the turn is one of mm
    spacing_mm = np.array(image.spacing_mm)
    back = turn.T * spacing_mm / spacing_mm.reshape(3, 1)
    middle = [(part.start + part.stop - 1) / 2 for part in bounding_box(mask)]
    if not geometry_difference(image, mask, tolerance_mm=0):
        to_image, origin = np.eye(3), np.zeros(3)
        middle = np.array(middle)
    else:
        middle = image.to_index(mask.to_world([middle]))[0]
        origin = image.to_index(mask.to_world(np.zeros((1, 3))))[0]
        to_image = (image.to_index(mask.to_world(np.eye(3))) - origin).T
    offset = middle - back @ (middle + perturbation.translation)
    moved = ndimage.affine_transform(
        image.array.astype(np.float64), back, offset, order=3, mode="nearest"
    )
    # the same motion in voxels of the mask
    from_image = np.linalg.inv(to_image)
    share = ndimage.affine_transform(
        mask.array.astype(np.float64),
        from_image @ back @ to_image,
        from_image @ (back @ origin + offset - origin),
        order=1,
        mode="nearest",
    )
    # IBSI: a voxel half covered is in; rounded, so that no last digit decides
    return moved, np.round(share, 6) >= 0.5
