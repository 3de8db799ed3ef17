"""A study of tables whose outcome is the first of several events, to its page."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from radlatent.errors import SchemaError
from radlatent.features.endpoint import CENSORED, Endpoint
from radlatent.fusion import cumulative_incidence
from radlatent.report.methods import methods_paragraph
from radlatent.schema import read_run
from radlatent.study import run

STUDY = """\
title: What comes first
features:
  - {block: ct, file: ct.csv, measured: true}
  - {block: mr, file: mr.csv, measured: true}
endpoints: outcome.csv
endpoint:
  {kind: competing, time: months, event: what, unit: months,
   positive: relapse, censored: alive, name: first event}
covariates: [age]
subgroups: [{by: sex}]
external:
  features: [{block: ct, file: there/ct.csv}, {block: mr, file: there/mr.csv}]
  endpoints: there/outcome.csv
  name: Elsewhere
models:
  - {model: fine_gray, blocks: [clinical, ct], grid: {risk__penalty_strength: [0.1, 1]}}
  - {model: cause_specific_cox, blocks: [ct, mr]}
  - {model: fine_gray, blocks: [ct, mr], late: true}
folds: {n_folds: 3, n_repeats: 1}
importance: 2
permutations: 3
"""


def write(where, prefix, rng, n=80):
    """Write the tables of one cohort: relapse is hastened by the first column of CT."""
    ids = pd.Series([f"{prefix}{i:02d}" for i in range(n)], name="patient_id")
    ct, mr = rng.normal(size=(2, n, 4))
    for name, values in {"ct": ct, "mr": mr}.items():
        table = pd.DataFrame(values, columns=["a", "b", "c", "d"])
        table.insert(0, "patient_id", ids)
        table.to_csv(where / f"{name}.csv", index=False)
    relapse = rng.exponential(30 * np.exp(-1.2 * ct[:, 0]))
    death, end = rng.exponential(45, n), rng.uniform(10, 90, n)
    months = np.minimum(np.minimum(relapse, death), end)
    what = np.where(months == death, "death", "relapse")
    table = pd.DataFrame({"patient_id": ids, "months": months.round(2) + 0.01})
    table["what"] = np.where(months == end, "alive", what)
    table["age"], table["sex"] = rng.integers(40, 80, n), rng.choice(["f", "m"], n)
    table.to_csv(where / "outcome.csv", index=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a study, of two cohorts of 80 patients."""
    place, rng = tmp_path_factory.mktemp("first"), np.random.default_rng(0)
    (place / "there").mkdir()
    write(place, "p", rng)
    write(place / "there", "q", rng)
    (place / "study.yml").write_text(STUDY, "utf-8")
    return place


@pytest.fixture(scope="module")
def done(folder):
    run(folder / "study.yml", out=folder / "out")
    record = json.loads((folder / "out" / "run.json").read_text("utf-8"))
    return folder / "out", record, read_run(folder / "out" / "data", record["outputs"])


def test_a_run_holds_what_competing_events_have(done):
    _, record, data = done
    told = record["settings"]["outcome"]
    assert told == {
        "kind": "competing",
        "unit": None,
        "causes": ["relapse", "death"],
    }
    curves = ("incidence", "incidence_by_risk", "incidence_groups", "incidence_auc")
    there = {f"external_{name}" for name in curves}
    beside = {"incidence_calibration", "net_benefit", "compared", "permuted"}
    assert {*curves, *there, *beside, "importance", "subgroups"} <= {*data}
    # what takes one event, and others for censored, has no table
    assert not {"kaplan_meier", "risk_groups", "survival_auc", "sample_size"} & {*data}
    assert set(data["compared"]["metric"]) == {"c_harrell"}
    for prefix in ("", "external_"):
        metrics = data[f"{prefix}metrics"]
        c = metrics[metrics["metric"] == "c_harrell"].set_index("model")["estimate"]
        assert (c > 0.6).all()


def test_curves_are_those_of_the_outcome_in_the_file(folder, done):
    frame = pd.read_csv(folder / "outcome.csv", index_col="patient_id")
    names = {"time": "months", "event": "what", "unit": "months"}
    endpoint = Endpoint.competing(frame, **names, positive="relapse", censored="alive")
    curves = cumulative_incidence(endpoint).curves
    found = done[2]["incidence"][[*curves]]
    pd.testing.assert_frame_equal(found, curves, check_dtype=False)
    groups = done[2]["incidence_groups"].groupby("cause")[["n_events"]].sum()
    # three models put the same patients into groups
    for cause in ("relapse", "death"):
        assert groups.loc[cause, "n_events"] == 3 * (frame["what"] == cause).sum()


def test_the_page_has_the_words_of_competing_events(done):
    out, *_ = done
    page = (out / "index.html").read_text("utf-8")
    text = re.sub(r"base64,[^\"]+", "", page.partition('id="checklists"')[0])
    for word in ("Sensitivity", "Kaplan", "log-rank", "Free of the event"):
        assert word not in text, word
    assert "<h2>Competing events</h2>" in text
    # a threshold is of classes
    assert "threshold is that of" not in text
    assert "“Events” counts “relapse”; whoever had death first never has it." in text
    assert text.count("relapse, the event of interest (") == 4
    one = pd.read_csv(out / "tables" / "table_one.csv").columns
    assert [name.partition(" (")[0] for name in one[1:5]] == [
        *("All", "relapse", "death", CENSORED)
    ]
    drawn = {path.name for path in (out / "figures").glob("*.png")}
    assert {"incidence.png", "incidence_by_risk_1.png", "incidence_auc.png"} <= drawn
    assert {"incidence_calibration.png", "decision_1.png", "subgroups_1.png"} <= drawn
    assert {"external_incidence.png", "external_incidence_calibration.png"} <= drawn
    groups = pd.read_csv(out / "tables" / "incidence_groups.csv")
    assert groups["Event"].tolist() == ["relapse", "death"] * 6
    assert groups.columns[-1].startswith("Incidence until day ")


def test_five_sentences_of_the_methods_are_those_of_the_record(done):
    _, record, data = done
    said = methods_paragraph(record, data)
    counts = data["endpoints"]["cause"].value_counts()
    assert record["counts"]["outcome"] == counts.to_dict()
    of = f"relapse, the event of interest ({counts['relapse']})"
    whole = f"censored ({counts['censored']}), death ({counts['death']}), {of}."
    assert f"80 of them with the endpoint first event: {whole}" in said
    grid = "risk__penalty_strength of 0.1, 1 on inner folds"
    assert f"Models. fine_gray on clinical + ct ({grid}); cause_specific_cox on" in said
    assert "Validation: 3-fold cross-validation, once, random state 0." in said
    measured = "C (Harrell), C (Uno), AUC at quartiles of time, Integrated Brier score"
    assert f"Performance was measured as {measured}, Observed / expected, " in said
    assert "events: 'relapse'" in said
    assert (
        "Competing events: whoever had death first was taken as one who never" in said
    )
    assert "Subgroups: C (Harrell), Observed / expected of each model by sex, " in said
    n = (data["external_endpoints"]["cause"] == CENSORED).sum()
    assert f"80 patients of the cohort Elsewhere: censored ({n}), death (" in said


def test_a_family_of_another_outcome_is_refused_with_those_of_this(folder):
    wrong = folder / "wrong.yml"
    wrong.write_text(STUDY.replace("cause_specific_cox", "cox"), "utf-8")
    with pytest.raises(SchemaError, match=r"'cox' is not for .*'competing'.*fine_gr"):
        run(wrong, out=folder / "none")
