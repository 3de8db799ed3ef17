"""One verb is one function, and an error is a message, never a traceback."""

import inspect

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import radlatent as rl
from radlatent.cli import app
from radlatent.errors import CohortError
from radlatent.imaging import Volume, write_volume

#: What only the command line has: where to write, and when to exit with 1.
EXTRA = {"out", "allow_failures"}


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    "verb",
    [
        "check",
        "simulate",
        "index",
        "extract",
        "stability",
        "describe_features",
        "run",
        "report",
        "doctor",
    ],
)
def test_a_verb_has_the_parameters_of_its_function(verb):
    function = rl.report.report if verb == "report" else getattr(rl, verb)
    callbacks = {c.callback.__name__: c.callback for c in app.registered_commands}
    ours = set(inspect.signature(callbacks[verb]).parameters)
    theirs = set(inspect.signature(function).parameters)
    assert ours - EXTRA == theirs - EXTRA
    name = "features" if verb == "describe_features" else verb
    assert invoke(name, "--help").exit_code == 0


def test_a_sound_cohort_passes_the_check(tiny_folder):
    done = invoke("check", tiny_folder)
    assert done.exit_code == 0
    assert "3 patients, 3 cases" in done.output
    assert "no problem" in done.output


def test_a_faulty_cohort_lists_everything_and_exits_with_1(tiny_folder):
    (tiny_folder / "p1" / "ct_image.nii.gz").unlink()
    (tiny_folder / "p2" / "pet_mask.nii.gz").write_bytes(b"nothing")
    done = invoke("check", tiny_folder)
    assert done.exit_code == 1
    assert "2 problems found" in done.output
    assert "'p1/ct_image.nii.gz' is not there" in done.output
    assert "no image" in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("check", "nowhere"), "is not there"),
        (("run", "nowhere.yml", "--out", "out"), "nowhere.yml"),
        (("report", "nowhere"), "no run.json"),
        (("index", "nowhere", "--out", "out"), "is not a folder"),
        (("simulate", "x", "--censoring", "2"), "censoring is 2.0"),
    ],
)
def test_what_is_not_there_is_told(arguments, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = invoke(*arguments)
    assert done.exit_code == 1
    assert expected in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--out", "x.txt"), "written as .parquet or .csv"),
        (("--out", "x.csv", "--settings", "huu"), "did you mean 'hu'"),
        (("--out", "x.csv", "--settings", "hu", "--settings", "mr"), "MODALITY=FILE"),
        (("--out", "x.csv", "--settings", "ct=hu", "--settings", "mr"), "'mr'"),
        (("--out", "x.csv", "--settings", "mr=hu"), "has the modalities"),
        (("--out", "x.csv", "--engine", "pyradiomic"), "did you mean 'pyradiomics'"),
    ],
)
def test_options_of_an_extraction_are_checked_first(
    tiny_folder, tmp_path, monkeypatch, options, expected
):
    monkeypatch.chdir(tmp_path)
    done = invoke("extract", tiny_folder, *options)
    assert done.exit_code == 1
    assert expected in done.output
    assert list(tmp_path.glob("x*")) == []


def test_an_extraction_writes_features_failures_and_provenance(tiny_folder, tmp_path):
    out = tmp_path / "features.csv"
    done = invoke("extract", tiny_folder, "--out", out, "--settings", "pet=hu")
    assert done.exit_code == 0, done.output
    table = rl.read_features(out)
    assert table.shape == (3, 214)
    assert pd.read_csv(tmp_path / "features.failures.csv").empty
    assert len(pd.read_csv(tmp_path / "features.provenance.csv")) == 6


def test_a_failed_case_makes_the_exit_code(tiny_folder, tmp_path):
    (tiny_folder / "p2" / "ct_image.nii.gz").write_bytes(b"nothing")
    out = tmp_path / "features.parquet"
    refused = invoke("extract", tiny_folder, "--out", out)
    assert refused.exit_code == 1
    assert not out.exists()
    done = invoke("extract", tiny_folder, "--out", out, "--allow-failures", "1")
    assert done.exit_code == 0
    assert "1 of the cases failed" in done.output
    assert len(rl.read_features(out)) == 3


CARD = """\
name: planted
root: .
modalities:
  mr: {unit: a.u., preset: mr}
endpoints:
  os: {kind: survival, time: time, event: event}
  kind: {kind: class, column: kind}
covariates: [v0, v1]
"""
STUDY = """\
title: A planted effect
cohort: cohort
endpoint: os
settings: settings.yaml
models:
  - {model: cox, blocks: [clinical]}
folds: {n_folds: 2, n_repeats: 1}
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Return a study of survival: one tiny image serves all of its 30 patients."""
    rng, n = np.random.default_rng(3), 30
    folder = tmp_path_factory.mktemp("survival")
    cohort = folder / "cohort"
    cohort.mkdir()
    image = rng.normal(100, 20, (8, 8, 8)).astype(np.float32)
    mask = np.zeros((8, 8, 8), np.uint8)
    mask[2:7, 2:7, 2:7] = 1
    for name, array in (("image", image), ("mask", mask)):
        write_volume(Volume(array, (1.0, 1.0, 1.0)), cohort / f"{name}.nii.gz")
    ids = [f"p{i:02d}" for i in range(n)]
    cases = pd.DataFrame({"case_id": ids, "patient_id": ids})
    cases = cases.assign(image_mr="image.nii.gz", mask="mask.nii.gz")
    cases.to_csv(cohort / "cases.csv", index=False)
    patients = pd.DataFrame(rng.normal(size=(n, 2)), columns=["v0", "v1"])
    days = 1000 * rng.exponential(np.exp(-2 * patients["v0"])).round(3)
    patients = patients.assign(patient_id=ids, time=days, kind=["a", "b"] * 15)
    patients["event"] = (rng.random(n) < 0.6).astype(int)
    patients.to_csv(cohort / "endpoints.csv", index=False)
    (cohort / "cohort.yml").write_text(CARD, "utf-8")
    (folder / "settings.yaml").write_text("featureClass: {firstorder: [Mean]}\n")
    (folder / "study.yml").write_text(STUDY, "utf-8")
    return folder / "study.yml"


def test_a_study_of_survival_prints_its_metrics(study, tmp_path):
    done = invoke("run", study, "--out", tmp_path / "out", "--jobs", "1")
    assert done.exit_code == 0, done.output
    assert "C (Harrell)" in done.output
    assert "C (Uno)" in done.output
    assert "AUC" not in done.output
    c = pd.read_csv(tmp_path / "out" / "tables" / "performance.csv")["C (Harrell)"]
    assert c.item() in done.output


def test_a_study_of_classes_prints_its_metrics(study, tmp_path):
    classes = STUDY.replace("endpoint: os", "endpoint: kind")
    path = study.with_name("classes.yml")
    path.write_text(classes.replace("cox", "logistic"), "utf-8")
    done = invoke("run", path, "--out", tmp_path / "out", "--jobs", "1")
    assert done.exit_code == 0, done.output
    assert "AUC" in done.output
    assert "Balanced accuracy" in done.output
    assert "C (Harrell)" not in done.output


def test_the_doctor_prints_a_table():
    done = invoke("doctor")
    assert done.exit_code == 0
    assert "numpy" in done.output
    assert "device" in done.output


def test_an_index_can_be_checked_at_once(tiny_folder, tmp_path):
    done = invoke("index", tiny_folder, "--out", tmp_path / "card")
    assert done.exit_code == 0, done.output
    assert "3 patients, 3 cases" in done.output
    assert invoke("check", tmp_path / "card", "--root", tiny_folder).exit_code == 0


def test_text_in_brackets_is_printed(tiny_folder):
    cases = pd.read_csv(tiny_folder / "cases.csv", dtype=str)
    cases["exclude"], cases["exclude_reason"] = ["1", "", ""], "[bad] motion"
    cases.to_csv(tiny_folder / "cases.csv", index=False)
    assert "1 excluded: [bad] motion" in invoke("check", tiny_folder).output


def test_an_output_that_is_a_folder_is_refused_first(tiny_folder, tmp_path):
    (tmp_path / "x.csv").mkdir()
    done = invoke("extract", tiny_folder, "--out", tmp_path / "x.csv")
    assert done.exit_code == 1
    assert "is a folder" in done.output


def test_images_that_fit_no_pattern_are_told(tiny_folder, tmp_path, caplog):
    (tiny_folder / "p3" / "ct_image.nii.gz").rename(
        tiny_folder / "p3" / "ct_Image.nii.gz"
    )
    (tiny_folder / "p3" / "ct_mask.nii.gz").rename(
        tiny_folder / "p3" / "ct_Mask.nii.gz"
    )
    rl.index(tiny_folder, tmp_path / "card")
    assert "2 images match neither pattern and are left out: p3/ct_Image" in caplog.text


def test_modalities_that_become_one_name_are_told(tiny_folder, tmp_path):
    for role in ("image", "mask"):
        source = tiny_folder / "p1" / f"ct_{role}.nii.gz"
        (tiny_folder / "p1" / f"CT_{role}.nii.gz").write_bytes(source.read_bytes())
    with pytest.raises(CohortError, match="are both 'ct' of one case"):
        rl.index(tiny_folder, tmp_path / "card")
