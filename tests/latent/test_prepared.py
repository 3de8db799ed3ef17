"""Every case of a table: an array, or a row that says why there is none."""

import numpy as np
import pandas as pd
import pytest

from radlatent.errors import SchemaError
from radlatent.imaging import Volume, write_volume
from radlatent.latent.inputs import Box, Projections
from radlatent.latent.prepared import cases_of, prepare_cases

BOX = Box(("ct",), size_mm=(24, 24, 24), spacing_mm=(2, 2, 2))


@pytest.fixture
def cases(tiny_cohort):
    return tiny_cohort.located


def write(path, array, spacing=2.0):
    write_volume(Volume(array, (spacing,) * 3), path)
    return str(path)


def test_rows_and_arrays_are_in_the_order_of_the_table(cases):
    found = prepare_cases(cases.loc[["p3", "p1", "p2"]], BOX)
    assert list(found.cases.index) == ["p3", "p1", "p2"]
    assert found.images.shape == found.masks.shape == (3, 1, 12, 12, 12)
    assert (found.images.dtype, found.masks.dtype) == (np.float32, bool)
    assert found.failures.empty
    volumes = found.masks.sum(axis=(1, 2, 3, 4))
    assert volumes[0] > volumes[2] > volumes[1]  # spheres of 5, 3 and 4 voxels


@pytest.mark.slow
def test_processes_and_company_change_nothing(cases):
    alone = [prepare_cases(cases.loc[[name]], BOX) for name in cases.index]
    together = prepare_cases(cases, BOX, jobs=2)
    for part in ("images", "masks"):
        parts = np.concatenate([getattr(one, part) for one in alone])
        np.testing.assert_array_equal(getattr(together, part), parts)


def test_cases_that_cannot_be_read_are_rows_of_failures(cases, tmp_path):
    sick = cases.loc[["p2"] * 5].set_axis(list("abcde"))
    sick.index.name = "case_id"
    sick["patient_id"] = list("abcde")
    ball = np.zeros((16, 16, 16))
    ball[8, 8, 8] = 1
    sick.loc["a", "image_ct"] = None
    sick.loc["b", "mask_ct"] = write(tmp_path / "b.nii.gz", (0 * ball).astype(np.uint8))
    sick.loc["c", "image_ct"] = str(tmp_path / "absent.nii.gz")
    sick.loc["d", "image_ct"] = write(tmp_path / "d.nii.gz", ball + np.nan)
    sick.loc["e", "mask_ct"] = write(tmp_path / "e.nii.gz", ball.astype(np.uint8))
    coarse = Box(("ct",), (32, 32, 32), (8, 8, 8))
    found = prepare_cases(pd.concat([sick, cases.loc[["p2"]]]), coarse)
    assert list(found.cases.index) == ["p2"]
    table = found.failures.set_index("case_id")
    assert list(table.index) == list("abcde")
    assert list(table["error"]) == [
        "SchemaError", "EmptyMaskError", "FileNotFoundError", "SchemaError",
        "EmptyMaskError",
    ]  # fmt: skip
    assert set(table["stage"]) == {"latent ct"}
    assert "['image_ct'] is empty" in table.loc["a", "message"]
    assert "NaN" in table.loc["d", "message"]
    assert "grid of (8, 8, 8) mm" in table.loc["e", "message"]


def test_a_lesion_that_the_box_cuts_is_told_and_kept(cases):
    small = Box(("ct",), (12, 20, 20), spacing_mm=(2, 2, 2), larger="cut")
    found = prepare_cases(cases, small)
    assert len(found) == 3
    table = found.failures.set_index("case_id")
    # spheres of 3, 4 and 5 voxels of 2 mm; voxel centers at odd halves
    assert list(table.index) == ["p2", "p3"]
    assert (table["error"] == "LesionCut").all()
    grid = np.indices((16, 16, 16)) - 7.5
    for name, radius in (("p2", 4), ("p3", 5)):
        ball = np.sqrt((grid**2).sum(axis=0)) <= radius
        z = grid[0][ball] * 2
        share = 100 * (np.abs(z) > 6).mean()
        needed = int(2 * np.abs(z).max())
        message = table.loc[name, "message"]
        assert f"{share:.1f}% of the lesion" in message
        assert f"needs [{needed}, {needed}, {needed}] mm" in message
        assert "the box has [12, 20, 20]" in message


def test_a_lesion_that_was_scaled_is_no_failure_and_its_scale_is_known(cases, caplog):
    small = Box(("ct",), (12, 20, 20), spacing_mm=(2, 2, 2))
    with caplog.at_level("INFO", "radlatent"):
        found = prepare_cases(cases, small)
    assert found.failures.empty
    assert found.scales[0] == 1
    # spheres of 3, 4 and 5 voxels of 2 mm: centers to 7 and 9 mm, the box to 6 mm
    np.testing.assert_allclose(found.scales[1:], [7 / 6, 9 / 6])
    assert "2 of 3 lesions are larger than the box" in caplog.text
    np.testing.assert_array_equal(found.take(["p3", "p1"]).scales, [9 / 6, 1])


def test_taking_keeps_the_order_asked_for_and_the_failures_of_those(cases):
    small = Box(("ct",), (12, 20, 20), spacing_mm=(2, 2, 2), larger="cut")
    found = prepare_cases(cases, small)
    some = found.take(["p3", "absent", "p1"])
    assert list(some.cases.index) == ["p3", "p1"]
    np.testing.assert_array_equal(some.images, found.images[[2, 0]])
    np.testing.assert_array_equal(some.masks, found.masks[[2, 0]])
    assert list(some.failures["case_id"]) == ["p3"]
    assert repr(some) == "PreparedCases(2 cases of (1, 6, 10, 10))"


def test_projections_need_no_mask(cases):
    found = prepare_cases(
        cases.drop(columns="mask_pet"), Projections("pet", (64, 48), spacing_mm=4.0)
    )
    assert found.images.shape == (3, 2, 16, 12)


def test_what_is_wrong_with_inputs_and_columns_is_told_together(cases):
    with pytest.raises(SchemaError) as caught:
        prepare_cases(cases, Box(("ct", "mr"), (-1, 2, 3), (1, 1)))
    for part in (
        "size_mm is [-1.0",
        "spacing_mm is [1.0, 1.0]",
        "'image_mr'",
        "'mask_mr'",
    ):
        assert part in str(caught.value)
    with pytest.raises(SchemaError, match="give a tuple of names"):
        prepare_cases(cases, Box("ct", (1, 2, 3), (1, 1, 1)))


def test_not_one_case_can_be_read(cases):
    cases = cases.assign(image_ct=None)
    with pytest.raises(SchemaError, match=r"none of 3 cases.*\n.*'p1'.*is empty"):
        prepare_cases(cases, BOX)


def test_cases_come_from_a_cohort_or_a_table(tiny_cohort, cases):
    pd.testing.assert_frame_equal(cases_of(tiny_cohort), cases)
    excluded = cases.assign(exclude=[False, True, False])
    assert list(cases_of(excluded).index) == ["p1", "p3"]
    with pytest.raises(SchemaError, match="X is a ndarray; give a Cohort"):
        cases_of(np.zeros((3, 2)))


def test_the_table_is_left_as_it_is(cases):
    before = cases.copy()
    prepare_cases(cases, BOX)
    pd.testing.assert_frame_equal(cases, before)
