"""A study of tables leaves a model that another hospital takes up, by the commands."""

import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import radlatent as rl
from radlatent.cli import app
from radlatent.errors import SchemaError
from radlatent.fusion import validate_externally
from radlatent.study.final.way import plan_of


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write_center(folder, ids, seed):
    """Write tables of patients: one column of ``mr`` tells of the outcome."""
    rng, n = np.random.default_rng(seed), len(ids)
    folder.mkdir(exist_ok=True)
    index = pd.Index(ids, name="patient_id")
    mr = pd.DataFrame(rng.standard_normal((n, 2)), index, ["signal", "noise"])
    deep = pd.DataFrame(rng.standard_normal((n, 3)), index, ["a", "b", "c"])
    sick = rng.random(n) < 1 / (1 + np.exp(-2.5 * mr["signal"]))
    outcome = pd.DataFrame({"response": np.where(sick, "yes", "no")}, index)
    outcome["age"] = rng.integers(40, 80, n)
    mr.assign(diagnostics_Version="v3.0.1").to_csv(folder / "mr.csv")
    deep[::-1].to_csv(folder / "deep.csv")
    outcome.to_csv(folder / "outcome.csv")


@pytest.fixture(scope="module")
def manual(project_root):
    """Return the study of the manual, and its commands of the final model."""
    text = (project_root / "docs" / "study.md").read_text("utf-8")
    study = re.search(r"```yaml\n# study.yml\n(.*?)```", text, re.DOTALL)[1]
    found = re.search(r"```\n(radlatent fit study.yml .*?)```", text, re.DOTALL)
    return study, found[1].splitlines()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, manual):
    folder = tmp_path_factory.mktemp("tables")
    write_center(folder, [f"{i:03d}" for i in range(90)], 0)
    write_center(folder / "center_b", [f"{i:03d}" for i in range(500, 530)], 1)
    (folder / "study.yml").write_text(manual[0], "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in manual[1]:
            quoted = command.replace('"an example, for nobody"', "example")
            done = invoke(*quoted.split()[1:])
            assert done.exit_code == 0, done.output
    return folder


def blocks_of(folder):
    names = {"mr": "mr", "deep": "deep", "clinical": "outcome"}
    return {block: folder / f"{name}.csv" for block, name in names.items()}


def said_of(folder):
    return pd.read_csv(folder / "predictions.csv", dtype={"patient_id": str})


@pytest.mark.slow
def test_the_commands_of_the_manual_say_what_external_validation_says(folder):
    center = folder / "center_b"
    pair = []
    for place in (folder, center):
        mr = pd.read_csv(place / "mr.csv", dtype={"patient_id": str})
        outcome = pd.read_csv(place / "outcome.csv", dtype={"patient_id": str})
        outcome = outcome.set_index("patient_id")
        mr = rl.features(
            mr.set_index("patient_id").drop(columns="diagnostics_Version"), block="mr"
        )
        age = rl.features(outcome[["age"]], block="clinical")
        sick = rl.Endpoint.binary(outcome["response"], positive="yes")
        pair.append((rl.join(mr, age), sick))
    found = validate_externally(rl.logistic(), *pair[0], pair[1]).predictions
    said = said_of(folder).set_index("patient_id")["probability_yes"]
    wanted = found.set_index("patient_id")["probability_yes"]
    assert said.loc[wanted.index].to_numpy() == pytest.approx(
        wanted.to_numpy(), abs=1e-12
    )


@pytest.mark.slow
def test_the_model_has_the_performance_of_the_study_and_its_way(folder):
    model = rl.load_model(folder / "model")
    auc = model.performance.query("metric == 'auc'")
    assert auc["lower"].item() > 0.7
    assert auc["n"].item() == 90
    about = model.about
    assert about.blocks == "mr + clinical"
    assert about.purpose == "example"
    assert about.validation == "1 x 3 folds by patient"
    assert about.origin == "declared"
    plan = plan_of(about.way, about.endpoint, model.columns)
    assert [spec.block for spec in plan.features] == ["mr"]


@pytest.mark.slow
def test_what_is_absent_is_named(folder, tmp_path):
    model, center = folder / "model", folder / "center_b"
    out = ("--out", tmp_path / "said.csv")
    files = [f"mr={center / 'mr.csv'}", f"clinical={center / 'outcome.csv'}"]
    for sources, expected in (
        (files[:1], r"absent are \['clinical'\]"),
        ([*files, "deap=x.csv"], "'deap' is not a block of the study; did you mean"),
        ([*files, files[0]], "once for each block"),
        ([f"mr={tmp_path / 'no.csv'}", files[1]], "the file is missing"),
        ([center / "mr.csv"], r"4|3 columns are absent: 'mr__signal'"),
        ([tmp_path / "nowhere"], "no such file, nor a folder of a cohort"),
        ([center], "not from images"),
    ):
        done = invoke("predict", model, *sources, *out)
        assert done.exit_code == 1
        assert re.search(expected, " ".join(done.output.split())), done.output
    done = invoke("predict", tmp_path / "none", *files, *out)
    assert "there is no such folder" in done.output
    assert not (tmp_path / "said.csv").exists()


@pytest.mark.slow
def test_a_table_of_all_columns_serves_as_well(folder, tmp_path):
    center = folder / "center_b"
    read = {"dtype": {"patient_id": str}, "index_col": "patient_id"}
    mr = pd.read_csv(center / "mr.csv", **read).add_prefix("mr__")
    age = pd.read_csv(center / "outcome.csv", **read)[["age"]].add_prefix("clinical__")
    mr.join(age).to_csv(tmp_path / "all.csv")
    said = rl.predict(folder / "model", tmp_path / "all.csv")
    again = rl.predict(folder / "model", blocks_of(center))
    pd.testing.assert_frame_equal(said, again.loc[said.index])


@pytest.mark.slow
def test_a_changed_byte_and_a_pickle_are_told(folder, tmp_path):
    files = [f"{block}={path}" for block, path in blocks_of(folder).items()]
    model = shutil.copytree(folder / "model", tmp_path / "model")
    (model / "more.pkl").write_bytes(b"cos\nsystem\n(S'exit 7'\ntR.")
    done = invoke("predict", model, *files, "--out", tmp_path / "said.csv")
    assert done.exit_code == 1
    assert "more.pkl is not a file of the model" in done.output
    (model / "more.pkl").unlink()
    path = model / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 4
    path.write_bytes(bytes(content))
    done = invoke("predict", model, *files, "--out", tmp_path / "said.csv")
    assert "was changed after it was written" in done.output


@pytest.mark.slow
def test_another_process_says_the_same(folder, tmp_path):
    code = (
        "import pathlib, radlatent as rl; "
        "said = rl.predict('model', {'mr': 'center_b/mr.csv', "
        "'clinical': 'center_b/outcome.csv'}); "
        f"rl.report.write_table(said, pathlib.Path({str(tmp_path / 'said.csv')!r}))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)
    assert (tmp_path / "said.csv").read_bytes() == (
        folder / "predictions.csv"
    ).read_bytes()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("final: 1\n", "", r"1: logistic on mr \+ clinical; 2: logistic on \*"),
        ("final: 1", "final: 3", "final is 3, of 2 models"),
    ],
)
def test_a_study_says_which_model(manual, tmp_path, old, new, expected):
    write_center(tmp_path, [f"a{i}" for i in range(20)], 0)
    (tmp_path / "study.yml").write_text(manual[0].replace(old, new), "utf-8")
    with pytest.raises(SchemaError, match=expected):
        rl.fit_study(tmp_path / "study.yml")


def test_a_folder_that_holds_something_is_told_first(tmp_path):
    (tmp_path / "x").write_text("x")
    done = invoke("fit", tmp_path / "no.yml", "--out", tmp_path)
    assert done.exit_code == 1
    assert "holds x; give another folder" in done.output
