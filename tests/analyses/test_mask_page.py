"""The page of an analysis of masks shows the tables and figures that are there."""

import html.parser
import itertools
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radlatent import figures
from radlatent.errors import SchemaError
from radlatent.handcrafted.repeat.agreement import count_verdicts
from radlatent.masks import judge_predictions, rule_set
from radlatent.report import report, write_table

# the modules of an analysis stand beside its scripts
sys.path.insert(0, str(Path(__file__).parents[2] / "analyses" / "acdc_mask_quality"))
from mask_page import mask_report
from mask_sections import FIGURES, SECTIONS, SOURCES, TABLES

METHODS = ("VAE", "constrained VAE", "nearest valid latent", "nearest, with draws")
LEVELS = ("network", "severe")


def experts(name):
    """Return the summary of scores, of which two slices in 100 break one rule."""
    names = rule_set(name).names
    rows = [("slices", "all", 98, 100), ("masks", "all", 9, 10)]
    rows += [("slices", one, 98 if one == names[0] else 100, 100) for one in names]
    table = pd.DataFrame(rows, columns=["of", "rule", "n_kept", "n"])
    share = table["n_kept"] / table["n"]
    ends = {"share": share, "lower": share - 0.03, "upper": share.clip(upper=0.99)}
    return table.assign(**ends, level=0.95)


def methods():
    """Return a row a level, method and gate, and those that were not corrected."""
    rows = []
    for level in LEVELS:
        about = {"level": level, "n_slices": 1480, "n_structures": 480}
        about |= {"dice": 0.912, "hd_mm": 12.341, "hd95_max_mm": 4.2}
        about |= {"assd_pooled_mm": 1.04, "slice_dice": 0.87}
        rows.append(about | {"method": "not corrected", "worse": 0.0, "better": 0.0})
        for method, gated in itertools.product(METHODS, (False, True)):
            found = {"method": method, "gated": gated, "worse": 0.0041, "better": 0.2}
            found |= {"valid_before": 0.75, "valid_after": 0.995, "n_invalid": 370}
            found |= {"invalid_made_valid": 0.98, "corrected": 363, "refused": 7}
            rows.append(about | found | {"corrected_valid": 1.0})
    return pd.DataFrame(rows)


def broken():
    rules = pd.DataFrame({"rule": rule_set("short_axis_16").names[::-1]})
    parts = [
        rules.assign(when=when, n_broken=np.arange(16) * number, n=1480)
        for when, number in (("before", 9), ("after", 1))
    ]
    return pd.concat(parts, ignore_index=True)


def predicted(rng, n=300):
    dice = rng.beta(8, 2, n)
    center = (dice + rng.normal(0, 0.05, n)).clip(0, 1)
    table = pd.DataFrame({"dice": dice, "predicted_dice": center})
    table = table.assign(lower=center - 0.1, upper=center + 0.1, flagged=center < 0.7)
    return table.assign(patient=[f"p{number % 20:02d}" for number in range(n)])


def judged(table):
    weights = np.random.default_rng(0).multinomial(20, np.full(20, 0.05), 50)
    about = {"flag_below": 0.7, "level": 0.95, "weights": weights}
    dice, patients = table["dice"].to_numpy(), table["patient"].to_numpy()
    columns = ["predicted_dice", "lower", "upper", "flagged"]
    return judge_predictions(table[columns], dice, patients, **about).reset_index()


def decisions(rng, n=300):
    before = rng.beta(8, 2, n)
    after = (before + rng.normal(0.02, 0.03, n)).clip(0, 1)
    kinds = rng.choice(["kept", "corrected", "refused"], n, p=[0.75, 0.2, 0.05])
    after = np.where(kinds == "corrected", after, before)
    table = pd.DataFrame({"dice_before": before, "dice_after": after})
    return table.assign(decision=kinds, method="VAE")


def stability(rng, keys):
    names = [f"mr_handcrafted__original_{f}_{n}" for f in "ab" for n in range(40)]
    parts = []
    for key in itertools.product(*keys.values()):
        for kind in ("ICC(2,1)", "ICC(3,1)"):
            estimate = rng.beta(8, 2, len(names))
            part = pd.DataFrame({"feature": names, "icc": kind, "estimate": estimate})
            part["lower"] = estimate - 0.1
            for place, (name, value) in enumerate(zip(keys, key, strict=True)):
                part.insert(place, name, value)
            parts.append(part)
    return pd.concat(parts, ignore_index=True)


def shifts():
    keys = itertools.product(("shape", "firstorder", "glcm"), ("LV", "MYO", "RV"))
    table = pd.DataFrame(keys, columns=["family", "structure"])
    return table.assign(corrected=0.31, degraded=0.4567)


def diagnosis():
    rows = [
        ("logistic", name, "group", metric, 0.91, 0.85, 0.95)
        for name in ("all features", "stable features")
        for metric in ("auc", "balanced_accuracy")
    ]
    columns = ["model", "blocks", "endpoint", "metric", "estimate", "lower", "upper"]
    about = {"level": 0.95, "n": 80, "n_events": 80, "method": "percentile bootstrap"}
    table = pd.DataFrame(rows, columns=columns).assign(**about)
    return table.assign(n_stable=321, n_features=642)


def compared():
    row = {"model": "logistic", "blocks": "stable features", "endpoint": "group"}
    row |= {"reference_model": "logistic", "reference_blocks": "all features"}
    row |= {"metric": "auc", "difference": -0.01, "lower": -0.03, "upper": 0.01}
    row |= {"level": 0.95, "p_corrected": 0.4, "p_adjusted": 0.4, "n": 80}
    return pd.DataFrame([row])


def written(folder):
    """Write the tables of an analysis, as analyses/acdc_mask_quality does."""
    rng = np.random.default_rng(0)
    tables = {f"experts_short_axis_{n}": experts(f"short_axis_{n}") for n in (16, 7)}
    tables["methods"] = methods()
    for level in LEVELS:
        tables[f"rules_broken_{level}"] = broken()
        tables[f"decisions_{level}"] = decisions(rng)
        tables[f"predicted_dice_{level}"] = predicted(rng)
        found = judged(tables[f"predicted_dice_{level}"])
        tables[f"predicted_dice_judged_{level}"] = found
    structures = {"lesion_id": ("LV", "MYO", "RV")}
    counts = count_verdicts(stability(rng, structures))
    tables["stability_summary"] = counts.reset_index()
    keys = {"structure": structures["lesion_id"], "tier": ("low", "middle", "high")}
    tables["stability_tiers_summary"] = count_verdicts(stability(rng, keys))
    tables["feature_shift_by_family"] = shifts()
    tables |= {"diagnosis": diagnosis(), "diagnosis_compared": compared()}
    for name, table in tables.items():
        write_table(table, folder / "tables" / f"{name}.csv")
    return folder


def draw(folder, widths):
    (folder / "figures").mkdir(exist_ok=True)
    for name, width in widths.items():
        with figures.canvas((width, 1)) as (figure, _):
            figure.savefig(folder / "figures" / f"{name}.png", dpi=150)


@pytest.fixture
def folder(tmp_path):
    return written(tmp_path)


class Page(html.parser.HTMLParser):
    """What a browser would find."""

    def __init__(self, path):
        super().__init__()
        self.text = path.read_text("utf-8")
        self.ids, self.links, self.open = [], [], []
        self.feed(self.text)
        self.close()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.links += [attrs["href"]] if "href" in attrs else []
        self.open += [tag] if tag not in ("meta", "img", "br", "input") else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def rows(self, name):
        """Return the cells of a table, a list a row."""
        table = self.text.split(f'id="table-{name}"')[1].split("</figure>")[0]
        rows = re.findall("<tr>(.*?)</tr>", table.split("<tbody>")[1])
        return [re.findall("<td.*?>(.*?)</td>", row) for row in rows]

    def section(self, name):
        return self.text.split(f'<section id="{name}">')[1].split("</section>")[0]


def test_everything_that_is_there_is_shown(folder):
    draw(folder, {picture.name: 5 for picture in FIGURES})
    page = Page(mask_report(folder))
    assert page.open == []
    assert len(set(page.ids)) == len(page.ids)
    assert {link[1:] for link in page.links} == {*SECTIONS, "record"}
    assert {*SECTIONS} <= set(page.ids)
    assert {f"table-{table.name}" for table in TABLES} <= set(page.ids)
    assert {f"figure-{picture.name}" for picture in FIGURES} <= set(page.ids)
    assert page.text.count("data:image/png;base64,") == len(FIGURES)
    for outside in ("http://", "https://", "<script", 'src="figures'):
        assert outside not in page.text
    for table in TABLES:
        path = folder / "publication" / table.name
        assert len(pd.read_csv(f"{path}.csv"))
        assert "longtable" in path.with_suffix(".tex").read_text("utf-8")


def test_numbers_are_those_of_the_tables(folder):
    page = Page(mask_report(folder))
    kept = [["short_axis_16", "slices", "all rules", "98", "100", "98.0 % (95.0–98.0)"]]
    kept += [["short_axis_16", "masks", "all rules", "9", "10", "90.0 % (87.0–90.0)"]]
    assert page.rows("experts")[:2] == kept
    first, second = page.rows("methods_slices")[:2]
    assert first[:6] == ["network", "not corrected", "–", "1,480", "–", "–"]
    assert first[6:] == ["0 (0.0 %)", "0 (0.0 %)"]
    assert second[:6] == ["network", "VAE", "no", "1,480", "363", "7"]
    assert second[6:] == ["6 (0.4 %)", "296 (20.0 %)"]
    rest = page.rows("methods_slices-2")[1]
    assert rest[3:6] == ["0.870", "1,110 (75.0 %)", "1,473 (99.5 %)"]
    assert rest[6:] == ["363 (98.0 %)", "363 (100.0 %)"]
    near = ["0.912", "12.34", "4.20", "1.04", "480"]
    assert page.rows("methods_distances")[-1][3:] == near
    rule = rule_set("short_axis_16").names[0]
    counts = ["1,480", "135 (9.1 %)", "15 (1.0 %)"]
    assert page.rows("rules_broken")[15] == ["network", rule, *counts]
    assert page.rows("feature_shift_by_family")[0] == ["shape", "LV", "0.46", "0.31"]
    assert "321 of 642 features" in page.section("diagnosis")
    assert "0.91 (0.85–0.95)" in page.section("diagnosis")
    assert "−0.01 (−0.03 to 0.01)" in page.section("diagnosis")


def test_errors_are_told_as_they_were_drawn(folder):
    page = Page(mask_report(folder))
    assert "and 0 to 1 further kinds of error" in page.section("methods")
    assert "sizes times 0.6" in page.section("methods")
    assert "and 1 to 4 further kinds of error" in page.section("methods")
    path = folder / "tables" / "methods.csv"
    write_table(methods().query("level == 'network'"), path)
    assert "“severe”" not in Page(mask_report(folder)).section("methods")


def test_captions_count_and_name(folder):
    draw(folder, {"fig2_correction": 5, "fig4_predicted_dice": 5, "fig3a_gained": 10})
    page = Page(mask_report(folder))
    assert "correction with the gate (VAE); below" in page.section("methods")
    assert "Errors: network. n = 300 slices." in page.section("methods")
    assert "n = 300 slices." in page.section("predicted")
    assert 'id="figure-fig3a_gained" class="wide"' in page.text
    (folder / "tables" / "decisions_network.csv").unlink()
    page = Page(mask_report(folder))
    assert "correction with the gate; below" in page.section("methods")
    assert "n = 300" not in page.section("methods")


def test_what_is_not_there_is_not_shown(folder):
    mask_report(folder)
    for path in (folder / "tables").iterdir():
        if path.name != "methods.csv":
            path.unlink()
    page = Page(mask_report(folder))
    assert set(page.ids) & set(SECTIONS) == {"methods"}
    # what an earlier page wrote is not left to be printed
    left = {path.stem for path in (folder / "publication").iterdir()}
    assert left == {"methods_slices", "methods_distances"}


def test_report_of_a_run_says_who_makes_the_page(folder):
    page = mask_report(folder)
    before = page.read_text("utf-8")
    with pytest.raises(FileNotFoundError, match=r"report\.py of that analysis"):
        report(folder)
    assert page.read_text("utf-8") == before


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no analysis of masks wrote there"):
        mask_report(tmp_path)
    # tables of an unfinished run are no analysis of masks
    write_table(experts("short_axis_7"), tmp_path / "tables" / "mask_validity.csv")
    with pytest.raises(FileNotFoundError, match="no run was finished there"):
        report(tmp_path)


def test_faulty_tables_and_figures_are_named(folder):
    path = folder / "tables" / "methods.csv"
    write_table(methods().drop(columns="hd_mm"), path)
    with pytest.raises(SchemaError, match=r"'methods' lacks 'hd_mm'"):
        mask_report(folder)
    path.write_text("", "utf-8")
    with pytest.raises(SchemaError, match=r"methods\.csv is empty"):
        mask_report(folder)
    write_table(methods(), path)
    (folder / "figures").mkdir()
    (folder / "figures" / "fig5_stability.png").write_bytes(b"no picture")
    with pytest.raises(SchemaError, match=r"fig5_stability\.png is no PNG"):
        mask_report(folder)


def test_every_table_has_a_file_and_a_section():
    assert {one.section for one in (*TABLES, *FIGURES)} == set(SECTIONS)
    files = " ".join(SOURCES)
    assert all((table.source or table.name) in files for table in TABLES)
