"""What a file claims to hold, against what it holds.

A path enters; nothing leaves, or an ``OSError`` with both numbers. No voxel is read and
no memory taken: sizes stand in headers, and at the end of a gzip stream.
"""

import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np

from radlatent.imaging.claims import is_nifti, read_claim, read_nifti_fields

__all__ = [
    "check_stored",
    "check_unpacked",
    "gzip_length",
    "is_sealed",
    "memory_bytes",
]

_HEADER_BYTES = 1 << 16
_CHUNK_BYTES = 1 << 20

#: The longest run that deflate packs into a bit: RFC 1951 gives 1032 : 1 at the most.
_DEFLATE = 1032

#: Share of the memory that one volume may take; a run holds more than that volume.
_SHARE = 0.5

#: A noisy image is packed 2 : 1 to 10 : 1. What is packed more densely is a mask, and
#: of these 8-bit labels of 1024 x 1024 x 2000 voxels take 1.95 GiB.
_DENSE, _MOST_OF_DENSE = 100, 2 * 2**30


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
    claim = read_claim(path)
    if claim is None:
        return
    _check_memory(path, claim)
    if claim.packed == "gzip":
        _check_gzip(path, claim)
    elif claim.packed == "zlib":
        _check_length(path, claim, claim.packed_bytes)
    else:
        _check_length(path, claim, claim.bytes)


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
    claim = read_claim(path)
    if claim is None or claim.packed == "":
        return
    if voxels is not None and _sum_agrees(path, claim, voxels):
        return
    if claim.packed == "gzip":
        _streamed(path, claim.start, 2 * claim.bytes + _HEADER_BYTES)
    elif name.endswith(".mha"):
        _check_zlib(path, claim)


def _sum_agrees(path, claim, voxels):
    """Return whether voxels have the checksum that stands at the end of their stream.

    They do not where the file has other bytes behind it, several streams, or another
    order of bytes: that tells nothing.
    """
    if voxels.nbytes != claim.bytes or not voxels.flags["C_CONTIGUOUS"]:
        return False
    content = voxels.reshape(-1).view(np.uint8)
    if claim.packed == "gzip":
        with Path(path).open("rb") as file:
            file.seek(max(os.path.getsize(path) - 8, 0))
            found = struct.unpack("<II", file.read(8))
        return found == (zlib.crc32(content), len(content) % 2**32)
    if claim.packed_bytes is None:
        return False
    with Path(path).open("rb") as file:
        file.seek(claim.start + max(claim.packed_bytes - 4, 0))
        return file.read(4) == zlib.adler32(content).to_bytes(4, "big")


def _check_zlib(path, claim):
    unpacker, found = zlib.decompressobj(), 0
    try:
        with Path(path).open("rb") as file:
            file.seek(claim.start)
            while not unpacker.eof and found < claim.bytes + _surplus(claim):
                piece = unpacker.unconsumed_tail or file.read(_HEADER_BYTES)
                if not piece:
                    raise zlib.error("it ends before its checksum")
                found += len(unpacker.decompress(piece, _CHUNK_BYTES))
    except zlib.error as error:
        raise OSError(_damaged(path, error)) from error
    if found != claim.bytes:
        raise OSError(_other(path, claim, found))


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
    stored = read_nifti_fields(path)
    if stored is None or not 1 <= stored.dims[0] <= 7 or stored.bits % 8:
        return False
    n_voxels = math.prod(stored.dims[1 : 1 + stored.dims[0]])
    whole = stored.start + n_voxels * stored.bits // 8
    # a stream of several members tells the length of the last one
    return 0 < whole < 2**32 and gzip_length(path) == whole


def _check_memory(path, claim):
    needed = claim.voxels * 8 if claim.scaled else claim.bytes
    there = memory_bytes()
    held = os.path.getsize(path)
    if claim.bytes > _DEFLATE * held:
        return  # which the file cannot hold
    if claim.packed and claim.bytes > max(_DENSE * held, _MOST_OF_DENSE):
        msg = (
            f"{path}: {_times(claim.shape)} voxels unpack to "
            f"{claim.bytes / 2**30:.1f} GiB, {claim.bytes // held} times the "
            f"size of the file, as no image does. Crop the volume, store a mask as "
            "8-bit labels, or, if that size is meant, write it without compression."
        )
        raise OSError(msg)
    if needed <= _SHARE * there:
        return
    msg = (
        f"{path}: {_times(claim.shape)} voxels take {needed / 2**30:.1f} GiB, more "
        f"than half of the memory of this machine ({there / 2**30:.1f} GiB). Crop the "
        "volume, or take a larger machine."
    )
    raise OSError(msg)


def _check_length(path, claim, needed):
    held = os.path.getsize(path) - claim.start
    if claim.packed and claim.bytes > _DEFLATE * max(held, 1):
        needed = claim.bytes
    if needed is not None and held < needed:
        raise OSError(_other(path, claim, held))
    if not claim.packed and held >= needed + _surplus(claim):
        raise OSError(_other(path, claim, held))


def _surplus(claim):
    """Return so many bytes more than claimed that a size in the header is wrong.

    Some bytes after the voxels change none of them; as many as one more slice do.
    """
    return max(claim.bytes // max(*claim.shape, 1), 1)


def _check_gzip(path, claim):
    held = os.path.getsize(path) - (0 if is_nifti(path) else claim.start)
    whole = claim.bytes + (claim.start if is_nifti(path) else 0)
    if whole > _DEFLATE * held + _HEADER_BYTES:
        raise OSError(_other(path, claim, held))
    if gzip_length(path) == whole % 2**32:
        return
    most = whole + _surplus(claim)
    found = _streamed(path, 0 if is_nifti(path) else claim.start, most)
    if found < whole or found >= most:
        raise OSError(_other(path, claim, found - (whole - claim.bytes)))


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
    short = held < claim.bytes
    per_voxel = claim.bytes / max(claim.voxels, 1)
    return (
        f"{path}: the header claims {_times(claim.shape)} voxels "
        f"({claim.bytes:,} bytes), the file holds {max(held, 0):,} bytes"
        + ("" if claim.packed else f" ({int(max(held, 0) / per_voxel):,} voxels)")
        + (". It was cut, or its" if short else " or more. Its")
        + " header is damaged: copy or download it again."
    )


def _times(shape):
    return " x ".join(str(int(n)) for n in np.atleast_1d(shape))
