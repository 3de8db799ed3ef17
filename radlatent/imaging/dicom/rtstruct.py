"""RTSTRUCT files to regions: names and closed contours, as they were drawn.

A path enters, a `RegionSet` leaves; which series it belongs to is told by UIDs,
where these match anything.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from radlatent.errors import DicomError
from radlatent.imaging.dicom.contours import draw
from radlatent.imaging.dicom.headers import open_dataset, text_of
from radlatent.imaging.dicom.regions import Drawn, RegionSet
from radlatent.imaging.volume import Geometry

__all__ = ["Contoured", "read_structures"]

#: What closes around voxels; OPEN_PLANAR and POINT mark, and close around none.
_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "CLOSED_PLANAR_XOR")

#: Points up to a meter from any scanner's center.
_FARTHEST_MM = 1e5


@dataclass(frozen=True, eq=False)
class Contoured:
    """One region of interest, of closed contours.

    Parameters
    ----------
    number
        ROINumber.
    name
        ROIName, as it is in the file.
    contours
        LPS points in mm, shape (n, 3) each; none for a region that was never drawn.
    notes
        What was left out, in sentences.
    """

    number: str
    name: str
    contours: tuple[np.ndarray, ...] = field(repr=False)
    notes: tuple[str, ...] = ()

    def draw(self, grid: Geometry) -> Drawn:
        """Return the voxels whose centers are inside, as `contours.draw` does."""
        drawn = draw(self.contours, grid)
        return Drawn(drawn.array, (*self.notes, *drawn.notes))


def read_structures(path: Path) -> RegionSet:
    """Read an RTSTRUCT file.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    DicomError
        It is damaged, or coordinates are none.
    """
    with open_dataset(path) as dataset:
        items = {
            text_of(i, "ReferencedROINumber"): i
            for i in _all(dataset, "ROIContourSequence")
        }
        regions, frames, instances = [], set(), set()
        for region in _all(dataset, "StructureSetROISequence"):
            number = text_of(region, "ROINumber")
            name = text_of(region, "ROIName") or f"ROI {number}"
            drawn = _all(items.get(number, {}), "ContourSequence")
            contours, notes = _contours(path, name, drawn)
            regions.append(Contoured(number, name, contours, notes))
            frames.add(text_of(region, "ReferencedFrameOfReferenceUID"))
            instances |= {
                text_of(image, "ReferencedSOPInstanceUID")
                for contour in drawn
                for image in _all(contour, "ContourImageSequence")
            }
        series = _series(dataset, frames)
    return RegionSet(
        tuple(regions),
        frozenset(series - {""}),
        frozenset(frames - {""}),
        frozenset(instances - {""}),
    )


def _all(dataset, name):
    """Return the items of a sequence that may be absent."""
    return list(dataset.get(name) or ())


def _series(dataset, frames):
    """Return the series that a file names, and add the frames of reference."""
    found = set()
    for frame in _all(dataset, "ReferencedFrameOfReferenceSequence"):
        frames.add(text_of(frame, "FrameOfReferenceUID"))
        for study in _all(frame, "RTReferencedStudySequence"):
            for one in _all(study, "RTReferencedSeriesSequence"):
                found.add(text_of(one, "SeriesInstanceUID"))
    return found


def _contours(path, name, items):
    """Return the closed contours of a region, and what was left out."""
    found, left = [], {}
    for item in items:
        kind = text_of(item, "ContourGeometricType").upper()
        if kind not in _CLOSED:
            left[kind or "no type"] = left.get(kind or "no type", 0) + 1
            continue
        numbers = _numbers(path, name, text_of(item, "ContourData"))
        if len(numbers) < 9:
            left["fewer than three points"] = left.get("fewer than three points", 0) + 1
            continue
        found.append(numbers.reshape(-1, 3))
    notes = [f"{n} contours of {kind} enclose nothing" for kind, n in left.items()]
    return tuple(found), tuple(notes)


def _numbers(path, name, text):
    try:
        numbers = np.array([float(part) for part in text.split("\\") if part.strip()])
    except ValueError:
        numbers = np.array([np.nan])
    if len(numbers) % 3 or not (np.abs(numbers) <= _FARTHEST_MM).all():
        msg = (
            f"{path}: a contour of {name!r} has coordinates that are no triples of "
            "numbers in mm. The file is damaged: export it again."
        )
        raise DicomError(msg)
    return numbers
