"""A study file walks the whole path, and is checked before the first step."""

import json
import shutil

import pandas as pd
import pytest
from typer.testing import CliRunner

from radlatent.cli import app
from radlatent.cohort import Cohort, simulate
from radlatent.errors import CohortError, SchemaError
from radlatent.fusion import aggregate, lesion_burden
from radlatent.handcrafted import lesion_centroids
from radlatent.report import read_features, report
from radlatent.schema import TABLES, check_table, read_run, write_table
from radlatent.study import models, read_study, run

STUDY = """\
title: A study
cohort: cohort
endpoint: response
settings: settings.yaml
aggregate: largest
volume: pet_handcrafted__original_shape_VoxelVolume
models:
  - {model: logistic, blocks: [clinical]}
  - {model: logistic, blocks: ["*_handcrafted"], options: {n_features: 5}}
folds: {n_folds: 3, n_repeats: 2, random_state: 1}
"""
AGE = "{feature: x, lesion_id: L1, first: a, last: b}"
SETTINGS = "featureClass:\n  shape: [VoxelVolume, Sphericity]\n  firstorder: [Mean]\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a study of 30 simulated patients."""
    folder = tmp_path_factory.mktemp("study")
    simulate(folder / "cohort", n_patients=30, seen_effect=4, hidden_effect=0)
    (folder / "study.yml").write_text(STUDY, "utf-8")
    (folder / "settings.yaml").write_text(SETTINGS, "utf-8")
    return folder


@pytest.fixture(scope="module")
def finished(folder):
    """Return a run of that study."""
    return run(folder / "study.yml", out=folder / "out", jobs=1)


def test_the_planted_effect_is_found_and_the_covariate_is_not(finished):
    auc = finished.summary.query("metric == 'auc'").set_index("blocks")
    assert auc.loc["*_handcrafted", "lower"] > 0.5
    assert auc.loc["clinical", "lower"] < 0.5 < auc.loc["clinical", "upper"]
    assert (auc["n"] == 30).all()


def test_a_run_folder_is_complete(finished):
    names = {
        path.relative_to(finished.folder).as_posix()
        for path in finished.folder.rglob("*")
        if path.is_file() and "cache" not in path.parts
    }
    figures = {"auc", "balanced_accuracy", "roc", "features"}
    figures |= {"confusion_1", "confusion_2"}
    tables = {"performance", "flow", "extraction", "failures", "metrics", "folds"}
    expected = {"index.html", "run.json", "failures.csv"}
    expected |= {f"figures/{f}.{kind}" for f in figures for kind in ("png", "pdf")}
    expected |= {f"tables/{table}.csv" for table in tables}
    assert expected <= names


def test_the_record_says_what_was_run(finished, folder):
    record = json.loads((finished.folder / "run.json").read_text("utf-8"))
    assert record["cohort"]["name"] == "simulated"
    assert record["cohort"]["derived"] == []
    assert record["cohort"]["units"] == {"pet": "SUV", "ct": "HU"}
    assert record["counts"]["flow"]["patients"] == 30
    assert record["settings"]["folds"]["random_state"] == 1
    ct = record["settings"]["settings"]["ct"]
    assert ct["featureClass"]["shape"] == ["Sphericity", "VoxelVolume"]
    assert {"metrics.parquet", "folds.parquet"} <= set(record["outputs"])


def test_the_page_needs_no_other_file(finished):
    page = (finished.folder / "index.html").read_text("utf-8")
    assert "<title>A study</title>" in page
    assert page.count("data:image/png;base64,") == 8
    for outside in ("http://", "https://", "<script", 'src="figures'):
        assert outside not in page
    estimate = finished.summary.query("metric == 'auc'")["estimate"].iloc[1]
    assert f"{estimate:.2f} (" in page


def test_a_report_can_be_made_again_without_the_images(finished):
    page = finished.folder / "index.html"
    before = page.read_text("utf-8")
    page.unlink()
    done = CliRunner().invoke(app, ["report", str(finished.folder)])
    assert done.exit_code == 0, done.output
    assert page.read_text("utf-8") == before


def test_a_run_that_breaks_leaves_no_record_of_the_earlier_one(
    folder, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    run(folder / "study.yml", out=out, jobs=1)
    assert (out / "run.json").is_file()

    def interrupt(*_):
        raise KeyboardInterrupt

    # what a user does while the models are fitted
    monkeypatch.setattr(models, "validate", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(folder / "study.yml", out=out, jobs=1)
    with pytest.raises(FileNotFoundError, match="no run was finished there"):
        report(out)


def test_a_report_of_other_tables_is_refused(finished, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(finished.folder, copy)
    path = copy / "data" / "metrics.parquet"
    metrics = pd.read_parquet(path)
    write_table(metrics.assign(estimate=metrics["estimate"] + 0.01), path)
    with pytest.raises(SchemaError, match="not those of run"):
        report(copy)
    for content in ("{}", "{", "[]"):
        (copy / "run.json").write_text(content, "utf-8")
        with pytest.raises(SchemaError, match="not the record of a run"):
            report(copy)


@pytest.mark.slow
def test_the_page_counts_the_positive_class_of_the_cohort(folder, tmp_path):
    shutil.copytree(folder / "cohort", tmp_path / "cohort")
    for name in ("study.yml", "settings.yaml"):
        shutil.copy(folder / name, tmp_path)
    card = tmp_path / "cohort" / "cohort.yml"
    chosen = card.read_text("utf-8").replace(
        "column: response", "column: response, positive: 0"
    )
    card.write_text(chosen, "utf-8")
    done = run(tmp_path / "study.yml", out=tmp_path / "out", jobs=1)
    n = int((done.predictions.drop_duplicates("patient_id")["truth"] == "0").sum())
    assert set(done.metrics["n_events"]) == {n} != {15}
    page = (done.folder / "index.html").read_text("utf-8")
    assert "“Events” counts “0”." in page
    assert f"1 ({30 - n}), 0 ({n})" in page


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])  # 0.1 wrote CSV
def test_a_class_may_have_a_name_that_reads_as_missing(finished, tmp_path, suffix):
    names = ("confusion", "roc", "predictions")
    called = {"0": "None", "1": "NA"}
    for name in names:
        table = pd.read_parquet(finished.folder / "data" / f"{name}.parquet")
        classes = table.filter(regex="^(truth|predicted|class)$")
        kept = table.assign(**classes.replace(called))
        write_table(kept, tmp_path / f"{name}{suffix}")
    tables = read_run(tmp_path, [f"{name}{suffix}" for name in names])
    assert set(tables["confusion"]["truth"]) == {"None", "NA"}
    assert set(tables["predictions"]["truth"]) == {"None", "NA"}
    assert set(tables["roc"]["class"]) == {"NA"}


def test_every_table_of_a_run_is_in_the_registry(finished, of_lesions):
    for one in (finished, of_lesions):
        paths = [p for p in (one.folder / "data").iterdir() if p.is_file()]
        assert {path.suffix for path in paths} == {".parquet"}
        for path in paths:
            table = check_table(pd.read_parquet(path), path.stem)
            assert all(TABLES[path.stem].kind(column) for column in table), path.stem


def test_tables_of_an_earlier_version_in_the_folder_go(folder, finished):
    data = finished.folder / "data"
    for name in ("metrics.csv", "features.failures.csv", "mine.csv"):
        (data / name).touch()
    run(folder / "study.yml", out=finished.folder, jobs=1)
    assert {path.name for path in data.glob("*.csv")} == {"mine.csv"}
    (data / "mine.csv").unlink()


def test_a_run_that_is_started_again_gives_the_same_tables(finished, folder):
    # what an editor leaves behind is none of the run's outputs
    (finished.folder / "data" / ".ipynb_checkpoints").mkdir(exist_ok=True)
    again = run(folder / "study.yml", out=folder / "out", jobs=1)
    pd.testing.assert_frame_equal(again.metrics, finished.metrics, check_exact=True)
    pd.testing.assert_frame_equal(
        again.predictions, finished.predictions, check_exact=True
    )


def fits_of(done):
    outputs = json.loads((done.folder / "run.json").read_text("utf-8"))["outputs"]
    return read_run(done.folder / "data", outputs)["fits"]


def test_blocks_of_a_run_were_measured(finished):
    assert set(fits_of(finished)["origin"]) == {"measured"}


def test_predictions_are_out_of_fold_and_once_a_repeat(finished):
    folds = pd.read_csv(
        finished.folder / "tables" / "folds.csv", dtype={"patient_id": str}
    )
    merged = finished.predictions.merge(
        folds, on=["patient_id", "repeat"], suffixes=("", "_planned")
    )
    assert (merged["fold"] == merged["fold_planned"]).all()
    assert len(merged) == len(finished.predictions) == 2 * 2 * 30


def test_features_are_read_back_as_they_were_written(finished):
    data = finished.folder / "data"
    table = read_features(data / "features.parquet")
    table.to_csv(data / "features_copy.csv")
    pd.testing.assert_frame_equal(
        read_features(data / "features_copy.csv"), table, check_exact=True
    )
    with pytest.raises(SchemaError, match=r"\.txt"):
        read_features(data / "features.txt")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("endpoint: response", "endpont: response", "did you mean 'endpoint'"),
        ("model: logistic", "model: logistik", "did you mean 'logistic'"),
        ("n_folds: 3", "n_folds: 1", "folds.n_folds"),
        ("aggregate: largest", "aggregate: biggest", "'largest'"),
        ("random_state: 1", "random_state: -1", "folds.random_state"),
        ("models:", f"derived: {{x: {AGE.replace('b}', 'a}')}}}\nmodels:", "both 'a'"),
        (
            '["*_handcrafted"], options: {n_features: 5}',
            "[clinical]",
            "name them apart",
        ),
        ("models:", "masks: {rules: short_axis_61}\nmodels:", "'short_axis_16'"),
        ("models:", "reporting: {cleer-8: approved}\nmodels:", "clear-8"),
        ("models:", "compare_with: 3\nmodels:", "of 2 models"),
        ("models:", "dispersion: sd\nmodels:", "'std', 'range' or 'iqr'"),
        ("[clinical]}", "[clinical], late: true}", "two blocks or more"),
    ],
)
def test_a_faulty_study_is_refused_by_key(folder, tmp_path, old, new, expected):
    path = tmp_path / "study.yml"
    path.write_text(STUDY.replace(old, new), "utf-8")
    with pytest.raises(SchemaError, match=expected):
        read_study(path)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("endpoint: response", "endpoint: respons", "did you mean 'response'"),
        ("endpoint: response", "endpoint: survival", "not for an endpoint of kind"),
        ("[clinical]", "[clincal]", "no block fits"),
        ("settings: settings.yaml", "settings: setings.yaml", "neither a file"),
        ("settings: settings.yaml", "settings: {mr: hu}", "'mr'"),
        ("n_features: 5", "n_feature: 5", "n_feature"),
        ("n_features: 5", "n_features: -3", "give a whole number from 1"),
        ("n_features: 5", "n_features: ten", "give a whole number from 1"),
        ("n_features: 5", "C: -1", "logistic.*C"),
        ("models:", f"derived: {{age: {AGE}}}\nmodels:", "'age' is a covariate"),
        ("VoxelVolume\n", "VoxelVolumes\n", "VoxelVolumes"),
        ("models:", "masks: {modality: pet}\nmodels:", "needs the structures"),
        ("models:", "masks: {rules: lesion}\nmodels:", "modality is None"),
        ("models:", "burden: ct\nmodels:", "'ct' is in 'HU'"),
        ("models:", "burden: pett\nmodels:", "did you mean 'pet'"),
        ("models:", "burden: pet\nmodels:", "lacks .*firstorder_Maximum"),
        ("aggregate: largest", "aggregate: hottest", "could be the intensity"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_work(
    folder, tmp_path, old, new, expected
):
    path = folder / "faulty.yml"
    path.write_text(STUDY.replace(old, new), "utf-8")
    with pytest.raises(SchemaError, match=expected):
        run(path, out=tmp_path / "out", jobs=1)
    assert not list((tmp_path / "out").rglob("*.json"))


def test_faulty_files_stop_a_run_unless_they_are_put_up_with(folder, tmp_path):
    cohort = simulate(tmp_path / "cohort", n_patients=30, seen_effect=4)
    for name in ("study.yml", "settings.yaml"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    image = cohort.files("P0001_L1", "ct")[0]
    image.write_bytes(b"nothing")
    arguments = {"out": tmp_path / "out", "jobs": 1}
    with pytest.raises(CohortError, match="no image"):
        run(tmp_path / "study.yml", **arguments)
    # the image of one patient with two lesions
    done = run(tmp_path / "study.yml", allow_failures=2, **arguments)
    assert set(done.failures["stage"]) == {"handcrafted ct"}
    page = (done.folder / "index.html").read_text("utf-8")
    assert "P0001_L1" in page


LESIONS = """\
aggregate: hottest
dispersion: range
burden: pet
models:
  - {model: logistic, blocks: [pet_burden, pet_dispersion]}
  - {model: logistic, blocks: ["*_handcrafted"]}
"""


@pytest.fixture(scope="module")
def of_lesions(folder):
    """Return a run whose patients have blocks of all of their lesions."""
    start, rest = STUDY.split("aggregate:")
    end = rest[rest.index("folds:") :]
    start = start.replace("settings.yaml", "maximum.yaml")
    (folder / "lesions.yml").write_text(start + LESIONS + end, "utf-8")
    settings = SETTINGS.replace("[Mean]", "[Mean, Maximum]")
    (folder / "maximum.yaml").write_text(settings, "utf-8")
    return run(folder / "lesions.yml", out=folder / "lesions", jobs=1)


@pytest.mark.slow
def test_blocks_of_lesions_are_those_of_python(of_lesions, folder):
    cohort = Cohort.read(folder / "cohort")
    features = read_features(of_lesions.folder / "data" / "features.parquet")
    patients = pd.read_parquet(of_lesions.folder / "data" / "patients.parquet")
    cases = cohort.included
    same = {"check_exact": True, "check_freq": False}

    burden = lesion_burden(features, cases, centroids=lesion_centroids(cohort, "pet"))
    found = patients.filter(regex="^pet_burden__")
    pd.testing.assert_frame_equal(found, burden, **same)
    several = burden["pet_burden__n_lesions"] > 1
    assert several.any()
    assert (burden["pet_burden__dmax_mm"] > 0).equals(several)

    spread = aggregate(features, cases, how="dispersion", statistic="range")
    renamed = spread.columns.str.replace("_handcrafted", "_dispersion")
    found = patients.filter(regex="_dispersion__")
    pd.testing.assert_frame_equal(found, spread.set_axis(renamed, axis=1), **same)

    hottest = aggregate(features, cases, how="hottest")
    found = patients.filter(regex="_handcrafted__")
    pd.testing.assert_frame_equal(found, hottest, **same)


@pytest.mark.slow
def test_blocks_of_lesions_are_told(of_lesions):
    page = (of_lesions.folder / "index.html").read_text("utf-8")
    assert "the range of each feature over lesions" in page
    assert "distances of lesions in pet" in page
    assert "hottest; dispersion: range; burden of lesions in pet" in page
    assert "do not tell whether they were measured" not in page
    assert set(fits_of(of_lesions)["origin"]) == {"measured"}


@pytest.mark.slow
def test_a_lesion_that_cannot_be_read_leaves_the_burden_of_its_patient_open(
    of_lesions, tmp_path
):
    cohort = simulate(tmp_path / "cohort", n_patients=30, seen_effect=4)
    for name in ("lesions.yml", "maximum.yaml"):
        (tmp_path / name).write_bytes((of_lesions.folder.parent / name).read_bytes())
    cohort.files("P0001_L1", "pet")[1].write_bytes(b"nothing")
    done = run(tmp_path / "lesions.yml", out=tmp_path / "out", allow_failures=2, jobs=1)
    patients = pd.read_parquet(done.folder / "data" / "patients.parquet")
    missing = patients["pet_burden__dmax_mm"].isna()
    assert missing.index[missing].tolist() == ["P0001"]


def test_every_key_is_in_the_documentation(project_root):
    from radlatent.study.plan import LatentSpec, MaskSpec, ModelSpec, Study

    text = (project_root / "docs" / "study.md").read_text("utf-8")
    for model in (Study, ModelSpec, LatentSpec, MaskSpec):
        absent = [key for key in model.model_fields if f"`{key}`" not in text]
        assert absent == []
