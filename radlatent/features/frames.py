"""A frame of one's own as a **features** table.

Columns of any type that pandas holds enter; float64 columns ``<block>__<name>`` by
``patient_id`` leave, and the log says what was done to them.
"""

import logging
import re
from fnmatch import fnmatchcase

import numpy as np
import pandas as pd

from radlatent.errors import SchemaError
from radlatent.features.origin import FITTED, mark_measured
from radlatent.features.typed import by_patient
from radlatent.features.values import (
    MOST_CATEGORIES,
    as_floats,
    as_texts,
    indicators,
)
from radlatent.schema import check_features

__all__ = ["features_of"]

_log = logging.getLogger(__name__)

_BLOCK = re.compile(r"[A-Za-z0-9_.-]*?[A-Za-z0-9]")


def features_of(
    frame: pd.DataFrame, *, block: str, patients: str | None = None
) -> pd.DataFrame:
    """Return a **features** table of a frame that was measured, a row a patient.

    Parameters
    ----------
    frame
        Numbers, booleans, categories or text, a row a patient.
    block
        Becomes the first part of the names: ``clinical__age``.
    patients
        Column of the ids; None takes ``patient_id``, or else the index.

    Returns
    -------
    DataFrame
        Ids as text. Whole numbers, booleans and text that holds numbers are float64.
        Text of at most twenty categories is a column ``<name>=<category>`` for each, of
        two categories one (`radlatent.features.values.indicators`); give a pandas
        Categorical where another table has categories that this one lacks. The block is
        declared measured, unless it is called ``*_latent`` or the frame itself tells
        where it comes from.

    Raises
    ------
    SchemaError
        With every column that is neither numbers nor categories, such as dates and
        free text; or nothing says who the patients are, or one is there twice.

    Notes
    -----
    `radlatent.features` is this function.

    Examples
    --------
    >>> patients = pd.Index([1, 2, 3], name="patient_id")
    >>> frame = pd.DataFrame({"age": [61, 70, 55], "sex": ["F", "M", "F"]}, patients)
    >>> features_of(frame, block="clinical").loc["2"].to_dict()
    {'clinical__age': 70.0, 'clinical__sex=M': 1.0}
    """
    _check_block(block)
    table = by_patient(frame, patients)
    parts, problems, told = [], [], []
    for place, name in enumerate(table.columns):
        column = table.iloc[:, place].rename(_named(name, block))
        floats = as_floats(column)
        fault = _infinite(floats) if floats is not None else _no_categories(column)
        if fault:
            problems.append(f"{name!r} {fault}")
        elif floats is None:
            parts.append(indicators(column))
            told.append(f"{name!r} became {list(parts[-1])}")
        else:
            parts.append(floats.rename(column.name))
            objects = not pd.api.types.is_numeric_dtype(column)
            told += [f"{name!r} was text or objects, and is numbers"] * objects
    if problems or not parts:
        found = "; ".join(problems) or "the frame has no column"
        raise SchemaError(f"features of block {block!r}: {found}. Leave these out.")
    if told:
        _log.warning("features of block %r: %s", block, "; ".join(told))
    made = check_features(pd.concat(parts, axis=1))
    if fnmatchcase(block, FITTED) or frame.attrs:
        # what may have been fitted is asked for where it is tested
        made.attrs = frame.attrs
        return made
    return mark_measured(made)


def _check_block(block):
    if not _BLOCK.fullmatch(block) or "__" in block:
        msg = (
            f"block is {block!r}; take letters, digits, _ . and -, the last a letter "
            "or a digit, and no double underscore, which ends the block in names."
        )
        raise SchemaError(msg)


def _infinite(floats):
    return "holds infinite values" if np.isinf(floats).any() else ""


def _named(name, block):
    text = " ".join(str(name).split())
    return text if text.startswith(f"{block}__") else f"{block}__{text}"


def _no_categories(column):
    """Return why a column is neither numbers nor categories, or an empty text."""
    if column.dtype.kind in "mcM" or pd.api.types.is_datetime64_any_dtype(column):
        return "holds dates or times: give the years or days between two of them"
    texts = as_texts(column).dropna()
    if texts.empty:
        return "has no value"
    if texts.str.fullmatch(r"\s*[-+]?\d+,\d+\s*").any():
        return "has decimal commas"
    found = texts.unique()
    if len(found) > MOST_CATEGORIES and not isinstance(
        column.dtype, pd.CategoricalDtype
    ):
        return f"is text of {len(found)} different values, such as {found[:2].tolist()}"
    return ""
