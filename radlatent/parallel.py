"""Map a function over named tasks: joblib here, Dask on a cluster.

Tasks enter, results and failures leave. Results are kept on disk as they come in,
under a key of its content, so that a killed run resumes; a failure is never
kept. The function runs wherever ``joblib.parallel_config`` says; worker processes end
with the one that started them, however it ends.
"""

import contextlib
import errno
import functools
import importlib.util
import json
import logging
import multiprocessing
import os
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import joblib
from joblib.externals.loky.process_executor import BrokenProcessPool
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from radlatent.errors import OutputError, RadlatentError
from radlatent.outputs import as_output_error, check_folder, replace_text, sweep
from radlatent.shards import Gathering, Part, PartDone, current

__all__ = ["Outcome", "Shared", "forget", "map_tasks", "progress_bar"]

_log = logging.getLogger(__name__)

#: Tasks on what they share before results are kept: a killed run loses no more.
_TOGETHER = 8

#: Seconds between two lines of progress where there is no terminal to draw a bar on.
_LOG_EVERY_S = 30.0

#: Seconds between two looks of a worker at whether its parent is there.
_WATCH_EVERY_S = 0.5


@dataclass(frozen=True)
class Outcome:
    """What became of the tasks.

    Parameters
    ----------
    results
        Name of task to what the function returned, in the order of the tasks.
    failures
        Name of task to (type of the exception, its message).
    n_resumed
        How many of the results were read from an earlier run.
    """

    results: dict = field(default_factory=dict)
    failures: dict = field(default_factory=dict)
    n_resumed: int = 0


@dataclass(frozen=True)
class Shared:
    """What tasks have in common, a file for instance.

    Parameters
    ----------
    key
        Name of task to what it shares; tasks with one key run on one worker, up to
        eight of them, whose results are kept when the last of these is there.
    forget
        Called there after them: a worker whose memory stays full is taken for leaking.
    """

    key: Callable[[str], Hashable]
    forget: Callable[[], None]


def map_tasks(
    function: Callable,
    tasks: Mapping[str, tuple],
    *,
    jobs: int | None = None,
    keys: Mapping[str, str] | None = None,
    cache: Path | None = None,
    description: str = "",
    shared: Shared | None = None,
) -> Outcome:
    """Call ``function(*arguments)`` for every task and gather what comes back.

    Parameters
    ----------
    function
        Can be imported by another process or on another machine; with ``cache`` it
        returns what JSON can hold (floats survive to the last bit).
    tasks
        Name of task to its arguments.
    jobs
        Processes. None leaves it to ``joblib.parallel_config`` (one without it, the
        whole cluster under ``backend="dask"``); -1 is every core.
    keys
        Name of task to a key of everything its result depends on; needed by ``cache``.
    cache
        Folder of finished results; None keeps nothing.
    description
        What the progress bar says.
    shared
        What some of the tasks share; None: nothing.

    Raises
    ------
    RadlatentError
        A worker process died, which one task too large for the memory can cause.
    OutputError
        A disk is full or closed: no fault of one task. What is finished is kept.
    PartDone
        Inside of a part of `radlatent.shards`, with ``cache``: its tasks are finished.
    """
    if jobs == 0:
        msg = "jobs is 0; give 1 or more, or -1 for every core."
        raise RadlatentError(msg)
    if cache is not None:
        check_folder(cache, what="cache")
        sweep(cache)
    finished = {} if cache is None else _finished(cache, tasks, keys)
    waiting = {name: task for name, task in tasks.items() if name not in finished}
    results, failures = dict(finished), {}
    shares = current() if cache is not None else None
    if isinstance(shares, Gathering):
        failures = _known_failures(shares, waiting, keys)
        waiting = {}
    calls = _calls(function, waiting, shared or Shared(_alone, _nothing))
    with (
        progress_bar(description, len(tasks), len(finished)) as advance,
        contextlib.closing(_done(calls, jobs)) as done,
    ):
        for name, result, failure in done:
            if failure is not None:
                failures[name] = failure
            else:
                results[name] = result
                if cache is not None:
                    _keep(cache, keys[name], result)
            advance()
    if isinstance(shares, Part):
        told = {keys[name]: why for name, why in failures.items()}
        part = replace(shares, failures=told, n_results=len(results))
        part.write()
        raise PartDone(part)
    return Outcome(
        {name: results[name] for name in tasks if name in results},
        {name: failures[name] for name in tasks if name in failures},
        len(finished),
    )


def _done(calls, jobs):
    """Yield name, result and failure of every task, as they are finished."""
    # no size of batches: joblib hands out several at a time below 0.2 s, else one
    pool = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")
    with warnings.catch_warnings():
        # a worker that served lighter tasks before, and now loads what these need, is
        # taken for leaking and replaced: nothing is lost, nobody has to act
        warnings.filterwarnings("ignore", "A worker stopped while some jobs")
        try:
            yield from chain.from_iterable(pool(calls))
        except BrokenProcessPool as error:
            msg = (
                "a worker process died, most often because the memory was full. "
                "What had finished is kept where a cache is given: start again with "
                f"fewer jobs than {jobs!r}."
            )
            raise RadlatentError(msg) from error


def _known_failures(shares, waiting, keys):
    """Return why tasks failed in the parts; what no part has is told."""
    known = shares.failures
    failures = {name: known[keys[name]] for name in waiting if keys[name] in known}
    lost = [name for name in waiting if name not in failures]
    if lost:
        some = ", ".join(map(str, lost[:5])) + (", ..." if len(lost) > 5 else "")
        msg = (
            f"{len(lost)} results are not there though all shards are: {some}. Their "
            "files, the settings or the version of a library have changed since, or "
            "the folder of finished results was emptied: start the shards again."
        )
        raise RadlatentError(msg)
    return failures


def _calls(function, tasks, shared):
    groups = {}
    for name, task in tasks.items():
        groups.setdefault(shared.key(name), []).append((name, task))
    for group in groups.values():
        for start in range(0, len(group), _TOGETHER):
            some = group[start : start + _TOGETHER]
            call = joblib.delayed(_attempt_each)
            yield call(function, some, shared.forget, os.getpid())


def _alone(name):
    return name


def _nothing():
    pass


def _attempt_each(function, tasks, forget, caller):
    parent = multiprocessing.parent_process()
    # neither the calling process itself nor a machine of a cluster
    if parent is not None and parent.pid == caller != os.getpid():
        _end_with(caller)
    done = [_attempt(function, name, arguments) for name, arguments in tasks]
    forget()
    return done


@functools.cache
def _end_with(parent):
    """See to it that this worker ends when its parent does, killed as well.

    Loky's workers do not notice: they finish what they have and wait for more. The
    kernel's own signal (PR_SET_PDEATHSIG) follows the thread that started a worker, so
    that the end of one thread of a notebook would end workers that are kept for the
    next call.
    """
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent):
    if os.name == "nt":  # where a process keeps the number of a parent that is gone
        multiprocessing.parent_process().join()
    else:
        while os.getppid() == parent:
            time.sleep(_WATCH_EVERY_S)
    os._exit(1)


def _attempt(function, name, arguments):
    """Run one task; the one place where any exception becomes a failure."""
    try:
        return name, function(*arguments), None
    except OutputError:
        raise
    except Exception as error:
        _log.debug("task %s failed", name, exc_info=True)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            where = error.filename or tempfile.gettempdir()
            raise as_output_error(error, Path(where).parent) from error
        return name, None, (type(error).__name__, " ".join(str(error).split()))


def _path(cache, key):
    # two letters of fan-out keep the folders of a large cohort short
    return Path(cache) / key[:2] / f"{key}.json"


def _finished(cache, tasks, keys):
    found = {}
    for name in tasks:
        # a file that cannot be read is no result
        with contextlib.suppress(OSError, ValueError):
            found[name] = json.loads(_path(cache, keys[name]).read_text("utf-8"))
    return found


def forget(cache: Path, key: str, lost: Callable[[Any], bool]) -> None:
    """Forget a finished result of which something is lost: its task runs again.

    Parameters
    ----------
    cache, key
        As in `map_tasks`; a key without a result is passed over.
    lost
        Given the result, whether what it tells of is not there any more.
    """
    path = _path(cache, key)
    # a file that cannot be read is no result
    with contextlib.suppress(OSError, ValueError):
        if lost(json.loads(path.read_text("utf-8"))):
            path.unlink()


def _keep(cache, key, result):
    path = _path(cache, key)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise as_output_error(error, cache) or error from error
    replace_text(path, json.dumps(result))


@contextlib.contextmanager
def progress_bar(description: str, total: int, done: int = 0) -> Iterator[Callable]:
    """Give a function that says how many more of the steps are done, 1 by default.

    Parameters
    ----------
    description
        What the bar says; an empty text shows nothing.
    total, done
        Steps, and how many of them an earlier run has done.

    Notes
    -----
    A bar with the time left on a terminal, or in Jupyter with ipywidgets; elsewhere a
    line every half minute, in the log or, in a notebook without one, below the cell.
    """
    # where somebody asked for quiet, as --quiet does
    quiet = logging.getLogger("radlatent").level > logging.INFO
    console = Console(stderr=True)
    # without ipywidgets every bar in a notebook would be a warning to install them
    widgets = console.is_jupyter and _has_widgets()
    if not description or not total or quiet:
        yield lambda n=1: None
    elif widgets or (console.is_terminal and not console.is_jupyter):
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(description, total=total, completed=done)
            yield lambda n=1: bar.advance(task, n)
    else:
        # nobody reads the log of a notebook unless somebody asked for it
        heard = _log.isEnabledFor(logging.INFO) and _log.hasHandlers()
        told = _tell if console.is_jupyter and not heard else _log.info
        yield _told_progress(description, total, done, told)


def _has_widgets():
    return importlib.util.find_spec("ipywidgets") is not None


def _tell(text, *values):
    sys.stdout.write(f"{text % values}\n")
    sys.stdout.flush()


def _told_progress(description, total, done, tell):
    """Return a function that tells a line now and then, for files and clusters."""
    start = time.monotonic()
    state = {"done": done, "said": start}
    if done:
        tell("%s: %d of %d finished by an earlier run", description, done, total)

    def advance(n=1):
        state["done"] += n
        now = time.monotonic()
        if state["done"] == total or now - state["said"] >= _LOG_EVERY_S:
            state["said"] = now
            rate = (now - start) / max(state["done"] - done, 1)
            left = rate * (total - state["done"])
            tell("%s: %d of %d, %.0f s left", description, state["done"], total, left)

    return advance
