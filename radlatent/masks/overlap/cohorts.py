"""Agreement of the masks of two cohorts: cohorts enter, one row a case leaves."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from radlatent.cohort import Cohort
from radlatent.errors import CohortError, SchemaError
from radlatent.imaging import check_same_grid, chosen, region_of
from radlatent.masks.overlap.compare import (
    ELSEWHERE,
    METRICS,
    check_options,
    compare_structure,
    definitions_of,
    elsewhere,
    summarize_overlap,
)
from radlatent.masks.overlap.label_boxes import find_labels, read_labels
from radlatent.parallel import map_tasks
from radlatent.schema import failures_table, nearest

_log = logging.getLogger(__name__)

__all__ = ["MaskComparison", "compare_cohorts", "compare_files", "masks_of"]

_COLUMNS = [name for name in METRICS if "area" not in name]
#: What is in mm, or has a tolerance in mm.
_IN_MM = [name for name in _COLUMNS if "_mm" in name or name == "nsd"]
_NO_MM = (
    "the pixel size is unknown (cohort.yml), so that distances, volumes and nsd are NaN"
)


@dataclass(frozen=True, eq=False, repr=False)
class MaskComparison:
    """How well the masks of a cohort agree with those of a reference.

    Parameters
    ----------
    table
        One row a case, index ``case_id``: ``patient_id``, ``structure`` (the
        ``lesion_id``, or ``"mask"`` without one), the metrics of `METRICS` and
        ``state``. A case that failed has NaN and no state.
    failures
        **failures** table: why.
    definitions
        Metric to its definition.
    notes
        Cases of Dice 0 whose mask lies on another label of the reference; that the
        pixel size is unknown, where what needs millimeters is NaN.
    """

    table: pd.DataFrame
    failures: pd.DataFrame
    definitions: Mapping[str, str]
    notes: tuple[str, ...] = ()

    @property
    def summary(self) -> pd.DataFrame:
        """What `summarize_overlap` says of each structure."""
        return summarize_overlap(self.table)

    def __repr__(self) -> str:
        n_structures = self.table["structure"].nunique()
        return (
            f"MaskComparison({len(self.table)} cases, {n_structures} structures, "
            f"{len(self.failures)} cases failed)"
        )

    def _repr_html_(self) -> str:
        return self.summary.to_html()


def compare_cohorts(
    cohort: Cohort,
    reference: Cohort,
    *,
    modality: str | None = None,
    jobs: int | None = None,
    tolerance_mm: float = 2.0,
    empty: str = "nan",
) -> MaskComparison:
    """Compare the masks of two cohorts of the same cases.

    Parameters
    ----------
    cohort, reference
        The masks under judgment, and those to judge them by; the included cases are
        the same. Those that the first excludes, as `Segmenter.predict` does with what
        failed, keep their row, and their reason is in ``failures``.
    modality
        Whose masks; None where all modalities share theirs.
    jobs
        Processes. None leaves it to ``joblib.parallel_config``, -1 is every core.
    tolerance_mm, empty
        As in `compare_masks`.

    Returns
    -------
    MaskComparison
        ``table``, ``failures``, ``definitions`` and ``notes``, which are logged too.

    Raises
    ------
    CohortError
        The cohorts have other cases.
    SchemaError
        The modality is unknown, or needed and not given.
    ValueError
        As `compare_masks`.

    Notes
    -----
    Cases that share their files are read once. Labels of a file that no case has are
    left alone: a manifest may name some lesions of many.

    Examples
    --------
    >>> cohort = getfixture("tiny_cohort")
    >>> compare_cohorts(cohort, cohort, modality="ct").table["dice"].tolist()
    [1.0, 1.0, 1.0]
    """
    check_options(tolerance_mm=tolerance_mm, empty=empty)
    excluded = _excluded(cohort, reference)
    _check_same_cases(cohort, reference, excluded)
    masks, references = (masks_of(one, modality) for one in (cohort, reference))
    pairs, failures = _pairs(masks, references)
    failures |= excluded
    options = {"tolerance_mm": tolerance_mm, "empty": empty}
    outcome = map_tasks(
        compare_files,
        {files: (*files, cases, options) for files, cases in pairs.items()},
        jobs=jobs,
        description="Comparing masks",
    )
    rows = {}
    for files, cases in pairs.items():
        if files in outcome.failures:
            failures |= {case_id: outcome.failures[files] for case_id, *_ in cases}
        else:
            rows |= outcome.results[files]
    asked = cohort.cases.index.isin([*masks.index, *excluded])
    table = _table(cohort.cases[asked], rows)
    notes = [
        ELSEWHERE % (f"case {case_id!r}", others)
        for case_id in table.index
        if (others := rows.get(case_id, {}).get("elsewhere"))
    ]
    asked_of = [modality] if modality else [*cohort.modalities]
    if not all(
        one.modalities[m].in_mm for m in asked_of for one in (cohort, reference)
    ):
        table[_IN_MM] = np.nan
        notes.append(_NO_MM)
    for note in notes:
        _log.warning("%s", note)
    table.attrs = definitions_of(table.columns, **options)
    return MaskComparison(
        table,
        _failures(table.index, failures),
        table.attrs["definitions"],
        tuple(notes),
    )


def _excluded(cohort, reference):
    """Return why cases of the reference are left out of the cohort, by ``case_id``."""
    left_out = cohort.cases[cohort.cases["exclude"]]
    asked = left_out[left_out.index.isin(reference.included.index)]
    return {
        case_id: ("CohortError", f"case {case_id!r} is excluded: {reason}")
        for case_id, reason in asked["exclude_reason"].items()
    }


def _check_same_cases(cohort, reference, excluded):
    here, there = cohort.included.index, reference.included.index
    only = [*here.difference(there)], [*there.difference(here).difference([*excluded])]
    if any(only):
        msg = (
            f"cohorts {cohort.name!r} and {reference.name!r} do not have the same "
            f"included cases: {only[0][:5]} are in the first only ({len(only[0])}), "
            f"{only[1][:5]} in the second only ({len(only[1])}). Exclude them, or "
            "give them masks."
        )
        raise CohortError(msg)


def masks_of(cohort: Cohort, modality: str | None) -> pd.DataFrame:
    """Return ``mask`` (an absolute path, or None) and ``mask_label`` of each case.

    Raises
    ------
    SchemaError
        The modality is unknown, or needed and not given.
    """
    known = list(cohort.modalities)
    columns = {cohort.mask_column(one) for one in known}
    if modality is None and len(columns) > 1:
        msg = (
            f"modality is None, but each modality of cohort {cohort.name!r} has masks "
            f"of its own. Give one of {known}."
        )
        raise SchemaError(msg)
    if modality is not None and modality not in known:
        msg = f"cohort {cohort.name!r} has no modality {modality!r}"
        raise SchemaError(f"{msg}{nearest(modality, known)} (it has {known}).")
    paths = cohort.located[f"mask_{modality or known[0]}"]
    labels = cohort.included["mask_label"]
    return pd.DataFrame({"mask": paths, "mask_label": labels.astype(object)})


def _pairs(masks, references):
    """Return files to what is asked of them, and why other cases cannot be compared."""
    pairs, failures = {}, {}
    for case_id, mask in masks.iterrows():
        reference = references.loc[case_id]
        files = mask["mask"], reference["mask"]
        if None in files:
            which = "cohort" if files[0] is None else "reference"
            msg = (
                f"case {case_id!r} has no mask in the {which}. Name it in cases.csv, "
                "or exclude the case."
            )
            failures[case_id] = "CohortError", msg
            continue
        labels = [region_of(one["mask_label"]) for one in (mask, reference)]
        pairs.setdefault(files, []).append((case_id, *labels))
    return pairs, failures


def compare_files(
    mask: Path, reference: Path, cases: Sequence[tuple], options: Mapping
) -> dict[str, dict]:
    """Return metrics and state of the cases that share two files, by ``case_id``.

    ``elsewhere`` are the labels that a mask of Dice 0 lies on.

    Parameters
    ----------
    mask, reference
        Files of labels.
    cases
        ``case_id``, label or region in the mask and in the reference; None is every
        voxel above 0.
    options
        ``tolerance_mm`` and ``empty`` of `compare_masks`.

    Raises
    ------
    GeometryError
        The files do not share one grid.
    LabelError
        The voxels are no labels, as `whole_labels` says.
    """
    volumes = [read_labels(path) for path in (mask, reference)]
    check_same_grid(volumes[1], volumes[0], case_id=cases[0][0])
    united = [{}, {}]
    arrays = [volume.array for volume in volumes]
    found = [find_labels(array) for array in arrays]
    rows = {}
    for case_id, *labels in cases:
        sides = [
            _side(arrays[side], found[side], label, united[side])
            for side, label in enumerate(labels)
        ]
        row = compare_structure(
            *zip(*sides, strict=True), spacing_mm=volumes[0].spacing_mm, **options
        )
        if row["state"] == "both" and not row["dice"]:
            array, value, at = sides[0]
            row["elsewhere"] = elsewhere(array[at.box] == value, arrays[1][at.box])
        rows[case_id] = row
    return rows


def _side(array, found, label, united):
    """Return array, label and place of a case in one file."""
    if isinstance(label, int):
        return array, label, found.get(label)
    if label not in united:
        inside = chosen(array, label).view(np.uint8)
        united[label] = inside, 1, find_labels(inside).get(1)
    return united[label]


def _table(cases, rows):
    table = pd.DataFrame.from_dict(rows, orient="index", columns=[*_COLUMNS, "state"])
    table = table.reindex(cases.index).rename_axis("case_id")
    table["state"] = table["state"].astype(object)
    table[_COLUMNS] = table[_COLUMNS].astype("float64")
    table.insert(0, "patient_id", cases["patient_id"])
    table.insert(1, "structure", cases["lesion_id"].fillna("mask"))
    return table


def _failures(case_ids, failures):
    known = [case_id for case_id in case_ids if case_id in failures]
    return failures_table((c, "overlap", *failures[c]) for c in known)
