"""What a file claims to hold, against what it holds.

A path enters; nothing leaves, or an ``OSError`` with both numbers. No voxel is read and
no memory taken: sizes stand in headers, and at the end of a gzip stream.
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
    "check_stored",
    "check_unpacked",
    "gzip_length",
    "is_nifti",
    "is_nifti2",
    "is_sealed",
    "memory_bytes",
]

_NIFTI = (".nii", ".nii.gz")

#: What MetaImage headers say of the grid: readers of ITK take 0 for what is no number.
_MHA_GRID = ("offset", "position", "origin", "elementspacing", "transformmatrix")
_MHA_GRID += ("rotation", "orientation")
_HEADER_BYTES = 1 << 16
_CHUNK_BYTES = 1 << 20

#: The longest run that deflate packs into a bit: RFC 1951 gives 1032 : 1 at the most.
_DEFLATE = 1032

#: Share of the memory that one volume may take; a run holds more than that volume.
_SHARE = 0.5

#: A noisy image is packed 2 : 1 to 10 : 1. What is packed more densely is a mask, and
#: of these 8-bit labels of 1024 x 1024 x 2000 voxels take 1.95 GiB.
_DENSE, _MOST_OF_DENSE = 100, 2 * 2**30

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


def check_stored(path: str | os.PathLike) -> None:
    """Refuse a file that cannot hold what its header claims.

    Parameters
    ----------
    path
        A NIfTI, NRRD or MetaImage file with a readable header.

    Raises
    ------
    OSError
        The file is shorter than its header says, a compressed stream cannot hold that
        much or was cut, the bits a voxel contradict the data type, or the voxels take
        more than half of the memory, or unpack to gibibytes from next to nothing.

    Notes
    -----
    A gzip stream is read to its end, in pieces, only where the length that it gives
    itself differs from what the header claims.
    """
    name = Path(path).name.lower()
    claim = _nifti_claim(path) if is_nifti(path) else None
    if claim is None and name.endswith(".nrrd"):
        claim = _nrrd_claim(path)
    elif claim is None and name.endswith(".mha"):
        claim = _mha_claim(path)
    if claim is None:
        return
    _check_memory(path, claim)
    if claim["packed"] == "gzip":
        _check_gzip(path, claim)
    elif claim["packed"] == "zlib":
        _check_length(path, claim, claim.get("packed_bytes"))
    else:
        _check_length(path, claim, claim["bytes"])


def check_unpacked(path: str | os.PathLike, voxels: np.ndarray | None) -> None:
    """Refuse a packed MetaImage or NRRD file whose stream is not what was written.

    Readers of ITK skip the checksum of NRRD, and take a part of a MetaImage stream that
    is longer than claimed for the whole.

    Parameters
    ----------
    path
        The file.
    voxels
        What a reader made of it, x last; None where it failed. Where their checksum is
        that at the end of the stream nothing is unpacked again.

    Raises
    ------
    OSError
        As `check_stored`.
    """
    name = Path(path).name.lower()
    if not name.endswith((".nrrd", ".mha")):
        return
    claim = _nrrd_claim(path) if name.endswith(".nrrd") else _mha_claim(path)
    if claim is None or claim["packed"] == "":
        return
    if voxels is not None and _sum_agrees(path, claim, voxels):
        return
    if claim["packed"] == "gzip":
        _streamed(path, claim["start"], 2 * claim["bytes"] + _HEADER_BYTES)
    elif name.endswith(".mha"):
        _check_zlib(path, claim)


def _sum_agrees(path, claim, voxels):
    """Return whether voxels have the checksum that stands at the end of their stream.

    They do not where the file has other bytes behind it, several streams, or another
    order of bytes: that tells nothing.
    """
    if voxels.nbytes != claim["bytes"] or not voxels.flags["C_CONTIGUOUS"]:
        return False
    content = voxels.reshape(-1).view(np.uint8)
    if claim["packed"] == "gzip":
        with Path(path).open("rb") as file:
            file.seek(max(os.path.getsize(path) - 8, 0))
            found = struct.unpack("<II", file.read(8))
        return found == (zlib.crc32(content), len(content) % 2**32)
    if claim.get("packed_bytes") is None:
        return False
    with Path(path).open("rb") as file:
        file.seek(claim["start"] + max(claim["packed_bytes"] - 4, 0))
        return file.read(4) == zlib.adler32(content).to_bytes(4, "big")


def _check_zlib(path, claim):
    unpacker, found = zlib.decompressobj(), 0
    try:
        with Path(path).open("rb") as file:
            file.seek(claim["start"])
            while not unpacker.eof and found < claim["bytes"] + _surplus(claim):
                piece = unpacker.unconsumed_tail or file.read(_HEADER_BYTES)
                if not piece:
                    raise zlib.error("it ends before its checksum")
                found += len(unpacker.decompress(piece, _CHUNK_BYTES))
    except zlib.error as error:
        raise OSError(_damaged(path, error)) from error
    if found != claim["bytes"]:
        raise OSError(_other(path, claim, found))


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


def memory_bytes() -> int:
    """Return how much memory this process may take, in bytes."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    try:
        import resource
    except ImportError:  # not on Windows
        return limits[0]
    soft = resource.getrlimit(resource.RLIMIT_AS)[0]
    return min(limits if soft == resource.RLIM_INFINITY else [*limits, soft])


def gzip_length(path: str | os.PathLike) -> int:
    """Return the length that a gzip stream gives itself, in bytes modulo 2**32.

    It stands in the last four bytes of a file of one member (RFC 1952).
    """
    with Path(path).open("rb") as file:
        file.seek(max(os.path.getsize(path) - 4, 0))
        return int.from_bytes(file.read(4), "little")


def is_sealed(path: str | os.PathLike) -> bool:
    """Return whether the last eight bytes of a file tell its whole content.

    They are checksum and length of a packed NIfTI file, header and voxels, that is one
    stream. NRRD and MetaImage keep their header outside of the stream.
    """
    if not Path(path).name.lower().endswith(".nii.gz"):
        return False
    stored = _stored_header(path)
    if stored is None or not 1 <= stored.dims[0] <= 7 or stored.bits % 8:
        return False
    n_voxels = math.prod(stored.dims[1 : 1 + stored.dims[0]])
    whole = stored.start + n_voxels * stored.bits // 8
    # a stream of several members tells the length of the last one
    return 0 < whole < 2**32 and gzip_length(path) == whole


def _claim(shape, itemsize, start, packed="", **more):
    n = math.prod(shape)
    return {
        "shape": tuple(int(n) for n in shape),
        "voxels": n,
        "bytes": n * itemsize,
        "start": start,
        "packed": packed,
    } | more


def _nifti_claim(path):
    stored = _stored_header(path)
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
    return _claim(shape, dtype.itemsize, int(there.offset), packed, scaled=scaled)


@dataclass(frozen=True)
class _Stored:
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


def _stored_header(path):
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
            return _Stored(dims, bits[0], sides[1:], start[0], size + 4)
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
    return _claim([int(s) for s in sizes], itemsize, start, packed)


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
        return _claim([int(s) for s in sizes], itemsize, start)
    packed = fields.get("compresseddatasize", "")
    packed_bytes = int(packed) if packed.isdigit() else None
    return _claim(
        [int(s) for s in sizes], itemsize, start, "zlib", packed_bytes=packed_bytes
    )


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


def _check_memory(path, claim):
    needed = claim["voxels"] * 8 if claim.get("scaled") else claim["bytes"]
    there = memory_bytes()
    held = os.path.getsize(path)
    if claim["bytes"] > _DEFLATE * held:
        return  # which the file cannot hold
    if claim["packed"] and claim["bytes"] > max(_DENSE * held, _MOST_OF_DENSE):
        msg = (
            f"{path}: {_times(claim['shape'])} voxels unpack to "
            f"{claim['bytes'] / 2**30:.1f} GiB, {claim['bytes'] // held} times the "
            f"size of the file, as no image does. Crop the volume, store a mask as "
            "8-bit labels, or, if that size is meant, write it without compression."
        )
        raise OSError(msg)
    if needed <= _SHARE * there:
        return
    msg = (
        f"{path}: {_times(claim['shape'])} voxels take {needed / 2**30:.1f} GiB, more "
        f"than half of the memory of this machine ({there / 2**30:.1f} GiB). Crop the "
        "volume, or take a larger machine."
    )
    raise OSError(msg)


def _check_length(path, claim, needed):
    held = os.path.getsize(path) - claim["start"]
    if claim["packed"] and claim["bytes"] > _DEFLATE * max(held, 1):
        needed = claim["bytes"]
    if needed is not None and held < needed:
        raise OSError(_other(path, claim, held))
    if not claim["packed"] and held >= needed + _surplus(claim):
        raise OSError(_other(path, claim, held))


def _surplus(claim):
    """Return so many bytes more than claimed that a size in the header is wrong.

    Some bytes after the voxels change none of them; as many as one more slice do.
    """
    return max(claim["bytes"] // max(*claim["shape"], 1), 1)


def _check_gzip(path, claim):
    held = os.path.getsize(path) - (0 if is_nifti(path) else claim["start"])
    whole = claim["bytes"] + (claim["start"] if is_nifti(path) else 0)
    if whole > _DEFLATE * held + _HEADER_BYTES:
        raise OSError(_other(path, claim, held))
    if gzip_length(path) == whole % 2**32:
        return
    most = whole + _surplus(claim)
    found = _streamed(path, 0 if is_nifti(path) else claim["start"], most)
    if found < whole or found >= most:
        raise OSError(_other(path, claim, found - (whole - claim["bytes"])))


def _streamed(path, start, most):
    """Return how many bytes a gzip stream holds, at most about so many.

    Members follow each other. Behind the last one gzip allows zeros; NRRD writers end
    the file with a line break, which its readers pass over.
    """
    filling = b"\0" if is_nifti(path) else b"\0\r\n\t "
    found, member = 0, zlib.decompressobj(wbits=31)
    try:
        with Path(path).open("rb") as file:
            file.seek(start)
            left = file.read(_CHUNK_BYTES)
            while left and found < most:
                if member is None:
                    left = left.lstrip(filling) or file.read(_CHUNK_BYTES)
                    if not left.lstrip(filling):
                        continue
                    left, member = left.lstrip(filling), zlib.decompressobj(wbits=31)
                found += len(member.decompress(left, _CHUNK_BYTES))
                left = member.unconsumed_tail or member.unused_data
                member = None if member.eof else member
                left = left or file.read(_CHUNK_BYTES)
    except (OSError, zlib.error) as error:
        raise OSError(_damaged(path, error)) from error
    if member is not None and found < most:
        raise OSError(_damaged(path, "it ends before its end is marked"))
    return found


def _damaged(path, error):
    return (
        f"{path}: the compressed stream is damaged or was cut ({error}). Copy or "
        "download the file again."
    )


def _other(path, claim, held):
    short = held < claim["bytes"]
    per_voxel = claim["bytes"] / max(claim["voxels"], 1)
    return (
        f"{path}: the header claims {_times(claim['shape'])} voxels "
        f"({claim['bytes']:,} bytes), the file holds {max(held, 0):,} bytes"
        + ("" if claim["packed"] else f" ({int(held / per_voxel):,} voxels)")
        + (". It was cut, or its" if short else " or more. Its")
        + " header is damaged: copy or download it again."
    )


def _times(shape):
    return " x ".join(str(int(n)) for n in np.atleast_1d(shape))
