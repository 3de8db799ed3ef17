"""Loops that numba compiles once a machine; later processes load them from disk.

A package of kernels says so in its ``__init__``. The folder of their machine code is
named by everything that it depends on, since numba notices neither a changed kernel
that another one calls nor a write that was cut off. It is in ``$NUMBA_CACHE_DIR``,
``$XDG_CACHE_HOME/radlatent`` or ``~/.cache/radlatent``; where none can be written to,
every process compiles for itself.
"""

import hashlib
import importlib
import logging
import os
import platform
import shutil
import tempfile
from pathlib import Path
from pickle import UnpicklingError
from types import ModuleType

import llvmlite.binding
import numba

__all__ = ["load"]

_log = logging.getLogger(__name__)

_DONE = "complete"

#: Folders of this process alone: they go with it.
_OWN = []


def load(package: str, *names: str, what: str) -> list[ModuleType]:
    """Import modules of kernels, with their machine code kept on disk.

    Parameters
    ----------
    package
        Name of the package in whose ``__init__`` this is called.
    names
        Its modules; each kernel in them has one signature and ``cache=True``.
    what
        What they are and how long they take to compile, for the log.
    """
    home = None
    try:
        home = _folder(package)
        return _import(package, names, home, what)
    # numba says so of a damaged file, of a full disk, of a folder it may not write to
    except (EOFError, UnpicklingError, OSError, RuntimeError) as error:
        _log.warning(
            "Compiled kernels cannot be kept in %s (%s: %s): it is emptied, and this "
            "process compiles its own. If this is told again, set NUMBA_CACHE_DIR to a "
            "folder that can be written to.",
            home,
            type(error).__name__,
            error,
        )
        if home is not None and (home / _DONE).exists():
            # whole, and yet damaged; an unfinished one may be another process' work
            shutil.rmtree(home, ignore_errors=True)
    _OWN.append(tempfile.TemporaryDirectory(prefix="radlatent-kernels-"))
    return _import(package, names, Path(_OWN[-1].name), what)


def _folder(package):
    base = os.environ.get("NUMBA_CACHE_DIR")
    if not base:
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        base = Path(cache) / "radlatent"
    digest = hashlib.sha256(package.encode())
    source = Path(importlib.util.find_spec(package).origin).parent
    for path in sorted(source.glob("*.py")):
        digest.update(path.read_bytes())
    machine = (numba.__version__, llvmlite.__version__, platform.python_version())
    machine += (llvmlite.binding.get_host_cpu_name(), platform.machine())
    digest.update(repr(machine).encode())
    return Path(base) / f"kernels-{digest.hexdigest()[:16]}"


def _import(package, names, folder, what):
    """Import the modules with their machine code in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / _DONE).exists():
        _log.warning(
            "Compiling %s, once on this machine; they are kept in %s", what, folder
        )
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder)
    try:
        modules = [importlib.import_module(f"{package}.{name}") for name in names]
    finally:
        numba.config.CACHE_DIR = before
    (folder / _DONE).touch()
    return modules
