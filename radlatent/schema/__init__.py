"""The tables that cross from room to room: columns, dtypes, checks."""

from radlatent.schema.tables import (
    check_cases,
    check_endpoints,
    check_failures,
    check_features,
    check_folds,
    check_metrics,
    check_predictions,
    failures_table,
    nearest,
    parse,
    read_yaml,
    split_column,
)

__all__ = [
    "check_cases",
    "check_endpoints",
    "check_failures",
    "check_features",
    "check_folds",
    "check_metrics",
    "check_predictions",
    "failures_table",
    "nearest",
    "parse",
    "read_yaml",
    "split_column",
]
