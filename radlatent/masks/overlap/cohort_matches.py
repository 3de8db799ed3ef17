"""Lesions of two cohorts matched by overlap: cohorts enter, one row a lesion leaves."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from radlatent.cohort import Cohort
from radlatent.errors import CohortError, LabelError
from radlatent.imaging import Volume, check_same_grid, chosen, region_of
from radlatent.masks.overlap.cohorts import masks_of
from radlatent.masks.overlap.label_boxes import read_labels
from radlatent.masks.overlap.matches import (
    LesionMatches,
    Lesions,
    check_matching,
    lesions_of,
    match,
    matches_of,
)
from radlatent.parallel import map_tasks

__all__ = ["match_cohort_lesions", "match_files"]

_KEYS = ("patient_id", "timepoint")


def match_cohort_lesions(
    cohort: Cohort,
    reference: Cohort,
    *,
    modality: str | None = None,
    jobs: int | None = None,
    overlap: str = "iou",
    least_overlap: float = 0.5,
) -> LesionMatches:
    """Match the lesions of two cohorts of the same patients by overlap.

    Parameters
    ----------
    cohort, reference
        The masks under judgment, and those to judge them by. Their cases may be others;
        patients and timepoints of the included cases are the same.
    modality
        Whose masks; None where all modalities share theirs.
    jobs
        Processes. None leaves it to ``joblib.parallel_config``, -1 is every core.
    overlap, least_overlap
        As in `match_lesions`.

    Returns
    -------
    LesionMatches
        Of all patients; ``lesions`` have ``patient_id`` and ``timepoint`` too, and are
        named by their ``case_id``.

    Raises
    ------
    CohortError
        The cohorts have other patients.
    SchemaError
        The modality is unknown, or needed and not given.
    ValueError
        As `match_lesions`.

    Notes
    -----
    A case with a ``mask_label`` is one lesion. A case without one is as many as its
    file holds: components where it has one label, else its labels; an empty file is a
    patient without a lesion. Labels that no case names are left alone;
    ``index(labels=True)`` names them all. A patient whose files cannot be compared is a
    failure, and in no number.
    """
    check_matching(overlap=overlap, least_overlap=least_overlap)
    sides = [_by_patient(one, modality) for one in (cohort, reference)]
    only = [sorted(a.keys() - b.keys()) for a, b in (sides, sides[::-1])]
    if any(only):
        shown = [[" ".join(key).strip() for key in some[:5]] for some in only]
        msg = (
            f"cohorts {cohort.name!r} and {reference.name!r} do not have the same "
            f"patients: {shown[0]} are in the first only ({len(only[0])}), {shown[1]} "
            f"in the second only ({len(only[1])}). Exclude them; name an empty mask "
            "where a patient has no lesion."
        )
        raise CohortError(msg)
    options = {"overlap": overlap, "least_overlap": least_overlap}
    outcome = map_tasks(
        match_files,
        {key: (cases, sides[1][key], options) for key, cases in sides[0].items()},
        jobs=jobs,
        description="Matching lesions",
    )
    rows = [
        dict(zip(_KEYS, key, strict=True)) | row
        for key in sides[0]
        for row in outcome.results.get(key, ())
    ]
    failures = [
        (sides[0][key][0][0], "overlap", *why) for key, why in outcome.failures.items()
    ]
    lesions = pd.DataFrame(rows, columns=None if rows else [*_KEYS])
    return matches_of(lesions, failures, overlap, least_overlap, _KEYS)


def _by_patient(cohort, modality):
    """Return patient and timepoint to case, mask and label of each lesion."""
    masks, cases = masks_of(cohort, modality), cohort.included
    found = {}
    for case_id, mask in masks.iterrows():
        key = tuple(str(cases.loc[case_id].get(name) or "") for name in _KEYS)
        lesion = case_id, mask["mask"], region_of(mask["mask_label"])
        found.setdefault(key, []).append(lesion)
    return found


def match_files(
    cases: Sequence[tuple], reference: Sequence[tuple], options: Mapping
) -> list[dict]:
    """Return the rows of a patient, as `match` does.

    Parameters
    ----------
    cases, reference
        ``case_id``, file and label or region of each lesion; None is all that a file
        holds.
    options
        ``overlap`` and ``least_overlap`` of `match_lesions`.

    Raises
    ------
    CohortError
        A case has no mask.
    GeometryError
        The files do not share one grid.
    LabelError
        Voxels are no labels, or two cases share one.
    """
    volumes = {}
    for case_id, path, _ in (*cases, *reference):
        if path is None:
            msg = f"case {case_id!r} has no mask. Name it in cases.csv, or exclude it."
            raise CohortError(msg)
        if path not in volumes:
            volumes[path] = read_labels(path)
            grid = next(iter(volumes.values()))
            check_same_grid(grid, volumes[path], case_id=case_id)
    drawn = [_drawn(side, volumes) for side in (cases, reference)]
    return match(*drawn, spacing_mm=grid.spacing_mm, **options)


def _drawn(cases, volumes: Mapping[object, Volume]):
    """Return the lesions of all cases of a patient in one array."""
    array, names = None, []
    for case_id, path, label in cases:
        labels = volumes[path].array
        if array is None:
            array = np.zeros(labels.shape, np.int32)
        if label is None:
            own = lesions_of(labels, "auto")
        else:
            inside = chosen(labels, label)
            own = Lesions(inside.astype(np.int32), ["1"] if inside.any() else [])
        inside = own.array > 0
        if array[inside].any():
            other = names[int(array[inside].max()) - 1]
            msg = (
                f"cases {case_id!r} and {other!r} share voxels, so that lesions cannot "
                "be told apart. Exclude one of them."
            )
            raise LabelError(msg)
        array[inside] = own.array[inside] + len(names)
        several = len(own.names) > 1
        names += [f"{case_id}:{name}" if several else case_id for name in own.names]
    return Lesions(array, names)
