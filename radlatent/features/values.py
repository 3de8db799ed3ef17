"""What pandas holds, as tables hold it: ids and classes are text, columns are floats.

Indexes and columns of any type enter; text or float64 leaves, or what cannot be made of
them. One set of rules for a cohort's files and for frames of one's own.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd

__all__ = [
    "MISSING_WORDS",
    "MOST_CATEGORIES",
    "as_floats",
    "as_texts",
    "class_faults",
    "indicators",
    "text_index",
]

#: Texts that somebody wrote for "not known"; each would be a class of its own.
MISSING_WORDS = frozenset(
    {"na", "n/a", "#n/a", "nan", "null", "none", "<na>", ".", "?", "-"}
)

#: More different texts than these are ids or free text, not categories.
MOST_CATEGORIES = 20

#: More different numbers than these are no classes any more.
_MOST_NUMBERS = 10


def _text(value):
    """Return one value as text: 1.0 is 1, as spreadsheets and missing cells make it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    if isinstance(value, float | np.floating):
        return repr(float(value))
    return str(value)


def as_texts(values: pd.Series) -> pd.Series:
    """Return values as text; None where one is missing or blank.

    Examples
    --------
    >>> as_texts(pd.Series([1.0, np.nan, 2.0])).tolist()
    ['1', None, '2']
    """
    cells = values.astype(object)
    blank = cells.isna() | cells.map(lambda v: isinstance(v, str) and not v.strip())
    texts = cells[~blank].map(_text).reindex(cells.index) if len(cells) else cells
    return texts.where(~blank, None)


def text_index(index: pd.Index) -> pd.Index:
    """Return ids of patients as text, named ``patient_id`` unless they have a name."""
    if not all(isinstance(value, str) for value in index):
        index = pd.Index([_text(value) for value in index], name=index.name)
    return index.rename(index.name or "patient_id")


def class_faults(classes: Iterable[str]) -> list[str]:
    """Return what is wrong with the names of classes, a text a fault.

    Parameters
    ----------
    classes
        The distinct names.

    Notes
    -----
    Names that differ only in case, in blanks or in the format of a number ("1", "01"
    and "1.0") are one class to whoever wrote them, and several to a model. More than
    ten different numbers are a continuous outcome.
    """
    names, problems = sorted(set(classes)), []
    alike = {}
    for name in names:
        alike.setdefault(_plain(name), []).append(name)
    for group in alike.values():
        if len(group) > 1:
            problems.append(
                f"classes {group} differ only in case, blanks or the format of a "
                "number: write one of them everywhere"
            )
    words = [name for name in names if name.strip().lower() in MISSING_WORDS]
    if words:
        problems.append(
            f"{words} would be a class of its own: leave the cell empty where the "
            "outcome is not known, or rename the class"
        )
    numbers = pd.to_numeric(pd.Series(names, dtype=object), errors="coerce")
    if len(names) > _MOST_NUMBERS and numbers.notna().all():
        problems.append(
            f"{len(names)} different numbers are a continuous outcome: say so, with "
            "kind: continuous in a study or cohort.yml, or with Endpoint.continuous"
        )
    return problems


def _plain(name):
    text = " ".join(name.split()).casefold()
    try:
        return float(text)
    except ValueError:
        return text


def as_floats(values: pd.Series) -> pd.Series | None:
    """Return a column as float64, missing as NaN; None of what is no number.

    Yes and no (bool) are 1 and 0; text that holds numbers throughout is numbers.
    """
    if pd.api.types.is_datetime64_any_dtype(values) or values.dtype.kind in "mcM":
        return None
    if pd.api.types.is_numeric_dtype(values):
        return pd.Series(values.to_numpy(float, na_value=np.nan), values.index)
    cells = values.astype(object)
    known = cells[as_texts(values).notna()]
    if not known.map(lambda v: isinstance(v, str | int | float | np.number)).all():
        return None
    # "nan" and "inf" are words here
    if known.map(lambda v: isinstance(v, str) and v.strip()[-1].isalpha()).any():
        return None
    numbers = pd.to_numeric(known, errors="coerce")
    if numbers.isna().any():
        return None
    return numbers.astype(float).reindex(cells.index)


def indicators(values: pd.Series) -> pd.DataFrame:
    """Return a column of text as columns of 1 and 0, NaN where it is missing.

    Parameters
    ----------
    values
        Text, named as its column; of a categorical, all categories have a column.

    Returns
    -------
    DataFrame
        ``<name>=<category>`` for each category in sorted order; of two categories the
        last alone, since it says the other.

    Notes
    -----
    Nothing is fitted: a model inside a fold drops the columns that do not vary among
    its training patients, and a patient of a category that it never saw has 0 in all
    others. That is what an encoder inside the fold with ``handle_unknown="ignore"``
    gives.
    """
    texts = as_texts(values)
    if isinstance(values.dtype, pd.CategoricalDtype):
        known = as_texts(pd.Series(values.cat.categories)).dropna().tolist()
    else:
        known = sorted(texts.dropna().unique())
    shown = known[1:] if len(known) == 2 else known
    table = {f"{values.name}={one}": (texts == one).astype(float) for one in shown}
    return pd.DataFrame(table, index=values.index).where(texts.notna(), np.nan)
