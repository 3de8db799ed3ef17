"""Each sentence of the methods is that of the record, whatever the outcome.

One study of tables a kind of outcome: with clinical columns without penalty, a grid,
late fusion, another cohort and subgroups; and the same with sites left out.
"""

import json
import re

import numpy as np
import pandas as pd
import pytest

from radlatent.report.methods import methods_paragraph, stages
from radlatent.schema import read_run
from radlatent.study import run

#: Each runs a whole study.
pytestmark = pytest.mark.slow

KINDS = {
    "binary": ("{kind: class, column: relapse, positive: 'yes'}", "logistic", "C"),
    "classes": ("{kind: class, column: grade}", "logistic", "C"),
    "survival": (
        "{kind: survival, time: years, event: dead, unit: years}",
        "cox",
        "penalty_strength",
    ),
    "competing": (
        "{kind: competing, time: years, event: first, unit: years, positive: relapse, "
        "censored: alive}",
        "fine_gray",
        "penalty_strength",
    ),
    "numbers": (
        "{kind: continuous, column: ef, unit: '%'}",
        "ridge",
        "penalty_strength",
    ),
}

STUDY = """\
title: Sentences
features:
  - {{block: ct, file: ct.csv, measured: true}}
  - {{block: pet, file: pet.csv, measured: true}}
endpoints: outcome.csv
endpoint: {endpoint}
covariates: [age]
external:
  features: [{{block: ct, file: there/ct.csv}}, {{block: pet, file: there/pet.csv}}]
  endpoints: there/outcome.csv
  name: Elsewhere
models:
  - model: {model}
    blocks: [clinical, ct]
    options: {{unpenalized: [clinical]}}
    grid: {{{setting}: [0.1, 1.0]}}
  - {{model: {model}, blocks: [ct, pet], late: true}}
subgroups: [{{by: site}}, {{by: age, cuts: [55, 70]}}]
folds: {{n_folds: 3, n_repeats: 2, random_state: 5}}
"""

SITES = ("Aachen", "Beirut", "Cork")


def write_tables(folder, prefix, n, rng):
    """Write features of two blocks, and outcomes of every kind."""
    folder.mkdir(exist_ok=True)
    ids = pd.Index([f"{prefix}{i:03d}" for i in range(n)], name="patient_id")
    ct, pet = rng.normal(size=(2, n, 3))
    for name, values in {"ct": ct, "pet": pet}.items():
        pd.DataFrame(values, ids, ["a", "b", "c"]).to_csv(folder / f"{name}.csv")
    lean = ct[:, 0] + 0.7 * pet[:, 1]
    time, end = rng.exponential(size=n) * 4 / np.exp(lean), rng.uniform(1, 8, n)
    noisy = lean + rng.normal(size=n)
    table = pd.DataFrame(
        {
            "site": np.resize(SITES, n),
            "age": rng.integers(40, 85, n),
            "relapse": np.where(noisy > 0.4, "yes", "no"),
            "grade": np.select([noisy < -0.6, noisy > 0.6], ["low", "high"], "middle"),
            "years": np.minimum(time, end).round(3).clip(0.01),
            "dead": (time <= end).astype(int),
            "ef": (50 + 6 * lean + rng.normal(0, 4, n)).round(1),
        },
        ids,
    )
    came = rng.choice(["relapse", "death"], n, p=[0.6, 0.4])
    table["first"] = np.where(table["dead"] == 1, came, "alive")
    table.to_csv(folder / "outcome.csv")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("sentences"), np.random.default_rng(2)
    write_tables(folder, "p", 90, rng)
    write_tables(folder / "there", "q", 48, rng)
    return folder


def finished(folder, name, text):
    """Return the methods of a run, its record and its tables."""
    study, out = folder / f"{name}.yml", folder / name
    study.write_text(text, "utf-8")
    run(study, out=out, jobs=1)
    record = json.loads((out / "run.json").read_text("utf-8"))
    data = read_run(out / "data", record["outputs"])
    page = (out / "index.html").read_text("utf-8")
    return methods_paragraph(record, data), record, data, page


def study_of(kind):
    endpoint, model, setting = KINDS[kind]
    return STUDY.format(endpoint=endpoint, model=model, setting=setting)


def told_of(kind, endpoints):
    """Return the outcomes of patients in words, counted anew."""
    if kind == "numbers":
        values = endpoints["value"]
        spread = f"mean {values.mean():.4g} (standard deviation {values.std():.4g})"
        return f"{spread}, {values.min():.4g} to {values.max():.4g} %"
    if kind == "survival":
        n = int((endpoints["event"] == 1).sum())
        return f"censored ({len(endpoints) - n}), event ({n})"
    if kind == "competing":
        n = endpoints["cause"].value_counts()
        of = f"relapse, the event of interest ({n['relapse']})"
        return f"censored ({n['censored']}), death ({n['death']}), {of}"
    counts = endpoints["class"].value_counts().sort_index()
    return ", ".join(f"{name} ({n})" for name, n in counts.items())


#: Kind to the metrics that the paragraph names, all and in order.
MEASURED = {
    "binary": "AUC, AUC (DeLong), Balanced accuracy, Accuracy, Brier score, AUPRC, "
    "Calibration intercept, Calibration slope, ICI, Sensitivity, Specificity",
    "classes": "AUC, Balanced accuracy, Accuracy, Brier score",
    "survival": "C (Harrell), C (Uno), AUC at quartiles of time, Integrated Brier "
    "score, Observed / expected",
    "competing": "C (Harrell), C (Uno), AUC at quartiles of time, Integrated Brier "
    "score, Observed / expected",
    "numbers": "R², MAE, RMSE, Calibration intercept, Calibration slope, Correlation "
    "(Pearson), Correlation (Spearman)",
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_sentence_is_that_of_the_record(folder, kind):
    said, record, data, page = finished(folder, kind, study_of(kind))
    settings, (_, model, setting) = record["settings"], KINDS[kind]
    outcome = told_of(kind, data["endpoints"])
    # patients
    assert "90 patients were included, 90 of them with the endpoint" in said
    assert f"{settings['endpoint']}: {outcome}." in said
    # features
    assert "block ct from ct.csv (declared to be measured)" in said
    # models: options, what was searched, late fusion with its parts
    first, second = settings["models"]
    assert first["options"] == {"unpenalized": ["clinical"]}
    chosen = f"no penalty on clinical, {setting} of 0.1, 1.0 on inner folds"
    fused = f"late {model} on ct + pet"
    assert f"Models. {model} on clinical + ct ({chosen}); {fused}." in said
    assert second["late"]
    assert f"stacked over 2 blocks ({fused})" in said
    # validation
    assert settings["folds"]["n_repeats"] == data["folds"]["repeat"].nunique() == 2
    assert "Validation: 3-fold cross-validation, 2 times, random state 5." in said
    assert "Folds held 90 patients in 3 folds, 2 times, random state 5" in said
    assert f"Performance was measured as {MEASURED[kind]}, with 95 % inter" in said
    # subgroups, and the other cohort
    assert "by site, age (groups begin at 55, 70), in the patients" in said
    there = told_of(kind, data["external_endpoints"])
    assert record["counts"]["external"]["patients"] == 48
    assert f"once on 48 patients of the cohort Elsewhere: {there}." in said
    assert "Not resolved" not in said
    # the flow and the page say the same
    assert "Folds: 3-fold cross-validation, 2 times, random state 5" in stages(record)
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert f"Folds: {stages(record)[-3].removeprefix('Folds: ')}" in text
    assert "10 repeats" not in text


@pytest.mark.parametrize("kind", KINDS)
def test_sites_that_are_left_out_are_told_as_such(folder, kind):
    text = study_of(kind)
    before, _, rest = text.partition("external:\n")
    text = before + "models:" + rest.partition("models:")[2]
    text = text.partition("subgroups:")[0] + "folds: {leave_site_out: true}\n"
    said, _, data, page = finished(folder, f"{kind}_sites", text)
    assert data["folds"]["fold"].nunique() == 3
    named = "leave-one-site-out over 3 sites (Aachen, Beirut, Cork; n = 30, 30, 30)"
    assert f"Validation: {named}." in said
    assert "Folds held 90 patients in 3 folds, one a site; each is tested once" in said
    assert "External validation" not in said
    assert "Subgroups:" not in said
    text = " ".join(re.sub(r"<[^>]+>|base64,[^\"]+", " ", page).split())
    for words in (said, text):
        assert "-fold cross-validation" not in words
        assert "random state" not in words
        assert "repeats of" not in words


def test_a_change_between_times_is_told_of_tables_too(folder):
    tables = {}
    for name in ("ct", "pet"):
        table = pd.read_csv(folder / f"{name}.csv")
        later = table.assign(a=table["a"] + 1)
        both = {"before": table, "after": later}
        both = pd.concat([t.assign(timepoint=time) for time, t in both.items()])
        both.insert(0, "case_id", both["patient_id"] + both["timepoint"])
        tables[name] = both
    study = study_of("binary")
    twice = folder / "twice"
    twice.mkdir()
    for name, table in tables.items():
        table.to_csv(twice / f"{name}.csv", index=False)
    pd.read_csv(folder / "outcome.csv").to_csv(twice / "outcome.csv", index=False)
    before = study.partition("external:\n")[0]
    text = before + "delta: {post: after, pre: before, how: difference}\nmodels:"
    text += "\n  - {model: logistic, blocks: [delta_ct]}\n"
    text += "folds: {n_folds: 2, n_repeats: 1}\n"
    said, record, data, _ = finished(twice, "delta", text)
    change = data["patients"].filter(regex="delta_ct__a")
    np.testing.assert_allclose(change, 1)
    assert record["settings"]["delta"]["how"] == "difference"
    assert "Delta features (blocks delta_*) are the difference post - pre of" in said
