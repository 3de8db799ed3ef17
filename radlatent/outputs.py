"""Outputs: files that appear whole or not at all, on disks that are full or closed.

A path enters; a file with its final name appears, or an error that names the folder,
what is wrong with it, and what is kept. What a killed run was writing is swept.
"""

import contextlib
import errno
import functools
import hashlib
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from radlatent.errors import OutputError, SchemaError

__all__ = [
    "as_output_error",
    "check_file",
    "check_folder",
    "drafted",
    "drafting_folder",
    "replace_bytes",
    "replace_file",
    "replace_text",
    "sweep",
]

#: What keeps a machine from writing, and how it is said of a folder.
_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota of the disk is used up",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "there is no permission to write",
    errno.EPERM: "there is no permission to write",
}

#: The same in the words of libraries that raise something else than an OSError.
_WORDS = (
    (
        re.compile(r"no space left|disk is full|os error 28\b", re.IGNORECASE),
        errno.ENOSPC,
    ),
    (re.compile(r"quota exceeded|os error 122\b", re.IGNORECASE), errno.EDQUOT),
    (re.compile(r"read-only file system|os error 30\b", re.IGNORECASE), errno.EROFS),
)

#: With less than this left, what a library could not write is a matter of the disk.
_FULL_BYTES = 4096

#: A draft tells who writes it: the machine and the process.
_DRAFT = re.compile(r"\.(?P<machine>[0-9a-f]{8})-(?P<pid>\d+)(\.part|\.writing)$")

#: Drafts that tell nothing, of radlatent 0.1.
_UNSIGNED = re.compile(
    r"(tmp\w{8}|.*\.(csv|parquet|json|safetensors))\.part|\.writing-\w{8}"
)

#: Seconds after which a draft is left over whose process cannot be asked for.
_UNSIGNED_S, _ELSEWHERE_S = 3600.0, 86400.0


def replace_file(path: str | Path, write: Callable[[str], object]) -> None:
    """Write a file whose name appears only when its content is whole.

    Parameters
    ----------
    path
        The file.
    write
        Called with the path of the draft, in the same folder.

    Raises
    ------
    OutputError
        The disk is full, or cannot be written to.
    """
    with drafted(path) as draft:
        write(str(draft))


def replace_text(path: str | Path, text: str) -> None:
    """Write a text file whose name appears only when its content is whole."""
    replace_file(path, lambda draft: Path(draft).write_text(text, "utf-8"))


def replace_bytes(path: str | Path, content: bytes) -> None:
    """Write a file of bytes whose name appears only when its content is whole."""
    replace_file(path, lambda draft: Path(draft).write_bytes(content))


@contextlib.contextmanager
def drafted(path: str | Path) -> Iterator[Path]:
    """Give the path of a draft, which gets its final name when all went well."""
    path = Path(path)
    draft = path.with_name(f"{path.name}.{_signature()}.part")
    try:
        yield draft
        # whenever the run is killed, the name holds the old content or the new one
        os.replace(draft, path)
    except BaseException as error:
        # asked before the draft makes room
        cause = as_output_error(error, path.parent)
        with contextlib.suppress(OSError):
            draft.unlink()
        if cause is not None:
            raise cause from error
        raise


@contextlib.contextmanager
def drafting_folder(path: str | Path) -> Iterator[Path]:
    """Give the path of a draft with the name of the file, in a folder of its own.

    For libraries that read the format from the ending of a name.
    """
    path = Path(path)
    folder = path.with_name(f".{path.name}.{_signature()}.writing")
    try:
        folder.mkdir(exist_ok=True)
        yield folder / path.name
        if _is_full(folder):
            # some libraries take no notice, and leave half a file
            raise OSError(errno.ENOSPC, "nothing is left")
        os.replace(folder / path.name, path)
    except BaseException as error:
        cause = as_output_error(error, path.parent)
        if cause is not None:
            raise cause from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def as_output_error(error: BaseException, folder: str | Path) -> OutputError | None:
    """Return what keeps the machine from writing, or None where it is something else.

    Parameters
    ----------
    error
        What a library raised as it wrote.
    folder
        Where it wrote.
    """
    if isinstance(error, OutputError) or not isinstance(error, Exception):
        return None
    code = error.errno if isinstance(error, OSError) else None
    if code not in _REASONS:
        said = f"{error} {error.__cause__ or ''} {error.__context__ or ''}"
        found = (code for words, code in _WORDS if words.search(said))
        code = next(found, errno.ENOSPC if _is_full(folder) else None)
    if code is None:
        return None
    msg = (
        f"{Path(folder).absolute()}: {_REASONS[code]}. Nothing half-written got its "
        "final name, and what is finished is kept: make room there or give another "
        "folder, and start again."
    )
    return OutputError(msg)


def _is_full(folder):
    try:
        return shutil.disk_usage(_there(folder)).free < _FULL_BYTES
    except OSError:
        return False


def check_file(path: str | Path, *, what: str = "out") -> None:
    """Refuse before the work a file that could not be written after it.

    Parameters
    ----------
    path
        The file; nothing is made.
    what
        How the message calls it.

    Raises
    ------
    SchemaError
        It is a folder, or below a file.
    OutputError
        Its folder cannot be written to.
    """
    if Path(path).is_dir():
        msg = f"{what} {str(path)!r} is a folder; give a file."
        raise SchemaError(msg)
    check_folder(Path(path).parent, what=what)


def check_folder(path: str | Path, *, what: str = "out") -> None:
    """Refuse before the work a folder that could not be made or written into.

    Parameters
    ----------
    path, what
        As in `check_file`; errors as well.
    """
    path = Path(path)
    if os.path.lexists(path) and not path.is_dir():
        msg = f"{what} {str(path)!r} is a file; give a folder."
        raise SchemaError(msg)
    there = _there(path)
    if not there.is_dir():
        msg = (
            f"{what} {str(path)!r}: a part of the path, {str(there)!r}, is a file, not "
            "a folder."
        )
        raise SchemaError(msg)
    try:
        with tempfile.TemporaryFile(dir=there) as probe:
            probe.write(b"radlatent")
    except OSError as error:
        cause = as_output_error(error, there)
        if cause is None:
            raise
        raise cause from error


def _there(path):
    """Return what is there of a path: itself, or the nearest folder above."""
    path = Path(path).absolute()
    return next(one for one in (path, *path.parents) if os.path.lexists(one))


def sweep(folder: str | Path, *, deep: bool = True) -> None:
    """Remove the drafts of runs that were killed; those of a run that lives stay.

    Parameters
    ----------
    folder
        Where they were writing; it need not be there.
    deep
        Whether folders below belong to the run as well. Where not, other things lie
        here too, and only drafts that tell their process are removed.
    """
    folder = Path(folder)
    if not folder.is_dir():
        return
    found = folder.rglob("*") if deep else folder.iterdir()
    for path in [path for path in found if _is_left(path, deep)]:
        # another process may sweep as well
        with contextlib.suppress(OSError):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _is_left(path, deep):
    """Return whether nobody is writing a draft any more."""
    signed = _DRAFT.search(path.name)
    if signed is None and not (deep and _UNSIGNED.fullmatch(path.name)):
        return False
    if signed and signed["machine"] == _machine():
        return not _lives(int(signed["pid"]))
    try:
        age = time.time() - path.stat().st_mtime
    except OSError:
        return False
    return age > (_ELSEWHERE_S if signed else _UNSIGNED_S)


def _lives(pid):
    if os.name == "nt":  # there, to ask a process is to end it
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _signature():
    return f"{_machine()}-{os.getpid()}"


@functools.cache
def _machine():
    """Return what process ids are of: a host, and on Linux a container of it."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    name = f"{platform.node()} {space}"
    return hashlib.sha256(name.encode()).hexdigest()[:8]
