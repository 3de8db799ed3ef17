"""The constructor's parameters of an encoder: as JSON can hold them, and back.

What is kept of an encoder, of its trials and of its checkpoints is told by them.
"""

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
from sklearn.base import BaseEstimator

from radlatent.latent.inputs import Box, Projections
from radlatent.latent.network import Network
from radlatent.nn import Schedule, Training

__all__ = ["parameters_from", "parameters_of"]

_KINDS = {kind.__name__: kind for kind in (Box, Projections, Network, Training)}


def parameters_of(encoder: BaseEstimator) -> dict:
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


def parameters_from(told: Mapping) -> dict:
    """Return the parameters that JSON holds as `parameters_of` gave them.

    Raises
    ------
    AttributeError, KeyError, TypeError, ValueError
        They are of something else.
    """
    return {name: _parameter(value) for name, value in told.items()}


def _parameter(value):
    if not isinstance(value, dict):
        return tuple(value) if isinstance(value, list) else value
    value = {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()}
    kind = _KINDS[value.pop("kind")]
    if kind is Training:
        value["schedule"] = Schedule(**value["schedule"])
    return kind(**value)
