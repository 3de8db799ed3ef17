"""Images and masks that were damaged on purpose: what `mutations.py` reads.

`mutate` takes the bytes of an intact file and a generator; it gives the damaged bytes,
what was done, and whether a reader can know: bytes of voxels without a checksum that
changed, or a header that tells another possible grid, nobody can.
"""

import gzip
import re
import struct
from dataclasses import dataclass

import numpy as np

from radlatent.imaging import Volume, write_volume

SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".mha", ".raw.nrrd", ".raw.mha")
KINDS = ("cut", "tail", "flip", "header flip", "extreme", "sizes", "types", "bomb")
SHAPE = (12, 18, 20)
#: Offsets of fields in a NIfTI-1 header: (where, format) of numbers.
SHORTS = {"dim": 40, "datatype": 70, "bitpix": 72, "qform_code": 252, "sform_code": 254}
FLOATS = {"pixdim": 76, "vox_offset": 108, "slope": 112, "inter": 116, "quatern": 256}
FLOATS |= {"qoffset": 268, "srow": 280}
WILD = (np.nan, np.inf, -np.inf, 1e30, -1e30, 1e-30, 0.0, -1.0)
WILD_TEXT = ("nan", "inf", "-inf", "1e300", "-1e300", "0", "1e-300", "x", "")


@dataclass(frozen=True)
class Damage:
    """Damaged bytes, what was done, and whether a reader can know it."""

    stored: bytes
    kind: str
    told: str
    knowable: bool = True


def volumes(rng):
    """Return an image and a mask on one grid."""
    at = np.indices(SHAPE) - np.reshape(SHAPE, (3, 1, 1, 1)) / 2
    ball = ((at / np.reshape([4, 6, 6], (3, 1, 1, 1))) ** 2).sum(axis=0) < 1
    values = np.rint(rng.normal(40, 200, SHAPE)).astype(rng.choice(["i2", "f4"]))
    place = (3.0, 0.9, 0.8), (-12.5, 40.25, 7.0)
    return Volume(values, *place), Volume(ball.astype(np.uint8), *place)


def intact(volume, suffix, folder):
    """Write a volume and return the path; the raw kinds are not compressed."""
    if not suffix.startswith(".raw"):
        return write_volume(volume, folder / f"x{suffix}")
    import SimpleITK as sitk  # the library writes compressed files alone

    from radlatent.imaging import to_sitk

    path = folder / f"x{suffix.removeprefix('.raw')}"
    sitk.WriteImage(to_sitk(volume), str(path), useCompression=False)
    return path


def start_of(stored, suffix):
    """Return where the voxels begin."""
    if suffix.startswith(".nii"):
        return 352 if suffix == ".nii" else 10
    found = re.search(
        rb"\n\n" if "nrrd" in suffix else rb"ElementDataFile = LOCAL\n", stored
    )
    return found.end()


def mutate(stored: bytes, suffix: str, kind: str, rng) -> Damage:
    """Return a file damaged in one way."""
    start, raw = start_of(stored, suffix), suffix == ".nii" or suffix.startswith(".raw")
    if kind == "cut":
        at = int(rng.integers(0, len(stored)))
        return Damage(stored[:at], kind, f"cut to {at} of {len(stored)} bytes")
    if kind == "tail":
        return Damage(*_tail(stored, rng))
    if kind == "flip":
        at = int(rng.integers(start, len(stored)))
        changed = _flipped(stored, at, rng)
        return Damage(changed, kind, f"byte {at} of {len(stored)} changed", not raw)
    if kind == "header flip":
        if suffix == ".nii.gz":
            packed = _repacked(stored, lambda s: _flipped(s, rng.integers(352), rng))
            return Damage(packed, kind, "byte of the packed header changed", False)
        at = int(rng.integers(0, start))
        return Damage(_flipped(stored, at, rng), kind, f"byte {at} changed", False)
    if suffix.startswith(".nii"):
        return _nifti(stored, suffix, kind, rng)
    return _text(stored, suffix, kind, rng)


def _tail(stored, rng):
    more = bytes(rng.integers(0, 256, int(rng.integers(1, 5000)), dtype=np.uint8))
    if rng.random() < 0.3:
        more = bytes(len(more))
    elif rng.random() < 0.3:
        more = stored
    return stored + more, "tail", f"{len(more)} bytes after the end"


def _flipped(stored, at, rng):
    changed = bytearray(stored)
    for _ in range(int(rng.integers(1, 4))):
        changed[int(at)] ^= int(rng.integers(1, 256))
        at = min(int(at) + 1, len(stored) - 1)
    return bytes(changed)


def _repacked(stored, change):
    return gzip.compress(change(gzip.decompress(stored)), mtime=0)


def _nifti(stored, suffix, kind, rng):
    packed = suffix.endswith(".gz")
    plain = bytearray(gzip.decompress(stored) if packed else stored)
    knowable = True
    if kind == "extreme":
        name = rng.choice(list(FLOATS))
        at = FLOATS[name] + 4 * int(rng.integers(1, 4) if name == "pixdim" else 0)
        value = float(rng.choice(WILD))
        struct.pack_into("<f", plain, at, value)
        told = f"{name} = {value:g}"
        # without a slope nothing is scaled; an origin of -1 is a place as others are
        knowable = abs(value) > 1e9 or not np.isfinite(value) or name == "pixdim"
    elif kind == "sizes":
        axis = int(rng.integers(1, 4))
        old = struct.unpack_from("<h", plain, 40 + 2 * axis)[0]
        value = int(rng.choice([-1, 0, 1, old - 1, old + 1, 32767, old * 2, old // 2]))
        struct.pack_into("<h", plain, 40 + 2 * axis, value)
        told = f"dim[{axis}] = {value}, was {old}"
    elif kind == "types":
        code = int(rng.choice([0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 768, 2304]))
        struct.pack_into("<h", plain, 70, code)
        told = f"datatype {code}"
        if rng.random() < 0.5:
            bits = int(rng.choice([0, 1, 8, 16, 24, 32, 64]))
            struct.pack_into("<h", plain, 72, bits)
            told += f", bitpix {bits}"
        else:  # the same width: nobody can know
            knowable = False
    else:  # a claim of much, and a stream of zeros that is that long
        sides = [int(n) for n in rng.choice([700, 1200, 2000, 9000], 3)]
        struct.pack_into("<4h", plain, 40, 3, *sides)
        told = f"claims {sides} voxels"
        if packed:
            piece = gzip.compress(bytes(1 << 24))
            n = min(np.prod(sides, dtype=float) / 2**24, 120)
            head = gzip.compress(bytes(plain), mtime=0)
            return Damage(head + piece * int(n), kind, told + f", {n:.0f} x 16 MiB")
    made = gzip.compress(bytes(plain), mtime=0) if packed else bytes(plain)
    return Damage(made, kind, told, knowable)


def _text(stored, suffix, kind, rng):
    nrrd = "nrrd" in suffix
    start = start_of(stored, suffix)
    head, data = stored[:start].decode("latin-1"), stored[start:]
    between, sizes = (": ", "sizes") if nrrd else (" = ", "DimSize")
    kind_of = "type" if nrrd else "ElementType"
    knowable = True
    if kind == "extreme":
        names = (
            ("space directions", "space origin")
            if nrrd
            else ("ElementSpacing", "Offset", "TransformMatrix")
        )
        name = str(rng.choice(names))
        old = re.search(rf"(?m)^{name}{between}(.*)$", head)[1]
        numbers = re.findall(r"[-\d.e+]+", old)
        value = str(rng.choice(WILD_TEXT))
        new = old.replace(str(rng.choice(numbers)), value, 1)
        knowable = value not in ("0", "1e-300") or "pacing" in name
    elif kind == "sizes":
        name = sizes
        old = re.search(rf"(?m)^{name}{between}(.*)$", head)[1]
        numbers = old.split()
        at = int(rng.integers(3))
        choices = [-1, 0, 1, int(numbers[at]) - 1, int(numbers[at]) + 1, 10**6, 10**12]
        numbers[at] = str(rng.choice(choices))
        new = " ".join(numbers)
    elif kind == "types":
        name, old = kind_of, re.search(rf"(?m)^{kind_of}{between}(.*)$", head)[1]
        types = ("double", "float", "short", "unsigned char", "int", "block", "x", "")
        mets = ("MET_DOUBLE", "MET_FLOAT", "MET_SHORT", "MET_UCHAR", "MET_INT", "x", "")
        new = str(rng.choice(types if nrrd else mets))
        # the same width: nobody can know
        knowable = (
            sum(name in new.lower() + old.lower() for name in ("int", "float")) < 2
        )
    else:
        name, old = sizes, re.search(rf"(?m)^{sizes}{between}(.*)$", head)[1]
        new = " ".join(str(n) for n in rng.choice([700, 1200, 2000, 90000], 3))
    line = f"{name}{between}{old}"
    head = head.replace(line, f"{name}{between}{new}", 1)
    told = f"{name}: {old} -> {new}"
    return Damage(head.encode("latin-1") + data, kind, told, knowable and new != old)
