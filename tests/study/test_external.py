"""A study of tables runs without an image, and is tested on another hospital."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from radlatent.cli import app
from radlatent.errors import CohortError, LeakageError, SchemaError
from radlatent.fusion import evaluate, validate_externally
from radlatent.schema import check_table, read_run
from radlatent.study import models, read_study, run
from radlatent.study.work import begin


@pytest.fixture(scope="session")
def example(project_root):
    """Return the example of the manual: the study file and the commands."""
    text = (project_root / "docs" / "study.md").read_text("utf-8")
    study = re.search(r"```yaml\n# study.yml\n(.*?)```", text, re.DOTALL)[1]
    commands = re.search(r"```\n(radlatent check study.yml\n.*?)```", text, re.DOTALL)
    return study, commands[1].splitlines()


def write_center(folder, ids, *, shift=0.0, seed=0):
    """Write tables of patients: one column of ``mr`` tells of the outcome."""
    rng, n = np.random.default_rng(seed), len(ids)
    folder.mkdir(exist_ok=True)
    signal = rng.standard_normal(n)
    chance = 1 / (1 + np.exp(-2.5 * signal - shift))
    index = pd.Index(ids, name="patient_id")
    mr = pd.DataFrame({"signal": signal, "noise": rng.standard_normal(n)}, index)
    mr["diagnostics_Version"] = "v3.0.1"
    mr.loc[ids[0], "noise"] = np.nan
    deep = pd.DataFrame(rng.standard_normal((n, 3)), index, ["a", "b", "c"])
    outcome = pd.DataFrame({"response": rng.random(n) < chance}, index)
    outcome["response"] = outcome["response"].map({True: "yes", False: "no"})
    outcome["age"] = rng.integers(40, 80, n)
    # rows in another order: ids put them together
    for name, table in (("mr", mr), ("deep", deep[::-1]), ("outcome", outcome)):
        table.to_csv(folder / f"{name}.csv")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, example):
    folder = tmp_path_factory.mktemp("tables")
    write_center(folder, [f"a{i:03d}" for i in range(90)])
    there = [f"b{i:03d}" for i in range(80)]
    write_center(folder / "center_b", there, shift=1.2, seed=1)
    (folder / "study.yml").write_text(example[0], "utf-8")
    return folder


@pytest.fixture(scope="module")
def done(folder, example, request):
    """Return the folder of the run that the commands of the manual make."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in example[1]:
            found = CliRunner().invoke(app, command.split()[1:])
            assert found.exit_code == 0, found.output
    return folder / "out"


@pytest.fixture(scope="module")
def tables(done):
    outputs = json.loads((done / "run.json").read_text("utf-8"))["outputs"]
    return read_run(done / "data", outputs)


#: Of models on what was declared, and on what does not tell as well.
ORIGINS = {"declared", "declared (mr, clinical); not told (deep)"}


@pytest.mark.slow
def test_a_study_of_tables_finds_what_is_in_them(tables):
    auc = tables["metrics"].query("metric == 'auc'").set_index("blocks")
    assert auc.loc["mr + clinical", "lower"] > 0.7
    assert (auc["n"] == 90).all()
    assert set(tables["fits"]["origin"]) == ORIGINS
    assert set(tables["external_fits"]["origin"]) == ORIGINS
    assert list(tables["patients"].filter(like="mr__")) == ["mr__signal", "mr__noise"]
    assert "provenance" not in tables
    for name, table in tables.items():
        check_table(table, name)


@pytest.mark.slow
def test_the_other_center_is_that_of_python(tables, folder):
    study = read_study(folder / "study.yml")
    about = {"root": None, "jobs": 1, "allow_failures": 0}
    work = begin(folder / "study.yml", folder / "again", **about)
    ours, theirs = (
        read_patients(folder, one) for one in ("patients", "external_patients")
    )
    chosen = ["mr__signal", "mr__noise", "clinical__age"]
    chosen = [column for column in tables["patients"] if column in chosen]
    found = validate_externally(
        models.build(study.models[0], "class", work.sites),
        ours[chosen],
        work.endpoint,
        (theirs[chosen], work.external.endpoint),
    )
    told = tables["external_predictions"].query("blocks == 'mr + clinical'")
    expected = found.predictions["probability_yes"].to_numpy()
    assert told["probability_yes"].to_numpy() == pytest.approx(expected, abs=1e-12)
    assert told["patient_id"].str.startswith("b").all()
    fits = tables["external_fits"]
    assert set(fits["n_train"]) == {90}
    assert set(fits["n_test"]) == {80}
    metrics = evaluate(tables["external_predictions"])
    pd.testing.assert_frame_equal(tables["external_metrics"], metrics)


def read_patients(folder, name):
    return pd.read_parquet(folder / "out" / "data" / f"{name}.parquet")


@pytest.mark.slow
def test_recalibration_in_the_large_is_apart(tables):
    def level(name):
        rows = tables[name].query("metric == 'calibration_intercept'")
        return rows["estimate"].to_numpy()

    # the outcome is more frequent there, which no column tells
    assert (level("external_metrics") > 0.4).all()
    assert level("external_recalibrated") == pytest.approx(0, abs=1e-6)
    same = [tables[n].query("metric == 'auc'")["estimate"] for n in NAMES]
    assert same[0].tolist() == same[1].tolist()


NAMES = ("external_metrics", "external_recalibrated")


@pytest.mark.slow
def test_the_page_has_a_section_of_the_other_center(done):
    page = (done / "index.html").read_text("utf-8")
    section = page[page.index('<section id="external">') :]
    section = section[: section.index("</section>")]
    assert "center B" in section
    assert "80 patients" in section
    for figure in ("external_roc", "external_calibration", "external_decision"):
        assert list((done / "figures").glob(f"{figure}*.png")), figure
    for table in ("table_one", "performance", "recalibrated"):
        assert (done / "tables" / f"external_{table}.csv").is_file()
    assert "n = 80 patients" in section
    methods = page[page.index('id="methods"') :]
    assert "block mr from mr.csv (declared to be measured)" in methods
    assert "tested once on 80 patients of the cohort center B" in methods
    assert "Hand-crafted" not in methods[: methods.index("</section>")]
    metrics = pd.read_csv(done / "tables" / "checklist_metrics.csv")
    external = metrics[metrics["text"] == "external testing"].iloc[0]
    assert external["status"] == "evidenced"
    record = json.loads((done / "run.json").read_text("utf-8"))
    assert set(record["cohort"]["tables"]) == {"mr.csv", "deep.csv", "outcome.csv"}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("endpoints: outcome.csv\n", "", "features and endpoints"),
        ("covariates", "cohort: somewhere\ncovariates", "or features and endpoints"),
        ("models:", "masks: {}\nmodels:", "need images"),
        ("    - {block: deep, file: center_b/deep.csv}\n", "", "blocks {'mr'}"),
        ("{block: deep, file: deep", "{block: mr, file: deep", "name of its own"),
        ("block: deep", "block: clinical", "block of covariates"),
        ("block: deep", "block: de__ep", "pattern"),
        ("name: center B", "nam: center B", "did you mean 'name'"),
    ],
)
def test_a_faulty_key_is_refused(tmp_path, example, old, new, expected):
    text = example[0]
    assert old in text
    (tmp_path / "study.yml").write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(SchemaError, match=expected):
        read_study(tmp_path / "study.yml")


def broken(folder, tmp_path, change):
    """Return the study file of a copy of the tables that somebody spoiled."""
    for name in ("mr", "deep", "outcome"):
        for part in ("", "center_b"):
            path = tmp_path / part / f"{name}.csv"
            path.parent.mkdir(exist_ok=True)
            path.write_text((folder / part / f"{name}.csv").read_text())
    (tmp_path / "study.yml").write_text((folder / "study.yml").read_text())
    change(tmp_path)
    return tmp_path / "study.yml"


def test_patients_of_both_centers_are_refused_before_the_work(folder, tmp_path):
    def same_names(where):
        for path in (where / "center_b").iterdir():
            path.write_text(path.read_text().replace("b00", "a00"))

    study = broken(folder, tmp_path, same_names)
    with pytest.raises(LeakageError, match="10 patients are in both cohorts"):
        run(study, out=tmp_path / "out", jobs=1)


def test_a_column_that_is_not_there_is_told_before_the_work(folder, tmp_path):
    def another_name(where):
        path = where / "center_b" / "mr.csv"
        path.write_text(path.read_text().replace("signal", "sygnal"))

    study = broken(folder, tmp_path, another_name)
    with pytest.raises(SchemaError, match=r"lack 1 columns: \['mr__signal'\]"):
        run(study, out=tmp_path / "out", jobs=1)


def test_faults_of_both_centers_are_told_at_once(folder, tmp_path):
    def two(where):
        (where / "deep.csv").unlink()
        path = where / "center_b" / "mr.csv"
        path.write_text(path.read_text().replace("b003", "B003"))

    study = broken(folder, tmp_path, two)
    found = CliRunner().invoke(app, ["check", str(study)])
    assert found.exit_code == 1
    assert "deep.csv: the file is missing" in found.output
    told = " ".join(found.output.split())
    assert "1 patients of mr.csv are not in outcome.csv: ['B003']" in told
    with pytest.raises(CohortError) as error:
        run(study, out=tmp_path / "out", jobs=1)
    assert len(error.value.problems) == 3
