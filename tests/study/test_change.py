"""A study of two timepoints measures the change of every feature between them."""

import json

import numpy as np
import pandas as pd
import pytest

from radlatent.errors import SchemaError
from radlatent.imaging import Volume, write_volume
from radlatent.study import run

CARD = """\
name: twice
freeze: 2026-11-20
modalities: {mr: {unit: arbitrary, preset: mr}}
endpoints: {group: {kind: class, column: group}}
license: private
citation: none
"""
STUDY = """\
title: Twice
cohort: .
endpoint: group
settings: settings.yml
delta: {post: week 12, pre: baseline, how: relative}
models:
  - {model: logistic, blocks: [delta_mr_handcrafted]}
folds: {n_folds: 2, n_repeats: 1, random_state: 0}
"""
MEAN = "mr_handcrafted__original_firstorder_Mean"


@pytest.fixture
def folder(tmp_path):
    rng, rows, people = np.random.default_rng(0), [], []
    mask = np.zeros((6, 6, 6), np.uint8)
    mask[1:5, 1:5, 1:5] = 1
    for number in range(8):
        group = "ab"[number % 2]
        for timepoint, level in (
            ("baseline", 100),
            ("week 12", 50 + 100 * (number % 2)),
        ):
            name = f"p{number}_{timepoint[0]}"
            voxels = level + rng.normal(size=mask.shape)
            write_volume(Volume(voxels, (1, 1, 1)), tmp_path / f"{name}.nii.gz")
            rows.append(
                {"case_id": name, "patient_id": f"p{number}", "timepoint": timepoint}
                | {"image_mr": f"{name}.nii.gz", "mask": "mask.nii.gz"}
            )
        people.append({"patient_id": f"p{number}", "group": group})
    write_volume(Volume(mask, (1, 1, 1)), tmp_path / "mask.nii.gz")
    pd.DataFrame(rows).to_csv(tmp_path / "cases.csv", index=False)
    pd.DataFrame(people).to_csv(tmp_path / "endpoints.csv", index=False)
    (tmp_path / "cohort.yml").write_text(CARD, "utf-8")
    (tmp_path / "settings.yml").write_text("featureClass: {firstorder: [Mean]}\n")
    (tmp_path / "study.yml").write_text(STUDY, "utf-8")
    return tmp_path


def test_the_change_is_a_block_and_is_told(folder):
    run(folder / "study.yml", out=folder / "out", jobs=1)
    table = pd.read_parquet(folder / "out" / "data" / "patients.parquet")
    before, after = table[f"{MEAN}__baseline"], table[f"{MEAN}__week 12"]
    np.testing.assert_allclose(table[f"delta_{MEAN}"], (after - before) / before)
    # by -50 % and +50 %
    assert table[f"delta_{MEAN}"].round(1).tolist() == [-0.5, 0.5] * 4
    page = (folder / "out" / "index.html").read_text("utf-8")
    told = "the relative change (post - pre) / pre of each feature, post being week 12"
    assert told in page
    record = json.loads((folder / "out" / "run.json").read_text("utf-8"))
    assert record["settings"]["delta"]["pre"] == "baseline"


def test_a_timepoint_that_is_none_is_told_before_anything_is_measured(folder):
    path = folder / "study.yml"
    path.write_text(STUDY.replace("week 12", "week 21"), "utf-8")
    with pytest.raises(SchemaError, match=r"post 'week 21' is no timepoint; did you"):
        run(path, out=folder / "out", jobs=1)
    path.write_text(STUDY.replace("week 12", "baseline"), "utf-8")
    with pytest.raises(SchemaError, match="post and pre are both 'baseline'"):
        run(path, out=folder / "out", jobs=1)
