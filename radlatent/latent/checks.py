"""Everything that can be wrong before an encoder is trained, found at once."""

import numpy as np
import pandas as pd

from radlatent.errors import SchemaError
from radlatent.schema import check_features

__all__ = ["check_fit", "check_handcrafted", "check_inputs"]

#: A training set of fewer patients has nothing to hold out.
FEWEST_PATIENTS = 2


def check_fit(
    cases: pd.DataFrame,
    handcrafted: pd.DataFrame | None,
    y: pd.Series | None,
    settings: dict,
) -> None:
    """Raise with everything that keeps an encoder from being trained.

    Parameters
    ----------
    cases
        The training cases.
    handcrafted
        A **features** table by case, or None.
    y
        Classes by case, or None.
    settings
        ``n_latent, beta, kappa, classification_weight, n_salient`` of the encoder,
        and its ``inputs`` and ``training``.

    Raises
    ------
    SchemaError
        With all of it.
    """
    found = _patients(cases, settings["n_latent"])
    for name in ("beta", "kappa", "classification_weight"):
        if not settings[name] >= 0:
            found.append(f"{name} is {settings[name]!r}; give 0 or more")
    found += _description(cases, settings)
    if handcrafted is not None:
        found += _handcrafted(handcrafted, cases.index, constant=True)
    n_salient = settings.get("n_salient", 0)
    if n_salient:
        found += _separation(n_salient, settings["n_latent"], handcrafted)
    if settings["classification_weight"] > 0 or n_salient:
        found += _classes(y, cases.index, most=2 if n_salient else None)
    _raise(found)


def check_inputs(cases: pd.DataFrame, inputs: object) -> list[str]:
    """Return what is wrong with a description of inputs, for a **cases** table."""
    found = inputs.check()
    if isinstance(inputs.modalities, str):
        return found
    absent = [column for column in inputs.columns if column not in cases]
    return found + [f"the cases table has no column {name!r}" for name in absent]


def _description(cases, settings):
    found = []
    if "inputs" in settings:
        found += check_inputs(cases, settings["inputs"])
    if "training" in settings:
        found += settings["training"].problems()
    return found


def _separation(n_salient, n_latent, handcrafted):
    found = []
    if not 1 <= n_salient < n_latent:
        found.append(
            f"n_salient is {n_salient!r} of n_latent {n_latent!r}; give 1 to "
            f"{n_latent - 1}, so that common latents are left"
        )
    if handcrafted is not None:
        found.append(
            "n_salient and handcrafted are both given; SepVAE tells y apart, the "
            "non-redundant VAE hand-crafted features: leave one out"
        )
    return found


def _classes(y, index, most):
    if y is None:
        return [
            "classification_weight or n_salient is above 0 but there is no y; give "
            "the classes, or set them to 0"
        ]
    if not isinstance(y, pd.Series):
        return [f"y is a {type(y).__name__}; give a Series of classes by case_id"]
    absent = index.difference(y.index)
    if len(absent):
        return [f"y lacks {len(absent)} cases: {absent[:5].tolist()}"]
    known = y.loc[index].dropna().unique().tolist()
    if len(known) < 2:
        return [f"y holds the classes {known} in the training cases; give two or more"]
    if most is not None and len(known) > most:
        return [f"y holds the classes {known}; n_salient takes background and target"]
    return []


def check_handcrafted(
    handcrafted: pd.DataFrame | None, index: pd.Index, names: list[str]
) -> pd.DataFrame:
    """Return the columns that an encoder was fitted with, for some cases, or raise.

    Parameters
    ----------
    handcrafted
        A **features** table by case.
    index
        The cases.
    names
        The columns.
    """
    if handcrafted is None:
        msg = (
            f"the decoder of this encoder takes {len(names)} hand-crafted features; "
            "give them as handcrafted."
        )
        raise SchemaError(msg)
    absent = [name for name in names if name not in handcrafted]
    found = [f"handcrafted lacks {len(absent)} columns: {absent[:5]}"] if absent else []
    _raise(found or _handcrafted(handcrafted[names], index, constant=False))
    return handcrafted.loc[index, names]


def _patients(cases, n_latent):
    n = cases["patient_id"].nunique()
    if n < FEWEST_PATIENTS:
        return [f"{n} training patients in {len(cases)} cases; give at least two"]
    if not (isinstance(n_latent, int | np.integer) and 1 <= n_latent < n):
        return [
            f"n_latent is {n_latent!r} with {n} training patients; give a whole number "
            f"from 1 to {n - 1}, far fewer than patients"
        ]
    return []


def _handcrafted(handcrafted, index, *, constant):
    check_features(handcrafted)
    absent = index.difference(handcrafted.index)
    if len(absent):
        return [
            f"handcrafted lacks {len(absent)} of {len(index)} cases: "
            f"{absent[:5].tolist()}; extract their features, or leave the cases out"
        ]
    rows, found = handcrafted.loc[index], []
    if rows.shape[1] == 0:
        found.append("handcrafted has no column")
    missing = rows.isna()
    if missing.any(axis=None):
        where = missing.index[missing.any(axis=1)][:5].tolist()
        columns = missing.columns[missing.any(axis=0)][:5].tolist()
        found.append(
            f"handcrafted holds {int(missing.sum().sum())} missing values, in cases "
            f"{where} and columns {columns}; leave out the cases, or the columns"
        )
    if constant:
        same = rows.columns[rows.max() == rows.min()].tolist()
        if same:
            found.append(
                f"handcrafted: {len(same)} columns are constant in the {len(rows)} "
                f"training cases: {same[:5]}; leave them out"
            )
    return found


def _raise(found):
    if found:
        msg = "the encoder cannot be used so: " + "; ".join(found) + "."
        raise SchemaError(msg)
