"""What verbs are given: options that several have, read before the long work starts.

Values of the command line enter; settings, and files that can be written, leave.
"""

from pathlib import Path
from typing import Annotated

import typer

import radlatent as rl
from radlatent.cohort.card import read_card
from radlatent.errors import RadlatentError, SchemaError
from radlatent.outputs import check_file, check_folder, sweep
from radlatent.schema import nearest

__all__ = [
    "Allow",
    "Cache",
    "Cohort",
    "Engine",
    "Jobs",
    "RandomState",
    "Root",
    "Settings",
    "check_empty",
    "check_modality",
    "check_new_folder",
    "check_out",
    "settings_of",
    "sources_of",
    "tolerance_of",
]

Cohort = Annotated[
    Path,
    typer.Argument(
        metavar="COHORT",
        help="Folder of a cohort: cohort.yml, cases.csv and endpoints.csv, as 'index' "
        "and 'simulate' write them.",
    ),
]
Root = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="Folder of the images, instead of that in cohort.yml."
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(metavar="N", help="Processes: 1 by default, -1 is every core."),
]
Engine = Annotated[
    str,
    typer.Option(metavar="NAME", help="radlatent, or pyradiomics, the reference."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE",
        help="Preset (hu, suv, mr) or parameter file; MODALITY=FILE, several times, "
        "for one modality each. Without it the presets of cohort.yml.",
    ),
]
Cache = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Finished results; beside OUT by default."),
]
Allow = Annotated[
    int,
    typer.Option(metavar="N", help="Cases put up with that cannot be measured.", min=0),
]
RandomState = Annotated[
    int, typer.Option(metavar="N", help="The same number gives the same result.")
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


def tolerance_of(chosen: str | dict[str, str] | None) -> float | dict | None:
    """Return the ``geometryTolerance`` of settings, as `radlatent.check` takes it.

    Parameters
    ----------
    chosen
        What `settings_of` returned.
    """
    if chosen is None:
        return None
    if isinstance(chosen, dict):
        return {modality: tolerance_of(source) for modality, source in chosen.items()}
    return rl.read_settings(chosen).setting.geometryTolerance


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


def check_out(
    out: Path,
    *beside: str,
    cache: Path | None = None,
    suffixes: tuple[str, ...] = (".parquet", ".csv"),
) -> None:
    """Refuse before the work what could not be written after it.

    Parameters
    ----------
    out
        File of a table.
    beside
        What comes between stem and suffix of the tables beside it.
    cache
        Folder of finished results.
    suffixes
        Of the files that can be written.

    Raises
    ------
    SchemaError
        It is no file of a table, or cannot be one.
    OutputError
        Its folder cannot be written to.
    """
    if out.suffix not in suffixes:
        known = " or ".join((", ".join(suffixes[:-1]), suffixes[-1]))
        msg = f"--out {str(out)!r}: tables are written as {known}."
        raise SchemaError(msg)
    files = [out, *(out.with_name(f"{out.stem}.{name}{out.suffix}") for name in beside)]
    for file in files:
        check_file(file, what="--out")
    if cache is not None:
        check_folder(cache, what="--cache")
    sweep(out.parent, deep=False)


def check_modality(cohort: Path, modality: str | None) -> None:
    """Refuse before the work a cohort of several modalities where none is named.

    Parameters
    ----------
    cohort
        Its folder; what is wrong with it is told by `radlatent.check`.
    modality
        What ``--modality`` says.

    Raises
    ------
    SchemaError
        Nothing is named, or what the cohort does not have.
    """
    try:
        known = list(read_card(cohort).modalities)
    except (RadlatentError, OSError):
        return
    if modality in known or (modality is None and len(known) == 1):
        return
    found = "is not given"
    if modality is not None:
        found = f"is {modality!r}{nearest(modality, known)}"
    msg = f"--modality {found}, and the cohort has {known}: name whose masks are meant."
    raise SchemaError(msg)


def check_new_folder(out: Path, *names: str) -> None:
    """Refuse before the work a folder that could not be written after it.

    Parameters
    ----------
    out
        The folder.
    names
        Files that it must not hold yet.

    Raises
    ------
    SchemaError
        It holds one of them, or cannot be a folder.
    OutputError
        It cannot be written to.
    """
    check_folder(out, what="--out")
    there = [name for name in names if (out / name).exists()]
    if there:
        msg = f"--out {str(out)!r} holds {', '.join(there)}; give another folder."
        raise SchemaError(msg)
    sweep(out)


def check_empty(out: Path) -> None:
    """Refuse before the work a folder that holds something.

    Raises
    ------
    SchemaError
        It does, or cannot be a folder.
    OutputError
        It cannot be written to.
    """
    check_folder(out, what="--out")
    there = sorted(path.name for path in out.iterdir())[:3] if out.exists() else []
    if there:
        msg = f"--out {str(out)!r} holds {', '.join(there)}; give another folder."
        raise SchemaError(msg)


def sources_of(values: list[str]) -> str | dict[str, str]:
    """Return a cohort or a table, or block to table.

    Parameters
    ----------
    values
        As they were given: one path, or ``BLOCK=FILE`` several times.

    Raises
    ------
    SchemaError
        Several are given of which one names no block, or a block is named twice.
    """
    if len(values) == 1 and ("=" not in values[0] or Path(values[0]).exists()):
        return values[0]
    pairs = [value.partition("=") for value in values]
    wrong = [value for value, pair in zip(values, pairs, strict=True) if not pair[1]]
    blocks = [block for block, _, _ in pairs]
    wrong += [block for block in dict.fromkeys(blocks) if blocks.count(block) > 1]
    if wrong:
        msg = (
            f"{wrong[0]!r}: give one folder of a cohort, one table, or BLOCK=FILE once "
            "for each block."
        )
        raise SchemaError(msg)
    return {block: file for block, _, file in pairs}
