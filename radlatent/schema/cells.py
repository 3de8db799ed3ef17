"""Text in CSV files that a spreadsheet would execute, and back.

A table enters, one that is safe to open in a spreadsheet leaves: a text that begins as
a formula does gets an apostrophe in front, which makes it text there. What radlatent
reads loses it again, so that ids stay what they were.

References
----------
OWASP, "CSV Injection", owasp.org/www-community/attacks/CSV_Injection
"""

import re

import pandas as pd

__all__ = ["inert", "meant"]

#: ``'=1`` gets another one, so that reading tells the two apart.
_STARTS = re.compile(r"'*[=+\-@\t\r]")
_WRITTEN = re.compile(r"'+[=+\-@\t\r]")

_NUMBER = r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?%?"
#: Numbers, and numbers with their interval: no formula, and printed in every report.
_HARMLESS = re.compile(
    rf"[-+]?(inf|nan)|{_NUMBER}( ?[(\[]{_NUMBER}( ?(,|;|to|–) ?{_NUMBER})?[)\]])?", re.I
)


def inert(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose texts a spreadsheet does not take for formulas.

    Parameters
    ----------
    table
        To be written as CSV. Numbers stay, also those in texts; index and names of
        columns are treated as cells are.

    Examples
    --------
    >>> inert(pd.DataFrame({"x": ["=1+1", "-0.5", "a"]}))["x"].tolist()
    ["'=1+1", '-0.5', 'a']
    """
    made = table.copy()
    for place, (_, column) in enumerate(table.items()):
        if _is_text(column.dtype):
            made.isetitem(place, column.astype(object).map(_inert))
    if isinstance(table.index, pd.MultiIndex) or _is_text(table.index.dtype):
        made.index = table.index.map(_inert_label)
        made.index.names = table.index.names
    made.columns = pd.Index([_inert_label(name) for name in table.columns])
    return made


def meant(text: str) -> str:
    """Return the text that `inert` was given.

    Examples
    --------
    >>> meant("'=1+1"), meant("'s-Hertogenbosch")
    ('=1+1', "'s-Hertogenbosch")
    """
    return text[1:] if _WRITTEN.match(text) else text


def _is_text(dtype):
    return (
        pd.api.types.is_object_dtype(dtype)
        or isinstance(dtype, pd.CategoricalDtype)
        or pd.api.types.is_string_dtype(dtype)
    )


def _inert(cell):
    if isinstance(cell, str) and _STARTS.match(cell) and not _HARMLESS.fullmatch(cell):
        return f"'{cell}"
    return cell


def _inert_label(label):
    if isinstance(label, tuple):
        return tuple(map(_inert, label))
    return _inert(label)
