"""A folder of DICOM files: the series in it, and what was drawn on each.

A folder enters, a `DicomFolder` leaves. Headers are read at once, voxels and masks when
they are asked for; what is wrong with one series does not keep others from being read.
"""

import contextlib
import functools
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from radlatent.errors import DicomError, GeometryError, SchemaError
from radlatent.imaging.dicom.headers import (
    Header,
    first_bytes,
    is_dicom,
    read_header,
)
from radlatent.imaging.dicom.regions import Drawn, Region, RegionSet
from radlatent.imaging.dicom.rtstruct import read_structures
from radlatent.imaging.dicom.seg import read_segments
from radlatent.imaging.dicom.stack import Stack, stack
from radlatent.imaging.dicom.suv import METHODS, Suv, suv_of, uptake_min_of
from radlatent.imaging.volume import Volume

__all__ = ["DicomFolder", "DicomSeries", "Structure", "read_dicom"]

_log = logging.getLogger(__name__)

#: Storage of one slice a file, to what the columns of a cohort call it.
_IMAGES = {
    "1.2.840.10008.5.1.4.1.1.2": "ct",
    "1.2.840.10008.5.1.4.1.1.4": "mr",
    "1.2.840.10008.5.1.4.1.1.128": "pet",
}
_RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
_SEG = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")

#: The first bytes of what holds files, and of what is packed.
_PACKED = {b"PK\x03\x04": "a ZIP archive", b"\x1f\x8b": "a gzip file"}

#: Many frames a file.
_ENHANCED = {
    "1.2.840.10008.5.1.4.1.1.2.1": "enhanced CT",
    "1.2.840.10008.5.1.4.1.1.4.1": "enhanced MR",
    "1.2.840.10008.5.1.4.1.1.130": "enhanced PET",
    "1.2.840.10008.5.1.4.1.1.2.2": "legacy converted enhanced CT",
    "1.2.840.10008.5.1.4.1.1.4.4": "legacy converted enhanced MR",
    "1.2.840.10008.5.1.4.1.1.128.1": "legacy converted enhanced PET",
}
_ENHANCED_REMEDY = (
    "is not read: it holds all slices in one file. Convert it, for instance with "
    "dcm2niix, or have it exported as single slices."
)


_OTHER_FRAME = (
    "it was drawn in another frame of reference (FrameOfReferenceUID) than the series "
    "has, and is put where its coordinates say: look at it"
)


@dataclass(frozen=True, eq=False)
class Structure:
    """A region that was drawn on a series.

    Parameters
    ----------
    name
        What ``roi`` made of the name in the file.
    header
        Of the RTSTRUCT or SEG file.
    region
        The region in it.
    frames
        FrameOfReferenceUID that the file names.
    """

    name: str
    header: Header
    region: Region = field(repr=False)
    frames: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def path(self) -> Path:
        """The RTSTRUCT or SEG file."""
        return self.header.path


@dataclass(frozen=True, eq=False)
class DicomSeries:
    """One series: an image of one patient at one time.

    Parameters
    ----------
    headers
        Of its files, in any order.
    suv
        How SUV are made of PET; None leaves the values of PET as they are.
    structures
        What was drawn on it.
    """

    headers: tuple[Header, ...] = field(repr=False)
    suv: str | None = "bw"
    structures: tuple[Structure, ...] = ()

    def tag(self, name: str) -> str:
        """Return a tag of the first file by its keyword, or an empty text."""
        return self.headers[0].text(name)

    @property
    def modality(self) -> str:
        """``ct``, ``mr`` or ``pet``."""
        return _IMAGES[self.tag("SOPClassUID")]

    @property
    def patient_id(self) -> str:
        """PatientID, or else the name; of neither, the study."""
        names = ("PatientID", "PatientName", "StudyInstanceUID")
        return next(filter(None, map(self.tag, names)), "")

    @property
    def study_date(self) -> str:
        """StudyDate, else SeriesDate, as ``YYYY-MM-DD``; or an empty text."""
        for name in ("StudyDate", "SeriesDate"):
            text = self.tag(name).replace(".", "")
            # what is no date, by damage or by what made it anonymous, is none
            with contextlib.suppress(ValueError):
                return datetime.strptime(text, "%Y%m%d").date().isoformat()
        return ""

    @property
    def unit(self) -> str:
        """Unit of the values that `read` gives."""
        if self.modality == "pet":
            return "SUV" if self.suv else self.tag("Units") or "arbitrary"
        return "HU" if self.modality == "ct" else "arbitrary"

    @functools.cached_property
    def stack(self) -> Stack:
        """The slices in order, and their grid; errors as of `read`."""
        return stack(self.headers)

    @functools.cached_property
    def scale(self) -> Suv | None:
        """What makes SUV of the values; None where they stay as they are."""
        if self.modality == "pet" and self.suv:
            return suv_of(self.headers, self.suv)
        return None

    @property
    def uptake_min(self) -> float | None:
        """Minutes from injection to scan of PET, None where tags do not tell."""
        return uptake_min_of(self.headers) if self.modality == "pet" else None

    def read(self) -> Volume:
        """Read the voxels: HU of a CT, SUV of a PET.

        Raises
        ------
        GeometryError
            The slices make no grid: one is missing, the gantry is tilted.
        DicomError
            A file is damaged or packed, or no SUV can be made.
        """
        factor = self.scale.factor if self.scale else 1.0
        return self.stack.read(factor)

    def draw(self, structure: Structure) -> tuple[Volume, tuple[str, ...]]:
        """Return the mask of a structure on the grid of the series, and notes.

        Parameters
        ----------
        structure
            One of `structures`.

        Returns
        -------
        tuple
            The mask, a volume of 0 and 1; sentences of what was left out.

        Raises
        ------
        GeometryError
            It was drawn on another grid, or the series has none.
        DicomError
            The file is damaged.
        """
        grid = self.stack.grid
        try:
            drawn: Drawn = structure.region.draw(grid)
        except GeometryError as error:
            msg = f"{structure.path}: {structure.region.name!r}: {error}"
            raise GeometryError(msg) from error
        array = drawn.array.astype(np.uint8)
        mask = Volume(array, grid.spacing_mm, grid.origin, grid.direction)
        frame = self.tag("FrameOfReferenceUID")
        if not frame or not structure.frames or frame in structure.frames:
            return mask, drawn.notes
        return mask, (*drawn.notes, _OTHER_FRAME)

    def masks(self) -> dict[str, Volume]:
        """Return the masks of all structures by name; notes are logged."""
        found = {}
        for structure in self.structures:
            mask, notes = self.draw(structure)
            if structure.name in found:
                msg = (
                    f"{structure.path}: two structures of one series are called "
                    f"{structure.name!r}. Tell them apart by roi, or leave a file out."
                )
                raise DicomError(msg)
            found[structure.name] = mask
            for note in notes:
                _log.warning("%s: %s", structure.name, note)
        return found

    @property
    def problem(self) -> str:
        """Why it cannot be read, as far as headers tell; or an empty text."""
        try:
            _ = self.stack, self.scale
        except (DicomError, GeometryError) as error:
            return str(error)
        return ""


@dataclass(frozen=True, eq=False)
class DicomFolder:
    """The series of a folder.

    Parameters
    ----------
    series
        CT, MR and PET, by patient and date.
    left_out
        Why other files were left out: ``path, reason``.
    """

    series: tuple[DicomSeries, ...]
    left_out: pd.DataFrame

    def __iter__(self) -> Iterator[DicomSeries]:
        return iter(self.series)

    def __len__(self) -> int:
        return len(self.series)

    @property
    def summary(self) -> pd.DataFrame:
        """One row a series: whose, what, structures, and what is wrong with it."""
        columns = ["patient_id", "study_date", "modality", "description", "n_files"]
        rows = [
            (
                one.patient_id,
                one.study_date,
                one.modality,
                one.tag("SeriesDescription"),
                len(one.headers),
                ", ".join(structure.name for structure in one.structures),
                one.problem,
            )
            for one in self.series
        ]
        return pd.DataFrame(rows, columns=[*columns, "structures", "problem"])

    def __repr__(self) -> str:
        patients = len({one.patient_id for one in self.series})
        return f"DicomFolder({len(self)} series of {patients} patients)"


def read_dicom(
    folder: str | os.PathLike, *, roi: str | None = None, suv: str | None = "bw"
) -> DicomFolder:
    """Read the headers of all DICOM files below a folder.

    Parameters
    ----------
    folder
        Files of any names, of one or many patients, CT, MR, PET, RTSTRUCT and SEG side
        by side; what else is there is listed in ``left_out``.
    roi
        A regular expression that picks structures by name and names them: its first
        group where it has one, else what it matched. None takes all, by their names.
    suv
        What PET values are divided by: ``"bw"`` body weight, ``"lbm_james"`` or
        ``"lbm_janmahasatian"`` lean body mass; None leaves them as they are.

    Returns
    -------
    DicomFolder
        Its series, whose voxels and masks are read when asked for.

    Raises
    ------
    DicomError
        It is no folder, or holds no series.
    SchemaError
        ``roi`` is no regular expression, or ``suv`` is unknown.
    """
    folder, pattern = Path(folder), _pattern(roi)
    if suv is not None and suv not in METHODS:
        raise SchemaError(f"suv is {suv!r}; known are {[*METHODS]} and None.")
    if not folder.is_dir():
        raise DicomError(f"{folder} is no folder{_instead(folder)}.")
    images, drawn, left_out = _sorted_out(folder)
    if not images:
        reasons = "; ".join(f"{path.name}: {why}" for path, why in left_out[:3])
        msg = (
            f"{folder} holds no series of CT, MR or PET images, one slice a file"
            f"{f' ({reasons})' if reasons else ''}. Give the folder of the export."
        )
        raise DicomError(msg)
    structures = _structures(images, drawn, pattern, left_out)
    series = [
        DicomSeries(tuple(headers), suv, tuple(structures.get(key, ())))
        for key, headers in images.items()
    ]
    series.sort(key=lambda one: (one.patient_id, one.study_date, one.modality))
    table = pd.DataFrame([(str(p), why) for p, why in left_out], columns=_LEFT_OUT)
    return DicomFolder(tuple(series), table)


_LEFT_OUT = ["path", "reason"]


def _instead(path):
    """Return what a file is that was given in the place of a folder, and what to do."""
    if not path.is_file():
        return ". Give the folder of DICOM files"
    return (
        f", {_packed(path) or 'but a file'}. Give the folder of DICOM files; they are "
        "found in all folders below it, without a DICOMDIR"
    )


def _packed(path):
    start = first_bytes(path)
    for sign, what in _PACKED.items():
        if start.startswith(sign):
            return f"but {what}: unpack it first"
    return ""


def _pattern(roi):
    try:
        return re.compile(r".*" if roi is None else roi, re.DOTALL)
    except re.error as error:
        msg = f"roi {roi!r} is no regular expression: {error}."
        raise SchemaError(msg) from error


def _sorted_out(folder):
    """Return headers by series, headers of what was drawn, and what was left out."""
    images, drawn, left_out, seen = {}, [], [], set()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            if not is_dicom(path):
                packed = _packed(path).removeprefix("but ")
                why = packed or "no DICOM file (no DICM after 128 bytes)"
                left_out.append((path, why))
                continue
            header = read_header(path)
        except DicomError as error:
            left_out.append((path, str(error)))
            continue
        kind, series = header.text("SOPClassUID"), header.text("SeriesInstanceUID")
        if kind == _RTSTRUCT or kind in _SEG:
            uid = header.text("SOPInstanceUID")
            if not uid or uid not in seen:
                drawn.append(header)
            seen.add(uid)
        elif kind in _IMAGES and series:
            key = header.text("PatientID"), header.text("StudyInstanceUID"), series
            images.setdefault(key, []).append(header)
        else:
            left_out.append((path, _why(kind, header)))
    return images, drawn, left_out


def _why(kind, header):
    if kind in _IMAGES:
        return "has no SeriesInstanceUID"
    if not kind and header.path.name.upper() == "DICOMDIR":
        return "DICOMDIR: a list of files, which are found without it"
    if kind in _ENHANCED:
        return f"{_ENHANCED[kind]} {_ENHANCED_REMEDY}"
    return f"{header.text('Modality') or 'no modality'}: no CT, MR, PET, RTSTRUCT, SEG"


def _structures(images, drawn, pattern, left_out):
    """Return key of series to its structures; what belongs to none is left out."""
    found = {}
    for header in drawn:
        contours = header.text("SOPClassUID") == _RTSTRUCT
        try:
            regions = (read_structures if contours else read_segments)(header.path)
        except DicomError as error:
            left_out.append((header.path, str(error)))
            continue
        keys = _drawn_on(header, regions, images)
        if len(keys) != 1:
            what = f"{len(keys)} series" if keys else "no series"
            reason = f"{what} here can be what it was drawn on, by UIDs"
            left_out.append((header.path, reason))
            continue
        for region in regions.regions:
            match = pattern.search(region.name)
            if match:
                name = match[1] if pattern.groups and match[1] else match[0]
                name = name.strip() or region.name
                structure = Structure(name, header, region, regions.frames)
                found.setdefault(keys[0], []).append(structure)
    return found


def _drawn_on(header, regions: RegionSet, images):
    """Return the series that regions may be of, by the surest of four signs."""
    study = header.text("StudyInstanceUID")

    def of_study(key):
        return key[1] == study

    def has_instance(key):
        return any(h.text("SOPInstanceUID") in regions.instances for h in images[key])

    def has_frame(key):
        return images[key][0].text("FrameOfReferenceUID") in regions.frames

    for sign in (
        lambda key: key[2] in regions.series,
        has_instance,
        has_frame,
        of_study,
    ):
        keys = [key for key in images if sign(key)]
        if len(keys) > 1:
            keys = [key for key in keys if of_study(key)] or keys
        if keys:
            return keys
    return []
