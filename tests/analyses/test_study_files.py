"""The study files of the project are read, and what they name is there."""

import runpy

import pandas as pd
import pytest

import radlatent as rl
from radlatent.handcrafted import empty_features
from radlatent.study import models, read_study

KINDS = {"group": "class", "response": "class", "lung_metastasis": "class"}


@pytest.fixture(scope="module")
def studies(project_root):
    """Return name of the folder to study."""
    files = sorted((project_root / "analyses").glob("*/study.yml"))
    return {path.parent.name: read_study(path) for path in files}


def test_every_model_of_a_study_file_can_be_built(studies):
    assert {"acdc_diagnosis", "simulated_response", "sts_metastasis"} <= set(studies)
    nowhere = pd.Series(dtype=str)
    for study in studies.values():
        for spec in study.models:
            model = models.build(spec, KINDS[study.endpoint], nowhere)
            assert not hasattr(model, "classes_")


@pytest.mark.real
def test_models_of_sarcomas_choose_from_the_columns_that_the_readme_tells(
    studies, project_root, real_data
):
    cohort = rl.Cohort.read(project_root / "cohorts" / "sts", root=real_data / "sts")
    patients = rl.aggregate(empty_features(cohort), cohort.included)
    specs = studies["sts_metastasis"].models
    candidates = [rl.select_blocks(patients, spec.blocks).shape for spec in specs]
    assert candidates == [(25, 1), (25, 107)] + 4 * [(25, 321)]


@pytest.mark.real
@pytest.mark.long
def test_25_sarcomas_show_no_more_than_25_patients_can(
    project_root, real_data, tmp_path
):
    text = (project_root / "analyses" / "sts_metastasis" / "study.yml").read_text()
    cohort = f"cohort: {(project_root / 'cohorts' / 'sts').as_posix()}"
    text = text.replace("cohort: ../../cohorts/sts", cohort)
    for much in ("permutations: 100", "importance: 10", "n_repeats: 10, "):
        assert much in text
        text = text.replace(much, "n_repeats: 1, " if "repeats" in much else "")
    (tmp_path / "study.yml").write_text(text, "utf-8")
    out = tmp_path / "out"
    run = rl.run(tmp_path / "study.yml", root=real_data / "sts", out=out, jobs=1)
    assert run.failures.empty
    auc = run.metrics.query("metric == 'auc'")
    assert set(zip(auc["n"], auc["n_events"], strict=True)) == {(25, 8)}
    # the standard error of an AUC of 0.7 is 0.12 here (Hanley & McNeil 1982)
    assert (auc["upper"] - auc["lower"] > 0.3).all()
    assert (auc["lower"] < 0.5).all()
    assert (auc["estimate"] < 0.9).all()
    compute = runpy.run_path(
        str(project_root / "analyses" / "sts_metastasis" / "compute.py")
    )
    plan, patients, endpoint, _ = compute["read"](out)
    sizes = compute["needed"](plan, patients, endpoint)
    assert (sizes["enough"].dropna() == 0).all()
    risk = sizes[sizes["criterion"] == "overall risk within 0.05"]
    # (1.96 / 0.05)^2 x 0.32 x 0.68 = 334.4 (Riley et al. 2020, criterion i)
    assert set(risk["n"]) == {335}
