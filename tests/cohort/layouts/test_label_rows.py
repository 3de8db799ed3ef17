"""A label map of lesions becomes a case a lesion."""

import numpy as np
import pandas as pd
import pytest

from radlatent.cohort import Cohort, check, index
from radlatent.cohort.layouts.label_rows import one_row_a_label
from radlatent.errors import CohortError
from radlatent.fusion import lesion_burden
from radlatent.handcrafted import extract, lesion_centroids
from radlatent.imaging import Volume, write_volume

SPACING = (4.0, 4.0, 4.0)


def spheres(n, radius=2):
    """Return labels 1 to n, spheres 24 mm apart along x."""
    z, y, x = np.indices((8, 8, 6 * n + 2))
    labels = np.zeros(z.shape, np.uint8)
    for k in range(n):
        inside = (z - 4) ** 2 + (y - 4) ** 2 + (x - 6 * k - 4) ** 2 <= radius**2
        labels[inside] = k + 1
    return labels


def write(folder, rng, **masks):
    for name, labels in masks.items():
        image = Volume(rng.gamma(2, 1, labels.shape).astype(np.float32), SPACING)
        write_volume(image, folder / f"{name}_image.nii.gz")
        write_volume(image.with_array(labels), folder / f"{name}_mask.nii.gz")


@pytest.mark.parametrize("n", [3, 11])
def test_every_label_is_a_case(tmp_path, rng, n):

    write(tmp_path / "in" / "p1", rng, pet=spheres(n))
    cases = index(tmp_path / "in", tmp_path / "out", labels=True)
    assert cases.index.tolist() == [f"p1_{k}" for k in range(1, n + 1)]
    assert cases["lesion_id"].tolist() == cases["mask_label"].tolist()
    found = check(tmp_path / "out")
    assert found.problems.empty
    assert not any("one lesion" in note for note in found.notes)
    cohort = Cohort.read(tmp_path / "out")
    assert cohort.cases["mask_label"].tolist() == list(range(1, n + 1))
    features = extract(cohort).features
    places = lesion_centroids(cohort, "pet")
    burden = lesion_burden(features, cohort.cases, centroids=places).loc["p1"]
    voxels = int((spheres(n) == 1).sum())
    assert burden["pet_burden__n_lesions"] == n
    assert burden["pet_burden__tmtv_ml"] == pytest.approx(n * voxels * 0.064)
    assert burden["pet_burden__largest_ml"] == pytest.approx(voxels * 0.064)
    assert burden["pet_burden__dmax_mm"] == pytest.approx((n - 1) * 24)


def test_without_it_the_union_is_noted(tmp_path, rng):
    write(tmp_path / "in" / "p1", rng, pet=spheres(3))
    assert len(index(tmp_path / "in", tmp_path / "out")) == 1
    (note,) = check(tmp_path / "out").notes
    assert "labels [1, 2, 3] and mask_label is empty: 3 labels are measured" in note
    assert "radlatent index --labels" in note


def test_a_label_that_one_modality_lacks_has_no_image_there(tmp_path, rng):
    both = {"ct": np.where(spheres(3) == 2, 0, spheres(3)), "pet": spheres(3)}
    write(tmp_path / "in" / "p1", rng, **both)
    cases = index(tmp_path / "in", tmp_path / "out", labels=True)
    empty = cases[["image_ct", "mask_ct"]] == ""
    assert empty.all(axis=1).tolist() == [False, True, False]
    assert (cases[["image_pet", "mask_pet"]] != "").all(axis=None)
    assert check(tmp_path / "out").problems.empty


def test_lesions_of_their_own_files_keep_their_names(tmp_path, rng):
    folder = tmp_path / "in" / "p1"
    write(folder, rng, pet=spheres(2))
    (folder / "pet_mask.nii.gz").rename(folder / "pet_mask_liver.nii.gz")
    image = Volume(np.where(spheres(2) == 1, 5, 0).astype(np.uint8), SPACING)
    write_volume(image, folder / "pet_mask_spleen.nii.gz")
    pattern = "{patient_id}/{modality}_mask_{lesion_id}.nii.gz"
    cases = index(tmp_path / "in", tmp_path / "out", mask=pattern, labels=True)
    assert cases["lesion_id"].tolist() == ["liver_1", "liver_2", "spleen_5"]
    assert cases["mask_label"].tolist() == ["1", "2", "5"]
    assert check(tmp_path / "out").problems.empty


def test_rounded_labels_and_voxels_below_0_are_no_lesions(tmp_path, rng):
    off = spheres(2) * np.float32(0.9999999)
    off[0, 0, 0] = -3
    write(tmp_path / "in" / "p1", rng, pet=off)
    cases = index(tmp_path / "in", tmp_path / "out", labels=True)
    assert cases["mask_label"].tolist() == ["1", "2"]


def test_an_empty_mask_keeps_its_row_and_is_found_by_check(tmp_path, rng):
    write(tmp_path / "in" / "p1", rng, pet=spheres(2))
    write(tmp_path / "in" / "p2", rng, pet=0 * spheres(2))
    cases = index(tmp_path / "in", tmp_path / "out", labels=True)
    assert cases.index.tolist() == ["p1_1", "p1_2", "p2"]
    assert check(tmp_path / "out").problems["problem"].tolist() == ["the mask is empty"]


def test_masks_without_labels_are_all_told_and_nothing_is_written(tmp_path, rng):
    write(tmp_path / "in" / "p1", rng, pet=spheres(2) * np.float32(0.4))
    write(tmp_path / "in" / "p2", rng, pet=spheres(2).astype(np.int32) * 70_000)
    with pytest.raises(CohortError) as error:
        index(tmp_path / "in", tmp_path / "out", labels=True)
    told = str(error.value)
    assert "p1/pet_mask.nii.gz holds intensities or probabilities" in told
    assert "p2/pet_mask.nii.gz holds the label 140000" in told
    assert not (tmp_path / "out").exists()


def test_labels_that_a_layout_gives_are_kept(tmp_path):
    cases = pd.DataFrame([{"case_id": "a", "patient_id": "a", "mask_label": "3"}])
    pd.testing.assert_frame_equal(one_row_a_label(cases, tmp_path), cases)
