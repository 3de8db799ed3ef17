"""The page of an analysis of masks: its folder enters, one page is added.

Everything is read from disk; no statistic is computed.
"""

import base64
from pathlib import Path

import pandas as pd

from radlatent.errors import SchemaError
from radlatent.provenance import file_hash
from radlatent.report.mask_sections import (
    FIGURES,
    SECTIONS,
    SOURCES,
    TABLES,
    gathered,
    lead,
    notes,
)
from radlatent.report.parts import on_page, render
from radlatent.report.planned import FITS_PHONE_IN

__all__ = ["holds_masks", "mask_report"]

_TITLE = "Quality of masks, and what it does to features"

#: The analysis draws so many pixels an inch.
_RESOLUTION_DPI = 150

#: Columns that are text whatever they look like.
_TEXT = ("model", "blocks", "endpoint", "metric", "method", "reference_model")

#: Figures that are wider have the page for themselves, in inches.
_WIDE_IN = 6.6

#: Without one of these a folder is not of an analysis of masks.
_NEEDED = ("experts_*.csv", "methods.csv")


def mask_report(folder: str | Path) -> Path:
    """Write ``index.html`` of an analysis of masks, and its tables for a journal.

    Parameters
    ----------
    folder
        What ``analyses/acdc_mask_quality`` wrote: ``tables/*.csv`` and
        ``figures/*.png``. What is not there is not shown.

    Returns
    -------
    pathlib.Path
        ``index.html``: self-contained, it can be mailed. The tables as it prints them
        lie in ``publication/``, as CSV and LaTeX.

    Raises
    ------
    FileNotFoundError
        The folder holds no table of such an analysis.
    SchemaError
        A table or figure of the analysis does not have its written form.
    """
    folder = Path(folder)
    if not holds_masks(folder):
        msg = (
            f"{folder / 'tables'} holds none of {list(_NEEDED)}, so no analysis of "
            "masks wrote there. Make them with analyses/acdc_mask_quality/compute.py."
        )
        raise FileNotFoundError(msg)
    names = _names(folder / "tables")
    data = gathered(_read(folder / "tables", names))
    shown = {"tables": _printed(data, folder), "figures": _pictures(data, folder)}
    filled = {one["section"] for one in shown["tables"] + shown["figures"]}
    page = folder / "index.html"
    text = render(
        "mask_page.html",
        title=_TITLE,
        lead=lead(data),
        notes=notes(data),
        sections={name: title for name, title in SECTIONS.items() if name in filled},
        hashes={name: file_hash(folder / "tables" / name) for name in names},
        **shown,
    )
    page.write_text(text, "utf-8")
    return page


def holds_masks(folder: Path) -> bool:
    """Return whether a folder is that of an analysis of masks.

    Parameters
    ----------
    folder
        Any folder, or none.
    """
    return any([*(folder / "tables").glob(pattern)] for pattern in _NEEDED)


def _names(folder):
    """Return the files that the page reads, those of a pattern by name."""
    return [path.name for pattern in SOURCES for path in sorted(folder.glob(pattern))]


def _read(folder, names):
    found = {}
    for name in names:
        try:
            text = dict.fromkeys(_TEXT, str)
            found[Path(name).stem] = pd.read_csv(
                folder / name, dtype=text, keep_default_na=False, na_values=[""]
            )
        except pd.errors.EmptyDataError as error:
            msg = f"{folder / name} is empty. Run the analysis again."
            raise SchemaError(msg) from error
    return found


def _printed(data, folder):
    """Write every table; return what the page prints of each."""
    out = folder / "publication"
    out.mkdir(exist_ok=True)
    shown = []
    for table in TABLES:
        # of an earlier page
        for kind in ("csv", "tex"):
            (out / f"{table.name}.{kind}").unlink(missing_ok=True)
        source = table.source or table.name
        if source not in data:
            continue
        try:
            text = table.print(data[source])
        except KeyError as error:
            msg = (
                f"{folder / 'tables'}: the table of {source!r} lacks {error}. Run the "
                "analysis again."
            )
            raise SchemaError(msg) from error
        shown += on_page(table, text, out)
    return shown


def _pictures(data, folder):
    """Return what the page needs of each figure that was drawn."""
    shown = []
    for picture in FIGURES:
        path = folder / "figures" / f"{picture.name}.png"
        if not path.is_file():
            continue
        png = path.read_bytes()
        if png[:8] != b"\x89PNG\r\n\x1a\n" or len(png) < 24:
            msg = f"{path} is no PNG. Draw the figure again."
            raise SchemaError(msg)
        width = int.from_bytes(png[16:20], "big") / _RESOLUTION_DPI
        kind = "wide" if width > _WIDE_IN else ""
        about = {
            "name": picture.name,
            "section": picture.section,
            "caption": picture.caption(data),
            "png": base64.b64encode(png).decode("ascii"),
        }
        shown.append(about | {"kind": "fits" if width <= FITS_PHONE_IN else kind})
    return shown
