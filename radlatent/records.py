"""Records and models on disk: JSON and tensors, whole or absent, and no code in them.

A path enters; a checked dictionary, or the model that is made of it, leaves, or files
appear. What a record means is known by the room that wrote it: a model gives its
``state()``, a record and tensors, and is made ``of`` them.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from radlatent.errors import SchemaError
from radlatent.outputs import replace_file, replace_text

__all__ = [
    "Kind",
    "parameters_from",
    "parameters_of",
    "read_model",
    "read_record",
    "read_tensors",
    "replace_file",
    "replace_text",
    "write_model",
    "write_record",
    "write_tensors",
]

#: What files with the right keys and wrong values raise; a SchemaError is a ValueError.
_FAULTS = (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)

_HASH = "sha256:"

Model = TypeVar("Model")


@dataclass(frozen=True)
class Kind:
    """What the files of one kind of model are.

    Parameters
    ----------
    of
        What they are of, for the messages: ``"an encoder"``.
    version
        The format that this version of radlatent writes and reads.
    keys
        What the record itself holds, without its parts.
    tensors
        Name of the file of the tensors, beside the record; None: there are none.
    parts
        Key of what the record holds in a file of its own: its name, and its kind.
    """

    of: str
    version: int
    keys: frozenset[str]
    tensors: str | None = None
    parts: Mapping[str, tuple[str, "Kind"]] = field(default_factory=dict)

    def beside(self) -> list[str]:
        """Return the names of the files that belong to the record."""
        names = [name for name, _ in self.parts.values()]
        return [self.tensors, *names] if self.tensors else names

    def read(self, path: Path) -> dict:
        """Return what the record holds; errors as of `read_record`."""
        told = {"hashes"} if self.parts else {"tensors"} if self.tensors else set()
        keys = told | self.keys
        return read_record(path, of=self.of, keys=keys, version=self.version)


def write_model(
    path: str | Path,
    kind: Kind,
    record: Mapping[str, object],
    tensors: Mapping[str, np.ndarray],
) -> None:
    """Write what a model gives as its ``state()``.

    Parameters
    ----------
    path
        The file of the record; the others appear beside it, and it appears last.
    kind
        What the files are.
    record
        What JSON can hold of the model, and the ``versions`` it is of.
    tensors
        Name to array.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind.tensors:
        write_tensors(path.with_name(kind.tensors), tensors)
    for key, (name, part) in kind.parts.items():
        write_model(path.with_name(name), part, record[key], {})
    own = {key: value for key, value in record.items() if key not in kind.parts}
    hashes = {name: _hash(path.with_name(name)) for name in kind.beside()}
    if kind.parts:
        own["hashes"] = hashes
    elif kind.tensors:
        own["tensors"] = _HASH + hashes[kind.tensors]
    write_record(path, {"format": kind.version} | own)


def read_model(
    path: str | Path, kind: Kind, build: Callable[[dict, dict[str, np.ndarray]], Model]
) -> Model:
    """Return the model whose files `write_model` wrote.

    Parameters
    ----------
    path
        The file of the record.
    kind
        What the files have to be.
    build
        Called with record and tensors; returns the model.

    Raises
    ------
    FileNotFoundError
        A file is not there.
    SchemaError
        They are of something else or of another format, do not belong to each other,
        or hold what no model can be made of.
    """
    path = Path(path)
    record = kind.read(path)
    _check_hashes(path, kind, record)
    for key, (name, part) in kind.parts.items():
        record[key] = part.read(path.with_name(name))
    try:
        tensors = {}
        if kind.tensors:
            tensors, _ = read_tensors(path.with_name(kind.tensors))
        return build(record, tensors)
    except _FAULTS as error:
        msg = f"{path} does not hold {kind.of} that can be rebuilt: {error}"
        raise SchemaError(msg) from error


def _check_hashes(path, kind, record):
    """Refuse files that are not those that a record was written with."""
    # format 1 names the only file of an encoder by its role, others by their names
    told = record["hashes"] if kind.parts else {kind.tensors: record.get("tensors")}
    for name in kind.beside():
        found = _hash(path.with_name(name))
        wanted = told.get(name) if isinstance(told, dict) else None
        if found != str(wanted).removeprefix(_HASH):
            msg = (
                f"{path.with_name(name)} is not the file that {path.name} was written "
                f"with (its hash is {found}, not {wanted}). Copy all files of one "
                f"{kind.of.partition(' ')[2]}."
            )
            raise SchemaError(msg)


def _hash(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def parameters_of(estimator: object) -> dict:
    """Return the constructor's parameters of an estimator as JSON can hold them.

    Parameters
    ----------
    estimator
        With ``get_params``; parameters that are dataclasses are told with their names.
    """
    found = {}
    for name, value in estimator.get_params(deep=False).items():
        if hasattr(value, "__dataclass_fields__"):
            value = {"kind": type(value).__name__} | asdict(value)
        elif isinstance(value, np.random.Generator):
            value = None  # it has moved on: another fit would not be the same
        elif isinstance(value, np.generic):
            value = value.item()
        found[name] = value
    return found


def parameters_from(told: Mapping, kinds: Mapping[str, Callable]) -> dict:
    """Return the parameters that JSON holds as `parameters_of` gave them.

    Parameters
    ----------
    told
        What JSON held.
    kinds
        Name of a dataclass to what makes one of its fields.

    Raises
    ------
    AttributeError, KeyError, TypeError, ValueError
        They are of something else.
    """
    return {name: _parameter(value, kinds) for name, value in told.items()}


def _parameter(value, kinds):
    if not isinstance(value, dict):
        return tuple(value) if isinstance(value, list) else value
    value = {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()}
    return kinds[value.pop("kind")](**value)


def write_tensors(
    path: str | Path,
    tensors: Mapping[str, np.ndarray],
    about: Mapping[str, str] | None = None,
) -> None:
    """Write named arrays as safetensors, and texts about them; whole or not at all."""
    replace_file(path, lambda part: save_file(dict(tensors), part, about))


def read_tensors(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the arrays of a file of safetensors, and the texts about them.

    Raises
    ------
    FileNotFoundError
        It is not there.
    SchemaError
        It holds no safetensors.
    """
    try:
        with safe_open(path, "np") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, file.metadata() or {}
    except SafetensorError as error:
        msg = f"{path} holds no tensors: {error}"
        raise SchemaError(msg) from error


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
