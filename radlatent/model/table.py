"""Columns of new patients, matched by name with those that a model was fitted on.

A table of new patients enters; an array in the order of training leaves, or an error
that names what is absent. To a table of predictions a remark can be added.
"""

import numpy as np
import pandas as pd

from radlatent.errors import SchemaError
from radlatent.features.values import as_floats, as_texts, text_index
from radlatent.schema import nearest

__all__ = ["CLINICAL", "match_columns", "of_patients", "with_remarks"]

#: The block of covariates.
CLINICAL = "clinical"


def of_patients(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table by ``patient_id`` as text; the ids may be a column.

    Raises
    ------
    SchemaError
        Nothing says who the patients are, or one is there twice.
    """
    if "patient_id" in table:
        table = table.set_index("patient_id")
    if table.index.name != "patient_id":
        msg = (
            f"the features are indexed by {table.index.name!r}, not 'patient_id'. "
            "Bring the cases to patients with aggregate first, or name the column."
        )
        raise SchemaError(msg)
    table = table.set_axis(text_index(table.index))
    twice = table.index[table.index.duplicated()].unique()
    if len(twice):
        msg = f"{len(twice)} patients are there more than once: {[*twice[:5]]}."
        raise SchemaError(msg)
    return table


def match_columns(
    table: pd.DataFrame, columns: list[str], needed: np.ndarray
) -> np.ndarray:
    """Return the values of new patients in the order of training, NaN is missing.

    Parameters
    ----------
    table
        By patient. Columns may be in another order, and there may be others. Of a
        category, ``clinical__sex=M``, the column may be ``clinical__sex`` as text, or
        follow from another category of it.
    columns
        Those of the model.
    needed
        Which of them have a say, (n_columns,): the others may be absent.

    Raises
    ------
    SchemaError
        Columns with a say are absent, or hold no numbers.
    """
    found, absent, odd = {}, [], []
    for name, needs in zip(columns, needed, strict=True):
        if name in table:
            values = as_floats(table[name])
        elif (values := _category(table, name)) is None:
            absent += [name] * bool(needs)
            continue
        if values is None:
            odd.append(name)
        else:
            found[name] = values
    problems = []
    if absent:
        hints = [f"{name!r}{nearest(name, [*table])}" for name in absent[:5]]
        problems.append(f"{len(absent)} columns are absent: {', '.join(hints)}")
    if odd:
        problems.append(f"{len(odd)} columns hold no numbers: {odd[:5]}")
    if problems:
        msg = f"the table does not fit the model: {'; '.join(problems)}."
        raise SchemaError(msg)
    matched = pd.DataFrame(found, table.index).reindex(columns=columns)
    return matched.to_numpy(dtype=np.float64)


def _category(table, name):
    """Return 1, 0 or missing of a category that has no column of its own, or None."""
    base, equals, category = name.rpartition("=")
    if not equals:
        return None
    if base in table:
        texts = as_texts(table[base])
        return (texts == category).astype(float).where(texts.notna(), np.nan)
    others = [c for c in table if isinstance(c, str) and c.startswith(f"{base}=")]
    if not others:
        return None
    # who is of another category is not of this one
    elsewhere = (table[others].to_numpy(float) == 1).any(axis=1)
    return pd.Series(np.where(elsewhere, 0.0, np.nan), table.index)


def with_remarks(said: pd.DataFrame, told: pd.Series) -> pd.DataFrame:
    """Return predictions with one more remark of some patients who are served.

    Parameters
    ----------
    said
        As of `FinalModel.predict`.
    told
        Text by patient, empty of the others.
    """
    before, served = said["remark"], said["refused"] == ""
    after = before.where(before == "", before + "; ") + told
    return said.assign(remark=before.mask(served & (told != ""), after))
