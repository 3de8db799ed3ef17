"""The run record: hashes, versions, devices, and what to mend on this machine.

Paths and names enter, plain values leave; nothing is written here. The record is
assembled by a pure function so that it can be tested without a run.
"""

import hashlib
import importlib.metadata
import json
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "content_key",
    "doctor",
    "environment",
    "examine",
    "file_hash",
    "is_sound",
    "run_record",
    "versions",
]

#: What a result depends on, where it is installed.
_TOLD = (
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
    "pyradiomics",
    "torch",
    "dask",
)
_CHUNK_BYTES = 1 << 20

#: What an extra of ours is for, and how to get it where pip alone does not do.
_EXTRAS = {
    "deep": ("deep latent features", 'pip install "radlatent[deep]"'),
    "dicom": ("DICOM files", 'pip install "radlatent[dicom]"'),
    "dask": ("clusters", 'pip install "radlatent[dask]"'),
    "reference": (
        "reference engine of the hand-crafted features",
        "Python 3.11 and a C compiler: pip install numpy setuptools && "
        'pip install --no-build-isolation "radlatent[reference]"',
    ),
}

#: A requirement of metadata: ``dask[distributed]>=2024.5; extra == "dask"``.
_REQUIREMENT = re.compile(
    r"(?P<name>[\w.-]+)\s*(\[(?P<extras>[^]]*)\])?\s*\(?(?P<bounds>[^;)]*)\)?\s*"
    r"(;.*extra\s*==\s*['\"](?P<extra>[\w.-]+)['\"])?"
)

#: Seconds after which an import is taken for hanging.
_IMPORT_S = 120.0


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
    for name in _TOLD:
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


def doctor() -> "pd.DataFrame":
    """Tell what is installed, which engines and devices work, and how to mend the rest.

    Returns
    -------
    pandas.DataFrame
        One row a component: ``component, purpose, version, status, remedy``. Every
        import is tried in a process of its own, so a broken one breaks nothing.
    """
    # what cannot be imported is what this is asked about
    import pandas as pd

    return pd.DataFrame(examine())


def examine() -> list[dict[str, str]]:
    """Return the rows of `doctor`, and need no library for it.

    What is listed are the requirements in the metadata of the installed radlatent: its
    own (purpose ``required``), and those of its extras but ``dev``, each with a row
    that says whether all of the extra works.
    """
    needed = _needed()
    if not needed:
        remedy = "pip install radlatent, or pip install -e . in its folder"
        return [_row("radlatent", "required", "missing", remedy)]
    modules = _modules()
    # imports take seconds, most of them waiting for the disk
    with ThreadPoolExecutor() as pool:
        rows = list(pool.map(lambda one: _examined(one, modules), needed))
    rows += [_extra_row(extra, rows) for extra in _EXTRAS]
    return [*rows, _device_row(rows)]


def is_sound(rows: Iterable[Mapping[str, str]]) -> bool:
    """Return whether everything required works, and nothing installed is broken.

    An extra that is not installed is none of the two.
    """
    return all(
        row["status"] == "works"
        or (row["purpose"] != "required" and not row["status"].startswith(_BROKEN))
        for row in rows
    )


#: How the status of what is there and does not work begins.
_BROKEN = ("does not import", "is too old")


def _version(distribution):
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _needed():
    """Return what our metadata asks for: name, extra ("" is required) and bounds."""
    found = {}
    for one in _requirements("radlatent"):
        extra = one["extra"] or ""
        if extra and extra not in _EXTRAS:
            continue
        found.setdefault(one["name"], one | {"extra": extra})
        # dask[distributed]: what the other distribution asks for under that name
        for inner in filter(None, re.split(r"[\s,]+", one["extras"] or "")):
            for other in _requirements(one["name"]):
                if other["extra"] == inner and not other["extras"]:
                    found.setdefault(other["name"], other | {"extra": extra})
    return list(found.values())


def _requirements(distribution):
    try:
        texts = importlib.metadata.requires(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    return [_REQUIREMENT.match(text).groupdict() for text in texts]


def _modules():
    """Return what each installed distribution lets one import, by its plain name."""
    found = {}
    for module, owners in importlib.metadata.packages_distributions().items():
        for owner in owners:
            found.setdefault(_plain(owner), set()).add(module)
    return found


def _plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def _examined(needed, modules):
    name, extra = needed["name"], needed["extra"]
    purpose, remedy = _EXTRAS.get(extra, ("required", f'pip install "{name}"'))
    if extra:
        purpose = f"of radlatent[{extra}]"
    version = _version(name)
    if version is None:
        status = "not installed" if extra else "missing"
        return _row(name, purpose, status, remedy)
    least = re.search(r">=\s*([\d.]+)", needed["bounds"])
    if least and _numbers(version) < _numbers(least[1]):
        status = f"is too old: {needed['bounds'].strip()} is needed"
        remedy = f'pip install --upgrade "{name}{needed["bounds"].strip()}"'
        return _row(name, purpose, status, remedy, version)
    ok, said = _python(f"import {', '.join(_imported(name, modules))}")
    if ok:
        return _row(name, purpose, "works", "", version)
    # pip leaves what is there as it is
    known = version.partition("+")[0]
    remedy = f'pip install --force-reinstall --no-deps "{name}=={known}"'
    return _row(name, purpose, f"does not import: {said}", remedy, version)


def _imported(name, modules):
    """Return the modules whose import tells that a distribution works."""
    own = _plain(name).replace("-", "_")
    known = {m for m in modules.get(_plain(name), ()) if not m.startswith("_")}
    by_name = {m for m in known if m.lower() == own}
    return sorted(by_name or known) or [own]


def _numbers(version):
    return [int(part) for part in re.findall(r"\d+", version.split("+")[0])[:3]]


def _extra_row(extra, rows):
    """Return the row of an extra: all that it asks for works, or what does not."""
    purpose, remedy = _EXTRAS[extra]
    parts = [row for row in rows if row["purpose"] == f"of radlatent[{extra}]"]
    lost = [row["component"] for row in parts if row["status"] != "works"]
    status = f"needs {', '.join(lost)}" if lost else "works"
    return _row(f"radlatent[{extra}]", purpose, status, remedy if lost else "")


def _device_row(rows):
    told = ("device", "training of encoders")
    status = {row["component"]: row["status"] for row in rows}
    if status.get("torch") != "works":
        return _row(*told, "cpu", "a GPU is looked for once torch is in")
    ok, said = _python("import torch; print(torch.cuda.device_count())")
    count = int(said) if ok and said.isdigit() else 0
    remedy = "" if count else "without a GPU training runs on the CPU"
    return _row(*told, f"cpu, {count} GPU", remedy)


def _row(component, purpose, status, remedy, version=""):
    return {
        "component": component,
        "purpose": purpose,
        "version": version,
        "status": status,
        "remedy": remedy,
    }


def _python(code):
    """Run code in a fresh interpreter; return success and its last line."""
    told = {"capture_output": True, "text": True, "check": False}
    try:
        done = subprocess.run([sys.executable, "-c", code], timeout=_IMPORT_S, **told)
    except subprocess.TimeoutExpired:
        return False, f"no end after {_IMPORT_S:.0f} s"
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    # a library that crashes says nothing
    silent = f"exit code {done.returncode}" if done.returncode else ""
    return done.returncode == 0, lines[-1] if lines else silent


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
