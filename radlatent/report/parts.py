"""What pages share: tables as files and as rows, and the templates.

Tables of text enter; files, rows and HTML leave.
"""

import importlib.resources
from collections.abc import Sequence
from pathlib import Path

import jinja2
import numpy as np
import pandas as pd

from radlatent.outputs import replace_text
from radlatent.report.latex import latex
from radlatent.report.sections import Table
from radlatent.report.tables import pieces
from radlatent.schema import inert

__all__ = ["environment", "on_page", "render", "write_printed"]

#: Columns of a line of LaTeX beside the keys; one of the page holds more.
_NARROW = 3

#: Characters of a cell after which its line is broken, and of a line of the page.
_LINE, _PAGE = 22, 132

#: Width of the gap between two columns, in characters.
_GAP = 1.7


def write_printed(
    table: pd.DataFrame,
    path: Path,
    caption: str,
    cut: Sequence[pd.DataFrame] | None = None,
) -> None:
    """Write a table as CSV, and as LaTeX cut to the width of a page.

    Parameters
    ----------
    table
        Text and numbers that are already rounded.
    path
        Without an ending: ``.csv`` and ``.tex`` are written.
    caption
        What stands above it.
    cut
        The tables that it is printed as; None prints it whole.
    """
    csv = inert(table).to_csv(index=False, lineterminator="\n")
    replace_text(f"{path}.csv", csv)
    parts = [
        latex(part, caption=caption, label=f"tab:{path.name}-{number}")
        for number, part in enumerate(cut or [table], start=1)
    ]
    replace_text(path.with_suffix(".tex"), "\n".join(parts))


def on_page(table: Table, text: pd.DataFrame, folder: Path) -> list[dict]:
    """Write what a table prints, and return what a page needs of its pieces.

    Parameters
    ----------
    table
        Its plan.
    text
        What it prints.
    folder
        Where ``<name>.csv`` and ``<name>.tex`` are written.

    Returns
    -------
    list of dict
        ``name, section, caption, columns, rows, wide`` of each piece; a table without a
        row has none.
    """
    n_keys = table.n_keys
    if not isinstance(n_keys, int):
        n_keys = sum(name in n_keys for name in text)
    narrow = pieces(text, n_keys, min(_NARROW, table.at_most))
    caption = table.captioned(text)
    write_printed(text, folder / table.name, caption, narrow)
    return [
        {
            "name": table.name if number == 0 else f"{table.name}-{number + 1}",
            "section": table.section,
            "caption": caption + (" Continued." if number else ""),
            "columns": list(part),
            "rows": part.astype(object).where(part.notna(), "–").to_numpy(),
            "wide": _is_wide(part),
        }
        for number, part in enumerate(pieces(text, n_keys, table.at_most))
        if len(part)
    ]


def _is_wide(part):
    """Whether a table fits the page only if intervals stand below their estimates."""
    longest = part.astype(str).apply(lambda column: column.str.len().max())
    # a header is broken between words
    words = [max(map(len, str(name).split())) for name in part]
    width = np.maximum(longest.clip(upper=_LINE), words) + _GAP
    return bool(width.sum() > _PAGE)


def render(template: str, **values) -> str:
    """Return a page.

    Parameters
    ----------
    template
        A file of ``templates/``.
    **values
        What it names; texts are escaped.
    """
    return environment().get_template(template).render(**values)


def environment() -> jinja2.Environment:
    """Return the templates; what they name is escaped."""
    here = importlib.resources.files("radlatent.report") / "templates"
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (here / name).read_text("utf-8")),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
