"""The report of a run: its folder enters, tables, figures and one page are added.

Everything is read from disk, so that a report can be made again without the images.
"""

import base64
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from radlatent import figures
from radlatent.errors import SchemaError
from radlatent.outputs import check_file, check_folder, replace_bytes, replace_text
from radlatent.provenance import file_hash
from radlatent.report.checklists import (
    CHECKLISTS,
    STATUSES,
    checklist,
    evidenced_share,
    read_checklist,
)
from radlatent.report.evidence.answer import causes, outcome, outcome_there
from radlatent.report.methods import derivations, methods_paragraph, stages
from radlatent.report.names import with_short_blocks
from radlatent.report.parts import on_page, render, write_printed
from radlatent.report.planned import FITS_PHONE_IN, planned, printed
from radlatent.report.sections import FIGURES, SECTIONS, TABLES
from radlatent.report.tables import flow
from radlatent.schema import TABLES as SCHEMA
from radlatent.schema import read_run, write_table

__all__ = ["drawn", "remove_stale", "report", "tabulated"]

_RESOLUTION_DPI = 150

#: Tables that people read as they are.
_PERSONS = {name for name, table in SCHEMA.items() if table.person}


def report(folder: str | Path) -> Path:
    """Write tables, figures and ``index.html`` of a run folder.

    Parameters
    ----------
    folder
        What `radlatent.run` wrote: ``run.json`` and ``data/``. An analysis makes its
        page with `page_of`.

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
            "'radlatent run STUDY.yml --out DIR', or start that run again. The page of "
            "an analysis is made by the report.py of that analysis."
        )
        raise FileNotFoundError(msg)
    record = _record(folder / "run.json")
    _check_unchanged(folder, record["outputs"])
    for name in ("index.html", "failures.csv"):
        check_file(folder / name, what="report")
    for name in ("tables", "figures"):
        check_folder(folder / name, what="report")
    data = read_run(folder / "data", record["outputs"])
    remove_stale(folder)
    short = with_short_blocks(data)
    shown = {
        "tables": tabulated(short, folder),
        "figures": drawn(short, folder),
        "checklists": _checklists(record, data, folder),
        "paragraphs": methods_paragraph(record, data).splitlines(),
        "outcome": outcome(record, data),
        "outcome_there": outcome_there(record, data),
        "causes": causes(record),
        "derived": derivations(record),
        "survival": "risk" in data["predictions"],
        "suspects": _suspects(data),
    }
    _write_unrounded(data, folder)
    page = folder / "index.html"
    replace_text(page, _page(record, shown))
    return page


def _suspects(data):
    """Return what should not be a feature; a run of before did not look."""
    return data["suspects"]["message"].tolist() if "suspects" in data else []


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


def _write_unrounded(data, folder):
    """Write the tables that people read as they are, as CSV."""
    # failures are what a reader looks for first
    homes = {"failures": folder}
    for name in _PERSONS & data.keys():
        write_table(data[name], homes.get(name, folder / "tables") / f"{name}.csv")


def remove_stale(folder: Path) -> None:
    """Remove what an earlier report of the folder wrote, and nothing else."""
    names = "|".join({one.name for one in (*TABLES, *FIGURES)} | _PERSONS)
    ours = re.compile(rf"({names}|flow|checklist_\w+)(_\d+)?\.(png|pdf|csv|tex)")
    for part in ("tables", "figures"):
        (folder / part).mkdir(exist_ok=True)
        for path in (folder / part).iterdir():
            if ours.fullmatch(path.name):
                path.unlink()


def tabulated(data: Mapping[str, pd.DataFrame], folder: Path) -> list[dict]:
    """Write every table of a run; return what the page prints of each."""
    here = folder / "tables"
    if "flow" in data:
        write_printed(flow(data["flow"]), here / "flow", "Patients and cases.")
    return [
        part for table, text in printed(data) for part in on_page(table, text, here)
    ]


def drawn(data: Mapping[str, pd.DataFrame], folder: Path) -> list[dict]:
    """Write every figure as PNG and PDF; return what the page needs of each."""
    shown = []
    for name, figure, caption, rows in planned(data):
        size = figure.size(rows)
        with figures.canvas(size) as (drawing, ax):
            figure.draw(ax, rows, data)
            files = {kind: _file(drawing, kind) for kind in ("png", "pdf")}
        for kind, content in files.items():
            replace_bytes(folder / "figures" / f"{name}.{kind}", content)
        png = base64.b64encode(files["png"]).decode("ascii")
        about = {"name": name, "section": figure.section, "caption": caption}
        kind = "wide" if size[0] > 6.6 else ""
        kind = "fits" if size[0] <= FITS_PHONE_IN else kind
        shown.append(about | {"png": png, "kind": kind})
    return shown


def _file(drawing, kind):
    # in memory: on a full disk the writer of PDF fails with something else
    content = io.BytesIO()
    drawing.savefig(content, dpi=_RESOLUTION_DPI, format=kind)
    return content.getvalue()


def _checklists(record, data, folder):
    shown = []
    for name in CHECKLISTS:
        about = read_checklist(name)
        table = checklist(name, record, data)
        weighted = table["weight"].notna().any()
        text = table if weighted else table.drop(columns="weight")
        caption = f"{about['name']}, {about['source']}."
        narrow = text.drop(columns=["id", "group", "link"])
        path = folder / "tables" / f"checklist_{name}"
        write_printed(text, path, caption, [narrow])
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
    filled = {one["section"] for one in shown["tables"] + shown["figures"]}
    filled |= {"cohort", "failures", *(["quality"] if shown["derived"] else [])}
    sections = {anchor: title for anchor, title in SECTIONS.items() if anchor in filled}
    return render(
        "page.html",
        record=record,
        sections=sections,
        statuses=STATUSES,
        stages=stages(record),
        **shown,
    )
