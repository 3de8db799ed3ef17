"""One lesion: read, check, crop, measure, and say where the values come from.

Runs in a worker; everything that enters and leaves can be sent between machines.
"""

import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from radlatent.errors import EmptyMaskError
from radlatent.handcrafted import pyradiomics
from radlatent.handcrafted.settings import Settings
from radlatent.imaging import (
    Volume,
    bounding_box,
    crop,
    expand_box,
    header_warnings,
    read_pair,
    single_thread,
)

__all__ = ["ENGINES", "Lesion", "measure_lesion"]

#: Name of engine to the module that has ``measure`` and ``version``.
ENGINES = {"pyradiomics": pyradiomics}

#: Fewer gray levels than this say little, more than this are noise (PEERS.md 1.4).
_GRAY_LEVELS = (8, 256)

#: 4 x 4 x 4 voxels: our convention for what is too small to have a texture.
_FEW_VOXELS = 64


@dataclass(frozen=True)
class Lesion:
    """Where one lesion in one modality is found, and how it is to be measured."""

    case_id: str
    image: Path
    mask: Path
    mask_label: int | None
    resample_mask: bool
    settings: Settings
    engine: str


def measure_lesion(lesion: Lesion) -> dict:
    """Return values, provenance and notes of one lesion, as JSON can hold them.

    Raises
    ------
    GeometryError
        Image and mask do not share one grid.
    EmptyMaskError
        The mask does not hold the lesion, or too little or too much of one.
    ValueError
        Voxels are not finite, or the engine refuses the lesion.
    """
    start = time.perf_counter()
    with single_thread():
        image, mask = read_pair(
            lesion.image,
            lesion.mask,
            mask_label=lesion.mask_label,
            resample_mask=lesion.resample_mask,
            case_id=lesion.case_id,
        )
        _check_extent(lesion, mask)
        description = _describe(image, mask, lesion.settings)
        image, mask = _crop(image, mask, lesion.settings)
        _check_finite(lesion, image, mask)
        values = _measure(lesion, image, mask)
    notes = {*header_warnings(lesion.image), *header_warnings(lesion.mask)}
    description["seconds"] = round(time.perf_counter() - start, 4)
    found = [values.get(name) for name in lesion.settings.names]
    return {
        # in the order of the names, None where there is no finite value
        "features": [v if v is not None and math.isfinite(v) else None for v in found],
        "provenance": description,
        "notes": sorted(notes),
    }


def _measure(lesion, image, mask):
    try:
        return ENGINES[lesion.engine].measure(image, mask, lesion.settings)
    except ValueError as error:
        msg = (
            f"case {lesion.case_id!r}: the engine {lesion.engine!r} refuses the lesion "
            f"({error}). Change the settings, or exclude the case in cases.csv."
        )
        raise ValueError(msg) from error


def _check_extent(lesion, mask):
    """Refuse what no texture can be measured on, with its size."""
    box = bounding_box(mask)
    extent = [part.stop - part.start for part in box]
    n_voxels = int(mask.array[box].sum())
    needed = lesion.settings.setting.minimumROIDimensions
    found = ""
    if n_voxels == 1:
        found = "is one voxel"
    elif sum(n > 1 for n in extent) < needed:
        found = f"extends over {extent} voxels (z, y, x), {needed} axes are needed"
    elif n_voxels == mask.array.size:
        found = "fills the whole image"
    if found:
        volume = n_voxels * float(np.prod(mask.spacing_mm))
        msg = (
            f"case {lesion.case_id!r}: the lesion {found} ({volume:.3g} mm3). Correct "
            f"{lesion.mask}, or exclude the case in cases.csv."
        )
        raise EmptyMaskError(msg)


def _crop(image, mask, settings):
    if not settings.crops:
        return image, mask
    tight = bounding_box(mask)
    margins = settings.margin_voxels(image.spacing_mm)
    box = expand_box(tight, margins, image.shape)
    if "Wavelet" in settings.imageType:
        box = _whole_axes_at_the_edge(box, tight, margins, image.shape)
    return crop(image, box), crop(mask, box)


def _whole_axes_at_the_edge(box, tight, margins, shape):
    """Keep an axis whole where the margin meets the image's edge.

    A wavelet continues an image periodically: the far side is the neighbor there.
    """
    cut = [
        edge.start < margin or edge.stop + margin > n
        for edge, margin, n in zip(tight, margins, shape, strict=True)
    ]
    return tuple(
        slice(0, n) if whole else part
        for part, whole, n in zip(box, cut, shape, strict=True)
    )


def _check_finite(lesion, image, mask):
    if image.array.dtype.kind != "f":
        return
    seen = image.array if lesion.settings.looks_around else image.array[mask.array]
    n_wrong = int(seen.size - np.isfinite(seen).sum())
    if n_wrong:
        where = "around and in" if lesion.settings.looks_around else "in"
        msg = (
            f"case {lesion.case_id!r}: {n_wrong} of {seen.size} voxels {where} the "
            f"lesion are not finite numbers in {lesion.image}. Repair the image, or "
            "exclude the case in cases.csv."
        )
        raise ValueError(msg)


def _describe(image: Volume, mask: Volume, settings: Settings):
    values = image.array[mask.array]
    n_voxels, low, high = len(values), float(np.min(values)), float(np.max(values))
    levels = _gray_levels(low, high, settings)
    return {
        "n_voxels": n_voxels,
        "volume_mm3": n_voxels * float(np.prod(image.spacing_mm)),
        "minimum": low if math.isfinite(low) else None,
        "maximum": high if math.isfinite(high) else None,
        "n_gray_levels": levels,
        "flags": "; ".join(_flags(n_voxels, low, high, levels)),
    }


def _gray_levels(low, high, settings):
    """Return the number of bins of the original image, None where it is rescaled."""
    options = settings.setting
    if options.normalize or not (math.isfinite(low) and math.isfinite(high)):
        return None
    if low == high:
        return 1
    if options.binCount:
        return options.binCount
    # pyradiomics' default width; its bins start at multiples of the width
    width = options.binWidth or 25.0
    return math.floor(high / width) - math.floor(low / width) + 1


def _flags(n_voxels, low, high, levels):
    if n_voxels < _FEW_VOXELS:
        yield f"tiny: {n_voxels} voxels (below {_FEW_VOXELS})"
    if low == high:
        yield f"flat: every voxel is {low:g}"
    elif levels is not None and levels < _GRAY_LEVELS[0]:
        yield f"flat: {levels} gray levels (below {_GRAY_LEVELS[0]})"
    elif levels is not None and levels > _GRAY_LEVELS[1]:
        yield f"fine: {levels} gray levels (above {_GRAY_LEVELS[1]})"
