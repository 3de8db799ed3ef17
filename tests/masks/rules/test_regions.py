"""Components, holes and hulls of a structure, against scipy, skimage and by hand."""

import numpy as np
import pytest
from scipy import ndimage
from skimage import measure, morphology

from radlatent.masks.rules.regions import Region, erode, grow


def blobs(rng, shape=(40, 60)):
    """Return some random parts with holes, none at the edge."""
    smooth = ndimage.gaussian_filter(rng.standard_normal(shape), 2.5)
    mask = smooth > np.quantile(smooth, 0.6)
    mask[[0, -1]], mask[:, [0, -1]] = False, False
    return mask


def placed(region, name):
    return region.placed(getattr(region, name))


def test_parts_are_those_of_scipy_and_scikit_image(rng):
    for _ in range(20):
        mask = blobs(rng)
        region = Region(mask, (1.0, 1.0))
        filled = ndimage.binary_fill_holes(mask)
        np.testing.assert_array_equal(placed(region, "filled"), filled)
        outside = (
            measure.label(~mask, connectivity=2)
            == measure.label(~mask, connectivity=2)[(0, 0)]
        )
        np.testing.assert_array_equal(placed(region, "holes"), ~outside & ~mask)
        parts = measure.label(mask, connectivity=2)
        sizes = np.bincount(parts.ravel())[1:]
        assert placed(region, "outside_largest").sum() == sizes.sum() - sizes.max()
        # published perimeter: border pixels of the filled structure
        assert region.perimeter == pytest.approx(measure.perimeter(filled, 4))


def test_hulls_are_those_of_scikit_image(rng):
    for size in (1, 2, 3, 5, 30):
        for _ in range(20):
            mask = np.zeros((24, 31), bool)
            mask[rng.integers(0, 24, size), rng.integers(0, 31, size)] = True
            filled = ndimage.binary_fill_holes(mask)
            np.testing.assert_array_equal(
                placed(Region(mask, (1.0, 1.0)), "hull"),
                morphology.convex_hull_image(filled),
            )


def test_neighbors_across_corners_close_parts_and_open_holes():
    ring = np.zeros((5, 5), bool)
    ring[[1, 2, 2, 3], [2, 1, 3, 2]] = True
    region = Region(ring, (1.0, 1.0))
    assert region.components[1].tolist() == [0, 4]
    assert placed(region, "enclosed").sum() == 1
    assert placed(region, "holes").sum() == 0
    ring[1, 1] = True
    assert placed(Region(ring, (1.0, 1.0)), "holes").sum() == 0
    ring[[1, 3, 3], [3, 1, 3]] = True
    assert placed(Region(ring, (1.0, 1.0)), "holes").sum() == 1


def test_growing_stops_at_the_edge_and_erosion_starts_there():
    mask = np.zeros((4, 5), bool)
    mask[0, 0] = True
    assert grow(mask, corners=True).sum() == 4
    assert grow(mask, corners=False).sum() == 3
    block = np.zeros((6, 6), bool)
    block[1:5, 1:5] = True
    assert erode(block, corners=True).sum() == 4
    block[1, 1] = False
    assert erode(block, corners=False).sum() == 4
    assert erode(block, corners=True).sum() == 3
    assert grow(np.pad(np.ones((1, 1, 1), bool), 1), corners=True).all()


def test_a_square_has_the_perimeter_of_its_border_pixels():
    square = np.zeros((12, 12), bool)
    square[1:11, 1:11] = True
    assert Region(square, (1.0, 1.0)).perimeter == 4 * 9
    dot = np.zeros((3, 3), bool)
    dot[1, 1] = True
    assert Region(dot, (1.0, 1.0)).perimeter == 0


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0), (1.5, 0.7), (0.7, 3.0)])
def test_a_notch_is_as_deep_as_its_last_pixel_but_one(spacing_mm):
    block = np.ones((80, 81), bool)
    block[:12, 38:43] = False
    depth = Region(block, spacing_mm).depth_mm
    assert depth.max() == pytest.approx(11 * spacing_mm[0])
    assert np.count_nonzero(depth) == 10 * 3
    # an entry one or two pixels wide is none
    block[:12, 40:] = True
    assert Region(block, spacing_mm).depth_mm.max() == 0


def test_the_place_and_the_edge_of_the_image_change_nothing(rng):
    mask = blobs(rng)
    wide = np.pad(mask, ((7, 2), (3, 9)))
    tight = mask[Region(mask, (1, 1)).box]
    for other in (wide, tight):
        one, two = Region(mask, (1.0, 2.0)), Region(other, (1.0, 2.0))
        for name in ("inside", "filled", "holes", "hull", "depth_mm", "rim"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_solidity_is_a_share_of_the_hull_of_corners():
    cube = np.ones((3, 4, 5), bool)
    assert Region(cube, (1, 1, 1)).solidity == pytest.approx(1)
    # an L of two arms of 4 x 2 in 4 x 4: the hull lacks half of the missing square
    ell = np.ones((3, 4, 4), bool)
    ell[:, :2, :2] = False
    assert Region(ell, (1, 1, 1)).solidity == pytest.approx(12 / 14)
    assert Region(ell, (9, 0.5, 1)).solidity == pytest.approx(12 / 14)
