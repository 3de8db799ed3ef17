"""The extraction loop: a cohort in, a **features** table out, a row for every case."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from radlatent.cohort import Cohort
from radlatent.errors import SchemaError
from radlatent.handcrafted.lesion import ENGINES, Lesion, measure_lesion
from radlatent.handcrafted.settings import Settings, read_settings
from radlatent.imaging import collapse_warnings
from radlatent.parallel import map_tasks
from radlatent.provenance import content_key, file_hash, versions
from radlatent.schema import check_failures, check_features, empty_failures, nearest

__all__ = ["Extraction", "empty_features", "extract"]

_log = logging.getLogger(__name__)

#: Raised when the content of a kept result changes, so that old ones are not read.
_FORMAT = 2

#: Distributions that values may depend on.
_DEPENDS = ("radlatent", "pyradiomics", "SimpleITK", "PyWavelets", "numpy", "scipy")

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
        a value is missing.
    failures
        **failures** table: why.
    provenance
        One row a case and modality: files, hashes, settings, engine, size of the
        lesion, gray levels, flags, seconds.
    """

    features: pd.DataFrame
    failures: pd.DataFrame
    provenance: pd.DataFrame

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
    engine: str = "pyradiomics",
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
        ``"pyradiomics"``.
    jobs
        Processes. None leaves it to ``joblib.parallel_config``, -1 is every core.
    cache
        Folder of finished results; a run that is started again goes on from there.

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
    Lesions are cropped before they are measured where that keeps every value: with a
    margin of 15 sigma for LoG and the length of the filter for wavelets. Kept results
    are found by the content of image, mask, settings and version, never by position.

    Examples
    --------
    >>> cohort = getfixture("tiny_cohort")
    >>> extraction = extract(cohort, settings={"featureClass": {"shape": None}})
    >>> extraction.features.shape
    (3, 28)
    """
    if not isinstance(cohort, Cohort):
        cohort = Cohort.read(cohort, root=root)
    elif root is not None:
        msg = "root belongs to the folder of a cohort; this one was read already."
        raise SchemaError(msg)
    if engine not in ENGINES:
        msg = f"unknown engine {engine!r}{nearest(engine, ENGINES)}"
        raise SchemaError(f"{msg} (known are {sorted(ENGINES)}).")
    per_modality = _settings_of(cohort, settings)
    version = ENGINES[engine].version()
    empty = empty_features(cohort, per_modality)
    lesions = _lesions(cohort, per_modality, engine)
    hashes = map_tasks(
        file_hash,
        {path: (path,) for one in lesions.values() for path in (one.image, one.mask)},
        jobs=jobs,
        description="Hashing files",
    )
    keys = _keys(lesions, hashes.results)
    outcome = map_tasks(
        measure_lesion,
        {name: (lesions[name],) for name in keys},
        jobs=jobs,
        keys=keys,
        cache=cache,
        description="Extracting features",
    )
    if outcome.n_resumed:
        n, total = outcome.n_resumed, len(lesions)
        _log.info("%d of %d lesions were measured by an earlier run", n, total)
    failures = _failures(lesions, outcome, hashes.failures)
    provenance = _provenance(lesions, outcome.results, hashes.results, keys, version)
    notes = [n for result in outcome.results.values() for n in result["notes"]]
    for line in collapse_warnings(notes):
        _log.warning("%s", line)
    return Extraction(
        check_features(_fill(empty, per_modality, outcome.results)),
        check_failures(failures),
        provenance,
    )


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
    columns = [
        f"{modality}_handcrafted__{name}"
        for modality, chosen in _settings_of(cohort, settings).items()
        for name in chosen.names
    ]
    index = cohort.included.index.rename("case_id")
    return pd.DataFrame(np.nan, index, columns, dtype="float64")


def _settings_of(cohort, settings):
    """Return modality to settings."""
    if isinstance(settings, Mapping) and not settings.keys() & Settings.model_fields:
        chosen = dict(settings)
    else:
        chosen = {} if settings is None else dict.fromkeys(cohort.modalities, settings)
    for name in chosen.keys() - cohort.modalities.keys():
        msg = (
            f"settings are given for {name!r}, but cohort {cohort.name!r} has the "
            f"modalities {list(cohort.modalities)}{nearest(name, cohort.modalities)}."
        )
        raise SchemaError(msg)
    for name, modality in cohort.modalities.items():
        if name not in chosen and modality.preset is None:
            msg = (
                f"modality {name!r} of cohort {cohort.name!r} has no preset in "
                "cohort.yml. Give one there, or settings for it."
            )
            raise SchemaError(msg)
        chosen.setdefault(name, modality.preset)
    return {name: read_settings(chosen[name]) for name in cohort.modalities}


def _lesions(cohort, per_modality, engine):
    """Return (case_id, modality) to lesion, for every modality that a case has."""
    lesions = {}
    for case_id, label in cohort.included["mask_label"].items():
        for modality, spec in cohort.modalities.items():
            files = cohort.files(case_id, modality)
            if files is None:
                continue
            lesions[case_id, modality] = Lesion(
                case_id=case_id,
                image=files[0],
                mask=files[1],
                mask_label=_label(label, per_modality[modality]),
                resample_mask=spec.resample_mask,
                settings=per_modality[modality],
                engine=engine,
            )
    return lesions


def _label(of_case, settings):
    """Return the label of a case, or else the one of the settings, or else None."""
    return settings.setting.label if pd.isna(of_case) else int(of_case)


def _keys(lesions, hashes):
    """Return a key of all that a result depends on, where both files could be read."""
    depends = versions()
    depends = {name: depends.get(name) for name in _DEPENDS}
    return {
        name: content_key(
            _FORMAT,
            depends,
            lesion.engine,
            hashes[lesion.image],
            hashes[lesion.mask],
            lesion.mask_label,
            lesion.resample_mask,
            lesion.settings.key,
        )
        for name, lesion in lesions.items()
        if lesion.image in hashes and lesion.mask in hashes
    }


def _fill(table, per_modality, results):
    """Return the table of missing values with the results in their places."""
    starts, n = {}, 0
    for modality, settings in per_modality.items():
        starts[modality], n = n, n + len(settings.names)
    rows = {case_id: place for place, case_id in enumerate(table.index)}
    values = table.to_numpy(copy=True)
    for (case_id, modality), result in results.items():
        found = np.array(result["features"], dtype="float64")  # None becomes NaN
        values[rows[case_id], starts[modality] : starts[modality] + len(found)] = found
    return pd.DataFrame(values, table.index, table.columns)


def _failures(lesions, outcome, unread):
    rows = []
    for name, lesion in lesions.items():
        why = outcome.failures.get(name)
        why = why or unread.get(lesion.image) or unread.get(lesion.mask)
        if why is None:
            found = outcome.results[name]["features"]
            pairs = zip(lesion.settings.names, found, strict=True)
            absent = [feature for feature, value in pairs if value is None]
            if not absent:
                continue
            why = "MissingValue", _absent(absent, lesion)
        case_id, modality = name
        rows.append((case_id, f"handcrafted {modality}", *why))
    if not rows:
        return empty_failures()
    return pd.DataFrame(rows, columns=["case_id", "stage", "error", "message"])


def _absent(absent, lesion):
    shown = ", ".join(absent[:5]) + (", ..." if len(absent) > 5 else "")
    return (
        f"case {lesion.case_id!r}: engine {lesion.engine!r} gave no finite value for "
        f"{len(absent)} of {len(lesion.settings.names)} features ({shown}). The lesion "
        "or the image is too small for them, or a package that they need is missing."
    )


def _provenance(lesions, results, hashes, keys, version):
    rows = []
    for (case_id, modality), lesion in lesions.items():
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
                "engine_version": version,
                "key": _tagged(keys.get((case_id, modality))),
                **about,
                "notes": "" if result is None else " | ".join(result["notes"]),
            }
        )
    return pd.DataFrame(rows, columns=[*_PROVENANCE]).astype({"mask_label": "Int64"})


def _tagged(digest):
    # bare digits such as 5e44456627669920 read as a number: pandas 2.3 crashes on them
    return "" if digest is None else f"sha256:{digest}"
