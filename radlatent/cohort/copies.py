"""One image under several patients: the leak that folds by patient cannot see.

A cohort enters, notes leave. Copies are found without reading every file: what
cannot be a copy differs in length, or in the checksum at the end of a gzip stream. A
copy in another format has another content; its features are the same.
"""

import hashlib
import os
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from radlatent.cohort.manifest import Cohort
from radlatent.provenance import file_hash

__all__ = ["shared_images", "shared_values"]

_PIECE_BYTES = 1 << 16

#: Kind of sign that a gzip stream bears: CRC-32, and length.
_Z = "gzip"

#: So many values of a lesion are equal by no chance.
_FEWEST = 10


def shared_images(cohort: Cohort, damaged: Collection[str] = ()) -> list[str]:
    """Return a note for every group of patients who have one image.

    Parameters
    ----------
    cohort
        Included cases alone are looked at. Lesions of one patient may share an image.
    damaged
        Images, as ``cases.csv`` names them, that have a problem of their own.

    Notes
    -----
    It is no refusal: published cohorts hold scans twice. Whoever reads the note decides
    which patient is left out.
    """
    owners = defaultdict(set)  # path -> patients
    for modality in cohort.modalities:
        columns = cohort.included[["patient_id", f"image_{modality}"]]
        for patient, name in columns.itertuples(index=False):
            if name is None or name in damaged:
                continue
            if (cohort.root / name).is_file():
                owners[name].add(patient)
    shared = defaultdict(list)  # patients -> paths
    for names in _alike(cohort.root, owners):
        patients = frozenset().union(*(owners[name] for name in names))
        if len(patients) > 1:
            shared[patients] += names
    return [_note(patients, _some(names)) for patients, names in shared.items()]


def shared_values(
    table: pd.DataFrame, patients: pd.Series, *, known: Iterable[str] = ()
) -> list[str]:
    """Return a note for patients whose lesions have the same values to the last digit.

    Parameters
    ----------
    table
        A **features** table of one block, as it was measured: lesions of copies, in
        whatever format, are alike in all of it.
    patients
        ``patient_id`` by ``case_id``.
    known
        Notes of `shared_images`; patients that they name are not told again.

    Notes
    -----
    A lesion has to have ten different values or more.
    """
    groups = defaultdict(set)
    for case_id, row in table.iterrows():
        values = row.to_numpy(float)
        if len(np.unique(values[np.isfinite(values)])) >= _FEWEST:
            groups[values.tobytes()].add(str(patients[case_id]))
    groups = {frozenset(group) for group in groups.values() if len(group) > 1}
    notes = [_note(group, "their lesions have the same values") for group in groups]
    starts = {note.partition(" (")[0] for note in known}
    return sorted(note for note in notes if note.partition(" (")[0] not in starts)


def _note(patients, why):
    return (
        f"patients {_some(patients)} have one image ({why}): folds by patient do not "
        "keep a copy out of the test; give one person one patient_id, or exclude the "
        "copies"
    )


def _some(names):
    found = sorted(names)
    return ", ".join(found[:6]) + (f" and {len(found) - 6} more" if found[6:] else "")


def _alike(root, names):
    """Yield groups of names whose files hold the same bytes, once unpacked."""
    signs = {name: _sign(root / name) for name in names}
    lengths = {int.from_bytes(s[1][4:], "little") for s in signs.values() if s[0] == _Z}
    groups = defaultdict(list)
    for name, sign in signs.items():
        # one that was packed, and one that was not
        alike = sign[0] != _Z and sign[1] % 2**32 in lengths
        groups[_packed_sign(root / name) if alike else sign].append(name)
    for (kind, *_), group in groups.items():
        if len(group) < 2 or kind == _Z:
            # a checksum of 32 bits with a length is no chance among some thousands
            yield group
            continue
        same = defaultdict(list)
        for name in group:
            same[file_hash(root / name)].append(name)
        yield from same.values()


def _sign(path: Path):
    """Return what copies have in common: of gzip CRC-32 and length of the content."""
    size = os.path.getsize(path)
    with path.open("rb") as file:
        if path.name.lower().endswith(".gz") and size > 18:
            file.seek(-8, os.SEEK_END)
            return _Z, file.read(8)
        pieces = hashlib.sha256()
        for start in (0, size // 2, max(size - _PIECE_BYTES, 0)):
            file.seek(start)
            pieces.update(file.read(_PIECE_BYTES))
    return "plain", size, pieces.digest()


def _packed_sign(path):
    """Return what a gzip stream would say of a file that is none."""
    crc = 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            crc = zlib.crc32(piece, crc)
    length = os.path.getsize(path) % 2**32
    return _Z, crc.to_bytes(4, "little") + length.to_bytes(4, "little")
