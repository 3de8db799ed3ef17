"""The page of this analysis: its folder enters, one page is added.

Everything is read from disk; no statistic is computed.
"""

from pathlib import Path

import pandas as pd
from mask_sections import FIGURES, SECTIONS, SOURCES, TABLES, gathered, lead, notes

from radlatent.errors import SchemaError
from radlatent.report import Picture, page_of

__all__ = ["mask_report"]

_TITLE = "Quality of masks, and what it does to features"

#: Without one of these a folder is not of this analysis.
_NEEDED = ("experts_*.csv", "methods.csv")

#: Columns that are text whatever they look like.
_TEXT = ("model", "blocks", "endpoint", "metric", "method", "reference_model")


def mask_report(folder: str | Path) -> Path:
    """Write ``index.html`` of the analysis, and its tables for a journal.

    Parameters
    ----------
    folder
        What ``compute.py`` wrote: ``tables/*.csv`` and ``figures/*.png``. What is not
        there is not shown.

    Returns
    -------
    pathlib.Path
        ``index.html``, as of `radlatent.report.page_of`.

    Raises
    ------
    FileNotFoundError
        The folder holds no table of the analysis.
    SchemaError
        A table or figure of the analysis does not have its written form.
    """
    folder = Path(folder)
    tables = folder / "tables"
    if not any([*tables.glob(pattern)] for pattern in _NEEDED):
        msg = (
            f"{tables} holds none of {list(_NEEDED)}, so no analysis of masks wrote "
            "there. Make them with compute.py."
        )
        raise FileNotFoundError(msg)
    data = gathered(_read(tables))
    for table in TABLES:
        # of an earlier page
        for kind in ("csv", "tex"):
            path = folder / "publication" / f"{table.name}.{kind}"
            path.unlink(missing_ok=True)
    return page_of(
        folder,
        _TITLE,
        sections=SECTIONS,
        tables=_printed(data, tables),
        figures=[Picture(p.name, p.section, p.caption(data)) for p in FIGURES],
        notes=notes(data),
        lead=lead(data),
    )


def _read(folder):
    """Return the tables that the page reads, those of a pattern by name."""
    found, text = {}, dict.fromkeys(_TEXT, str)
    options = {"dtype": text, "keep_default_na": False, "na_values": [""]}
    for path in (path for pattern in SOURCES for path in sorted(folder.glob(pattern))):
        try:
            found[path.stem] = pd.read_csv(path, **options)
        except pd.errors.EmptyDataError as error:
            msg = f"{path} is empty. Run the analysis again."
            raise SchemaError(msg) from error
    return found


def _printed(data, folder):
    """Yield each table that is there, with what it prints."""
    for table in TABLES:
        source = table.source or table.name
        if source not in data:
            continue
        try:
            yield table, table.print(data[source])
        except KeyError as error:
            msg = f"{folder}: the table of {source!r} lacks {error}. Run compute.py."
            raise SchemaError(msg) from error
