"""SEG files to regions: frames placed by their position on the slices of a series.

A path enters, a `RegionSet` leaves. Frames that are missing are empty, and segments
that overlap stay apart: each is drawn by itself.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import highdicom
import numpy as np

from radlatent.errors import DicomError, GeometryError
from radlatent.imaging.dicom.headers import open_dataset, text_of, tolerant
from radlatent.imaging.dicom.regions import Drawn, RegionSet
from radlatent.imaging.volume import Geometry

__all__ = ["Segment", "read_segments"]

#: How far pixels of a frame may lie from those of the image, in pixels.
_SAME_PIXELS = 0.05

#: How far a frame may lie from its slice, as a share of the distance of slices.
_SAME_SLICE = 0.1

#: Largest difference of cosines, and of spacings in mm, of one grid.
_SAME = 1e-3


@dataclass(frozen=True)
class _Frame:
    """Where a frame lies."""

    number: int
    segment: int
    position: np.ndarray
    cosines: np.ndarray
    spacing: np.ndarray


@dataclass(frozen=True, eq=False)
class Segment:
    """One segment of a file.

    Parameters
    ----------
    number
        SegmentNumber.
    name
        SegmentLabel.
    path
        The file.
    """

    number: int
    name: str
    path: Path

    def draw(self, grid: Geometry) -> Drawn:
        """Return its voxels on the grid of the series that it was drawn on.

        Parameters
        ----------
        grid
            Of the series; a frame may be a part of a slice.

        Raises
        ------
        GeometryError
            Frames lie between slices, or their pixels between pixels.
        DicomError
            A frame cannot be unpacked.
        """
        array = np.zeros(grid.shape, bool)
        about = self.path.stat()
        beyond, file = 0, _opened(self.path, about.st_mtime_ns, about.st_size)
        for frame in file.frames:
            if frame.segment in (self.number, _ALL):
                pixels = file.pixels(frame, self.number)
                beyond += _place(pixels, frame, array, grid)
        notes = [*file.notes]
        if beyond:
            notes.append(f"{beyond} voxels lie beyond the image and are cut")
        return Drawn(array, tuple(notes))


#: The segment of a frame that holds labels of all.
_ALL = -1


class _File:
    """A file that is read: its frames, and their pixels."""

    def __init__(self, path, dataset):
        self.path = path
        self.kind = text_of(dataset, "SegmentationType").upper()
        if self.kind not in ("BINARY", "FRACTIONAL", "LABELMAP"):
            raise DicomError(f"{path}: SegmentationType {self.kind!r} is not read.")
        self.image = highdicom.seg.Segmentation.from_dataset(dataset, copy=False)
        self.frames = _frames(path, dataset, self.kind)
        # LABELMAP and BINARY hold what is in, FRACTIONAL how much
        self.full = int(dataset.get("MaximumFractionalValue") or 1)
        half = f"fractions of {self.full} are in from the half on"
        self.notes = (half,) if self.kind == "FRACTIONAL" else ()

    def pixels(self, frame, segment):
        with tolerant(self.path):
            values = self.image.get_stored_frame(frame.number)
        if self.kind == "FRACTIONAL":
            return 2 * values.astype(np.int64) >= self.full
        return values == segment if self.kind == "LABELMAP" else values > 0


@functools.lru_cache(maxsize=1)
def _opened(path, changed, size):
    """Return a file; the last one is kept while its segments are drawn."""
    with open_dataset(path) as dataset:
        return _File(path, dataset)


def read_segments(path: Path) -> RegionSet:
    """Read a SEG file.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    DicomError
        It is damaged, or of a kind that is not read.
    """
    with open_dataset(path, pixels=False) as dataset:
        regions = tuple(
            Segment(
                int(item.SegmentNumber),
                text_of(item, "SegmentLabel") or f"segment {item.SegmentNumber}",
                path,
            )
            for item in dataset.SegmentSequence
            # of a label map, what is no segment
            if int(item.SegmentNumber) != 0
        )
        series, instances = set(), set()
        for one in dataset.get("ReferencedSeriesSequence") or ():
            series.add(text_of(one, "SeriesInstanceUID"))
            for image in one.get("ReferencedInstanceSequence") or ():
                instances.add(text_of(image, "ReferencedSOPInstanceUID"))
        frames = {text_of(dataset, "FrameOfReferenceUID")}
    return RegionSet(
        regions,
        frozenset(series - {""}),
        frozenset(frames - {""}),
        frozenset(instances - {""}),
    )


def _frames(path, dataset, kind):
    """Return where the frames lie; what they share stands apart."""
    shared = dataset.SharedFunctionalGroupsSequence[0]
    frames = enumerate(dataset.PerFrameFunctionalGroupsSequence, start=1)
    return tuple(_frame(path, number, (own, shared), kind) for number, own in frames)


def _frame(path, number, groups, kind):
    def told(sequence, name):
        for group in groups:
            if group.get(sequence):
                return group[sequence][0][name].value
        raise DicomError(f"{path}: frame {number} has no {name}.")

    def numbers(sequence, name, n):
        values = np.array([float(value) for value in told(sequence, name)])
        if values.shape != (n,) or not np.isfinite(values).all():
            raise DicomError(f"{path}: {name} of frame {number} is {values.tolist()}.")
        return values

    segment = _ALL
    if kind != "LABELMAP":
        name = "ReferencedSegmentNumber"
        segment = int(told("SegmentIdentificationSequence", name))
    return _Frame(
        number,
        segment,
        numbers("PlanePositionSequence", "ImagePositionPatient", 3),
        numbers("PlaneOrientationSequence", "ImageOrientationPatient", 6),
        numbers("PixelMeasuresSequence", "PixelSpacing", 2),
    )


def _place(pixels, frame, array, grid):
    """Add a frame to the slice where it lies; return how many pixels lie beyond."""
    cosines = np.concatenate([grid.direction[:, 2], grid.direction[:, 1]])
    turned = np.abs(frame.cosines - cosines).max() > _SAME
    scaled = np.abs(frame.spacing - grid.spacing_mm[1:]).max() > _SAME
    place = grid.to_index([frame.position])[0]
    nearest = np.rint(place)
    off = np.abs(place - nearest)
    if turned or scaled or off[0] > _SAME_SLICE or off[1:].max() > _SAME_PIXELS:
        msg = (
            f"a frame at {frame.position.tolist()} mm with pixels of "
            f"{frame.spacing.tolist()} mm does not lie on the pixels of the series "
            f"(at {place.round(2).tolist()} of its grid): it was drawn on another one."
        )
        raise GeometryError(msg)
    slice_number, *corner = nearest.astype(int)
    inside = np.argwhere(pixels) + corner
    there = (inside >= 0).all(axis=1) & (inside < array.shape[1:]).all(axis=1)
    if not 0 <= slice_number < array.shape[0]:
        return len(inside)
    rows, columns = inside[there].T
    array[slice_number, rows, columns] = True
    return int((~there).sum())
