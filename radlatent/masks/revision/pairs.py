"""Masks of a network and those of a reader, of the same patients: cohorts enter.

Pairs leave, with the image that both were drawn on. Whoever has been fitted on one of
the patients is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from radlatent.cohort import Cohort
from radlatent.cohort.labels import LabelMap, MaskFile, mask_files, read_label_map
from radlatent.errors import CohortError, LeakageError, SchemaError
from radlatent.features.origin import Fit
from radlatent.imaging import (
    Volume,
    check_same_grid,
    geometry_difference,
    read_volume,
    resample_to,
)

__all__ = [
    "Pair",
    "read_image",
    "read_pair",
    "real_pairs",
    "refuse_in_sample",
    "refuse_seen",
]


@dataclass(frozen=True, eq=False)
class Pair:
    """A mask and what it should be.

    Parameters
    ----------
    mask, truth
        On one grid, with the same structures and labels.
    patient
        Whose they are.
    sets_gate
        Whether the gate is set on it, and not the predicted Dice alone.
    image
        What both were drawn on, on their grid; None where it is not known.
    """

    mask: LabelMap
    truth: LabelMap
    patient: str
    sets_gate: bool = True
    image: Volume | None = None


def real_pairs(
    network: Cohort, reference: Cohort, *, modality: str | None = None
) -> list[tuple[MaskFile, MaskFile]]:
    """Return the mask files of a network, each with that of the same cases by a reader.

    Parameters
    ----------
    network, reference
        Two cohorts; cases are matched by ``case_id``.
    modality
        Whose masks; None where the cohorts have one modality.

    Raises
    ------
    CohortError
        A mask has no reference, or one of another patient.
    LeakageError
        Masks of the network were made by what was fitted on these very patients.
    """
    files = mask_files(network, modality=modality)
    known = {}
    for file in mask_files(reference, modality=modality):
        known |= dict.fromkeys(file.case_ids, file)
    absent = [f.place for f in files if not set(f.case_ids) <= set(known)]
    others = [
        file.place
        for file in files
        if file.place not in absent
        and {known[case].patient_id for case in file.case_ids} != {file.patient_id}
    ]
    if absent or others or not files:
        msg = (
            f"of {len(files)} masks of cohort {network.name!r}, {len(absent)} have no "
            f"reference in {reference.name!r} ({absent[:3]}) and {len(others)} one of "
            f"another patient ({others[:3]}). Cases are matched by case_id: give "
            "cohorts of the same cases."
        )
        raise CohortError(msg)
    refuse_in_sample(network, files)
    return [(file, known[file.case_ids[0]]) for file in files]


def refuse_in_sample(network: Cohort, files: Sequence[MaskFile]) -> None:
    """Refuse masks of patients that what made them was fitted on.

    Parameters
    ----------
    network
        Whose card tells what made its masks, and whom that was fitted on.
    files
        The masks at hand.

    Raises
    ------
    LeakageError
        With the first of these patients.
    """
    seen = set(network.card.in_sample) & {file.patient_id for file in files}
    if seen:
        msg = (
            f"masks of {len(seen)} patients of cohort {network.name!r} were made by "
            f"what was fitted on these patients: {sorted(seen)[:5]}. Such masks are "
            "better than those of new patients: give masks that were made fold by fold."
        )
        raise LeakageError(msg)


def read_pair(files: tuple[MaskFile, MaskFile], *, with_image: bool = True) -> Pair:
    """Return a mask of a network and its reference, under the labels of the network.

    Parameters
    ----------
    files
        From `real_pairs`.
    with_image
        Whether the image is read, where there is one.

    Raises
    ------
    GeometryError
        They do not share one grid.
    SchemaError
        They have other structures.
    """
    mask, truth = (read_label_map(file.path, file.structures) for file in files)
    if set(mask.structures) != set(truth.structures):
        msg = (
            f"{files[0].place} has the structures {sorted(mask.structures)}, its "
            f"reference {sorted(truth.structures)}. Give cohorts of the same cases."
        )
        raise SchemaError(msg)
    check_same_grid(truth.volume, mask.volume, case_id=files[0].case_ids[0])
    array = np.zeros_like(mask.array)
    for name, value in truth.structures.items():
        array[truth.array == value] = mask.structures[name]
    named = replace(mask, name=files[0].place)
    path = (files[0].image or files[1].image) if with_image else None
    image = read_image(path, named)
    return Pair(named, named.with_array(array), files[0].patient_id, image=image)


def read_image(path: str | None, mask: LabelMap) -> Volume | None:
    """Return the image that a mask was drawn on, on its grid, or None.

    Parameters
    ----------
    path
        The file, or None.
    mask
        Whose grid is wanted.
    """
    if path is None:
        return None
    image = read_volume(path)
    if geometry_difference(mask.volume, image):
        return resample_to(image, mask.volume, interpolation="linear", fill=0.0)
    return image


def refuse_seen(fits: Sequence[dict], cohort: Cohort, patients: Sequence[str]) -> None:
    """Refuse patients that a corrector was fitted or calibrated on.

    Parameters
    ----------
    fits
        ``cohort`` and ``patients`` of each of its fits.
    cohort, patients
        Whose masks are at hand.

    Raises
    ------
    LeakageError
        With the first of them.
    """
    label = cohort.card.label
    seen = sorted(set().union(*(Fit.of(None, f, label).saw(patients) for f in fits)))
    if seen:
        msg = (
            f"{len(seen)} patients of cohort {cohort.name!r} ({', '.join(seen[:5])}) "
            "have had a part in this corrector: its prior, its reviser or its gate was "
            "fitted on their masks. Give other patients."
        )
        raise LeakageError(msg)
