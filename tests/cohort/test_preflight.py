"""Every fault of the files is found before the long work starts."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from radlatent.cohort import Cohort, check
from radlatent.errors import CohortError, SchemaError
from radlatent.imaging import Volume, read_volume, write_volume


def rewrite(path, change):
    """Write a volume again with other voxels."""
    volume = read_volume(path)
    write_volume(Volume(change(volume.array), volume.spacing_mm), path)


def only_problem(folder):
    found = check(folder).problems
    assert len(found) == 1, found.to_string()
    return found.iloc[0]


def test_a_sound_cohort_has_no_problem(tiny_folder):
    found = check(tiny_folder)
    assert found.problems.empty
    assert found.notes == ()
    found.raise_if_any()


def test_six_faults_are_reported_in_one_go(tiny_folder):
    (tiny_folder / "p1" / "pet_mask.nii.gz").unlink()
    rewrite(tiny_folder / "p2" / "ct_mask.nii.gz", lambda a: a[:, :, 1:])
    cases = pd.read_csv(tiny_folder / "cases.csv", dtype=str)
    cases["mask_label"] = ["1", "1", "4"]
    cases.loc[2, ["image_pet", "mask_pet"]] = cases.loc[
        2, ["mask_pet", "image_pet"]
    ].to_numpy()
    twin = cases.iloc[[0]]
    pd.concat([cases, twin]).to_csv(tiny_folder / "cases.csv", index=False)
    card = tiny_folder / "cohort.yml"
    text = card.read_text("utf-8").replace("event: survival_event", "event: death")
    card.write_text(text, "utf-8")
    found = check(tiny_folder)
    text = "\n".join(found.problems["problem"])
    for expected in (
        "'p1/pet_mask.nii.gz' is not there",
        "mask and image grids differ: shape (16, 16, 16) against (16, 16, 15)",
        "mask_label 4 is absent; labels present: 1 (552 voxels)",
        "the case_id occurs twice",
        "endpoint 'survival' names column 'death'",
        "image and mask look swapped",
    ):
        assert expected in text
    with pytest.raises(CohortError, match="6 problems found"):
        found.raise_if_any()
    # faults of the tables are never allowed
    with pytest.raises(CohortError):
        found.raise_if_any(allow=6)


def test_cases_with_faulty_files_can_be_allowed(tiny_folder):
    (tiny_folder / "p1" / "pet_mask.nii.gz").unlink()
    (tiny_folder / "p1" / "ct_image.nii.gz").write_bytes(b"nothing")
    (tiny_folder / "p2" / "ct_image.nii.gz").write_bytes(b"nothing")
    found = check(tiny_folder)
    assert len(found.problems) == 3
    with pytest.raises(CohortError, match="3 problems"):
        found.raise_if_any(allow=1)
    found.raise_if_any(allow=2)
    assert len(found.cohort.included) == 3


def test_an_empty_mask_is_named(tiny_folder):
    rewrite(tiny_folder / "p2" / "ct_mask.nii.gz", np.zeros_like)
    problem = only_problem(tiny_folder)
    assert problem["problem"] == "the mask is empty"
    assert problem["case_id"] == "p2"


def test_a_mask_of_one_voxel_is_named(tiny_folder):
    def one(array):
        array = np.zeros_like(array)
        array[8, 8, 8] = 1
        return array

    rewrite(tiny_folder / "p1" / "ct_mask.nii.gz", one)
    assert only_problem(tiny_folder)["problem"] == "the lesion is one voxel (8 mm3)"


def test_a_mask_of_intensities_is_named(tiny_folder):
    rewrite(tiny_folder / "p1" / "ct_mask.nii.gz", lambda a: a + 0.5)
    problem = only_problem(tiny_folder)["problem"]
    assert problem == "the mask ct_mask.nii.gz holds intensities, not labels"


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.zeros((16, 16)), "2D image of 16 x 16"),
        (np.zeros((16, 16, 16, 3)), "4D with 3 frames"),
    ],
)
def test_images_of_other_dimensions_are_named(tiny_folder, array, expected):
    nib.save(nib.Nifti1Image(array, np.eye(4)), tiny_folder / "p1" / "ct_image.nii.gz")
    problem = only_problem(tiny_folder)
    assert expected in problem["problem"]
    assert problem["case_id"] == "p1"


def test_axes_that_are_not_orthogonal_are_named(tiny_folder):
    affine = np.diag([2.0, 2, 2, 1])
    affine[0, 1] = 0.5
    image = nib.Nifti1Image(np.zeros((16, 16, 16)), affine)
    nib.save(image, tiny_folder / "p1" / "ct_image.nii.gz")
    assert "not orthogonal" in only_problem(tiny_folder)["problem"]


def test_a_file_that_is_no_image_is_named(tiny_folder):
    (tiny_folder / "p3" / "pet_image.nii.gz").write_text("a letter", "utf-8")
    problem = only_problem(tiny_folder)
    assert "pet_image.nii.gz: no image" in problem["problem"]
    assert problem["case_id"] == "p3"


def test_a_mask_shared_by_cases_is_reported_once(tiny_folder):
    cases = pd.read_csv(tiny_folder / "cases.csv", dtype=str)
    twin = cases.iloc[[0]].assign(case_id="p1b", lesion_id="B")
    cases["lesion_id"] = "A"
    pd.concat([cases, twin]).to_csv(tiny_folder / "cases.csv", index=False)
    rewrite(tiny_folder / "p1" / "ct_mask.nii.gz", lambda a: a[1:])
    assert "(and 1 more cases of this mask)" in only_problem(tiny_folder)["problem"]


def test_a_common_mask_may_have_another_grid_on_request(tiny_folder):
    cases = pd.read_csv(tiny_folder / "cases.csv", dtype=str)
    cases = cases.rename(columns={"mask_ct": "mask"}).drop(columns="mask_pet")
    cases.to_csv(tiny_folder / "cases.csv", index=False)
    assert len(check(tiny_folder).problems) == 3
    card = tiny_folder / "cohort.yml"
    text = card.read_text("utf-8")
    text = text.replace("preset: suv", "preset: suv, resample_mask: true")
    card.write_text(text, "utf-8")
    assert check(tiny_folder).problems.empty


@pytest.mark.real
def test_acdc_is_sound_and_its_headers_are_told_in_one_line(real_data, project_root):
    found = check(project_root / "cohorts" / "acdc", root=real_data / "acdc", jobs=2)
    assert found.problems.empty
    assert found.flow["patients"] == 80
    assert found.flow["cases"] == 480
    assert len(found.notes) == 1
    assert "160 times" in found.notes[0]


@pytest.mark.parametrize(
    "change",
    [
        {"mask_pet": ""},
        {"image_pet": ""},
        {"image_pet": "../elsewhere.nii.gz"},
        {"image_pet": "p1/pet_mask.nii.gz"},
        dict.fromkeys(("image_ct", "mask_ct", "image_pet", "mask_pet"), ""),
    ],
)
def test_faults_of_the_table_are_never_allowed(tiny_folder, change):
    cases = pd.read_csv(tiny_folder / "cases.csv", dtype=str)
    for column, value in change.items():
        cases.loc[0, column] = value
    cases.to_csv(tiny_folder / "cases.csv", index=False)
    with pytest.raises(CohortError):
        check(tiny_folder).raise_if_any(allow=99)


def test_a_file_that_vanished_since_is_told(tiny_folder):
    cohort = Cohort.read(tiny_folder)
    (tiny_folder / "p1" / "ct_image.nii.gz").unlink()
    assert "is not there" in check(cohort).problems["problem"].item()
    with pytest.raises(SchemaError, match="root belongs to the folder"):
        check(cohort, root=tiny_folder)


def test_a_cohort_that_was_read_can_be_checked(tiny_cohort):
    found = check(tiny_cohort)
    assert repr(found).endswith(": 0 problems)")
    assert "No problem" in found._repr_html_()
