"""One mask of the whole disease becomes masks of its lesions, which are cases.

A cohort whose masks hold several lesions under one label enters; a derived cohort with
one case a connected component leaves. Readers of PET draw all uptake as one region, and
features, lesion burden, matching and graphs are of lesions.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage

from radlatent.cohort import Cohort
from radlatent.cohort.derived import derived_card
from radlatent.cohort.labels import modality_of
from radlatent.errors import CohortError, EmptyMaskError, SchemaError
from radlatent.imaging import read_pair, region_of, write_volume
from radlatent.imaging.labels import MOST_LABELS
from radlatent.parallel import map_tasks
from radlatent.provenance import content_key, file_hash
from radlatent.schema import check_cases, failures_table

__all__ = ["SplitCohort", "split_lesions"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False, repr=False)
class SplitCohort:
    """A cohort of lesions, and what became of the masks that they were in.

    Parameters
    ----------
    cohort
        The derived cohort, a case a lesion: ``<case_id>_L001`` is the largest of its
        case. Cases without a lesion, and those that failed, are there as they were, but
        excluded with the reason.
    cases
        Index ``case_id`` of the cohort that entered: ``n_lesions``, ``n_left_out``
        (components below the smallest volume), ``volume_ml`` and ``left_out_ml``, NaN
        where nobody knows the size of a pixel.
    failures
        **failures** table.
    """

    cohort: Cohort
    cases: pd.DataFrame
    failures: pd.DataFrame

    @property
    def summary(self) -> pd.DataFrame:
        """Quartiles of lesions and volumes over cases."""
        return self.cases.describe().loc[["min", "25%", "50%", "75%", "max"]]

    def __repr__(self) -> str:
        lesions, left = self.cases["n_lesions"].sum(), self.cases["n_left_out"].sum()
        failed = self.failures["case_id"].nunique()
        return (
            f"SplitCohort({lesions} lesions of {len(self.cases)} cases; {left} "
            f"components too small; {failed} cases failed)"
        )

    def _repr_html_(self) -> str:
        return self.cases.to_html()


def split_lesions(
    cohort: Cohort | str | Path,
    *,
    out: str | Path,
    min_volume_ml: float = 0.0,
    modality: str | None = None,
    name: str | None = None,
    jobs: int | None = None,
) -> SplitCohort:
    """Return a derived cohort in which every connected component is a case.

    Parameters
    ----------
    cohort
        A cohort, or the folder of one.
    out
        Folder of the derived cohort: its tables, and masks of numbered lesions in
        ``masks``.
    min_volume_ml
        Smaller components are left out, and counted.
    modality
        Whose masks; None where the cohort has one column of masks.
    name
        Of the derived cohort; by default that of the cohort and ``_lesions``.
    jobs
        Processes; None leaves it to ``joblib.parallel_config``.

    Raises
    ------
    SchemaError
        The cohort has masks of several modalities, whose components are not the same,
        or ``min_volume_ml`` is below 0, or asked of pixels of unknown size.
    CohortError
        No case has a lesion.

    Notes
    -----
    Voxels that touch by a face, an edge or a corner are one lesion, as in
    ``match_lesions``. Lesions of a case are numbered by volume, the largest first. What
    touches is one lesion, and one that a gap of a voxel cuts is two: look at
    ``n_lesions`` before it becomes a feature.
    """
    cohort, out = Cohort.of(cohort), Path(out).resolve()
    modality = modality or next(iter(cohort.modalities))
    modality = modality_of(cohort, modality)
    _check(cohort, min_volume_ml)
    if min_volume_ml:
        cohort.check_in_mm(modality, "min_volume_ml")
    tasks = {}
    for number, (case_id, case) in enumerate(cohort.included.iterrows()):
        files = cohort.files(case_id, modality)
        if files is not None:
            target = str(out / "masks" / f"{number:05d}")
            told = (region_of(case["mask_label"]), case_id, min_volume_ml)
            tasks[case_id] = (str(files[1]), *told, target)
    outcome = map_tasks(_split, tasks, jobs=jobs, description="Splitting masks")
    failures = failures_table(
        (case_id, f"masks {modality}", *why)
        for case_id, why in outcome.failures.items()
    )
    cases = _cases(cohort, modality, outcome)
    if not (~cases["exclude"]).any():
        msg = (
            f"cohort {cohort.name!r}: no case has a lesion of {min_volume_ml} ml or "
            "more. Look at failures of its masks, or give a smaller min_volume_ml."
        )
        raise CohortError(msg)
    name = name or f"{cohort.name}_lesions"
    derived = _derived(cohort, cases, modality, name, min_volume_ml)
    derived.write(out, again=True)
    counted = _counted(outcome.results)
    if not cohort.modalities[modality].in_mm:
        counted[["volume_ml", "left_out_ml"]] = np.nan
    return SplitCohort(derived, counted, failures)


def _check(cohort, min_volume_ml):
    columns = cohort.mask_columns
    if len(columns) > 1:
        msg = (
            f"cohort {cohort.name!r} has masks in {columns}: components of one are not "
            "those of another. Split a cohort of one modality."
        )
        raise SchemaError(msg)
    if not min_volume_ml >= 0:
        msg = f"min_volume_ml is {min_volume_ml!r}; give 0 or more."
        raise SchemaError(msg)


def _split(path, label, case_id, min_volume_ml, target) -> dict:
    """Write the lesions of a mask, and return their volumes and files."""
    try:
        _, mask = read_pair(path, path, mask_label=label, case_id=case_id)
    except EmptyMaskError:
        # a patient without disease is no fault
        return {"lesions": [], "left_out_ml": []}
    array, n = ndimage.label(mask.array, structure=np.ones((3, 3, 3)))
    voxel_ml = float(np.prod(mask.spacing_mm)) / 1000
    volumes = np.bincount(array.ravel(), minlength=n + 1)[1:] * voxel_ml
    order = np.argsort(-volumes, kind="stable")
    kept = order[volumes[order] >= min_volume_ml]
    lesions = []
    # a mask of more labels is taken for intensities
    for part, start in enumerate(range(0, len(kept), MOST_LABELS)):
        some = kept[start : start + MOST_LABELS]
        numbers = np.zeros(n + 1, dtype=np.uint8)
        numbers[some + 1] = np.arange(1, len(some) + 1)
        place = f"{target}_{part}.nii.gz"
        write_volume(mask.with_array(numbers[array]), place)
        lesions += [[place, k + 1, volumes[one]] for k, one in enumerate(some.tolist())]
    left = np.delete(volumes, kept).tolist()
    return {"lesions": lesions, "left_out_ml": left}


def _counted(results: Mapping) -> pd.DataFrame:
    rows = {
        case_id: {
            "n_lesions": len(found["lesions"]),
            "n_left_out": len(found["left_out_ml"]),
            "volume_ml": sum(volume for *_, volume in found["lesions"]),
            "left_out_ml": sum(found["left_out_ml"]),
        }
        for case_id, found in results.items()
    }
    columns = ["n_lesions", "n_left_out", "volume_ml", "left_out_ml"]
    table = pd.DataFrame.from_dict(rows, "index", columns=columns)
    kinds = {"n_lesions": "int64", "n_left_out": "int64"}
    return table.astype(kinds).rename_axis("case_id")


def _cases(cohort, modality, outcome):
    """Return the **cases** table of lesions; what has none is excluded."""
    column, rows = cohort.mask_column(modality), []
    for case_id, case in cohort.cases.iterrows():
        case = {"case_id": case_id} | case.to_dict()
        found = outcome.results.get(case_id)
        if found is None or not found["lesions"]:
            if not case["exclude"]:
                case |= {"exclude": True, "exclude_reason": _reason(outcome, case_id)}
            rows.append(case)
            continue
        kept = case["lesion_id"]
        for number, (place, label, _) in enumerate(found["lesions"], start=1):
            one = f"L{number:03d}"
            own = {"case_id": f"{case_id}_{one}", column: place, "mask_label": label}
            rows.append(case | own | {"lesion_id": f"{kept}_{one}" if kept else one})
    table = pd.DataFrame(rows).set_index("case_id")
    return check_cases(table.astype(cohort.cases.dtypes.to_dict()))


def _reason(outcome, case_id):
    if case_id in outcome.failures:
        return f"mask not read: {outcome.failures[case_id][1]}"
    if case_id in outcome.results:
        return "no lesion in the mask"
    return "no image of this modality"


def _derived(cohort, cases, modality, name, min_volume_ml):
    column = cohort.mask_column(modality)
    included = cases[~cases["exclude"]]
    hashes = {place: file_hash(place) for place in included[column].unique()}
    masks = [[i, hashes[row[column]]] for i, row in included.iterrows()]
    smallest = f", {min_volume_ml:g} ml and more" if min_volume_ml else ""
    made_by = {"name": f"connected components{smallest}", "fitted_on": []}
    told = {"key": cohort.key, "made_by": made_by, "masks": content_key(masks)}
    tables = {"before": cases, "after": cases}
    card = derived_card(cohort.card, name=name, **told, **tables)
    return replace(cohort, card=card, cases=cases)
