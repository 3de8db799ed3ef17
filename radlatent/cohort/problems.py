"""Everything wrong with a cohort, gathered before anything is raised.

Checks add to a list; the list becomes a table and one message.
"""

from dataclasses import dataclass, field

import pandas as pd

from radlatent.errors import CohortError

__all__ = ["FileProblems", "Problems"]

_COLUMNS = ("file", "row", "case_id", "column", "value", "problem", "remedy")
_IN_MESSAGE = 50

#: A cell of a megabyte would fill the screen.
_LONGEST = 2_000

#: A problem of tables stops everything; one of files concerns the cases it names.
_CASES = "cases"


@dataclass
class Problems:
    """A growing list of problems: where, what was found, what to do."""

    rows: list = field(default_factory=list)
    seen: set = field(default_factory=set, repr=False)

    def add(self, problem: str, remedy: str, *, file: str, **where) -> None:
        """Note one problem; what was noted before, as of a mask of two images, once.

        Parameters
        ----------
        problem
            What is wrong, and what was found.
        remedy
            What to do.
        file
            Name of the file that has to be mended.
        **where
            ``row`` (line in the file, the header is line 1), ``case_id``, ``column``,
            ``value``; and ``cases``, the ids of all cases that a faulty image or mask
            concerns.
        """
        texts = {"file": file, "problem": _brief(problem), "remedy": _brief(remedy)}
        where = {key: _brief(value) for key, value in where.items()}
        row = dict.fromkeys(_COLUMNS, "") | {_CASES: ()} | where | texts
        known = tuple(map(str, row.values()))
        if known not in self.seen:
            self.seen.add(known)
            self.rows.append(row)

    def of(self, file: str) -> "FileProblems":
        """Return the list as the checks of one file see it."""
        return FileProblems(self, file)

    @property
    def frame(self) -> pd.DataFrame:
        """The **problems** table: ``file, row, case_id, column, value, ...``."""
        return pd.DataFrame(self.rows, columns=list(_COLUMNS)).astype(str)

    def raise_if_any(self, cohort: str, *, allow: int = 0) -> None:
        """Raise one ``CohortError`` that lists every problem, if there is one.

        Parameters
        ----------
        cohort
            What the message calls it.
        allow
            Number of cases whose images or masks may have problems. Problems of the
            tables are never allowed.
        """
        cases = {case for row in self.rows for case in row[_CASES]}
        tables = any(not row[_CASES] for row in self.rows)
        if tables or len(cases) > allow:
            raise CohortError(self.message(cohort), problems=self.frame)

    def message(self, cohort: str) -> str:
        """Return all problems as lines of text, the first 50 in full."""
        lines = [_line(row) for row in self.rows[:_IN_MESSAGE]]
        if len(self.rows) > _IN_MESSAGE:
            lines.append(f"... and {len(self.rows) - _IN_MESSAGE} more.")
        count = len(self.rows)
        head = f"cohort {cohort}: {count} problem{'s' if count > 1 else ''} found."
        return "\n".join([head, *lines])


@dataclass(frozen=True)
class FileProblems:
    """The list of problems, as the checks of one file see it.

    Parameters
    ----------
    every
        The list; it grows.
    file
        What messages call the file.
    """

    every: Problems
    file: str

    def add(self, problem: str, remedy: str, **where) -> None:
        """Note one problem of the file; see `Problems.add`."""
        self.every.add(problem, remedy, file=self.file, **where)


def _brief(value):
    """Return a value as it is, a text without its middle where it is endless."""
    if not isinstance(value, str) or len(value) <= _LONGEST:
        return value
    half = _LONGEST // 2
    return f"{value[:half]} ... ({len(value):,} characters) ... {value[-half:]}"


def _line(row):
    place = row["file"]
    if row["row"]:
        place += f" line {row['row']}"
    if row["case_id"]:
        place += f", case {row['case_id']!r}"
    if row["column"]:
        place += f", column {row['column']!r}"
    problem = row["problem"].rstrip(".")
    stop = "" if problem.endswith("?") else "."
    return f"  {place}: {problem}{stop} {row['remedy']}."
