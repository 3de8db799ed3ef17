"""The encoder of a study's model: fitted on all patients, and opened for new ones.

A `Work` and its hand-crafted features enter; latent features by case leave, with the
files of the encoder, as `radlatent.load_encoder` reads them.
"""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from radlatent.outputs import replace_bytes
from radlatent.schema import failures_table
from radlatent.study.latents import columns_of, encoder_of, handcrafted_of
from radlatent.study.work import Work

__all__ = ["encode_new", "fit_on_all"]

_FOLDER = "encoder"


def fit_on_all(
    work: Work, features: pd.DataFrame
) -> tuple[pd.DataFrame | None, dict[str, bytes]]:
    """Return latent features of all cases, and the files of what made them.

    Parameters
    ----------
    work
        Of a study; without an encoder there are neither.
    features
        Hand-crafted features by case.

    Notes
    -----
    The files name no patient: a model goes to other hospitals.
    """
    spec = work.plan.latent
    if spec is None:
        return None, {}
    handcrafted = handcrafted_of(spec, features).dropna()
    cases = work.cohort.located.loc[handcrafted.index]
    work.cache.mkdir(parents=True, exist_ok=True)
    unfinished = work.cache / "final_encoder.safetensors"
    encoder = encoder_of(spec)
    encoder.fit(cases, handcrafted=handcrafted, checkpoint=unfinished)
    found = encoder.encode(cases, jobs=work.jobs).features
    encoder.fitted_on_ = encoder.fitted_on_ | {"patients": []}
    encoder.failures_ = encoder.failures_.iloc[:0]
    with TemporaryDirectory() as place:
        encoder.save(place)
        paths = sorted(Path(place).iterdir())
        return found, {f"{_FOLDER}/{path.name}": path.read_bytes() for path in paths}


def encode_new(
    work: Work, features: pd.DataFrame, files: Mapping[str, bytes]
) -> tuple[pd.DataFrame | None, pd.DataFrame]:
    """Return latent features of new cases, and which failed.

    Parameters
    ----------
    work
        The way of new patients; without an encoder in it there are none.
    features
        Hand-crafted features by case: as in training, a case without all of those that
        the encoder does not repeat has no latent ones.
    files
        From `fit_on_all`.
    """
    spec = work.plan.latent
    if spec is None:
        return None, failures_table()
    whole = handcrafted_of(spec, features).dropna().index
    if whole.empty:
        columns = columns_of(spec)
        return pd.DataFrame(columns=columns, index=whole, dtype=float), failures_table()
    from radlatent.latent import load_encoder

    with TemporaryDirectory() as place:
        for name, content in files.items():
            replace_bytes(Path(place) / Path(name).name, content)
        encoder = load_encoder(place)
    found = encoder.encode(work.cohort.located.loc[whole], jobs=work.jobs)
    return found.features, found.failures
