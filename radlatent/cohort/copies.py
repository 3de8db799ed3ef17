"""One image under several patients: the leak that folds by patient cannot see.

A cohort enters, notes leave. Copies are found without reading every file: what
cannot be a copy differs in size, or in the checksum at the end of a gzip stream.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

from radlatent.cohort.manifest import Cohort
from radlatent.provenance import file_hash

__all__ = ["shared_images"]

_PIECE_BYTES = 1 << 16


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
    return [
        f"patients {_some(patients)} have one image ({_some(names)}): folds by patient "
        "do not keep a copy out of the test; give one person one patient_id, or "
        "exclude the copies"
        for patients, names in shared.items()
    ]


def _some(names):
    found = sorted(names)
    return ", ".join(found[:6]) + (f" and {len(found) - 6} more" if found[6:] else "")


def _alike(root, names):
    """Yield groups of names whose files hold the same bytes, once unpacked."""
    groups = defaultdict(list)
    for name in names:
        groups[_sign(root / name)].append(name)
    for (kind, *_), group in groups.items():
        if len(group) < 2 or kind == "gzip":
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
            return "gzip", file.read(8)
        pieces = hashlib.sha256()
        for start in (0, size // 2, max(size - _PIECE_BYTES, 0)):
            file.seek(start)
            pieces.update(file.read(_PIECE_BYTES))
    return "plain", size, pieces.digest()
