"""Unfinished trainings on disk: what a training that was killed goes on from.

States of a training enter, a file of safetensors is kept, and the last state leaves.
"""

import json
import time
from pathlib import Path

import numpy as np
import torch

from radlatent.errors import SchemaError
from radlatent.nn.training.state import Checkpoint, State
from radlatent.provenance import content_key
from radlatent.records import read_tensors, write_tensors

__all__ = ["checkpoint_of"]

#: Writing a checkpoint takes at most this share of the time.
_SHARE = 0.05


def checkpoint_of(path: str | Path | None, about: object) -> Checkpoint:
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
        return Checkpoint()
    path, key = Path(path), content_key(json.dumps(about, sort_keys=True))
    clock = {"cost": 0.0, "last": -np.inf}

    def keep(state):
        start = time.monotonic()
        if _SHARE * (start - clock["last"]) < clock["cost"]:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        numbers = {"key": key, "numbers": json.dumps(state.numbers)}
        tensors = {k: v.contiguous().numpy() for k, v in state.tensors.items()}
        write_tensors(path, tensors, numbers)
        clock["last"] = time.monotonic()
        clock["cost"] = clock["last"] - start

    return Checkpoint(_read_state(path, key), keep)


def _read_state(path, key):
    if not path.is_file():
        return None
    try:
        arrays, kept = read_tensors(path)
    except SchemaError as error:
        msg = f"{path} is no checkpoint: {error}. Delete it to start anew."
        raise SchemaError(msg) from error
    if kept.get("key") != key:
        msg = (
            f"{path} is the checkpoint of another training: of other cases, features, "
            "settings or inputs. Give another file, or delete it."
        )
        raise SchemaError(msg)
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return State(tensors, json.loads(kept["numbers"]))
