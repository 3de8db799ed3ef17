"""One lesion: read, check, crop, measure, and say where the values come from.

Runs in a worker; everything that enters and leaves can be sent between machines.
"""

import importlib
import math
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from radlatent.errors import EmptyMaskError, SchemaError
from radlatent.handcrafted.settings import Settings
from radlatent.imaging import (
    Label,
    Pair,
    Volume,
    bounding_box,
    crop,
    header_warnings,
    open_pair,
    single_thread,
    unit_doubt,
    unit_fault,
)
from radlatent.schema import nearest

__all__ = [
    "ENGINES",
    "Lesion",
    "check_extent",
    "engine_of",
    "measure_lesion",
    "measure_volumes",
    "open_lesion",
    "prepare_grids",
]

#: Name of engine to the module that has ``measure`` and ``version``; imported when it
#: is asked for, since one compiles and the other may be missing.
ENGINES = {
    "radlatent": "radlatent.handcrafted.engine.native",
    "pyradiomics": "radlatent.handcrafted.engine.pyradiomics",
}

#: Fewer gray levels than this say little, more than this are noise (PEERS.md 1.4).
_GRAY_LEVELS = (8, 256)

#: 4 x 4 x 4 voxels: our convention for what is too small to have a texture.
_FEW_VOXELS = 64


def engine_of(name: str) -> ModuleType:
    """Return an engine: a module with ``measure`` and ``version``.

    Parameters
    ----------
    name
        One of `ENGINES`.

    Raises
    ------
    SchemaError
        There is none of that name.
    """
    if name not in ENGINES:
        msg = f"unknown engine {name!r}{nearest(name, ENGINES)}"
        raise SchemaError(f"{msg} (known are {sorted(ENGINES)}).")
    return importlib.import_module(ENGINES[name])


@dataclass(frozen=True)
class Lesion:
    """Where one lesion in one modality is found, and how it is to be measured."""

    case_id: str
    image: Path
    mask: Path
    mask_label: Label
    resample_mask: bool
    settings: Settings
    engine: str
    unit: str = ""


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
        pair = open_lesion(lesion)
        image, mask, changes = prepare_grids(lesion, pair)
        description = _describe(lesion, pair, mask, (*pair.flags, *changes))
        values = measure_volumes(lesion, image, mask)
    notes = {*header_warnings(lesion.image), *header_warnings(lesion.mask)}
    notes |= set(pair.notes)
    description["seconds"] = round(time.perf_counter() - start, 4)
    return {"features": values, "provenance": description, "notes": sorted(notes)}


def open_lesion(lesion: Lesion) -> Pair:
    """Read image and mask of a lesion, each on its grid; raises as `measure_lesion`."""
    return open_pair(
        lesion.image,
        lesion.mask,
        mask_label=lesion.mask_label,
        resample_mask=lesion.resample_mask,
        case_id=lesion.case_id,
        tolerance_voxels=lesion.settings.setting.geometryTolerance,
    )


def prepare_grids(lesion: Lesion, pair: Pair) -> tuple[Volume, Volume, tuple[str, ...]]:
    """Return image and mask as engines take them, and what changed on the way.

    Where the settings resample, a mask on a grid of its own stays there: the engine
    brings it to the final grid in one step. Elsewhere it goes to the grid of the image.

    Raises
    ------
    EmptyMaskError, GeometryError
        As `measure_lesion`.
    """
    if pair.one_grid or not lesion.settings.resamples:
        mask, changes = pair.on_image_grid()
    else:
        mask, changes = pair.lesion, ()
    check_extent(lesion, mask)
    return pair.image, mask, changes


def measure_volumes(lesion: Lesion, image: Volume, mask: Volume) -> list[float | None]:
    """Return values in the order of the settings' names, None where not finite.

    Parameters
    ----------
    lesion
        Its settings and engine, and its name for messages.
    image, mask
        Intensities, and booleans on the same grid; on any where the settings resample.

    Raises
    ------
    EmptyMaskError, ValueError
        As `measure_lesion`.
    """
    settings = lesion.settings
    # else all is needed, and a copy of it is not
    if settings.crops:
        box = settings.box_around(bounding_box(mask), image.spacing_mm, image.shape)
        image, mask = crop(image, box), crop(mask, box)
    _check_finite(lesion, image, mask)
    try:
        values = engine_of(lesion.engine).measure(image, mask, settings)
    except ValueError as error:
        msg = (
            f"case {lesion.case_id!r}: the engine {lesion.engine!r} refuses the lesion "
            f"({error}). Change the settings, or exclude the case in cases.csv."
        )
        raise ValueError(msg) from error
    ordered = [values.get(name) for name in settings.names]
    return [v if v is not None and math.isfinite(v) else None for v in ordered]


def check_extent(lesion: Lesion, mask: Volume) -> None:
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


def _check_finite(lesion, image, mask):
    if image.array.dtype.kind != "f":
        return
    seen = image.array if lesion.settings.looks_around else image.array[mask.array]
    n_wrong = int(seen.size - np.isfinite(seen).sum())
    if n_wrong:
        where = "around and in" if lesion.settings.looks_around else "in"
        msg = (
            f"case {lesion.case_id!r}: {n_wrong} of {seen.size} voxels {where} the "
            f"lesion are not finite numbers in {lesion.image}. Repair the image, leave "
            f"out image types that look further ({[*lesion.settings.imageType]}), or "
            "exclude the case in cases.csv."
        )
        raise ValueError(msg)


def _describe(lesion: Lesion, pair: Pair, mask: Volume, changes):
    drawn = mask is pair.lesion
    values = pair.intensities() if drawn else pair.image.array[mask.array]
    n_voxels, low, high = len(values), float(np.min(values)), float(np.max(values))
    levels = _gray_levels(low, high, lesion.settings)
    flags = [*changes, *_flags(n_voxels, low, high, levels)]
    about = lesion.unit, pair.image, low, high
    fault = unit_fault(*about) or unit_doubt(*about)
    return {
        "n_voxels": n_voxels,
        "volume_mm3": n_voxels * float(np.prod(mask.spacing_mm)),
        "minimum": low if math.isfinite(low) else None,
        "maximum": high if math.isfinite(high) else None,
        "n_gray_levels": levels,
        "flags": "; ".join([fault, *flags] if fault else flags),
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
