"""What a table or a figure of the page is: its file, its place, how it is made.

Nothing enters; the two kinds of plan leave, which ``sections`` fills.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from radlatent.report import tables

__all__ = ["Figure", "Table"]


@dataclass(frozen=True)
class Table:
    """A table of the page, and of ``tables/`` as CSV and LaTeX.

    Parameters
    ----------
    name
        Its file, and the table of the run that it is made of.
    section
        Where it stands.
    caption
        What it shows.
    print
        The table of the run enters, text leaves.
    n_keys
        A table that is too wide is cut into several; each repeats that many columns, or
        those of these names.
    at_most
        Further columns of each.
    source
        The table of the run that it is made of, where that has another name.
    notes
        What the caption says besides, where the printed table has a column whose name
        begins so.
    """

    name: str
    section: str
    caption: str
    print: Callable[[pd.DataFrame], pd.DataFrame] = tables.plain
    n_keys: int | tuple[str, ...] = 0
    at_most: int = 4
    source: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)

    def captioned(self, text: pd.DataFrame) -> str:
        """Return the caption of what it prints, which tells of no other columns."""
        told = [
            note
            for start, note in self.notes.items()
            if any(str(column).startswith(start) for column in text)
        ]
        return " ".join([self.caption, *told])


@dataclass(frozen=True)
class Figure:
    """A kind of figure of the page, and of ``figures/`` as PNG and PDF.

    Parameters
    ----------
    name
        Its file; a number follows where there are several of the kind.
    section, caption
        As of a `Table`.
    source
        The table of the run that it is made of.
    draw
        Axes, the rows to draw and all tables of the run enter.
    size
        Rows enter, width and height in inches leave.
    keys
        One figure for each value of these columns, or of those that rows give.
    metric
        Only the rows of this metric are drawn; "first": of the first of the table.
    panels
        Whether many models get a panel each; ``draw`` then takes the style of a line.
    overlaid
        How many models are not many: of more, bands turn gray, and points hide points.
    of_patients
        Whether what is drawn is of the patients that models were tested on.
    """

    name: str
    section: str
    caption: str
    source: str
    draw: Callable[[Any, pd.DataFrame, Mapping], object]
    size: Callable[[pd.DataFrame], tuple] = lambda rows: (5, 4.6)
    keys: tuple[str, ...] | Callable[[pd.DataFrame], tuple] = ()
    metric: str = ""
    panels: bool = False
    overlaid: int = 4
    of_patients: bool = True
