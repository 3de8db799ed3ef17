"""The encoder of a study goes with its model, and encodes the images of others."""

import json
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import radlatent as rl
from radlatent.errors import SchemaError

pytest.importorskip("torch")
pytestmark = pytest.mark.slow

STUDY = """\
title: A study
cohort: cohort
endpoint: response
settings: settings.yaml
aggregate: largest
volume: pet_handcrafted__original_shape_VoxelVolume
latent:
  modalities: [pet]
  size_mm: [32, 32, 32]
  spacing_mm: [4, 4, 4]
  n_latent: 2
  training: {epochs: 2}
models:
  - {model: logistic, blocks: [pet_handcrafted, pet_latent], options: {C: 0.1}}
  - {model: logistic, blocks: [pet_handcrafted, clinical]}
final: 1
folds: {n_folds: 2, n_repeats: 1}
"""
SETTINGS = "featureClass:\n  shape: [VoxelVolume, Sphericity]\n  firstorder: [Mean]\n"


def chance(said):
    return said.filter(like="probability_").iloc[:, -1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a study of 24 simulated patients, and a new cohort."""
    folder = tmp_path_factory.mktemp("latent")
    rl.simulate(folder / "cohort", n_patients=24, seen_effect=4)
    rl.simulate(folder / "new", n_patients=5, random_state=1)
    (folder / "settings.yaml").write_text(SETTINGS, "utf-8")
    (folder / "study.yml").write_text(STUDY, "utf-8")
    return folder


@pytest.fixture(scope="module")
def fitted(folder):
    model = rl.fit_study(folder / "study.yml", cache=folder / "cache")
    model.save(folder / "model")
    return model


@pytest.fixture
def kept(fitted, folder, tmp_path):
    return shutil.copytree(folder / "model", tmp_path / "model")


def test_another_process_says_the_same_of_new_images(fitted, folder, tmp_path):
    wanted = rl.predict(fitted, folder / "new")
    assert chance(wanted).between(0, 1).all()
    code = (
        "import sys, pathlib, radlatent as rl; "
        "said = rl.predict(sys.argv[1], sys.argv[2]); "
        "rl.report.write_table(said, pathlib.Path(sys.argv[3]))"
    )
    out = tmp_path / "said.csv"
    where = [folder / "model", folder / "new", out]
    subprocess.run([sys.executable, "-c", code, *map(str, where)], check=True)
    said = pd.read_csv(out, index_col="patient_id", keep_default_na=False)
    for column in (*wanted.filter(like="probability_"), "distance"):
        found = said[column].to_numpy(float)
        np.testing.assert_allclose(found, wanted[column], rtol=0, atol=1e-6)


def test_the_encoder_is_that_of_all_patients_and_its_columns_count(
    fitted, folder, kept
):
    latent = [c for c in fitted.columns if c.startswith("pet_latent__")]
    assert latent == ["pet_latent__mu000", "pet_latent__mu001"]
    encoder = rl.load_encoder(kept / "encoder")
    cohort = rl.Cohort.read(folder / "new")
    measured = rl.extract(cohort, settings=folder / "settings.yaml").features
    table = rl.join(measured, encoder.transform(cohort))
    volume = "pet_handcrafted__original_shape_VoxelVolume"
    patients = rl.aggregate(table, cohort.cases, how="largest", volume=volume)
    wanted = fitted.predict(patients)
    said = rl.predict(kept, folder / "new")
    pd.testing.assert_series_equal(chance(said), chance(wanted), atol=1e-6)
    # the validation was of encoders of other patients
    assert "fitted in the fold (pet_latent)" in fitted.about.origin


def test_the_folder_names_no_patient(fitted, folder):
    content = b"".join(p.read_bytes() for p in (folder / "model").rglob("*.*"))
    patients = rl.Cohort.read(folder / "cohort").cases["patient_id"]
    assert not [name for name in patients if name.encode() in content]
    told = json.loads((folder / "model" / "encoder" / "encoder.json").read_text())
    assert told["fitted_on"]["cohort"]
    assert "encoder/" in (folder / "model" / "card.md").read_text("utf-8")


def test_a_changed_byte_and_a_pickle_are_refused(kept):
    for name in ("encoder.json", "model.safetensors"):
        path = kept / "encoder" / name
        content = path.read_bytes()
        path.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
        with pytest.raises(SchemaError, match=f"encoder/{name} was changed"):
            rl.load_model(kept)
        path.write_bytes(content)
    (kept / "encoder" / "model.pkl").write_bytes(pickle.dumps(print))
    with pytest.raises(SchemaError, match=r"encoder/model\.pkl is not a file"):
        rl.load_model(kept)
    (kept / "encoder" / "model.pkl").unlink()
    (kept / "encoder" / "model.safetensors").unlink()
    with pytest.raises(SchemaError, match=r"model\.safetensors is not there"):
        rl.load_model(kept)


def test_a_model_that_was_read_is_saved_whole(kept, folder, tmp_path):
    rl.load_model(kept).save(tmp_path / "again")
    first = rl.predict(kept, folder / "new")
    pd.testing.assert_frame_equal(rl.predict(tmp_path / "again", folder / "new"), first)


def test_a_table_of_all_columns_needs_no_image(fitted, folder, kept, tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(3, len(fitted.columns))), ["a", "b", "c"])
    table.columns = fitted.columns
    table.rename_axis("patient_id").to_csv(tmp_path / "all.csv")
    said = rl.predict(kept, tmp_path / "all.csv")
    assert chance(said).notna().all()


def test_a_broken_image_is_told(kept, folder, tmp_path):
    place = shutil.copytree(folder / "new", tmp_path / "new")
    cohort = rl.Cohort.read(place)
    cohort.files(cohort.cases.index[0], "pet")[0].write_bytes(b"no image")
    said = rl.predict(kept, place, allow_failures=1)
    one = said.loc[cohort.cases["patient_id"].iloc[0]]
    assert one["refused"].startswith("no value in any column that has a say: ")
    assert "no image" in one["refused"]
    assert (said["refused"].iloc[1:] == "").all()


def test_the_page_of_another_hospital_is_of_the_same_encoder(folder, fitted):
    there = shutil.copytree(folder / "new", folder / "there")
    for name in ("cases", "endpoints"):
        table = pd.read_csv(there / f"{name}.csv", dtype=str)
        for column in table.columns.intersection(["case_id", "patient_id"]):
            table[column] = table[column].str.replace("P", "Q")
        table.to_csv(there / f"{name}.csv", index=False)
    card = (there / "cohort.yml").read_text("utf-8")
    card = card.replace("name: simulated", "name: another")
    (there / "cohort.yml").write_text(card, "utf-8")
    text = STUDY.replace("models:", "external: {cohort: there}\nmodels:")
    (folder / "external.yml").write_text(text, "utf-8")
    run = rl.run(folder / "external.yml", out=folder / "out", jobs=1)
    found = pd.read_parquet(run.folder / "data" / "external_predictions.parquet")
    found = found[found["blocks"].str.contains("latent")].set_index("patient_id")
    wanted = rl.predict(fitted, there)
    column = wanted.filter(like="probability_").columns[-1]
    near = {"rtol": 0, "atol": 1e-6}
    np.testing.assert_allclose(found.loc[wanted.index, column], wanted[column], **near)
    fits = pd.read_parquet(run.folder / "data" / "external_fits.parquet")
    assert "other cohort simulated" in fits["origin"].iloc[0]
    page = (run.folder / "index.html").read_text("utf-8")
    assert '<section id="external">' in page


def test_a_model_without_latent_columns_has_no_encoder(folder):
    study = folder / "second.yml"
    study.write_text(STUDY.replace("final: 1", "final: 2"), "utf-8")
    model = rl.fit_study(study, cache=folder / "cache")
    assert not model.files
    assert rl.predict(model, folder / "new")["refused"].eq("").all()
