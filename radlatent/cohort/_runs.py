"""Folders that a simulation writes: finished, unfinished, or of something else."""

import json
import os
from pathlib import Path

__all__ = ["FINISHED", "STARTED", "is_finished", "replace_text"]

STARTED, FINISHED = "truth.partial.json", "truth.json"


def is_finished(out: Path, record: dict) -> bool:
    """Return whether ``out`` holds this cohort, or raise if it holds another thing."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    for name in (FINISHED, STARTED):
        if (out / name).is_file():
            found = json.loads((out / name).read_text(encoding="utf-8"))
            if {key: found.get(key) for key in record} == record:
                return name == FINISHED
            what = f"a simulation with {found.get('arguments')!r}"
            break
    else:
        what = "files that simulate did not write"
    msg = (
        f"{out} holds {what}. Give another folder, or delete this one: nothing was "
        "written."
    )
    raise FileExistsError(msg)


def replace_text(path: Path, text: str) -> None:
    """Write a file whose name appears when its content is whole."""
    partial = path.with_suffix(".tmp")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
