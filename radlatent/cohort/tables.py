"""``cases.csv`` and ``endpoints.csv``: text in, typed columns out, every fault noted.

The frames of text that pass between the functions here keep the line of the file as
their index, so that a problem can name it.
"""

import csv
import difflib
import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from radlatent.cohort.problems import FileProblems, Problems
from radlatent.errors import LabelError
from radlatent.imaging import label_text, region_of
from radlatent.schema import meant

__all__ = [
    "check_columns",
    "parse_flags",
    "parse_labels",
    "parse_numbers",
    "read_text_table",
]

#: Labels of a mask lie between.
_LOWEST, _HIGHEST = 1, 65_535

_TRUE = {"1", "true", "yes", "y", "x"}
_FALSE = {"", "0", "false", "no", "n"}
_DECIMAL_COMMA = re.compile(r"^\s*[-+]?\d+,\d+\s*$")


def read_text_table(path: Path, problems: Problems) -> pd.DataFrame | None:
    """Return a CSV file as text, indexed by line, or None with the reason noted.

    Notes
    -----
    UTF-8 with or without a byte-order mark, any line ending, commas between fields. An
    apostrophe that keeps a spreadsheet from executing a cell is left out.
    """
    problems = problems.of(path.name)
    if not path.is_file():
        problems.add("the file is missing", f"Write it into {path.parent}")
        return None
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        problems.add(
            f"not UTF-8: byte 0x{error.object[error.start]:02x}",
            "Save the file as 'CSV UTF-8'",
            row=line,
        )
        return None
    if "\0" in text:
        problems.add(
            "the file holds NUL characters, as a file of another kind, or one that "
            "was damaged",
            "Save the file as 'CSV UTF-8'",
            row=text[: text.index("\0")].count("\n") + 1,
        )
        return None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [meant(name.strip()) for name in next(reader, [])]
        fault = _header_fault(header)
        if fault is None:
            return _rows(reader, header, problems)
        problems.add(*fault, row=1)
    except csv.Error as error:
        remedy = "Look for a quotation mark that is not closed"
        problems.add(f"not CSV ({error})", remedy, row=reader.line_num)
    return None


def _header_fault(header):
    """Return problem and remedy of a header, or None."""
    if not any(header):
        return "the file is empty", "Write the names of the columns in the first line"
    for separator, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and separator in header[0]:
            remedy = "Save the file with commas between fields and points in decimals"
            return f"fields are separated by {name}", remedy
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice or "" in header:
        what = f"columns {twice} occur twice" if twice else "a column has no name"
        return what, "Give every column a name of its own"
    return None


def _rows(reader, header, problems):
    rows, lines = [], []
    for row in reader:
        if not any(field.strip() for field in row):
            continue
        if len(row) != len(header):
            problems.add(
                f"{len(row)} fields where the header has {len(header)}",
                "Quote fields that hold a comma, and write decimals with a point",
                row=reader.line_num,
                value=",".join(row),
            )
            continue
        rows.append([meant(field.strip()) for field in row])
        lines.append(reader.line_num)
    return pd.DataFrame(rows, columns=header, index=pd.Index(lines, name="line"))


def check_columns(
    table: pd.DataFrame,
    known: Sequence[str],
    problems: FileProblems,
    *,
    required: Sequence[str] = (),
) -> None:
    """Note missing columns, and columns that look like a misspelling of a known one."""
    for column in required:
        if column not in table:
            problems.add(
                f"column {column!r} is missing; there are {list(table.columns)}",
                "Add the column",
                row=1,
                column=column,
            )
    absent = [name for name in known if name not in table]
    for column in table.columns:
        meant = _misspelled(column, absent) if column not in known else None
        if meant:
            problems.add(
                f"unknown column; did you mean {meant!r}?",
                "Rename the column",
                row=1,
                column=column,
            )


def _misspelled(column, absent):
    """Return the absent column that this name is a near miss of, or None.

    Nearer than `difflib`'s default: a column of the user's own is no misspelling.
    """
    close = difflib.get_close_matches(column.lower(), absent, n=1, cutoff=0.85)
    return close[0] if close else None


def parse_flags(texts: pd.Series, problems: FileProblems) -> pd.Series:
    """Return a column of yes / no as booleans."""
    lowered = texts.str.lower()
    for line in texts.index[~lowered.isin(_TRUE | _FALSE)]:
        problems.add(
            f"{texts[line]!r} is neither yes nor no",
            "Write 1 or 0",
            row=line,
            column=texts.name,
            value=texts[line],
        )
    return lowered.isin(_TRUE)


def parse_numbers(
    texts: pd.Series,
    problems: FileProblems,
    *,
    lowest: float | None = None,
    otherwise: str = "",
) -> pd.Series:
    """Return a column of numbers as floats, NaN where the cell is empty.

    Parameters
    ----------
    texts
        Series of text, named as its column, indexed by line.
    problems
        Grows by every cell that is no number, or too small a one.
    lowest
        Smallest value allowed.
    otherwise
        What else a column of text may be, after the remedy.
    """
    # pandas decides what is a number, but misses the last bit of many
    known = pd.to_numeric(texts, errors="coerce").notna()
    numbers = texts.astype(object).where(known, float("nan")).astype("float64")
    for line, text in texts.items():
        value = numbers[line]
        fault = _fault(text, value, lowest)
        if fault:
            problems.add(
                f"{text!r} {fault[0]}",
                fault[1] + (otherwise if fault[0] == "is not a number" else ""),
                row=line,
                column=texts.name,
                value=text,
            )
    return numbers


def parse_labels(texts: pd.Series, problems: FileProblems) -> pd.Series:
    """Return a column of labels and regions of several labels, missing where empty.

    Parameters
    ----------
    texts
        Series of text, named as its column, indexed by line: ``2``, or ``1+4``.
    problems
        Grows by every cell that is neither.

    Returns
    -------
    pandas.Series
        Whole numbers (Int64); where a cell names a region, text throughout, the labels
        of a region ascending.
    """
    found = {}
    for line, text in texts.items():
        try:
            found[line] = _label(text)
        except ValueError as fault:
            problems.add(
                f"{text!r} {fault}",
                "Write one label (2), the labels of one region (1+4), or nothing for "
                "every voxel above 0",
                row=line,
                column=texts.name,
                value=text,
            )
    column = pd.Series(found, texts.index, dtype=object)
    if any(isinstance(label, tuple) for label in found.values()):
        return column.map(label_text, na_action="ignore")
    return column.astype("Int64")


def _label(text):
    # spreadsheets write 2 as 2.0
    number = pd.to_numeric(text, errors="coerce") if text else float("nan")
    if pd.notna(number):
        if number in (float("inf"), float("-inf")):
            raise ValueError("is not a number")
        if number != int(number):
            raise ValueError("is not a whole number")
        label = int(number)
    else:
        try:
            label = region_of(text)
        except LabelError:
            raise ValueError("is no label") from None
    parts = [] if label is None else np.atleast_1d(label).tolist()
    if any(part < _LOWEST for part in parts):
        raise ValueError(f"is below {_LOWEST}")
    if any(part > _HIGHEST for part in parts):
        raise ValueError(f"is above {_HIGHEST}")
    return label


def _fault(text, value, lowest):
    if text == "":
        return None
    if _DECIMAL_COMMA.match(text):
        return "has a decimal comma", f"Write {text.strip().replace(',', '.')}"
    if pd.isna(value) or value in (float("inf"), float("-inf")):
        return "is not a number", "Write a number, or leave the cell empty"
    if lowest is not None and value < lowest:
        return f"is below {lowest}", "Correct the value, or leave the cell empty"
    return None
