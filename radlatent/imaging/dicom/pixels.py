"""The stored values of one file as an array, before slope and intercept.

Plain files are read from their bytes. Packed ones are unpacked by SimpleITK, from a
copy without slope and intercept: its reader would apply them to CT and PET, and not to
MR, where Philips needs them.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.uid import SecondaryCaptureImageStorage

from radlatent.errors import DicomError
from radlatent.imaging.dicom.headers import Header, open_dataset
from radlatent.imaging.itk import silence

__all__ = ["check_syntax", "read_pixels"]

_PLAIN = {
    "1.2.840.10008.1.2": "<",
    "1.2.840.10008.1.2.1": "<",
    "1.2.840.10008.1.2.2": ">",
}

#: What SimpleITK unpacks: JPEG (8 and 12 bits, lossless), JPEG-LS, JPEG 2000, RLE.
_PACKED = {
    "1.2.840.10008.1.2.5",
    *(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70, 80, 81, 90, 91)),
}

_NAMES = """
Rows Columns NumberOfFrames SamplesPerPixel PhotometricInterpretation BitsAllocated
BitsStored HighBit PixelRepresentation PixelData
"""
_TAGS = _NAMES.split()

#: Sides of a slice; more pixels than these together are no slice but a bomb.
_MOST_PIXELS = 4096 * 4096

_REMEDY = (
    "Unpack the series first, for instance with dcmtk (dcmdjpeg, dcmdrle, dcmdjpls) or "
    "gdcm (gdcmconv --raw)."
)


def read_pixels(path: Path) -> np.ndarray:
    """Return the stored values of a file of one frame, shape (rows, columns).

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    DicomError
        It is damaged, has color or several frames, or its transfer syntax is unknown.
    """
    with open_dataset(path, tags=_TAGS) as dataset:
        syntax = str(dataset.file_meta.get("TransferSyntaxUID", ""))
        shape = _shape(path, dataset)
        if syntax in _PLAIN:
            return _plain(path, dataset, shape, _PLAIN[syntax])
        if syntax in _PACKED:
            return _unpacked(path, dataset, shape)
    raise _unread(path, syntax)


def check_syntax(headers: Sequence[Header]) -> None:
    """Refuse files whose pixels are packed in a way that is not read.

    Parameters
    ----------
    headers
        Of the files.

    Raises
    ------
    DicomError
        Of one the transfer syntax is unknown.
    """
    for header in headers:
        if header.syntax not in _PLAIN and header.syntax not in _PACKED:
            raise _unread(header.path, header.syntax)


def _unread(path, syntax):
    name = pydicom.uid.UID(syntax).name
    msg = f"{path}: its transfer syntax is {name!r}, which is not read. {_REMEDY}"
    return DicomError(msg)


def _shape(path, dataset):
    shape = int(dataset.Rows), int(dataset.Columns)
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1 or int(dataset.get("SamplesPerPixel") or 1) != 1:
        msg = f"{path}: holds several frames, or colors. One slice of numbers is read."
        raise DicomError(msg)
    if min(shape) < 1 or shape[0] * shape[1] > _MOST_PIXELS:
        msg = (
            f"{path}: says {shape[0]} x {shape[1]} pixels, from 1 to {_MOST_PIXELS} "
            "are read. The header is damaged: export the series again."
        )
        raise DicomError(msg)
    return shape


def _plain(path, dataset, shape, order):
    bits, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
    high = int(dataset.get("HighBit", stored - 1))
    signed = int(dataset.PixelRepresentation)
    if bits not in (8, 16, 32) or not 0 < stored <= bits or signed not in (0, 1):
        msg = (
            f"{path}: BitsAllocated {bits}, BitsStored {stored} and "
            f"PixelRepresentation {signed} are none that are read. Export the "
            "series again."
        )
        raise DicomError(msg)
    n_bytes = shape[0] * shape[1] * bits // 8
    content = dataset.get("PixelData", b"")
    # one byte more makes the length even
    if not n_bytes <= len(content) <= n_bytes + 1:
        msg = (
            f"{path}: {shape[0]} x {shape[1]} pixels of {bits} bits take {n_bytes} "
            f"bytes, found {len(content)}. The file is cut or damaged: copy it again."
        )
        raise DicomError(msg)
    values = np.frombuffer(content, f"{order}u{bits // 8}", shape[0] * shape[1])
    values = values.reshape(shape).astype(f"u{bits // 8}")
    # bits that hold no value may hold an overlay, or the sign again
    shift = high + 1 - stored
    if not 0 <= shift <= bits - stored:
        raise DicomError(f"{path}: HighBit {high} does not fit BitsStored {stored}.")
    values = values << (bits - stored - shift)
    whole = values.view(f"i{bits // 8}") if signed else values
    return whole >> (bits - stored)


def _unpacked(path, dataset, shape):
    """Return what SimpleITK makes of a copy that says nothing but its pixels."""
    copy = pydicom.Dataset()
    for name in set(_TAGS) - {"NumberOfFrames"}:
        copy[name] = dataset[name]
    copy.SOPClassUID, copy.SOPInstanceUID = SecondaryCaptureImageStorage, "1.2.3"
    copy.Modality = "OT"
    copy["PixelData"].is_undefined_length = True
    copy.file_meta = pydicom.dataset.FileMetaDataset()
    copy.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    copy.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    copy.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    with tempfile.TemporaryDirectory() as folder, silence:
        alone = Path(folder) / "slice.dcm"
        copy.save_as(alone, implicit_vr=False, little_endian=True)
        try:
            image = sitk.ReadImage(str(alone))
        except RuntimeError as error:
            name = dataset.file_meta.TransferSyntaxUID.name
            msg = f"{path}: its pixels ({name}) cannot be unpacked. {_REMEDY}"
            raise DicomError(msg) from error
    values = sitk.GetArrayFromImage(image).squeeze()
    if (
        values.shape != tuple(n for n in shape if n > 1)
        or values.dtype.kind not in "iu"
    ):
        msg = f"{path}: unpacked it is {values.dtype} of {values.shape}, not {shape}."
        raise DicomError(msg)
    return values.reshape(shape)
