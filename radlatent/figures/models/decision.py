"""Drawing of net benefit against the threshold of treatment.

The table of ``net_benefit`` enters, an Axes leaves.
"""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from radlatent.errors import SchemaError
from radlatent.figures.style.look import PALETTE, name_lines

__all__ = ["decision_curve"]

_KEYS = ["model", "blocks", "endpoint"]


def decision_curve(
    benefit_table: pd.DataFrame, ax: Axes | None = None, **kwargs
) -> Axes:
    """Draw the net benefit of models with bands, of treating all, and none.

    Parameters
    ----------
    benefit_table
        ``model, blocks, endpoint, strategy, threshold, net_benefit, lower, upper`` of
        one endpoint. What is far below zero is cut off.
    ax
        Where to draw, None for the current Axes.
    **kwargs
        Passed to ``Axes.plot`` of the models.
    """
    endpoints = benefit_table["endpoint"].unique().tolist()
    if len(endpoints) > 1:
        msg = f"the table holds several endpoints {endpoints}; choose the rows of one."
        raise SchemaError(msg)
    if ax is None:
        ax = plt.gca()
    kwargs.setdefault("linewidth", 1.5)
    first = benefit_table.groupby(["strategy", "threshold"], sort=False).first()
    for strategy, style in {"all": "--", "none": ":"}.items():
        line = first.loc[strategy]["net_benefit"]
        shared = {"color": "0.4", "linestyle": style, "linewidth": 1, "zorder": 1}
        ax.plot(line.index, line, label=f"treat {strategy}", **shared)
    models = benefit_table[benefit_table["strategy"] == "model"]
    varying = [c for c in _KEYS if len(models[c].unique()) > 1] or ["model"]
    for number, (key, table) in enumerate(models.groupby(_KEYS, sort=False)):
        key = dict(zip(_KEYS, key, strict=True))
        label = ", ".join(key[name] for name in varying)
        style = {"color": PALETTE[number % len(PALETTE)], "label": label} | kwargs
        (line,) = ax.plot(table["threshold"], table["net_benefit"], **style)
        band = {"color": line.get_color(), "alpha": 0.12, "linewidth": 0}
        ax.fill_between(table["threshold"], table["lower"], table["upper"], **band)
    top = max(benefit_table[["net_benefit", "upper"]].max(axis=None), 0.01)
    ax.set_ylim(-0.25 * top, 1.05 * top)
    ax.margins(x=0)
    ax.set_xlabel(f"Threshold probability {_of_what(benefit_table)}")
    ax.set_ylabel("Net benefit (true positives per patient)")
    name_lines(ax, "upper right")
    return ax


def _of_what(table):
    """Return what is likely: of times, an event, or that of interest, until a day."""
    days = table["horizon"].dropna().unique() if "horizon" in table else []
    if not len(days):
        return "of treatment"
    what = table["cause"].iloc[0] if "cause" in table else "an event"
    until = f"day {days[0]:.4g}" if len(days) == 1 else "the horizon"
    return f"of {what} until {until}"
