"""What an encoder is made with survives JSON."""

import json

import numpy as np
import pytest

pytest.importorskip("torch")

from radlatent.latent.encoder import _PARAMETERS, LatentEncoder
from radlatent.latent.inputs import Box, Projections
from radlatent.latent.network import Network
from radlatent.nn import Schedule, Training
from radlatent.records import parameters_from, parameters_of

BOX = Box(("ct",), size_mm=(8, 8, 8), spacing_mm=(1, 1, 1), rotation_degrees=5.0)
TRAINING = Training(epochs=2, minibatch_size=4, schedule=Schedule("steps"))


@pytest.mark.parametrize(
    "inputs", [BOX, Projections("pet", (8.0, 8.0), spacing_mm=1.0, log=False)]
)
def test_parameters_are_what_json_can_hold(inputs):
    encoder = LatentEncoder(
        inputs, n_latent=np.int64(3), training=TRAINING, network=Network()
    )
    found = json.loads(json.dumps(parameters_of(encoder)))
    assert found["n_latent"] == 3
    assert found["inputs"]["kind"] == type(inputs).__name__
    assert found["training"]["schedule"]["kind"] == "steps"
    moved = LatentEncoder(inputs, random_state=np.random.default_rng(0))
    assert parameters_of(moved)["random_state"] is None
    again = LatentEncoder(**parameters_from(found, _PARAMETERS))
    assert again.get_params() == encoder.get_params()
