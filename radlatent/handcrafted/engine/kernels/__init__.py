"""Compiled loops: arrays in, arrays filled. The only modules that import numba.

Each kernel has one signature and is compiled once a machine; later processes load it
from disk. The folder is named by everything the machine code depends on, since numba
notices neither a changed kernel that another one calls nor a write that was cut off.
It is ``$NUMBA_CACHE_DIR``, ``$XDG_CACHE_HOME/radlatent`` or ``~/.cache/radlatent``;
where none can be written to, every process compiles for itself.
"""

import hashlib
import logging
import os
import platform
import shutil
import tempfile
from pathlib import Path
from pickle import UnpicklingError

import llvmlite.binding
import numba

__all__ = ["gaussian", "mesh", "texture"]

_log = logging.getLogger(__name__)

_DONE = "complete"


def _folder():
    base = os.environ.get("NUMBA_CACHE_DIR")
    if not base:
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        base = Path(cache) / "radlatent"
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    machine = (numba.__version__, llvmlite.__version__, platform.python_version())
    machine += (llvmlite.binding.get_host_cpu_name(), platform.machine())
    digest.update(repr(machine).encode())
    return Path(base) / f"kernels-{digest.hexdigest()[:16]}"


def _import():
    from radlatent.handcrafted.engine.kernels import gaussian, mesh, texture

    return gaussian, mesh, texture


def _load(folder):
    """Import the kernels with their machine code in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / _DONE).exists():
        _log.warning(
            "Compiling the kernels of the engine 'radlatent', once on this machine "
            "(about 20 s); they are kept in %s",
            folder,
        )
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder)
    try:
        kernels = _import()
    finally:
        numba.config.CACHE_DIR = before
    (folder / _DONE).touch()
    return kernels


_home = None
try:
    _home = _folder()
    gaussian, mesh, texture = _load(_home)
# what numba says of a damaged file, of a full disk, of a folder it may not write to
except (EOFError, UnpicklingError, OSError, RuntimeError) as error:
    _log.warning(
        "Compiled kernels cannot be kept in %s (%s: %s): it is emptied, and this "
        "process compiles its own. If this is told again, set NUMBA_CACHE_DIR to a "
        "folder that can be written to.",
        _home,
        type(error).__name__,
        error,
    )
    if _home is not None and (_home / _DONE).exists():
        # whole, and yet damaged; an unfinished one may be another process' work
        shutil.rmtree(_home, ignore_errors=True)
    _own = tempfile.TemporaryDirectory(prefix="radlatent-kernels-")
    gaussian, mesh, texture = _load(Path(_own.name))
