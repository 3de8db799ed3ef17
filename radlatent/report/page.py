"""The report of a run: its folder enters, tables, figures and one page are added.

Everything is read from disk, so that a report can be made again without the images.
"""

import base64
import importlib.resources
import json
import re
from pathlib import Path

import jinja2

from radlatent import figures
from radlatent.errors import SchemaError
from radlatent.provenance import file_hash
from radlatent.report.checklists import (
    CHECKLISTS,
    STATUSES,
    checklist,
    evidenced_share,
    read_checklist,
)
from radlatent.report.evidence import outcome
from radlatent.report.files import read_tables
from radlatent.report.latex import latex
from radlatent.report.methods import methods_paragraph, stages
from radlatent.report.planned import FITS_PHONE_IN, planned, printed
from radlatent.report.sections import FIGURES, SECTIONS, TABLES
from radlatent.report.tables import flow, pieces

__all__ = ["report"]

_RESOLUTION_DPI = 150


def report(folder: str | Path) -> Path:
    """Write tables, figures and ``index.html`` of a run folder.

    Parameters
    ----------
    folder
        What `radlatent.run` wrote: ``run.json`` and ``data/``.

    Returns
    -------
    pathlib.Path
        ``index.html``: self-contained, it can be mailed.

    Raises
    ------
    FileNotFoundError
        The folder is not that of a finished run.
    SchemaError
        A table of the run does not have its written form.
    """
    folder = Path(folder)
    if not (folder / "run.json").is_file():
        msg = (
            f"{folder} holds no run.json, so no run was finished there. Make one with "
            "'radlatent run STUDY.yml --out DIR', or start that run again."
        )
        raise FileNotFoundError(msg)
    record = _record(folder / "run.json")
    _check_unchanged(folder, record["outputs"])
    data = read_tables(folder / "data", record["outputs"])
    _remove_stale(folder)
    shown = {
        "tables": _tables(data, folder),
        "figures": _figures(data, folder),
        "checklists": _checklists(record, data, folder),
        "paragraphs": methods_paragraph(record, data).splitlines(),
        "outcome": outcome(record, data),
        "survival": "risk" in data["predictions"],
    }
    if "failures" in data:
        data["failures"].to_csv(
            folder / "failures.csv", index=False, lineterminator="\n"
        )
    page = folder / "index.html"
    page.write_text(_page(record, shown), "utf-8")
    return page


def _record(path):
    try:
        record = json.loads(path.read_text("utf-8"))
        parts = ("command", "settings", "cohort", "counts", "outputs")
        if all(isinstance(record.get(part), dict) for part in parts):
            return record
        found = f"keys {sorted(record)}"
    except (ValueError, AttributeError) as error:
        found = str(error)
    msg = f"{path}: not the record of a run ({found}). Start the run again."
    raise SchemaError(msg)


def _check_unchanged(folder, outputs):
    changed = [
        name
        for name, digest in outputs.items()
        if not (folder / "data" / name).is_file()
        or file_hash(folder / "data" / name) != digest
    ]
    if changed:
        msg = (
            f"{folder}: {changed} in data/ are missing or not those of run.json. Start "
            "the run again: finished cases are kept."
        )
        raise SchemaError(msg)


def _remove_stale(folder):
    """Remove what an earlier report of the folder wrote, and nothing else."""
    names = "|".join(one.name for one in (*TABLES, *FIGURES))
    ours = re.compile(rf"({names}|flow|checklist_\w+)(_\d+)?\.(png|pdf|csv|tex)")
    for part in ("tables", "figures"):
        (folder / part).mkdir(exist_ok=True)
        for path in (folder / part).iterdir():
            if ours.fullmatch(path.name):
                path.unlink()


def _write(table, folder, name, caption, cut=None):
    """Write a table as CSV, and as LaTeX cut to the width of a page."""
    path = folder / "tables" / name
    table.to_csv(f"{path}.csv", index=False, lineterminator="\n")
    parts = [
        latex(part, caption=caption, label=f"tab:{name}-{number}")
        for number, part in enumerate(cut or [table], start=1)
    ]
    path.with_suffix(".tex").write_text("\n".join(parts), "utf-8")


def _tables(data, folder):
    """Write every table; return what the page prints of each."""
    if "flow" in data:
        counts = flow(data["flow"])
        _write(counts, folder, "flow", "Patients and cases.")
    shown = []
    for table, text in printed(data):
        # a line of LaTeX holds less than one of the page
        narrow = pieces(text, table.n_keys, min(3, table.at_most))
        _write(text, folder, table.name, table.caption, narrow)
        parts = pieces(text, table.n_keys, table.at_most)
        shown += [
            {
                "name": table.name if number == 0 else f"{table.name}-{number + 1}",
                "section": table.section,
                "caption": table.caption + (" Continued." if number else ""),
                "columns": list(part),
                "rows": part.astype(object).where(part.notna(), "–").to_numpy(),
            }
            for number, part in enumerate(parts)
            if len(part)
        ]
    return shown


def _figures(data, folder):
    """Write every figure as PNG and PDF; return what the page needs of each."""
    shown = []
    for name, figure, caption, rows in planned(data):
        size = figure.size(rows)
        with figures.canvas(size) as (drawing, ax):
            figure.draw(ax, rows, data)
            paths = [folder / "figures" / f"{name}.{kind}" for kind in ("png", "pdf")]
            for path in paths:
                drawing.savefig(path, dpi=_RESOLUTION_DPI)
        png = base64.b64encode(paths[0].read_bytes()).decode("ascii")
        about = {"name": name, "section": figure.section, "caption": caption}
        kind = "wide" if size[0] > 6.6 else ""
        kind = "fits" if size[0] <= FITS_PHONE_IN else kind
        shown.append(about | {"png": png, "kind": kind})
    return shown


def _checklists(record, data, folder):
    shown = []
    for name in CHECKLISTS:
        about = read_checklist(name)
        table = checklist(name, record, data)
        weighted = table["weight"].notna().any()
        text = table if weighted else table.drop(columns="weight")
        caption = f"{about['name']}, {about['source']}."
        narrow = text.drop(columns=["id", "group", "link"])
        _write(text, folder, f"checklist_{name}", caption, [narrow])
        counts = table["status"].value_counts()
        shown.append(
            {
                "id": name,
                "name": about["name"],
                "source": about["source"],
                "items": table.to_dict("records"),
                "counts": {status: int(counts.get(status, 0)) for status in STATUSES},
                "shares": evidenced_share(table) if weighted else None,
            }
        )
    return shown


def _page(record, shown):
    here = importlib.resources.files("radlatent.report")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string((here / "page.html").read_text("utf-8"))
    filled = {one["section"] for one in shown["tables"] + shown["figures"]}
    sections = {
        anchor: title
        for anchor, title in SECTIONS.items()
        if anchor in filled | {"cohort", "failures"}
    }
    return template.render(
        record=record,
        sections=sections,
        statuses=STATUSES,
        stages=stages(record),
        **shown,
    )
