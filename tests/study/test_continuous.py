"""A study of tables whose outcome is a number, to its page."""

import json
import re

import numpy as np
import pandas as pd
import pytest

import radlatent as rl
from radlatent.errors import SchemaError
from radlatent.report.methods import methods_paragraph
from radlatent.schema import read_run
from radlatent.study import run

STUDY = """\
title: Ejection fraction
features:
  - {block: ct, file: ct.csv, measured: true}
  - {block: mr, file: mr.csv, measured: true}
endpoints: outcome.csv
endpoint: {kind: continuous, column: ef, unit: "%"}
covariates: [age]
external:
  features: [{block: ct, file: ct.csv}, {block: mr, file: mr.csv}]
  endpoints: there.csv
  name: Elsewhere
models:
  - {model: ridge, blocks: [clinical, ct], grid: {regress__penalty_strength: [0.1, 1]}}
  - {model: forest, blocks: [ct, mr], options: {n_estimators: 10}}
  - {model: elastic_net, blocks: [ct, mr], late: true}
folds: {n_folds: 3, n_repeats: 1}
importance: 2
permutations: 3
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a study, of two cohorts of 60 patients in the same files."""
    place, rng = tmp_path_factory.mktemp("ef"), np.random.default_rng(0)
    for where, prefix in ((place, "p"), (place / "there", "q")):
        where.mkdir(exist_ok=True)
        ids = pd.Series([f"{prefix}{i:02d}" for i in range(60)], name="patient_id")
        ct, mr = rng.normal(size=(2, 60, 4))
        ef = 50 + 8 * ct[:, 0] + rng.normal(0, 4, 60)
        for name, values in {"ct": ct, "mr": mr}.items():
            table = pd.DataFrame(values, columns=["a", "b", "c", "d"])
            table.insert(0, "patient_id", ids)
            table.to_csv(where / f"{name}.csv", index=False)
        age = rng.integers(40, 80, 60)
        table = pd.DataFrame({"patient_id": ids, "ef": ef.round(2), "age": age})
        table.to_csv(where / "outcome.csv", index=False)
    text = STUDY.replace("file: ct.csv}", "file: there/ct.csv}")
    text = text.replace("file: mr.csv}", "file: there/mr.csv}")
    text = text.replace("there.csv", "there/outcome.csv")
    (place / "study.yml").write_text(text, "utf-8")
    return place


@pytest.fixture(scope="module")
def done(folder):
    run(folder / "study.yml", out=folder / "out")
    record = json.loads((folder / "out" / "run.json").read_text("utf-8"))
    return folder / "out", record, read_run(folder / "out" / "data", record["outputs"])


def test_its_model_is_kept_with_an_interval(folder):
    study = folder / "study.yml"
    text = study.read_text("utf-8").partition("external:")
    rest = "models:" + text[2].partition("models:")[2].partition("importance:")[0]
    final = folder / "final.yml"
    final.write_text(text[0] + rest + "final: 3\n", "utf-8")
    model = rl.fit_study(final, cache=folder / "cache")
    assert model.about.unit == "%"
    assert model.performance.set_index("metric").loc["r2", "estimate"] > 0.5
    model.save(folder / "model")
    there = {block: folder / "there" / f"{block}.csv" for block in ("ct", "mr")}
    said = rl.predict(folder / "model", there)
    truth = pd.read_csv(folder / "there" / "outcome.csv", index_col="patient_id")
    truth = truth["ef"].loc[said.index]
    held = (said["lower"] <= truth) & (truth <= said["upper"])
    assert held.mean() > 0.75
    assert (said["interval_n"] == 60).all()
    assert np.corrcoef(said["predicted"], truth)[0, 1] > 0.7


def test_a_run_holds_what_a_number_has_and_nothing_of_classes(done):
    _, record, data = done
    assert record["settings"]["endpoint"] == "ef"
    assert record["settings"]["outcome"] == {"kind": "continuous", "unit": "%"}
    assert {"residuals", "calibration", "compared", "permuted", "importance"} <= {*data}
    assert not {"roc", "confusion", "net_benefit", "kaplan_meier", "sample_size"} & {
        *data
    }
    assert set(data["compared"]["metric"]) == set(data["permuted"]["metric"]) == {"r2"}
    here = data["metrics"].set_index("metric")["estimate"]
    assert here["r2"].iloc[0] > 0.5
    there = data["external_metrics"].set_index("metric")["estimate"]
    assert there["r2"].iloc[0] > 0.5
    residual = data["residuals"]
    left = residual["value"] - residual["predicted"]
    np.testing.assert_allclose(residual["residual"], left)


def test_the_page_has_the_words_of_a_number(done):
    out, *_ = done
    page = (out / "index.html").read_text("utf-8")
    text = re.sub(r"base64,[^\"]+", "", page.partition('id="checklists"')[0])
    assert "mean " in text
    for word in ("AUC", "ROC", "Sensitivity", "Events", "c_harrell", "probability"):
        assert word not in text, word
    printed = pd.read_csv(out / "tables" / "performance.csv")
    assert printed.columns.tolist()[3:7] == ["n", "R²", "MAE (%)", "RMSE (%)"]
    one = pd.read_csv(out / "tables" / "table_one.csv").columns
    assert one[2].startswith("Up to ")
    assert one[3].startswith("Above ")
    drawn = {path.name for path in (out / "figures").glob("*.png")}
    assert {"r2.png", "mae.png", "observed_predicted.png", "residuals.png"} <= drawn


def test_five_sentences_of_the_methods_are_those_of_the_record(done):
    _, record, data = done
    said = methods_paragraph(record, data)
    values = data["endpoints"]["value"]
    spread = f"mean {values.mean():.4g} (standard deviation {values.std():.4g})"
    assert f"60 of them with the endpoint ef: {spread}" in said
    assert f"{values.min():.4g} to {values.max():.4g} %." in said
    grid = "regress__penalty_strength of 0.1, 1 on inner folds"
    assert f"Models. ridge on clinical + ct ({grid}); forest on ct + mr" in said
    assert "Validation: 3-fold cross-validation, once, random state 0." in said
    measured = "R², MAE, RMSE, Calibration intercept, Calibration slope, Correlation"
    assert f"Performance was measured as {measured} (Pearson), " in said
    there = data["external_endpoints"]["value"]
    assert f"60 patients of the cohort Elsewhere: mean {there.mean():.4g} " in said


def test_a_family_of_another_outcome_is_refused_with_those_of_this(folder):
    text = (folder / "study.yml").read_text("utf-8")
    wrong = folder / "wrong.yml"
    wrong.write_text(text.replace("model: forest", "model: logistic"), "utf-8")
    with pytest.raises(
        SchemaError, match=r"'logistic' is not for .* 'continuous'.*rid"
    ):
        run(wrong, out=folder / "none")
