"""A voxel is in where its center is inside of the contours of its slice."""

import numpy as np
import pytest

from radlatent.errors import GeometryError
from radlatent.imaging import Geometry
from radlatent.imaging.dicom.contours import draw

GRID = Geometry((4, 10, 12), (2.0, 1.0, 1.0), (0.0, 0.0, 0.0))


def square(low, high, z=2.0):
    """Return a contour in mm; voxels of one mm, so that indices are places."""
    return np.array([(low, low, z), (high, low, z), (high, high, z), (low, high, z)])


def circle(radius, z, center=(0.0, 0.0), n=400):
    """Return a polygon on a circle."""
    turn = np.linspace(0, 2 * np.pi, n, endpoint=False)
    x, y = (c + radius * f(turn) for c, f in zip(center, (np.cos, np.sin), strict=True))
    return np.column_stack([x, y, np.full(n, z)])


def test_centers_decide():
    drawn = draw([square(2.5, 5.5)], GRID)
    expected = np.zeros(GRID.shape, bool)
    expected[1, 3:6, 3:6] = True
    np.testing.assert_array_equal(drawn.array, expected)
    assert drawn.notes == ()


def test_a_center_on_the_border_belongs_to_one_of_two_neighbors():
    left, right = square(2, 5), square(2, 5) + np.array([3, 0, 0])
    both = draw([left], GRID).array.astype(int) + draw([right], GRID).array
    assert both.max() == 1
    assert both.sum() == 3 * 6


def test_nested_contours_leave_a_hole_and_an_island():
    nested = [square(0.5, 8.5), square(2.5, 6.5), square(3.5, 5.5)]
    assert draw(nested, GRID).array.sum() == 64 - 16 + 4
    assert draw(nested[::-1], GRID).array.sum() == 64 - 16 + 4


@pytest.mark.parametrize("turned", [0, 2])
def test_exact_copies_count_once(turned):
    one = square(2.5, 5.5)
    drawn = draw([one, np.roll(one, turned, axis=0)], GRID)
    assert drawn.array.sum() == 9
    assert drawn.notes == ("1 contours are exact copies of others and count once",)
    backwards = draw([one, one[::-1]], GRID)
    assert backwards.array.sum() == 9


def test_the_nearest_slice_gets_a_contour_between_slices():
    for z, slice_number in ((1.1, 1), (2.9, 1), (3.1, 2), (-0.9, 0)):
        array = draw([square(2.5, 5.5, z)], GRID).array
        assert np.flatnonzero(array.any(axis=(1, 2))).tolist() == [slice_number]


def test_of_contours_closer_than_slices_the_nearest_counts():
    # XOR of both would leave a ring
    drawn = draw([square(2.5, 5.5, 2.1), square(1.5, 6.5, 2.9)], GRID)
    assert drawn.array.sum() == 9
    assert "1 are left out" in drawn.notes[0]


def test_slices_that_were_not_drawn_are_told():
    drawn = draw([square(2.5, 5.5, 0.0), square(2.5, 5.5, 4.0)], GRID)
    assert drawn.array.any(axis=(1, 2)).tolist() == [True, False, True, False]
    assert drawn.notes[0].startswith("1 slices between contours have none")


def test_what_lies_beside_the_image_is_told():
    drawn = draw([square(-3, 4.5)], GRID)
    assert drawn.array.sum() == 25
    assert drawn.notes == ("contours reach 2.5 mm beyond the image and are cut",)


def test_contours_of_another_series_are_refused():
    with pytest.raises(GeometryError, match=r"outside of the 4 slices.*up to 14 mm"):
        draw([square(2.5, 5.5, 20.0)], GRID)


def test_contours_across_the_slices_are_refused():
    upright = square(2.5, 5.5)[:, [2, 0, 1]]
    with pytest.raises(GeometryError, match="not drawn on the slices"):
        draw([upright], GRID)


def test_the_direction_of_the_grid_counts():
    # rows from the front to the back, columns from the left to the right, upwards
    direction = np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    grid = Geometry((4, 10, 12), (2.0, 1.0, 1.0), (11.0, 0.0, 0.0), direction)
    array = draw([square(2.5, 5.5)], grid).array
    rows, columns = np.nonzero(array[1])
    assert {*rows} == {3, 4, 5}
    assert {*columns} == {6, 7, 8}


#: Half sides of a box in mm around the middle, at 1 mm.
HALF = 24
BOX = Geometry((2 * HALF + 1,) * 3, (1.0, 1.0, 1.0), (-HALF, -HALF, -HALF))


def ball():
    for z in range(-20, 21):
        if abs(z) < 20:
            yield circle(np.sqrt(20**2 - z**2), z)


def lying_torus():
    for z in range(-6, 7):
        wide = np.sqrt(6.5**2 - z**2)
        yield from (circle(15 + wide, z), circle(15 - wide, z))


def standing_torus():
    """Around the y axis: one ring, or two, or none cut through it in a plane."""
    y = np.linspace(-6.5, 6.5, 400)
    wide = np.sqrt(np.maximum(6.5**2 - y**2, 0))
    for z in range(-21, 22):
        outer, inner = 15 + wide, 15 - wide
        x1 = np.sqrt(np.maximum(outer**2 - z**2, 0))
        x0 = np.sqrt(np.maximum(inner**2 - z**2, 0))
        there = outer > abs(z)
        for side in (1, -1):
            ring = np.concatenate([x1[there], x0[there][::-1]])
            ys = np.concatenate([y[there], y[there][::-1]])
            yield np.column_stack([side * ring, ys, np.full(len(ring), z)])


def cone():
    for z in range(-20, 20):
        yield circle(18 * (z + 20.5) / 40, z)


@pytest.mark.parametrize(
    ("solid", "volume"),
    [
        (ball, 4 / 3 * np.pi * 20**3),
        (lying_torus, 2 * np.pi**2 * 15 * 6.5**2),
        (standing_torus, 2 * np.pi**2 * 15 * 6.5**2),
        (cone, np.pi * 18**2 * 40 / 3),
    ],
)
def test_solids_have_their_volumes_to_one_percent(solid, volume):
    found = draw(list(solid()), BOX).array.sum()
    assert found == pytest.approx(volume, rel=0.01)
