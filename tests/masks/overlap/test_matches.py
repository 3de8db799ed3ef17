"""Lesions matched by overlap: numbers never matter, every lesion is counted once."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint

from radlatent.cohort import Cohort, index
from radlatent.errors import CohortError, GeometryError, SchemaError
from radlatent.imaging import Volume, write_volume
from radlatent.masks import (
    compare_cohorts,
    compare_masks,
    match_cohort_lesions,
    match_lesions,
)
from radlatent.schema import check_failures

SPACING = (5.0, 2.0, 2.0)
VOXEL_ML = 0.02


@pytest.fixture
def drawn():
    """Return two lesions, the same numbered otherwise, and one that is false."""
    reference = np.zeros((20, 40, 40), np.uint8)
    mask = reference.copy()
    reference[5:10, 5:12, 5:12], reference[5:10, 25:32, 25:32] = 1, 2
    mask[5:10, 25:32, 25:33], mask[5:10, 5:12, 5:11] = 1, 2
    mask[15:17, 15:18, 15:18] = 3
    return mask, reference


def test_by_hand(drawn):
    found = match_lesions(*drawn, spacing_mm=SPACING)
    table = found.lesions
    assert table["state"].tolist() == ["matched", "matched", "false"]
    assert table["reference_lesion"].tolist() == ["1", "2", None]
    assert table["mask_lesion"].tolist() == ["2", "1", "3"]
    # 5 x 7 x 7 against 5 x 7 x 6 and 5 x 7 x 8 voxels
    assert table["jaccard"].tolist()[:2] == [6 / 7, 7 / 8]
    assert table["dice"].tolist()[:2] == [12 / 13, 14 / 15]
    assert table["hd95_max_mm"].tolist()[:2] == [2.0, 2.0]
    assert table["volume_ml"].tolist() == pytest.approx([4.2, 5.6, 18 * VOXEL_ML])
    assert table["reference_volume_ml"].tolist()[:2] == pytest.approx([4.9, 4.9])
    summary = found.summary["estimate"]
    assert summary["matched":"recall"].tolist() == [2, 0, 1, 2 / 3, 1]
    assert summary["f1"] == 4 / 5
    assert summary["segmentation_quality"] == pytest.approx((6 / 7 + 7 / 8) / 2)
    assert summary["panoptic_quality"] == pytest.approx((6 / 7 + 7 / 8) / 2 * 0.8)
    assert summary["dice"] == pytest.approx((12 / 13 + 14 / 15) / 2)
    assert summary["reference_volume_ml"] == pytest.approx(9.8)
    assert summary["false_volume_ml"] == pytest.approx(0.36)
    assert summary["missed_volume_ml"] == 0
    ends = found.summary.loc["precision", ["lower", "upper"]].tolist()
    assert ends == pytest.approx(proportion_confint(2, 3, method="wilson"))
    jaccard = np.array(proportion_confint(2, 3, method="wilson"))
    ends = found.summary.loc["f1", ["lower", "upper"]].tolist()
    assert ends == pytest.approx(2 * jaccard / (1 + jaccard))
    assert repr(found) == "LesionMatches(2 matched, 0 missed, 1 false)"
    assert "panoptic_quality" in found._repr_html_()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("overlap", ["iou", "dice"])
def test_numbers_do_not_matter(seed, overlap):
    random = np.random.default_rng(seed)
    arrays = []
    for _ in range(2):
        array = np.zeros((6, 30, 30), np.uint8)
        for k in range(9):
            y, x = 10 * (k // 3), 10 * (k % 3)
            y, x = np.array((y, x)) + random.integers(0, 4, 2)
            array[1:5, y : y + 5, x : x + 5] = k + 1
        arrays.append(array)
    options = {"spacing_mm": SPACING, "overlap": overlap, "least_overlap": 0.2}
    names = ["mask_lesion", "reference_lesion"]
    plain = match_lesions(*arrays, **options)
    assert set(plain.lesions["state"]) >= {"matched"}
    for _ in range(3):
        others = [np.array([0, *random.permutation(200)[:9] + 1])[a] for a in arrays]
        again = match_lesions(*others, **options)
        pd.testing.assert_frame_equal(
            again.lesions.drop(columns=names), plain.lesions.drop(columns=names)
        )
        pd.testing.assert_frame_equal(again.summary, plain.summary)


def test_equal_overlaps_are_decided_by_place_not_by_number():
    reference = np.zeros((1, 3, 12), np.uint8)
    reference[:, :, 3:9] = 1
    for first, second in ((1, 2), (2, 1)):
        mask = np.zeros_like(reference)
        mask[:, :, 3:6], mask[:, :, 6:9] = first, second
        found = match_lesions(mask, reference, spacing_mm=SPACING)
        assert found.lesions["mask_lesion"].tolist() == [str(first), str(second)]
        assert found.lesions["state"].tolist() == ["matched", "false"]


def test_the_largest_overlap_comes_first():
    reference, mask = np.zeros((2, 1, 10, 10), np.uint8)
    reference[0, :, :6], reference[0, :, 6:] = 1, 2
    mask[0, :, 1:8], mask[0, :, 8:] = 1, 2
    found = match_lesions(mask, reference, spacing_mm=SPACING, least_overlap=0.1)
    # 5 of 8 columns, then 2 of 4; 2 of 9 are left
    assert found.lesions["jaccard"].tolist() == [5 / 8, 2 / 4]


def test_what_overlaps_too_little_is_missed_and_false(drawn):
    mask, reference = drawn
    found = match_lesions(mask, reference, spacing_mm=SPACING, least_overlap=0.86)
    assert found.lesions["state"].tolist() == ["missed", "matched", "false", "false"]
    assert found.lesions["dice"].isna().tolist() == [True, False, True, True]
    assert found.summary.loc["missed_volume_ml", "estimate"] == pytest.approx(4.9)


def test_components_of_binary_masks_touch_at_corners(drawn):
    mask, reference = (array > 0 for array in drawn)
    plain = match_lesions(*drawn, spacing_mm=SPACING)
    for pair in ((mask, reference), (mask.astype(np.uint8), reference * np.uint8(7))):
        found = match_lesions(*pair, spacing_mm=SPACING)
        pd.testing.assert_frame_equal(found.summary, plain.summary)
    corner = np.zeros((3, 3, 3), bool)
    corner[0, 0, 0] = corner[1, 1, 1] = True
    found = match_lesions(corner, corner, spacing_mm=SPACING)
    assert repr(found) == "LesionMatches(1 matched, 0 missed, 0 false)"
    touching = corner * np.array([1, 2, 0], np.uint8)
    found = match_lesions(touching, touching, spacing_mm=SPACING)
    assert repr(found) == "LesionMatches(2 matched, 0 missed, 0 false)"
    found = match_lesions(touching, touching, spacing_mm=SPACING, lesions="components")
    assert repr(found) == "LesionMatches(1 matched, 0 missed, 0 false)"


@pytest.mark.parametrize(
    ("emptied", "expected"),
    [
        ((True, True), [np.nan, np.nan, np.nan, np.nan]),
        ((True, False), [np.nan, 0.0, 0.0, 0.0]),
        ((False, True), [0.0, np.nan, 0.0, 0.0]),
    ],
)
def test_empty_masks(drawn, emptied, expected):
    pair = [a * (0 if e else 1) for a, e in zip(drawn, emptied, strict=True)]
    pair = [array.astype(np.uint8) for array in pair]
    found = match_lesions(*pair, spacing_mm=SPACING)
    rows = ["precision", "recall", "f1", "panoptic_quality"]
    np.testing.assert_array_equal(found.summary.loc[rows, "estimate"], expected)
    assert np.isnan(found.summary.loc["dice", "estimate"])
    assert len(found.lesions) == 3 * (not emptied[0]) + 2 * (not emptied[1])


def test_what_is_refused(drawn):
    mask, reference = drawn
    with pytest.raises(GeometryError, match="on one grid"):
        match_lesions(mask[1:], reference, spacing_mm=SPACING)
    with pytest.raises(GeometryError, match=r"as \(z, y, x\)"):
        match_lesions(mask[0], reference[0], spacing_mm=SPACING[1:])
    with pytest.raises(SchemaError, match="integer labels"):
        match_lesions(mask * 0.5, reference, spacing_mm=SPACING)
    for options in ({"overlap": "dise"}, {"least_overlap": 0}, {"lesions": "label"}):
        with pytest.raises(ValueError, match=next(iter(options))):
            match_lesions(mask, reference, spacing_mm=SPACING, **options)


@pytest.fixture
def make(tmp_path):
    def cohort(name, labels=True, **patients):
        root = tmp_path / name / "in"
        for patient, array in patients.items():
            image = Volume(np.zeros(array.shape, np.float32), SPACING)
            write_volume(image, root / patient / "ct_image.nii.gz")
            mask = image.with_array(array)
            write_volume(mask, root / patient / "ct_mask.nii.gz")
        index(root, tmp_path / name, labels=labels)
        return Cohort.read(tmp_path / name)

    return cohort


@pytest.mark.parametrize("labels", [True, False])
def test_cohorts_are_matched_patient_by_patient(make, drawn, labels):
    mask, reference = drawn
    nothing = np.zeros_like(mask)
    one = make("a", labels, p1=mask, p2=nothing, p3=reference)
    two = make("b", labels, p1=reference, p2=reference, p3=nothing)
    found = match_cohort_lesions(one, two)
    check_failures(found.failures)
    assert found.failures.empty
    counts = found.lesions.groupby("patient_id")["state"].apply(list)
    assert counts["p1"] == ["matched", "matched", "false"]
    assert counts["p2"] == ["missed", "missed"]
    assert counts["p3"] == ["false", "false"]
    first = found.lesions.iloc[0]
    separator = "_" if labels else ":"
    assert first["mask_lesion"] == f"p1{separator}2"
    assert first["reference_lesion"] == f"p1{separator}1"
    alone = match_lesions(*drawn, spacing_mm=SPACING).lesions
    dice = found.lesions["dice"].dropna().tolist()
    assert dice == alone["dice"].dropna().tolist()
    assert found.summary.loc["recall", "estimate"] == 2 / 4


def test_a_patient_that_fails_is_in_no_number(make, drawn):
    mask, reference = drawn
    one = make("a", p1=mask, p2=reference)
    two = make("b", p1=reference, p2=reference[1:])
    found = match_cohort_lesions(one, two)
    assert set(found.lesions["patient_id"]) == {"p1"}
    assert found.failures["error"].tolist() == ["GeometryError"]
    assert repr(found) == "LesionMatches(2 matched, 0 missed, 1 false, 1 failed)"


def test_other_patients_are_told(make, drawn):
    one, two = make("a", p1=drawn[0]), make("b", p2=drawn[1])
    with pytest.raises(CohortError, match=r"\['p1'\] are in the first only"):
        match_cohort_lesions(one, two)


def test_a_dice_of_0_on_another_label_is_told(make, drawn, caplog):
    mask, reference = drawn
    mask = np.where(mask == 3, 0, mask)
    found = compare_cohorts(make("a", p1=mask), make("b", p1=reference))
    assert (found.table["dice"] == 0).all()
    assert "case 'p1_1' has a Dice of 0, but lies on the labels [2]" in found.notes[0]
    assert len(found.notes) == 2
    assert found.notes[1] in caplog.text
    caplog.clear()
    structures = {"a": 1, "b": 2}
    compare_masks(mask, reference, structures=structures, spacing_mm=SPACING)
    assert "structure 'b' has a Dice of 0, but lies on the labels [1]" in caplog.text


def test_a_dice_of_0_beside_everything_is_not_told(make, drawn, caplog):
    reference = drawn[1]
    moved = np.roll(reference, 8, axis=0)
    found = compare_cohorts(make("a", p1=moved), make("b", p1=reference))
    assert (found.table["dice"] == 0).all()
    assert found.notes == ()
    assert not caplog.text
