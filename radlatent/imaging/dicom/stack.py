"""Slices to one grid: sorted by position, and refused where they make none.

Headers of one series enter, a `Stack` leaves. File names and InstanceNumber are not
looked at: both lie.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from radlatent.errors import DicomError, GeometryError
from radlatent.imaging.dicom.headers import Header
from radlatent.imaging.dicom.pixels import check_syntax, read_pixels
from radlatent.imaging.volume import Geometry, Volume

__all__ = ["JITTER_MM", "Stack", "stack"]

#: How far a slice may lie from where equal distances put it: where beds are joined,
#: and where positions are rounded.
JITTER_MM = 0.1

#: Cosines of one scan; headers round them.
_SAME_COSINES = 1e-4

#: A slice is missing where the distance is so many times the usual one.
_GAP = 1.5

#: Copies of one file lie closer than this.
_SAME_MM = 1e-3

_EXPORT = "Export the whole series again"


#: What is taken from headers at most: this, and so many times the size of the files.
_BOMB_BYTES, _BOMB_RATIO = 2**30, 200


class _Scale(NamedTuple):
    """What makes values of stored ones."""

    slope: float
    intercept: float


@dataclass(frozen=True)
class Stack:
    """The slices of a series in the order of their positions, and their grid.

    Parameters
    ----------
    headers
        From the lowest position along the normal to the highest.
    grid
        Equal distances; array axis z runs along the normal of the slices.
    notes
        What was put up with, in sentences.
    """

    headers: tuple[Header, ...]
    grid: Geometry
    notes: tuple[str, ...]

    def read(self, factor: float = 1.0) -> Volume:
        """Read the voxels, with the slope and intercept of each slice.

        Parameters
        ----------
        factor
            What all values are multiplied by, after slope and intercept.

        Returns
        -------
        Volume
            Integers where all slopes and intercepts are whole and the factor is one,
            float32 else.

        Raises
        ------
        DicomError
            A file is damaged, packed in a way that is not read, or its slope is zero.
        """
        scales = [_scale(header) for header in self.headers]
        whole = factor == 1 and all(map(_is_whole, self.headers, scales))
        self._check_claim()
        array = np.empty(self.grid.shape, np.int32 if whole else np.float32)
        for place, header, scale in zip(array, self.headers, scales, strict=True):
            values = read_pixels(header.path).astype(np.float64)
            if values.shape != place.shape:
                raise DicomError(f"{header.path} changed while it was read.")
            place[...] = (values * scale.slope + scale.intercept) * factor
        if whole:
            fits = np.iinfo(np.int16)
            if array.min() >= fits.min and array.max() <= fits.max:
                array = array.astype(np.int16)
        grid = self.grid
        return Volume(array, grid.spacing_mm, grid.origin, grid.direction)

    def _check_claim(self):
        """Refuse voxels that no packing makes so small."""
        claimed = 4 * math.prod(self.grid.shape)
        stored = sum(header.path.stat().st_size for header in self.headers)
        if claimed > max(_BOMB_BYTES, _BOMB_RATIO * stored):
            msg = (
                f"{self.headers[0].path}: the series says {claimed / 2**30:.1f} GiB of "
                f"voxels in files of {stored / 2**20:.1f} MiB. It is damaged, or means "
                "harm: export it again."
            )
            raise DicomError(msg)


def stack(headers: Sequence[Header]) -> Stack:
    """Return the slices of one series in their order, and their grid.

    Parameters
    ----------
    headers
        Of one series, in any order.

    Raises
    ------
    GeometryError
        Orientation, size or spacing vary; the slices are sheared by a tilted gantry;
        a slice is missing, several lie at one place, or distances vary.
    DicomError
        A tag of the geometry is absent or damaged.
    """
    first = headers[0]
    headers, notes = _without_copies(headers)
    axes = _axes(headers)
    for name in ("Rows", "Columns", "PixelSpacing"):
        _check_common(headers, name)
    rows, columns = (int(_needed(first, name, 1)[0]) for name in ("Rows", "Columns"))
    spacing = _needed(first, "PixelSpacing", 2)
    places = np.array([_needed(h, "ImagePositionPatient", 3) for h in headers])
    along = places @ axes[:, 0]
    order = np.argsort(along, kind="stable")
    headers, places, along = [headers[k] for k in order], places[order], along[order]
    _check_tilt(headers, places, along, axes)
    distance = _distance(headers, along, notes)
    _note_absent(headers, notes)
    if any(header.text("LossyImageCompression") == "01" for header in headers):
        notes.append("values were packed with losses (LossyImageCompression)")
    check_syntax(headers)
    grid = Geometry(
        (len(headers), rows, columns), (distance, *spacing), tuple(places[0]), axes
    )
    return Stack(tuple(headers), grid, tuple(notes))


def _needed(header, name, n):
    values = header.numbers(name, n)
    if values is None:
        msg = f"{header.path}: has no {name}. {_EXPORT}, as the scanner wrote it."
        raise DicomError(msg)
    return values


def _without_copies(headers):
    """Return the headers with one for each instance, and a note of copies."""
    found, n_copies = {}, 0
    for header in headers:
        uid = header.text("SOPInstanceUID")
        other = found.setdefault(uid or header.path, header)
        if other is header:
            continue
        n_copies += 1
        if other.tags != header.tags or not np.array_equal(
            read_pixels(other.path), read_pixels(header.path)
        ):
            msg = (
                f"{header.path} and {other.path} say that they are one instance (SOP"
                f"InstanceUID), and differ. {_EXPORT}, each instance under one UID."
            )
            raise DicomError(msg)
    copies = f"{n_copies} files are copies of others and are left out"
    return list(found.values()), [copies] if n_copies else []


def _axes(headers):
    """Return the directions of the array axes (z, y, x) as columns."""
    cosines = np.array([_needed(h, "ImageOrientationPatient", 6) for h in headers])
    off = np.abs(cosines - cosines[0]).max(axis=1)
    if off.max() > _SAME_COSINES:
        other = headers[int(off.argmax())]
        msg = (
            f"{headers[0].path}: the orientation of the slices varies: "
            f"{cosines[0].round(4).tolist()} and, in {other.path.name}, "
            f"{cosines[off.argmax()].round(4).tolist()} (ImageOrientationPatient). "
            "They are no stack, a localizer perhaps: leave the series out, or split it."
        )
        raise GeometryError(msg)
    x, y = cosines[0, :3], cosines[0, 3:]
    if max(abs(x @ x - 1), abs(y @ y - 1), abs(x @ y)) > 1e-3:
        msg = (
            f"{headers[0].path}: ImageOrientationPatient {cosines[0].tolist()} are no "
            f"two perpendicular directions. {_EXPORT}."
        )
        raise GeometryError(msg)
    normal = np.cross(x, y)
    return np.stack([v / np.linalg.norm(v) for v in (normal, y, x)], axis=1)


def _check_common(headers, name):
    values = {header.text(name): header for header in reversed(headers)}
    numbers = {header.numbers(name) for header in values.values()}
    if len(numbers) > 1:
        some = ", ".join(f"{text!r} in {h.path.name}" for text, h in values.items())
        msg = (
            f"{headers[0].path}: {name} varies within the series: {some[:200]}. Slices "
            "of several sizes are several images: split the series."
        )
        raise GeometryError(msg)


def _check_tilt(headers, places, along, axes):
    """Refuse slices that are shifted against each other in their plane."""
    shifts = (places - places[0]) @ axes[:, 1:]
    allowed = JITTER_MM + 2 * _SAME_COSINES * np.ptp(along)
    if np.abs(shifts).max() <= allowed:
        return
    worst = int(np.abs(shifts).max(axis=1).argmax())
    shift = np.linalg.norm(shifts[worst])
    angle = np.degrees(np.arctan2(shift, along[worst] - along[0]))
    told = headers[0].text("GantryDetectorTilt")
    msg = (
        f"{headers[0].path}: the slices are shifted in their plane by up to "
        f"{shift:.1f} mm, as of a gantry tilted by {angle:.1f} degrees"
        f"{f' (GantryDetectorTilt {told})' if told else ''}. Such a grid is sheared; "
        "resample it onto an orthogonal one first, for instance with dcm2niix, which "
        "writes a file ending in _Tilt."
    )
    raise GeometryError(msg)


def _distance(headers, along, notes):
    """Return the distance of the slices in mm, or refuse that there is one."""
    if len(headers) == 1:
        thickness = _needed(headers[0], "SliceThickness", 1)[0]
        notes.append(f"one slice, as thick as SliceThickness says: {thickness:g} mm")
        return thickness
    steps = np.diff(along)
    usual = float(np.median(steps))
    if steps.min() <= max(_SAME_MM, 0.1 * usual):
        _refuse_several(headers, along, int(steps.argmin()))
    # of few slices the median may be of a gap
    usual = float(np.median(steps[steps < _GAP * steps.min()]))
    wide = np.flatnonzero(steps > _GAP * usual)
    if wide.size:
        k = int(wide[0])
        n_missing = int(np.rint(steps[wide] / usual - 1).sum())
        msg = (
            f"{headers[0].path}: {n_missing} slices are missing: {usual:.4g} mm is the "
            f"usual distance, and {steps[k]:.4g} mm lie between {headers[k].path.name} "
            f"and {headers[k + 1].path.name} ({len(headers)} files). Readers that take "
            f"no notice stretch the rest over the gap. {_EXPORT}."
        )
        raise GeometryError(msg)
    distance = (along[-1] - along[0]) / (len(headers) - 1)
    off = np.abs(along - along[0] - distance * np.arange(len(headers)))
    if off.max() > JITTER_MM:
        k = int(off.argmax())
        msg = (
            f"{headers[0].path}: the distances of the slices vary from "
            f"{steps.min():.4g} to {steps.max():.4g} mm; {headers[k].path.name} lies "
            f"{off[k]:.3g} mm off equal ones, {JITTER_MM:g} mm are "
            "tolerated. Resample the series with a tool that knows unequal distances, "
            "for instance dcm2niix (_Eq)."
        )
        raise GeometryError(msg)
    if off.max() > 1e-2:
        notes.append(f"slices lie up to {off.max():.2g} mm off equal distances")
    return float(distance)


def _refuse_several(headers, along, k):
    names = (
        "TemporalPositionIdentifier",
        "EchoNumbers",
        "AcquisitionTime",
        "ImageType",
    )
    vary = [name for name in names if len({h.text(name) for h in headers}) > 1]
    n_places = 1 + int((np.diff(along) > _SAME_MM).sum())
    told = f" {', '.join(vary)} vary." if vary else ""
    msg = (
        f"{headers[0].path}: {len(headers)} slices lie at {n_places} places; "
        f"{headers[k].path.name} and {headers[k + 1].path.name} at one.{told} These "
        "are several images in one series (times, echoes, phases): split it."
    )
    raise GeometryError(msg)


def _note_absent(headers, notes):
    """Note slices that may be missing at the ends, where no position tells."""
    said = headers[0].number("NumberOfSlices")
    if said is not None and said > len(headers):
        notes.append(f"NumberOfSlices says {said:g}, {len(headers)} files are there")


def _is_whole(header, scale):
    """Return whether the values of a slice are whole numbers that int32 holds."""
    small = abs(scale.slope) <= 2**14 and abs(scale.intercept) <= 2**29
    whole = scale.slope.is_integer() and scale.intercept.is_integer()
    return small and whole and (header.number("BitsAllocated") or 0) <= 16


def _scale(header):
    slope, intercept = header.number("RescaleSlope"), header.number("RescaleIntercept")
    if slope == 0:
        msg = f"{header.path}: RescaleSlope is 0, all values would be one. {_EXPORT}."
        raise DicomError(msg)
    return _Scale(1.0 if slope is None else slope, intercept or 0.0)
