"""One image and its mask, looked into: two files enter, faults and notes leave.

What is refused here is what measuring refuses, so that it is known before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from radlatent.cohort.card import Modality
from radlatent.errors import LabelError, RadlatentError
from radlatent.imaging import (
    MOST_OUTSIDE,
    Hashed,
    Label,
    Pair,
    Volume,
    bounding_box,
    check_stored,
    chosen,
    geometry_difference,
    hash_file,
    header_warnings,
    label_counts,
    label_text,
    read_geometry,
    read_volume,
    resampled_note,
    share_outside,
    unit_doubt,
    unit_fault,
    whole_labels,
)

__all__ = ["JUDGED_UNITS", "Fault", "Look", "look"]

#: Units that values can contradict.
JUDGED_UNITS = ("HU", "SUV")

#: Parts of a lesion below this share of its largest are specks of drawing.
_LIKE = 0.25

_REDRAW = "Draw the mask, or exclude the case"


@dataclass(frozen=True)
class Fault:
    """What is wrong with an image or a mask.

    Parameters
    ----------
    problem, remedy
        What was found, and what to do.
    role
        ``"image"`` or ``"mask"``: whose column of ``cases.csv`` is at fault.
    label
        The label or region that it concerns; None concerns all of the mask.
    """

    problem: str
    remedy: str
    role: str
    label: Label = None


@dataclass(frozen=True)
class Look:
    """What to look into.

    Parameters
    ----------
    image, mask
        The files; None where the cohort has no masks.
    labels
        Labels and regions that cases ask for; None is every voxel above 0.
    modality
        Its unit, and whether masks on other grids are welcome.
    voxels
        Whether the voxels of the image are read, not its header alone.
    tolerance_voxels
        As in `radlatent.imaging.open_pair`.
    hashed
        Which of the two are hashed as well.
    """

    image: Path
    mask: Path | None
    labels: Sequence[Label]
    modality: Modality
    voxels: bool
    tolerance_voxels: float | None = None
    hashed: frozenset[Path] = frozenset()


@dataclass(frozen=True)
class Seen:
    """What a look found.

    Parameters
    ----------
    faults, notes
        What is wrong, and what is odd.
    hashes
        Of the files that were to be hashed, those that were read to their end.
    """

    faults: list[Fault]
    notes: list[str]
    hashes: dict[Path, Hashed]


def look(this: Look) -> Seen:
    """Look into an image and its mask."""
    faults, notes = [], []
    image = _attempt(_opened, this.image, this.voxels, "image", faults)
    mask = None
    if this.mask is not None:
        mask = _attempt(_opened, this.mask, True, "mask", faults)
    for path, volume in ((this.image, image), (this.mask, mask)):
        if volume is not None:
            notes += header_warnings(path)
    labels = None if mask is None else _labels(this, mask, image, faults, notes)
    if image is not None and mask is not None:
        faults += _grid_faults(this, image, mask)
    if labels is not None:
        counts = label_counts(labels.array)
        faults += [f for one in this.labels if (f := _label_fault(one, counts, labels))]
        union = _union_notes(this, counts)
        notes += union
        if not faults and image is not None:
            faults += _lesion_faults(this, image, labels, notes, union=bool(union))
    read = {this.mask: mask, this.image: image if this.voxels else None}
    hashes = {p: hash_file(p) for p in read if p in this.hashed and read[p] is not None}
    return Seen(faults, sorted(set(notes)), hashes)


def _attempt(read, path, voxels, role, faults):
    try:
        return read(path, voxels)
    except (OSError, RadlatentError, ValueError, MemoryError) as error:
        text = str(error) or f"{path}: there is not enough memory for its voxels"
        faults.append(Fault(text, "Mend the file, or exclude the case", role))
        return None


def _opened(path, voxels):
    """Return a volume, or its grid where the header is held against the size alone."""
    if voxels:
        return read_volume(path)
    grid = read_geometry(path)
    check_stored(path)
    return grid


def _labels(this, mask, image, faults, notes):
    try:
        labels, note = whole_labels(mask, f"the mask {this.mask.name}")
    except LabelError as error:
        faults.append(_not_a_mask(this, str(error), image))
        return None
    notes += [note] if note else []
    return labels


def _not_a_mask(this, found, image):
    remedy = "Give a mask of whole numbers, 0 for background"
    if image is not None:
        try:
            swapped, _ = whole_labels(read_volume(this.image), this.image.name)
        except (LabelError, OSError):
            swapped = None
        if swapped is not None and label_counts(swapped.array):
            labels = sorted(label_counts(swapped.array))
            problem = (
                f"image and mask look swapped: {this.mask.name} holds intensities, "
                f"{this.image.name} holds the labels {labels}"
            )
            return Fault(problem, "Exchange the two columns", "mask")
    problem, _, told = found.rstrip(".").rpartition(". ")
    return Fault(problem or found, told or remedy, "mask")


def _apart(this, image, mask):
    """Say in what two grids differ, or nothing."""
    if this.tolerance_voxels is None:
        return geometry_difference(image, mask)
    allowed = this.tolerance_voxels * image.spacing_mm[2]
    return geometry_difference(image, mask, tolerance_mm=allowed)


def _grid_faults(this, image, mask):
    difference = _apart(this, image, mask)
    if not difference or this.modality.resample_mask:
        return []
    remedy = (
        "Resample the mask onto the image grid, exclude the case, or, for a mask "
        "common to several modalities, set 'resample_mask: true' in cohort.yml"
    )
    names = f"{this.mask.name} on {this.image.name}"
    problem = f"mask and image grids differ: {difference} ({names})"
    return [Fault(problem, remedy, "mask")]


def _label_fault(label, counts, mask):
    present = ", ".join(f"{v} ({n} voxels)" for v, n in counts.items()) or "none"
    parts = [value for value in counts if value > 0] if label is None else [label]
    parts = list(label) if isinstance(label, tuple) else parts
    absent = [part for part in parts if part not in counts]
    voxels = sum(counts.get(part, 0) for part in parts)
    if not counts:
        problem, remedy = "the mask is empty", _REDRAW
    elif absent or not voxels:
        problem = f"mask_label {_lack(label, absent)}; labels present: {present}"
        remedy = "Correct mask_label in cases.csv, or exclude the case"
    elif voxels == 1:
        volume = float(np.prod(mask.spacing_mm))
        problem = f"the lesion is one voxel ({volume:.3g} mm3)"
        remedy = "Exclude the case: no texture can be measured"
    else:
        return None
    return Fault(problem, remedy, "mask", label)


def _lack(label, absent):
    if label is None:
        return "no label is above 0"
    if not isinstance(label, tuple):
        return f"{label} is absent"
    verb = "is" if len(absent) == 1 else "are"
    return f"{label_text(label)}: {', '.join(map(str, absent))} {verb} absent"


def _union_notes(this, counts):
    several = sorted(value for value in counts if value > 0)
    if None not in this.labels or len(several) < 2:
        return []
    return [
        f"{this.mask.name} holds the labels {several[:10]} and mask_label is empty: "
        f"{len(several)} labels are measured as one lesion; 'radlatent index --labels' "
        "writes a row a label"
    ]


def _lesion_faults(this, image, labels, notes, *, union):
    """Yield what is wrong with where the lesions lie, and with their values."""
    apart = _apart(this, image, labels)
    for label in this.labels:
        lesion = labels.with_array(chosen(labels.array, label))
        outside = share_outside(lesion, image) if apart else 0.0
        if outside > MOST_OUTSIDE:
            problem = (
                f"{outside:.0%} of the lesion lie outside of {this.image.name}, and at "
                f"most {MOST_OUTSIDE:.0%} may"
            )
            remedy = "Give an image that holds the lesion, or exclude the case"
            yield Fault(problem, remedy, "mask", label)
            continue
        if outside:
            notes.append(f"{outside:.2%} of a lesion lie outside of its image")
        if apart and (changed := resampled_note(lesion, image)):
            notes.append(changed)
        n_parts = 0 if label is None and union else _parts(lesion)
        if n_parts:
            notes.append(f"a lesion of {n_parts} separate parts is measured as one")
        if not apart and lesion.array.all():
            yield Fault("the lesion fills the whole image", _REDRAW, "mask", label)
        elif isinstance(image, Volume):
            values = Pair(image, lesion, not apart, 0.0, (), "").intensities()
            yield from _value_faults(this, image, values, label, notes)


def _parts(lesion):
    """Return how many lesions of like size lie apart under one label, or 0."""
    inside = lesion.array[bounding_box(lesion)]
    parts, n = ndimage.label(inside, np.ones((3, 3, 3)))
    if n < 2:
        return 0
    sizes = np.bincount(parts.ravel())[1:]
    n_large = int((sizes >= _LIKE * sizes.max()).sum())
    return n_large if n_large > 1 else 0


def _value_faults(this, image: Volume, values, label, notes):
    """Yield what is wrong with the values of a lesion."""
    if not len(values):
        return
    n_wrong = int((~np.isfinite(values)).sum())
    if n_wrong:
        problem = (
            f"{n_wrong} of {len(values)} voxels in the lesion are not finite numbers"
        )
        yield Fault(problem, "Repair the image, or exclude the case", "image", label)
        return
    about = this.modality.unit, image, float(values.min()), float(values.max())
    fault = unit_fault(*about)
    if fault:
        remedy = "Convert the image, or correct the unit in cohort.yml"
        yield Fault(fault, remedy, "image", label)
    elif doubt := unit_doubt(*about):
        notes.append(f"{this.image.name}: {doubt}")
