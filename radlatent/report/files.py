"""Tables to disk and back: Parquet between stages, CSV for people."""

from pathlib import Path

import pandas as pd

from radlatent.errors import SchemaError
from radlatent.handcrafted import Extraction
from radlatent.schema import check_features

__all__ = ["read_features", "write_extraction", "write_table"]


def read_features(path: str | Path) -> pd.DataFrame:
    """Return a **features** table from a Parquet or CSV file, checked.

    Parameters
    ----------
    path
        What `write_extraction` wrote, or any table of that form.

    Raises
    ------
    SchemaError
        The file does not hold a features table.
    """
    path = Path(path)
    if path.suffix == ".parquet":
        return check_features(pd.read_parquet(path))
    if path.suffix == ".csv":
        # as text first: pandas rounds numbers, and takes an id "NA" for missing
        table = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""])
        table = table.set_index(table.columns[0])
        return check_features(table.astype("float64"))
    msg = f"{path}: features are read from .parquet or .csv, not {path.suffix!r}."
    raise SchemaError(msg)


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as Parquet or CSV, by its suffix, whole or not at all.

    Parameters
    ----------
    table
        Its index is written where it has a name.
    path
        Ends in ``.parquet`` or ``.csv``; missing folders are made.

    Raises
    ------
    SchemaError
        The path ends otherwise.
    """
    if path.suffix not in (".parquet", ".csv"):
        msg = f"{path}: tables are written as .parquet or .csv, not {path.suffix!r}."
        raise SchemaError(msg)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    if path.suffix == ".parquet":
        table.to_parquet(part)
    else:
        table.to_csv(part, index=table.index.name is not None, lineterminator="\n")
    part.replace(path)


def write_extraction(extraction: Extraction, out: str | Path) -> None:
    """Write a features table, with its failures and provenance beside it.

    Parameters
    ----------
    extraction
        What `extract` returned.
    out
        ``x.parquet`` or ``x.csv``; ``x.failures.csv`` and ``x.provenance.csv`` lie
        beside it.
    """
    out = Path(out)
    write_table(extraction.features, out)
    write_table(extraction.failures, out.with_suffix(".failures.csv"))
    write_table(extraction.provenance, out.with_suffix(".provenance.csv"))
