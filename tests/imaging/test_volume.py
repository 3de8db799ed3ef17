import pickle
from dataclasses import replace

import numpy as np
import pytest

from radlatent.errors import GeometryError
from radlatent.imaging import Geometry, Volume, check_same_grid, geometry_difference

ARRAY = np.zeros((4, 5, 6))


def geometry(**changes):
    return replace(Geometry((4, 5, 6), (3.0, 1.0, 1.0)), **changes)


def test_default_axes_are_those_of_itk_identity():
    volume = Volume(ARRAY, (3, 1, 0.5))
    world = volume.to_world([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    assert world.tolist() == [[0, 0, 0], [0, 0, 3], [0, 1, 0], [0.5, 0, 0]]


def test_affine_is_the_written_out_matrix():
    direction = [[0, 0, -1], [0, -1, 0], [1, 0, 0]]
    volume = Volume(ARRAY, (3, 2, 0.5), (10, 20, 30), direction)
    expected = [[0, 0, -0.5, 10], [0, -2, 0, 20], [3, 0, 0, 30], [0, 0, 0, 1]]
    assert volume.affine.tolist() == expected


def test_world_and_index_are_inverse_and_agree_with_the_affine(oblique, all_indices):
    index = all_indices(oblique.shape)
    world = oblique.to_world(index)
    by_affine = np.c_[index, np.ones(len(index))] @ oblique.affine.T
    # float64 over 100 mm
    np.testing.assert_allclose(world, by_affine[:, :3], atol=1e-12)
    np.testing.assert_allclose(oblique.to_index(world), index, atol=1e-12)


def test_to_index_inverts_a_direction_sheared_within_the_tolerance():
    direction = np.eye(3)
    direction[0, 1] = 9e-4
    grid = geometry(direction=direction)
    back = grid.to_index(grid.to_world([[100, 200, 300]]))
    np.testing.assert_allclose(back, [[100, 200, 300]], rtol=1e-12)


def test_with_array_keeps_the_grid_and_refuses_another_shape(oblique):
    mask = oblique.with_array(oblique.array > 0)
    assert mask.array.dtype == bool
    assert geometry_difference(mask, oblique, tolerance_mm=0) == ""
    with pytest.raises(GeometryError, match=r"\(1, 2, 3\), its grid has \(4, 5, 6\)"):
        oblique.with_array(np.zeros((1, 2, 3)))


def test_repr_has_the_grid_and_no_voxels():
    assert repr(Volume(ARRAY, (3, 1, 1))) == (
        "Volume(dtype=float64, shape=(4, 5, 6), spacing_mm=(3, 1, 1), "
        "origin=(0, 0, 0), direction=[[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], "
        "[1.0, 0.0, 0.0]])"
    )


def test_volumes_compare_by_identity_and_survive_pickling(oblique):
    assert oblique != oblique.with_array(oblique.array)
    copy = pickle.loads(pickle.dumps(oblique))
    assert geometry_difference(copy, oblique, tolerance_mm=0) == ""


def test_the_direction_given_is_neither_kept_nor_changeable():
    direction = np.eye(3)
    volume = Volume(ARRAY, (1, 1, 1), (0, 0, 0), direction)
    direction[0, 0] = 5
    assert volume.direction[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        volume.direction[0, 0] = 5


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 6, 2), (0, 5, 6)])
def test_what_is_not_3d_is_refused(shape):
    with pytest.raises(GeometryError, match="not that of one 3D volume"):
        Volume(np.zeros(shape), (1, 1, 1))


@pytest.mark.parametrize(
    "spacing_mm", [(1, 1), (0, 1, 1), (1, -1, 1), (1, np.nan, 1), (1, np.inf, 1)]
)
def test_bad_spacing_is_refused(spacing_mm):
    with pytest.raises(GeometryError, match="three positive spacings"):
        Volume(ARRAY, spacing_mm)


@pytest.mark.parametrize(
    ("direction", "found"),
    [
        ([[1, 0.2, 0], [0, 1, 0], [0, 0, 1]], "deviates by 0.2"),
        ([[1, 0, 0], [0, 1, 0], [0, 0, 0]], "deviates by 1"),
        ([[2, 0, 0], [0, 1, 0], [0, 0, 1]], "deviates by 3"),
        (np.full((3, 3), np.nan), "deviates by nan"),
        (np.eye(2), "3x3"),
    ],
)
def test_bad_direction_is_refused(direction, found):
    with pytest.raises(GeometryError, match=found):
        Volume(ARRAY, (1, 1, 1), (0, 0, 0), direction)


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({}, ""),
        ({"origin": (0, 0, 9e-4)}, ""),
        ({"shape": (4, 5, 7)}, "shape (4, 5, 6) against (4, 5, 7)"),
        (
            {"origin": (0, 0, 2.5)},
            "corners up to 2.5 mm apart; origin (0, 0, 0) against (0, 0, 2.5)",
        ),
        (
            # 0.1 mm over 3.5 slices, counted from the center of the first
            {"spacing_mm": (3.1, 1, 1)},
            "corners up to 0.35 mm apart; spacing_mm (3, 1, 1) against (3.1, 1, 1)",
        ),
        (
            # x runs the other way: the corner at x = 5.5 mm goes to -5.5 mm
            {"direction": [[0, 0, -1], [0, 1, 0], [1, 0, 0]]},
            "corners up to 11 mm apart; an axis direction turned by 180 degrees",
        ),
    ],
)
def test_geometry_difference_names_what_differs(changes, difference):
    assert geometry_difference(geometry(), geometry(**changes)) == difference


def test_geometry_difference_sees_the_thickness_of_a_single_slice():
    thin, thick = (Geometry((1, 5, 6), (mm, 1.0, 1.0)) for mm in (1.0, 3.0))
    assert "corners up to 1 mm apart" in geometry_difference(thin, thick)


def test_check_same_grid_names_case_finding_and_remedy():
    mask = geometry(origin=(0, 0, 2.5))
    with pytest.raises(GeometryError) as error:
        check_same_grid(Volume(ARRAY, (3, 1, 1)), mask, case_id="p7")
    assert str(error.value) == (
        "case 'p7': the mask grid differs from the image grid, found (mask against "
        "image): corners up to 2.5 mm apart; origin (0, 0, 2.5) against (0, 0, 0). "
        "Resample the mask onto the image grid, or exclude the case in cases.csv."
    )
    check_same_grid(geometry(), mask, case_id="p7", tolerance_mm=2.5)
