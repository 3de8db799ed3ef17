"""The model of a study of images says of new images what it said in memory."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import radlatent as rl
from radlatent.cli import app
from radlatent.errors import SchemaError
from radlatent.imaging import read_volume, write_volume

VOLUME = "pet_handcrafted__original_shape_VoxelVolume"
MEAN = "pet_handcrafted__original_firstorder_Mean"
STUDY = f"""\
title: A study
cohort: cohort
endpoint: ENDPOINT
settings: settings.yaml
aggregate: largest
volume: {VOLUME}
derived:
  density: {{numerator: {MEAN}, denominator: {VOLUME}}}
models: [{{model: MODEL, blocks: ["*_handcrafted", ratio, clinical]}}]
folds: {{n_folds: 3, n_repeats: 1}}
"""
SETTINGS = "featureClass:\n  shape: [VoxelVolume, Sphericity]\n  firstorder: [Mean]\n"


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a study of 30 simulated patients, and a new cohort."""
    folder = tmp_path_factory.mktemp("images")
    rl.simulate(folder / "cohort", n_patients=30, seen_effect=4, hidden_effect=0)
    rl.simulate(folder / "new", n_patients=6, random_state=1)
    (folder / "settings.yaml").write_text(SETTINGS, "utf-8")
    for endpoint, model in (("response", "logistic"), ("survival", "cox")):
        study = STUDY.replace("ENDPOINT", endpoint).replace("MODEL", model)
        (folder / f"{model}.yml").write_text(study, "utf-8")
    return folder


@pytest.fixture(scope="module")
def fitted(folder):
    return rl.fit_study(folder / "logistic.yml", cache=folder / "cache")


@pytest.fixture(scope="module")
def kept(fitted, folder):
    fitted.save(folder / "model")
    return folder / "model"


def rewritten(folder, place, old, new):
    """Return a cohort of the images of another one, with its card changed."""
    place.mkdir()
    for path in folder.glob("*.csv"):
        (place / path.name).write_bytes(path.read_bytes())
    card = (folder / "cohort.yml").read_text("utf-8")
    assert old in card
    (place / "cohort.yml").write_text(card.replace(old, new), "utf-8")
    return place


@pytest.mark.slow
def test_new_images_take_the_way_of_the_study(fitted, kept, folder, tmp_path):
    out = tmp_path / "said.csv"
    done = invoke("predict", kept, folder / "new", "--out", out)
    assert done.exit_code == 0, done.output
    assert "6 patients" in done.output
    # the same by hand
    cohort = rl.Cohort.read(folder / "new")
    measured = rl.extract(cohort, settings=folder / "settings.yaml").features
    about = {"cases": cohort.cases, "how": "largest", "volume": VOLUME}
    patients = rl.aggregate(measured, **about)
    ratio = patients[MEAN] / patients[VOLUME]
    patients = patients.assign(ratio__density=ratio).join(cohort.clinical())
    wanted = fitted.predict(patients)
    said = pd.read_csv(out, index_col="patient_id", keep_default_na=False)
    for column in (*wanted.filter(like="probability_"), "distance"):
        assert said[column].to_numpy(float) == pytest.approx(
            wanted[column].to_numpy(), abs=1e-12
        )
    assert said["class"].astype(str).tolist() == wanted["class"].tolist()
    again = rl.predict(fitted, cohort)
    pd.testing.assert_frame_equal(again, rl.predict(kept, folder / "new"))


@pytest.mark.slow
def test_no_outcome_is_needed(kept, folder, tmp_path):
    import yaml

    place = rewritten(folder / "new", tmp_path / "bare", "", "")
    card = yaml.safe_load((place / "cohort.yml").read_text("utf-8"))
    card |= {"endpoints": {}, "root": str((folder / "new").resolve())}
    (place / "cohort.yml").write_text(yaml.safe_dump(card), "utf-8")
    patients = pd.read_csv(place / "endpoints.csv")
    patients = patients[["patient_id", *card["covariates"]]].head(1)
    patients.to_csv(place / "endpoints.csv", index=False)
    cases = pd.read_csv(place / "cases.csv", dtype=str)
    one = cases[cases["patient_id"] == patients["patient_id"][0]]
    one.to_csv(place / "cases.csv", index=False)
    said = rl.predict(kept, place)
    wanted = rl.predict(kept, folder / "new").loc[said.index]
    pd.testing.assert_frame_equal(said, wanted)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("  ct:", "  mr:", "it has no modality 'ct'"),
        ("unit: SUV", "unit: Bq/ml", "'pet' is in 'Bq/ml', and was 'SUV'"),
    ],
)
def test_other_images_are_refused_before_one_is_opened(
    kept, folder, tmp_path, old, new, expected
):
    place = rewritten(folder / "new", tmp_path / "other", old, new)
    with pytest.raises(SchemaError, match=expected):
        rl.predict(kept, place)


@pytest.mark.slow
def test_tables_are_no_images(kept):
    with pytest.raises(SchemaError, match="not from tables: give a cohort"):
        rl.predict(kept, {"pet": "pet.csv"})


@pytest.mark.slow
def test_what_cannot_be_measured_of_a_patient_is_told(kept, folder, tmp_path):
    place = shutil.copytree(folder / "new", tmp_path / "new")
    cohort = rl.Cohort.read(place)
    broken = cohort.cases.index[0]
    for modality in cohort.modalities:
        cohort.files(broken, modality)[0].write_bytes(b"no image")
    with pytest.raises(rl.errors.CohortError, match="case"):
        rl.predict(kept, place)
    out = tmp_path / "said.csv"
    done = invoke("predict", kept, place, "--out", out, "--allow-failures", 1)
    assert done.exit_code == 0, done.output
    said = pd.read_csv(out, index_col="patient_id", keep_default_na=False)
    who = cohort.cases.loc[broken, "patient_id"]
    # covariates are there, but medians of every measurement are those of nobody
    assert re.match(
        "no value of pet_handcrafted or ct_handcrafted or ratio, which the model is of"
        ": .*no image",
        said.loc[who, "refused"],
    )
    assert "ct_handcrafted__" in said.loc[who, "missing"]
    assert said.loc[who, "class"] == ""
    assert (said.drop(index=who)[["remark", "refused"]] == "").all(axis=None)


@pytest.mark.slow
def test_a_modality_that_failed_is_remarked_on(kept, folder, tmp_path):
    place = shutil.copytree(folder / "new", tmp_path / "new")
    cohort = rl.Cohort.read(place)
    broken = cohort.cases.index[0]
    cohort.files(broken, "ct")[0].write_bytes(b"no image")
    said = rl.predict(kept, place, allow_failures=1)
    one = said.loc[cohort.cases.loc[broken, "patient_id"]]
    assert one["refused"] == ""
    assert one["remark"].startswith(
        "no value of ct_handcrafted: filled in with medians; "
    )
    assert "no image" in one["remark"]


@pytest.mark.slow
def test_a_study_of_survival_as_well(folder, tmp_path):
    cache = ("--cache", folder / "cache")
    done = invoke("fit", folder / "cox.yml", "--out", tmp_path / "cox", *cache)
    assert done.exit_code == 0, done.output
    said = rl.predict(tmp_path / "cox", folder / "new")
    assert said.filter(like="survival_").notna().all(axis=None)
    assert said["risk"].notna().all()


def enlarged(path, factor):
    """Make everything in an image as many times as large, voxels and all."""
    volume, times = read_volume(path), factor ** (1 / 3)
    spacing = tuple(times * mm for mm in volume.spacing_mm)
    origin = times * np.asarray(volume.origin)
    write_volume(replace(volume, spacing_mm=spacing, origin=origin), path)


@pytest.mark.slow
def test_another_scanner_five_times_the_size_and_a_missing_modality(folder, tmp_path):
    study = folder / "combat.yml"
    text = (folder / "logistic.yml").read_text("utf-8")
    study.write_text(text.replace("clinical]}", "clinical], combat: pool}"), "utf-8")
    model = rl.fit_study(study, cache=folder / "cache")
    place = shutil.copytree(folder / "new", tmp_path / "new")
    cases = pd.read_csv(place / "cases.csv", dtype=str)
    large, bare, foreign, *_ = cases["patient_id"].unique()
    rows = cases[cases["patient_id"] == large]
    columns = [f"{what}_{m}" for what in ("image", "mask") for m in ("pet", "ct")]
    for path in set(rows[columns].to_numpy().ravel()):
        enlarged(place / path, 5.0)
    cases.loc[cases["patient_id"] == bare, ["image_ct", "mask_ct"]] = np.nan
    cases.loc[cases["patient_id"] == foreign, "site"] = "Z"
    cases.to_csv(place / "cases.csv", index=False)
    before, said = rl.predict(model, folder / "new"), rl.predict(model, place)
    assert (said["refused"] == "").all()
    # five times the size: the column, and how far from those of training
    assert VOLUME in said.loc[large, "outside"]
    assert not said.loc[large, "inside"]
    assert said.loc[large, "distance"] > 2 * before.loc[large, "distance"]
    assert said.loc[large, "percentile"] == 100
    # no CT: filled in, and told
    told = "no value of ct_handcrafted: filled in with medians"
    assert said.loc[bare, "remark"] == told
    # another scanner: the declared rule
    told = "site not of training: values left as they are"
    assert said.loc[foreign, "remark"] == told
    others = said.index.difference([large, bare, foreign])
    pd.testing.assert_frame_equal(said.loc[others], before.loc[others])


def share_of_oracle(auc, cohort):
    """Return an AUC as a share of what the truth gets on these very patients."""
    truth = json.loads((cohort / "truth.json").read_text("utf-8"))
    return auc / truth["oracle"]["auc"]["linear_predictor"]


@pytest.mark.long
def test_another_cohort_of_images_gets_what_validation_promised(folder):
    about = {"n_patients": 70, "seen_effect": 3, "hidden_effect": 0}
    rl.simulate(folder / "A", **about)
    rl.simulate(folder / "B", **about, random_state=7)
    text = (folder / "logistic.yml").read_text("utf-8")
    (folder / "A.yml").write_text(text.replace("cohort: cohort", "cohort: A"), "utf-8")
    model = rl.fit_study(folder / "A.yml", cache=folder / "cache_a")
    promised = model.performance.set_index("metric").loc["auc"]
    said = rl.predict(model, folder / "B", cache=folder / "cache_a")
    truth = rl.Cohort.read(folder / "B").endpoint("response")
    sick = truth.frame["class"].loc[said.index] == model.about.positive
    ranks = said[f"probability_{model.about.positive}"].rank()
    n, m = sick.sum(), (~sick).sum()
    auc = (ranks[sick].sum() - n * (n + 1) / 2) / (n * m)
    found = share_of_oracle(auc, folder / "B")
    ends = [share_of_oracle(promised[end], folder / "A") for end in ("lower", "upper")]
    assert ends[0] <= found <= ends[1]
    assert found > 0.9
