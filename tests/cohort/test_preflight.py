"""Every fault of the files is found before the long work starts."""

import dataclasses
import gzip

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from radlatent.cohort import Cohort, check
from radlatent.errors import CohortError, SchemaError
from radlatent.handcrafted import extract
from radlatent.imaging import Volume, crop, read_volume, write_volume


def rewrite(path, change):
    """Write a volume again with other voxels."""
    volume = read_volume(path)
    write_volume(Volume(change(volume.array), volume.spacing_mm), path)


def only_problem(folder, **options):
    found = check(folder, **options).problems
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
    problem = only_problem(tiny_folder)
    assert problem["problem"].startswith(
        "the mask ct_mask.nii.gz holds intensities or probabilities, not labels: 0.5 at"
    )
    assert problem["column"] == "mask_ct"


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
    headers, copies = found.notes
    assert "160 times" in headers
    # the published data hold one scan twice
    assert copies.startswith("patients patient074, patient076 have one image")


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


def cut(path, share=0.5):
    stored = path.read_bytes()
    path.write_bytes(stored[: int(share * len(stored))])


def test_an_image_that_was_cut_is_found_by_its_size(tiny_folder):
    cut(tiny_folder / "p2" / "ct_image.nii.gz")
    problem = only_problem(tiny_folder)
    assert "was cut" in problem["problem"]
    assert (problem["column"], problem["case_id"]) == ("image_ct", "p2")


def test_a_stream_with_a_changed_byte_is_found_by_a_deep_look(tiny_folder):
    path = tiny_folder / "p2" / "ct_image.nii.gz"
    stored = bytearray(path.read_bytes())
    stored[len(stored) // 2] ^= 0xFF
    path.write_bytes(bytes(stored))
    problem = only_problem(tiny_folder, deep=True)
    assert (problem["column"], problem["case_id"]) == ("image_ct", "p2")


@pytest.mark.parametrize(
    ("name", "found", "remedy"),
    [
        ("scan.dcm", "DICOM series", "radlatent convert"),
        ("scan.mhd", "ending .mhd", "ReadImage('x.mhd')"),
        ("scan.npy", "ending .npy", "spacing"),
        ("scan.png", "ending .png", "Stack the slices"),
    ],
)
def test_a_fault_of_an_image_names_its_column_and_what_helps(
    tiny_folder, name, found, remedy
):
    (tiny_folder / name).write_bytes(bytes(128) + b"DICM")
    cases = pd.read_csv(tiny_folder / "cases.csv", dtype=str)
    cases.loc[0, "image_ct"] = name
    cases.to_csv(tiny_folder / "cases.csv", index=False)
    problem = only_problem(tiny_folder)
    assert problem["column"] == "image_ct"
    assert found in problem["problem"]
    assert remedy in problem["problem"]


@pytest.mark.parametrize("column", ["image_ct", "mask_pet"])
@pytest.mark.parametrize(
    ("names", "said", "remedy"),
    [
        (["0.dcm", "1.dcm", "2.dcm"], "folder of 3 DICOM files", "Convert the series"),
        (["IM0001", "IM0002"], "folder of 2 DICOM files", "Convert the series"),
        (["a.IMA"], "folder of 1 DICOM files", "radlatent convert DICOM_ROOT"),
        (["a.nii.gz", "readme.txt"], "is a folder (2 files)", "Name the file"),
        ([], "is a folder (0 files)", "Name the file"),
    ],
    ids=["dcm", "no ending", "Siemens", "other files", "empty"],
)
def test_a_folder_is_there_and_is_no_volume(tiny_folder, column, names, said, remedy):
    folder = tiny_folder / "series"
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(bytes(128) + b"DICM")
    cases = pd.read_csv(tiny_folder / "cases.csv", dtype=str)
    cases.loc[0, column] = "series"
    cases.to_csv(tiny_folder / "cases.csv", index=False)
    problem = only_problem(tiny_folder)
    assert said in problem["problem"]
    assert remedy in problem["remedy"]
    assert (problem["column"], problem["case_id"]) == (column, "p1")


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_cohort_of_nifti_2_is_that_of_nifti_1(tiny_folder, order):
    settings = {"featureClass": {"firstorder": ["Mean"], "shape": ["MeshVolume"]}}
    before = extract(tiny_folder, settings=settings).features
    for path in tiny_folder.rglob("*.nii.gz"):
        image = nib.load(path)
        header = nib.Nifti2Header.from_header(image.header).as_byteswapped(order)
        header.set_sform(image.affine, 1)
        voxels = np.asarray(image.dataobj).astype(image.get_data_dtype())
        nib.save(nib.Nifti2Image(voxels, image.affine, header), path)
        stored = gzip.decompress(path.read_bytes())
        assert int.from_bytes(stored[:4], {"<": "little", ">": "big"}[order]) == 540
    assert check(tiny_folder, deep=True).problems.empty
    after = extract(tiny_folder, settings=settings).features
    pd.testing.assert_frame_equal(after, before, rtol=1e-6)


@pytest.mark.parametrize("again", [False, True])
def test_one_image_under_two_patients_is_found(tiny_folder, again):
    first, second = (tiny_folder / p / "ct_image.nii.gz" for p in ("p1", "p3"))
    content = gzip.decompress(first.read_bytes())
    # packed again it has other bytes, and the same voxels
    second.write_bytes(gzip.compress(content, 1) if again else first.read_bytes())
    [note] = [note for note in check(tiny_folder).notes if "one image" in note]
    assert note.startswith(
        "patients p1, p3 have one image (p1/ct_image.nii.gz, p3/ct_image.nii.gz)"
    )


def test_uncompressed_copies_are_found_and_equal_sizes_are_not(tiny_folder, rng):
    cases = pd.read_csv(tiny_folder / "cases.csv", dtype=str)
    first, other = rng.normal(0, 100, (2, 16, 16, 16)).astype(np.float32)
    for row, (patient, array) in enumerate(
        [("p1", first), ("p2", other), ("p3", first)]
    ):
        path = tiny_folder / patient / "ct_image.nii"
        write_volume(Volume(array, (2.0, 2.0, 2.0)), path)
        cases.loc[row, "image_ct"] = f"{patient}/ct_image.nii"
    cases.to_csv(tiny_folder / "cases.csv", index=False)
    found = check(tiny_folder)
    assert found.problems.empty
    [note] = [note for note in found.notes if "one image" in note]
    assert note.startswith("patients p1, p3 have one image")


def test_one_path_given_to_several_patients_is_found(tiny_folder):
    cases = pd.read_csv(tiny_folder / "cases.csv", dtype=str)
    cases[["image_pet", "mask_pet"]] = cases.loc[1, ["image_pet", "mask_pet"]].tolist()
    cases.to_csv(tiny_folder / "cases.csv", index=False)
    [note] = [note for note in check(tiny_folder).notes if "one image" in note]
    assert note.startswith("patients p1, p2, p3 have one image (p2/pet_image.nii.gz)")


def test_two_lesions_of_one_patient_may_share_an_image(tiny_folder):
    cases = pd.read_csv(tiny_folder / "cases.csv", dtype=str)
    twin = cases.iloc[[0]].assign(case_id="p1b", lesion_id="B")
    cases["lesion_id"] = "A"
    pd.concat([cases, twin]).to_csv(tiny_folder / "cases.csv", index=False)
    found = check(tiny_folder)
    assert found.problems.empty
    assert found.notes == ()


def test_becquerels_are_not_taken_for_suv(tiny_folder):
    for patient in ("p1", "p2", "p3"):
        rewrite(tiny_folder / patient / "pet_image.nii.gz", lambda a: 2489.6 * a)
    problems = check(tiny_folder).problems
    assert problems["column"].tolist() == ["image_pet"] * 3
    assert problems["problem"].str.startswith("unit SUV, but the lesion reaches").all()


def test_a_ct_without_its_intercept_is_found(tiny_folder):
    rewrite(tiny_folder / "p1" / "ct_image.nii.gz", lambda a: a + 1024)
    problem = only_problem(tiny_folder)
    assert problem["problem"].startswith("unit HU, but no voxel of the image is below")
    assert problem["column"] == "image_ct"


def with_nan(array):
    array = array.astype(np.float32)
    array[array.shape[0] // 2, array.shape[1] // 2] = np.nan
    return array


def as_whole_numbers(array):
    return array.astype(np.float32).view(np.int32)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("ct_image", with_nan, "are not finite numbers"),
        ("ct_image", as_whole_numbers, "is the data type of the header"),
        ("ct_mask", np.ones_like, "the lesion fills the whole image"),
    ],
    ids=["not a number", "another type", "all of it"],
)
def test_a_deep_look_finds_what_extract_finds(tiny_folder, name, change, said):
    rewrite(tiny_folder / "p2" / f"{name}.nii.gz", change)
    problem = only_problem(tiny_folder, deep=True)
    assert said in problem["problem"]
    column = "image_ct" if name == "ct_image" else "mask_ct"
    assert (problem["column"], problem["case_id"]) == (column, "p2")
    done = extract(tiny_folder, settings={"featureClass": {"firstorder": None}})
    told = done.provenance.query("modality == 'ct' and flags.str.contains('data type')")
    assert {*done.failures["case_id"], *told["case_id"]} == {"p2"}


def test_a_mask_of_several_labels_without_a_label_is_noted(tiny_folder):
    def two(array):
        array = array.copy()
        array[:2] = 2 * (np.indices(array[:2].shape)[2] > 8)
        return array

    rewrite(tiny_folder / "p1" / "ct_mask.nii.gz", two)
    found = check(tiny_folder)
    assert found.problems.empty
    assert any("labels [1, 2] and mask_label is empty" in note for note in found.notes)


def test_a_lesion_that_its_image_cuts_is_a_problem(tiny_folder):
    card = tiny_folder / "cohort.yml"
    text = card.read_text("utf-8")
    card.write_text(text.replace("preset: hu", "preset: hu, resample_mask: true"))
    image = read_volume(tiny_folder / "p3" / "ct_image.nii.gz")
    write_volume(
        crop(image, (slice(0, 8), slice(0, 16), slice(0, 16))),
        tiny_folder / "p3" / "ct_image.nii.gz",
    )
    problem = only_problem(tiny_folder)
    assert "50% of the lesion lie outside of ct_image.nii.gz" in problem["problem"]


@pytest.mark.parametrize(
    ("apart_mm", "tolerance", "refused"),
    [
        (0.005, None, False),
        (0.1, None, True),
        (0.1, 0.1, False),  # 0.1 of 2 mm
        (0.1, 0.01, True),
        (0.005, 1e-6, True),
        (0.1, {"ct": 0.1}, False),
        (0.1, {"pet": 0.1}, True),
    ],
)
def test_check_and_extract_take_one_tolerance(
    tiny_folder, apart_mm, tolerance, refused
):
    path = tiny_folder / "p1" / "ct_mask.nii.gz"
    mask = read_volume(path)
    moved = np.add(mask.origin, (apart_mm, 0, 0))
    write_volume(dataclasses.replace(mask, origin=tuple(moved)), path)
    found = check(tiny_folder, jobs=1, tolerance_voxels=tolerance).problems
    assert found["problem"].str.contains("grids differ").tolist() == [True] * refused
    of_ct = tolerance.get("ct") if isinstance(tolerance, dict) else tolerance
    setting = {} if of_ct is None else {"geometryTolerance": of_ct}
    content = {"setting": setting, "featureClass": {"firstorder": ["Mean"]}}
    failures = extract(tiny_folder, settings=content, jobs=1).failures
    assert failures["case_id"].tolist() == ["p1"] * refused


def test_a_copy_that_is_not_packed_is_found(tiny_folder):
    content = gzip.decompress((tiny_folder / "p1/ct_image.nii.gz").read_bytes())
    (tiny_folder / "p3/ct_image.nii").write_bytes(content)
    cases = pd.read_csv(tiny_folder / "cases.csv", dtype=str)
    cases.loc[2, "image_ct"] = "p3/ct_image.nii"
    cases.to_csv(tiny_folder / "cases.csv", index=False)
    found = check(tiny_folder)
    assert found.problems.empty
    assert found.shared == found.notes
    assert found.shared[0].startswith("patients p1, p3 have one image")


def test_separate_parts_of_one_label_are_noted(tiny_folder):
    def two(array):
        array = np.zeros_like(array)
        array[3:6, 3:6, 3:6] = array[10:13, 10:13, 10:13] = 1
        array[8, 8, 8] = 1  # a speck
        return array

    rewrite(tiny_folder / "p2" / "ct_mask.nii.gz", two)
    found = check(tiny_folder)
    assert found.problems.empty
    assert found.notes == ("a lesion of 2 separate parts is measured as one",)


def test_voxels_that_are_no_numbers_are_told_before_they_are_measured(tiny_folder):
    rewrite(
        tiny_folder / "p2" / "ct_image.nii.gz",
        lambda a: np.where(a > np.median(a), np.nan, a).astype(np.float32),
    )
    problem = only_problem(tiny_folder)
    assert problem["column"] == "image_ct"
    assert "voxels in the lesion are not finite numbers" in problem["problem"]


def test_a_fault_of_a_mask_of_two_images_is_told_once(tiny_folder):
    cases = pd.read_csv(tiny_folder / "cases.csv", dtype=str)
    cases = cases.rename(columns={"mask_ct": "mask"}).drop(columns="mask_pet")
    cases.to_csv(tiny_folder / "cases.csv", index=False)
    (tiny_folder / "p1" / "ct_mask.nii.gz").write_bytes(b"")
    card = (tiny_folder / "cohort.yml").read_text("utf-8")
    card = card.replace("preset: suv", "preset: suv, resample_mask: true")
    (tiny_folder / "cohort.yml").write_text(card, "utf-8")
    assert only_problem(tiny_folder)["column"] == "mask"


def test_a_grid_that_differs_names_both_files(tiny_folder):
    rewrite(tiny_folder / "p2" / "ct_mask.nii.gz", lambda a: a[:, :, 1:])
    said = only_problem(tiny_folder)["problem"]
    assert said.endswith("(ct_mask.nii.gz on ct_image.nii.gz)")


@pytest.mark.parametrize(
    ("named", "there"),
    [("CT_image.nii.gz", "'ct_image.nii.gz'"), ("ct_image.nrrd", "'ct_image.nii.gz'")],
)
def test_a_file_under_a_like_name_is_named(tiny_folder, named, there):
    cases = pd.read_csv(tiny_folder / "cases.csv", dtype=str)
    cases.loc[0, "image_ct"] = f"p1/{named}"
    cases.to_csv(tiny_folder / "cases.csv", index=False)
    assert f"; there is {there}" in only_problem(tiny_folder)["problem"]


def test_a_series_in_a_folder_below_is_found(tiny_folder):
    (tiny_folder / "study" / "series").mkdir(parents=True)
    (tiny_folder / "study" / "series" / "IM1").write_bytes(bytes(128) + b"DICM")
    cases = pd.read_csv(tiny_folder / "cases.csv", dtype=str)
    cases.loc[0, "image_ct"] = "study"
    cases.to_csv(tiny_folder / "cases.csv", index=False)
    said = only_problem(tiny_folder)["problem"]
    assert said.startswith("'study' is a folder of 1 DICOM files;")


def test_a_manifest_with_nul_characters_is_refused(tiny_folder):
    text = (tiny_folder / "cases.csv").read_bytes().replace(b"p2", b"p\0", 1)
    (tiny_folder / "cases.csv").write_bytes(text)
    with pytest.raises(CohortError, match="NUL characters"):
        check(tiny_folder)
