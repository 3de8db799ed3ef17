import re

import pandas as pd
import pytest
import yaml

from radlatent.cohort import Cohort
from radlatent.cohort.layouts.datasets import read_acdc
from radlatent.cohort.layouts.file_names import read_pattern
from radlatent.cohort.layouts.indexing import LAYOUTS, index
from radlatent.errors import CohortError

INFO = "ED: 1\nES: 12\nGroup: DCM\nHeight: 184.0\nNbFrame: 30\nWeight: 95.0\n"


def touch(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def add_acdc_patient(root, patient, info=INFO):
    touch(root, f"{patient}/Info.cfg")
    (root / patient / "Info.cfg").write_text(info)
    frames = [f"{patient}/{patient}_frame{n}" for n in ("01", "12")]
    touch(root, *(f"{f}{end}.nii.gz" for f in frames for end in ("", "_gt")))


def test_acdc_lists_two_timepoints_of_three_structures(tmp_path):
    add_acdc_patient(tmp_path / "training", "patient002")
    add_acdc_patient(tmp_path / "training", "patient001")
    cases, endpoints = read_acdc(tmp_path)
    assert cases["case_id"].tolist()[:4] == [
        "patient001_ED_RV",
        "patient001_ED_MYO",
        "patient001_ED_LV",
        "patient001_ES_RV",
    ]
    row = cases.set_index("case_id").loc["patient001_ES_LV"]
    assert row.to_dict() == {
        "patient_id": "patient001",
        "lesion_id": "LV",
        "timepoint": "ES",
        "image_mr": "training/patient001/patient001_frame12.nii.gz",
        "mask": "training/patient001/patient001_frame12_gt.nii.gz",
        "mask_label": "3",
    }
    assert endpoints.iloc[1].to_dict() == {
        "patient_id": "patient002",
        "group": "DCM",
        "height": "184.0",
        "weight": "95.0",
    }


def test_acdc_paths_start_at_the_folder_that_is_given(tmp_path):
    add_acdc_patient(tmp_path / "training", "patient001")
    cases, _ = read_acdc(tmp_path / "training")
    assert cases["image_mr"][0] == "patient001/patient001_frame01.nii.gz"


def test_acdc_training_and_testing_are_both_read(tmp_path):
    add_acdc_patient(tmp_path / "testing", "patient101")
    add_acdc_patient(tmp_path / "training", "patient001")
    _, endpoints = read_acdc(tmp_path)
    assert endpoints["patient_id"].tolist() == ["patient001", "patient101"]


def test_acdc_lists_files_that_are_missing(tmp_path):
    add_acdc_patient(tmp_path, "patient001")
    (tmp_path / "patient001/patient001_frame12_gt.nii.gz").unlink()
    cases, _ = read_acdc(tmp_path)
    assert "patient001/patient001_frame12_gt.nii.gz" in set(cases["mask"])


def test_acdc_reports_every_broken_info_at_once(tmp_path):
    add_acdc_patient(tmp_path, "patient001", INFO.replace("ED: 1\n", ""))
    add_acdc_patient(tmp_path, "patient002", INFO.replace("ES: 12", "ES: twelve"))
    add_acdc_patient(tmp_path, "patient003", INFO.replace("184.0", "nan"))
    add_acdc_patient(tmp_path, "patient004", INFO.replace("Group: DCM", "DCM"))
    add_acdc_patient(tmp_path, "patient005", INFO.replace("ED: 1\n", "ED: 0\n"))
    add_acdc_patient(tmp_path, "patient006")
    (tmp_path / "patient006/Info.cfg").unlink()
    add_acdc_patient(tmp_path, "patient007")
    with pytest.raises(CohortError, match="'twelve'") as caught:
        read_acdc(tmp_path)
    found = caught.value.problems
    assert found["file"].tolist() == [
        "patient001/Info.cfg",
        "patient002/Info.cfg",
        "patient003/Info.cfg",
        "patient004/Info.cfg",
        "patient004/Info.cfg",
        "patient005/Info.cfg",
        "patient006/Info.cfg",
    ]
    assert (found["remedy"] != "").all()


@pytest.mark.parametrize("layout", ["acdc", "sts"])
def test_a_folder_without_patients_says_what_it_holds(tmp_path, layout):
    touch(tmp_path, "case7/scan.nrrd")
    with pytest.raises(CohortError, match=r"found \['case7'\]"):
        LAYOUTS[layout](tmp_path)


@pytest.mark.parametrize("layout", ["acdc", "sts", "pattern"])
def test_a_root_that_is_not_there_is_named(tmp_path, layout):
    with pytest.raises(CohortError, match="nowhere"):
        LAYOUTS[layout](tmp_path / "nowhere")


def test_sts_has_one_case_a_patient_and_a_mask_a_modality(tmp_path):
    touch(tmp_path, "STS_002/PET_image.nii.gz", "STS_001/PET_image.nii.gz")
    (tmp_path / "outcome.csv").write_text(
        "patient_id,lung_metastasis\nSTS_001,1\nSTS_040,0\n"
    )
    cases, endpoints = LAYOUTS["sts"](tmp_path)
    assert cases.iloc[0].to_dict() == {
        "case_id": "STS_001",
        "patient_id": "STS_001",
        "lesion_id": "GTV",
        "image_pet": "STS_001/PET_image.nii.gz",
        "mask_pet": "STS_001/PET_mask.nii.gz",
        "image_ct": "STS_001/CT_image.nii.gz",
        "mask_ct": "STS_001/CT_mask.nii.gz",
        "image_mr_t1": "STS_001/MR_T1_image.nii.gz",
        "mask_mr_t1": "STS_001/MR_T1_mask.nii.gz",
        "mask_label": "",
    }
    # no folder, no row; no row, no outcome
    assert endpoints.to_numpy().tolist() == [["STS_001", "1"], ["STS_002", ""]]


def test_sts_needs_its_outcomes(tmp_path):
    touch(tmp_path, "STS_001/PET_image.nii.gz")
    with pytest.raises(CohortError, match=r"outcome\.csv"):
        LAYOUTS["sts"](tmp_path)
    (tmp_path / "outcome.csv").write_text("patient,lung_metastasis\nSTS_001,1\n")
    with pytest.raises(CohortError, match=r"columns are \['patient', 'lung"):
        LAYOUTS["sts"](tmp_path)


def test_pattern_gives_a_row_a_patient_and_columns_a_modality(tmp_path):
    for patient in ("b", "a"):
        for name in ("CT_image", "CT_mask", "T1_image", "T1_mask"):
            touch(tmp_path, f"{patient}/{name}.nii.gz")
    cases, endpoints = read_pattern(tmp_path)
    assert cases["case_id"].tolist() == ["a", "b"]
    assert list(cases) == [
        "case_id",
        "patient_id",
        "image_ct",
        "mask_ct",
        "image_t1",
        "mask_t1",
    ]
    assert cases["mask_t1"][1] == "b/T1_mask.nii.gz"
    assert endpoints.to_dict("list") == {"patient_id": ["a", "b"]}


def test_a_modality_that_a_patient_lacks_is_an_empty_cell(tmp_path):
    touch(tmp_path, "a/ct_image.nii.gz", "a/ct_mask.nii.gz")
    touch(tmp_path, "b/pet_image.nii.gz", "b/pet_mask.nii.gz")
    cases, _ = read_pattern(tmp_path)
    assert cases["image_ct"].tolist() == ["a/ct_image.nii.gz", ""]


def test_masks_of_several_lesions_share_the_image(tmp_path):
    touch(tmp_path, "a/pet.nii.gz", "a/ct.nii.gz", "a/mask_L1.nii.gz")
    touch(tmp_path, "a/mask_L2.nii.gz", "b/pet.nii.gz", "b/mask_L1.nii.gz")
    cases, _ = read_pattern(
        tmp_path,
        image="{patient_id}/{modality}.nii.gz",
        mask="{patient_id}/mask_{lesion_id}.nii.gz",
    )
    cases = cases.set_index("case_id")
    assert list(cases.index) == ["a_L1", "a_L2", "b_L1"]
    assert cases.loc["a_L2", "mask"] == "a/mask_L2.nii.gz"
    assert cases.loc["a_L2", "image_ct"] == "a/ct.nii.gz"
    assert cases.loc["b_L1", "image_ct"] == ""


def test_the_id_of_a_case_joins_the_parts_that_vary(tmp_path):
    for site, when in (("x", "pre"), ("x", "post")):
        for role in ("image", "mask"):
            touch(tmp_path, f"{site}/p1/{when}_ct_{role}.nii.gz")
    cases, _ = read_pattern(
        tmp_path,
        image="{site}/{patient_id}/{timepoint}_{modality}_image.nii.gz",
        mask="{site}/{patient_id}/{timepoint}_{modality}_mask.nii.gz",
    )
    assert cases["case_id"].tolist() == ["p1_post", "p1_pre"]
    assert cases["site"].tolist() == ["x", "x"]


def test_a_placeholder_may_occur_twice_and_ids_may_hold_underscores(tmp_path):
    touch(tmp_path, "P_1/P_1_ct.nii.gz", "P_1/P_1_ct_mask.nii.gz", "P_1/x_ct.nii.gz")
    cases, _ = read_pattern(
        tmp_path,
        image="{patient_id}/{patient_id}_{modality}.nii.gz",
        mask="{patient_id}/{patient_id}_{modality}_mask.nii.gz",
    )
    assert cases.to_dict("records") == [
        {
            "case_id": "P_1",
            "patient_id": "P_1",
            "image_ct": "P_1/P_1_ct.nii.gz",
            "mask_ct": "P_1/P_1_ct_mask.nii.gz",
        }
    ]


def test_images_and_masks_without_a_partner_are_all_listed(tmp_path):
    touch(tmp_path, "a/ct_image.nii.gz", "a/ct_mask.nii.gz")
    touch(tmp_path, "b/ct_image.nii.gz", "c/ct_mask.nii.gz")
    with pytest.raises(CohortError, match="2 problems") as caught:
        read_pattern(tmp_path)
    found = caught.value.problems
    assert found["file"].tolist() == ["b/ct_image.nii.gz", "c/ct_mask.nii.gz"]
    assert found["problem"].tolist() == [
        "the image has no mask",
        "the mask has no image",
    ]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{patient}/{modality}.nii.gz", "did you mean 'patient_id'"),
        ("{patient_id}/image.nii.gz", r"lacks \['modality'\]"),
        ("{patient_id}/{modality}.nrrd", r"found \['a/ct_image.nii.gz'"),
    ],
)
def test_a_pattern_that_cannot_work_is_explained(tmp_path, pattern, message):
    touch(tmp_path, "a/ct_image.nii.gz", "a/ct_mask.nii.gz")
    with pytest.raises(CohortError, match=message):
        read_pattern(tmp_path, image=pattern)


def test_cases_whose_joined_parts_are_the_same_are_refused(tmp_path):
    for stem in ("a_b/c", "a/b_c"):
        touch(tmp_path, f"{stem}/ct_image.nii.gz", f"{stem}/ct_mask.nii.gz")
    with pytest.raises(CohortError, match="a_b_c"):
        read_pattern(
            tmp_path,
            image="{patient_id}/{timepoint}/{modality}_image.nii.gz",
            mask="{patient_id}/{timepoint}/{modality}_mask.nii.gz",
        )


def test_simulated_tables_are_read_as_text(tmp_path):
    (tmp_path / "cases.csv").write_text("case_id,patient_id\n001,01\n")
    (tmp_path / "endpoints.csv").write_text("patient_id,response\n01,\n")
    cases, endpoints = LAYOUTS["simulated"](tmp_path)
    assert cases.to_numpy().tolist() == [["001", "01"]]
    assert endpoints.to_numpy().tolist() == [["01", ""]]


def test_a_simulated_cohort_that_was_not_written_says_how(tmp_path):
    with pytest.raises(CohortError, match="radlatent simulate"):
        LAYOUTS["simulated"](tmp_path / "nowhere")


def test_index_writes_a_cohort_that_can_be_read(tmp_path):
    root, out = tmp_path / "it's here", tmp_path / "cohorts" / "mine"
    add_acdc_patient(root / "training", "patient001")
    other = INFO.replace("DCM", "NOR")
    add_acdc_patient(root / "training", "patient002", other)
    cases = index(root, out, layout="acdc")
    assert cases.index.name == "case_id"
    cohort = Cohort.read(out)
    assert cohort.name == "mine"
    assert cohort.cases.index.tolist() == cases.index.tolist()
    assert cohort.endpoint("group").frame["class"].tolist() == ["DCM", "NOR"]
    assert list(cohort.clinical()) == ["clinical__height", "clinical__weight"]


def test_index_guesses_units_and_asks_to_check_them(tmp_path):
    for modality in ("CT", "pet", "flair"):
        touch(
            tmp_path / "in", f"a/{modality}_image.nii.gz", f"a/{modality}_mask.nii.gz"
        )
    index(tmp_path / "in", tmp_path / "out", name="trial: 7")
    text = (tmp_path / "out/cohort.yml").read_text()
    card = yaml.safe_load(text)
    assert card["name"] == "trial: 7"
    assert card["modalities"] == {
        "ct": {"unit": "HU", "preset": "hu"},
        "flair": {"unit": "arbitrary", "preset": "mr"},
        "pet": {"unit": "SUV", "preset": "suv"},
    }
    assert len(re.findall("# .*check", text)) == 3
    assert len(Cohort.read(tmp_path / "out").cases) == 1


def test_index_keeps_what_may_have_been_edited(tmp_path):
    touch(tmp_path / "in", "a/ct_image.nii.gz", "a/ct_mask.nii.gz")
    out = tmp_path / "out"
    out.mkdir()
    (out / "cohort.yml").write_text("name: mine\n")
    index(tmp_path / "in", out)
    assert (out / "cohort.yml").read_text() == "name: mine\n"
    before = pd.read_csv(out / "cases.csv")
    with pytest.raises(FileExistsError, match=r"cases\.csv"):
        index(tmp_path / "in", out)
    pd.testing.assert_frame_equal(pd.read_csv(out / "cases.csv"), before)


def test_index_refuses_unknown_layouts_and_patterns_that_would_be_ignored(tmp_path):
    with pytest.raises(CohortError, match="did you mean 'acdc'"):
        index(tmp_path, tmp_path / "out", layout="ACDCs")
    with pytest.raises(CohortError, match="names of its own"):
        index(tmp_path, tmp_path / "out", layout="sts", image="{patient_id}.nii")
    assert not (tmp_path / "out").exists()


@pytest.mark.real
def test_acdc_folder_holds_80_patients_in_480_cases(real_data):
    cases, endpoints = read_acdc(real_data / "acdc")
    assert len(cases) == 480
    assert cases["case_id"].is_unique
    counts = endpoints["group"].value_counts().to_dict()
    assert counts == dict.fromkeys(("DCM", "HCM", "MINF", "NOR", "RV"), 16)
    files = {*cases["image_mr"], *cases["mask"]}
    assert len(files) == 320
    assert all((real_data / "acdc" / file).is_file() for file in files)


@pytest.mark.real
def test_sts_folder_holds_25_patients_with_8_metastases(real_data):
    cases, endpoints = LAYOUTS["sts"](real_data / "sts")
    assert len(cases) == 25
    assert (endpoints["lung_metastasis"] == "1").sum() == 8
    paths = cases.filter(regex="^(image|mask)_(pet|ct|mr_t1)$")
    assert paths.shape == (25, 6)
    files = paths.to_numpy().ravel()
    assert all((real_data / "sts" / file).is_file() for file in files)


@pytest.mark.real
@pytest.mark.parametrize(("name", "n_cases"), [("acdc", 480), ("sts", 25)])
def test_the_data_cards_read_the_folders(real_data, request, name, n_cases):
    folder = request.config.rootpath / "cohorts" / name
    cohort = Cohort.read(folder, root=real_data / name)
    assert len(cohort.included) == n_cases
    assert all(len(cohort.endpoint(e).frame) for e in cohort.card.endpoints)


def test_pet_gt_lists_one_case_a_patient(tmp_path):
    touch(tmp_path, "p2/PET/b.nii", "p2/GT/x.nii.gz", "p1/pet/a.nii.gz", "p1/gt/m.nii")
    touch(tmp_path, "p1/pet/notes.txt", "elsewhere/readme.txt")
    cases, endpoints = LAYOUTS["pet_gt"](tmp_path)
    assert cases.to_dict("records") == [
        {
            "case_id": "p1",
            "patient_id": "p1",
            "lesion_id": "total",
            "image_pet": "p1/pet/a.nii.gz",
            "mask_pet": "p1/gt/m.nii",
            "mask_label": "",
        },
        {
            "case_id": "p2",
            "patient_id": "p2",
            "lesion_id": "total",
            "image_pet": "p2/PET/b.nii",
            "mask_pet": "p2/GT/x.nii.gz",
            "mask_label": "",
        },
    ]
    assert endpoints["patient_id"].tolist() == ["p1", "p2"]


def test_pet_gt_takes_the_endpoints_beside_the_images(tmp_path):
    touch(tmp_path, "images/p1/pet/a.nii", "images/p1/gt/m.nii")
    (tmp_path / "endpoints.csv").write_text("patient_id,age\np1,60\n")
    cases, endpoints = LAYOUTS["pet_gt"](tmp_path)
    assert cases["mask_pet"].tolist() == ["images/p1/gt/m.nii"]
    assert endpoints.to_dict("records") == [{"patient_id": "p1", "age": "60"}]


def test_pet_gt_reports_every_missing_and_doubled_file_at_once(tmp_path):
    touch(tmp_path, "p1/pet/a.nii", "p2/pet/a.nii", "p2/pet/b.nii", "p2/gt/m.nii")
    with pytest.raises(CohortError) as caught:
        LAYOUTS["pet_gt"](tmp_path)
    message = str(caught.value)
    assert "0 NIfTI files in its folder 'gt'" in message
    assert "2 NIfTI files in its folder 'pet': ['p2/pet/a.nii', 'p2/pet/b.nii']" in (
        message
    )


def test_pet_gt_names_what_it_wants_in_an_empty_root(tmp_path):
    with pytest.raises(CohortError, match=r"PATIENT/pet/NAME\.nii\.gz"):
        LAYOUTS["pet_gt"](tmp_path)
