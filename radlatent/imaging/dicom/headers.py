"""Files of a folder to plain headers: what is DICOM there, and what its tags say.

A path enters, a `Header` of texts leaves; no pixel is read. Files are hostile until
proven otherwise: lengths are bounded by the file, what is packed is not unpacked, and
whatever a damaged file makes pydicom raise becomes a `DicomError` with its name.
"""

import contextlib
import math
import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.uid import ImplicitVRLittleEndian

from radlatent.errors import DicomError

__all__ = [
    "DAMAGED",
    "Header",
    "first_bytes",
    "is_dicom",
    "open_dataset",
    "read_header",
    "text_of",
    "tolerant",
]

#: What pydicom and its codecs raise for damaged files, of which one cannot know more.
DAMAGED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RecursionError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)

#: Inflating one is unbounded: a megabyte may hold a gigabyte.
_DEFLATED = "1.2.840.10008.1.2.1.99"

#: Tags of every image, of its geometry and voxels.
_VOXELS = """
SOPClassUID SOPInstanceUID Modality ImageType Rows Columns NumberOfFrames
SamplesPerPixel PhotometricInterpretation BitsAllocated BitsStored HighBit
PixelRepresentation PixelSpacing ImagePositionPatient ImageOrientationPatient
SliceThickness GantryDetectorTilt RescaleSlope RescaleIntercept NumberOfSlices
LossyImageCompression
"""

#: Whose it is and what it was made for.
_WHOSE = """
PatientID PatientName PatientSex PatientAge PatientSize PatientWeight StudyInstanceUID
StudyDate StudyDescription SeriesInstanceUID SeriesNumber SeriesDescription SeriesDate
SeriesTime AcquisitionDate AcquisitionTime FrameOfReferenceUID InstitutionName
TemporalPositionIdentifier EchoNumbers
"""

#: Who else is named: `convert` keeps them out of names of structures.
_PEOPLE = """
OtherPatientNames OtherPatientIDs PatientBirthName PatientBirthDate AccessionNumber
ReferringPhysicianName PerformingPhysicianName PhysiciansOfRecord OperatorsName
NameOfPhysiciansReadingStudy RequestingPhysician ReviewerName ContentCreatorName
"""

#: How it was made: what Table 1 and ComBat are given.
_PROTOCOL = """
Manufacturer ManufacturerModelName StationName SoftwareVersions KVP ConvolutionKernel
XRayTubeCurrent ExposureTime ContrastBolusAgent RepetitionTime EchoTime
MagneticFieldStrength ScanningSequence SequenceName FlipAngle ReconstructionMethod
ActualFrameDuration BodyPartExamined ProtocolName
"""

#: What an SUV is made of; the first item of the sequence is read into the same names.
_PET = "Units SUVType DecayCorrection CorrectedImage FrameReferenceTime"
_DRUG = """
Radiopharmaceutical RadiopharmaceuticalStartTime RadiopharmaceuticalStartDateTime
RadionuclideTotalDose RadionuclideHalfLife
"""
_SEQUENCE = "RadiopharmaceuticalInformationSequence"

#: Private tags by our names: group, creator, element in its block, manufacturer.
_PRIVATE = {
    "PhilipsSUVScaleFactor": (0x7053, "philips pet private group", 0x00, "philips"),
    "PhilipsActivityScaleFactor": (
        0x7053,
        "philips pet private group",
        0x09,
        "philips",
    ),
    "GEScanDateTime": (0x0009, "gems_petd_01", 0x0D, "ge medical"),
}

#: Blocks of a private group that are looked through.
_BLOCKS = range(0x10, 0x14)

_KEYWORDS = " ".join([_VOXELS, _WHOSE, _PEOPLE, _PROTOCOL, _PET]).split()


def _private_tags():
    for group, _, element, _ in _PRIVATE.values():
        for block in _BLOCKS:
            yield from ((group, block), (group, (block << 8) + element))


_TAGS = [*_KEYWORDS, _SEQUENCE, *_private_tags()]


@dataclass(frozen=True)
class Header:
    """What the tags of one file say, as texts.

    Parameters
    ----------
    path
        The file.
    syntax
        Its transfer syntax, a UID.
    tags
        Keyword to text; several values are separated by backslashes, as in the file.
        Tags that are absent or empty are absent.
    """

    path: Path
    syntax: str
    tags: dict[str, str] = field(repr=False)

    def text(self, name: str) -> str:
        """Return a tag, or an empty text."""
        return self.tags.get(name, "")

    def numbers(self, name: str, n: int | None = None) -> tuple[float, ...] | None:
        """Return the numbers of a tag, or None where it is absent.

        Raises
        ------
        DicomError
            They are no finite numbers, or not ``n``.
        """
        text = self.tags.get(name)
        if text is None:
            return None
        try:
            values = tuple(float(part) for part in text.split("\\"))
        except ValueError:
            values = (math.nan,)
        if not all(map(math.isfinite, values)) or n not in (None, len(values)):
            wanted = (
                "numbers" if n is None else "a number" if n == 1 else f"{n} numbers"
            )
            msg = (
                f"{self.path}: {name} is {text[:60]!r}, not {wanted}. The file is "
                "damaged: export the series again."
            )
            raise DicomError(msg)
        return values

    def number(self, name: str) -> float | None:
        """Return the one number of a tag, or None where it is absent."""
        values = self.numbers(name, 1)
        return None if values is None else values[0]


class _Bounded:
    """A file whose reads end with it: Python allots what is asked for first."""

    def __init__(self, file):
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        self.name = file.name

    def read(self, size=-1):
        left = max(self._size - self._file.tell(), 0)
        return self._file.read(left if size is None or size < 0 else min(size, left))

    def seek(self, *where):
        return self._file.seek(*where)

    def tell(self):
        return self._file.tell()

    def close(self):
        self._file.close()


def is_dicom(path: str | os.PathLike) -> bool:
    """Return whether a file says that it is DICOM, by its preamble or its first tag.

    Raises
    ------
    DicomError
        It cannot be read.
    """
    start = first_bytes(path)
    return start[128:] == b"DICM" or _is_bare(start)


def first_bytes(path: str | os.PathLike) -> bytes:
    """Return the first 132 bytes of a file.

    Raises
    ------
    DicomError
        It cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return file.read(132)
    except OSError as error:
        raise DicomError(f"{path}: cannot be read ({error.strerror}).") from error


def _is_bare(start):
    """Return whether tags begin at once: (0008,00xx) as before 1996, or (0002,0000)."""
    if len(start) < 132 or start[128:] == b"DICM":
        # a preamble may hold anything, tags too
        return False
    if _is_meta(start):
        return True
    if start[:2] != b"\x08\0" or start[3] or start[2] > 0x18:
        return False
    explicit = start[4:6] in (b"UL", b"CS", b"DA", b"TM", b"UI")
    return explicit or int.from_bytes(start[4:8], "little") <= 64


def _is_meta(start):
    """Return whether a file begins with what comes after the preamble."""
    # in full, as pydicom reads it again otherwise, perhaps as something else
    return start[:8] == b"\x02\0\0\0UL\x04\0"


def _is_past(tag, *_):
    """Return whether a tag is after those of the file."""
    return tag >> 16 != 2


@contextlib.contextmanager
def tolerant(path) -> Iterator[None]:
    """Turn what a damaged file raises into one error; slips of form are no news."""
    before = pydicom.config.settings.reading_validation_mode
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except DicomError:
        raise
    except DAMAGED as error:
        found = " ".join(str(error).split())[:200] or type(error).__name__
        msg = f"{path}: no DICOM file, or a damaged one, found: {found}"
        raise DicomError(msg) from error
    finally:
        pydicom.config.settings.reading_validation_mode = before


@contextlib.contextmanager
def open_dataset(
    path: str | os.PathLike, *, tags: list | None = None, pixels: bool = True
) -> Iterator[pydicom.Dataset]:
    """Give the dataset of a file while it is open.

    Parameters
    ----------
    path
        The file.
    tags
        Those wanted; all by default.
    pixels
        Whether what follows the tags is read too.

    Raises
    ------
    DicomError
        It is damaged, or deflated as a whole: also where what is done with the dataset
        inside of the context fails because of it.
    """
    with tolerant(path), Path(path).open("rb") as file:
        bounded = _Bounded(file)
        start = first_bytes(path)
        bare = _is_bare(start)
        if bare and _is_meta(start):
            meta = pydicom.filereader.read_dataset(bounded, False, True, None, _is_past)
            bounded.seek(0)
        else:
            meta = {} if bare else pydicom.filereader.read_file_meta_info(path)
        if str(meta.get("TransferSyntaxUID", "")) == _DEFLATED:
            msg = (
                f"{path}: is deflated as a whole, which is not read. Write it plainly, "
                "for instance with dcmtk: dcmconv +te IN OUT."
            )
            raise DicomError(msg)
        dataset = pydicom.dcmread(
            bounded, stop_before_pixels=not pixels, specific_tags=tags, force=bare
        )
        if bare and "TransferSyntaxUID" not in dataset.file_meta:
            # what was agreed upon where it was sent from is not told: little endian
            dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        yield dataset


def read_header(path: str | os.PathLike) -> Header:
    """Return the header of a DICOM file.

    Raises
    ------
    DicomError
        It is damaged.
    """
    with open_dataset(path, tags=_TAGS, pixels=False) as dataset:
        tags = {name: text_of(dataset, name) for name in _KEYWORDS}
        items = dataset.get(_SEQUENCE)
        if items:
            tags |= {name: text_of(items[0], name) for name in _DRUG.split()}
        tags["NumberOfRadiopharmaceuticals"] = str(len(items)) if items else ""
        tags |= _private(dataset, tags["Manufacturer"].lower())
        syntax = str(dataset.file_meta.get("TransferSyntaxUID", ""))
    kept = {name: text for name, text in tags.items() if text}
    return Header(Path(path), syntax, kept)


def text_of(dataset: pydicom.Dataset, name: str | tuple[int, int]) -> str:
    """Return the value of a tag as text, an empty one where it is absent.

    A value that is damaged is told as its bytes, so that it is not taken for absent.
    """
    if name not in dataset:
        return ""
    try:
        value = dataset[name].value
    except DAMAGED:
        # as it stands in the file
        raw = dataset.get_item(name)
        return f"(damaged: {getattr(raw, 'value', b'')!r:.40})"
    if isinstance(value, bytes):
        value = value.decode("latin-1").strip(" \0")
    if isinstance(value, MultiValue | list):
        return "\\".join(str(part) for part in value)
    return "" if value is None else str(value).strip()


def _private(dataset, manufacturer):
    """Return the private tags that we know, wherever their block lies."""
    found = {}
    for name, (group, creator, element, maker) in _PRIVATE.items():
        for block in _BLOCKS:
            said = text_of(dataset, (group, block)).lower()
            # tools that make files anonymous drop the creator and keep what it made
            lost = not said and block == _BLOCKS[0] and manufacturer.startswith(maker)
            if said == creator or lost:
                value = text_of(dataset, (group, (block << 8) + element))
                found[name] = found.get(name) or value
    return found
