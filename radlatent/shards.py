"""A verb in parts: each process has a share of the cases, one gathers them.

Every part computes and keeps results of its own cases, under keys of their content, as
a run that is killed does; nothing is assembled. To gather is to walk the same path
again with every result there: what it writes is what one run writes, bit for bit. A
part says on disk that it is whole, what it was asked for, and what failed.
"""

import contextlib
import contextvars
import json
import os
import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from radlatent.errors import RadlatentError, SchemaError
from radlatent.outputs import replace_text

__all__ = [
    "Gathering",
    "Part",
    "PartDone",
    "Shard",
    "current",
    "own",
    "parse_shard",
    "parts_folder",
    "read_parts",
    "running",
]

_SHARD = re.compile(r"(auto|\d{1,6})/(\d{1,6})")
_NAME = "{}-of-{}.json"
_PART = re.compile(r"\d+-of-\d+\.json")

#: What schedulers call the number of a task of an array, and the first that they give.
_NUMBERS = {
    "SLURM_ARRAY_TASK_ID": 1,
    "AWS_BATCH_JOB_ARRAY_INDEX": 0,
    "JOB_COMPLETION_INDEX": 0,
}


@dataclass(frozen=True)
class Shard:
    """One of several shares of the cases.

    Parameters
    ----------
    number
        From 1.
    of
        How many there are.
    """

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


@dataclass(frozen=True, eq=False)
class Part:
    """A share that runs now, or what one said when it was whole.

    Parameters
    ----------
    shard
        Which one.
    folder
        Of the parts.
    asked
        What the verb was asked for, as JSON holds it.
    failures
        Key of a task to (type of the exception, its message).
    n_results
        How many tasks succeeded.
    """

    shard: Shard
    folder: Path
    asked: Mapping = field(repr=False)
    failures: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    n_results: int = 0

    def write(self) -> None:
        """Write the part, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        about = {
            "shard": [self.shard.number, self.shard.of],
            "asked": self.asked,
            "n_results": self.n_results,
            "failures": dict(self.failures),
        }
        replace_text(self._path, json.dumps(about, indent=1))

    def remove(self) -> None:
        """Remove what an earlier one said of this share."""
        self._path.unlink(missing_ok=True)

    @property
    def _path(self):
        return self.folder / _NAME.format(self.shard.number, self.shard.of)


class PartDone(Exception):
    """What a share of the cases ends with: there is nothing to assemble yet."""

    def __init__(self, part: Part):
        super().__init__(f"shard {part.shard} is whole")
        self.part = part


@dataclass(frozen=True, eq=False)
class Gathering:
    """All parts, whole.

    Parameters
    ----------
    asked
        What all of them were asked for.
    failures
        Of all, as in `Part`.
    """

    asked: Mapping
    failures: Mapping[str, tuple[str, str]]


_RUNNING = contextvars.ContextVar("radlatent_shards", default=None)


def current() -> Part | Gathering | None:
    """Return what runs: a part, the gathering of all, or None: one run."""
    return _RUNNING.get()


@contextlib.contextmanager
def running(what: Part | Gathering) -> Iterator[None]:
    """Let what is called inside run as a part, or gather."""
    token = _RUNNING.set(what)
    try:
        yield
    finally:
        _RUNNING.reset(token)


def parse_shard(text: str, environment: Mapping[str, str] = os.environ) -> Shard:
    """Return the share that a text names.

    Parameters
    ----------
    text
        ``"3/8"``; or ``"auto/8"``, the number of the task of an array.
    environment
        Where a scheduler says that number: SLURM_ARRAY_TASK_ID (from 1),
        AWS_BATCH_JOB_ARRAY_INDEX or JOB_COMPLETION_INDEX of Kubernetes (from 0).

    Raises
    ------
    SchemaError
        It is no share, or no scheduler says a number, or several do.

    Examples
    --------
    >>> parse_shard("auto/8", {"SLURM_ARRAY_TASK_ID": "3"})
    Shard(number=3, of=8)
    """
    match = _SHARD.fullmatch(text)
    if not match:
        raise SchemaError(f"shard {text!r}: write k/N, as in 3/8, or auto/8.")
    told, of = match[1], int(match[2])
    number = _told(environment) if told == "auto" else int(told)
    if not 1 <= number <= of:
        where = " (of SLURM: sbatch --array=1-N)" if told == "auto" else ""
        msg = f"shard {text!r} is number {number} of {of}: from 1 to {of}{where}."
        raise SchemaError(msg)
    return Shard(number, of)


def _told(environment):
    found = {name: environment[name] for name in _NUMBERS if environment.get(name)}
    if len(found) != 1:
        what = f"several are set: {found}" if found else f"none of {[*_NUMBERS]} is set"
        msg = f"shard 'auto' is the number of a task of an array, and {what}."
        raise SchemaError(msg)
    [(name, text)] = found.items()
    if not text.isascii() or not text.isdigit():
        raise SchemaError(f"{name} is {text!r}, no number.")
    return int(text) + 1 - _NUMBERS[name]


def own(groups: Mapping[Hashable, Hashable]) -> set:
    """Return the names that are the share of what runs; all of them in one run.

    Parameters
    ----------
    groups
        Name to what goes together, the same in every part. Names of a group are of one
        share; the largest groups are dealt first, each to the smallest share.
    """
    what = current()
    if not isinstance(what, Part):
        return set(groups)
    together = {}
    for name, group in groups.items():
        together.setdefault(group, []).append(name)
    shares = [[] for _ in range(what.shard.of)]
    # a heap would not be faster for what clusters have
    for names in sorted(together.values(), key=len, reverse=True):
        min(shares, key=len).extend(names)
    return set(shares[what.shard.number - 1])


def parts_folder(out: str | Path) -> Path:
    """Return where the parts of an output say that they are whole."""
    out = Path(out)
    return out.with_name(f"{out.name}.shards")


def read_parts(out: str | Path) -> Gathering:
    """Return the parts of an output, if all are there.

    Raises
    ------
    RadlatentError
        Some are not there, which are named, or were asked for something else.
    """
    folder = parts_folder(out)
    paths = sorted(folder.glob("*.json")) if folder.is_dir() else []
    parts = [_read(path) for path in paths if _PART.fullmatch(path.name)]
    if not parts:
        msg = f"{folder} holds no part: first run the verb with --shard k/N."
        raise RadlatentError(msg)
    several = sorted({part.shard.of for part in parts})
    if len(several) > 1:
        msg = f"{folder} holds parts of {several} shards: remove those of one run."
        raise RadlatentError(msg)
    missing = sorted(set(range(1, several[0] + 1)) - {p.shard.number for p in parts})
    if missing:
        msg = (
            f"{len(missing)} of {several[0]} shards are missing: "
            f"{', '.join(f'{k}/{several[0]}' for k in missing)}. They were not "
            "started, were killed, or still run: start them again, what they had "
            "finished is kept."
        )
        raise RadlatentError(msg)
    first = parts[0]
    for part in parts:
        odd = [k for k in first.asked if part.asked.get(k) != first.asked[k]]
        if odd:
            msg = (
                f"shards {first.shard} and {part.shard} were asked for other things: "
                f"{odd[0]} is {first.asked[odd[0]]!r} and {part.asked.get(odd[0])!r}. "
                "Start them again with the same."
            )
            raise RadlatentError(msg)
    failures = {key: why for part in parts for key, why in part.failures.items()}
    return Gathering(first.asked, failures)


def _read(path):
    try:
        about = json.loads(path.read_text("utf-8"))
        return Part(
            Shard(*about["shard"]),
            path.parent,
            dict(about["asked"]),
            {key: tuple(why) for key, why in about["failures"].items()},
            about["n_results"],
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"{path} is no part that 'radlatent ... --shard' wrote: remove it."
        raise RadlatentError(msg) from error
