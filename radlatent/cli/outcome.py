"""What verbs leave behind: tables on the screen, messages and the exit code.

Tables and errors enter, lines of text leave.
"""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table

import radlatent as rl
from radlatent.errors import RadlatentError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["friendly", "judge", "print_table", "write_tables"]

# cells may hold brackets that rich would take for markup; a file has no width
_out = Console(markup=False, width=None if sys.stdout.isatty() else 200)


def friendly(verb: Callable) -> Callable:
    """Turn the errors that a user can act on into a message and exit code 1.

    Parameters
    ----------
    verb
        A function of the command line.
    """

    @functools.wraps(verb)
    def wrapped(*args, **kwargs):
        try:
            return verb(*args, **kwargs)
        except (RadlatentError, OSError, ImportError) as error:
            absent = isinstance(error, ModuleNotFoundError)
            hint = "; radlatent doctor says how to install it" if absent else ""
            typer.secho(f"error: {error}{hint}", err=True, fg="red")
            raise typer.Exit(1) from error

    return wrapped


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


def print_table(frame: "pd.DataFrame", *, digits: int = 1) -> None:
    """Print a table without its index.

    Parameters
    ----------
    frame
        The table.
    digits
        After the point of numbers that are not whole.
    """
    table = Table(box=None, pad_edge=False)
    for column in frame.columns:
        wide = column in ("Features", "remedy", "status")
        table.add_column(str(column), overflow="fold", no_wrap=not wide)
    for row in frame.itertuples(index=False):
        table.add_row(*(_cell(value, digits) for value in row))
    _out.print(table)


def _cell(value, digits):
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)
