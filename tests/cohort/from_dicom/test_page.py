"""From a folder of DICOM to a prediction for a new patient, as the pages say."""

import contextlib
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

import radlatent as rl
from radlatent.cli import app

BLOCK = re.compile(r"```\n(radlatent convert export .*?)```", re.DOTALL)
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
SHAPE, RADIUS = (7, 16, 16), 5.0


@pytest.fixture(scope="module")
def pages(project_root):
    return [
        (project_root / name).read_text("utf-8")
        for name in ("docs/dicom.md", "README.md")
    ]


def export(write, folder, n, *, start=0):
    """Write PET with a ball drawn on it; that of responders is brighter."""
    z, y, x = np.indices(SHAPE)
    ball = (2 * (z - 3)) ** 2 + (y - 8) ** 2 + (x - 8) ** 2 < RADIUS**2
    rows = []
    for number in range(start, start + n):
        rng = np.random.default_rng(number)
        bright, scanner = number % 2, f"model {number // 2 % 2}"
        voxels = rng.normal(3000, 300, SHAPE)
        voxels[ball] += 6000 + 2500 * bright + rng.normal(0, 1500)
        # one scanner tells more than the other
        voxels *= 1 + 0.3 * (number // 2 % 2)
        patient = f"MRN-{number:04d}"
        told = {
            "PatientID": patient,
            "PatientName": f"Doe^{number}",
            "StudyInstanceUID": write.uid(patient, "study"),
            "FrameOfReferenceUID": write.uid(patient, "frame"),
            "SeriesInstanceUID": write.uid(patient, "pet"),
            "InstitutionName": "St. Elsewhere",
            "Manufacturer": "ACME",
            "ManufacturerModelName": scanner,
            "PatientAge": f"{40 + number:03d}Y",
        }
        slices = write.pet(voxels.round().astype(np.int16), **told)
        for k, one in enumerate(slices):
            one.SOPInstanceUID = write.uid(patient, k)
            one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
        turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        contours = [
            np.column_stack(
                [
                    -2 + np.sqrt(left) * np.cos(turn),
                    -12 + np.sqrt(left) * np.sin(turn),
                    np.full(40, 5.0 + 2 * k),
                ]
            )
            for k in range(SHAPE[0])
            if (left := RADIUS**2 - (2 * (k - 3)) ** 2) > 1
        ]
        drawn = write.structures({"GTV": contours, "body": []}, on=slices, **told)
        drawn.SOPInstanceUID = write.uid(patient, "rt")
        drawn.SeriesInstanceUID = write.uid(patient, "rt series")
        write.folder = folder
        write.save([*slices, drawn], f"{number:02d}_")
        rows.append((patient, ("no", "yes")[bright], ("I", "II")[number % 3 == 0]))
    return pd.DataFrame(rows, columns=["patient_id", "response", "stage"])


def run(command):
    done = CliRunner().invoke(app, shlex.split(command)[1:])
    assert done.exit_code == 0, (command, done.output)
    return done.output


@pytest.fixture
def exports(write, tmp_path):
    outcomes = export(write, tmp_path / "export", 24)
    outcomes.to_csv(tmp_path / "outcomes.csv", index=False)
    export(write, tmp_path / "new_export", 2, start=30)
    with contextlib.chdir(tmp_path):
        yield tmp_path


def test_both_pages_have_the_same_six_commands(pages):
    [first], [second] = (BLOCK.findall(page) for page in pages)
    assert first == second
    assert len(first.strip().splitlines()) == 6


@pytest.mark.long
def test_the_commands_of_the_page_predict_new_patients(pages, exports):
    for command in BLOCK.findall(pages[0])[0].strip().splitlines():
        run(command)
    said = pd.read_csv("predictions.csv", index_col="patient_id")
    who = pd.read_csv("new.pseudonyms.csv").set_index("name")["pseudonym"]
    assert said["class"][who["MRN-0030"]] == "no"
    assert said["class"][who["MRN-0031"]] == "yes"
    assert said["refused"].isna().all()

    one = pd.read_csv("out/tables/table_one.csv")["Characteristic"]
    assert one.str.startswith("pet_scanner = model").sum() == 2
    assert one.str.startswith("pet_uptake_min").any()
    # told, and seen by no model
    fits = pd.read_parquet("out/data/patients.parquet")
    assert not [column for column in fits if "scanner" in column or "uptake" in column]


@pytest.mark.long
def test_what_scanners_add_is_removed_by_combat(pages, exports):
    call = BLOCK.findall(pages[0])[0].splitlines()[0]
    run(f"{call} --site scanner --jobs 1")
    cohort = rl.Cohort.read("cohort")
    sites = cohort.cases.groupby("site")["patient_id"].nunique()
    assert sites.tolist() == [12, 12]
    names = re.compile(r"site_[0-9a-f]{6}_ACME_model_[01]")
    assert all(map(names.fullmatch, sites.index))
    run("radlatent init cohort --out study.yml")
    study = yaml.safe_load(Path("study.yml").read_text("utf-8"))
    models = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", pages[0], re.DOTALL)[0])
    study |= models | {"compare_with": 1}
    Path("study.yml").write_text(yaml.safe_dump(study), "utf-8")
    run("radlatent run study.yml --out out")
    run("radlatent fit study.yml --out model")
    run("radlatent convert new_export --out new --roi '(?i)GTV' --site scanner")
    run("radlatent predict model new --out predictions.csv")
    new = rl.Cohort.read("new").cases
    # the same hospital and scanner have the same name in another conversion
    assert set(new["site"]) <= set(sites.index)
    assert pd.read_csv("predictions.csv")["refused"].isna().all()


@pytest.mark.slow
def test_the_python_of_the_page_runs(pages, exports):
    names = {"print": lambda table: None}
    exec(PYTHON.findall(pages[0])[0], names)
    assert names["image"].array.max() > 2
    assert [*names["masks"]] == ["GTV"]
    cohort = names["cohort"]
    classes = cohort.endpoint("response").frame["class"]
    assert classes.value_counts().tolist() == [12, 12]
    # no outcome, and not asked for
    assert "stage" not in cohort.patients
