"""A notebook's results become a page, without a study file."""

import re

import numpy as np
import pandas as pd
import pytest

import radlatent as rl
from radlatent.errors import SchemaError
from radlatent.report.results import curves
from radlatent.schema import TABLES


def patients(n, seed, prefix="p"):
    rng = np.random.default_rng(seed)
    index = pd.Index([f"{prefix}{i:03d}" for i in range(n)], name="patient_id")
    X = pd.DataFrame(rng.normal(size=(n, 3)), index, ["ct__a", "ct__b", "mr__a"])
    return rl.declare_measured(X)


def classes(X):
    noise = np.random.default_rng(1).normal(size=len(X))
    return rl.Endpoint.binary((X["ct__a"] + noise > 0).rename("sick"))


def validated(X, endpoint, *, names=("ct", "both"), model=None):
    folds = rl.make_folds(endpoint, n_folds=3, n_repeats=2)
    blocks = {"ct": ["ct"], "both": ["ct", "mr"]}
    return [
        rl.cross_validate(
            model or rl.logistic(),
            rl.select_blocks(X, blocks[name]),
            endpoint,
            folds,
            name="model",
            blocks=name,
        )
        for name in names
    ]


@pytest.fixture(scope="module")
def here():
    X = patients(60, 0)
    return X, classes(X), validated(X, classes(X))


def text_of(page):
    return re.sub(r"base64,[^\"]+", "", page.read_text("utf-8"))


def test_several_results_and_another_cohort_on_one_page(here, tmp_path):
    X, endpoint, results = here
    Z = patients(50, 5, "q")
    there = rl.fusion.validate_externally(
        rl.logistic(), X, endpoint, (Z, classes(Z)), name="model", blocks="both"
    )
    page = rl.report.write(results, tmp_path / "out", title="A & B", external=there)
    assert page == tmp_path / "out" / "index.html"
    text = text_of(page)
    assert "<h1>A &amp; B</h1>" in text
    for anchor in ("performance", "comparison", "calibration", "decision", "external"):
        assert f'<section id="{anchor}">' in text
    assert "model on both: 2 x 3 folds by patient, 6 pipelines fitted" in text
    assert "origin of the features: declared" in text or "measured" in text
    assert "model on both: one test, 1 pipeline fitted" in text
    assert "this is an update, and no validation" in text
    auc = pd.concat([r.metrics for r in results]).query("metric == 'auc'")["estimate"]
    printed = pd.read_csv(tmp_path / "out" / "tables" / "performance.csv")["AUC"]
    for cell, value in zip(printed, auc, strict=True):
        assert cell.startswith(f"{value:.2f}")
    drawn = {path.name for path in (tmp_path / "out" / "figures").glob("*.png")}
    assert {"roc.png", "calibration.png", "auc.png", "external_roc.png"} <= drawn
    kept = {path.stem for path in (tmp_path / "out" / "data").glob("*.parquet")}
    assert kept <= {*TABLES}
    assert {"predictions", "metrics", "compared", "external_recalibrated"} <= kept
    # it can be written again, with less
    of_another = tmp_path / "out" / "data" / "patients.parquet"
    of_another.write_bytes(b"")
    rl.report.write(results[0], tmp_path / "out")
    left = {path.stem for path in (tmp_path / "out" / "data").glob("*.parquet")}
    assert left == {"predictions", "metrics", "fits", "patients"} | {
        *curves(results[0].predictions)
    }
    text = text_of(page)
    assert "comparison" not in text
    assert not (tmp_path / "out" / "figures" / "external_roc.png").exists()


@pytest.mark.parametrize("known", ["abc", "ab"])
@pytest.mark.parametrize("there", ["ab", "a"])
def test_patients_of_fewer_classes_than_the_model_knows(known, there, tmp_path):
    def drawn(names, n, seed, prefix="p"):
        X = patients(n, seed, prefix)
        frame = pd.DataFrame({"class": [*names] * (n // len(names))}, X.index)
        return X, rl.Endpoint("kind", "class", frame)

    external = drawn(there, 30, 5, "q")
    found = rl.validate_externally(rl.logistic(), *drawn(known, 60, 0), external)
    made = curves(found.predictions)
    assert ("net_benefit" in made) == ("calibration" in made) == (known == "ab")
    if known == "abc":
        page = rl.report.write([], tmp_path / "out", external=found)
        assert '<section id="external">' in text_of(page)


def test_survival_and_numbers(tmp_path):
    X = patients(60, 3)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"t": np.ceil(900 * rng.exponential(size=60)) + 1}, X.index)
    frame["e"] = rng.random(60) < 0.7
    died = rl.Endpoint.survival(frame, time="t", event="e", name="death")
    page = rl.report.write(
        validated(X, died, names=["ct"], model=rl.cox()), tmp_path / "survival"
    )
    assert '<section id="survival">' in text_of(page)
    ef = rl.Endpoint.continuous((55 + 5 * X["ct__a"]).rename("ef"), unit="%")
    page = rl.report.write(
        validated(X, ef, names=["ct"], model=rl.ridge()), tmp_path / "ef"
    )
    assert "MAE (%)" in text_of(page)
    assert (tmp_path / "ef" / "figures" / "observed_predicted.png").is_file()


def test_models_of_other_patients_are_not_compared(here, tmp_path, caplog):
    X, endpoint, results = here
    half = rl.Endpoint("sick", "class", endpoint.frame.iloc[:40])
    other = validated(X.iloc[:40], half, names=["both"])
    page = rl.report.write([results[0], *other], tmp_path / "out")
    assert "the models are not compared" in caplog.text
    assert "comparison" not in text_of(page)


def test_what_makes_no_page_is_told_before_anything_is_written(here, tmp_path):
    _, _, results = here
    with pytest.raises(SchemaError, match="there are no results"):
        rl.report.write([], tmp_path / "out")
    with pytest.raises(SchemaError, match=r"two results are called \('model', 'ct'\)"):
        rl.report.write([results[0], results[0]], tmp_path / "out")
    X = patients(60, 0)
    other = rl.Endpoint.binary((X["mr__a"] > 0).rename("other"))
    with pytest.raises(SchemaError, match=r"several outcomes, \['other', 'sick'\]"):
        rl.report.write([*results, *validated(X, other)], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(SchemaError, match="the folder of a run"):
        rl.report.write(results, tmp_path)


def test_competing_events_have_their_curves_on_the_page(tmp_path):
    X, rng = patients(60, 0), np.random.default_rng(2)
    relapse = rng.exponential(500 * np.exp(-X["ct__a"].to_numpy()))
    death = rng.exponential(800, len(X))
    frame = pd.DataFrame({"days": np.minimum(relapse, death) + 1}, X.index)
    frame["what"] = np.where(relapse < death, "relapse", "death")
    frame.loc[frame["days"] > 900, "what"] = "alive"
    names = {"time": "days", "event": "what", "censored": "alive", "name": "first"}
    endpoint = rl.Endpoint.competing(frame, **names, positive="relapse")
    results = validated(X, endpoint, model=rl.fine_gray())
    page = rl.report.write(results, tmp_path / "out")
    text = text_of(page)
    assert "<h2>Competing events</h2>" in text
    assert "Survival" not in text
    drawn = {path.stem for path in (tmp_path / "out" / "figures").glob("*.png")}
    assert {"incidence", "incidence_by_risk_1", "incidence_calibration"} <= drawn
