"""Segments of drawn ventricles lie where they were drawn."""

import numpy as np
import pytest

from radlatent.errors import GeometryError
from radlatent.handcrafted.aha import aha_segments, closed_slices
from radlatent.imaging import Volume

#: z, y, x: anisotropic in every axis.
SPACING_MM = (8.0, 1.0, 1.5)


def turned(spacing_mm, shape, center_mm):
    """Return distance and angle of pixels around a center, as seen from the apex."""
    down, right = np.indices(shape)
    down, right = (
        axis * mm - c
        for axis, mm, c in zip((down, right), spacing_mm, center_mm, strict=True)
    )
    return np.hypot(down, right), np.degrees(np.arctan2(-down, right)) % 360


def ventricle(start=120.0, *, n=9, spacing_mm=SPACING_MM):
    """Return wall, cavity and right ventricle, inserted at ``start``, base first.

    And the angle of each voxel from the insertion on. The right ventricle covers 120
    degrees of the wall and is not there in the last two slices.
    """
    shape = (n, 110, 74)
    wall, cavity, right = (np.zeros(shape, bool) for _ in range(3))
    angles = np.zeros(shape)
    for z in range(n):
        inner = 22.0 - 1.2 * z
        away, angle = turned(spacing_mm[1:], shape[1:], (56.0, 54.0))
        cavity[z] = away < inner
        wall[z] = (away >= inner) & (away < inner + 9)
        angles[z] = (angle - start) % 360
        beside = (away >= inner + 9) & (away < inner + 20)
        right[z] = beside & (angles[z] < 120) & (z < n - 2)
    volumes = [Volume(mask, spacing_mm) for mask in (wall, cavity, right)]
    return volumes, angles


def expected_segments(wall, angles):
    """Return what Cerqueira et al. draw: six, six and four."""
    six = np.array([2, 3, 4, 5, 6, 1])[(angles // 60).astype(int)]
    four = np.array([14, 15, 16, 13])[((angles - 15) % 360 // 90).astype(int)]
    third = np.arange(len(wall)) * 3 // len(wall)
    level = third[:, None, None]
    return np.where(wall, np.where(level < 2, six + 6 * level, four), 0)


def agreement(found, expected):
    return (found == expected)[expected > 0].mean()


@pytest.mark.parametrize("start", [120.0, 95.0, 350.0, 20.0])
@pytest.mark.parametrize("spacing_mm", [SPACING_MM, (10.0, 1.4, 1.4)])
def test_segments_lie_where_they_were_drawn(start, spacing_mm):
    volumes, angles = ventricle(start, spacing_mm=spacing_mm)
    found = aha_segments(*volumes, "displayed")
    expected = expected_segments(volumes[0].array, angles)
    assert set(np.unique(found)) == set(range(17))
    # the insertion is known to a pixel or two at 30 mm: 3 degrees of 60
    assert agreement(found, expected) > 0.93
    middle = (angles % 60 > 5) & (angles % 60 < 55)
    low = (expected > 0) & (expected <= 12)
    assert (found == expected)[middle & low].all()


def test_the_apex_is_the_end_that_narrows():
    volumes, _ = ventricle()
    found = aha_segments(*volumes, "displayed")
    upside_down = [v.with_array(v.array[::-1].copy()) for v in volumes]
    np.testing.assert_array_equal(aha_segments(*upside_down, "displayed"), found[::-1])


def oblique(flip=(1, 1, 1)):
    """Return the axes of slices that a scanner lays through a heart, in LPS."""
    axis = np.array([0.6, -0.6, -0.5]) / np.linalg.norm([0.6, -0.6, -0.5])
    # seen from the apex: columns run to the left of the patient, and with rows that run
    # down the way into the display is that from the apex to the base
    column = np.array([0.7, 0.7, 0.0]) / np.linalg.norm([0.7, 0.7, 0.0])
    row = np.cross(column, axis)
    return np.stack([axis, row, column], axis=1) * flip


def test_the_header_tells_anterior_from_inferior():
    volumes, _ = ventricle()
    as_displayed = aha_segments(*volumes, "displayed")
    axes = oblique()
    # down on the display is down in the patient
    assert axes[2, 1] < -0.5
    placed = [Volume(v.array, v.spacing_mm, (0, 0, 0), axes) for v in volumes]
    np.testing.assert_array_equal(aha_segments(*placed), as_displayed)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_arrays_that_are_stored_backwards_have_the_same_segments(axis):
    volumes, _ = ventricle()
    flip = np.where(np.arange(3) == axis, -1, 1)
    before = aha_segments(
        *[Volume(v.array, v.spacing_mm, (0, 0, 0), oblique()) for v in volumes]
    )
    back = [
        Volume(np.flip(v.array, axis).copy(), v.spacing_mm, (0, 0, 0), oblique(flip))
        for v in volumes
    ]
    same = agreement(np.flip(aha_segments(*back), axis), before)
    # pixels on a border between two segments
    assert same > 0.999


def test_a_header_that_nobody_set_is_refused():
    volumes, _ = ventricle()
    with pytest.raises(GeometryError, match="straight across the body"):
        aha_segments(*volumes)


def without(volumes, change):
    arrays = [v.array.copy() for v in volumes]
    change(*arrays)
    return [v.with_array(a) for v, a in zip(volumes, arrays, strict=True)]


def no_right(_, __, right):
    right[:] = False


def right_elsewhere(_, __, right):
    right[:] = False
    right[:, :4, :4] = True


def two_slices(wall, _, __):
    wall[2:] = False


def cylinder(wall, cavity, right):
    for array in (wall, cavity, right):
        array[:] = array[:1]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (no_right, "right ventricle is not there"),
        (right_elsewhere, "touches no septum"),
        (two_slices, "2 slices show the wall closed"),
        (cylinder, "narrows towards neither end"),
    ],
)
def test_what_cannot_be_told_has_a_reason(change, expected):
    volumes, _ = ventricle()
    with pytest.raises(GeometryError, match=expected):
        aha_segments(*without(volumes, change), "displayed")


def test_an_open_ring_is_left_out():
    volumes, _ = ventricle()

    def open_first(wall, _, __):
        # the way to the aorta
        wall[0, :50, 36] = False

    changed = without(volumes, open_first)
    closed = closed_slices(changed[0].array, changed[1].array)
    assert closed.tolist() == [False] + [True] * 8
    found = aha_segments(*changed, "displayed")
    assert not found[0].any()
    assert found[1].any()
