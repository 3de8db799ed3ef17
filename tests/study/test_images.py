"""Masks of a run are judged by rules, and the report tells how many keep them."""

import json

import numpy as np
import pandas as pd
import pytest

from radlatent.errors import SchemaError
from radlatent.masks import score
from radlatent.study import run

pytestmark = pytest.mark.slow

STUDY = """\
title: Hearts
cohort: hearts
endpoint: kind
settings: settings.yaml
masks: {rules: short_axis_16}
models:
  - {model: logistic, blocks: ["*_handcrafted"], options: {n_features: 3}}
folds: {n_folds: 2, n_repeats: 1}
"""
SETTINGS = "featureClass:\n  shape: [VoxelVolume]\n  firstorder: [Mean]\n"
ENDPOINTS = """\
endpoints:
  kind: {kind: class, column: kind}
"""

N_PATIENTS = 12


def spoil(labels, number):
    """Return two masks with a speck in one slice, and one with an unknown label."""
    labels = labels.copy()
    if number < 2:
        labels[1, 0, 0] = 3
    if number == 2:
        labels[0, 0, 0] = 7
    return labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory, drawn):
    """Return a folder with a study of drawn hearts, of which three have bad masks."""
    folder = tmp_path_factory.mktemp("quality")
    rng = np.random.default_rng(0)
    hearts = drawn.write_hearts(folder / "hearts", N_PATIENTS, rng, change=spoil)
    card = hearts / "cohort.yml"
    card.write_text(card.read_text("utf-8") + ENDPOINTS, "utf-8")
    names = [f"p{number:02d}" for number in range(N_PATIENTS)]
    kinds = pd.DataFrame({"patient_id": names, "kind": ["a", "b"] * (N_PATIENTS // 2)})
    kinds.to_csv(hearts / "endpoints.csv", index=False)
    (folder / "study.yml").write_text(STUDY, "utf-8")
    (folder / "settings.yaml").write_text(SETTINGS, "utf-8")
    return folder


@pytest.fixture(scope="module")
def finished(folder):
    return run(folder / "study.yml", out=folder / "out", jobs=1)


def read(finished, name):
    return pd.read_parquet(finished.folder / "data" / f"{name}.parquet")


def test_quality_is_that_of_score(finished, folder):
    scores = score(folder / "hearts", rules="short_axis_16", jobs=1)
    pd.testing.assert_frame_equal(read(finished, "mask_quality"), scores.quality)
    path = finished.folder / "tables" / "mask_quality.csv"
    beside = pd.read_csv(path, index_col="case_id")
    assert beside["n_slices"].sum() == scores.quality["n_slices"].sum() == 33 * 3
    summary = read(finished, "mask_summary")
    counts = summary[summary["rule"] == "all"].set_index("of")[["n_kept", "n"]]
    # 11 masks of 3 slices could be judged, two of them have a speck in one
    assert counts.loc["slices"].tolist() == [31, 33]
    assert counts.loc["masks"].tolist() == [9, 11]


def test_rules_are_counted(finished):
    rules = read(finished, "mask_rules").set_index("rule")
    assert len(rules) == 16
    assert (rules["n"] == 33).all()
    assert rules.loc["pieces_lv", "n_broken"] == 2
    assert rules.loc["pieces_rv", "n_broken"] == 0


def test_masks_that_cannot_be_judged_are_failures(finished):
    rows = finished.failures
    assert set(rows["stage"]) == {"masks mr"}
    assert set(rows["case_id"]) == {"p02_LV", "p02_MYO", "p02_RV"}
    beside = pd.read_csv(finished.folder / "failures.csv")
    assert set(beside["case_id"]) == set(rows["case_id"])
    page = (finished.folder / "index.html").read_text("utf-8")
    assert "Every case was measured; this failed beside." in page


def test_the_page_has_the_section(finished):
    page = (finished.folder / "index.html").read_text("utf-8")
    section = page[page.index('<section id="quality">') :].split("</section>")[0]
    # Wilson's interval of 31 of 33
    assert "93.9 % (80.4–98.3)" in section
    assert "pieces_lv" in section
    assert "pieces_rv" not in section
    assert "No change of the masks is on record." in section
    assert 'id="figure-mask_rules"' in section
    assert "patients" not in section.split("<figcaption>")[-1]
    told = "by the rules short_axis_16: 31 of 33 slices, 9 of 11 masks keep all"
    assert f"Masks were judged {told}." in page
    # and as evidence of checks of quality
    assert f"masks judged {told}" in page
    assert (finished.folder / "figures" / "mask_rules.pdf").is_file()
    record = json.loads((finished.folder / "run.json").read_text("utf-8"))
    assert record["settings"]["masks"]["rules"] == "short_axis_16"
    assert {"mask_quality.parquet", "mask_rules.parquet"} <= set(record["outputs"])


def test_rules_of_other_structures_stop_the_run_before_the_work(folder, tmp_path):
    path = folder / "apical.yml"
    path.write_text(STUDY.replace("short_axis_16", "apical_12"), "utf-8")
    with pytest.raises(SchemaError, match=r"needs the structures \['LA'\]"):
        run(path, out=tmp_path / "out", jobs=1)
    assert not (tmp_path / "out" / "data").exists()
