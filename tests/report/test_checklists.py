import pandas as pd
import pytest

from radlatent.errors import SchemaError
from radlatent.report.checklists import (
    CHECKLISTS,
    STATUSES,
    check_reporting,
    checklist,
    evidenced_share,
    read_checklist,
)
from radlatent.schema import read_run


def status(name, record, tables, item):
    return checklist(name, record, tables).set_index("item").loc[item]


@pytest.fixture
def tables(class_run, record):
    return read_run(class_run / "data", record["outputs"])


@pytest.mark.parametrize(
    ("name", "n", "n_parts"),
    [("clear", 58, 58), ("metrics", 30, 30), ("ibsi", 76, 104), ("tripod_ai", 27, 52)],
)
def test_checklists_have_the_items_of_their_sources(name, n, n_parts):
    items = [str(one["id"]) for one in read_checklist(name)["items"]]
    numbers = [int(item.rstrip("abcdefg")) for item in items]
    assert len(set(items)) == len(items) == n_parts
    assert sorted(set(numbers)) == list(range(1, n + 1))
    assert numbers == sorted(numbers)


def test_weights_of_metrics_are_those_of_the_paper():
    weights = {i["id"]: i["weight"] for i in read_checklist("metrics")["items"]}
    # Kocak et al. 2024, Table 1; the table sums to 1 but for the rounding of 4 digits
    assert weights[3] == 0.0919
    assert weights[18] == 0.0599
    assert weights[27] == 0.0749
    assert sum(weights.values()) == pytest.approx(1, abs=1e-4)


def test_nothing_is_evidenced_without_a_rule_and_a_link(record, tables):
    for name in CHECKLISTS:
        table = checklist(name, record, tables)
        ruled = {
            str(item["id"]) for item in read_checklist(name)["items"] if "rule" in item
        }
        evidenced = table[table["status"] == "evidenced"]
        assert set(evidenced["item"]) <= ruled
        assert (evidenced["link"] != "").all()
        assert (evidenced["evidence"] != "").all()
        assert set(table["status"]) <= set(STATUSES)


def test_a_split_is_evidenced_by_the_predictions_not_by_the_plan(record, tables):
    good = status("metrics", record, tables, "18")
    assert good["status"] == "evidenced"
    assert "40 patients in 2 folds, 2 times, random state 7" in good["evidence"]
    moved = tables["predictions"].copy()
    moved.loc[0, "fold"] = 1 - moved.loc[0, "fold"]
    for broken in (
        tables | {"predictions": moved},
        tables | {"folds": pd.concat([tables["folds"]] * 2)},
        {},
    ):
        assert status("metrics", record, broken, "18")["status"] == "missing"


@pytest.mark.parametrize(
    ("name", "item", "table"),
    [
        ("clear", "40", "metrics"),
        ("clear", "44", "table_one"),
        ("metrics", "20", "confusion"),
        ("clear", "29", "patients"),
        ("tripod_ai", "15", "predictions"),
    ],
)
def test_without_its_table_an_item_is_missing(record, tables, name, item, table):
    assert status(name, record, tables, item)["status"] == "evidenced"
    tables.pop(table)
    assert status(name, record, tables, item)["status"] == "missing"


def test_missing_values_need_a_step_that_fills_them(record, tables):
    tables["patients"].iloc[0, 0] = float("nan")
    assert status("clear", record, tables, "29")["status"] == "missing"
    record["settings"]["models"][0]["steps"] = ["SimpleImputer(strategy='median')"]
    found = status("clear", record, tables, "29")
    assert found["evidence"].startswith("1 of 120 values")
    assert "SimpleImputer" in found["evidence"]


def test_all_models_means_those_of_the_study(record, tables):
    assert status("clear", record, tables, "37")["status"] == "evidenced"
    record["settings"]["models"].append({"model": "forest", "blocks": ["clinical"]})
    assert status("clear", record, tables, "37")["status"] == "missing"


def test_a_comparison_with_clinical_models_needs_one(record, tables):
    pair = {"model": "logistic", "reference_model": "logistic"}
    pair |= {
        "blocks": "ct_handcrafted + clinical",
        "reference_blocks": "ct_handcrafted",
    }
    tables["compared"] = pd.DataFrame([pair])
    assert status("metrics", record, tables, "24")["status"] == "missing"
    tables["compared"]["reference_blocks"] = "clinical"
    assert status("metrics", record, tables, "24")["status"] == "evidenced"


def test_items_of_other_imaging_do_not_apply(record, tables):
    assert status("ibsi", record, tables, "16")["status"] == "not applicable"
    assert status("ibsi", record, tables, "14")["status"] == "missing"
    record["cohort"]["units"]["flair"] = "arbitrary"  # may be anything
    assert status("ibsi", record, tables, "16")["status"] == "missing"


def test_settings_are_told_with_their_values(record, tables):
    assert "bins of width 25" in status("ibsi", record, tables, "56b")["evidence"]
    assert status("ibsi", record, tables, "51")["status"] == "not applicable"
    options = record["settings"]["settings"]["ct"]["setting"]
    options["resampledPixelSpacing"] = [1, 1, 1]
    assert "[1, 1, 1]" in status("ibsi", record, tables, "51")["evidence"]
    # pyradiomics 3.0.1, documentation of GLCM: symmetrical unless told otherwise
    assert "True (default)" in status("ibsi", record, tables, "64")["evidence"]


def test_judged_masks_are_checks_of_quality_but_no_reliability(record, tables):
    assert "masks" not in status("tripod_ai", record, tables, "7")["evidence"]
    counts = {"of": ["slices", "masks"], "n_kept": [31, 9], "n": [33, 11]}
    summary = pd.DataFrame(counts | {"rule": "all", "rules": "short_axis_16"})
    tables["mask_summary"] = summary
    found = status("tripod_ai", record, tables, "7")
    told = "masks judged by the rules short_axis_16: 31 of 33 slices, 9 of 11 masks"
    assert told in found["evidence"]
    assert found["link"] == "#quality"
    # that takes readers who segment twice, or masks that are made again
    assert status("clear", record, tables, "31")["status"] == "missing"
    tables["mask_summary"] = summary.assign(n=0)
    assert "masks" not in status("tripod_ai", record, tables, "7")["evidence"]


def test_what_the_user_says_is_never_evidence(record, tables):
    said = {"clear-8": "Approved by X.", "clear-40": "Of course.", "clear-22": "None."}
    record["settings"]["reporting"] = said
    table = checklist("clear", record, tables).set_index("item")
    assert table.loc["8", ["status", "evidence", "link"]].tolist() == [
        *("user-supplied", "Approved by X.", ""),
    ]
    assert table.loc["40", "status"] == "evidenced"
    assert table.loc["40", "evidence"].endswith("every metric. Of course.")
    assert table.loc["22", "status"] == "user-supplied"


def test_shares_of_metrics_sum_to_one(record, tables):
    shares = evidenced_share(checklist("metrics", record, tables))
    assert list(shares) == list(STATUSES)
    assert sum(shares.values()) == pytest.approx(1, abs=1e-4)
    # 12, without provenance, is missing; 17 does not apply
    assert shares["not applicable"] == pytest.approx(0.02)


def test_unknown_lists_and_items_are_refused(record):
    check_reporting({"clear-8": "x", "tripod_ai-12a": "x"})
    with pytest.raises(SchemaError, match=r"'clear-80'.*'metrics-31'"):
        check_reporting({"clear-80": "x", "metrics-31": "x"})
    with pytest.raises(SchemaError, match="did you mean 'clear'"):
        checklist("claer", record, {})
