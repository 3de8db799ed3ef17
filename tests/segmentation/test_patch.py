"""Where a network looks: around the middle of the image, in windows that cover it."""

import numpy as np
import pytest

from radlatent.imaging import Geometry
from radlatent.segmentation.patch import Patch

IMAGE = Geometry((10, 100, 80), (8.0, 1.5, 2.0), origin=(5.0, -3.0, 7.0))


def middle(grid):
    return grid.to_world([(np.array(grid.shape) - 1) / 2])[0]


@pytest.mark.parametrize(
    ("patch", "shape", "spacing"),
    [
        # slices stay; 150 mm and 160 mm of 1.25 mm
        (Patch((64, 64), (1.25, 1.25)), (10, 120, 128), (8.0, 1.25, 1.25)),
        # a field smaller than the image, in voxels that begin
        (Patch((64, 64), (1.5, 1.5), (100, 97)), (10, 67, 65), (8.0, 1.5, 1.5)),
        # an image smaller than a patch is padded
        (Patch((256, 64), (1.0, 2.0)), (10, 256, 80), (8.0, 1.0, 2.0)),
        (Patch((32, 32, 32), (4.0, 4.0, 4.0)), (32, 38, 40), (4.0, 4.0, 4.0)),
    ],
)
def test_grid_is_about_the_middle_of_the_image(patch, shape, spacing):
    grid = patch.grid(IMAGE)
    assert grid.shape == shape
    assert grid.spacing_mm == spacing
    np.testing.assert_allclose(middle(grid), middle(IMAGE), atol=1e-9)


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
@pytest.mark.parametrize("shape", [(32, 32), (33, 64), (100, 71)])
def test_windows_cover_the_field_and_stay_inside(shape, overlap):
    patch, seen = Patch((32, 32), (1.0, 1.0), overlap=overlap), np.zeros(shape)
    corners = patch.corners(shape)
    for y, x in corners:
        assert seen[y : y + 32, x : x + 32].shape == (32, 32)
        seen[y : y + 32, x : x + 32] += 1
    assert seen.min() >= 1
    assert len(np.unique(corners, axis=0)) == len(corners)


def test_one_window_where_the_field_is_a_patch():
    assert Patch((32, 48), (1.0, 1.0)).corners((32, 48)).tolist() == [[0, 0]]


def test_weights_are_largest_in_the_middle_and_nowhere_none():
    weights = Patch((32, 32), (1.0, 1.0)).weights()
    assert weights.argmax() in [15 * 32 + 15, 15 * 32 + 16, 16 * 32 + 15, 16 * 32 + 16]
    np.testing.assert_allclose(weights, weights[::-1, ::-1])
    # 16 pixels are four standard deviations of an eighth of 32
    assert weights.min() == np.float32(1e-3)
    np.testing.assert_allclose(weights[16, 20], weights[16, 16] * np.exp(-0.625))


def test_description_is_checked_all_at_once():
    patch = Patch((32, 0), (1.0,), (1.0, np.nan), neighbors=-1, overlap=1.0)
    found = patch.problems()
    for name in ("size", "spacing_mm", "field_mm", "neighbors", "overlap"):
        assert any(f"patch: {name} is" in text for text in found), name
    assert Patch().problems() == []
    assert Patch((8, 8, 8), (1, 1, 1)).problems() == []
    assert "0 for volumes" in Patch((8, 8, 8), (1, 1, 1), neighbors=1).problems()[0]


def test_channels_are_the_slice_and_its_neighbors():
    assert Patch(neighbors=2).in_channels == 5
    assert Patch((64, 32), (2.0, 1.0)).size_mm == (128.0, 32.0)
