"""Attributes of shapes whose areas, lengths and angles are known."""

import numpy as np
import pytest

from radlatent.errors import GeometryError, SchemaError
from radlatent.masks import ATTRIBUTE_SETS, shape_attributes

STRUCTURES = {"LV": 1, "MYO": 2}


def ventricle(
    *,
    half_width=20.0,
    length=60.0,
    wall=8.0,
    turn_deg=0.0,
    at=(90.0, 70.0),
    rows_mm=1.0,
):
    """Return half an ellipse in a wall, base at ``at``, apex up and turned right.

    Pixels are ``rows_mm`` high and 1 mm wide; places are in mm.
    """
    shape = int(140 / rows_mm), 150
    row, column = np.indices(shape) * np.array([rows_mm, 1.0])[:, None, None]
    turn = np.radians(turn_deg)
    up, right = at[0] - row, column - at[1]
    along = up * np.cos(turn) + right * np.sin(turn)
    across = -up * np.sin(turn) + right * np.cos(turn)
    inner = (across / half_width) ** 2 + (along / length) ** 2 <= 1
    outer = (across / (half_width + wall)) ** 2 + (along / (length + wall)) ** 2 <= 1
    labels = np.zeros(shape, np.uint8)
    labels[outer & (along >= 0)] = 2
    labels[inner & (along >= 0)] = 1
    return labels


@pytest.mark.parametrize("turn_deg", [-35, 0, 20])
@pytest.mark.parametrize("rows_mm", [1.0, 0.5])
def test_half_an_ellipse_has_its_area_width_length_and_turn(turn_deg, rows_mm):
    labels = ventricle(turn_deg=turn_deg, rows_mm=rows_mm)
    found = shape_attributes(
        labels, structures=STRUCTURES, spacing_mm=(rows_mm, 1.0)
    ).iloc[0]
    area = np.pi / 2 * 20 * 60
    assert found["lv_area"] == pytest.approx(area, rel=0.02)
    whole = np.pi / 2 * 28 * 68
    assert found["myo_area"] == pytest.approx(whole - area, rel=0.03)
    # pixel centers lie up to a pixel inside of the contour, at either end
    assert found["lv_base_width"] == pytest.approx(40, abs=2.5)
    assert found["lv_length"] == pytest.approx(60, abs=2.0)
    # the apex turned to the right: the lower end lies to the left
    assert found["lv_orientation"] == pytest.approx(-turn_deg, abs=1.0)
    # the center of half an ellipse lies 4 / 3 pi of its length above the base
    away = 4 / (3 * np.pi) * 68
    turn = np.radians(turn_deg)
    assert found["epi_center_y"] == pytest.approx(90 - away * np.cos(turn), abs=0.6)
    assert found["epi_center_x"] == pytest.approx(70 + away * np.sin(turn), abs=0.6)


def test_a_stack_gives_what_each_slice_gives():
    stack = np.stack([ventricle(half_width=w) for w in np.linspace(12, 24, 70)])
    together = shape_attributes(stack, structures=STRUCTURES)
    for k in (0, 33, 69):
        alone = shape_attributes(stack[k], structures=STRUCTURES)
        assert np.array_equal(together.iloc[[k]], alone)
    assert (np.diff(together["lv_area"]) > 0).all()
    assert (np.diff(together["lv_base_width"]) >= 0).all()


def test_units_are_pixels_where_nobody_knows_the_spacing():
    labels = ventricle(turn_deg=10)
    found = shape_attributes(labels, structures=STRUCTURES)
    assert found.attrs["units"]["lv_area"] == "pixels2"
    assert found.attrs["units"]["lv_orientation"] == "degrees"
    in_mm = shape_attributes(labels, structures=STRUCTURES, spacing_mm=(2, 2))
    assert in_mm.attrs["units"]["lv_length"] == "mm"
    assert np.allclose(in_mm.iloc[0] / found.iloc[0], [4, 2, 2, 1, 4, 2, 2], rtol=1e-6)


def test_what_is_missing_is_nan():
    empty = np.zeros((3, 20, 20), np.uint8)
    empty[1, 5:9, 5:9] = 1  # a cavity without a wall has no base
    empty[2, 5:9, 5:9] = 2
    found = shape_attributes(empty, structures=STRUCTURES)
    assert found.iloc[0].isna().all()
    assert found.loc[1, "lv_area"] == 16
    assert found.loc[1, ["lv_base_width", "lv_length", "myo_area"]].isna().all()
    assert found.loc[2, "myo_area"] == 16
    assert found.loc[2, ["lv_area", "lv_orientation"]].isna().all()
    nothing = shape_attributes(empty[:0], structures=STRUCTURES)
    assert nothing.shape == (0, 7)


def test_a_ring_on_the_short_axis():
    row, column = np.indices((120, 120)) * np.array([0.5, 1.0])[:, None, None]
    away = np.hypot(row - 30, column - 60)
    labels = np.zeros(away.shape, np.uint8)
    labels[away <= 24] = 2
    labels[away <= 15] = 3
    labels[:10, :5] = 1
    found = shape_attributes(
        labels,
        "short_axis",
        structures={"RV": 1, "MYO": 2, "LV": 3},
        spacing_mm=(0.5, 1.0),
    ).iloc[0]
    assert found["lv_area"] == pytest.approx(np.pi * 15**2, rel=0.01)
    assert found["rv_area"] == 25
    assert found["wall_thickness"] == pytest.approx(9, abs=0.1)
    assert found[["epi_center_x", "epi_center_y"]].tolist() == pytest.approx([60, 30])


def test_slices_of_a_lesion():
    row, column = np.indices((60, 80))
    disk = (row - 30) ** 2 + (column - 40) ** 2 <= 20**2
    oval = ((row - 30) / 10) ** 2 + ((column - 40) / 30) ** 2 <= 1
    found = shape_attributes(
        np.stack([disk, oval, 0 * disk]).astype(np.uint8),
        "lesion_slice",
        structures={"lesion": 1},
    )
    assert found.loc[0, "area"] == pytest.approx(np.pi * 20**2, rel=0.01)
    assert found.loc[0, "circularity"] == pytest.approx(1, abs=0.1)
    assert found["elongation"].tolist()[:2] == pytest.approx([1, 1 / 3], abs=0.01)
    assert found.loc[1, "circularity"] < 0.75
    assert found.loc[2].isna().all()


def test_a_ball_and_a_spindle():
    z, y, x = np.indices((30, 60, 60)) * np.array([2.0, 1.0, 1.0])[:, None, None, None]
    ball = (z - 30) ** 2 + (y - 30) ** 2 + (x - 30) ** 2 <= 18**2
    spindle = ((z - 30) / 1) ** 2 + ((y - 30) / 0.5) ** 2 + (x - 30) ** 2 * 4 <= 26**2
    found = shape_attributes(
        np.stack([ball, spindle, 0 * ball]).astype(np.uint8),
        "lesion",
        structures={"lesion": 1},
        spacing_mm=(2, 1, 1),
    )
    assert found.loc[0, "volume"] == pytest.approx(4 / 3 * np.pi * 18**3, rel=0.01)
    # steps of the mesh
    assert 0.87 < found.loc[0, "sphericity"] <= 1
    assert found.loc[0, "elongation"] == pytest.approx(1, abs=0.02)
    assert found.loc[1, "elongation"] == pytest.approx(0.5, abs=0.03)
    assert found.loc[1, "sphericity"] < found.loc[0, "sphericity"]
    assert found.loc[2].isna().all()


def test_faults_are_explained():
    labels = ventricle()
    with pytest.raises(SchemaError, match=r"did you mean 'apical_7'|known are"):
        shape_attributes(labels, "apical", structures=STRUCTURES)
    with pytest.raises(SchemaError, match=r"lack \['MYO'\]"):
        shape_attributes(labels, structures={"LV": 1})
    with pytest.raises(GeometryError, match="with 3 axes"):
        shape_attributes(labels, "lesion", structures={"lesion": 1})


def test_thresholds_of_the_apical_set_are_those_published():
    found = {one.name: one.threshold for one in ATTRIBUTE_SETS["apical_7"].attributes}
    assert found == {
        "lv_area": 0.0160,
        "lv_base_width": 0.0969,
        "lv_length": 0.0262,
        "lv_orientation": 0.0229,
        "myo_area": 0.0321,
        "epi_center_x": 0.00456,
        "epi_center_y": 0.0110,
    }
