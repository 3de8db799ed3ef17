"""A final model on disk: JSON, tensors and XGBoost's JSON, every byte vouched for.

A record and parts enter, files appear; they leave again only if each file is what was
written, there is no other, and nothing in them could run: names of parts are looked up
in a list.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import numpy as np

from radlatent.errors import SchemaError
from radlatent.model.conformal import Conformal, Errors
from radlatent.model.domain import Distance, Domain
from radlatent.model.freezing import PARTS
from radlatent.outputs import check_folder, replace_bytes, replace_text
from radlatent.provenance import file_hash
from radlatent.records import Kind, read_model, write_model

__all__ = ["read_folder", "write_folder"]

_RECORD, _SUMS = "model.json", "SHA256SUMS"

_LINE = re.compile(r"(?P<digest>[0-9a-f]{64})  (?P<name>[\w./-]+)")
_TREES = re.compile(r"trees_\d+\.json")

#: As `radlatent.load_encoder` reads them.
_ENCODER = ("encoder/encoder.json", "encoder/model.safetensors")

#: All that a folder may hold beside trees and the list of hashes.
_NAMES = {_RECORD, "model.safetensors", "card.md", "card.html", *_ENCODER}

_KIND = Kind(
    of="a final model",
    version=1,
    keys=frozenset({"about", "parts"}),
    tensors="model.safetensors",
)

_KNOWN = PARTS | {kind.__name__: kind for kind in (Conformal, Distance, Domain, Errors)}


def write_folder(
    folder: Path,
    about: Mapping[str, object],
    parts: Mapping[str, object],
    files: Mapping[str, bytes],
) -> None:
    """Write a model into a folder that is absent or empty.

    Parameters
    ----------
    folder
        Its last file is ``SHA256SUMS``, without which nothing is read.
    about
        What JSON can hold, with ``versions``.
    parts
        Name to part, or None.
    files
        Name to content of those beside it: cards for people, an encoder.

    Raises
    ------
    SchemaError
        The folder holds something, or a part is not known.
    OutputError
        It cannot be written to.
    """
    check_folder(folder)
    if folder.exists() and any(folder.iterdir()):
        some = sorted(path.name for path in folder.iterdir())[:3]
        msg = f"{folder} holds {', '.join(some)}: give a folder that is not there yet."
        raise SchemaError(msg)
    tensors, beside = {}, {}
    told = {name: _told(part, name, tensors, beside) for name, part in parts.items()}
    record = {"versions": about["versions"], "about": dict(about), "parts": told}
    write_model(folder / _RECORD, _KIND, record, tensors)
    for name, content in (beside | dict(files)).items():
        (folder / name).parent.mkdir(exist_ok=True)
        replace_bytes(folder / name, content)
    names = sorted(p.relative_to(folder).as_posix() for p in _files(folder))
    lines = [f"{file_hash(folder / name)}  {name}\n" for name in names]
    replace_text(folder / _SUMS, "".join(lines))


def read_folder(folder: Path) -> tuple[dict, dict[str, object], dict[str, bytes]]:
    """Return record, parts and the files of the encoder of a model.

    Raises
    ------
    FileNotFoundError
        The folder, or a file of it, is not there.
    SchemaError
        A file is not what was written, or not of a model, or one more is there. Nothing
        was opened then but the list of files.
    """
    _check_files(folder)

    def build(record, tensors):
        parts = {
            name: _made(part, tensors, folder) for name, part in record["parts"].items()
        }
        return record["about"], parts

    about, parts = read_model(folder / _RECORD, _KIND, build)
    inside = [name for name in _ENCODER if (folder / name).is_file()]
    files = {name: (folder / name).read_bytes() for name in inside}
    return about, parts, files


def _files(folder):
    return [path for path in folder.rglob("*") if not path.is_dir()]


def _check_files(folder):
    """Refuse a folder of which a file is changed, lost or too many."""
    if not folder.is_dir():
        msg = f"{folder}: there is no such folder."
        raise FileNotFoundError(msg)
    if not (folder / _SUMS).is_file():
        there = sorted(path.name for path in _files(folder))[:5]
        msg = (
            f"{folder} holds no {_SUMS}, so that it is no model of radlatent, or one "
            f"whose writing was interrupted. It holds {there}; nothing was opened."
        )
        raise SchemaError(msg)
    told = _sums(folder / _SUMS)
    found = {p.relative_to(folder).as_posix(): p for p in _files(folder)}
    del found[_SUMS]
    known = {name for name in told if name in _NAMES or _TREES.fullmatch(name)}
    problems = [f"{name} is not a file of the model" for name in found.keys() - known]
    problems += [f"{name} is not there" for name in told.keys() - found.keys()]
    for name in sorted(found.keys() & told.keys()):
        if found[name].is_symlink():
            problems.append(f"{name} is a link")
        elif file_hash(found[name]) != told[name]:
            problems.append(f"{name} was changed after it was written")
    if problems:
        msg = (
            f"{folder} is not the model that was written: {'; '.join(problems[:5])}. "
            "Nothing was opened; copy the whole folder again from where it was made."
        )
        raise SchemaError(msg)


def _sums(path):
    """Return name to hash, of a list as ``sha256sum --check`` takes it."""
    *lines, rest = path.read_bytes().decode("utf-8", "replace").split("\n")
    pairs = [_LINE.fullmatch(line) for line in lines]
    if rest or not all(pairs):
        msg = f"{path} is not a list of hashes and files. Nothing was opened."
        raise SchemaError(msg)
    return {pair["name"]: pair["digest"] for pair in pairs}


def _told(value, place, tensors, beside):
    """Return what JSON can hold of a value; arrays and trees go beside it."""

    def inner(one, key):
        return _told(one, f"{place}.{key}", tensors, beside)

    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray):
        tensors[place] = np.ascontiguousarray(value)
        return {"tensor": place}
    if isinstance(value, bytes):
        name = f"trees_{len(beside)}.json"
        beside[name] = value
        return {"trees": name, "sha256": hashlib.sha256(value).hexdigest()}
    if isinstance(value, tuple | list):
        return {"list": [inner(one, at) for at, one in enumerate(value)]}
    if isinstance(value, dict):
        return {"map": {key: inner(one, key) for key, one in value.items()}}
    name = type(value).__name__
    if _KNOWN.get(name) is not type(value):
        msg = f"{place} is {name}, which no file of a model holds."
        raise SchemaError(msg)
    own = {f.name: inner(getattr(value, f.name), f.name) for f in fields(value)}
    return {"part": name, "of": own}


def _made(told, tensors, folder):
    """Return the value that `_told` told of."""
    if not isinstance(told, dict):
        return told

    def inner(one):
        return _made(one, tensors, folder)

    if "tensor" in told:
        return tensors[told["tensor"]]
    if "trees" in told:
        if not _TREES.fullmatch(told["trees"]):
            raise ValueError(f"{told['trees']!r} is no file of trees")
        content = (folder / told["trees"]).read_bytes()
        if hashlib.sha256(content).hexdigest() != told["sha256"]:
            raise ValueError(f"{told['trees']} is of another model")
        return content
    if "list" in told:
        return tuple(inner(one) for one in told["list"])
    if "map" in told:
        return {key: inner(one) for key, one in told["map"].items()}
    return _KNOWN[told["part"]](**{k: inner(one) for k, one in told["of"].items()})
