"""The encoder of a study: latent features of every fold, and their certificate.

A ``LatentSpec``, a cohort and its hand-crafted features enter; features by case and
fold, and the certificate, leave.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from radlatent.cohort import Cohort
from radlatent.errors import SchemaError
from radlatent.features.folded import FoldedFeatures
from radlatent.study.plan import LatentSpec

if TYPE_CHECKING:
    from radlatent.latent import FoldedEncoding, LatentEncoder

__all__ = ["certify", "encode", "encoder_of", "pretend"]

#: Test patients of a fold that a certificate asks for.
_FEWEST = 20


def encoder_of(spec: LatentSpec) -> "LatentEncoder":
    """Return the unfitted encoder that a study describes.

    Raises
    ------
    SchemaError
        A setting is not known or cannot be.
    """
    from radlatent.latent import Box, LatentEncoder, Training

    inputs = Box(spec.modalities, spec.size_mm, spec.spacing_mm, masked=spec.masked)
    try:
        training = Training(**spec.training)
    except TypeError as error:
        raise SchemaError(f"latent.training: {error}") from error
    problems = inputs.check() + training.problems()
    if problems:
        raise SchemaError("latent: " + "; ".join(problems) + ".")
    about = {"n_latent": spec.n_latent, "beta": spec.beta, "kappa": spec.kappa}
    return LatentEncoder(
        inputs, training=training, random_state=spec.random_state, **about
    )


def columns_of(spec: LatentSpec) -> list[str]:
    """Return the columns that the encoder will give."""
    block = "_".join(spec.modalities)
    return [f"{block}_latent__mu{k:03d}" for k in range(spec.n_latent)]


def handcrafted_of(spec: LatentSpec, features: pd.DataFrame) -> pd.DataFrame:
    """Return the hand-crafted columns that the encoder must not repeat.

    Raises
    ------
    SchemaError
        No column fits ``repeats``.
    """
    start = "|".join(spec.modalities)
    wanted = features.filter(regex=f"^({start})_handcrafted__({spec.repeats})")
    if not wanted.shape[1]:
        msg = (
            f"latent.repeats: no hand-crafted column of {list(spec.modalities)} fits "
            f"{spec.repeats!r}."
        )
        raise SchemaError(msg)
    return wanted


def pretend(spec: LatentSpec, index: pd.Index, folds: pd.DataFrame, owners: pd.Series):
    """Return latent features that are noise, for the rehearsal of a study."""
    columns = columns_of(spec)
    noise = np.random.default_rng(0).standard_normal((len(index), len(columns)))
    table = pd.DataFrame(noise, index, columns)
    fitted_on = {
        key: sorted(set(owners) - set(part["patient_id"]))
        for key, part in folds.groupby(["repeat", "fold"])
    }
    return FoldedFeatures(dict.fromkeys(fitted_on, table), fitted_on)


def encode(
    spec: LatentSpec,
    cohort: Cohort,
    features: pd.DataFrame,
    folds: pd.DataFrame,
    *,
    jobs: int | None,
    cache: Path,
) -> "FoldedEncoding":
    """Return the latent features of every case in every fold.

    A case without all of the hand-crafted features has none: the decoder needs them.
    """
    from radlatent.latent import encode_folds

    handcrafted = handcrafted_of(spec, features).dropna()
    cases = cohort.located.loc[handcrafted.index]
    return encode_folds(
        encoder_of(spec), cases, folds, handcrafted=handcrafted, jobs=jobs, cache=cache
    )


def certify(
    spec: LatentSpec,
    cohort: Cohort,
    features: pd.DataFrame,
    encoding: "FoldedEncoding",
    folds: pd.DataFrame,
    jobs: int | None,
) -> dict[str, pd.DataFrame]:
    """Return the tables of the certificate on the test patients of every fold.

    None where a fold tests fewer than 20: so few rows certify nothing.
    """
    from radlatent.latent import redundancy_folds

    if folds.groupby(["repeat", "fold"])["patient_id"].nunique().min() < _FEWEST:
        return {}
    handcrafted = handcrafted_of(spec, features).dropna()
    owners = cohort.included["patient_id"].loc[handcrafted.index]
    found = redundancy_folds(
        handcrafted, encoding.features, owners, folds, n_permutations=200, jobs=jobs
    )
    return {
        "certificate.csv": found.summary,
        "certificate_features.csv": found.features,
    }
