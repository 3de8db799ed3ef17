"""Which rows of a table can be drawn: a table enters, the rows with numbers leave."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from radlatent.errors import SchemaError

__all__ = ["drawable", "missing_text"]


def drawable(
    table: pd.DataFrame, numbers: Sequence[str], names: Sequence[str] = ()
) -> pd.DataFrame:
    """Return the rows of a table that have what a figure draws.

    Parameters
    ----------
    table
        Any table.
    numbers, names
        Columns that must be there and known in a row; the former are finite numbers.

    Raises
    ------
    SchemaError
        A column is missing or not numeric, or no row is left.
    """
    absent = [name for name in (*numbers, *names) if name not in table]
    if absent:
        msg = f"the table lacks {absent}; it has {list(table)}."
        raise SchemaError(msg)
    texts = [name for name in numbers if not pd.api.types.is_numeric_dtype(table[name])]
    if texts:
        kinds = {name: str(table[name].dtype) for name in texts}
        msg = f"columns {kinds} of the table are not numeric. Give numbers."
        raise SchemaError(msg)
    known = table[[*names]].notna()
    for name in numbers:
        known[name] = np.isfinite(table[name].to_numpy(float, na_value=np.nan))
    rows = table[known.all(axis=1)]
    if rows.empty:
        msg = (
            f"no row of the table can be drawn: of {len(table)} rows, so many have a "
            f"value: {known.sum().to_dict()}. Give a row that has all of them."
        )
        raise SchemaError(msg)
    return rows


def missing_text(table: pd.DataFrame, rows: pd.DataFrame) -> str:
    """Return a line that says how many rows of a table are not drawn, or nothing."""
    missing = len(table) - len(rows)
    return f"\n{missing:,} without a value" if missing else ""
