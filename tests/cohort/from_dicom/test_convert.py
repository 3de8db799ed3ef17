"""Folders of DICOM become cohorts; what cannot be read keeps its row and says why."""

import gzip
import re

import numpy as np
import pandas as pd
import pydicom
import pytest
import yaml
from typer.testing import CliRunner

import radlatent as rl
from radlatent.cli import app
from radlatent.cohort import Outcomes
from radlatent.errors import CohortError, DicomError, SchemaError

SQUARE = np.array(
    [(-8.5, -17.5, 7), (-5.5, -17.5, 7), (-5.5, -14.5, 7), (-8.5, -14.5, 7)], float
)
MR = "1.2.840.10008.5.1.4.1.1.4"
WHO = ("Mueller", "Schmidt")


def study(write, patient, *, date="20200110", ct=(), regions=("GTV_1", "GTV_2")):
    """Write a PET and a CT with a structure set each, and an MR without one."""
    rng = np.random.default_rng(len(patient))
    told = {"PatientID": patient, "StudyDate": date, "InstitutionName": "St. Elsewhere"}
    told |= {"StudyInstanceUID": write.uid(patient, date), "KVP": "120"}
    told |= {"FrameOfReferenceUID": write.uid(patient, date, "frame")}
    voxels = rng.integers(-99, 99, (4, 8, 6)).astype(np.int16)
    images = {
        "ct": write.slices(voxels, Manufacturer="ACME", **told | dict(ct)),
        "pet": write.pet(abs(voxels), Manufacturer="ACME", **told),
        "mr": write.slices(voxels, name="mr", kind=MR, **told),
    }
    for name, slices in images.items():
        for k, one in enumerate(slices):
            one.SeriesInstanceUID = write.uid(patient, date, name)
            one.SOPInstanceUID = write.uid(patient, date, name, k)
            one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
        write.save(slices, f"{patient}_{date}_{name}")
        if name != "mr":
            drawn = {region: [SQUARE] for region in regions}
            drawn = write.structures(drawn, on=slices, **told)
            drawn.SOPInstanceUID = write.uid(patient, date, name, "rt")
            write.save([drawn], f"{patient}_{date}_{name}_rt")
    return images


@pytest.fixture
def out(tmp_path):
    return tmp_path / "cohort"


def test_a_folder_becomes_a_cohort_that_passes_check(write, out):
    study(write, WHO[0])
    study(write, WHO[0], date="20200122")
    study(write, WHO[1])
    dicom = rl.read_dicom(write.folder, roi=r"GTV_\d")
    done = rl.convert(dicom, out)
    assert done.failures.empty
    cases = done.cohort.cases
    assert len(cases) == 6
    assert set(cases["patient_id"]) == {"p001", "p002"}
    assert set(cases["timepoint"]) == {"day0", "day12"}
    [site] = set(cases["site"])
    assert re.fullmatch("site_[0-9a-f]{6}", site)
    assert set(cases["scanner"]) == {"ACME"}
    assert sorted(done.cohort.modalities) == ["ct", "pet"]
    rl.check(out, deep=True).raise_if_any()

    who = pd.read_csv(out.with_name("cohort.pseudonyms.csv")).set_index("name")
    case = f"{who['pseudonym'][WHO[1]]}_day0_GTV_1"
    image, mask = map(rl.read_volume, done.cohort.files(case, "pet"))
    [pet] = [s for s in dicom if s.modality == "pet" and s.patient_id == WHO[1]]
    np.testing.assert_array_equal(image.array, pet.read().array)
    np.testing.assert_array_equal(mask.array, pet.masks()["GTV_1"].array)
    np.testing.assert_allclose(image.origin, pet.stack.grid.origin)

    rows = done.series.query("modality == 'pet'")
    assert rows["suv_factor"].tolist() == [pet.scale.factor] * 3
    assert set(rows["suv_method"]) == {"bw"}
    assert rows["uptake_min"].tolist() == [60.0] * 3
    assert set(done.series.query("modality == 'mr'")["left_out"]) == {
        "left out: no structure that was asked for is drawn on it"
    }
    patients = done.cohort.patients
    assert patients["ct_kvp"].astype(float).tolist() == [120.0, 120.0]
    assert "bw" in done.cohort.card.description


def test_nothing_written_tells_who(write, out):
    typed = ("GTV_Mueller", "anna's node", "Dr. Kildare left")
    study(write, WHO[0], regions=typed)
    # contours of another place, whose message names the structure
    study(write, WHO[1], ct={"RescaleSlope": "0"}, regions=("Schmidt, GTV",))
    [*_, away] = sorted(write.folder.glob(f"{WHO[1]}_*_pet_rt*"))
    drawn = pydicom.dcmread(away)
    for item in drawn.ROIContourSequence[0].ContourSequence:
        item.ContourData[2::3] = [99] * 4
    drawn.OperatorsName, drawn.PatientBirthDate = "Kildare^J", "19200102"
    drawn.save_as(away)
    done = rl.convert(rl.read_dicom(write.folder), out)
    assert done.failures["message"].str.contains("outside of the 4 slices").any()
    lesions = set(done.cohort.cases["lesion_id"])
    assert lesions == {"GTV", "s_node", "Dr_left"}
    secret = re.compile(
        "|".join((*WHO, "Anna", "Elsewhere", "2020", "Kildare")), re.IGNORECASE
    )
    for path in (path for path in out.rglob("*") if path.is_file()):
        assert not secret.search(path.relative_to(out).as_posix())
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)[:352]
        assert not secret.search(content.decode("latin-1")), path
    assert (out.with_name("cohort.pseudonyms.csv").stat().st_mode & 0o077) == 0


@pytest.mark.parametrize(("age", "told"), [("067Y", 67), ("093Y", 90), ("006M", 0.5)])
def test_an_age_that_few_reach_is_not_told(write, out, age, told):
    images = study(write, WHO[0], ct={"PatientAge": age})
    assert images
    patients = rl.convert(rl.read_dicom(write.folder), out).cohort.patients
    assert patients["age"].tolist() == [told]
    named = out.with_name("named")
    named = rl.convert(rl.read_dicom(write.folder), named, keep_names=True).cohort
    assert named.patients["age"].tolist() == [max(told, int(age[:3]) * (age[3] == "Y"))]


def test_what_fails_keeps_its_row(write, out, caplog):
    study(write, WHO[0])
    study(write, WHO[1])
    paths = sorted(write.folder.glob(f"{WHO[1]}_*_ct00*"))
    paths[2].unlink()
    for path in write.folder.glob(f"{WHO[1]}_*_pet_rt*"):
        path.unlink()
    done = rl.convert(rl.read_dicom(write.folder), out, keep_names=True)
    lost = done.cohort.cases.loc[f"{WHO[1]}_2020-01-10_GTV_1"]
    assert lost["exclude"]
    assert "slices are missing" in lost["exclude_reason"]
    assert "Schmidt" in caplog.text
    assert done.failures["case_id"].tolist() == [
        f"{WHO[1]}_2020-01-10_GTV_{k}" for k in (1, 2)
    ]
    [row] = done.series.query("patient_id == @WHO[1] and modality == 'ct'")["left_out"]
    assert "slices are missing" in row


def test_it_resumes_with_the_pseudonyms_of_before(write, out, monkeypatch):
    study(write, WHO[0])
    rl.convert(rl.read_dicom(write.folder), out)
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*.nii.gz")}
    with pytest.raises(FileExistsError, match="may have been edited"):
        rl.convert(rl.read_dicom(write.folder), out)
    for name in ("cohort.yml", "cases.csv", "endpoints.csv"):
        (out / name).unlink()
    next(iter(before)).unlink()
    study(write, WHO[1])
    done = rl.convert(rl.read_dicom(write.folder), out)
    assert len(done.cohort.cases) == 4
    after = {p: p.stat().st_mtime_ns for p in before}
    assert sum(after[p] == before[p] for p in before) == 3
    who = pd.read_csv(out.with_name("cohort.pseudonyms.csv")).set_index("name")
    assert who["pseudonym"][WHO[0]] == "p001"


def test_several_series_of_a_modality_are_named(write, out):
    images = study(write, WHO[0])
    more = images["ct"]
    for k, one in enumerate(more):
        one.SeriesDescription = "thin T1"
        one.SeriesInstanceUID = write.uid("second")
        one.SOPInstanceUID = write.uid("second", k)
        one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
    drawn = write.structures({"GTV_1": [SQUARE]}, on=more)
    drawn.SOPInstanceUID = write.uid("second", "rt")
    write.save([*more, drawn], "second")
    dicom = rl.read_dicom(write.folder)
    done = rl.convert(dicom, out)
    assert "2 series of this patient and day" in done.failures["message"][0]
    done = rl.convert(dicom, out.with_name("b"), modalities={"ct_thin": "(?i)THIN"})
    assert done.failures.empty
    assert sorted(done.cohort.modalities) == ["ct", "ct_thin", "pet"]
    with pytest.raises(SchemaError, match="does not fit column names"):
        rl.convert(dicom, out.with_name("c"), modalities={"CT thin": "x"})
    with pytest.raises(SchemaError, match="no regular expression"):
        rl.convert(dicom, out.with_name("c"), modalities={"ct": "("})


def test_nothing_drawn_is_refused(write, out):
    study(write, WHO[0])
    with pytest.raises(DicomError, match="no structure that was asked for"):
        rl.convert(rl.read_dicom(write.folder, roi="liver"), out)


def test_the_command_line_converts(write, out):
    study(write, WHO[0])
    call = ["convert", str(write.folder), "--out", str(out)]
    done = CliRunner().invoke(app, [*call, "--roi", "GTV_1", "--suv", "lbm_james"])
    assert done.exit_code == 0, done.output
    assert "1 cases included" in done.output
    assert yaml.safe_load((out / "cohort.yml").read_text("utf-8"))["name"] == "cohort"
    assert CliRunner().invoke(app, ["check", str(out)]).exit_code == 0
    wrong = CliRunner().invoke(app, [*call, "--modality", "t1"])
    assert wrong.exit_code == 1
    assert "write NAME=REGEX" in wrong.output


def test_outcomes_come_along_under_the_names_of_the_cohort(write, out, caplog):
    for patient in (*WHO, "Weber"):
        study(write, patient, regions=("GTV_1",))
    path = out.with_name("outcomes.csv")
    rows = "patient_id,os_time,os_event,age\nMueller,100,1,50\nSchmidt,90,0,\nX,1,0,1\n"
    path.write_text(rows, "utf-8")
    outcomes = Outcomes(path, "os", covariates=("age",))
    cohort = rl.convert(rl.read_dicom(write.folder), out, outcomes=outcomes).cohort
    who = pd.read_csv(out.with_name("cohort.pseudonyms.csv")).set_index("name")
    frame = cohort.endpoint("os").frame
    assert frame["time"].to_dict() == {
        who["pseudonym"]["Mueller"]: 100,
        who["pseudonym"]["Schmidt"]: 90,
    }
    # a column of the table stands before the tag of that name
    assert cohort.patients["age"].dropna().tolist() == ["50"]
    assert "1 patients are not in DICOM" in caplog.text
    assert "1 patients of DICOM have no row" in caplog.text
    assert set(cohort.described()["ct_manufacturer"]) == {"ACME"}
    assert cohort.described()["ct_kvp"].tolist() == [120.0] * 3
    assert cohort.clinical().shape[1] == 0


def test_of_a_table_only_what_was_asked_for_joins_pseudonyms(write, out, caplog):
    for patient in WHO:
        study(write, patient, regions=("GTV_1",))
    path = out.with_name("outcomes.csv")
    rows = "patient_id,os,Name,born,mrn,age,psa\n"
    rows += "Mueller,a,Anna,1920-01-02,7001,97,1.5\nSchmidt,b,Eva,1950-01-02,7002,50,\n"
    path.write_text(rows, "utf-8")
    outcomes = Outcomes(path, "os", covariates=("age", "psa"))
    patients = rl.convert(rl.read_dicom(write.folder), out, outcomes=outcomes).cohort
    patients = patients.patients
    columns = rows.splitlines()[0].split(",")
    assert [c for c in patients if c in columns] == ["os", "age", "psa"]
    assert sorted(patients["age"].astype(float)) == [50, 90]
    assert "left out beside pseudonyms: Name, born, mrn" in caplog.text
    alone = out.with_name("alone")
    dicom = rl.read_dicom(write.folder)
    cohort = rl.convert(dicom, alone, outcomes=Outcomes(path, "os")).cohort
    assert "97" not in (alone / "endpoints.csv").read_text("utf-8")
    assert "psa" not in cohort.patients
    named = out.with_name("named")
    cohort = rl.convert(
        dicom, named, outcomes=Outcomes(path, "os"), keep_names=True
    ).cohort
    assert cohort.patients["Name"].tolist() == ["Anna", "Eva"]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("patient_id,os\nMueller,a\nMueller,b\n", "'Mueller' occurs twice"),
        ("patient_id,os\nmueller,a\nSchmid,b\n", "no patient_id is the PatientID"),
        ("patient_id,other\nMueller,a\nSchmidt,b\n", "there is no column 'os'"),
        ("patient,os\nMueller,a\nSchmidt,b\n", "patient_id"),
    ],
)
def test_faulty_outcomes_are_refused_before_anything_is_written(write, out, rows, told):
    for patient in WHO:
        study(write, patient)
    path = out.with_name("outcomes.csv")
    path.write_text(rows, "utf-8")
    outcomes = Outcomes(path, "os")
    with pytest.raises(CohortError, match=told):
        rl.convert(rl.read_dicom(write.folder), out, outcomes=outcomes)
    assert not list(out.rglob("*.nii.gz"))


def test_files_that_are_left_out_are_told(write, out, caplog):
    study(write, WHO[0])
    enhanced = write.file("1.2.840.10008.5.1.4.1.1.4.1", "1.2.8", Modality="MR")
    write.save([enhanced], "enhanced")
    rl.convert(rl.read_dicom(write.folder), out)
    assert "1 files left out" in caplog.text
    assert "enhanced MR is not read" in caplog.text


def test_series_of_a_study_are_of_one_day_though_dates_were_moved(write, out):
    study(write, WHO[0], regions=("GTV_1",))
    for path in write.folder.glob("*_pet[0-9]*"):
        one = pydicom.dcmread(path)
        one.StudyDate = one.SeriesDate = "20190302"
        one.save_as(path)
    cohort = rl.convert(rl.read_dicom(write.folder), out).cohort
    assert cohort.cases["timepoint"].tolist() == ["day0"]
    assert cohort.files("p001_day0_GTV_1", "pet")
    assert cohort.files("p001_day0_GTV_1", "ct")


def test_names_in_other_alphabets_name_cases_and_files(write, out):
    study(write, WHO[0], regions=("a", "b"))
    for path in write.folder.glob("*_rt*"):
        one = pydicom.dcmread(path)
        one.SpecificCharacterSet = "ISO_IR 192"
        for region, name in zip(
            one.StructureSetROISequence, ("Läsion 1", "肿瘤"), strict=True
        ):
            region.ROIName = name
        one.save_as(path)
    done = rl.convert(rl.read_dicom(write.folder), out)
    assert set(done.cohort.cases["lesion_id"]) == {"Läsion_1", "肿瘤"}
    rl.check(out, deep=True).raise_if_any()


def test_a_pet_without_weight_is_left_out_with_the_reason(write, out):
    for patient in WHO:
        study(write, patient, regions=("GTV_1",))
    for path in write.folder.glob(f"{WHO[0]}_*_pet[0-9]*"):
        one = pydicom.dcmread(path)
        del one.PatientWeight
        one.save_as(path)
    done = rl.convert(rl.read_dicom(write.folder), out)
    [why] = done.failures["message"]
    assert "PatientWeight is missing" in why
    assert len(done.cohort.included) == 2
    case = done.failures["case_id"][0]
    assert done.cohort.files(case, "pet") is None
    assert done.cohort.files(case, "ct")


def test_parts_of_a_conversion_are_those_of_one_run(write, out):
    for patient in (*WHO, "Weber"):
        study(write, patient)
    # what fails, in one of the parts
    for path in write.folder.glob(f"{WHO[1]}_*_pet_rt*"):
        drawn = pydicom.dcmread(path)
        for item in drawn.ROIContourSequence[0].ContourSequence:
            item.ContourData[2::3] = [99] * 4
        drawn.save_as(path)
    call = ["convert", str(write.folder), "--allow-failures", "9", "--out"]
    # the name of the cohort is that of its folder
    one = out.with_name("one") / "cohort"
    one.parent.mkdir()
    assert CliRunner().invoke(app, [*call, str(one)]).exit_code == 0
    for k in (1, 2, 3):
        missing = CliRunner().invoke(app, ["gather", str(out)])
        assert missing.exit_code == 1
        done = CliRunner().invoke(app, [*call, str(out), "--shard", f"{k}/3"])
        assert done.exit_code == 0, done.output
        assert not (out / "cohort.yml").exists()
    done = CliRunner().invoke(app, ["gather", str(out)])
    assert done.exit_code == 0, done.output
    first, second = (
        {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file() and ".finished" not in path.parts
        }
        for folder in (one, out)
    )
    assert first == second
    assert len(pd.read_csv(out / "failures.csv")) == 1
    names = (folder.with_name("cohort.pseudonyms.csv") for folder in (one, out))
    assert len({path.read_text("utf-8") for path in names}) == 1
