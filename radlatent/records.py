"""Records on disk: JSON that says what it is of, and files that are whole or absent.

A path enters; a checked dictionary leaves, or a file appears. What a record means is
known by the room that wrote it.
"""

import json
import os
from collections.abc import Callable, Collection
from pathlib import Path

from radlatent.errors import SchemaError

__all__ = ["read_record", "replace_file", "replace_text", "write_record"]


def read_record(
    path: str | Path, *, of: str, keys: Collection[str], version: int
) -> dict:
    """Return what a file of JSON holds, if it is what was asked for.

    Parameters
    ----------
    path
        The file; it holds an object with the keys ``format`` and ``versions``.
    of
        What it has to be of, for the messages: ``"an encoder"``.
    keys
        The keys it has to have.
    version
        The format that this version of radlatent reads.

    Raises
    ------
    FileNotFoundError
        The file is not there.
    SchemaError
        It is no JSON, of something else, or of another format.
    """
    path = Path(path)
    try:
        about = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        msg = f"{path} is not JSON: {error}"
        raise SchemaError(msg) from error
    needed = {"format", "versions", *keys}
    absent = sorted(needed - set(about) if isinstance(about, dict) else needed)
    if absent:
        msg = f"{path} is not of {of}: it lacks {absent}."
        raise SchemaError(msg)
    if about["format"] != version:
        msg = (
            f"{path} has format {about['format']!r}; this version of radlatent reads "
            f"{version}. It was written with {about['versions']}."
        )
        raise SchemaError(msg)
    return about


def write_record(path: str | Path, about: dict) -> None:
    """Write a record whose name appears only when its content is whole."""
    replace_text(path, json.dumps(about, indent=1) + "\n")


def replace_text(path: str | Path, text: str) -> None:
    """Write a text file whose name appears only when its content is whole."""
    replace_file(path, lambda part: Path(part).write_text(text, "utf-8"))


def replace_file(path: str | Path, write: Callable[[str], object]) -> None:
    """Write a file whose name appears only when its content is whole.

    Parameters
    ----------
    path
        The file.
    write
        Called with the path of the draft, in the same folder.
    """
    path = Path(path)
    part = path.with_name(f"{path.name}.part")
    # whenever the run is killed, the name holds the old content or the new one
    write(str(part))
    os.replace(part, path)
