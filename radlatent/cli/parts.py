"""A verb in parts: ``--shard k/N`` on several machines, ``gather`` on one.

A verb enters; one that can run as a part leaves.
"""

import contextlib
import functools
import inspect
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

import radlatent as rl
from radlatent.cli.options import Jobs
from radlatent.cli.outcome import friendly
from radlatent.errors import RadlatentError
from radlatent.shards import (
    Part,
    PartDone,
    parse_shard,
    parts_folder,
    read_parts,
    running,
)

__all__ = ["app", "sharded"]

app = typer.Typer()

_Shard = Annotated[
    str | None,
    typer.Option(
        metavar="K/N",
        help="A share of the cases, 3/8; auto/8 asks the scheduler. Then: gather.",
    ),
]

#: What parts may differ in.
_FREE = ("jobs",)

#: What is known of a run beside its arguments: no argument is called so.
_RUN = ("the verb", "the version", "the folder it was started in")

#: Name to the verb without ``--shard``.
_VERBS = {}


def sharded(name: str) -> Callable:
    """Give a verb ``--shard``: it then keeps the results of a share of the cases.

    Parameters
    ----------
    name
        As the command line calls it; it has ``out`` and ``jobs``.
    """

    def decorate(verb):
        _VERBS[name] = verb

        @functools.wraps(verb)
        def wrapped(*args, shard=None, **kwargs):
            if shard is None:
                return verb(*args, **kwargs)
            bound = inspect.signature(verb).bind(*args, **kwargs)
            return _run_part(name, verb, parse_shard(shard), bound.arguments)

        signature = inspect.signature(verb, eval_str=True)
        option = inspect.Parameter(
            "shard", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_Shard
        )
        # typer reads the options of a verb from its signature
        parameters = [*signature.parameters.values(), option]
        wrapped.__signature__ = signature.replace(parameters=parameters)
        return wrapped

    return decorate


def _run_part(name, verb, shard, arguments):
    told = {key: _as_json(v) for key, v in arguments.items() if key not in _FREE}
    asked = dict(zip(_RUN, (name, rl.__version__, str(Path.cwd())), strict=True))
    asked |= json.loads(json.dumps(told))
    out = arguments["out"]
    part = Part(shard, parts_folder(out), asked)
    # one of before, which is not of what starts now
    part.remove()
    try:
        with running(part):
            verb(**arguments)
    except PartDone as done:
        failed = len(done.part.failures)
        typer.echo(
            f"shard {shard} of {out}: {done.part.n_results} results, {failed} failed. "
            f"When all {shard.of} are there: radlatent gather {out}"
        )


def _as_json(value):
    return {"path": str(value)} if isinstance(value, Path) else value


def _as_given(value):
    return Path(value["path"]) if isinstance(value, dict) else value


@app.command(epilog="Example: radlatent gather features.parquet")
@friendly
def gather(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="What --out of the shards was.")
    ],
    jobs: Jobs = None,
):
    """Join what shards have finished, as one run would have written it.

    Shards that are missing are named.
    """
    parts = read_parts(out)
    asked = dict(parts.asked)
    name, version, folder = (asked.pop(key) for key in _RUN)
    if version != rl.__version__ or name not in _VERBS:
        msg = (
            f"the shards of {out} are of {name!r} of radlatent {version}, this is "
            f"{rl.__version__}: gather with the same."
        )
        raise RadlatentError(msg)
    # paths are those of where the shards were started
    os.stat(folder)
    with contextlib.chdir(folder), running(parts):
        _VERBS[name](**{key: _as_given(v) for key, v in asked.items()}, jobs=jobs)
