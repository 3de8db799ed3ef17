"""The tables that cross from room to room or that a run writes, and files of users.

- registry: `TABLES`, the form of every table, in one list.
- tables: `check_table` and a check for each table that crosses from room to room;
  `failures_table`, the one way to build one.
- files: `write_table`, `write_extraction`, `read_features`; `write_run` and `read_run`,
  the tables of a run folder.
- cells: `inert` and `meant`, texts of a CSV file that a spreadsheet would execute.
- yaml: `read_yaml`, `parse`, `nearest`: what users write, checked key by key.
"""

from radlatent.schema.cells import inert, meant
from radlatent.schema.files import (
    read_features,
    read_run,
    write_extraction,
    write_run,
    write_table,
)
from radlatent.schema.registry import TABLES, Table
from radlatent.schema.tables import (
    check_cases,
    check_endpoints,
    check_failures,
    check_features,
    check_folds,
    check_metrics,
    check_predictions,
    check_table,
    failures_table,
    split_column,
)
from radlatent.schema.yaml import nearest, parse, read_yaml

__all__ = [
    "TABLES",
    "Table",
    "check_cases",
    "check_endpoints",
    "check_failures",
    "check_features",
    "check_folds",
    "check_metrics",
    "check_predictions",
    "check_table",
    "failures_table",
    "inert",
    "meant",
    "nearest",
    "parse",
    "read_features",
    "read_run",
    "read_yaml",
    "split_column",
    "write_extraction",
    "write_run",
    "write_table",
]
