"""What verbs are given: options that several have, read before the long work starts.

Values of the command line enter; settings, and files that can be written, leave.
"""

from pathlib import Path
from typing import Annotated

import typer

import radlatent as rl
from radlatent.errors import SchemaError

__all__ = [
    "Allow",
    "Cache",
    "Engine",
    "Jobs",
    "Root",
    "Settings",
    "check_folder",
    "check_out",
    "settings_of",
]

Root = Annotated[Path | None, typer.Option(help="Folder of the images.")]
Jobs = Annotated[int | None, typer.Option(help="Processes; -1 is every core.")]
Engine = Annotated[str, typer.Option(help="radlatent, or pyradiomics, the reference.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(help="Preset or parameter file; MODALITY=FILE for one of them."),
]
Cache = Annotated[
    Path | None, typer.Option(help="Finished results; beside OUT by default.")
]
Allow = Annotated[
    int, typer.Option(help="Cases put up with that cannot be measured.", min=0)
]


def settings_of(values: list[str] | None) -> str | dict[str, str] | None:
    """Return what ``--settings`` says, having read every one of them.

    Parameters
    ----------
    values
        As they were given.

    Raises
    ------
    SchemaError
        Settings are faulty, or it is not clear which are for which modality.
    """
    chosen = _sources(values)
    for source in chosen.values() if isinstance(chosen, dict) else [chosen]:
        if source is not None:
            rl.read_settings(source)
    return chosen


def _sources(values):
    """Return one source, or modality to source, from the values of ``--settings``."""
    if not values:
        return None
    # a file whose name holds "=" is a file
    pairs = [
        (value, "", "") if Path(value).is_file() else value.partition("=")
        for value in values
    ]
    if all(not equals for _, equals, _ in pairs):
        if len(values) > 1:
            msg = f"--settings is given {len(values)} times: write MODALITY=FILE."
            raise SchemaError(msg)
        return values[0]
    wrong = [left for left, equals, _ in pairs if not equals]
    if wrong:
        msg = f"--settings {wrong[0]!r}: write MODALITY=FILE, as in the other ones."
        raise SchemaError(msg)
    return {modality: source for modality, _, source in pairs}


def check_out(out: Path) -> None:
    """Refuse before the work what could not be written after it.

    Parameters
    ----------
    out
        File of a table.

    Raises
    ------
    SchemaError
        It is no file of a table, or cannot be one.
    """
    if out.suffix not in (".parquet", ".csv"):
        msg = f"--out {str(out)!r}: tables are written as .parquet or .csv."
        raise SchemaError(msg)
    if out.is_dir():
        msg = f"--out {str(out)!r} is a folder; give a file."
        raise SchemaError(msg)
    _check_parents(out)
    out.parent.mkdir(parents=True, exist_ok=True)


def check_folder(out: Path, *names: str) -> None:
    """Refuse before the work a folder that could not be written after it.

    Parameters
    ----------
    out
        The folder; made where it is absent.
    names
        Files that it must not hold yet.

    Raises
    ------
    SchemaError
        It holds one of them, or cannot be a folder.
    """
    if out.exists() and not out.is_dir():
        msg = f"--out {str(out)!r} is a file; give a folder."
        raise SchemaError(msg)
    there = [name for name in names if (out / name).exists()]
    if there:
        msg = f"--out {str(out)!r} holds {', '.join(there)}; give another folder."
        raise SchemaError(msg)
    _check_parents(out)
    out.mkdir(parents=True, exist_ok=True)


def _check_parents(out):
    if any(parent.exists() and not parent.is_dir() for parent in out.parents):
        msg = f"--out {str(out)!r}: a part of the path is a file, not a folder."
        raise SchemaError(msg)
