"""The model of a study of images says of new images what it said in memory."""

import re
import shutil

import pandas as pd
import pytest
from typer.testing import CliRunner

import radlatent as rl
from radlatent.cli import app
from radlatent.errors import SchemaError

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
