"""What verbs leave behind: tables on the screen, messages and the exit code.

Tables and errors enter, lines of text leave.
"""

import errno
import functools
import inspect
import logging
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.highlighter import NullHighlighter
from rich.logging import RichHandler
from rich.table import Table

import radlatent as rl
from radlatent.errors import OutputError, RadlatentError
from radlatent.outputs import as_output_error

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Quiet",
    "be_quiet",
    "friendly",
    "judge",
    "print_performance",
    "print_rows",
    "print_table",
    "start_log",
    "write_tables",
]

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Warnings and errors only.")]

_log = logging.getLogger("radlatent")

#: What is printed of `radlatent.performance`: of classes the first two metrics, of
#: survival and of numbers the others; names of the latter have a day, or a unit.
_PRINTED = ("Model", "Features", "n", "AUC", "Balanced accuracy")
_PRINTED += ("C (Harrell)", "R²")
_DETAILED = ("C (Uno", "MAE")

#: What keeps a disk from taking more.
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

# cells may hold brackets that rich would take for markup; a file has no width
_out = Console(markup=False, width=None if sys.stdout.isatty() else 200)


def start_log(*, quiet: bool) -> None:
    """Let the package tell what it does on the standard error.

    Parameters
    ----------
    quiet
        Whether only warnings and errors are told.
    """
    handler = logging.StreamHandler()
    if sys.stderr.isatty():
        # the handler that knows of progress bars
        plain = {"show_time": False, "show_path": False, "show_level": False}
        console = Console(stderr=True, highlight=False)
        handler = RichHandler(console=console, highlighter=NullHighlighter(), **plain)
    _log.handlers = [handler]
    _log.setLevel(logging.WARNING if quiet else logging.INFO)
    _log.propagate = False


def be_quiet(quiet: bool) -> None:
    """Tell warnings and errors only, where that is asked for."""
    if quiet:
        _log.setLevel(logging.WARNING)


def friendly(verb: Callable) -> Callable:
    """Turn the errors that a user can act on into a message and exit code 1.

    The verb takes ``--quiet`` besides, as the command before it does.

    Parameters
    ----------
    verb
        A function of the command line.
    """

    @functools.wraps(verb)
    def wrapped(*args, quiet=False, **kwargs):
        be_quiet(quiet)
        try:
            return verb(*args, **kwargs)
        except (RadlatentError, OSError, ImportError) as error:
            typer.secho(f"error: {_told(error, kwargs)}", err=True, fg="red")
            raise typer.Exit(1) from error

    signature = inspect.signature(verb, eval_str=True)
    option = inspect.Parameter(
        "quiet", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Quiet
    )
    # typer reads the options of a verb from its signature
    parameters = [*signature.parameters.values(), option]
    wrapped.__signature__ = signature.replace(parameters=parameters)
    return wrapped


def _told(error, arguments):
    if isinstance(error, ModuleNotFoundError):
        return f"{error}; radlatent doctor says how to install it"
    if isinstance(error, OutputError) or getattr(error, "errno", None) not in _DISK:
        return error
    # what no file of ours raised does not say where: the disk with the least room
    named = [error.filename] if error.filename else []
    paths = [value for value in arguments.values() if isinstance(value, Path)]
    there = [Path(p).absolute() for p in (*named, *paths, tempfile.gettempdir(), ".")]
    folders = [next(f for f in (p, *p.parents) if f.is_dir()) for p in there]
    fullest = min(folders, key=lambda folder: shutil.disk_usage(folder).free)
    return as_output_error(error, folders[0] if named else fullest)


def judge(failures: "pd.DataFrame", allowed: int) -> None:
    """Tell the failures, and exit with 1 where more cases failed than are allowed.

    Parameters
    ----------
    failures
        A **failures** table.
    allowed
        Number of cases.
    """
    if failures.empty:
        return
    for row in failures[:5].itertuples():
        message = row.message.removeprefix(f"case {row.case_id!r}: ")
        typer.echo(f"case {row.case_id!r}, {row.stage}: {message}", err=True)
    if len(failures) > 5:
        typer.echo(f"... and {len(failures) - 5} more", err=True)
    cases = failures["case_id"].nunique()
    typer.echo(f"{cases} of the cases failed; the failures table says why.", err=True)
    if cases > allowed:
        raise typer.Exit(1)


def write_tables(out: Path, table: "pd.DataFrame", **others: "pd.DataFrame") -> None:
    """Write a table, and others beside it: ``x.csv``, ``x.failures.csv``.

    Parameters
    ----------
    out
        File of the table.
    table
        Its index is written where it has a name.
    others
        What comes between stem and suffix, to table.
    """
    rl.report.write_table(table, out)
    for name, other in others.items():
        rl.report.write_table(other, out.with_name(f"{out.stem}.{name}{out.suffix}"))


def print_performance(metrics: "pd.DataFrame") -> None:
    """Print a **metrics** table, as much of it as fits a line.

    Parameters
    ----------
    metrics
        Of any number of models.
    """
    table = rl.performance(metrics)
    print_table(table[[c for c in table if c in _PRINTED or c.startswith(_DETAILED)]])


def print_table(frame: "pd.DataFrame", *, digits: int = 1) -> None:
    """Print a table without its index.

    Parameters
    ----------
    frame
        The table.
    digits
        After the point of numbers that are not whole.
    """
    rows = (
        dict(zip(frame.columns, row, strict=True)) for row in frame.to_numpy(object)
    )
    print_rows(list(frame.columns), rows, digits=digits)


def print_rows(
    columns: Sequence[str], rows: Iterable[Mapping[str, object]], *, digits: int = 1
) -> None:
    """Print what is a table, though it may be none of pandas.

    Parameters
    ----------
    columns
        Their names.
    rows
        Column to cell.
    digits
        As in `print_table`.
    """
    table = Table(box=None, pad_edge=False)
    for column in columns:
        wide = column in ("Features", "remedy", "status")
        table.add_column(str(column), overflow="fold", no_wrap=not wide)
    for row in rows:
        table.add_row(*(_cell(row[column], digits) for column in columns))
    _out.print(table)


def _cell(value, digits):
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)
