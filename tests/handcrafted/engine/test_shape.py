"""Shape: boxes by hand, vertices one by one, and volumes of known bodies."""

import itertools

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from radlatent.handcrafted.engine.shape import shape2d_features, shape_features
from radlatent.handcrafted.engine.triangles import cube_sums, square_sums

SPACINGS = [(1.0, 1.0, 1.0), (2.5, 0.7, 1.3)]


def box_by_hand(voxels, spacing_mm):
    """Return area and volume of a box with chamfered edges and corners.

    The mesh runs half a voxel outside of the voxel centers: six faces, twelve edges
    cut off by a plane, eight corners cut off by a triangle.
    """
    a, b, c = ((n - 1) * side for n, side in zip(voxels, spacing_mm, strict=True))
    u, v, w = (side / 2 for side in spacing_mm)
    faces = 2 * (a * b + b * c + a * c)
    edges = 4 * (a * np.hypot(v, w) + b * np.hypot(u, w) + c * np.hypot(u, v))
    corners = 8 * np.sqrt((u * v) ** 2 + (v * w) ** 2 + (u * w) ** 2) / 2
    slabs = 2 * (a * b * w + b * c * u + a * c * v)
    prisms = 4 * (a * v * w + b * u * w + c * u * v) / 2
    return faces + edges + corners, a * b * c + slabs + prisms + 8 * u * v * w / 6


@pytest.mark.parametrize("spacing_mm", SPACINGS)
@pytest.mark.parametrize("voxels", [(1, 1, 1), (1, 1, 5), (1, 4, 3), (2, 3, 4)])
def test_mesh_of_a_box(voxels, spacing_mm):
    found = shape_features(np.ones(voxels, bool), spacing_mm)
    area, volume = box_by_hand(voxels, spacing_mm)
    assert found["SurfaceArea"] == pytest.approx(area, rel=1e-13)
    assert found["MeshVolume"] == pytest.approx(volume, rel=1e-13)
    assert found["SurfaceVolumeRatio"] == pytest.approx(area / volume, rel=1e-13)
    assert found["VoxelVolume"] == pytest.approx(np.prod(voxels) * np.prod(spacing_mm))


def test_a_voxel_is_an_octahedron():
    found = shape_features(np.ones((1, 1, 1), bool), (1.0, 1.0, 1.0))
    assert found["SurfaceArea"] == pytest.approx(np.sqrt(3), rel=1e-14)
    assert found["MeshVolume"] == pytest.approx(1 / 6, rel=1e-14)
    # of a regular octahedron, whatever its size
    assert found["Sphericity"] == pytest.approx((np.pi / (3 * np.sqrt(3))) ** (1 / 3))


@pytest.mark.parametrize("spacing_mm", SPACINGS)
def test_axes_of_a_box_are_those_of_uniform_points(spacing_mm):
    voxels = (3, 5, 8)
    found = shape_features(np.ones(voxels, bool), spacing_mm)
    variances = (np.square(voxels) - 1) / 12 * np.square(spacing_mm)
    least, minor, major = 4 * np.sqrt(np.sort(variances))
    assert found["LeastAxisLength"] == pytest.approx(least, rel=1e-13)
    assert found["MinorAxisLength"] == pytest.approx(minor, rel=1e-13)
    assert found["MajorAxisLength"] == pytest.approx(major, rel=1e-13)
    assert found["Flatness"] == pytest.approx(least / major, rel=1e-13)
    assert found["Elongation"] == pytest.approx(minor / major, rel=1e-13)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_flat_mask_has_no_least_axis(axis, rng):
    mask = np.expand_dims(rng.random((11, 7)) < 0.6, axis)
    found = shape_features(mask, (0.7, 1.3, 2.1))
    assert found["LeastAxisLength"] == 0
    assert found["Flatness"] == 0
    assert found["MinorAxisLength"] > 0


def test_the_mesh_of_a_ball_has_its_volume():
    for radius in (10, 20):
        grid = np.indices((2 * radius + 3,) * 3) - radius - 1
        mask = (grid**2).sum(axis=0) <= radius**2
        found = shape_features(mask, (1.0, 1.0, 1.0))
        # a lattice counts voxels to about one in the area
        assert found["MeshVolume"] == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.02)
        # of the staircase, not of the ball: marching cubes never lose these 8 to 10 %
        area = found["SurfaceArea"] / (4 * np.pi * radius**2)
        assert 1.05 < area < 1.12
        assert found["Maximum3DDiameter"] == pytest.approx(2 * radius + 1, abs=0.2)


def vertices(mask, spacing_mm):
    """Return the middles of all steps between a voxel inside and one outside."""
    padded = np.pad(mask, 1).astype(int)
    found = []
    for axis in range(mask.ndim):
        place = np.argwhere(np.diff(padded, axis=axis)).astype(float)
        place[:, axis] += 0.5
        found.append(place)
    return np.concatenate(found) * spacing_mm


def masks(rng):
    yield np.ones((2, 3, 4), bool)
    yield np.ones((1, 1, 6), bool)
    for share in (0.03, 0.2, 0.7):
        yield rng.random((9, 7, 8)) < share
    shell = np.ones((6, 7, 8), bool)
    shell[1:-1, 1:-1, 1:-1] = False
    yield shell
    yield np.eye(9, dtype=bool)[None] & np.eye(9, dtype=bool)[:, None]


@pytest.mark.parametrize("spacing_mm", SPACINGS)
def test_diameters_are_the_largest_distances_of_all_vertices(spacing_mm, rng):
    names = ["Slice", "Column", "Row"]
    for mask in masks(rng):
        found = shape_features(mask, spacing_mm)
        points = vertices(mask, spacing_mm)
        apart = squareform(pdist(points))
        assert found["Maximum3DDiameter"] == pytest.approx(apart.max(), rel=1e-13)
        for axis, name in enumerate(names):
            same = np.isclose(points[:, None, axis], points[None, :, axis])
            expected = apart[same].max()
            found_2d = found[f"Maximum2DDiameter{name}"]
            assert found_2d == pytest.approx(expected, rel=1e-13), name


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0), (2.5, 0.7)])
@pytest.mark.parametrize("pixels", [(1, 1), (1, 4), (3, 5)])
def test_outline_of_a_rectangle(pixels, spacing_mm):
    found = shape2d_features(np.ones(pixels, bool), spacing_mm)
    a, b = ((n - 1) * side for n, side in zip(pixels, spacing_mm, strict=True))
    u, v = (side / 2 for side in spacing_mm)
    perimeter = 2 * (a + b) + 4 * np.hypot(u, v)
    surface = a * b + 2 * (a * v + b * u) + 4 * u * v / 2
    assert found["Perimeter"] == pytest.approx(perimeter, rel=1e-13)
    assert found["MeshSurface"] == pytest.approx(surface, rel=1e-13)
    assert found["PerimeterSurfaceRatio"] == pytest.approx(perimeter / surface)
    assert found["Sphericity"] == pytest.approx(
        2 * np.sqrt(np.pi * surface) / perimeter, rel=1e-13
    )


def test_the_diameter_of_a_slice_is_the_largest_distance_of_its_vertices(rng):
    for share in (0.05, 0.3, 0.9):
        mask = rng.random((12, 9)) < share
        found = shape2d_features(mask, (1.3, 0.7))
        expected = pdist(vertices(mask, (1.3, 0.7))).max()
        assert found["MaximumDiameter"] == pytest.approx(expected, rel=1e-13)


def test_cubes_and_their_complements_have_one_surface():
    area, volume = cube_sums((1.0, 2.0, 3.0))
    assert area[[0, 255]].tolist() == [0, 0]
    np.testing.assert_allclose(area, area[::-1], rtol=1e-15)
    np.testing.assert_allclose(volume, -volume[::-1], rtol=0, atol=1e-14)
    length, surface = square_sums((1.0, 2.0))
    np.testing.assert_allclose(length, length[::-1], rtol=1e-15)
    # corners 0 and 3, or 1 and 2: their two lines are joined at opposite sides
    crossed = [6, 9]
    rest = [code for code in range(16) if code not in crossed]
    np.testing.assert_allclose(surface[rest], -surface[::-1][rest], rtol=0, atol=1e-15)


def test_a_closed_surface_does_not_depend_on_where_it_lies():
    grid = np.indices((9, 8, 10)) - np.reshape([4, 4, 5], (3, 1, 1, 1))
    mask = (grid**2).sum(axis=0) <= 12
    moved = np.pad(mask, ((40, 0), (0, 30), (7, 0)))
    here = shape_features(mask, (0.7, 1.0, 2.0))
    there = shape_features(moved, (0.7, 1.0, 2.0))
    for name, value in here.items():
        # volumes of tetrahedra up to the origin, hundreds of times that of the ball
        assert there[name] == pytest.approx(value, rel=1e-11), name


def test_every_turn_of_a_mask_has_its_shape(rng):
    # face-adjacent bodies only: the table cuts some diagonal contacts by their turn
    mask = np.zeros((7, 6, 8), bool)
    mask[1:5, 1:4, 2:7] = True
    mask[5, 2, 3] = True
    spacing_mm = (0.7, 1.1, 2.0)
    expected = shape_features(mask, spacing_mm)
    for order in itertools.permutations(range(3)):
        turned = shape_features(
            mask.transpose(order), tuple(spacing_mm[axis] for axis in order)
        )
        for name in ("MeshVolume", "SurfaceArea", "Maximum3DDiameter", "Flatness"):
            assert turned[name] == pytest.approx(expected[name], rel=1e-12), name
