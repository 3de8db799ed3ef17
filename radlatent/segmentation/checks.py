"""What keeps a segmenter from being fitted or applied, found at once.

A segmenter, a cohort and its files enter; what to work on leaves, or one error with
everything that is wrong.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from radlatent.cohort.labels import modality_of
from radlatent.cohort.manifest import Cohort
from radlatent.errors import RadlatentError, SchemaError
from radlatent.imaging import MOST_OUTSIDE
from radlatent.segmentation.networks.build import build_network
from radlatent.segmentation.patch import Patch
from radlatent.segmentation.prepare import (
    ImageFile,
    PreparedImage,
    image_files,
    order_of,
)

if TYPE_CHECKING:
    from radlatent.segmentation.segmenter import Segmenter

__all__ = ["Chosen", "check_fit", "check_prepared", "check_structures", "cut_of"]

#: A training set of fewer patients has nobody to hold out.
FEWEST_PATIENTS = 2


@dataclass(frozen=True)
class Chosen:
    """What a segmenter is fitted on.

    Parameters
    ----------
    cohort
        Identity of the cohort, as one text.
    modality
        Whose images.
    files
        Images and masks of the training patients.
    structures
        Names, in the order of their labels.
    """

    cohort: str
    modality: str
    files: list[ImageFile]
    structures: list[str]

    @property
    def patients(self) -> list[str]:
        """Their names, sorted."""
        return sorted({file.mask.patient_id for file in self.files})


def check_fit(
    segmenter: "Segmenter",
    cohort: Cohort,
    *,
    patients: Collection[str] | None,
    modality: str | None,
) -> Chosen:
    """Return what a segmenter is fitted on, or raise with everything that is wrong.

    Parameters
    ----------
    segmenter
        An unfitted one.
    cohort, patients, modality
        As of its ``fit``.

    Raises
    ------
    SchemaError
        With all of it.
    """
    found, files, structures = [], [], []
    try:
        modality = modality_of(cohort, modality)
        files, found = image_files(cohort, modality)
    except SchemaError as error:
        found.append(str(error).rstrip("."))
    else:
        if patients is not None:
            there = {file.mask.patient_id for file in files}
            strange = sorted(set(map(str, patients)) - there)
            if strange:
                found.append(
                    f"cohort {cohort.name!r} has no masks of {len(strange)} patients: "
                    f"{strange[:5]}"
                )
            files = [f for f in files if f.mask.patient_id in set(patients)]
        structures = _structures(files, found)
        n = len({file.mask.patient_id for file in files})
        if n < FEWEST_PATIENTS:
            found.append(
                f"{n} training patients in {len(files)} images; give at least two"
            )
    found += _settings(segmenter, max(len(structures), 1))
    _raise(found, "fitted")
    return Chosen(cohort.card.label, modality, files, structures)


def _structures(files, found):
    """Return the structures of the files in one order, noting where they differ."""
    sets = {}
    for file in files:
        sets.setdefault(frozenset(file.mask.structures), file)
    if len(sets) > 1:
        named = [f"{sorted(names)} ({f.place})" for names, f in sets.items()]
        found.append(f"images have other structures: {'; '.join(named[:3])}")
    return order_of(files[0].mask.structures) if files else []


def _settings(segmenter, n_structures):
    patch, settings = segmenter.settings["patch"], segmenter.settings
    found = [*patch.problems(), *settings["training"].problems()]
    found += settings["augmentation"].problems()
    about = {"in_channels": patch.in_channels, "n_classes": 1 + n_structures}
    about |= {"size": tuple(patch.size), "width": segmenter.width}
    makers = [segmenter.criterion]
    if not patch.problems():
        makers.append(partial(build_network, segmenter.network, **about))
    for make in makers:
        try:
            make()
        except (RadlatentError, TypeError) as error:
            found.append(str(error).rstrip("."))
    return found


def check_prepared(
    images: Sequence[PreparedImage], structures: Sequence[str], patch: Patch
) -> None:
    """Raise where a network would be trained in vain on what was read.

    Parameters
    ----------
    images
        The training images.
    structures
        Names, in the order of their labels.
    patch
        What the network sees.

    Raises
    ------
    SchemaError
        A structure is in no image, or in half of the images larger than the patch or
        outside of the field.
    """
    found = []
    axes = slice(3 - len(patch.size), 3)
    for number, name in enumerate(structures):
        there = [image for image in images if image.n_voxels[number]]
        if not there:
            found.append(f"structure {name!r} is in none of {len(images)} images")
            continue
        extent = np.median([i.extent_mm[number][axes] for i in there], axis=0)
        if (extent > patch.size_mm).any():
            found.append(
                f"the patch of {_text(patch.size_mm)} mm is smaller than {name!r}, of "
                f"{_text(extent)} mm in half of the images; give a larger size or "
                "spacing_mm"
            )
        outside = np.median([image.outside[number] for image in there])
        if outside > MOST_OUTSIDE:
            found.append(
                f"{outside:.0%} of {name!r} lie outside of field_mm {patch.field_mm} "
                "in half of the images; give a larger one, or None"
            )
    _raise(found, "fitted")


def cut_of(image: PreparedImage, structures: Sequence[str]) -> str:
    """Return what of an image lies outside of its field, or an empty text."""
    cut = [
        f"{share:.1%} of {name}"
        for name, share in zip(structures, image.outside, strict=True)
        if share > MOST_OUTSIDE
    ]
    return f"outside of the field: {', '.join(cut)}" if cut else ""


def check_structures(
    fitted: Mapping[str, Sequence[str]], files: Sequence[ImageFile]
) -> None:
    """Raise where a network was trained for other structures than masks have.

    Parameters
    ----------
    fitted
        Patient to the structures of the network that draws the patient's masks.
    files
        Images, with the masks that are there.

    Raises
    ------
    SchemaError
        With the first of them.
    """
    wrong = [
        file
        for file in files
        if set(fitted[file.mask.patient_id]) != set(file.mask.structures)
    ]
    if wrong:
        first = wrong[0]
        _raise(
            [
                f"the network draws {list(fitted[first.mask.patient_id])}, but "
                f"{len(wrong)} of {len(files)} masks are of other structures: "
                f"{first.place} of {sorted(first.mask.structures)}. Name them alike "
                "(lesion_id in cases.csv), or fit a network for them"
            ],
            "applied",
        )


def _text(values):
    return " x ".join(f"{value:.0f}" for value in values)


def _raise(found, what):
    if found:
        msg = f"the segmenter cannot be {what} so: " + "; ".join(found) + "."
        raise SchemaError(msg)
