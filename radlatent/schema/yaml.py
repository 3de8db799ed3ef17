"""YAML files of a user: a file and a model enter, an instance of it leaves.

Everything wrong with a file is told at once, with the nearest name that is known.
"""

import difflib
import reprlib
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import yaml

from radlatent.errors import SchemaError

__all__ = ["nearest", "parse", "read_yaml"]

_Model = TypeVar("_Model")

#: Of a value that is wrong, only the part that is shown is written out.
_BRIEF = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxother = _BRIEF.maxlong = 60
_BRIEF.maxlevel = 3

#: A file with more values, aliases written out, is no card, study or settings.
_MOST_VALUES = 100_000

#: Brackets in brackets, of a file that a person wrote.
_DEEPEST = 50

#: A card that names every patient of a large cohort stays below.
_MOST_BYTES = 1 << 20

_MERGE = "tag:yaml.org,2002:merge"


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
        The file is no YAML mapping, a key is given twice, it nests or expands without
        end, or keys are unknown, missing or of another kind: all of them at once, with
        the nearest known key.
    """
    path = Path(path)
    try:
        content = _load(path)
    except UnicodeDecodeError as error:
        msg = f"{path}: not UTF-8 at byte {error.start}. Save the file as UTF-8."
        raise SchemaError(msg) from error
    except SchemaError:
        raise
    # a date as 2024-13-45, or a number of 5,000 digits, is a ValueError in Python
    except (yaml.YAMLError, ValueError) as error:
        msg = f"{path}: not YAML ({' '.join(str(error).split())})."
        raise SchemaError(msg) from error
    if not isinstance(content, dict):
        msg = f"{path}: holds {type(content).__name__}, not keys and values."
        raise SchemaError(msg)
    return parse(content, model, source=str(path))


class _Loader(yaml.SafeLoader):
    """Refuses what nests without end, before memory and time go into it."""

    depth = n_values = 0

    def compose_node(self, parent, index):
        self.depth += 1
        self.n_values += 1
        if self.n_values > _MOST_VALUES:
            raise yaml.YAMLError(f"it holds more than {_MOST_VALUES:,} values")
        if self.depth > _DEEPEST:
            msg = f"it is nested too deep, by more than {_DEEPEST} levels"
            raise yaml.YAMLError(msg)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _load(path):
    """Return the content of a file, whose values are looked at before they are made."""
    size = path.stat().st_size
    if size > _MOST_BYTES:
        msg = (
            f"{path}: holds {size:,} bytes, and at most {_MOST_BYTES:,} are read. Is "
            "it another file?"
        )
        raise SchemaError(msg)
    loader = _Loader(path.read_text("utf-8"))
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        twice = _keys_twice(node, loader)
        if _size(node, {}) > _MOST_VALUES:
            msg = (
                f"{path}: its aliases (*name) expand to more than {_MOST_VALUES:,} "
                "values. Write the values out."
            )
            raise SchemaError(msg)
        if twice:
            msg = (
                f"{path}: {'; '.join(twice)}. The last one would count alone: leave "
                "one of each."
            )
            raise SchemaError(msg)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _size(node, known):
    """Return how many values a node holds once its aliases are written out."""
    if id(node) not in known:
        known[id(node)] = float("inf")  # a node inside of itself has no end
        known[id(node)] = 1 + sum(_size(child, known) for child in _children(node))
    return known[id(node)]


def _children(node):
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _keys_twice(root, loader):
    """Return a text for every key that a mapping gives twice (YAML 1.2, 3.2.1.3)."""
    found, seen, left = [], set(), [root]
    while left:
        node = left.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        left += reversed(_children(node))
        if not isinstance(node, yaml.MappingNode):
            continue
        lines = {}
        for key, _ in node.value:
            # what is merged (<<) gives way to keys that are written out
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue
            # 1 and 1.0, yes and true are one key
            value, line = loader.construct_object(key), key.start_mark.line + 1
            if value in lines:
                found.append(
                    f"key {str(value)!r} is given twice, in lines {lines[value]} and "
                    f"{line}"
                )
            lines.setdefault(value, line)
    return found


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
    text = _BRIEF.repr(value)
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
