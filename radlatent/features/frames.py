"""A frame of one's own, or a file of an embedding, as a **features** table.

Columns of any type that pandas holds enter; float64 columns ``<block>__<name>`` by
``patient_id`` leave, and the log says what was done to them. Of a network outside this
library a file with a row a case enters, and the table tells whom that was trained on,
or that nobody knows. No network is run here.
"""

import logging
import re
from fnmatch import fnmatchcase
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from radlatent.errors import SchemaError
from radlatent.features.origin import (
    FITTED,
    UNKNOWN,
    declare_fitted_on,
    mark_measured,
)
from radlatent.features.typed import by_patient
from radlatent.features.values import (
    MOST_CATEGORIES,
    as_floats,
    as_texts,
    indicators,
    text_index,
)
from radlatent.schema import check_features

__all__ = ["features_of", "read_embedding"]

_log = logging.getLogger(__name__)

#: What may name the rows of an embedding.
_IDS = ("case_id", "patient_id")

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


def read_embedding(
    path: str | Path,
    *,
    block: str,
    encoded: str,
    fitted_on: str = UNKNOWN,
    patients: tuple[str, ...] = (),
) -> pd.DataFrame:
    """Return a **features** table of an embedding that another program has written.

    Parameters
    ----------
    path
        ``.parquet`` or ``.csv`` with a column, or index, ``case_id`` or ``patient_id``
        and numbers in all others; ``.npz`` with one array of that name, shape (n,), and
        one of numbers, shape (n, n_columns).
    block
        Becomes the first part of the names: ``ct_fm__0``.
    encoded
        Name of the cohort of the rows.
    fitted_on
        Name of the cohort that the network was trained on. "unknown" where nobody can
        say whether it has seen these patients: legal, and printed wherever origins are.
    patients
        ``patient_id`` of those it was trained on, if they are of the cohort of the
        rows.

    Raises
    ------
    SchemaError
        The file has another form, an id is there twice, or a value is infinite or no
        number.

    Notes
    -----
    A row without any value, of a case that the network failed on, stays as NaN. Where a
    file has both ids, rows are those of ``case_id`` and ``patient_id`` is left out.
    """
    _check_block(block)
    path = Path(path)
    readers = {".parquet": pd.read_parquet, ".csv": _csv, ".npz": _npz}
    if path.suffix not in readers:
        msg = f"{path}: embeddings are read from {[*readers]}, not {path.suffix!r}."
        raise SchemaError(msg)
    frame = readers[path.suffix](path)
    named = [name for name in _IDS if name in (frame.index.name, *frame.columns)]
    if not named:
        msg = f"{path}: no column or index is called one of {list(_IDS)}."
        raise SchemaError(msg)
    if frame.index.name != named[0]:
        frame = frame.set_index(named[0])
    others = [name for name in frame.columns if name not in _IDS]
    floats = {name: as_floats(frame[name]) for name in others}
    odd = [name for name, got in floats.items() if got is None or np.isinf(got).any()]
    if odd or not floats:
        msg = f"{path}: columns {odd[:5]} are not numbers, or there is none."
        raise SchemaError(msg)
    table = pd.concat(floats, axis=1).add_prefix(f"{block}__")
    table.index = text_index(table.index).rename(named[0])
    return declare_fitted_on(
        check_features(table),
        block,
        cohort=fitted_on,
        patients=patients,
        encoded=encoded,
    )


def _csv(path):
    # ids as text: 007 is not 7
    frame = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""])
    numbers = [name for name in frame if name not in _IDS]
    try:
        return frame.astype(dict.fromkeys(numbers, "float64"))
    except ValueError:  # which column, the caller says
        return frame


def _npz(path):
    try:
        with np.load(path, allow_pickle=False) as arrays:
            parts = {name: arrays[name] for name in arrays.files}
    except (BadZipFile, OSError, ValueError) as error:
        raise SchemaError(f"{path}: no npz file of plain arrays: {error}.") from error
    ids = [name for name in _IDS if name in parts and parts[name].ndim == 1]
    values = [name for name, array in parts.items() if array.ndim == 2]
    shapes = {name: array.shape for name, array in parts.items()}
    if len(ids) != 1 or len(values) != 1:
        msg = (
            f"{path} holds {shapes}; give one array 'case_id' or 'patient_id', shape "
            "(n,), and one of numbers, shape (n, n_columns)."
        )
        raise SchemaError(msg)
    if len(parts[ids[0]]) != len(parts[values[0]]):
        raise SchemaError(f"{path} has not as many ids as rows: {shapes}.")
    index = pd.Index(parts[ids[0]].astype(str), name=ids[0])
    return pd.DataFrame(parts[values[0]], index)
