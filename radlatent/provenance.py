"""The run record: hashes, versions, devices, and what to mend on this machine.

Paths and names enter, plain values leave; nothing is written here. The record is
assembled by a pure function so that it can be tested without a run.
"""

import hashlib
import importlib.metadata
import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

__all__ = [
    "content_key",
    "doctor",
    "environment",
    "file_hash",
    "run_record",
    "versions",
]

_CORE = (
    "numpy",
    "pandas",
    "scipy",
    "scikit-learn",
    "SimpleITK",
    "PyWavelets",
    "nibabel",
    "joblib",
    "numba",
    "scikit-image",
)
_CHUNK_BYTES = 1 << 20

#: distribution: (module, what it is for, how to get it)
_OPTIONAL = {
    "pyradiomics": (
        "radiomics",
        "reference engine of the hand-crafted features",
        "Python 3.11 and a C compiler: pip install numpy setuptools && "
        "pip install --no-build-isolation pyradiomics==3.0.1",
    ),
    "torch": ("torch", "deep latent features", 'pip install "radlatent[deep]"'),
    "dask": ("distributed", "clusters", 'pip install "radlatent[dask]"'),
}


def file_hash(path: str | Path) -> str:
    """Return the SHA-256 of a file's content, as 64 hexadecimal digits.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    """
    if not Path(path).is_file():
        msg = (
            f"{path}: there is no such file. Restore it, correct the path, or exclude "
            "the case in cases.csv."
        )
        raise FileNotFoundError(msg)
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def content_key(*parts) -> str:
    """Return one key for what JSON can hold, the same on every machine.

    Examples
    --------
    >>> content_key("image", 1) == content_key("image", 1)
    True
    >>> content_key("image", 1) == content_key("image", "1")
    False
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def versions() -> dict[str, str]:
    """Return the versions that a result depends on, by name of distribution."""
    found = {"python": platform.python_version(), "radlatent": _version("radlatent")}
    for name in (*_CORE, *_OPTIONAL):
        version = _version(name)
        if version is not None:
            found[name] = version
    return found


def environment() -> dict:
    """Return versions, machine and state of the source of this process."""
    return {
        "versions": versions(),
        "machine": {"system": platform.platform(), "processor": platform.machine()},
        "git": _git_state(),
    }


def run_record(
    *,
    command: Mapping,
    cohort: Mapping,
    settings: Mapping,
    counts: Mapping,
    outputs: Mapping,
    seconds: Mapping,
    environment: Mapping,
) -> dict:
    """Return the record of one run, ready for JSON.

    Parameters
    ----------
    command
        What was asked for: study, root, jobs.
    cohort
        Name, freeze, hash of the manifest.
    settings
        Everything a user chose, random states included.
    counts
        Patients and cases in, excluded (by reason), failed.
    outputs
        File name to SHA-256.
    seconds
        Wall time a stage.
    environment
        What `environment` returned where the run was.
    """
    return {
        "command": dict(command),
        "cohort": dict(cohort),
        "settings": dict(settings),
        "counts": dict(counts),
        "outputs": dict(outputs),
        "seconds": {stage: round(value, 3) for stage, value in seconds.items()},
        **environment,
    }


def doctor() -> pd.DataFrame:
    """Tell what is installed, which engines and devices work, and how to mend the rest.

    Returns
    -------
    pandas.DataFrame
        One row a component: ``component, purpose, version, status, remedy``. Every
        import is tried in a process of its own, so a broken one breaks nothing.
    """
    rows = [_core_row(name) for name in _CORE]
    rows += [_optional_row(name, *what) for name, what in _OPTIONAL.items()]
    rows.append(_device_row())
    return pd.DataFrame(rows)


def _version(distribution):
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _core_row(name):
    version = _version(name)
    return {
        "component": name,
        "purpose": "core",
        "version": version or "",
        "status": "works" if version else "missing",
        "remedy": "" if version else f"pip install {name}",
    }


def _optional_row(name, module, purpose, remedy):
    version = _version(name)
    row = {"component": name, "purpose": purpose, "version": version or ""}
    if version is None:
        return row | {"status": "not installed", "remedy": remedy}
    ok, said = _python(f"import {module}")
    if ok:
        return row | {"status": "works", "remedy": ""}
    return row | {"status": f"does not import: {said}", "remedy": remedy}


def _device_row():
    row = {"component": "device", "purpose": "training of encoders", "version": ""}
    if _version("torch") is None:
        return row | {"status": "cpu", "remedy": "a GPU is looked for once torch is in"}
    code = "import torch; print(torch.cuda.device_count())"
    ok, said = _python(code)
    count = int(said) if ok and said.isdigit() else 0
    remedy = "" if count else "without a GPU training runs on the CPU"
    return row | {"status": f"cpu, {count} GPU", "remedy": remedy}


def _python(code):
    """Run code in a fresh interpreter; return success and its last line."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    return done.returncode == 0, lines[-1] if lines else ""


def _git_state():
    """Return commit and dirty flag of the source tree, None for an installed copy."""
    here = Path(__file__).parent
    # an installed copy may lie inside somebody else's repository: ask for our file
    commands = (
        ("ls-files", "--error-unmatch", Path(__file__).name),
        ("rev-parse", "HEAD"),
        ("status", "--porcelain"),
    )
    try:
        _, commit, changes = (
            subprocess.run(
                ["git", "-C", str(here), *command],
                capture_output=True,
                text=True,
                check=True,
            ).stdout.strip()
            for command in commands
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return {"commit": commit, "dirty": bool(changes)}
