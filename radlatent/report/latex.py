"""A table as LaTeX: text of any kind enters, what a compiler takes leaves."""

import pandas as pd

__all__ = ["latex"]

_ESCAPED = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "–": "--",
    "−": "$-$",
    "×": r"$\times$",
    "²": r"\textsuperscript{2}",
    "“": "``",
    "”": "''",
}

#: Characters of a line in small print, and of the widest column that is not broken.
_LINE, _LONG = 70, 28


def latex(table: pd.DataFrame, *, caption: str, label: str) -> str:
    r"""Return a table for ``\usepackage{array,booktabs,longtable}``, cells escaped.

    Parameters
    ----------
    table
        Text and numbers that are already rounded.
    caption
        What stands above it.
    label
        What ``\ref`` takes.
    """
    text = table.astype(object).where(table.notna(), "–").map(str)
    cells = text.map(_escape).set_axis(map(_escape, text.columns), axis=1)
    body = cells.to_latex(
        index=False,
        escape=False,
        longtable=True,
        column_format=_columns(text),
        caption=_escape(caption),
        label=label,
    )
    return f"{{\\footnotesize\\setlength{{\\tabcolsep}}{{3pt}}\n{body}}}\n"


def _columns(text):
    """Return the columns of a table; one wider than a line is broken in cells."""
    widths = []
    for name in text:
        found = [str(name), *text[name]]
        words = [len(word) for one in found for word in one.split()]
        widths.append(max([1, *words, min(_LONG, max(map(len, found)))]))
    longest = text.map(len).max(axis=None) if len(text) else 0
    if sum(widths) <= _LINE and longest <= _LONG:
        return "l" * len(widths)
    shares = [f"{width / sum(widths):.3f}" for width in widths]
    return "".join(
        rf">{{\raggedright\arraybackslash}}p{{\dimexpr {share}\linewidth-2\tabcolsep}}"
        for share in shares
    )


def _escape(value):
    return "".join(_ESCAPED.get(character, character) for character in str(value))
