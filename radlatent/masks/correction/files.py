"""Correctors on disk: safetensors and JSON, which run no code.

A fitted corrector enters, a folder of three files leaves, and back; a file that does
not belong is refused with the reason.
"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from radlatent.errors import SchemaError
from radlatent.masks.dice.predictor import DicePredictor
from radlatent.masks.prior.frame import Frame
from radlatent.masks.prior.shape_prior import ShapePrior
from radlatent.masks.rules.rules import rule_set
from radlatent.nn import Schedule, Training
from radlatent.provenance import file_hash, versions
from radlatent.records import read_record, replace_file, write_record

if TYPE_CHECKING:
    from radlatent.masks.correction.corrector import MaskCorrector

__all__ = ["load_corrector", "save_corrector"]

#: Raised when the meaning of the files changes.
FORMAT = 1

_JSON, _TENSORS, _PREDICTOR = "corrector.json", "prior.safetensors", "dice.json"
_KEYS = {
    "parameters",
    "prior",
    "structures",
    "bandwidth",
    "history",
    "prior_fitted_on",
    "fitted_on",
    "least_dice",
    "valid_share",
    "hashes",
}

#: What files with the right keys and wrong values raise.
_FAULTS = (AttributeError, KeyError, RuntimeError, TypeError, ValueError)


def save_corrector(corrector: "MaskCorrector", folder: str | Path) -> None:
    """Write a fitted corrector; `MaskCorrector.save`."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    prior = corrector.prior_
    state = prior.model_.state_dict()
    tensors = {f"model/{name}": value.contiguous() for name, value in state.items()}
    tensors["latents"] = torch.from_numpy(prior.latents_).contiguous()
    if corrector.bank_ is not None:
        tensors["bank"] = torch.from_numpy(corrector.bank_).contiguous()
    replace_file(folder / _TENSORS, lambda part: save_file(tensors, part))
    corrector.predictor_.save(folder / _PREDICTOR)
    settings = prior.get_params(deep=False)
    nested = {name: asdict(settings[name]) for name in ("frame", "training")}
    about = {
        "format": FORMAT,
        "parameters": corrector.get_params(deep=False) | {"prior": None},
        "prior": settings | nested,
        "structures": list(prior.structures_),
        "bandwidth": prior.bandwidth_,
        "history": prior.history_.to_dict("records"),
        "prior_fitted_on": list(prior.fitted_on_),
        "fitted_on": corrector.fitted_on_,
        "least_dice": corrector.least_dice_,
        "valid_share": corrector.valid_share_,
        "hashes": {name: file_hash(folder / name) for name in (_TENSORS, _PREDICTOR)},
        "versions": versions(),
    }
    write_record(folder / _JSON, about)


def load_corrector(folder: str | Path) -> "MaskCorrector":
    """Return the corrector that `MaskCorrector.save` wrote.

    Parameters
    ----------
    folder
        Holds ``corrector.json``, ``prior.safetensors`` and ``dice.json``.

    Raises
    ------
    FileNotFoundError
        One of them is not there.
    SchemaError
        They are not of a corrector, or do not belong to each other.
    """
    folder = Path(folder)
    about = read_record(folder / _JSON, of="a corrector", keys=_KEYS, version=FORMAT)
    hashes = about["hashes"] if isinstance(about["hashes"], dict) else {}
    for name in (_TENSORS, _PREDICTOR):
        found, expected = file_hash(folder / name), hashes.get(name)
        if found != expected:
            msg = (
                f"{folder / name} is not the file that {_JSON} was written with (its "
                f"hash is {found}, not {expected}). Copy all files of one corrector."
            )
            raise SchemaError(msg)
    try:
        return _rebuilt(about, folder)
    except (*_FAULTS, SafetensorError) as error:
        msg = f"{folder} does not hold a corrector that can be rebuilt: {error}"
        raise SchemaError(msg) from error


def _rebuilt(about, folder):
    # files are read without the correctors, which read theirs through here
    from radlatent.masks.correction.corrector import MaskCorrector

    tensors = load_file(folder / _TENSORS)
    corrector = MaskCorrector(**about["parameters"])
    prior = ShapePrior(**about["prior"] | _nested(about["prior"]))
    prior.structures_ = tuple(about["structures"])
    prior.bandwidth_ = about["bandwidth"]
    prior.history_ = pd.DataFrame(about["history"])
    prior.fitted_on_ = about["prior_fitted_on"]
    prior.latents_ = tensors["latents"].numpy()
    prior.model_ = prior.build().eval()
    state = {k: v for k, v in tensors.items() if k.startswith("model/")}
    prior.model_.load_state_dict(
        {name.removeprefix("model/"): value for name, value in state.items()}
    )
    corrector.prior = corrector.prior_ = prior
    corrector.rules_ = rule_set(corrector.rules)
    corrector.bank_ = tensors["bank"].numpy() if "bank" in tensors else None
    corrector.valid_share_ = about["valid_share"]
    corrector.least_dice_ = about["least_dice"]
    corrector.fitted_on_ = about["fitted_on"]
    corrector.predictor_ = DicePredictor.load(folder / _PREDICTOR)
    return corrector


def _nested(settings):
    frame = settings["frame"] | {"center": tuple(settings["frame"]["center"])}
    training = settings["training"]
    training = training | {"schedule": Schedule(**training["schedule"])}
    return {"frame": Frame(**frame), "training": Training(**training)}
