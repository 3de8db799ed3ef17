"""Lesions on the projection of the image: where they are drawn, and what is refused."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from radlatent.errors import SchemaError
from radlatent.graphs import draw_effects
from radlatent.imaging import Volume


@pytest.fixture
def effects():
    """Two lesions of one patient: x 25 mm, z -35 mm and x -15 mm, z 65 mm."""
    rows = [("p", 1, 25.0, 5.0, -35.0, 0.7, 0.3), ("p", 2, -15.0, 5.0, 65.0, 0.7, -0.1)]
    columns = ["patient_id", "lesion", "x_mm", "y_mm", "z_mm", "prediction", "effect"]
    return pd.DataFrame(rows, columns=columns)


def image(flips, effects):
    """Return an image whose hot voxels are the lesions, stored along flipped axes."""
    # world x, y, z of the array's axes z, y, x
    direction = np.diag(np.where(flips, -1.0, 1.0))[:, ::-1]
    origin = np.where(flips, 95.0, -95.0)
    array = np.zeros((20, 20, 20), np.float32)
    volume = Volume(array, (10.0, 10.0, 10.0), origin, direction)
    index = volume.to_index(effects[["x_mm", "y_mm", "z_mm"]].to_numpy())
    array[tuple(np.rint(index).astype(int).T)] = 9.0
    return Volume(array, (10.0, 10.0, 10.0), origin, direction)


@pytest.mark.parametrize(
    "flips", [(False, False, False), (True, True, False), (False, True, True)]
)
def test_circles_lie_on_the_hot_voxels_of_the_projection(effects, flips):
    _, ax = plt.subplots()
    draw_effects(effects, image(np.array(flips), effects), ax)
    (shown,) = ax.get_images()
    left, right, low, high = shown.get_extent()
    assert (left, right, low, high) == pytest.approx((-100, 100, -100, 100))
    assert shown.origin == "lower"
    places = ax.collections[0].get_offsets()
    rows = np.floor((places[:, 1] - low) / 10).astype(int)
    columns = np.floor((places[:, 0] - left) / 10).astype(int)
    assert np.asarray(shown.get_array())[rows, columns].tolist() == [9.0, 9.0]
    plt.close("all")


def test_color_tells_the_sign_and_area_the_size(effects):
    _, ax = plt.subplots()
    draw_effects(effects, image(np.zeros(3, bool), effects), ax)
    drawn = ax.collections[0]
    areas = drawn.get_sizes()
    assert areas[0] > areas[1]
    assert drawn.norm(0.0) == 0.5
    plt.close("all")


def test_refused(effects):
    turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
    oblique = Volume(np.zeros((4, 4, 4)), (1.0, 1.0, 1.0), direction=turn)
    with pytest.raises(SchemaError, match="axes of the image are not those"):
        draw_effects(effects, oblique)
    several = effects.assign(patient_id=["p", "q"])
    with pytest.raises(SchemaError, match=r"patients \['p', 'q'\]; give those of one"):
        draw_effects(several, image(np.zeros(3, bool), effects))
