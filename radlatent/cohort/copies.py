"""One image under several patients: the leak that folds by patient cannot see.

A cohort enters, problems leave. Copies are found without reading every file: what
cannot be a copy differs in size, or in the checksum at the end of a gzip stream.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path

from radlatent.cohort.manifest import Cohort
from radlatent.provenance import file_hash

__all__ = ["one_path_notes", "shared_images"]

_PIECE_BYTES = 1 << 16


def shared_images(cohort: Cohort, damaged: Collection[str] = ()) -> Iterator[dict]:
    """Yield a problem for every image that several patients have under several names.

    Parameters
    ----------
    cohort
        Included cases alone are looked at. Lesions of one patient may share an image.
    damaged
        Images, as ``cases.csv`` names them, that have a problem of their own.
    """
    owners = defaultdict(dict)  # path -> {patient: first case}
    for case_id, case in cohort.included.iterrows():
        for modality in cohort.modalities:
            name = case[f"image_{modality}"]
            if name is None or name in damaged:
                continue
            if (cohort.root / name).is_file():
                owners[name].setdefault(case["patient_id"], (case_id, modality))
    for names in _alike(cohort.root, owners):
        cases = {p: case for name in names for p, case in owners[name].items()}
        if len(cases) < 2 or len(names) < 2:
            continue
        patients = sorted(cases)
        case_id, modality = cases[patients[0]]
        yield {
            "problem": (
                f"patients {patients[:8]}{' ...' if len(patients) > 8 else ''} have "
                f"one image ({', '.join(sorted(names)[:3])}): tested on a copy, a "
                "model has seen its patient"
            ),
            "remedy": (
                "Give one person one patient_id, or exclude the copies (exclude, "
                "exclude_reason)"
            ),
            "file": "cases.csv",
            "row": cohort.cases.loc[case_id, "line"],
            "case_id": case_id,
            "column": f"image_{modality}",
            "value": sorted(names)[0],
            "cases": tuple(case for case, _ in cases.values()),
        }


def one_path_notes(cohort: Cohort) -> list[str]:
    """Return a note for every image whose path several patients are given.

    Whoever wrote the table may mean it, where models see no image; copies under other
    names nobody means.
    """
    owners = defaultdict(set)
    for modality in cohort.modalities:
        for patient, name in cohort.included[
            ["patient_id", f"image_{modality}"]
        ].values:
            if name is not None:
                owners[name].add(patient)
    return [
        f"{len(patients)} patients have one image ({name}): {sorted(patients)[:5]}; a "
        "model that sees it is tested on what it was fitted on"
        for name, patients in owners.items()
        if len(patients) > 1
    ]


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
