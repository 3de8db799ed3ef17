"""The encoder that is kept with a study's model, as files and back.

A fitted encoder enters, files leave, as `radlatent.load_encoder` reads them.
"""

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pandas as pd

from radlatent.outputs import replace_bytes

if TYPE_CHECKING:
    from radlatent.latent import LatentEncoder

__all__ = ["files_of", "opened"]

_FOLDER = "encoder"


def files_of(encoder: "LatentEncoder | None") -> dict[str, bytes]:
    """Return the files of an encoder, name to content, without the name of a patient.

    A model goes to other hospitals. Without an encoder there is no file.
    """
    if encoder is None:
        return {}
    encoder = copy(encoder)
    encoder.fitted_on_ = encoder.fitted_on_ | {"patients": []}
    encoder.failures_ = encoder.failures_.iloc[:0]
    encoder.explained_ = _numbered(encoder.explained_)
    with TemporaryDirectory() as place:
        encoder.save(place)
        paths = sorted(Path(place).iterdir())
        return {f"{_FOLDER}/{path.name}": path.read_bytes() for path in paths}


def _numbered(explained):
    """Return what an encoder explains of cases, which have numbers for names."""
    if explained is None:
        return None
    cases = explained.cases
    patients = pd.factorize(cases["patient_id"])[0] + 1
    index = pd.Index([str(n + 1) for n in range(len(cases))], name=cases.index.name)
    table = cases.set_axis(index).assign(patient_id=patients.astype(str))
    return replace(explained, cases=table)


def opened(files: Mapping[str, bytes]) -> "LatentEncoder | None":
    """Return the encoder whose files `files_of` returned, None of no file."""
    if not files:
        return None
    from radlatent.latent import load_encoder

    with TemporaryDirectory() as place:
        for name, content in files.items():
            replace_bytes(Path(place) / Path(name).name, content)
        return load_encoder(place)
