"""A folder of DICOM to the folder of a cohort: NIfTI, tables, and who was left out.

A `DicomFolder` enters, a `Conversion` leaves. Series are independent: each is written
or says why not, and what is written is not written again.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import yaml

from radlatent.cohort.from_dicom.outcomes import read_outcomes
from radlatent.cohort.from_dicom.plan import (
    UNDRAWN,
    Planned,
    days_of,
    patterns_of,
    plan,
)
from radlatent.cohort.from_dicom.protocol import (
    OLDEST,
    person_of,
    protocol_of,
    scanner_of,
)
from radlatent.cohort.from_dicom.pseudonyms import plain_names, pseudonyms
from radlatent.cohort.layouts.given import Outcomes
from radlatent.cohort.manifest import Cohort
from radlatent.errors import DicomError, GeometryError
from radlatent.imaging import write_volume
from radlatent.outputs import check_folder, replace_file, replace_text, sweep
from radlatent.parallel import forget, map_tasks
from radlatent.provenance import content_key
from radlatent.schema import failures_table, inert
from radlatent.shards import own

if TYPE_CHECKING:
    from radlatent.imaging.dicom import DicomFolder

__all__ = ["Conversion", "convert"]

_log = logging.getLogger(__name__)

_TABLES = ("cohort.yml", "cases.csv", "endpoints.csv")

#: Raised whenever the same files give other volumes.
_VERSION = 1

#: A characteristic with more values is none that a table could tell.
_MOST = 10

#: Reasons that are told one by one.
_IN_LOG = 10

_PRESETS = {"HU": "hu", "SUV": "suv"}


@dataclass(frozen=True, eq=False)
class Conversion:
    """What became of a folder of DICOM.

    Parameters
    ----------
    cohort
        The cohort that was written.
    series
        One row a series, of those that were left out too: names, file, protocol, how
        SUV were made, notes, and why it was left out.
    failures
        A **failures** table: what was drawn and is no case, or lacks a modality.
    """

    cohort: Cohort
    series: pd.DataFrame
    failures: pd.DataFrame


def convert(
    dicom: "DicomFolder",
    out: str | Path,
    *,
    modalities: Mapping[str, str] | None = None,
    outcomes: Outcomes | None = None,
    site: str = "institution",
    keep_names: bool = False,
    jobs: int | None = None,
) -> Conversion:
    """Write the series of a folder on which structures are drawn as a cohort.

    Parameters
    ----------
    dicom
        From `radlatent.read_dicom`, whose ``roi`` picks and names structures and whose
        ``suv`` says how PET is scaled.
    out
        Folder to write: absent, empty, or begun. It gets ``images/``, ``cases.csv``
        (one row a patient, structure and day of study), ``endpoints.csv`` (patients,
        with what tags say of them and of the protocol), ``series.csv``,
        ``failures.csv`` and ``cohort.yml``.
    modalities
        Name to a regular expression of SeriesDescription, for several series of one
        patient and day: ``{"mr_t1": "(?i)t1"}``. Others are ct, mr and pet.
    outcomes
        A table by PatientID, and its endpoint. Its columns go into ``endpoints.csv``
        under the names of the cohort, before what tags say under the same names; under
        pseudonyms those of the endpoint and its ``covariates`` only.
    site
        What ``site`` tells, whose effects ComBat removes: ``"institution"``, or
        ``"scanner"``, institution, manufacturer and model.
    keep_names
        Whether patients, sites and days are called as in the files. Without it
        patients are p001, days are counted from the first study, and
        ``OUT.pseudonyms.csv`` beside ``out`` tells who is who.
    jobs
        As in `map_tasks`.

    Raises
    ------
    DicomError
        Nothing is drawn on any series, or none of these can be read.
    SchemaError
        ``modalities`` or ``site`` are faulty.
    CohortError
        Outcomes are faulty, or those of other patients.
    FileExistsError
        ``out`` holds a finished cohort.
    """
    out, patterns = Path(out), patterns_of(modalities)
    _check_out(out)
    if not any(one.structures for one in dicom):
        msg = (
            "no structure that was asked for is drawn on any series: there would be "
            "no mask. Look at read_dicom(...).summary and .left_out, and at roi."
        )
        raise DicomError(msg)
    _tell_left_out(dicom.left_out)
    names = _names(dicom, out, keep_names)
    planned = plan(dicom.series, names, patterns, site=site)
    told = _told(planned, outcomes, hides=not keep_names)
    units = _units(planned)
    for one in planned:
        if one.problem not in ("", UNDRAWN):
            _log.warning("%s: %s", one.name, one.series.problem or one.problem)
    done = _written(planned, out, jobs)
    return _tables(planned, done, out, units, told)


def _tell_left_out(table):
    """Log why files were left out, a line a reason."""
    known = dict(zip(table["reason"], table["path"], strict=True))
    counts = table["reason"].value_counts()
    for reason, n in [*counts.items()][:_IN_LOG]:
        where = "" if known[reason] in reason else f", {known[reason]}"
        _log.warning("%d files left out%s: %s", n, where, reason)
    if len(counts) > _IN_LOG:
        _log.warning("and for %d more reasons (.left_out)", len(counts) - _IN_LOG)


def _told(planned, outcomes, *, hides):
    """Return outcomes and endpoints, none where none are given."""
    if outcomes is None:
        return pd.DataFrame(columns=["patient_id"]), {}
    drawn = {one.series.patient_id: one.patient_id for one in planned if one.lesions}
    return read_outcomes(outcomes, drawn, hides=hides)


def _check_out(out):
    check_folder(out)
    there = [name for name in _TABLES if (out / name).exists()]
    if there:
        msg = (
            f"{out} holds {there}, which may have been edited. Move them away to "
            "convert again (images that are there stay), or give another folder."
        )
        raise FileExistsError(msg)
    sweep(out)
    out.mkdir(parents=True, exist_ok=True)


def _names(dicom, out, keep_names):
    sites = {one.tag("InstitutionName") for one in dicom}
    days = {one.patient_id: "" for one in dicom}
    for (patient, _), day in days_of(dicom.series).items():
        days[patient] = min(filter(None, (day, days[patient])), default="")
    if keep_names:
        return plain_names(days, sites)
    place = out.resolve()
    return pseudonyms(place.with_name(f"{place.name}.pseudonyms.csv"), days, sites)


def _units(planned):
    """Return modality to its one unit, of what is converted."""
    found = {}
    for one in planned:
        if not one.problem:
            found.setdefault(one.modality, set()).add(one.series.unit)
    several = {name: sorted(units) for name, units in found.items() if len(units) > 1}
    if several:
        msg = (
            f"modalities have several units: {several}. Tell series apart by "
            "modalities, or choose how SUV are made."
        )
        raise DicomError(msg)
    return {name: units.pop() for name, units in sorted(found.items())}


def _written(planned, out, jobs):
    """Return name of series to what was written, or to why nothing was."""
    # what a patient has is of one part
    mine = own({one.name: one.patient_id for one in planned if not one.problem})
    good = {one.name: one for one in planned if not one.problem and one.name in mine}
    keys = {name: _key(one) for name, one in good.items()}
    cache = out / ".finished"
    for key in keys.values():
        forget(cache, key, lambda result: not _is_there(result, out))
    outcome = map_tasks(
        _write,
        {name: (one, out) for name, one in good.items()},
        jobs=jobs,
        keys=keys,
        cache=cache,
        description="series",
    )
    failed = {
        name: {"failed": f"{error}: {message}"}
        for name, (error, message) in outcome.failures.items()
    }
    return outcome.results | failed


def _key(one):
    files = [header.path for header in one.series.headers]
    files += [structure.path for structure in one.series.structures]
    about = [(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(files)]
    drawn = [structure.region.name for structure in one.series.structures]
    return content_key(_VERSION, one.name, one.series.suv, one.lesions, drawn, about)


def _is_there(result, out):
    return all((out / path).is_file() for path in (result["image"], *result["masks"]))


def _write(one: Planned, out: Path):
    """Write image and masks of a series."""
    stem = f"images/{one.name}"
    image = write_volume(one.series.read(), out / f"{stem}_image.nii.gz")
    masks, failed, notes = {}, {}, list(one.series.stack.notes)
    for lesion, structure in zip(one.lesions, one.series.structures, strict=True):
        try:
            mask, left_out = one.series.draw(structure)
        except (DicomError, GeometryError) as error:
            failed[lesion] = str(error)
            continue
        if not mask.array.any():
            failed[lesion] = "; ".join(("no voxel is inside", *left_out))
            continue
        path = write_volume(mask, out / f"{stem}_{lesion}_mask.nii.gz")
        masks[path.relative_to(out).as_posix()] = lesion
        notes += [f"{lesion}: {note}" for note in left_out]
    return {
        "image": image.relative_to(out).as_posix(),
        "masks": masks,
        "without": {lesion: one.told(why) for lesion, why in failed.items()},
        "notes": one.told("; ".join(notes)),
    }


def _tables(planned, done, out, units, told):
    """Write the tables, and read the cohort that they make."""
    rows = [_row(one, done.get(one.name, {})) for one in planned]
    series = pd.DataFrame(rows)
    failures = failures_table(
        (one.case_id(lesion), f"convert {one.modality}", "DicomError", why)
        for one in planned
        for lesion, why in _lost(one, done).items()
    )
    cases = _cases(planned, done, units)
    tables = {"series": series, "failures": failures, "cases": cases}
    for name, table in tables.items():
        replace_file(out / f"{name}.csv", partial(inert(table).to_csv, index=False))
    if not cases["exclude"].eq("").any():
        msg = (
            f"not one of {len(cases)} cases could be converted: "
            f"{cases['exclude_reason'].iloc[0]} ({out / 'failures.csv'} has all)."
        )
        (out / "cases.csv").unlink()
        raise DicomError(msg)
    (outcomes, endpoints), tags = told, _patients(planned)
    more = tags.drop(columns=[c for c in outcomes if c in tags and c != "patient_id"])
    patients = outcomes.merge(more, on="patient_id", how="right")
    replace_file(out / "endpoints.csv", partial(inert(patients).to_csv, index=False))
    replace_text(out / "cohort.yml", _card(out, units, series, more, endpoints))
    return Conversion(Cohort.read(out), series, failures)


def _lost(one, done):
    """Return lesion to why it is not there in a series; nothing where all are."""
    found = done.get(one.name, {})
    why = one.problem or (one.told(found["failed"]) if "failed" in found else "")
    if why:
        return dict.fromkeys(one.lesions, why)
    return found["without"]


def _row(one, found):
    """Return what `series.csv` says of a series."""
    scale = one.series.scale if not one.problem else None
    return {
        "patient_id": one.patient_id,
        "timepoint": one.timepoint,
        "modality": one.modality,
        "site": one.site,
        "image": "" if one.problem else found.get("image", ""),
        "n_files": len(one.series.headers),
        "unit": one.series.unit,
        "suv_factor": scale.factor if scale else None,
        "suv_method": scale.method if scale else "",
        "suv_how": scale.how if scale else "",
        **protocol_of(one.series),
        "notes": "" if one.problem else found.get("notes", ""),
        "left_out": one.problem or one.told(found.get("failed", "")),
    }


def _cases(planned, done, units):
    """Return a row a patient, day and lesion."""
    rows = {}
    for one in planned:
        found, lost = done.get(one.name, {}), _lost(one, done) if one.lesions else {}
        paths = {} if one.problem else found.get("masks", {})
        masks = {lesion: path for path, lesion in paths.items()}
        for lesion in dict.fromkeys(one.lesions):
            row = rows.setdefault(one.case_id(lesion), _empty(one, lesion, units))
            if lesion in lost:
                row["exclude_reason"].append(f"{one.modality}: {lost[lesion]}")
                continue
            row[f"image_{one.modality}"] = found["image"]
            row[f"mask_{one.modality}"] = masks[lesion]
            row["scanner"] = row["scanner"] or scanner_of(one.series)
    for row in rows.values():
        usable = any(row[f"image_{name}"] for name in units)
        row["exclude"] = "" if usable else "1"
        row["exclude_reason"] = "" if usable else "; ".join(row["exclude_reason"])
    return pd.DataFrame(rows.values())


def _empty(one, lesion, units):
    columns = [f"{role}_{name}" for name in units for role in ("image", "mask")]
    return {
        "case_id": one.case_id(lesion),
        "patient_id": one.patient_id,
        "lesion_id": lesion,
        "timepoint": one.timepoint,
        "site": one.site,
        "scanner": "",
        **dict.fromkeys(columns, ""),
        "exclude": "",
        "exclude_reason": [],
    }


def _patients(planned):
    """Return a row a patient: what tags of the first study say, of each modality."""
    rows = {}
    drawn = [one for one in planned if one.lesions]
    for one in sorted(drawn, key=lambda one: one.series.study_date):
        row = rows.setdefault(one.patient_id, {"patient_id": one.patient_id})
        told = {f"{one.modality}_{k}": v for k, v in protocol_of(one.series).items()}
        person = person_of(one.series)
        if one.hides and person["age"] is not None:
            person["age"] = min(person["age"], OLDEST)
        for column, value in (person | told).items():
            if row.get(column) is None:
                row[column] = value
    return pd.DataFrame([rows[patient] for patient in sorted(rows)])


def _card(out, units, series, tags, endpoints):
    """Return the text of ``cohort.yml``."""
    about = {
        name: {"unit": unit, "preset": _PRESETS.get(unit, "mr")}
        for name, unit in units.items()
    }
    methods = sorted(set(series["suv_method"]) - {""})
    made = f" SUV by {', '.join(methods)}: series.csv has each factor." * bool(methods)
    known = tags.drop(columns="patient_id").dropna(axis=1, how="all")
    few = [c for c in known if known[c].nunique() <= _MOST or known[c].dtype != object]
    card = {
        "name": out.resolve().name,
        "root": ".",
        "modalities": about,
        "endpoints": {
            name: endpoint.model_dump(exclude_defaults=True)
            for name, endpoint in endpoints.items()
        },
        "characteristics": few,
        "description": f"Converted from DICOM; series.csv has the protocol.{made}",
    }
    return (
        yaml.safe_dump(card, sort_keys=False, allow_unicode=True)
        + "# outcomes belong into endpoints.csv, and here: name: {kind: class, "
        "column: name}\n"
        "# characteristics are in Table 1 and are no features; those that models may "
        "see are\n# named in covariates (numbers) or categories (text)\n"
    )
