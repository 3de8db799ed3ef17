import html.parser
import json

import pandas as pd
import pytest

from radlatent.provenance import file_hash
from radlatent.report import report, write_table
from radlatent.report.sections import FIGURES, SECTIONS, TABLES
from radlatent.schema import write_run

pytestmark = pytest.mark.slow


class Page(html.parser.HTMLParser):
    """What a browser would find."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.headings, self.images, self.open = [], [], [], [], []
        self.feed(path.read_text("utf-8"))
        self.close()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.links += [attrs["href"]] if "href" in attrs else []
        self.images += [attrs] if tag == "img" else []
        self.headings += [int(tag[1])] if tag in ("h1", "h2", "h3") else []
        self.open += [tag] if tag not in ("meta", "img", "br", "input") else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("kind", ["class_run", "survival_run"])
def test_every_link_leads_somewhere(kind, request):
    folder = request.getfixturevalue(kind)
    page = Page(report(folder))
    assert page.open == []
    assert len(set(page.ids)) == len(page.ids)
    for link in page.links:
        found = link[1:] in page.ids if link[0] == "#" else (folder / link).is_file()
        assert found, link
    assert page.headings[0] == 1
    assert set(page.headings[1:]) == {2}
    assert all(image["alt"] for image in page.images)
    assert all(image["src"].startswith("data:image/png") for image in page.images)


def test_text_of_others_is_escaped(class_run):
    text = report(class_run).read_text("utf-8")
    assert "A &lt;study&gt;" in text
    assert "<study>" not in text
    assert "made &amp; up" in text


def test_a_survival_run_shows_survival_and_no_roc(survival_run):
    page = Page(report(survival_run))
    assert {"survival", "figure-kaplan_meier_1", "figure-c_harrell"} <= set(page.ids)
    assert not {"figure-roc", "calibration", "comparison"} & set(page.ids)
    text = (survival_run / "index.html").read_text("utf-8")
    assert "censored (10), event (30)" in text


def test_tables_are_written_for_people_and_for_journals(class_run):
    report(class_run)
    tables = class_run / "tables"
    names = {"performance", "table_one", "checklist_clear", "checklist_tripod_ai"}
    for name in names:
        assert (tables / f"{name}.tex").read_text("utf-8").count("longtable") >= 2
    metrics = pd.read_csv(tables / "metrics.csv", float_precision="round_trip")
    kept = pd.read_parquet(class_run / "data" / "metrics.parquet")
    pd.testing.assert_frame_equal(metrics, kept, check_exact=True)
    printed = pd.read_csv(tables / "performance.csv")
    # whole in the file, cut on the page
    assert len(printed.columns) > 9
    assert "Continued." in (class_run / "index.html").read_text("utf-8")


def test_only_tables_of_this_run_are_shown(class_run):
    path = class_run / "data" / "mask_rules.parquet"
    counts = {"of": "slices", "rule": ["holes"], "n_broken": [1], "n": [9]}
    write_table(pd.DataFrame(counts), path)
    assert "quality" not in Page(report(class_run)).ids
    record = json.loads((class_run / "run.json").read_text("utf-8"))
    record["outputs"][path.name] = file_hash(path)
    (class_run / "run.json").write_text(json.dumps(record), "utf-8")
    (class_run / "figures" / "roc_7.png").touch()
    (class_run / "figures" / "mine.png").touch()
    assert "quality" in Page(report(class_run)).ids
    left = {path.name for path in (class_run / "figures").iterdir()}
    assert "mine.png" in left
    assert "roc_7.png" not in left


def test_what_made_the_masks_is_told_where_they_are(class_run):
    record = json.loads((class_run / "run.json").read_text("utf-8"))
    step = {"from": "acdc", "made_by": {"name": "reader B", "fitted_on": []}}
    record["cohort"]["derived"] = [step]
    (class_run / "run.json").write_text(json.dumps(record), "utf-8")
    page = report(class_run).read_text("utf-8")
    section = page[page.index('<section id="quality">') :].split("</section>")[0]
    told = "Masks of the cohort acdc were replaced by those of reader B."
    assert section.count(told) == 1


def test_everything_entered_has_a_section():
    assert {one.section for one in (*TABLES, *FIGURES)} <= set(SECTIONS)


def test_a_column_that_is_the_outcome_is_told_first(class_run):
    found = pd.DataFrame(
        {"what": ["outcome"], "where": ["ct__y"], "message": ["ct__y alone tells it?"]}
    )
    write_run({"suspects": found}, class_run / "data")
    path = class_run / "run.json"
    record = json.loads(path.read_text("utf-8"))
    name = "suspects.parquet"
    record["outputs"][name] = file_hash(class_run / "data" / name)
    path.write_text(json.dumps(record), "utf-8")
    page = report(class_run).read_text("utf-8")
    assert "<b>Look at this first:</b> ct__y alone tells it?</p>" in page
    assert "Not resolved: ct__y alone tells it?" in page
