"""Encoders and unfinished trainings on disk: safetensors and JSON, which run no code.

A fitted encoder enters, a folder of two files leaves, and back; a file that does not
belong is refused with the reason.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from radlatent.errors import SchemaError
from radlatent.latent.inputs import Box, Projections
from radlatent.latent.network import Network
from radlatent.nn import Schedule, State, Training
from radlatent.provenance import content_key, file_hash, versions
from radlatent.records import read_record, replace_file, write_record
from radlatent.schema import failures_table

if TYPE_CHECKING:
    from radlatent.latent.encoder import LatentEncoder

__all__ = [
    "checkpoint_of",
    "load_encoder",
    "parameters_of",
    "save_encoder",
]

#: Raised when the meaning of the files changes.
FORMAT = 1

_JSON, _TENSORS = "encoder.json", "model.safetensors"
_INPUTS = {kind.__name__: kind for kind in (Box, Projections)}
_KEYS = {
    "class",
    "parameters",
    "columns",
    "statistics",
    "scaling",
    "classes",
    "fitted_on",
    "best_epoch",
    "history",
    "failures",
    "tensors",
}

#: What files with the right keys and wrong values raise.
_FAULTS = (AttributeError, KeyError, RuntimeError, TypeError, ValueError)

#: Writing a checkpoint takes at most this share of the time.
_SHARE = 0.05


def parameters_of(encoder: "LatentEncoder") -> dict:
    """Return the constructor's parameters as JSON can hold them."""
    found = {}
    for name, value in encoder.get_params(deep=False).items():
        if hasattr(value, "__dataclass_fields__"):
            value = {"kind": type(value).__name__} | asdict(value)
        elif isinstance(value, np.random.Generator):
            value = None  # it has moved on: another fit would not be the same
        elif isinstance(value, np.generic):
            value = value.item()
        found[name] = value
    return found


def save_encoder(encoder: "LatentEncoder", folder: str | Path) -> None:
    """Write a fitted encoder; `LatentEncoder.save`."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.contiguous() for k, v in encoder.model_.state_dict().items()}
    replace_file(folder / _TENSORS, lambda part: save_file(tensors, part))
    scaling = encoder.scaling_
    about = {
        "format": FORMAT,
        "class": type(encoder).__name__,
        "parameters": parameters_of(encoder),
        "columns": encoder.get_feature_names_out().tolist(),
        "statistics": encoder.statistics_.reset_index().to_dict("list"),
        "scaling": None
        if scaling is None
        else scaling.rename_axis("feature").reset_index().to_dict("list"),
        "classes": encoder.classes_,
        "fitted_on": encoder.fitted_on_,
        "best_epoch": encoder.best_epoch_,
        "history": encoder.history_.astype(object)
        .where(encoder.history_.notna(), None)
        .to_dict("records"),
        "failures": encoder.failures_.to_dict("records"),
        "tensors": f"sha256:{file_hash(folder / _TENSORS)}",
        "versions": versions(),
    }
    write_record(folder / _JSON, about)


def load_encoder(folder: str | Path) -> "LatentEncoder":
    """Return the encoder that `LatentEncoder.save` wrote.

    Parameters
    ----------
    folder
        Holds ``encoder.json`` and ``model.safetensors``.

    Raises
    ------
    FileNotFoundError
        One of them is not there.
    SchemaError
        They are not of an encoder, or do not belong to each other.
    """
    folder = Path(folder)
    about = read_record(folder / _JSON, of="an encoder", keys=_KEYS, version=FORMAT)
    found = f"sha256:{file_hash(folder / _TENSORS)}"
    if found != about["tensors"]:
        msg = (
            f"{folder / _TENSORS} is not the file that {_JSON} was written with "
            f"(its hash is {found}, not {about['tensors']}). Copy both files of one "
            "encoder."
        )
        raise SchemaError(msg)
    try:
        return _rebuilt(about, load_file(folder / _TENSORS))
    except (*_FAULTS, SafetensorError) as error:
        msg = f"{folder} does not hold an encoder that can be rebuilt: {error}"
        raise SchemaError(msg) from error


def _rebuilt(about, tensors):
    # files are read without the encoders, which read theirs through here
    from radlatent.latent import encoder as encoders

    if about["class"] not in encoders.__all__:
        msg = f"class {about['class']!r} is not one of {encoders.__all__}"
        raise KeyError(msg)
    encoder = getattr(encoders, about["class"])(**_parameters(about))
    encoder.statistics_ = pd.DataFrame(about["statistics"]).set_index("channel")
    scaling = about["scaling"]
    encoder.scaling_ = None
    if scaling is not None:
        encoder.scaling_ = pd.DataFrame(scaling).set_index("feature")
    encoder.classes_, encoder.fitted_on_ = about["classes"], about["fitted_on"]
    encoder.best_epoch_ = about["best_epoch"]
    encoder.history_ = pd.DataFrame(about["history"])
    columns = failures_table().columns
    encoder.failures_ = pd.DataFrame(about["failures"], columns=columns, dtype=object)
    encoder.model_ = encoder.build().eval()
    encoder.model_.load_state_dict(tensors)
    return encoder


def _parameters(about):
    kinds = _INPUTS | {"Network": Network, "Training": Training}
    found = {}
    for name, value in about["parameters"].items():
        if isinstance(value, dict):
            value = {
                k: tuple(v) if isinstance(v, list) else v for k, v in value.items()
            }
            kind = kinds[value.pop("kind")]
            if kind is Training:
                value["schedule"] = Schedule(**value["schedule"])
            value = kind(**value)
        found[name] = tuple(value) if isinstance(value, list) else value
    return found


def checkpoint_of(
    path: str | Path | None, about: object
) -> tuple[State | None, Callable[[State], None] | None]:
    """Return the state to go on from, and what keeps the next ones.

    Parameters
    ----------
    path
        The file; None keeps nothing.
    about
        Everything that the training depends on, as JSON can hold it.

    Raises
    ------
    SchemaError
        The file is of another training.
    """
    if path is None:
        return None, None
    path, key = Path(path), content_key(json.dumps(about, sort_keys=True))
    clock = {"cost": 0.0, "last": -np.inf}

    def keep(state):
        start = time.monotonic()
        if _SHARE * (start - clock["last"]) < clock["cost"]:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        numbers = {"key": key, "numbers": json.dumps(state.numbers)}
        tensors = {k: v.contiguous() for k, v in state.tensors.items()}
        replace_file(path, lambda part: save_file(tensors, part, numbers))
        clock["last"] = time.monotonic()
        clock["cost"] = clock["last"] - start

    return _read_state(path, key), keep


def _read_state(path, key):
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            kept = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        msg = f"{path} is no checkpoint: {error}. Delete it to start anew."
        raise SchemaError(msg) from error
    if kept.get("key") != key:
        msg = (
            f"{path} is the checkpoint of another training: of other cases, features, "
            "settings or inputs. Give another file, or delete it."
        )
        raise SchemaError(msg)
    return State(tensors, json.loads(kept["numbers"]))
