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
from pathlib import Path

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


def _make(folder):
    """Return whether the folder is there and can be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{os.getpid()}.tmp").touch()
        (folder / f"{os.getpid()}.tmp").unlink()
    except OSError as error:
        _log.warning(
            "no folder to keep compiled kernels in (%s): they are compiled again by "
            "every process. Set NUMBA_CACHE_DIR to a folder that can be written to.",
            error,
        )
        return False
    return True


_home = _folder()
if _make(_home) and not (_home / _DONE).exists():
    _log.warning(
        "Compiling the kernels of the engine 'radlatent', once on this machine "
        "(about 20 s); they are kept in %s",
        _home,
    )
_before = numba.config.CACHE_DIR
numba.config.CACHE_DIR = str(_home)
try:
    from radlatent.handcrafted.kernels import gaussian, mesh, texture
finally:
    numba.config.CACHE_DIR = _before
if _home.exists():
    (_home / _DONE).touch()
