"""Where drawings stand: an empty figure of a size, and a panel for each model.

A drawing of this room and its table enter, the Axes of the panels leave.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from radlatent.figures.style.look import PALETTE, in_lines

__all__ = ["canvas", "panels"]

_KEYS = ["model", "blocks", "endpoint"]

#: Panels beside each other: with two, a figure is legible on a telephone.
_COLUMNS = 2

#: Letters of a line above a panel, and of a line along its axes.
_LETTERS = 26


@contextmanager
def canvas(size_inches: tuple[float, float]) -> Iterator[tuple[Figure, Axes]]:
    """Give a figure outside of pyplot's state and its Axes, and let go of them then.

    Parameters
    ----------
    size_inches
        Width and height in inches.
    """
    figure = Figure(figsize=size_inches, layout="constrained")
    yield figure, figure.subplots()
    figure.clear()


def panels(
    draw: Callable[..., object],
    table: pd.DataFrame,
    ax: Axes | None = None,
    *,
    like: pd.DataFrame | None = None,
    **kwargs,
) -> list[Axes]:
    """Draw each model in a panel of its own, all on the limits of all models.

    Parameters
    ----------
    draw
        ``roc``, ``calibration``, ``decision_curve``, ``survival_calibration`` or
        ``survival_auc``, or a function that is called like them.
    table
        The table of ``draw``: ``model, blocks, endpoint`` and what it draws.
    ax
        An Axes of a grid, as of ``plt.subplots``, that gives its place to the panels;
        None for the current one.
    like
        The table of all models, where ``table`` holds some of them: limits, colors and
        names are those of a drawing of it.
    **kwargs
        Passed to ``draw``.

    Returns
    -------
    list of Axes
        One a model, in the order of the table. What a legend would say of the model
        stands above its panel.
    """
    like = table if like is None else like
    ax = plt.gca() if ax is None else ax
    whole = Figure().subplots()
    draw(like, whole, **kwargs)
    limits = {"xlim": whole.get_xlim(), "ylim": whole.get_ylim()}
    styles = _styles(like)
    models = list(table.groupby(_KEYS, sort=False))
    grid = _grid(ax, len(models))
    for number, (panel, (key, rows)) in enumerate(zip(grid, models, strict=True)):
        draw(rows, panel, **styles[key] | kwargs)
        panel.set(**limits)
        _name(panel, first=number == 0)
        _label(panel, number, len(models))
    return grid


def _styles(table):
    """Return the label and the color that each model has where all are drawn."""
    varying = [name for name in _KEYS if len(table[name].unique()) > 1] or ["model"]
    styles = {}
    for number, (key, _) in enumerate(table.groupby(_KEYS, sort=False)):
        name = ", ".join(dict(zip(_KEYS, key, strict=True))[one] for one in varying)
        color = PALETTE[number % len(PALETTE)]
        styles[key] = {"label": in_lines(name, _LETTERS), "color": color}
    return styles


def _grid(ax, n):
    """Return n Axes at the place of one, which goes."""
    figure, place = ax.figure, ax.get_subplotspec()
    ax.remove()
    spec = place.subgridspec(-(-n // _COLUMNS), min(n, _COLUMNS))
    return [figure.add_subplot(spec[divmod(k, _COLUMNS)]) for k in range(n)]


def _name(panel, *, first):
    """Write the label of the model above; the first panel explains other lines."""
    handles, labels = panel.get_legend_handles_labels()
    panel.get_legend().remove()
    panel.set_title(labels[-1], loc="left", fontsize="small")
    if first and labels[:-1]:
        about = {"loc": "upper right", "fontsize": "x-small", "edgecolor": "none"}
        panel.legend(handles[:-1], labels[:-1], **about)


def _label(panel, number, n):
    """Keep the labels of the left and the lowest panels, in lines that fit."""
    panel.tick_params(labelsize="small")
    for axis, kept in (
        (panel.xaxis, number + _COLUMNS >= n),
        (panel.yaxis, number % _COLUMNS == 0),
    ):
        text = in_lines(axis.get_label_text(), _LETTERS) if kept else ""
        axis.set_label_text(text, fontsize="small")
        axis.set_tick_params(labelbottom=kept, labelleft=kept)
