"""A study of hearts derives what a cardiologist reads: indices, walls, thickening."""

import numpy as np
import pandas as pd
import pytest

from radlatent.errors import SchemaError
from radlatent.imaging import Volume, write_volume
from radlatent.study import read_study, run

CARD = """\
name: hearts
freeze: 2026-11-20
modalities: {mr: {unit: arbitrary, preset: mr}}
endpoints: {group: {kind: class, column: group}}
covariates: [height, weight]
license: private
citation: none
"""
STUDY = """\
title: Hearts
cohort: .
endpoint: group
settings: settings.yml
derived:
  surface: {body_surface: mosteller, height: height, height_unit: cm, weight: weight, weight_unit: kg}
  lv_volume_ed:
    numerator: mr_handcrafted__original_shape_VoxelVolume__LV_ED
    denominator: clinical__surface
myocardium:
  {wall: MYO, cavity: LV, modality: mr, right_ventricle: RV, orientation: displayed, first: ED, last: ES}
models:
  - {model: logistic, blocks: [ratio, mr_wall]}
folds: {n_folds: 2, n_repeats: 1, random_state: 0}
"""  # noqa: E501
SETTINGS = "featureClass:\n  shape: [VoxelVolume]\n"
N = 8


def short_axis(wall):
    """Return labels of three slices, base first: a round heart."""
    labels = np.zeros((3, 64, 64), np.uint8)
    rows, columns = np.indices(labels.shape[1:]) - 32
    away = np.hypot(rows, columns)
    left = np.abs(np.degrees(np.arctan2(rows, -columns))) < 60
    for z, plane in enumerate(labels):
        inner = 14 - z
        plane[(away < inner + wall + 8) & left] = 1
        plane[away < inner + wall] = 2
        plane[away < inner] = 3
    return labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a study of eight hearts; the walls of half of them thicken."""
    folder, rows, people = tmp_path_factory.mktemp("study"), [], []
    rng = np.random.default_rng(0)
    for number in range(N):
        group = "ab"[number % 2]
        for timepoint in ("ED", "ES"):
            grown = 3 if (group, timepoint) == ("b", "ES") else 0
            labels = short_axis(5 + grown)
            image = Volume(labels + rng.random(labels.shape), (8, 1.5, 1.5))
            name = f"p{number}_{timepoint}"
            write_volume(image, folder / f"{name}.nii.gz")
            write_volume(image.with_array(labels), folder / f"{name}_gt.nii.gz")
            rows += [
                {"case_id": f"{name}_{lesion}", "patient_id": f"p{number}"}
                | {"lesion_id": lesion, "timepoint": timepoint, "mask_label": label}
                | {"image_mr": f"{name}.nii.gz", "mask_mr": f"{name}_gt.nii.gz"}
                for lesion, label in (("RV", 1), ("MYO", 2), ("LV", 3))
            ]
        about = {"patient_id": f"p{number}", "group": group}
        people.append(about | {"height": 160 + number, "weight": 60 + number})
    pd.DataFrame(rows).to_csv(folder / "cases.csv", index=False)
    pd.DataFrame(people).to_csv(folder / "endpoints.csv", index=False)
    for name, text in (("cohort", CARD), ("study", STUDY), ("settings", SETTINGS)):
        (folder / f"{name}.yml").write_text(text, "utf-8")
    return folder


@pytest.fixture(scope="module")
def patients(folder):
    done = run(folder / "study.yml", out=folder / "out", jobs=1)
    assert (done.predictions["patient_id"].nunique(), len(done.failures)) == (N, 0)
    return pd.read_parquet(done.folder / "data" / "patients.parquet")


@pytest.mark.slow
def test_volumes_are_divided_by_the_surface_of_the_body(patients):
    surface = np.sqrt(np.arange(160, 168) * np.arange(60, 68) / 3600)
    assert patients["clinical__surface"].to_numpy() == pytest.approx(surface)
    volume = patients["mr_handcrafted__original_shape_VoxelVolume__LV_ED"]
    expected = (volume / surface).to_numpy()
    assert patients["ratio__lv_volume_ed"].to_numpy() == pytest.approx(expected)


@pytest.mark.slow
def test_the_wall_of_the_study_is_that_of_python(patients):
    thickening = patients["mr_wall__thickening_mean"].to_numpy()
    assert thickening[::2] == pytest.approx(0)
    assert thickening[1::2] == pytest.approx(3 / 5, abs=0.12)
    columns = set(patients.filter(like="mr_wall__"))
    for name in (
        "thickness_aha_16__ES",
        "thickness_within_slice_spread_mean__ED",
    ):
        assert f"mr_wall__{name}" in columns
    assert patients.filter(like="mr_wall__").notna().all(axis=None)


@pytest.mark.slow
def test_the_page_tells_the_formula(patients, folder):
    assert "surface (after Mosteller)" in (folder / "out" / "index.html").read_text()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("height_unit: cm", "height_unit: m", "surface.*possible in cm"),
        ("weight: weight", "weight: wieght", "did you mean 'weight'"),
        ("first: ED, last: ES}", "first: ED, last: EE}", "'EE' is not in the tables"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_work(
    folder, tmp_path, old, new, expected
):
    (folder / "faulty.yml").write_text(STUDY.replace(old, new), "utf-8")
    with pytest.raises(SchemaError, match=expected):
        run(folder / "faulty.yml", out=tmp_path / "out", jobs=1)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (", height_unit: cm", "", "height_unit, weight and weight_unit"),
        ("height_unit: cm", "height_unit: mm", "'cm', 'm' or 'in'"),
        ("mosteller", "dubois", "'mosteller' or 'du_bois'"),
        (", last: ES}", "}", "both: first and last"),
        ("last: ES", "last: ED", "both 'ED'"),
        ("orientation: displayed", "orientation: up", "'header' or 'displayed'"),
        ("    denominator: clinical__surface\n", "", "give feature, lesion_id"),
    ],
)
def test_a_faulty_key_is_refused(tmp_path, old, new, expected):
    (tmp_path / "study.yml").write_text(STUDY.replace(old, new), "utf-8")
    with pytest.raises(SchemaError, match=expected):
        read_study(tmp_path / "study.yml")
