"""Drawing of a random search: the score against every setting.

The table of trials of ``radlatent.latent.random_search.search`` enters, an Axes leaves.
"""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from radlatent.errors import SchemaError
from radlatent.figures.style.look import PALETTE

__all__ = ["search"]

_COLUMNS = 3
#: Share of a panel's width and height that is left for its labels.
_GAP = 0.3


def search(
    table: pd.DataFrame,
    ax: Axes | None = None,
    *,
    space: Mapping[str, tuple[float, float, str]],
    **kwargs,
) -> Axes:
    """Draw the score of every trial against each setting, one small panel a setting.

    Parameters
    ----------
    table
        ``state, eligible, score`` and a column for each setting. Trials that are not
        eligible are hollow, the best is orange, those that failed are gray crosses on
        the upper edge.
    ax
        Whose place the panels take, None for the current Axes.
    space
        Setting to (low, high, kind); "log" gives a logarithmic axis.
    **kwargs
        Passed to ``Axes.plot`` for the trials that are complete.
    """
    absent = [c for c in ("state", "eligible", "score", *space) if c not in table]
    if absent:
        msg = f"the table lacks {absent}; give the trials of a SearchResult."
        raise SchemaError(msg)
    if ax is None:
        ax = plt.gca()
    ax.set_axis_off()
    for name, value in {"linestyle": "", "marker": "o", "markersize": 4}.items():
        kwargs.setdefault(name, value)
    rows = -(-len(space) // _COLUMNS)
    for place, (name, (low, high, kind)) in enumerate(space.items()):
        panel = ax.inset_axes(_bounds(place, rows))
        _draw(panel, table, name, kwargs)
        if kind == "log":
            panel.set_xscale("log")
            # less than a decade has no major tick, and minor labels run into another
            ticks = np.geomspace(low, high, 3)
            panel.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
            panel.xaxis.set_minor_formatter(NullFormatter())
        panel.set_xlabel(name.replace("_", " "), fontsize="small")
        panel.tick_params(labelsize="x-small")
        if place % _COLUMNS == 0:
            # two lines: panels are low
            panel.set_ylabel("Score (nats,\nlower = better)", fontsize="small")
        else:
            panel.tick_params(labelleft=False)
    marks = {line.get_label(): line for line in ax.child_axes[-1].lines}
    shown = [line for line in marks.values() if len(line.get_xdata())]
    # above the panels: no corner is free in every table
    style = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 4}
    ax.legend(handles=shown, fontsize="small", edgecolor="none", **style)
    return ax


def _bounds(place, rows):
    row, column = divmod(place, _COLUMNS)
    width, height = 1 / _COLUMNS, 1 / rows
    return [
        column * width,
        1 - (row + 1) * height + _GAP * height,
        (1 - _GAP / 2) * width,
        (1 - _GAP) * height,
    ]


def _draw(panel, table, name, style):
    complete, eligible = table["state"] == "complete", table["eligible"]
    for label, chosen, face in (
        ("eligible", complete & eligible, PALETTE[0]),
        ("not eligible", complete & ~eligible, "none"),
    ):
        rows = table[chosen]
        colors = {"color": PALETTE[0], "markerfacecolor": face, "label": label}
        panel.plot(rows[name], rows["score"], **(colors | style))
    ranked = table[eligible].sort_values("score", kind="stable").iloc[:1]
    colors = {"color": PALETTE[4], "label": "best"} | style
    panel.plot(ranked[name], ranked["score"], **(colors | {"markersize": 7}))
    failed = table[~complete]
    panel.plot(
        failed[name],
        np.ones(len(failed)),
        transform=panel.get_xaxis_transform(),
        linestyle="",
        marker="x",
        color="0.6",
        clip_on=False,
        label="failed",
    )
