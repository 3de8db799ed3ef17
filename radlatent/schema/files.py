"""Tables to disk and back: Parquet between stages, CSV for people.

A table and a path enter, a file leaves; a file enters, the table leaves, checked.
"""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Protocol

import pandas as pd

from radlatent.errors import SchemaError
from radlatent.outputs import replace_file, replace_text
from radlatent.schema.cells import inert, meant
from radlatent.schema.registry import TABLES
from radlatent.schema.tables import check_features, check_table

__all__ = ["read_features", "read_run", "write_extraction", "write_run", "write_table"]


class Measured(Protocol):
    """What an extraction returns, of whatever engine."""

    features: pd.DataFrame
    failures: pd.DataFrame
    provenance: pd.DataFrame


def read_features(path: str | Path) -> pd.DataFrame:
    """Return a **features** table from a Parquet or CSV file, checked.

    Parameters
    ----------
    path
        What `write_extraction` wrote, or any table of that form. What a CSV file
        cannot hold is read from ``x.attrs.json`` beside it, where that is.

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
        table = table.set_index(table.columns[0]).astype("float64")
        table = table.rename(index=meant, columns=meant)
        beside = path.with_suffix(".attrs.json")
        if beside.is_file():
            table.attrs = json.loads(beside.read_text("utf-8"))
        return check_features(table)
    msg = f"{path}: features are read from .parquet or .csv, not {path.suffix!r}."
    raise SchemaError(msg)


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as Parquet or CSV, by its suffix, whole or not at all.

    In CSV, texts that a spreadsheet would execute get an apostrophe in front (`inert`).

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
    if path.suffix == ".parquet":
        replace_file(path, table.to_parquet)
        return
    index, safe = table.index.name is not None, inert(table)
    replace_file(path, lambda part: safe.to_csv(part, index=index, lineterminator="\n"))


def write_extraction(extraction: Measured, out: str | Path) -> None:
    """Write a features table, with its failures and provenance beside it.

    Parameters
    ----------
    extraction
        What `extract` returned.
    out
        ``x.parquet`` or ``x.csv``; ``x.failures.csv`` and ``x.provenance.csv`` lie
        beside it and, of a CSV file whose table has ``attrs``, ``x.attrs.json``.
    """
    out = Path(out)
    attrs, beside = extraction.features.attrs, out.with_suffix(".attrs.json")
    # first: a table without what it tells could be tested on anybody
    beside.unlink(missing_ok=True)
    if attrs and out.suffix == ".csv":
        out.parent.mkdir(parents=True, exist_ok=True)
        replace_text(beside, json.dumps(attrs, indent=2) + "\n")
    write_table(extraction.features, out)
    write_table(extraction.failures, out.with_suffix(".failures.csv"))
    write_table(extraction.provenance, out.with_suffix(".provenance.csv"))


def write_run(tables: Mapping[str, pd.DataFrame], folder: Path) -> None:
    """Write tables of a run as ``<name>.parquet``, each checked.

    Parameters
    ----------
    tables
        Name in `TABLES` to table.
    folder
        ``data/`` of the run folder.

    Raises
    ------
    SchemaError
        A table is not known, or does not have its form.
    """
    for name, table in tables.items():
        check_table(table, name)
        kept = table if TABLES[name].index else table.reset_index(drop=True)
        write_table(kept, folder / f"{name}.parquet")
        # of a run of 0.1 in this folder: two tables of one name would be one too many
        for old in (f"{name}.csv", f"features.{name}.csv"):
            (folder / old).unlink(missing_ok=True)


def read_run(folder: Path, files: Collection[str]) -> dict[str, pd.DataFrame]:
    """Return the tables of a run by their names in `TABLES`, each checked.

    Parameters
    ----------
    folder
        ``data/`` of the run folder.
    files
        Files of the run; others that lie there are of another run. The features of
        cases are not read. Those of a run of 0.1 are CSV.

    Raises
    ------
    SchemaError
        A table is not known, or does not have its form.
    """
    tables = {}
    for file in files:
        path = Path(folder, file)
        name = path.stem.removeprefix("features.")
        # 0.1 wrote failures of the extraction by themselves, and into all failures
        if name == "features" or file == "features.failures.csv":
            continue
        table = pd.read_parquet(path) if path.suffix == ".parquet" else _csv(path, name)
        tables[name] = check_table(table, name)
    return tables


def _csv(path, name):
    """Return a table that 0.1 wrote, with the kinds that CSV does not tell."""
    kinds = {"string": str, "float": "float64", "number": "float64", "bool?": "boolean"}
    header = pd.read_csv(path, nrows=0).columns
    known = {column: TABLES[name].kind(column) for column in header}
    known |= dict.fromkeys(TABLES[name].index, "string")
    # a class may be called None or NA; only an empty cell is missing
    table = pd.read_csv(
        path,
        dtype={column: kinds[kind] for column, kind in known.items() if kind in kinds},
        keep_default_na=False,
        na_values=[""],
        float_precision="round_trip",
    )
    whole = [column for column, kind in known.items() if kind == "int"]
    table = table.astype(dict.fromkeys(whole, "int64"))
    return table.set_index(header[0]) if TABLES[name].index else table
