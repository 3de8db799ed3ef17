"""YAML files of a user: a file and a model enter, an instance of it leaves.

Everything wrong with a file is told at once, with the nearest name that is known.
"""

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import yaml

from radlatent.errors import SchemaError

__all__ = ["nearest", "parse", "read_yaml"]

_Model = TypeVar("_Model")


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
