"""What a search tries: which settings of an encoder, from which ranges.

A plan enters, what is wrong with it leaves; drawn values and an encoder enter, an
encoder with these values leaves.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from numbers import Real
from typing import Literal

import numpy as np
import pandas as pd
from sklearn.base import clone

from radlatent.latent.encoder import LatentEncoder
from radlatent.latent.network import Network
from radlatent.nn import Training
from radlatent.schema import nearest

__all__ = ["SPACE", "SearchPlan", "check_space", "widest", "with_parameters"]

#: Setting to (low, high, kind). The founding report names learning rate, weight decay
#: and dropout without their ranges; these ranges are ours.
SPACE = {
    "learning_rate": (1e-4, 1e-2, "log"),
    "weight_decay": (1e-6, 1e-2, "log"),
    "dropout": (0.0, 0.5, "linear"),
    "n_latent": (4, 64, "int"),
    "beta": (0.1, 10.0, "log"),
    "kappa": (0.1, 10.0, "log"),
}

#: What can be searched, with the least and the largest value that makes sense.
_LIMITS = {
    "n_latent": (1, float("inf")),
    "beta": (0, float("inf")),
    "kappa": (0, float("inf")),
    "width": (1, float("inf")),
    "dropout": (0, 0.99),
    "capacity": (0, float("inf")),
    "classification_weight": (0, float("inf")),
    "epochs": (1, float("inf")),
    "minibatch_size": (1, float("inf")),
    "learning_rate": (0, float("inf")),
    "weight_decay": (0, float("inf")),
    "clip_norm": (0, float("inf")),
}
_WHOLE = {"n_latent", "width", "epochs", "minibatch_size"}
_KINDS = ("linear", "log", "int")
_SCORES = ("bound", "reconstruction")


@dataclass(frozen=True)
class SearchPlan:
    """What a search tries, and how it chooses.

    Parameters
    ----------
    space
        Name of a setting to (low, high, kind): "linear", "log", or "int" for whole
        numbers with both ends. None takes `SPACE`, kappa only with
        hand-crafted features, n_latent only as far as patients allow.
    n_trials
        Settings that are drawn; more than before goes on with a finished search.
    n_folds
        Inner folds of patients; a trial fits one encoder for each.
    score
        What the best trial has least of: "bound" or "reconstruction".
    max_redundancy
        Largest held-out R2 of latent features from hand-crafted ones that the best
        trial may have; None sets no limit.
    random_state
        An int where there is a storage: the search that goes on must draw the same.

    Notes
    -----
    *score*: kappa is no part of either score, and the bound, which has unit weights,
    rewards beta near 1. Neither says how redundant the features are: ``max_redundancy``
    does, and a search over kappa without it chooses kappa by reconstruction alone.
    Both can be changed between two calls; nothing is fitted again.
    """

    space: Mapping[str, tuple[float, float, str]] | None = None
    n_trials: int = 20
    n_folds: int = 3
    score: Literal["bound", "reconstruction"] = "bound"
    max_redundancy: float | None = None
    random_state: int | np.random.Generator | None = 0

    def ranges(
        self, cases: pd.DataFrame, handcrafted: pd.DataFrame | None
    ) -> dict[str, tuple]:
        """Return the space, the default one as far as the data allow.

        Parameters
        ----------
        cases
            **cases** table of the training patients.
        handcrafted
            As in `search`.
        """
        if self.space is not None:
            return dict(self.space)
        space = dict(SPACE)
        if handcrafted is None:
            del space["kappa"]
        n = cases["patient_id"].nunique()
        # patients outside of the largest fold
        fewest = n - -(-n // max(self.n_folds, 1))
        low, high, kind = space["n_latent"]
        space["n_latent"] = (low, max(low, min(high, fewest - 1)), kind)
        return space

    def problems(self, *, handcrafted: bool, stored: bool) -> list[str]:
        """Return what is wrong with all but the space.

        Parameters
        ----------
        handcrafted, stored
            Whether there are hand-crafted features, and a storage.
        """
        found = []
        for name, least in (("n_trials", 1), ("n_folds", 2)):
            value = getattr(self, name)
            if not (isinstance(value, int | np.integer) and value >= least):
                found.append(
                    f"{name} is {value!r}; give a whole number from {least} on"
                )
        if self.score not in _SCORES:
            found.append(f"score is {self.score!r}; give one of {list(_SCORES)}")
        if self.max_redundancy is not None and not handcrafted:
            found.append("max_redundancy is given, but no handcrafted; give both")
        if stored and not isinstance(self.random_state, int | np.integer):
            found.append(
                f"random_state is {self.random_state!r}, with which a search cannot go "
                "on from its storage; give an int"
            )
        return found


def check_space(space: Mapping, *, handcrafted: bool) -> list[str]:
    """Return what is wrong with ranges.

    Parameters
    ----------
    space
        Setting to (low, high, kind).
    handcrafted
        Whether there are hand-crafted features, without which kappa has no meaning.
    """
    if not space:
        return ["space is empty; name one setting or more"]
    found = []
    for name, bounds in space.items():
        if name not in _LIMITS:
            hint = nearest(name, _LIMITS) or f"; known are {sorted(_LIMITS)}"
            found.append(f"space: unknown setting {name!r}{hint}")
        elif why := _wrong(name, bounds):
            found.append(f"space: {name} is {bounds!r}; {why}")
    if "kappa" in space and not handcrafted:
        found.append(
            "space: kappa is searched, but no handcrafted is given; give the features, "
            "or leave kappa out"
        )
    return found


def _wrong(name, bounds):
    """Return why the bounds of a setting cannot be drawn from, or an empty text."""
    if not isinstance(bounds, tuple | list) or len(bounds) != 3:
        return "give (low, high, kind)"
    low, high, kind = bounds
    if kind not in _KINDS:
        return f"the kind must be one of {list(_KINDS)}"
    least, most = _LIMITS[name]
    if not (isinstance(low, Real) and isinstance(high, Real)):
        return "low and high must be numbers"
    if not least <= low <= high <= most or high == float("inf"):
        return f"give {least} <= low <= high <= {most}, finite"
    if kind == "log" and not low > 0:
        return "a logarithm needs low above 0"
    if name in _WHOLE and kind != "int":
        return "it is a whole number: the kind must be 'int'"
    if kind == "int" and (int(low) != low or int(high) != high):
        return "low and high must be whole numbers"
    return ""


def widest(space: Mapping) -> dict:
    """Return the upper ends: data that fit these fit all that can be drawn."""
    return {name: high for name, (_, high, _) in space.items()}


def with_parameters(encoder: LatentEncoder, parameters: Mapping) -> LatentEncoder:
    """Return an unfitted clone of an encoder with some settings changed.

    Parameters
    ----------
    encoder
        Where all other settings come from.
    parameters
        Name to value; of the encoder itself, its ``network`` or its ``training``.
    """
    changed, left = {}, dict(parameters)
    for holder, kind in (("network", Network), ("training", Training)):
        own = {f.name: left.pop(f.name) for f in fields(kind) if f.name in left}
        if own:
            now = getattr(encoder, holder)
            changed[holder] = replace(kind() if now is None else now, **own)
    return clone(encoder).set_params(**changed, **left)
