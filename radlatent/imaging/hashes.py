"""Hashes of files, kept for the next run: it need not read what has not changed.

A file enters, its SHA-256 leaves with what proves later that its content is the same;
and from a folder of finished results come the hashes of files for which it still does.

That a time stands still proves nothing: copies and archives set it, some disks round
it. A kept hash holds where two witnesses agree that do not know each other: what the
disk says of the file (place, size, times of change), and checksum and length of the
content, which end a packed NIfTI file. Other files are hashed again.
"""

import contextlib
import fnmatch
import json
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from radlatent.imaging.stored import is_sealed
from radlatent.outputs import check_folder, replace_text
from radlatent.provenance import file_hash
from radlatent.shards import Part, current

__all__ = ["Hashed", "hash_file", "keep_hashes", "kept_hashes"]

#: A SHA-256, and what proves the content; None where nothing does.
Hashed = tuple[str, list | None]

#: Not named as the results that lie beside it.
_FILE = "hashes.index"
_OF_PART = "hashes.{}.index"

#: Nanoseconds that the clock of a disk may be too coarse by: FAT counts in two seconds.
#: A file that changed so short ago may change again without telling.
_COARSE_NS = 5 * 10**9


def hash_file(path: str | os.PathLike) -> Hashed:
    """Return the hash of a file, and what proves later that it is still that of it.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    """
    start, before = time.time_ns(), _proof(path)
    digest = file_hash(path)
    if before is None or before != _proof(path) or not is_sealed(path):
        return digest, None
    _, *times = before[:3]
    return digest, before if start - max(times) > _COARSE_NS else None


def kept_hashes(
    folder: str | os.PathLike | None, paths: Iterable[Path]
) -> dict[Path, str]:
    """Return the hashes that a folder keeps of those files that did not change.

    Parameters
    ----------
    folder
        Of finished results; None keeps nothing.
    paths
        The files.
    """
    kept = _read(folder)
    found = {}
    for path in paths:
        digest, proof = kept.get(str(Path(path).absolute()), (None, None))
        if proof is not None and proof == _proof(path):
            found[path] = digest
    return found


def keep_hashes(
    folder: str | os.PathLike | None, hashed: Mapping[Path, Hashed]
) -> None:
    """Keep the hashes of files whose content can be proved; others are forgotten.

    Parameters
    ----------
    folder
        As in `kept_hashes`; it is made.
    hashed
        Files to what `hash_file` returned.
    """
    if folder is None or not hashed:
        return
    before = _read(folder)
    kept = dict(before)
    for path, (digest, proof) in hashed.items():
        kept.pop(str(Path(path).absolute()), None)
        if proof is not None:
            kept[str(Path(path).absolute())] = [digest, proof]
    if kept == before:
        return
    check_folder(folder, what="cache")
    Path(folder).mkdir(parents=True, exist_ok=True)
    part = current()
    # parts that write at a time would lose what the other has just written
    name = _OF_PART.format(part.shard.number) if isinstance(part, Part) else _FILE
    replace_text(Path(folder) / name, json.dumps(kept))


def _proof(path):
    """Return size, times of change, place and last bytes of a file, None without."""
    try:
        about = os.stat(path)
        with Path(path).open("rb") as file:
            file.seek(max(about.st_size - 8, 0))
            end = file.read(8)
    except OSError:
        return None
    times = about.st_mtime_ns, about.st_ctime_ns
    return [about.st_size, *times, about.st_dev, about.st_ino, end.hex()]


def _read(folder):
    """Return what a folder keeps; a file that cannot be read keeps nothing."""
    if folder is None:
        return {}
    found = {}
    for name in _names(folder):
        with contextlib.suppress(OSError, ValueError):
            kept = json.loads((Path(folder) / name).read_text("utf-8"))
            found |= kept if isinstance(kept, dict) else {}
    return {
        path: one
        for path, one in found.items()
        if isinstance(one, list) and len(one) == 2 and isinstance(one[0], str)
    }


def _names(folder):
    """Return the files that hashes are kept in: that of one run, those of parts."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    return [_FILE, *fnmatch.filter(names, _OF_PART.format("*"))]
