"""The words of a study file become models, of classes and of survival."""

import pandas as pd
import pytest

from radlatent.cohort import simulate
from radlatent.errors import SchemaError
from radlatent.fusion import SURVIVAL_MODELS
from radlatent.study import models, read_study, run

STUDY = """\
title: Survival at several sites
cohort: cohort
endpoint: survival
settings: settings.yaml
aggregate: largest
volume: pet_handcrafted__original_shape_VoxelVolume
models:
  - {model: cox, blocks: ["*_handcrafted"], options: {n_features: 3}}
  - model: cox
    name: harmonized
    blocks: ["*_handcrafted"]
    options: {n_features: 3, prepare: {correlation: 0.95}}
    combat: pool
    stability: icc.csv
folds: {n_folds: 2, n_repeats: 1}
"""
SETTINGS = "featureClass:\n  shape: [VoxelVolume, Sphericity]\n  firstorder: [Mean]\n"
SITES = pd.Series(["a", "b"], ["p0", "p1"])


@pytest.fixture
def folder(tmp_path):
    """Return a folder with a study whose model names a table of ICCs."""
    (tmp_path / "study.yml").write_text(STUDY, "utf-8")
    (tmp_path / "settings.yaml").write_text(SETTINGS, "utf-8")
    names = ["original_shape_VoxelVolume", "original_shape_Sphericity"]
    table = pd.DataFrame({"feature": [f"pet_handcrafted__{name}" for name in names]})
    table = table.assign(icc="ICC(2,1)", estimate=0.9, lower=[0.8, 0.1])
    table.to_csv(tmp_path / "icc.csv", index=False)
    return tmp_path


@pytest.mark.parametrize("model", SURVIVAL_MODELS)
def test_every_model_of_survival_takes_what_comes_before(model, folder):
    text = STUDY.replace("model: cox\n", f"model: {model}\n")
    (folder / "study.yml").write_text(text, "utf-8")
    spec = read_study(folder / "study.yml").models[1]
    steps = models.build(spec, "survival", SITES).named_steps
    assert [*steps][:2] == ["combat", "stability"]
    assert steps["combat"].unseen == "pool"
    assert steps["correlation"].limit == 0.95
    told = models.steps_of(models.build(spec, "survival", SITES))
    assert any(step.startswith("Combat") for step in told)


def test_a_table_of_iccs_that_cannot_be_read_is_named(folder):
    spec = read_study(folder / "study.yml").models[1]
    (folder / "icc.csv").unlink()
    with pytest.raises(SchemaError, match=r"'harmonized': stability .*icc\.csv"):
        models.build(spec, "survival", SITES)


def test_a_selection_by_class_is_refused_for_survival(folder):
    text = STUDY.replace("correlation: 0.95", "select: mrmr")
    (folder / "study.yml").write_text(text, "utf-8")
    spec = read_study(folder / "study.yml").models[1]
    with pytest.raises(SchemaError, match="'mrmr' looks at classes"):
        models.build(spec, "survival", SITES)


@pytest.mark.slow
def test_a_study_of_survival_harmonizes_in_its_folds(folder):
    simulate(folder / "cohort", n_patients=30)
    done = run(folder / "study.yml", out=folder / "out", jobs=1)
    harmonized = done.metrics.query("metric == 'c_harrell'").set_index("model")
    assert set(harmonized.index) == {"cox", "harmonized"}
    assert harmonized["estimate"].between(0, 1).all()
    page = (folder / "out" / "index.html").read_text("utf-8")
    assert "Combat" in page or "ComBat" in page
