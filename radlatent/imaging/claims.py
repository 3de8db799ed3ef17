"""Which files are volumes, what others are, and what the header of a volume claims.

A path enters; a `Claim` leaves, of voxels and where and how they are stored, or an
``OSError`` that tells what makes a volume of the file. A few hundred bytes are read.
"""

import gzip
import math
import os
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

__all__ = [
    "DICOM_REMEDY",
    "FORMATS",
    "Claim",
    "check_format",
    "is_nifti",
    "is_nifti2",
    "kind_of",
    "read_claim",
    "read_nifti_fields",
]

_NIFTI = (".nii", ".nii.gz")
_HEADER_BYTES = 1 << 16

#: What MetaImage headers say of the grid: readers of ITK take 0 for what is no number.
_MHA_GRID = ("offset", "position", "origin", "elementspacing", "transformmatrix")
_MHA_GRID += ("rotation", "orientation")
#: Bytes a value of the types that NRRD and MetaImage headers name.
_NRRD_BYTES = {
    "1": "signed char|int8|int8_t|uchar|unsigned char|uint8|uint8_t",
    "2": "short|short int|signed short|signed short int|int16|int16_t|ushort|"
    "unsigned short|unsigned short int|uint16|uint16_t",
    "4": "int|signed int|int32|int32_t|uint|unsigned int|uint32|uint32_t|float",
    "8": "longlong|long long|long long int|signed long long|signed long long int|"
    "int64|int64_t|ulonglong|unsigned long long|unsigned long long int|uint64|"
    "uint64_t|double",
}
_BYTES = {name: int(n) for n, names in _NRRD_BYTES.items() for name in names.split("|")}
_BYTES |= {"MET_CHAR": 1, "MET_UCHAR": 1, "MET_SHORT": 2, "MET_USHORT": 2}
_BYTES |= {"MET_INT": 4, "MET_UINT": 4, "MET_FLOAT": 4, "MET_DOUBLE": 8}
_BYTES |= {"MET_LONG": 4, "MET_ULONG": 4, "MET_LONG_LONG": 8, "MET_ULONG_LONG": 8}

FORMATS = (*_NIFTI, ".nrrd", ".mha")

#: How NRRD and MetaImage headers name a data file of their own.
_DETACHED = re.compile(rb"(?im)^(data ?file:|ElementDataFile\s*=(?!\s*LOCAL))")

_WRITE = f"Write it as one of {', '.join(FORMATS)}"
_JOIN = (
    f"{_WRITE}, for instance with SimpleITK: WriteImage(ReadImage('x.mhd'), 'x.mha')."
)
#: What is done about a series of DICOM files, wherever a volume is expected.
DICOM_REMEDY = (
    "radlatent convert DICOM_ROOT --out FOLDER makes a cohort of the images and of "
    "the structures drawn on them, PET in SUV (extra dicom). Where masks are files "
    "already, in Python: [series] = rl.read_dicom(DICOM_ROOT), then "
    "rl.write_volume(series.read(), 'image.nii.gz')"
)
_SERIES = f"One slice of a DICOM series is no volume. {DICOM_REMEDY}."
_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".npy", ".npz")
_UNPACK = "Unpack it, and name the volume in it."

#: First bytes of what is found under the name of an image, and what is done about it.
_STARTS = (
    (rb"version https://git-lfs", "a pointer of Git LFS", "Fetch it: git lfs pull."),
    (rb"(/annex/|\.\./.*annex)", "a pointer of git-annex", "Fetch it: git annex get."),
    (rb"\s*(<!doctype|<html|<\?xml|\{)", "a text", "Download the image again."),
    (rb"PK\x03\x04", "a ZIP archive", _UNPACK),
    (rb"BZh|\xfd7zXZ|7z\xbc\xaf|\x28\xb5\x2f\xfd", "a packed file", _UNPACK),
    (rb"\x89HDF|CDF[\x01\x02]", "an HDF5, MINC or netCDF file", f"{_WRITE}."),
)

#: And of volumes, to the ending that they need.
_VOLUMES = ((rb"\x1f\x8b", ".nii.gz"), (rb"NRRD\d", ".nrrd"))
_VOLUMES += ((rb"\s*(ObjectType|NDims)\s*=", ".mha"),)


@dataclass(frozen=True)
class Claim:
    """What a header says of its voxels.

    Parameters
    ----------
    shape
        Voxels along each axis, as the header orders them.
    itemsize
        Bytes a voxel.
    start
        Where the voxels begin, in bytes; of a packed NIfTI file where unpacked.
    packed
        ``"gzip"``, ``"zlib"`` (or what only reading tells), or nothing.
    packed_bytes
        Length of the packed voxels, where the header tells it.
    scaled
        Whether a slope and an intercept make them decimals.
    """

    shape: tuple[int, ...]
    itemsize: int
    start: int
    packed: str = ""
    packed_bytes: int | None = None
    scaled: bool = False

    @property
    def voxels(self) -> int:
        """How many there are."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """How many they take, unpacked."""
        return self.voxels * self.itemsize


def read_claim(path: str | os.PathLike) -> Claim | None:
    """Return what a NIfTI, NRRD or MetaImage file claims; None where a reader tells.

    Raises
    ------
    OSError
        Fields of the header contradict each other, or are no numbers.
    """
    if is_nifti(path):
        return _nifti_claim(path)
    name = Path(path).name.lower()
    if name.endswith(".nrrd"):
        return _nrrd_claim(path)
    return _mha_claim(path) if name.endswith(".mha") else None


def is_nifti(path: str | os.PathLike) -> bool:
    """Return whether the name of a file ends as one of NIfTI."""
    return Path(path).name.lower().endswith(_NIFTI)


def is_nifti2(path: str | os.PathLike) -> bool:
    """Return whether a file begins as NIfTI-2 does, with the number 540."""
    opened = gzip.open if Path(path).name.lower().endswith(".gz") else open
    try:
        with opened(path, "rb") as file:
            start = file.read(4)
    except (EOFError, OSError, zlib.error):
        return False  # reading says what is wrong
    return start in (struct.pack("<i", 540), struct.pack(">i", 540))


def _nifti_claim(path):
    stored = read_nifti_fields(path)
    if stored is None:
        return None  # the reader says what is wrong with the header
    if not stored.start >= stored.least:
        msg = (
            f"{path}: the header says that the voxels begin at byte {stored.start:g}, "
            f"which is inside of the header ({stored.least} bytes). Readers take "
            "different places. Convert the file again from its source."
        )
        raise OSError(msg)
    try:
        there = nib.load(path).dataobj
        shape, dtype = there.shape, there.dtype
    except (EOFError, OSError, ValueError, nib.filebasedimages.ImageFileError):
        return None
    except (OverflowError, zlib.error, nib.spatialimages.HeaderDataError):
        return None
    bits, sides = stored.bits, np.array(stored.sides)
    if not (np.isfinite(sides) & (sides != 0)).all():
        msg = (
            f"{path}: the header says voxels of {sides.tolist()} mm (pixdim; x, y, z). "
            "Readers take another size in place of 0. Convert the file again from its "
            "source."
        )
        raise OSError(msg)
    if bits not in (0, 8 * dtype.itemsize):
        msg = (
            f"{path}: the header says data type {dtype} ({8 * dtype.itemsize} bits a "
            f"voxel) and {bits} bits a voxel (bitpix). One of them is wrong, and so "
            "would be every value. Convert the file again from its source."
        )
        raise OSError(msg)
    packed = "gzip" if Path(path).name.lower().endswith(".gz") else ""
    scaled = (there.slope, there.inter) != (1, 0)
    return Claim(_axes(shape), dtype.itemsize, int(there.offset), packed, scaled=scaled)


@dataclass(frozen=True)
class NiftiFields:
    """What stands in a NIfTI header, unmended by a library."""

    dims: tuple[int, ...]
    bits: int  # bitpix
    sides: tuple[float, ...]  # pixdim, x, y, z
    start: float  # vox_offset
    least: int


#: Where these stand in NIfTI-1 and NIfTI-2, by the number that each begins with.
_PLACES = {
    348: (("8h", 40), ("h", 72), ("4f", 76), ("f", 108)),
    540: (("8q", 16), ("h", 14), ("4d", 104), ("q", 168)),
}


def read_nifti_fields(path: str | os.PathLike) -> NiftiFields | None:
    """Return these fields, or None where there is no such header."""
    opened = gzip.open if Path(path).name.lower().endswith(".gz") else open
    try:
        with opened(path, "rb") as file:
            head = file.read(348)
    except (EOFError, OSError, zlib.error):
        return None
    if len(head) < 348:
        return None
    for order in "<>":
        size = struct.unpack_from(f"{order}i", head)[0]
        if size in _PLACES:
            dims, bits, sides, start = (
                struct.unpack_from(order + form, head, at) for form, at in _PLACES[size]
            )
            return NiftiFields(dims, bits[0], sides[1:], start[0], size + 4)
    return None


def _fields(path, end, separator):
    """Return the fields of a text header, and where its data begin."""
    with Path(path).open("rb") as file:
        head = file.read(_HEADER_BYTES)
    match = re.search(end, head)
    if match is None:
        return {}, 0
    lines = head[: match.end()].decode("latin-1").splitlines()
    pairs = (line.split(separator, 1) for line in lines if separator in line)
    fields = {key.strip().lower(): value.strip() for key, value in pairs}
    return fields, match.end()


def _axes(sizes):
    return tuple(int(size) for size in sizes)


def _nrrd_claim(path):
    fields, start = _fields(path, rb"\r?\n\r?\n", ":")
    itemsize = _BYTES.get(fields.get("type", "").lower())
    sizes = fields.get("sizes", "").split()
    odd = {"byte skip", "byteskip", "line skip", "lineskip"} & set(fields)
    if itemsize is None or not sizes or odd or not all(s.isdigit() for s in sizes):
        return None
    encoding = fields.get("encoding", "").lower()
    packed = {"raw": "", "gzip": "gzip", "gz": "gzip"}.get(encoding)
    if packed is None:  # as text, or by bzip2: only reading tells
        packed = "zlib"
    return Claim(_axes(sizes), itemsize, start, packed)


def _mha_claim(path):
    fields, start = _fields(path, rb"ElementDataFile\s*=\s*LOCAL[ \t]*\r?\n", "=")
    itemsize = _BYTES.get(fields.get("elementtype", "").upper())
    sizes = fields.get("dimsize", "").split()
    if itemsize is None or not sizes or not all(s.isdigit() for s in sizes):
        return None
    _check_numbers(path, fields, len(sizes))
    channels = fields.get("elementnumberofchannels", "1")
    itemsize *= int(channels) if channels.isdigit() else 1
    if fields.get("binarydata", "true").lower() == "false":
        return None
    if fields.get("compresseddata", "false").lower() != "true":
        return Claim(_axes(sizes), itemsize, start)
    packed = fields.get("compresseddatasize", "")
    packed_bytes = int(packed) if packed.isdigit() else None
    return Claim(_axes(sizes), itemsize, start, "zlib", packed_bytes=packed_bytes)


def _check_numbers(path, fields, n_axes):
    for name in {*_MHA_GRID} & {*fields}:
        try:
            numbers = [float(text) for text in fields[name].split()]
        except ValueError:
            numbers = []
        wanted = n_axes**2 if name in _MHA_GRID[4:] else n_axes
        if len(numbers) != wanted or not np.isfinite(numbers).all():
            msg = (
                f"{path}: its header says {name} = {fields[name]!r}, which are not "
                f"{wanted} numbers. It is damaged: copy or download it again."
            )
            raise OSError(msg)


def check_format(path: str | os.PathLike) -> None:
    """Refuse what is not one file of a known format.

    A header whose voxels lie in another file would be hashed without them, and could
    name a file outside of the cohort.

    Parameters
    ----------
    path
        What is there.

    Raises
    ------
    OSError
        It is a folder, has another ending, or is the header of another file; or it is
        a NIfTI file whose sizes are none.
    """
    name = Path(path).name.lower()
    if Path(path).is_dir():
        found, remedy = "a folder", _SERIES
    elif not name.endswith(FORMATS):
        ending = "".join(Path(path).suffixes).lower()
        found, remedy = f"the ending {ending or '(none)'}", _remedy_for(path, ending)
    elif name.endswith((".nii", ".nii.gz")):
        _check_nifti(path)
        return
    else:
        if not _DETACHED.search(_start(path, _HEADER_BYTES).partition(b"\n\n")[0]):
            return
        found, remedy = "a header that names another file for its voxels", _JOIN
    msg = f"{path}: not a volume in one file, found {found}. {remedy}"
    raise OSError(msg)


def kind_of(path: str | os.PathLike) -> str:
    """Say what a file is that no reader takes for an image, and what to do.

    Parameters
    ----------
    path
        A file with the ending of a volume.

    Returns
    -------
    str
        Sentences; empty where its first bytes do not tell.
    """
    name, head = Path(path).name.lower(), _start(path, 400)
    if not head:
        return "an empty file (0 bytes). Copy or download it again."
    if head[128:132] == b"DICM":
        return f"a DICOM file. {_SERIES}"
    for start, kind, remedy in _STARTS:
        if re.match(start, head, re.IGNORECASE):
            return f"{kind} ({head[:24]!r}). {remedy}"
    endings = [ending for start, ending in _VOLUMES if re.match(start, head)]
    if head[344:347] in (b"n+1", b"ni1") or head[4:7] in (b"n+2", b"ni2"):
        endings = [".nii"]
    if not endings or name.endswith(endings[0]):
        return ""
    packed = "is packed by gzip" if endings[0] == ".nii.gz" else f"is {endings[0]}"
    return f"a file that {packed} by its content. Name it as it is: {endings[0]}."


def _start(path, n_bytes):
    with Path(path).open("rb") as file:
        return file.read(n_bytes)


def _check_nifti(path):
    """Refuse what is not packed as it is named, and sizes that ITK prints about."""
    head = _start(path, 56)
    if Path(path).name.lower().endswith(".gz"):
        if not head.startswith(b"\x1f\x8b"):  # ITK reads it, and others do not
            kind = kind_of(path)
            what = "no image" if kind else "no image, or a damaged one"
            found = kind or "no gzip stream, as the ending .gz promises."
            raise OSError(f"{path}: {what}, found: {found}")
        return  # of sizes the reader tells, once they are unpacked
    for end in "<>":
        if struct.unpack_from(f"{end}i", head.ljust(4, b"\0"))[0] != 348:
            continue
        n_axes, *sizes = struct.unpack_from(f"{end}8h", head.ljust(56, b"\0"), 40)
        sizes = sizes[: max(n_axes, 0)]
        if len(sizes) != n_axes or not n_axes or min(sizes) < 1:
            msg = (
                f"{path}: the header says {n_axes} axes of sizes {sizes}. It is "
                "damaged: copy or download the file again."
            )
            raise OSError(msg)


def _remedy_for(path, ending):
    """Return what to do with a file of another kind."""
    if ending.endswith((".mhd", ".nhdr", ".hdr", ".img")):
        return _JOIN
    if ending.endswith(_PICTURES):
        return (
            "It does not say where its voxels lie. Stack the slices, with their spacing"
            f" in mm, into one of {', '.join(FORMATS)}."
        )
    if _start(path, 132).endswith(b"DICM") or ending.endswith((".dcm", ".ima")):
        return _SERIES
    return f"{_WRITE}."
