"""The page of an analysis: what it wrote and drew enters, one page leaves.

Everything is read from disk; no statistic is computed.
"""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from radlatent.errors import SchemaError
from radlatent.outputs import replace_text
from radlatent.provenance import file_hash
from radlatent.report.parts import on_page, render
from radlatent.report.planned import FITS_PHONE_IN
from radlatent.report.sections import Table

__all__ = ["Picture", "page_of"]

#: Analyses draw so many pixels an inch.
_RESOLUTION_DPI = 150

#: Figures that are wider have the page for themselves, in inches.
_WIDE_IN = 6.6


@dataclass(frozen=True)
class Picture:
    """A figure that an analysis drew.

    Parameters
    ----------
    name
        Its file in ``figures/``, without the ending ``.png``.
    section
        Where it stands.
    caption
        What it shows.
    """

    name: str
    section: str
    caption: str


def page_of(
    folder: str | Path,
    title: str,
    *,
    sections: Mapping[str, str],
    tables: Iterable[tuple[Table, pd.DataFrame]],
    figures: Iterable[Picture] = (),
    notes: Mapping[str, list[str]] | None = None,
    lead: str = "",
) -> Path:
    """Write ``index.html`` of an analysis, and its tables for a journal.

    Parameters
    ----------
    folder
        The analysis wrote ``tables/*.csv``, whose hashes the page tells, and
        ``figures/*.png`` there.
    title, lead
        What stands above the page: its name, and a sentence.
    sections
        Anchor to title, in the order of the page; one without table and figure is
        left out.
    tables
        Plans with what they print, in the order of the page.
    figures
        In the order of the page; one that was not drawn is left out.
    notes
        Section to what is said above its tables.

    Returns
    -------
    pathlib.Path
        ``index.html``: self-contained, it can be mailed. The tables as it prints them
        lie in ``publication/``, as CSV and LaTeX.

    Raises
    ------
    SchemaError
        A figure is no PNG.
    """
    folder = Path(folder)
    out = folder / "publication"
    out.mkdir(exist_ok=True)
    shown = {
        "tables": [part for plan, text in tables for part in on_page(plan, text, out)],
        "figures": [one for picture in figures for one in _shown(picture, folder)],
    }
    filled = {one["section"] for one in shown["tables"] + shown["figures"]}
    written = sorted((folder / "tables").glob("*.csv"))
    page = folder / "index.html"
    text = render(
        "analysis.html",
        title=title,
        lead=lead,
        notes=notes or {},
        sections={name: title for name, title in sections.items() if name in filled},
        hashes={path.name: file_hash(path) for path in written},
        **shown,
    )
    replace_text(page, text)
    return page


def _shown(picture, folder):
    """Yield what the page needs of a figure, if it was drawn."""
    path = folder / "figures" / f"{picture.name}.png"
    if not path.is_file():
        return
    png = path.read_bytes()
    if png[:8] != b"\x89PNG\r\n\x1a\n" or len(png) < 24:
        msg = f"{path} is no PNG. Draw the figure again."
        raise SchemaError(msg)
    width = int.from_bytes(png[16:20], "big") / _RESOLUTION_DPI
    kind = "wide" if width > _WIDE_IN else ""
    yield {
        "name": picture.name,
        "section": picture.section,
        "caption": picture.caption,
        "png": base64.b64encode(png).decode("ascii"),
        "kind": "fits" if width <= FITS_PHONE_IN else kind,
    }
