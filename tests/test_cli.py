"""One verb is one function, and an error is a message, never a traceback."""

import errno
import importlib.metadata
import inspect
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

import radlatent as rl
from radlatent.cli import app
from radlatent.cohort import LAYOUTS
from radlatent.errors import CohortError
from radlatent.imaging import Volume, hashes, write_volume

#: What only the command line has: where to write, and when to exit with 1.
EXTRA = {"out", "allow_failures", "quiet", "shard"}


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
        "draft_study",
        "run",
        "report",
        "fit_study",
        "predict",
        "doctor",
    ],
)
def test_a_verb_has_the_parameters_of_its_function(verb):
    function = rl.report.report if verb == "report" else getattr(rl, verb)
    callbacks = {c.callback.__name__: c.callback for c in app.registered_commands}
    ours = set(inspect.signature(callbacks[verb]).parameters)
    theirs = set(inspect.signature(function).parameters)
    assert ours - EXTRA == theirs - EXTRA
    names = {"describe_features": "features", "draft_study": "init"}
    name = (names | {"fit_study": "fit"}).get(verb, verb)
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
    assert "C (Uno, until day" in done.output
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


@pytest.mark.parametrize(
    ("status", "purpose", "code"),
    [
        ("works", "required", 0),
        ("missing", "required", 1),
        ("does not import: ImportError: broken on purpose", "required", 1),
        ("is too old: >=2.0 is needed", "required", 1),
        ("not installed", "of radlatent[deep]", 0),
        ("does not import: OSError: libcudart.so", "of radlatent[deep]", 1),
    ],
)
def test_the_exit_code_of_the_doctor(monkeypatch, status, purpose, code):
    row = {"component": "numpy", "purpose": purpose, "version": "1", "remedy": ""}
    rows = [row | {"status": status}]
    monkeypatch.setattr("radlatent.cli.verbs.examine", lambda: rows)
    done = invoke("doctor")
    assert done.exit_code == code
    assert "numpy" in done.output
    assert status in done.output


def commands(group, words=()):
    """Yield the words of every command, and the command."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*words, name))
        else:
            yield (*words, name), command


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("words", COMMANDS)
def test_a_verb_says_what_each_of_its_words_is(words):
    command = COMMANDS[words]
    told = {one.name: one for one in command.params}
    assert all(one.help for one in told.values()), words
    assert f"radlatent {' '.join(words)}" in command.epilog
    positional = [one for one in told.values() if one.param_type_name == "argument"]
    assert all(one.metavar.isupper() for one in positional)
    short, long = invoke(*words, "-h"), invoke(*words, "--help")
    assert short.exit_code == long.exit_code == 0
    assert short.output == long.output


def test_the_help_of_index_names_every_layout_and_placeholder():
    told = {one.name: one.help for one in COMMANDS["index",].params}
    assert [name for name in LAYOUTS if name not in told["layout"]] == []
    for place in ("patient_id", "lesion_id", "timepoint", "site", "modality"):
        assert f"{{{place}}}" in told["image"]


@pytest.mark.parametrize("module", ["radlatent", "radlatent.cli"])
def test_the_package_runs_as_a_module_and_tells_its_version(module):
    done = subprocess.run(
        [sys.executable, "-m", module, "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"radlatent {rl.__version__}\n"
    assert rl.__version__ == importlib.metadata.version("radlatent")


def test_completion_is_offered(monkeypatch):
    monkeypatch.setenv("_RADLATENT_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "radlatent ex")
    monkeypatch.setenv("COMP_CWORD", "1")
    done = CliRunner().invoke(app, [], prog_name="radlatent")
    assert done.output.split() == ["extract"]
    assert "--show-completion" in invoke("-h").output


@pytest.mark.parametrize(
    "arguments", [("-q", "masks", "score"), ("masks", "-q", "score"), ("check",)]
)
def test_quiet_is_heard_before_the_verb_and_after_it(arguments):
    after = ("--quiet",) if "-q" not in arguments else ()
    out = ("--out", "x.csv") if "score" in arguments else ()
    assert invoke(*arguments, "nowhere", *out, *after).exit_code == 1
    assert logging.getLogger("radlatent").level == logging.WARNING
    assert invoke("check", "nowhere").exit_code == 1
    assert logging.getLogger("radlatent").level == logging.INFO


OUTPUTS = {
    "extract": ("x.csv", ("x.failures.csv", "x.provenance.csv"), ("x.cache",)),
    "stability": ("x.csv", ("x.perturbations.csv",), ("x.cache",)),
    "masks score": ("x.csv", ("x.slices.csv", "x.failures.csv"), ()),
    "features": ("x.csv", (), ()),
}


@pytest.mark.parametrize("verb", OUTPUTS)
def test_an_output_that_cannot_be_is_told_before_the_work(verb, tmp_path, monkeypatch):
    table, files, folders = OUTPUTS[verb]
    # the work would tell that the cohort is not there
    cohort = () if verb == "features" else ("nowhere",)
    monkeypatch.chdir(tmp_path)
    for name in (table, *files):
        (tmp_path / name).mkdir()
        done = invoke(*verb.split(), *cohort, "--out", table)
        assert done.exit_code == 1
        assert "is a folder; give a file" in done.output, name
        (tmp_path / name).rmdir()
    for name in folders:
        (tmp_path / name).write_text("")
        done = invoke(*verb.split(), *cohort, "--out", table)
        assert "is a file; give a folder" in done.output, name
        (tmp_path / name).unlink()
    (tmp_path / "file").write_text("")
    done = invoke(*verb.split(), *cohort, "--out", "file/below/x.csv")
    assert "is a file, not a folder" in done.output
    monkeypatch.setattr("tempfile.TemporaryFile", closed)
    done = invoke(*verb.split(), *cohort, "--out", f"new/{table}")
    assert done.exit_code == 1
    assert f"{tmp_path}: there is no permission to write" in done.output.replace(
        "\n", ""
    )


def closed(*arguments, **options):
    raise PermissionError(errno.EACCES, "Permission denied")


@pytest.mark.parametrize(
    "arguments",
    [
        ("simulate", "OUT", "--n-patients", "2"),
        ("index", "IMAGES", "--out", "OUT"),
        ("run", "STUDY", "--out", "OUT"),
        ("init", "IMAGES", "--out", "OUT/study.yml"),
        ("masks", "fit", "IMAGES", "--out", "OUT"),
    ],
)
def test_a_folder_that_cannot_be_is_told_before_the_work(
    tiny_folder, study, tmp_path, monkeypatch, arguments
):
    places = {"IMAGES": tiny_folder, "STUDY": study}
    given = [str(places.get(one, one)) for one in arguments]
    (tmp_path / "file").write_text("")
    below = [one.replace("OUT", str(tmp_path / "file" / "out")) for one in given]
    done = invoke(*below)
    assert done.exit_code == 1
    assert "is a file, not a folder" in done.output
    monkeypatch.setattr("tempfile.TemporaryFile", closed)
    done = invoke(*(one.replace("OUT", str(tmp_path / "out")) for one in given))
    assert done.exit_code == 1
    assert "there is no permission to write" in done.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["data", "figures", "index.html", "run.json"])
def test_what_a_run_cannot_replace_is_told_before_the_work(study, tmp_path, name):
    (tmp_path / "out").mkdir()
    if "." in name:
        (tmp_path / "out" / name).mkdir()
    else:
        (tmp_path / "out" / name).write_text("")
    done = invoke("run", study, "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert "give a f" in done.output
    assert not (tmp_path / "out" / "cache").exists()


def test_a_full_disk_that_nobody_named_is_told(monkeypatch, tmp_path):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(rl.report, "report", full)
    done = invoke("report", tmp_path)
    assert done.exit_code == 1
    assert "the disk is full" in done.output
    assert "start again" in done.output


def test_a_study_that_was_drafted_runs(study, tmp_path):
    cohort = shutil.copytree(study.with_name("cohort"), tmp_path / "cohort")
    cases = pd.read_csv(cohort / "cases.csv")
    cases["image_mr"] = cases["case_id"] + ".nii.gz"
    cases.to_csv(cohort / "cases.csv", index=False)
    for number, name in enumerate(cases["image_mr"]):
        image = np.random.default_rng(number).normal(100, 20, (8, 8, 8))
        write_volume(Volume(image.astype("f4"), (1.0, 1.0, 1.0)), cohort / name)
    drafted = tmp_path / "new" / "study.yml"
    done = invoke("init", cohort, "--out", drafted)
    assert done.exit_code == 0, done.output
    assert "radlatent run" in done.output
    again = invoke("init", cohort, "--out", drafted)
    assert again.exit_code == 1
    assert "may have been edited" in again.output
    done = invoke("run", drafted, "--out", tmp_path / "out", "--jobs", "1", "-q")
    assert done.exit_code == 0, done.output
    assert "C (Harrell)" in done.output


def test_a_check_keeps_hashes_for_an_extraction(tiny_folder, tmp_path, monkeypatch):
    # those of files of this moment are not kept
    monkeypatch.setattr(hashes, "_COARSE_NS", -1)
    cache = tmp_path / "x.cache"
    assert invoke("check", tiny_folder, "--deep", "--cache", cache).exit_code == 0
    monkeypatch.setattr(hashes, "file_hash", None)
    done = invoke("extract", tiny_folder, "--out", tmp_path / "x.csv")
    assert done.exit_code == 0, done.output
    done = invoke("check", tiny_folder, "--cache", tiny_folder / "cohort.yml")
    assert done.exit_code == 1
    assert "is a file; give a folder" in done.output


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


@pytest.mark.parametrize("name", ["typer", "rich", "pydantic"])
def test_what_draws_the_command_line_may_be_broken(name, tmp_path):
    (tmp_path / f"{name}.py").write_text("raise ImportError('broken on purpose')\n")
    here = os.pathsep.join([str(tmp_path), str(Path(rl.__file__).parents[1])])
    told = {"capture_output": True, "text": True, "check": False}
    command = [sys.executable, "-m", "radlatent.cli"]
    env = os.environ | {"PYTHONPATH": here}
    done = subprocess.run([*command, "check", "x"], env=env, **told)
    assert done.returncode == 1
    assert "radlatent doctor says" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    code = (
        "import sys; sys.argv[1:] = ['doctor']; import radlatent.cli as cli; "
        "cli.examine = lambda: [{'component': 'x', 'status': 'missing', "
        "'purpose': 'required', 'remedy': ''}]; cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], env=env, **told)
    assert done.returncode == 1
    assert done.stdout == "x  missing  required\n"


def test_a_check_with_notes_says_so_at_its_end(tiny_folder):
    assert invoke("check", tiny_folder).output.rstrip().endswith("no problem.")
    image = (tiny_folder / "p1" / "ct_image.nii.gz").read_bytes()
    (tiny_folder / "p3" / "ct_image.nii.gz").write_bytes(image)
    done = invoke("check", tiny_folder)
    assert done.exit_code == 0
    assert done.output.rstrip().endswith("no problem, one note.")


@pytest.mark.parametrize("name", ["index.html", "failures.csv", "tables", "figures"])
def test_a_report_that_cannot_be_written_is_told_before_the_work(tmp_path, name):
    (tmp_path / "run.json").write_text(
        '{"command": {}, "settings": {}, "cohort": {}, "counts": {}, "outputs": {}}'
    )
    (tmp_path / name).mkdir() if "." in name else (tmp_path / name).write_text("")
    done = invoke("report", tmp_path)
    assert done.exit_code == 1
    assert "is a folder; give a file" in done.output or "give a folder" in done.output
