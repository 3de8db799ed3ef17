"""The tables that cross from room to room: columns, dtypes, checks.

A table enters, the same table leaves, or a ``SchemaError`` that lists everything
wrong with it at once.
"""

import re
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from radlatent.errors import SchemaError
from radlatent.schema.registry import TABLES
from radlatent.schema.yaml import nearest

__all__ = [
    "check_cases",
    "check_endpoints",
    "check_failures",
    "check_features",
    "check_folds",
    "check_metrics",
    "check_predictions",
    "check_table",
    "failures_table",
    "split_column",
]


def _all_are(column, kind):
    """Return whether all that is not missing in a column is of a Python type."""
    return column.dropna().map(lambda value: isinstance(value, kind)).all()


_KINDS = {
    "any": lambda column: True,
    "string": lambda column: _all_are(column, str),
    "float": pd.api.types.is_float_dtype,
    "int": pd.api.types.is_integer_dtype,
    # whole numbers of which some are missing are floats in older pandas and in CSV
    "int?": pd.api.types.is_numeric_dtype,
    # a region of several labels is text
    "label": lambda column: (
        pd.api.types.is_numeric_dtype(column) or _all_are(column, str)
    ),
    "number": pd.api.types.is_numeric_dtype,
    "bool": pd.api.types.is_bool_dtype,
    "bool?": lambda column: _all_are(column, (bool, np.bool_)),
}

# the first double underscore ends the block; a feature may have its unit in brackets
_FEATURE_COLUMN = re.compile(r"^[A-Za-z0-9_.-]*?[A-Za-z0-9]__.*\S.*$")

#: The truth beside the predictions: of classes, of survival and of numbers.
_TRUTHS = {
    "probability_": {"truth": "string"},
    "risk": {"time": "float", "event": "number", "risk": "float"},
    "predicted": {"value": "float", "predicted": "float"},
}


def _problems(frame, name):
    if not isinstance(frame, pd.DataFrame):
        return [f"it is a {type(frame).__name__}, not a DataFrame"]
    table, found = TABLES[name], []
    if table.index and frame.index.name not in table.index:
        wanted = " or ".join(repr(name) for name in table.index)
        found.append(f"its index is named {frame.index.name!r}, not {wanted}")
    if table.index and not frame.index.is_unique:
        twice = frame.index[frame.index.duplicated()].unique()[:5].tolist()
        found.append(f"its index holds {twice} more than once")
    return found + _faulty_columns(frame, table.columns)


def _faulty_columns(frame: pd.DataFrame, columns: Mapping[str, str]) -> list[str]:
    found = []
    for column, kind in columns.items():
        if column not in frame.columns:
            found.append(f"column {column!r} is missing")
        elif not _KINDS[kind](frame[column]):
            found.append(f"column {column!r} is {frame[column].dtype}, not {kind}")
    return found


def _raise(name, found):
    if found:
        msg = f"{name} table: " + "; ".join(found) + "."
        raise SchemaError(msg)


def check_cases(cases: pd.DataFrame) -> pd.DataFrame:
    """Return the **cases** table, or raise with everything wrong with it.

    Parameters
    ----------
    cases
        One row a case, index ``case_id``; at least ``patient_id`` and ``exclude``.

    Raises
    ------
    SchemaError
        A column is missing or of another kind, or a ``case_id`` occurs twice.
    """
    _raise("cases", _problems(cases, "cases"))
    return cases


def check_endpoints(endpoints: pd.DataFrame) -> pd.DataFrame:
    """Return the **endpoints** table (index ``patient_id``), or raise."""
    _raise("endpoints", _problems(endpoints, "endpoints"))
    return endpoints


def check_features(features: pd.DataFrame) -> pd.DataFrame:
    """Return the **features** table, or raise with everything wrong with it.

    Parameters
    ----------
    features
        Float64 columns named ``<block>__<feature>``; index ``case_id``, or
        ``patient_id`` once lesions were aggregated. Missing is NaN.

    Raises
    ------
    SchemaError
        An index or a column is misnamed, repeated, not float64, or infinite.
    """
    found = _problems(features, "features")
    if not found:
        misnamed = [c for c in features if not _FEATURE_COLUMN.match(str(c))]
        if misnamed:
            found.append(f"columns {misnamed[:5]} are not named '<block>__<feature>'")
        if not features.columns.is_unique:
            twice = features.columns[features.columns.duplicated()][:5].tolist()
            found.append(f"columns {twice} occur more than once")
        other = [c for c, t in features.dtypes.items() if t != np.float64]
        if other:
            found.append(f"columns {other[:5]} are not float64")
        elif np.isinf(features.to_numpy()).any():
            infinite = features.columns[np.isinf(features.to_numpy()).any(axis=0)]
            found.append(f"columns {infinite[:5].tolist()} hold infinite values")
    _raise("features", found)
    return features


def check_folds(folds: pd.DataFrame) -> pd.DataFrame:
    """Return the **folds** table (a patient is tested once a repeat), or raise."""
    found = _problems(folds, "folds")
    if not found and folds.duplicated(["patient_id", "repeat"]).any():
        found.append("a patient is in two folds of one repeat")
    _raise("folds", found)
    return folds


def check_predictions(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the **predictions** table, or raise with everything wrong with it.

    Parameters
    ----------
    predictions
        ``model, blocks, endpoint, repeat, fold, patient_id`` and, of a class,
        ``truth``, a ``probability_<class>`` for each and, where one was chosen on
        training patients, the ``threshold`` of the positive class, the last in sorted
        order unless ``positive`` names it; of survival, ``time`` (days), ``event`` (1
        or 0), ``risk`` (higher = worse), ``trained_until`` (the last day on which a
        training patient was followed) and, where the model gives them,
        ``survival_<days>``, NaN after that day; of a number, ``value``, ``predicted``
        and perhaps their ``unit``. Tables of several kinds may lie below each other:
        the cells of the other kinds are empty.

    Raises
    ------
    SchemaError
        A column is missing or of another kind, or a patient is predicted twice.
    """
    found = _problems(predictions, "predictions")
    kinds = [
        k for k in _TRUTHS if not found and any(predictions.columns.str.startswith(k))
    ]
    if not found and not kinds:
        found.append(
            "it has neither a column 'probability_<class>' nor 'risk' nor 'predicted'"
        )
    for kind in kinds:
        found += _faulty_columns(predictions, _TRUTHS[kind])
    keys = ["model", "blocks", "endpoint", "repeat", "patient_id"]
    if not found and predictions.duplicated(keys).any():
        found.append("a patient is predicted twice by one model in one repeat")
    _raise("predictions", found)
    return predictions


def check_metrics(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return the **metrics** table, or raise with everything wrong with it."""
    _raise("metrics", _problems(metrics, "metrics"))
    return metrics


def check_failures(failures: pd.DataFrame) -> pd.DataFrame:
    """Return the **failures** table, or raise with everything wrong with it."""
    _raise("failures", _problems(failures, "failures"))
    return failures


def check_table(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return a table of a run, or raise with everything wrong with it.

    Parameters
    ----------
    table
        What a stage of a run made. Columns that it is not known to have are let
        through: the hours of a run are not lost to one column too many.
    name
        Which of `TABLES` it is.

    Raises
    ------
    SchemaError
        There is no table of that name, or a column is missing or of another kind.
    """
    if name not in TABLES:
        msg = f"no table of a run is called {name!r}{nearest(name, TABLES)}."
        raise SchemaError(msg)
    _CHECKS.get(name, lambda table: None)(table)
    kinds = {column: TABLES[name].kind(str(column)) for column in table.columns}
    own = TABLES[name].columns
    also = {c: kind for c, kind in kinds.items() if kind is not None and c not in own}
    _raise(name, _problems(table, name) + _faulty_columns(table, also))
    return table


def failures_table(rows: Iterable[tuple[str, str, str, str]] = ()) -> pd.DataFrame:
    """Return a **failures** table.

    Parameters
    ----------
    rows
        ``case_id``, stage, name of the error and message of each.

    Examples
    --------
    >>> failures_table([("a_1", "masks pet", "ImageError", "no such file")]).shape
    (1, 4)
    >>> failures_table().empty
    True
    """
    table = pd.DataFrame(
        list(rows), columns=[*TABLES["failures"].columns], dtype=object
    )
    return check_failures(table)


def split_column(column: str) -> tuple[str, str]:
    """Return block and feature of a column named ``<block>__<feature>``.

    Examples
    --------
    >>> split_column("pet_handcrafted__original_shape_MeshVolume")
    ('pet_handcrafted', 'original_shape_MeshVolume')
    """
    block, separator, feature = column.partition("__")
    if not separator:
        msg = f"column {column!r} is not named '<block>__<feature>'."
        raise SchemaError(msg)
    return block, feature


#: What a table has to keep beyond its columns.
_CHECKS = {
    "features": check_features,
    "folds": check_folds,
    "predictions": check_predictions,
}
