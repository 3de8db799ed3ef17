"""Drawing of how well hand-crafted features predict latent ones.

The table of features of a `Redundancy` enters, an Axes leaves.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from radlatent.errors import SchemaError
from radlatent.figures.style.look import PALETTE

__all__ = ["redundancy"]

_SERIES = {"r2_linear": ("ridge", -0.16), "r2_trees": ("boosted trees", 0.16)}


def redundancy(table: pd.DataFrame, ax: Axes | None = None, **kwargs) -> Axes:
    """Draw the held-out R² of each latent feature from the hand-crafted ones.

    Parameters
    ----------
    table
        ``feature, active, level`` and ``r2_linear, r2_trees`` with ``_lower`` and
        ``_upper``, one row a latent feature. The most redundant is on top, features
        that are not active below all others, gray and without a mark.
    ax
        Where to draw, None for the current Axes. A figure of 64 features needs a
        height of about 10 inches.
    **kwargs
        Passed to ``Axes.errorbar``.
    """
    needed = ["feature", "active", "level"]
    needed += [name + end for name in _SERIES for end in ("", "_lower", "_upper")]
    absent = [name for name in needed if name not in table]
    if absent:
        msg = f"the table lacks {absent}; give the features of a Redundancy."
        raise SchemaError(msg)
    if ax is None:
        ax = plt.gca()
    for name, value in {"fmt": "o", "markersize": 3, "linewidth": 1}.items():
        kwargs.setdefault(name, value)
    strength = table[[*_SERIES]].max(axis=1).where(table["active"], -np.inf)
    table = table.loc[strength.sort_values(ascending=False, kind="stable").index]
    rows = np.arange(len(table))
    ax.axvline(0, color="0.6", linestyle="--", linewidth=1, zorder=1)
    for number, (name, (label, shift)) in enumerate(_SERIES.items()):
        estimate = table[name]
        arms = [estimate - table[f"{name}_lower"], table[f"{name}_upper"] - estimate]
        style = {"color": PALETTE[number], "label": label} | kwargs
        ax.errorbar(estimate, rows + shift, xerr=np.clip(arms, 0, None), **style)
    _label_rows(ax, table)
    percent = f"{100 * table['level'].iloc[0]:g}% interval"
    meaning = f"{percent}, 0 = no better than the mean"
    ax.set_xlabel(f"Held-out R² from hand-crafted features\n{meaning}")
    # above the marks: no corner is free in every table
    ax.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=2,
        fontsize="small",
        edgecolor="none",
    )
    return ax


def _label_rows(ax, table):
    """Name the rows; one block's name is said once, at the axis."""
    parts = table["feature"].str.partition("__")
    blocks = parts[0].unique()
    names = parts[2] if len(blocks) == 1 else table["feature"]
    texts = [
        name if active else f"{name} (not active)"
        for name, active in zip(names, table["active"], strict=True)
    ]
    size = "small" if len(table) <= 32 else "xx-small"
    ax.set_yticks(np.arange(len(table)), texts, fontsize=size)
    for text, active in zip(ax.get_yticklabels(), table["active"], strict=True):
        if not active:
            text.set_color("0.6")
    ax.set_ylim(len(table) - 0.4, -0.6)
    one = f" ({blocks[0]})" if len(blocks) == 1 else ""
    ax.set_ylabel(f"Latent feature{one}")
