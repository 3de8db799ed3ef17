"""A drawing of how many of the largest coefficients are of some blocks.

A table of ``fusion.top_k_shares`` enters, an Axes leaves.
"""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from radlatent.errors import SchemaError
from radlatent.figures.style.look import PALETTE, name_above

__all__ = ["top_k_shares"]


def top_k_shares(table: pd.DataFrame, ax: Axes | None = None, **kwargs) -> Axes:
    """Draw the count of one group of blocks among the top k between its two extremes.

    Parameters
    ----------
    table
        ``blocks, k, count, all_last, all_first, even`` of one group of blocks.
    ax
        Where to draw, None for the current Axes.
    **kwargs
        Passed to ``Axes.step``, for the line of counts.

    Raises
    ------
    SchemaError
        The table holds several groups.

    References
    ----------
    Vetil et al. 2023, arXiv:2308.11389
    """
    names = table["blocks"].unique().tolist()
    if len(names) != 1:
        msg = f"the table holds the groups {names}; choose the rows of one."
        raise SchemaError(msg)
    if ax is None:
        ax = plt.gca()
    name = names[0]
    # every curve starts at no column among the first none
    zero = dict.fromkeys(("k", "count", "all_last", "all_first", "even"), 0)
    table = pd.concat([pd.DataFrame([zero]), table], ignore_index=True)
    k = table["k"]
    ax.fill_between(k, table["all_last"], table["all_first"], color="0.93", linewidth=0)
    ends = {"color": "0.45", "linewidth": 1}
    ax.plot(k, table["all_first"], linestyle="--", label=f"all {name} first", **ends)
    ax.plot(k, table["even"], linestyle=":", label="no preference", **ends)
    ax.plot(k, table["all_last"], linestyle="-.", label=f"all {name} last", **ends)
    for key, value in {"color": PALETTE[0], "linewidth": 2, "label": name}.items():
        kwargs.setdefault(key, value)
    ax.step(k, table["count"], where="post", **kwargs)
    ax.set_xlabel("k largest |coefficients|")
    ax.set_ylabel(f"Columns of {name} among them")
    ax.set(xlim=(0, k.max()), ylim=(0, None))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    # above the Axes: both empty corners are narrow where a group has few columns
    name_above(ax)
    return ax
