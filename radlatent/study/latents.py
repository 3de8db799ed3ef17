"""The encoder of a study: latent features of every fold, and their certificate.

A `Work` and its hand-crafted features by case enter; features by case and fold, and
the certificate, leave; for other patients, those of one encoder of all patients.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import pandas as pd

from radlatent.errors import SchemaError
from radlatent.schema import failures_table
from radlatent.study.plan import LatentSpec
from radlatent.study.work import Work

if TYPE_CHECKING:
    from radlatent.latent import FoldedEncoding, LatentEncoder

__all__ = [
    "columns_of",
    "encode",
    "encode_new",
    "encoder_of",
    "fit_on_all",
    "handcrafted_of",
    "is_used",
    "latent_tables",
]

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


def is_used(spec: LatentSpec, blocks: Sequence[str]) -> bool:
    """Return whether names or patterns of blocks take latent features in."""
    columns = columns_of(spec)
    names = [columns[0].split("__")[0], *columns]
    return any(fnmatchcase(name, pattern) for name in names for pattern in blocks)


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


def encode(work: Work, features: pd.DataFrame) -> "FoldedEncoding | None":
    """Return the latent features of every case in every fold, None without an encoder.

    A case without all of the hand-crafted features has none: the decoder needs them.
    """
    spec = work.plan.latent
    if spec is None:
        return None
    from radlatent.latent import encode_folds

    handcrafted = handcrafted_of(spec, features).dropna()
    return encode_folds(
        encoder_of(spec),
        work.cohort.located.loc[handcrafted.index],
        work.folds,
        handcrafted=handcrafted,
        jobs=work.jobs,
        cache=work.cache,
    )


def fit_on_all(
    work: Work, features: pd.DataFrame
) -> "tuple[pd.DataFrame, LatentEncoder] | tuple[None, None]":
    """Return latent features of all cases, and the encoder that was fitted on them.

    Parameters
    ----------
    work
        Of a study; without an encoder there are neither.
    features
        Hand-crafted features by case.
    """
    spec = work.plan.latent
    if spec is None:
        return None, None
    handcrafted = handcrafted_of(spec, features).dropna()
    cases = work.cohort.located.loc[handcrafted.index]
    work.cache.mkdir(parents=True, exist_ok=True)
    unfinished = work.cache / "final_encoder.safetensors"
    encoder = encoder_of(spec)
    encoder.fit(cases, handcrafted=handcrafted, checkpoint=unfinished)
    return encoder.encode(cases, jobs=work.jobs).features, encoder


def encode_new(
    work: Work, features: pd.DataFrame, encoder: "LatentEncoder | None"
) -> tuple[pd.DataFrame | None, pd.DataFrame]:
    """Return latent features of new cases, and which failed.

    Parameters
    ----------
    work
        The way of new patients; without an encoder in it there are none.
    features
        Hand-crafted features by case: as in training, a case without all of those that
        the encoder does not repeat has no latent ones.
    encoder
        From `fit_on_all`, or one that was kept.
    """
    spec = work.plan.latent
    if spec is None:
        return None, failures_table()
    whole = handcrafted_of(spec, features).dropna().index
    if whole.empty:
        columns = columns_of(spec)
        return pd.DataFrame(columns=columns, index=whole, dtype=float), failures_table()
    found = encoder.encode(work.cohort.located.loc[whole], jobs=work.jobs)
    return found.features, found.failures


def latent_tables(
    work: Work, features: pd.DataFrame, encoding: "FoldedEncoding | None"
) -> dict[str, pd.DataFrame]:
    """Return the tables of the encoders, none without one, name to table.

    Among them the certificate on the test patients of every fold, unless a fold tests
    fewer than 20: so few rows certify nothing.
    """
    if encoding is None:
        return {}
    from radlatent.latent import redundancy_folds

    tables, folds = {"encoders": encoding.summary}, work.folds
    if folds.groupby(["repeat", "fold"])["patient_id"].nunique().min() < _FEWEST:
        return tables
    handcrafted = handcrafted_of(work.plan.latent, features).dropna()
    owners = work.cohort.included["patient_id"].loc[handcrafted.index]
    about = {"n_permutations": 200, "jobs": work.jobs}
    found = redundancy_folds(handcrafted, encoding.features, owners, folds, **about)
    return tables | {
        "certificate": found.summary,
        "certificate_features": found.features,
    }
