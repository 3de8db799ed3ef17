"""The extraction loop: a cohort in, a **features** table out, a row for every case."""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from radlatent.cohort import Cohort, shared_images, shared_values
from radlatent.features.origin import mark_measured
from radlatent.handcrafted.lesion import measure_lesion
from radlatent.handcrafted.plan import plan, settings_of
from radlatent.handcrafted.results import (
    collect_failures,
    column_names,
    fill_values,
)
from radlatent.handcrafted.settings import Settings
from radlatent.imaging import collapse_warnings, label_text
from radlatent.parallel import map_tasks
from radlatent.schema import check_features

__all__ = ["Extraction", "empty_features", "extract"]

_log = logging.getLogger(__name__)

#: Features of lengths, areas and volumes, and filters that are told in mm. Ratios of
#: lengths too: pixels of unknown size need not be square.
_NEEDS_MM = re.compile(r"_shape(2D)?_|TotalEnergy$|log-sigma-")

_PROVENANCE = (
    "case_id",
    "modality",
    "measured",
    "image",
    "mask",
    "mask_label",
    "resample_mask",
    "image_hash",
    "mask_hash",
    "settings_key",
    "engine",
    "engine_version",
    "key",
    "n_voxels",
    "volume_mm3",
    "minimum",
    "maximum",
    "n_gray_levels",
    "flags",
    "notes",
    "seconds",
)


@dataclass(frozen=True, eq=False, repr=False)
class Extraction:
    """Hand-crafted features of a cohort, and what became of every case.

    Parameters
    ----------
    features
        **features** table: index ``case_id``, a row for every included case, NaN where
        a value is missing. Its ``attrs`` tell that its blocks were measured, and
        patients whose masks were made by what was fitted on them: models are not
        tested on these.
    failures
        **failures** table: why.
    provenance
        One row a case and modality: files, hashes, settings, engine, size of the
        lesion, gray levels, flags, seconds.
    shared
        A note for patients who have one image, by their files or by their values:
        folds by patient do not keep a copy out of the test.
    """

    features: pd.DataFrame
    failures: pd.DataFrame
    provenance: pd.DataFrame
    shared: tuple[str, ...] = ()

    @property
    def summary(self) -> pd.DataFrame:
        """Cases a modality: measured, incomplete, failed, flagged; seconds."""
        rows = self.provenance
        stage = "handcrafted " + rows["modality"]
        told = self.failures.set_index(["case_id", "stage"]).index
        has_failure = pd.MultiIndex.from_arrays([rows["case_id"], stage]).isin(told)
        counts = pd.DataFrame(
            {
                "measured": rows["measured"],
                "incomplete": rows["measured"] & has_failure,
                "failed": ~rows["measured"],
                "flagged": rows["flags"].notna() & (rows["flags"] != ""),
            }
        ).astype("int64")
        table = counts.groupby(rows["modality"], sort=False).sum()
        blocks = pd.Series([c.partition("_handcrafted__")[0] for c in self.features])
        table["features"] = blocks.value_counts().reindex(table.index)
        table["seconds"] = rows.groupby("modality", sort=False)["seconds"].sum()
        return table

    def __repr__(self) -> str:
        n, columns = self.features.shape
        failed = self.failures["case_id"].nunique()
        return f"Extraction({n} cases, {columns} features, {failed} cases failed)"

    def _repr_html_(self) -> str:
        return self.summary.to_html()


def extract(
    cohort: Cohort | str | Path,
    *,
    root: str | Path | None = None,
    settings: str | Path | dict | Settings | Mapping | None = None,
    engine: str = "radlatent",
    jobs: int | None = None,
    cache: str | Path | None = None,
) -> Extraction:
    """Measure the hand-crafted features of every included case of a cohort.

    Parameters
    ----------
    cohort
        A `Cohort`, or the folder of one.
    root
        Folder of the images, where ``cohort`` is a folder.
    settings
        For every modality: a pyradiomics parameter file, the name of a preset
        (``hu``, ``suv``, ``mr``), or the content of such a file. A dict from modality
        to one of these sets them one by one. None takes the presets of ``cohort.yml``.
        A ``label`` there holds for cases without a ``mask_label``.
    engine
        ``"radlatent"``, or ``"pyradiomics"``, the reference, where it is installed.
    jobs
        Processes. None leaves it to ``joblib.parallel_config``, -1 is every core.
    cache
        Folder of finished results, with hashes of packed NIfTI files that need not be
        read again for it; a run that is started again goes on from there.

    Returns
    -------
    Extraction
        ``features``, ``failures`` and ``provenance``. Columns are named
        ``<modality>_handcrafted__<name in pyradiomics>``, fixed by the settings.

    Raises
    ------
    CohortError, SchemaError
        The cohort or the settings need mending.
    ImportError
        The engine is not installed.

    Notes
    -----
    Both engines give the same names and values. Lesions are cropped before they are
    measured where that keeps every value: with a margin of 20 sigma for LoG and the
    length of the filter for wavelets. Kept results
    are found by the content of image, mask, settings and version, never by position.
    Where ``pixel_size`` is unknown, features in mm are NaN, and ``failures`` says so.

    Examples
    --------
    >>> cohort = getfixture("tiny_cohort")
    >>> extraction = extract(cohort, settings={"featureClass": {"shape": None}})
    >>> extraction.features.shape
    (3, 28)
    """
    about = {"settings": settings, "engine": engine, "jobs": jobs, "cache": cache}
    work = plan(cohort, root=root, **about)
    outcome = map_tasks(
        measure_lesion,
        {name: (work.lesions[name],) for name in work.keys},
        jobs=jobs,
        keys=work.keys,
        cache=cache,
        description="Extracting features",
        shared=work.shared,
    )
    _without_mm(work, outcome.results)
    if outcome.n_resumed:
        n, total = outcome.n_resumed, len(work.lesions)
        _log.info("%d of %d lesions were measured by an earlier run", n, total)
    features = check_features(
        _features_table(work.cohort, work.settings, outcome.results)
    )
    shared = _shared(work, features, outcome.failures)
    for line in (*_remarks(outcome.results), *shared):
        _log.warning("%s", line)
    return Extraction(
        features,
        collect_failures(work, outcome, "handcrafted", _missing),
        _provenance(work, outcome.results),
        shared,
    )


def _without_mm(work, results):
    """Take out what needs millimeters where nobody knows the size of a pixel."""
    for modality, settings in work.settings.items():
        if work.cohort.modalities[modality].in_mm:
            continue
        lengths = [bool(_NEEDS_MM.search(name)) for name in settings.names]
        for (_, owner), result in results.items():
            if owner != modality:
                continue
            pairs = zip(result["features"], lengths, strict=True)
            result["features"] = [None if in_mm else value for value, in_mm in pairs]
            result["provenance"]["volume_mm3"] = None
            result["n_in_mm"] = sum(lengths)


def _remarks(results):
    """Return what was noted and flagged, what many lesions have in common once."""
    notes = [note for result in results.values() for note in result["notes"]]
    flags = [
        f"flagged, {modality}: {flag}"
        for (_, modality), result in results.items()
        for flag in filter(None, result["provenance"]["flags"].split("; "))
    ]
    return *collapse_warnings(notes), *collapse_warnings(flags)


def _shared(work, features, failures):
    cohort = work.cohort
    columns = cohort.included.filter(regex="^image_")
    damaged = {columns.loc[case, f"image_{modality}"] for case, modality in failures}
    found = shared_images(cohort, damaged)
    for modality in work.settings:
        # a mask may serve two images: shape is no sign of a copy
        block = features.filter(
            regex=f"^{re.escape(modality)}_handcrafted__(?!.*_shape2?D?_)"
        )
        found += shared_values(block, cohort.included["patient_id"], known=found)
    return tuple(found)


def empty_features(
    cohort: Cohort,
    settings: str | Path | dict | Settings | Mapping | None = None,
) -> pd.DataFrame:
    """Return the **features** table that `extract` would fill, all values missing.

    Parameters
    ----------
    cohort
        The cohort.
    settings
        As in `extract`.
    """
    return _features_table(cohort, settings_of(cohort, settings), {})


def _features_table(cohort, settings, results):
    case_ids = cohort.included.index.rename("case_id")
    values = fill_values(case_ids, settings, results)
    table = pd.DataFrame(values, case_ids, column_names(settings))
    return mark_measured(table, cohort.located)


def _missing(lesion, result):
    """Yield error and message where an engine gave no value for some features."""
    names = lesion.settings.names
    pairs = zip(names, result["features"], strict=True)
    absent = [name for name, value in pairs if value is None]
    if result.get("n_in_mm"):
        msg = (
            f"case {lesion.case_id!r}: {result['n_in_mm']} features need millimeters, "
            "and the pixel size is unknown (cohort.yml)."
        )
        yield "SchemaError", msg
        absent = [name for name in absent if not _NEEDS_MM.search(name)]
    if absent:
        shown = ", ".join(absent[:5]) + (", ..." if len(absent) > 5 else "")
        msg = (
            f"case {lesion.case_id!r}: engine {lesion.engine!r} gave no finite value "
            f"for {len(absent)} of {len(names)} features ({shown}). The lesion or the "
            "image is too small, or too uniform, for them."
        )
        yield "MissingValue", msg


def _provenance(work, results):
    rows, hashes = [], work.hashes
    for (case_id, modality), lesion in work.lesions.items():
        result = results.get((case_id, modality))
        about = {} if result is None else result["provenance"]
        rows.append(
            {
                "case_id": case_id,
                "modality": modality,
                "measured": result is not None,
                "image": str(lesion.image),
                "mask": str(lesion.mask),
                "mask_label": lesion.mask_label,
                "resample_mask": lesion.resample_mask,
                "image_hash": _tagged(hashes.get(lesion.image)),
                "mask_hash": _tagged(hashes.get(lesion.mask)),
                "settings_key": _tagged(lesion.settings.key),
                "engine": lesion.engine,
                "engine_version": work.version,
                "key": _tagged(work.keys.get((case_id, modality))),
                **about,
                "notes": "" if result is None else " | ".join(result["notes"]),
            }
        )
    table = pd.DataFrame(rows, columns=[*_PROVENANCE])
    return table.assign(mask_label=_labels(table["mask_label"]))


def _labels(labels):
    """Return whole numbers, or text where a lesion is a region of several labels."""
    if labels.map(lambda label: isinstance(label, tuple)).any():
        return labels.map(label_text).replace("", None)
    return labels.astype("Int64")


def _tagged(digest):
    # bare digits such as 5e44456627669920 read as a number: pandas 2.3 crashes on them
    return "" if digest is None else f"sha256:{digest}"
