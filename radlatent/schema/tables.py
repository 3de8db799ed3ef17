"""The tables that cross from room to room: columns, dtypes, checks.

A table enters, the same table leaves, or a ``SchemaError`` that lists everything
wrong with it at once.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import yaml

from radlatent.errors import SchemaError

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

_Model = TypeVar("_Model")

_KINDS = {
    "string": lambda column: column.dropna().map(lambda v: isinstance(v, str)).all(),
    "float": pd.api.types.is_float_dtype,
    "int": pd.api.types.is_integer_dtype,
    "number": pd.api.types.is_numeric_dtype,
    "bool": pd.api.types.is_bool_dtype,
}

# xgboost refuses [ ] < in names; the first double underscore ends the block
_FEATURE_COLUMN = re.compile(r"^[A-Za-z0-9_.-]*?[A-Za-z0-9]__[^\[\]<]+$")


@dataclass(frozen=True)
class _Table:
    name: str
    index: tuple = ()
    columns: dict = field(default_factory=dict)


_CASES = _Table("cases", ("case_id",), {"patient_id": "string", "exclude": "bool"})
_ENDPOINTS = _Table("endpoints", ("patient_id",))
_FEATURES = _Table("features", ("case_id", "patient_id"))
_FOLDS = _Table(
    "folds", columns={"patient_id": "string", "repeat": "int", "fold": "int"}
)
_RUN_KEYS = {"model": "string", "blocks": "string", "endpoint": "string"}
_PREDICTIONS = _Table(
    "predictions",
    columns=_RUN_KEYS | {"repeat": "int", "fold": "int", "patient_id": "string"},
)
#: The truth beside the predictions: of classes, and of survival.
_TRUTHS = {
    "probability_": {"truth": "string"},
    "risk": {"time": "float", "event": "number", "risk": "float"},
}
_METRICS = _Table(
    "metrics",
    columns=_RUN_KEYS
    | {"metric": "string", "estimate": "float", "lower": "float", "upper": "float"}
    | {"level": "float", "n": "int", "n_events": "int", "method": "string"},
)
_FAILURES = _Table(
    "failures",
    columns=dict.fromkeys(("case_id", "stage", "error", "message"), "string"),
)


def _problems(frame, table):
    if not isinstance(frame, pd.DataFrame):
        return [f"it is a {type(frame).__name__}, not a DataFrame"]
    found = []
    if table.index and frame.index.name not in table.index:
        wanted = " or ".join(repr(name) for name in table.index)
        found.append(f"its index is named {frame.index.name!r}, not {wanted}")
    if table.index and not frame.index.is_unique:
        twice = frame.index[frame.index.duplicated()].unique()[:5].tolist()
        found.append(f"its index holds {twice} more than once")
    for column, kind in table.columns.items():
        if column not in frame.columns:
            found.append(f"column {column!r} is missing")
        elif not _KINDS[kind](frame[column]):
            found.append(f"column {column!r} is {frame[column].dtype}, not {kind}")
    return found


def _raise(table, found):
    if found:
        msg = f"{table.name} table: " + "; ".join(found) + "."
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
    _raise(_CASES, _problems(cases, _CASES))
    return cases


def check_endpoints(endpoints: pd.DataFrame) -> pd.DataFrame:
    """Return the **endpoints** table (index ``patient_id``), or raise."""
    _raise(_ENDPOINTS, _problems(endpoints, _ENDPOINTS))
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
    found = _problems(features, _FEATURES)
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
    _raise(_FEATURES, found)
    return features


def check_folds(folds: pd.DataFrame) -> pd.DataFrame:
    """Return the **folds** table (a patient is tested once a repeat), or raise."""
    found = _problems(folds, _FOLDS)
    if not found and folds.duplicated(["patient_id", "repeat"]).any():
        found.append("a patient is in two folds of one repeat")
    _raise(_FOLDS, found)
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
        or 0), ``risk`` (higher = worse) and, where the model gives them,
        ``survival_<days>``. Tables of both kinds may lie below each other: the cells of
        the other kind are empty.

    Raises
    ------
    SchemaError
        A column is missing or of another kind, or a patient is predicted twice.
    """
    found = _problems(predictions, _PREDICTIONS)
    kinds = [
        k for k in _TRUTHS if not found and any(predictions.columns.str.startswith(k))
    ]
    if not found and not kinds:
        found.append("it has neither a column 'probability_<class>' nor 'risk'")
    for kind in kinds:
        found += _problems(predictions, _Table("predictions", columns=_TRUTHS[kind]))
    keys = ["model", "blocks", "endpoint", "repeat", "patient_id"]
    if not found and predictions.duplicated(keys).any():
        found.append("a patient is predicted twice by one model in one repeat")
    _raise(_PREDICTIONS, found)
    return predictions


def check_metrics(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return the **metrics** table, or raise with everything wrong with it."""
    _raise(_METRICS, _problems(metrics, _METRICS))
    return metrics


def check_failures(failures: pd.DataFrame) -> pd.DataFrame:
    """Return the **failures** table, or raise with everything wrong with it."""
    _raise(_FAILURES, _problems(failures, _FAILURES))
    return failures


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
    table = pd.DataFrame(list(rows), columns=[*_FAILURES.columns], dtype=object)
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


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest known name, or an empty text.

    Parameters
    ----------
    name
        What was written.
    known
        What could have been meant; upper and lower case count as equal.

    Examples
    --------
    >>> nearest("binwidth", ["binWidth", "binCount"])
    "; did you mean 'binWidth'?"
    """
    lowered = {str(k).lower(): str(k) for k in known}
    close = difflib.get_close_matches(str(name).lower(), lowered, n=1)
    return f"; did you mean {lowered[close[0]]!r}?" if close else ""


def read_yaml(path: str | Path, model: type[_Model]) -> _Model:
    """Return a YAML file as an instance of a pydantic model.

    Parameters
    ----------
    path
        The file; its keys are the model's fields, any other key is refused.
    model
        A pydantic model class.

    Raises
    ------
    SchemaError
        The file is no YAML mapping, or keys are unknown, missing or of another kind:
        all of them at once, with the nearest known key.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except UnicodeDecodeError as error:
        msg = f"{path}: not UTF-8 at byte {error.start}. Save the file as UTF-8."
        raise SchemaError(msg) from error
    except yaml.YAMLError as error:
        msg = f"{path}: not YAML ({' '.join(str(error).split())})."
        raise SchemaError(msg) from error
    if not isinstance(content, dict):
        msg = f"{path}: holds {type(content).__name__}, not keys and values."
        raise SchemaError(msg)
    return parse(content, model, source=str(path))


def parse(content: dict, model: type[_Model], *, source: str) -> _Model:
    """Return a mapping as an instance of a pydantic model; errors as `read_yaml`."""
    try:
        return model.model_validate(content)
    # pydantic's error is a ValueError; importing it here would open a second door
    except ValueError as error:
        if not hasattr(error, "errors"):
            raise
        found = [_describe(e, model) for e in error.errors()]
        raise SchemaError(f"{source}: " + "; ".join(found)) from error


def _describe(error, model):
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] != "extra_forbidden":
        message = error["msg"].removeprefix("Value error, ")
        if not place:
            return message
        if error["type"] == "missing":
            return f"{place} is missing"
        return f"{place}: {message} (found {_shortened(error['input'])})"
    known = _fields_at(model, error["loc"][:-1])
    hint = nearest(error["loc"][-1], known) or f"; known are {sorted(known)}"
    return f"unknown key {place!r}{hint}"


def _shortened(value):
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _fields_at(model, loc):
    """Return the names of the fields of the model that a place in a file leads to."""
    for part in loc:
        if not hasattr(model, "model_fields"):
            return []
        if part in model.model_fields:
            model = _innermost(model.model_fields[part].annotation)
    return list(getattr(model, "model_fields", []))


def _innermost(annotation):
    """Return the model inside ``dict[str, Model]`` or ``Model | None``."""
    for argument in reversed(getattr(annotation, "__args__", ())):
        inner = _innermost(argument)
        if hasattr(inner, "model_fields"):
            return inner
    return annotation
