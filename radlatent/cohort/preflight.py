"""Look into every file of a cohort before the long work starts.

A cohort folder enters, the **problems** table leaves: faults of the tables together
with grids that differ, labels that are absent, and images swapped with masks.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from radlatent.cohort.copies import shared_images
from radlatent.cohort.look import JUDGED_UNITS, Fault, Look, look
from radlatent.cohort.manifest import Cohort, read_manifest
from radlatent.cohort.problems import Problems
from radlatent.cohort.rules import check_paths
from radlatent.errors import SchemaError
from radlatent.imaging import Label, collapse_warnings, keep_hashes, region_of
from radlatent.outputs import check_folder
from radlatent.parallel import map_tasks
from radlatent.shards import Gathering, current

__all__ = ["Check", "check"]

#: So many images of a modality are read, spread over the cohort.
_LOOKED_AT = 10


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
    shared
        The last of them: patients who have one image.
    """

    found: Problems
    cohort: Cohort
    notes: tuple[str, ...]
    shared: tuple[str, ...] = ()

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
    deep: bool = False,
    tolerance_voxels: float | Mapping[str, float] | None = None,
    cache: str | Path | None = None,
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
    deep
        Whether every image is read to its end.
    tolerance_voxels
        How far apart corners of one grid may lie, of every modality or of some: what
        the settings of a later extraction say as ``geometryTolerance``. None takes
        `radlatent.imaging.TOLERANCE_MM`.
    cache
        Folder where hashes of the files that are read to their end are kept, for an
        extraction with the same ``cache``, which then need not read them for that.

    Notes
    -----
    Every mask is read in full, where the cohort has some. Of an image the header is
    read and held against the size of the file; the voxels of some images of each
    modality in HU or SUV are held to that unit, and with ``deep`` all are read. Grids
    agree when no corner differs by more than `radlatent.imaging.TOLERANCE_MM`. One
    image under several patients is noted: folds by patient do not keep a copy out of
    the test.
    """
    if cache is not None:
        check_folder(cache, what="cache")
    if isinstance(cohort, Cohort):
        if root is not None:
            msg = "root belongs to the folder of a cohort; this one was read already."
            raise SchemaError(msg)
        problems = Problems()
        of_cases = problems.of("cases.csv")
        check_paths(cohort.cases, cohort.card, cohort.root, of_cases)
    else:
        cohort, problems = read_manifest(cohort, root=root)
    # those of the part that runs; all were looked into before parts are gathered
    gathers = isinstance(current(), Gathering)
    pairs = {} if gathers else _pairs(cohort, cohort.share())
    seen = set(pairs) if deep else _sample(pairs, cohort)
    looks = _looks(pairs, cohort, seen, tolerance_voxels, cache is not None)
    outcome = map_tasks(look, dict(looks), jobs=jobs, description="Checking files")
    hashes = [one.hashes for one in outcome.results.values()]
    keep_hashes(cache, {path: h for some in hashes for path, h in some.items()})
    notes = _sampled_notes(pairs, seen, cohort)
    damaged = {pairs[key].image for key in outcome.failures}
    for key, one in outcome.results.items():
        _report(cohort, pairs[key], one.faults, problems)
        notes += one.notes
        damaged |= {pairs[key].image for f in one.faults if f.role == "image"}
    for key, (_, message) in outcome.failures.items():
        fault = Fault(message, "Mend the file, or exclude the case", "image")
        _report(cohort, pairs[key], [fault], problems)
    # names differ in their numbers, as what is collapsed does
    shared = tuple(shared_images(cohort, damaged))
    return Check(problems, cohort, (*collapse_warnings(notes), *shared), shared)


def _looks(pairs, cohort, seen, tolerance, hash_too) -> Iterator:
    """Yield name and arguments of each look; a file is hashed by one of them."""
    hashed = set()
    for key, pair in pairs.items():
        allowed = tolerance
        if isinstance(tolerance, Mapping):
            allowed = tolerance.get(pair.modality)
        modality = cohort.modalities[pair.modality]
        own = {pair.paths[1], *([pair.paths[0]] if key in seen else [])}
        own -= {None, *hashed}
        hashed |= own
        wanted = frozenset(own if hash_too else ())
        yield (
            key,
            (Look(*pair.paths, pair.labels, modality, key in seen, allowed, wanted),),
        )


def _sample(pairs, cohort):
    """Return the pairs whose image is read, so that its values can be held to its unit.

    A conversion that went wrong went wrong for all: some of each modality tell.
    """
    found = set()
    for name, modality in cohort.modalities.items():
        own = [key for key, pair in pairs.items() if pair.modality == name]
        if modality.unit in JUDGED_UNITS:
            found |= set(own[:: max(1, -(-len(own) // _LOOKED_AT))])
    return found


def _sampled_notes(pairs, seen, cohort):
    notes = []
    for name, modality in cohort.modalities.items():
        own = [key for key, pair in pairs.items() if pair.modality == name]
        n = len(seen.intersection(own))
        if modality.unit in JUDGED_UNITS and n < len(own):
            notes.append(
                f"values of {name} were held to the unit {modality.unit} in {n} of "
                f"{len(own)} images; 'check --deep' reads them all"
            )
    return notes


@dataclass(frozen=True)
class _Pair:
    """An image and its mask, looked into once for all cases that share them."""

    modality: str
    image: str  # as cases.csv names it
    mask: str | None  # None in a cohort without masks
    paths: tuple[Path, Path | None]
    wanted: dict[str, Label]  # case_id to mask_label

    @property
    def labels(self):
        return list(dict.fromkeys(self.wanted.values()))

    def column(self, cohort, role):
        if role == "image":
            return f"image_{self.modality}"
        return cohort.mask_column(self.modality)


def _pairs(cohort, case_ids):
    pairs = {}
    for case_id, case in cohort.included.iterrows():
        if case_id not in case_ids:
            continue
        for modality in cohort.modalities:
            image, mask = case[f"image_{modality}"], case[cohort.mask_column(modality)]
            if image is None or (mask is None and cohort.card.masks):
                continue
            paths = tuple(None if p is None else cohort.root / p for p in (image, mask))
            # what is not there was noted when the tables were read
            if not all(path is None or path.is_file() for path in paths):
                continue
            label = region_of(case["mask_label"])
            pair = _Pair(modality, image, mask, paths, {})
            pairs.setdefault((modality, image, mask), pair).wanted[case_id] = label
    return pairs


def _report(cohort, pair, faults, problems):
    for fault in faults:
        concerned = [
            case_id
            for case_id, wanted in pair.wanted.items()
            if fault.label is None or wanted == fault.label
        ]
        first = concerned[0]
        others, of_file = len(concerned) - 1, f"cases of this {fault.role}"
        problems.add(
            fault.problem + (f" (and {others} more {of_file})" if others else ""),
            fault.remedy,
            file="cases.csv",
            row=cohort.cases.loc[first, "line"],
            case_id=first,
            column=pair.column(cohort, fault.role),
            value=getattr(pair, fault.role),
            cases=tuple(concerned),
        )
