"""Tables to disk and back: Parquet between stages, CSV for people."""

import json
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from radlatent.errors import SchemaError
from radlatent.handcrafted import Extraction
from radlatent.records import replace_file
from radlatent.schema import (
    check_failures,
    check_features,
    check_metrics,
    check_predictions,
)

__all__ = ["read_features", "read_tables", "write_extraction", "write_table"]

#: Columns of the tables of a run that are text whatever they look like.
_TEXT_COLUMNS = (
    *("model", "blocks", "endpoint", "metric", "method", "class", "truth", "predicted"),
    *("reference_model", "reference_blocks", "patient_id", "group", "strategy"),
    *("case_id", "stage", "error", "message", "what", "modality", "name", "block"),
)

_INDEXED = ("flow", "extraction")
_CHECKS = {
    "failures": check_failures,
    "metrics": check_metrics,
    "predictions": check_predictions,
}


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
        beside = path.with_suffix(".attrs.json")
        if beside.is_file():
            table.attrs = json.loads(beside.read_text("utf-8"))
        return check_features(table)
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
    if path.suffix == ".parquet":
        replace_file(path, table.to_parquet)
        return
    index = table.index.name is not None
    replace_file(
        path, lambda part: table.to_csv(part, index=index, lineterminator="\n")
    )


def write_extraction(extraction: Extraction, out: str | Path) -> None:
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
        beside.write_text(json.dumps(attrs, indent=2) + "\n", "utf-8")
    write_table(extraction.features, out)
    write_table(extraction.failures, out.with_suffix(".failures.csv"))
    write_table(extraction.provenance, out.with_suffix(".provenance.csv"))


def read_tables(folder: Path, names: Collection[str]) -> dict[str, pd.DataFrame]:
    """Return the tables of a run, by the name of their file without its ending.

    Parameters
    ----------
    folder
        ``data/`` of the run folder.
    names
        Files of the run; others that lie there are of another run. The features of
        cases are not read.

    Raises
    ------
    SchemaError
        A table does not have its written form.
    """
    tables = {}
    for name in names:
        path = Path(folder, name)
        key = path.stem.removeprefix("features.")
        # what failed in the extraction is in the failures of the run
        if key == "features" or (key != path.stem and f"{key}.csv" in names):
            continue
        table = pd.read_parquet(path) if path.suffix == ".parquet" else _csv(path, key)
        tables[key] = _CHECKS.get(key, lambda table: table)(table)
    return tables


def _csv(path, key):
    index = 0 if key in _INDEXED else None
    # a class may be called None or NA; only an empty cell is missing
    options = {"keep_default_na": False, "na_values": [""], "index_col": index}
    # numbers of `predicted` are text only where they are classes
    text = set(_TEXT_COLUMNS) - ({"predicted"} if "calibration" in key else set())
    if key == "table_one":
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    return pd.read_csv(path, dtype=dict.fromkeys(text, str), **options)
