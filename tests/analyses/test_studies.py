"""The studies of the project run, and find what they ought to find."""

import json

import pytest
import yaml

import radlatent as rl

pytestmark = pytest.mark.long


def metric(run, name):
    rows = run.metrics.query("metric == @name")
    return rows.set_index("blocks")[["estimate", "lower", "upper"]]


def test_features_reach_the_oracle_of_what_they_see_and_not_more(
    project_root, tmp_path
):
    rl.simulate(tmp_path / "simulated")
    oracle = json.loads((tmp_path / "simulated" / "truth.json").read_text("utf-8"))
    study = project_root / "analyses" / "simulated_response" / "study.yml"
    run = rl.run(study, root=tmp_path / "simulated", out=tmp_path / "out", jobs=1)
    auc = metric(run, "auc")
    best = oracle["oracle"]["auc"]
    features = auc.loc["pet_handcrafted + ct_handcrafted + clinical"]
    assert features["lower"] > 0.5
    assert features["lower"] < best["seen"] < features["upper"]
    # the hidden factor, as strong, is beyond every feature
    assert features["upper"] < best["linear_predictor"]
    assert auc.loc["clinical", "lower"] < 0.5 < auc.loc["clinical", "upper"]


def test_a_null_cohort_shows_no_effect(project_root, tmp_path):
    rl.simulate(tmp_path / "null", seen_effect=0, hidden_effect=0, n_patients=60)
    study = project_root / "analyses" / "simulated_response" / "study.yml"
    run = rl.run(study, root=tmp_path / "null", out=tmp_path / "out", jobs=1)
    auc = metric(run, "auc")
    assert (auc["lower"] < 0.5).all()
    assert (auc["upper"] > 0.5).all()


@pytest.mark.real
def test_five_cardiac_groups_are_told_apart(project_root, real_data, tmp_path):
    study = project_root / "analyses" / "acdc_diagnosis" / "study.yml"
    whole = yaml.safe_load(study.read_text("utf-8"))
    # without the encoders and the searches, which take a quarter of an hour
    del whole["latent"], whole["importance"]
    whole["models"] = [whole["models"][at] for at in (0, 1, 9)]
    whole["cohort"] = str(project_root / "cohorts" / "acdc")
    (tmp_path / "study.yml").write_text(yaml.safe_dump(whole), "utf-8")
    where = {"root": real_data / "acdc", "out": tmp_path / "out"}
    run = rl.run(tmp_path / "study.yml", **where, jobs=1)
    assert run.failures.empty
    accuracy = metric(run, "balanced_accuracy")
    # thirteen numbers that a cardiologist reads; 0.86 when it was first computed
    assert accuracy.loc["clinical + ratio + mr_myocardium", "estimate"] > 0.78
    # chance is 0.2; a forest of others reached 0.85 on 100 patients
    assert accuracy.loc["mr_handcrafted", "estimate"] > 0.75
    assert accuracy.loc["mr_handcrafted", "lower"] > 0.2
    assert (run.metrics["n"] == 80).all()
    patients = rl.read_features(tmp_path / "out" / "data" / "patients.parquet")
    fraction = patients["clinical__lv_ejection_fraction"]
    groups = run.predictions.drop_duplicates("patient_id").set_index("patient_id")
    by_group = fraction.groupby(groups["truth"]).median()
    # the definition of the groups in ACDC: below 40 % in DCM, above 50 % in NOR
    assert by_group["DCM"] < 0.40
    assert by_group["NOR"] > 0.50
