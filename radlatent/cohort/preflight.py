"""Look into every file of a cohort before the long work starts.

A cohort folder enters, the **problems** table leaves: faults of the tables together
with grids that differ, labels that are absent, and images swapped with masks.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from radlatent.cohort.manifest import Cohort, read_manifest
from radlatent.cohort.problems import Problems
from radlatent.cohort.rules import check_paths
from radlatent.errors import SchemaError
from radlatent.imaging import (
    collapse_warnings,
    geometry_difference,
    header_warnings,
    read_geometry,
    read_volume,
)
from radlatent.parallel import map_tasks

__all__ = ["Check", "check"]

#: More distinct values than this are intensities rather than labels.
_MOST_LABELS = 100


@dataclass(frozen=True, eq=False, repr=False)
class Check:
    """What a look into the files of a cohort found.

    Parameters
    ----------
    found
        Every problem.
    cohort
        The cohort as far as it could be read.
    notes
        Remarks that need no action, one line each with how many files they concern.
    """

    found: Problems
    cohort: Cohort
    notes: tuple[str, ...]

    @property
    def problems(self) -> pd.DataFrame:
        """One row a problem: ``file, row, case_id, column, value, problem, remedy``."""
        return self.found.frame

    @property
    def flow(self) -> pd.Series:
        """Counts of patients and cases."""
        return self.cohort.flow

    @property
    def summary(self) -> pd.DataFrame:
        """The problems table."""
        return self.problems

    def __repr__(self) -> str:
        return f"Check({self.cohort!r}: {len(self.problems)} problems)"

    def _repr_html_(self) -> str:
        if self.problems.empty:
            return self.cohort._repr_html_() + "<p>No problem.</p>"
        return self.problems.to_html(index=False)

    def raise_if_any(self, *, allow: int = 0) -> None:
        """Raise a ``CohortError`` with every problem, if there is one.

        Parameters
        ----------
        allow
            Number of cases whose images or masks may have problems. Problems of the
            tables are never allowed.
        """
        self.found.raise_if_any(repr(self.cohort.name), allow=allow)


def check(
    cohort: Cohort | str | Path,
    *,
    root: str | Path | None = None,
    jobs: int | None = None,
) -> Check:
    """Check the tables and the files of a cohort, and report everything at once.

    Parameters
    ----------
    cohort
        The folder of the cohort, or a cohort whose files are to be looked into.
    root
        Folder of the images, instead of the one in ``cohort.yml``.
    jobs
        Processes; see `radlatent.parallel.map_tasks`.

    Notes
    -----
    Every mask is read in full, of every image only the header (and the voxels where
    image and mask look swapped). Grids agree when no corner differs by more than
    `radlatent.imaging.TOLERANCE_MM`.
    """
    if isinstance(cohort, Cohort):
        if root is not None:
            msg = "root belongs to the folder of a cohort; this one was read already."
            raise SchemaError(msg)
        problems = Problems()
        of_cases = problems.of("cases.csv")
        check_paths(cohort.cases, cohort.card, cohort.root, of_cases)
    else:
        cohort, problems = read_manifest(cohort, root=root)
    pairs = _pairs(cohort)
    tasks = {
        key: (*pair.paths, pair.labels, cohort.modalities[pair.modality])
        for key, pair in pairs.items()
    }
    outcome = map_tasks(_look, tasks, jobs=jobs, description="Checking files")
    notes = []
    for key, found in outcome.results.items():
        _report(cohort, pairs[key], found["faults"], problems)
        notes += found["notes"]
    for key, (_, message) in outcome.failures.items():
        fault = (None, message, "Mend the file, or exclude the case")
        _report(cohort, pairs[key], [fault], problems)
    return Check(problems, cohort, collapse_warnings(notes))


@dataclass(frozen=True)
class _Pair:
    """An image and its mask, looked into once for all cases that share them."""

    modality: str
    mask: str  # as cases.csv names it
    paths: tuple[Path, Path]
    wanted: dict[str, int | None]  # case_id to mask_label, None for every label

    @property
    def labels(self):
        return list(dict.fromkeys(self.wanted.values()))


def _pairs(cohort):
    pairs = {}
    for case_id, case in cohort.included.iterrows():
        for modality in cohort.modalities:
            image, mask = case[f"image_{modality}"], case[cohort.mask_column(modality)]
            if image is None or mask is None:
                continue
            paths = cohort.files(case_id, modality)
            # what is not there was noted when the tables were read
            if not all(path.is_file() for path in paths):
                continue
            label = None if pd.isna(case["mask_label"]) else int(case["mask_label"])
            pair = _Pair(modality, mask, paths, {})
            pairs.setdefault((modality, image, mask), pair).wanted[case_id] = label
    return pairs


def _look(image_path, mask_path, labels, modality):
    """Return faults (label or None, problem, remedy) and notes of one pair of files."""
    notes = [*header_warnings(image_path), *header_warnings(mask_path)]
    grid, mask = read_geometry(image_path), read_volume(mask_path)
    faults = []
    difference = geometry_difference(grid, mask)
    if difference and not modality.resample_mask:
        remedy = (
            "Resample the mask onto the image grid, exclude the case, or, for a mask "
            "common to several modalities, set 'resample_mask: true' in cohort.yml"
        )
        faults.append((None, f"mask and image grids differ: {difference}", remedy))
    counts = _label_counts(mask.array)
    if counts is None:
        faults.append(_not_a_mask(image_path, mask_path))
    else:
        faults += [f for label in labels if (f := _label_fault(label, counts, mask))]
    return {"faults": faults, "notes": sorted(set(notes))}


def _label_counts(array):
    """Return label to number of voxels without background, None for intensities."""
    if array.dtype.kind == "f":
        finite = array[np.isfinite(array)]
        if len(finite) < array.size or (finite != np.round(finite)).any():
            return None
        array = finite.astype(np.int64)
    lowest, highest = int(array.min()), int(array.max())
    if lowest < 0 or highest > np.iinfo(np.uint16).max:
        return None
    counts = np.zeros(highest + 1, dtype=np.int64)
    for section in array:  # bincount takes eight bytes a voxel
        counts += np.bincount(section.ravel(), minlength=highest + 1)
    found = {int(v): int(counts[v]) for v in np.flatnonzero(counts) if v != 0}
    return found if len(found) <= _MOST_LABELS else None


def _not_a_mask(image_path, mask_path):
    found = _label_counts(read_volume(image_path).array)
    if found is not None:
        problem = (
            f"image and mask look swapped: {mask_path.name} holds intensities, "
            f"{image_path.name} holds the labels {sorted(found)}"
        )
        return None, problem, "Exchange the two columns"
    problem = f"the mask {mask_path.name} holds intensities, not labels"
    return None, problem, "Give a mask of whole numbers, 0 for background"


def _label_fault(label, counts, mask):
    present = ", ".join(f"{v} ({n} voxels)" for v, n in counts.items()) or "none"
    voxels = sum(counts.values()) if label is None else counts.get(label, 0)
    if not counts:
        return label, "the mask is empty", "Draw the mask, or exclude the case"
    if not voxels:
        problem = f"mask_label {label} is absent; labels present: {present}"
        return label, problem, "Correct mask_label in cases.csv, or exclude the case"
    if voxels == 1:
        volume = float(np.prod(mask.spacing_mm))
        problem = f"the lesion is one voxel ({volume:.3g} mm3)"
        return label, problem, "Exclude the case: no texture can be measured"
    return None


def _report(cohort, pair, faults, problems):
    for label, problem, remedy in faults:
        concerned = [
            case_id
            for case_id, wanted in pair.wanted.items()
            if label is None or wanted == label
        ]
        first = concerned[0]
        others = len(concerned) - 1
        problems.add(
            problem + (f" (and {others} more cases of this mask)" if others else ""),
            remedy,
            file="cases.csv",
            row=cohort.cases.loc[first, "line"],
            case_id=first,
            column=cohort.mask_column(pair.modality),
            value=pair.mask,
            cases=tuple(concerned),
        )
