"""Join **features** tables side by side and choose columns by block.

Features tables enter, one features table leaves. The block is the part of a column
name before the first ``__``; it says where a column came from.
"""

import logging
from collections import Counter
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import reduce

import pandas as pd

from radlatent.errors import SchemaError
from radlatent.features.origin import keep_origins
from radlatent.schema import check_features, nearest, split_column

__all__ = [
    "block_coverage",
    "columns_that_fit",
    "has_values",
    "join",
    "select_blocks",
]

_log = logging.getLogger(__name__)


def join(*tables: pd.DataFrame, how: str = "inner") -> pd.DataFrame:
    """Return the tables side by side, one row a case or a patient.

    Parameters
    ----------
    tables
        **features** tables, all indexed by ``case_id`` or all by ``patient_id``.
    how
        "inner" keeps the rows that every table has, the complete ones, and logs how
        many each table loses; "outer" keeps every row, NaN where a table lacks it,
        which models fill from their training patients. ``block_coverage`` counts both.

    Raises
    ------
    SchemaError
        The indexes differ in kind, a column is in two tables, or no row is common.
    """
    if how not in ("inner", "outer"):
        msg = f"how={how!r} is not one of 'inner', 'outer'."
        raise SchemaError(msg)
    _check_joinable(tables)
    if how == "inner":
        index = tables[0].index[
            reduce(lambda kept, t: kept & tables[0].index.isin(t.index), tables, True)
        ]
    else:
        index = reduce(lambda a, b: a.union(b, sort=False), (t.index for t in tables))
    if index.empty:
        msg = (
            f"join: no {index.name} is in all of the {len(tables)} tables. "
            "Check that the tables are of one cohort, or use how='outer'."
        )
        raise SchemaError(msg)
    _log_losses(tables, index)
    joined = tables[0].reindex(index)
    for table in tables[1:]:
        joined = joined.join(table)
    return keep_origins(joined, *tables)


def _check_joinable(tables):
    if not tables:
        msg = "join: no table was given. Give one features table or more."
        raise SchemaError(msg)
    for table in tables:
        check_features(table)
    names = list(dict.fromkeys(table.index.name for table in tables))
    if len(names) > 1:
        msg = (
            f"join: some tables are indexed by {names[0]!r}, others by {names[1]!r}. "
            "Bring the cases to patients with aggregate first."
        )
        raise SchemaError(msg)
    counts = Counter(column for table in tables for column in table)
    shared = [column for column, count in counts.items() if count > 1]
    if shared:
        msg = (
            f"join: {len(shared)} columns are in more than one table: {shared[:5]}. "
            "Rename the block of one of them."
        )
        raise SchemaError(msg)


def _log_losses(tables, index):
    lost = [len(table) - table.index.isin(index).sum() for table in tables]
    if any(lost):
        losses = "; ".join(
            f"table {number} loses {count} of {len(table)}"
            for number, (count, table) in enumerate(
                zip(lost, tables, strict=True), start=1
            )
        )
        _log.info("join keeps %d rows: %s", len(index), losses)


def select_blocks(features: pd.DataFrame, blocks: str | Iterable[str]) -> pd.DataFrame:
    """Return the columns of the named blocks, in the order of the table.

    Parameters
    ----------
    features
        A **features** table.
    blocks
        A name or several, each a block or a pattern such as ``"*_handcrafted"``; one
        with ``__`` is a column, or a pattern of columns.

    Raises
    ------
    SchemaError
        A name or a pattern fits no block, or no column.

    Examples
    --------
    >>> import pandas as pd
    >>> index = pd.Index(["p1"], name="patient_id")
    >>> features = pd.DataFrame({"ct_latent__mu0": 0.1, "clinical__age": 61.0}, index)
    >>> list(select_blocks(features, "*_latent"))
    ['ct_latent__mu0']
    """
    chosen = columns_that_fit(check_features(features).columns, blocks)
    return keep_origins(features[chosen], features)


def columns_that_fit(columns: Iterable[str], blocks: str | Iterable[str]) -> list[str]:
    """Return the names of columns that `select_blocks` keeps, in their order.

    Parameters
    ----------
    columns
        Of a **features** table.
    blocks
        As in `select_blocks`.

    Raises
    ------
    SchemaError
        A name or a pattern fits no block, or no column.
    """
    patterns = [blocks] if isinstance(blocks, str) else list(blocks)
    block_of = {column: split_column(column)[0] for column in columns}
    # blocks have no "__", so that a pattern with it can only mean columns
    fits = {
        pattern: {
            column
            for column, block in block_of.items()
            # a name may hold what a pattern would read as one, "Ki-67 [%]"
            if pattern == column
            or fnmatchcase(column if "__" in pattern else block, pattern)
        }
        for pattern in patterns
    }
    unknown = [pattern for pattern, columns in fits.items() if not columns]
    if unknown or not patterns:
        blocks = list(dict.fromkeys(block_of.values()))
        single = bool(unknown) and "__" in unknown[0]
        hint = nearest(unknown[0], block_of if single else blocks) if unknown else ""
        what = "column" if single else "block"
        msg = f"no {what} fits {unknown}{hint} (the table has the blocks {blocks})."
        raise SchemaError(msg)
    chosen = set().union(*fits.values())
    return [column for column in block_of if column in chosen]


def has_values(table: pd.DataFrame) -> pd.Series:
    """Return for each row of a **features** table whether it has any value."""
    return table.notna().any(axis=1)


def block_coverage(features: pd.DataFrame) -> pd.DataFrame:
    """Return how many patients have which blocks.

    Parameters
    ----------
    features
        A **features** table. A patient has a block who has any value in it.

    Returns
    -------
    DataFrame
        A row for each pattern of blocks that occurs, named ``ct + pet``, the most
        frequent first, and a row ``all``, the sum; a column for each block with its
        patients, and ``n`` with all of the row, counts of rows of ``features``. In the
        row ``none`` are patients without any value.

    Examples
    --------
    >>> index = pd.Index(["p1", "p2", "p3"], name="patient_id")
    >>> ct = pd.DataFrame({"ct__x": [0.1, 0.2, 0.3]}, index)
    >>> pet = pd.DataFrame({"pet__x": [0.4]}, index[:1])
    >>> block_coverage(join(ct, pet, how="outer"))
              ct  pet  n
    pattern
    ct         2    0  2
    ct + pet   1    1  1
    all        3    1  3
    """
    blocks = list(dict.fromkeys(split_column(c)[0] for c in check_features(features)))
    there = pd.DataFrame({b: has_values(select_blocks(features, b)) for b in blocks})
    counts = there.astype("int64").assign(n=1)
    patterns = [" + ".join(row.index[row]) or "none" for _, row in there.iterrows()]
    table = counts.groupby(pd.Index(patterns, name="pattern"), sort=False).sum()
    table = table.sort_values("n", ascending=False, kind="stable")
    table.loc["all"] = counts.sum()
    return table
