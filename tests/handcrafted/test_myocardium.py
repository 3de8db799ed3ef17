"""The wall of drawn rings has the thickness that it was drawn with."""

import numpy as np
import pandas as pd
import pytest

import radlatent as rl
from radlatent.errors import SchemaError
from radlatent.features.origin import origin_of_blocks
from radlatent.handcrafted.aha import closed_slices
from radlatent.handcrafted.myocardium import (
    measure_walls,
    slice_thickness,
    thickness_map,
    wall_thickness,
)
from radlatent.imaging import Volume, write_volume


def ring(inner_mm, outer_mm, pixel_mm):
    n = int(2.4 * outer_mm / min(pixel_mm))
    rows, columns = ((np.arange(n) - n / 2) * mm for mm in pixel_mm)
    radius = np.hypot(rows[:, None], columns[None])
    return (radius >= inner_mm) & (radius < outer_mm), radius < inner_mm


@pytest.mark.parametrize("pixel_mm", [(1.0, 1.0), (0.5, 1.0)])
@pytest.mark.parametrize(("inner", "outer"), [(25, 34), (20, 40), (15, 21)])
def test_a_ring_is_as_thick_as_it_was_drawn(inner, outer, pixel_mm):
    wall, cavity = ring(inner, outer, pixel_mm)
    # half a pixel: the border of a drawn disc lies between pixels
    found = slice_thickness(wall, cavity, np.array(pixel_mm))
    assert found == pytest.approx(outer - inner, abs=0.5 * max(pixel_mm))


def test_a_wall_that_is_thick_on_one_side_has_the_mean_thickness():
    n = 120
    rows, columns = np.mgrid[:n, :n] - n / 2
    cavity = np.hypot(rows, columns) < 20
    wall = (np.hypot(rows - 4, columns) < 30) & ~cavity
    found = slice_thickness(wall, cavity, np.ones(2))
    thin, thick = 6, 14
    assert thin < found < thick
    # pixels are more on the thick side, so the mean of pixels lies above the middle
    assert found > 10


def test_without_a_cavity_there_is_no_thickness():
    wall, cavity = ring(20, 30, (1.0, 1.0))
    assert np.isnan(slice_thickness(wall, np.zeros_like(cavity), np.ones(2)))
    assert np.isnan(slice_thickness(np.zeros_like(wall), cavity, np.ones(2)))


def test_a_structure_that_is_not_there_is_named(tiny_cohort):
    with pytest.raises(SchemaError, match=r"\['MYO', 'LV'\] are not in cohort"):
        wall_thickness(tiny_cohort, myocardium="MYO", cavity="LV", modality="ct")


def circles(inner_mm, outer_mm, apart_mm, pixel_mm):
    """Return wall and cavity of two circles, and the thickness in closed form."""
    n = [int(2.6 * outer_mm / mm) for mm in pixel_mm]
    rows, columns = (
        (np.arange(k) - k / 2) * mm for k, mm in zip(n, pixel_mm, strict=True)
    )
    inner = np.hypot(rows[:, None], columns[None])
    outer = np.hypot(rows[:, None], columns[None] - apart_mm)
    thickness = outer_mm - inner_mm + inner - outer
    return (inner >= inner_mm) & (outer < outer_mm), inner < inner_mm, thickness


@pytest.mark.parametrize("pixel_mm", [(1.0, 1.0), (0.5, 1.0), (1.4, 1.4), (0.7, 1.6)])
@pytest.mark.parametrize("apart", [0.0, 3.0, 6.0])
def test_circles_apart_have_the_thickness_of_the_formula(apart, pixel_mm):
    wall, cavity, expected = circles(22.0, 32.0, apart, pixel_mm)
    found = thickness_map(wall, cavity, np.array(pixel_mm))
    assert np.array_equal(~np.isnan(found), wall)
    error = (found - expected)[wall]
    # two borders, each known to half a pixel
    assert np.abs(error).max() <= 1.01 * max(pixel_mm)
    # the pixel beyond a round border that is nearest lies less than half a pixel beyond
    assert -0.5 * max(pixel_mm) < error.mean() < 0
    assert found[wall].std() == pytest.approx(
        expected[wall].std(), abs=0.35 * max(pixel_mm)
    )
    assert found[wall].max() == pytest.approx(expected[wall].max(), abs=max(pixel_mm))


THIN, THICK, GROWN = 8.0, 14.0, 1.5


def bulging(factor=1.0):
    """Return labels of a heart, base first: segments 2 and 8 are thicker."""
    labels = np.zeros((9, 110, 110), np.uint8)
    rows, columns = np.indices(labels.shape[1:]) - 55
    away = np.hypot(rows, columns)
    angle = (np.degrees(np.arctan2(-rows, columns)) - 120) % 360
    for z, plane in enumerate(labels):
        inner = 20.0 - 0.8 * z
        outer = inner + np.where((angle < 60) & (z < 6), THICK, THIN * factor)
        plane[(away < outer + 10) & (angle < 120)] = 1
        plane[away < outer] = 2
        plane[away < inner] = 3
    return labels


@pytest.fixture(scope="module")
def hearts(tmp_path_factory):
    """Return a cohort: one whole heart, one without RV at ES, one without LV at ED."""
    folder, rows = tmp_path_factory.mktemp("hearts"), []
    write_volume(Volume(bulging() + 0.0, (8.0, 1.0, 1.0)), folder / "image.nii.gz")
    for patient, left_out in (("p1", ()), ("p2", ("RV", "ES")), ("p3", ("LV", "ED"))):
        for timepoint, factor in (("ED", 1.0), ("ES", GROWN)):
            file = f"{patient}_{timepoint}.nii.gz"
            volume = Volume(bulging(factor), (8.0, 1.0, 1.0))
            write_volume(volume, folder / file)
            rows += [
                {"case_id": f"{patient}_{name}_{timepoint}", "patient_id": patient}
                | {"lesion_id": name, "timepoint": timepoint}
                | {"image_mr": "image.nii.gz", "mask_mr": file, "mask_label": label}
                for name, label in (("RV", 1), ("MYO", 2), ("LV", 3))
                if (name, timepoint) != left_out
            ]
    pd.DataFrame(rows).to_csv(folder / "cases.csv", index=False)
    card = "name: hearts\nfreeze: 2026-11-20\nmodalities:\n  mr: {unit: arbitrary}\n"
    (folder / "cohort.yml").write_text(card.replace("}", ", preset: mr}"), "utf-8")
    return rl.Cohort.read(folder)


ABOUT = {"myocardium": "MYO", "cavity": "LV", "modality": "mr", "jobs": 1}
SEGMENTED = ABOUT | {"right_ventricle": "RV", "orientation": "displayed"}


@pytest.fixture(scope="module")
def measured(hearts):
    return measure_walls(hearts, **SEGMENTED)


def test_a_thicker_sector_is_found_in_its_segments(measured):
    found = measured.features.loc["p1_MYO_ED"].filter(like="thickness_aha_0")
    found = found.rename(lambda name: int(name[-2:]))
    # near its sides the thick sector is cut obliquely, and so are its neighbors
    assert found[[2, 8]].between(THICK - 2, THICK).all()
    assert found[[4, 5, 6]].to_numpy() == pytest.approx(THIN, abs=0.5)
    others = measured.features.loc["p1_MYO_ED"]
    assert others["mr_wall__thickness_aha_14"] == pytest.approx(THIN, abs=0.5)
    assert others["mr_wall__thickness_aha_maximum"] == found[[2, 8]].max()
    over = others.filter(regex=r"aha_\d\d$")
    assert others["mr_wall__thickness_aha_mean"] == pytest.approx(over.mean())
    assert others["mr_wall__thickness_aha_spread"] == pytest.approx(over.std(ddof=0))
    assert len(over) == 16


def test_what_differs_within_a_slice_is_told(measured):
    case = measured.features.loc["p1_MYO_ED"]
    # a sixth of the circumference is thicker, and has more of the pixels
    assert case["mr_wall__thickness_within_slice_spread_maximum"] > 1.5
    assert case["mr_wall__thickness_within_slice_maximum_maximum"] == pytest.approx(
        THICK, abs=1
    )
    apex = ring(14, 22, (1.0, 1.0))
    assert np.nanstd(thickness_map(*apex, np.ones(2))) < 0.35


def test_thickening_is_that_of_the_wall(hearts, measured):
    found = rl.wall_thickening(
        measured.features, hearts.included, first="ED", last="ES"
    )
    assert list(found)[:2] == ["mr_wall__thickening_mean", "mr_wall__thickening_aha_01"]
    assert found.shape == (3, 17)
    one = found.loc["p1"]
    free = one[[f"mr_wall__thickening_aha_{n:02d}" for n in (4, 5, 6, 10, 11, 12)]]
    assert free.to_numpy() == pytest.approx(GROWN - 1, abs=0.08)
    assert abs(one["mr_wall__thickening_aha_02"]) < 0.1
    assert found.loc["p2"].notna().tolist() == [True] + [False] * 16
    assert found.loc["p3"].isna().all()
    assert origin_of_blocks(found)["mr_wall"].told


def test_what_is_missing_has_a_reason(measured):
    failures = measured.failures.set_index("case_id")
    assert set(failures.index) == {"p2_MYO_ES", "p3_MYO_ED"}
    assert set(failures["stage"]) == {"myocardium mr"}
    assert "right ventricle is not there" in failures["message"]["p2_MYO_ES"]
    assert "no mask of ['LV']" in failures["message"]["p3_MYO_ED"]
    table = measured.features
    assert table.loc["p3_MYO_ED"].isna().all()
    missing = table.loc["p2_MYO_ES"].isna()
    assert missing[missing].index.str.contains("aha").all()
    assert missing.sum() == 19


def test_reasons_are_logged(hearts, caplog):
    table = rl.wall_thickness(hearts, **SEGMENTED)
    assert "p2_MYO_ES: the right ventricle is not there" in caplog.text
    before = rl.wall_thickness(hearts, **ABOUT)
    assert before.shape == (6, 7)
    pd.testing.assert_frame_equal(table[list(before)], before)


def test_the_header_of_a_stack_that_stands_straight_gives_no_segments(hearts):
    found = measure_walls(hearts, **SEGMENTED | {"orientation": "header"})
    assert found.features.filter(like="aha").isna().all(axis=None)
    assert found.features["mr_myocardium__wall_thickness_mean"].notna().sum() == 5
    assert "displayed" in found.failures["message"].iloc[-1]


def test_a_word_that_is_not_known_is_refused(hearts):
    with pytest.raises(SchemaError, match="did you mean 'displayed'"):
        rl.wall_thickness(hearts, **SEGMENTED | {"orientation": "display"})
    table = rl.wall_thickness(hearts, **ABOUT)
    with pytest.raises(SchemaError, match="did you mean 'ES'"):
        rl.wall_thickening(table, hearts.included, first="ED", last="ESS")


def test_rings_that_are_open_give_nothing_within_slices():
    wall, cavity = ring(20, 30, (1.0, 1.0))
    wall[:40, 34:38] = False
    masks = [Volume(np.stack([one] * 4), (8, 1, 1)) for one in (wall, cavity)]
    assert not closed_slices(*(v.array for v in masks)).any()
