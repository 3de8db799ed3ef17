"""How drawings look: colors, legends, labels that fit.

An Axes with named artists enters and gets its legend; a text leaves in lines.
"""

import textwrap
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.legend import Legend
from matplotlib.transforms import ScaledTranslation

__all__ = ["PALETTE", "in_lines", "name_above", "name_lines", "write_at_risk"]

#: Okabe & Ito 2008, https://jfly.uni-koeln.de/color; yellow, faint on white, last
PALETTE = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#F0E442",
)

#: Lines of text, and letters of the longest, that leave room for curves.
_MOST_LINES, _MOST_LETTERS = 6, 40

#: Room for the ticks and the label of an axis.
_BELOW_IN = 0.6


#: Letters of a line of a legend, at most: a figure is no wider.
_LINE_LETTERS = 48


def name_lines(ax: Axes, loc: str) -> None:
    """Add a legend inside of the Axes, or below where it would hide the curves.

    Parameters
    ----------
    ax
        With lines that have labels.
    loc
        Corner of a small legend.
    """
    handles, labels = ax.get_legend_handles_labels()
    labels = [in_lines(label, _LINE_LETTERS) for label in labels]
    lines = "\n".join(labels).split("\n")
    place = {"loc": loc}
    if len(lines) > _MOST_LINES or max(map(len, lines)) > _MOST_LETTERS:
        # in inches, so that it clears the label of the axis whatever the height
        down = ScaledTranslation(0, -_BELOW_IN, ax.figure.dpi_scale_trans)
        place = {"loc": "upper left", "bbox_to_anchor": (0, 0), "borderaxespad": 0}
        place["bbox_transform"] = ax.transAxes + down
    ax.legend(handles, labels, fontsize="small", edgecolor="none", **place)


def name_above(ax: Axes, n_columns: int = 2, **kwargs) -> Legend:
    """Add a legend above the Axes, where no corner is free in every table.

    Parameters
    ----------
    ax
        With artists that have labels.
    n_columns
        Names beside each other.
    **kwargs
        Passed to ``Axes.legend``.
    """
    style = {"fontsize": "small", "edgecolor": "none", "ncols": n_columns}
    style |= {"labelspacing": 0.2, "columnspacing": 1, "handlelength": 1.5}
    style |= {"loc": "lower center", "bbox_to_anchor": (0.5, 1)}
    return ax.legend(**style | kwargs)


def write_at_risk(
    curves: pd.DataFrame, ax: Axes, colors: Sequence[str] = PALETTE
) -> None:
    """Write the numbers at risk under the ticks; lifelines' own would need its fits.

    Parameters
    ----------
    curves
        ``group, time, at_risk``.
    ax
        Where the curves are, with limits.
    colors
        Of the groups.
    """
    place = {"xycoords": ax.get_xaxis_transform(), "textcoords": "offset points"}
    place |= {"annotation_clip": False, "fontsize": "small", "va": "top"}
    ticks = [tick for tick in ax.get_xticks() if 0 <= tick <= ax.get_xlim()[1]]
    ax.set_xticks(ticks)
    ax.annotate("At risk", (0, 0), (-18, -38), ha="right", **place)
    for number, (name, rows) in enumerate(curves.groupby("group", sort=False)):
        below = -52 - 13 * number
        text = {"color": colors[number % len(colors)]} | place
        ax.annotate(name, (0, 0), (-18, below), ha="right", **text)
        for tick in ticks:
            later = rows.loc[rows["time"] >= tick, "at_risk"]
            count = later.iloc[0] if len(later) else 0
            ax.annotate(f"{count}", (tick, 0), (0, below), ha="center", **text)


def in_lines(text: str, n_letters: int) -> str:
    """Return a text in lines, broken before a parenthesis or between words.

    Parameters
    ----------
    text
        What an axis or a panel is called.
    n_letters
        Of the longest line.
    """
    if len(text) <= n_letters:
        return text
    parts = text.replace(" (", "\n(").split("\n")
    return "\n".join(
        textwrap.fill(part, n_letters, break_on_hyphens=False) for part in parts
    )
