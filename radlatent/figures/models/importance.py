"""Drawings of what a model rests on, and of how it learns.

Tables of ``fusion`` enter, an Axes leaves; every mark is a cell of the table.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from radlatent.errors import SchemaError
from radlatent.figures.style.look import PALETTE, name_lines

__all__ = ["importance", "metric_by_patients"]

_LABELS = {"auc": "AUC", "c_harrell": "Harrell's C"}


def importance(table: pd.DataFrame, ax: Axes | None = None, **kwargs) -> Axes:
    """Draw importance as bars, with the spread of the losses where the table has it.

    Parameters
    ----------
    table
        Of ``permutation_importance``, or the summary of ``shap_values``; the first row
        is drawn on top.
    ax
        Where to draw, None for the current Axes.
    **kwargs
        Passed to ``Axes.barh``.
    """
    if ax is None:
        ax = plt.gca()
    y = np.arange(len(table))
    if "loss" in table:
        size = table["loss"]
        # the mean may lie outside of the middle of a skewed spread
        arms = [(size - table["lower"]).clip(0), (table["upper"] - size).clip(0)]
        kwargs = {"xerr": arms, "error_kw": {"capsize": 3, "ecolor": "0.3"}} | kwargs
        metric = table["metric"].iloc[0]
        spread = f"middle {100 * table['level'].iloc[0]:g}% over folds and permutations"
        label = f"Loss of {_LABELS.get(metric, metric)} when permuted\n{spread}"
    else:
        size = table["mean_absolute"]
        label = "Mean |SHAP value| (log odds or log hazard)"
    blocks = table["block"].unique().tolist()
    colors = [PALETTE[blocks.index(block) % len(PALETTE)] for block in table["block"]]
    ax.barh(y, size, **({"color": colors} | kwargs))
    ax.axvline(0, color="0.3", linewidth=1)
    ax.set_yticks(y, table["name"])
    ax.set_ylim(len(table) - 0.5, -0.5)
    ax.set_xlabel(label)
    return ax


def metric_by_patients(
    table: pd.DataFrame, ax: Axes | None = None, *, metric: str | None = None, **kwargs
) -> Axes:
    """Draw a metric against the number of training patients, with its interval.

    Parameters
    ----------
    table
        Of ``fusion.learning_curve``; tables of several models may lie below each other.
    ax
        Where to draw, None for the current Axes.
    metric
        Which rows to draw; None takes the first of the table.
    **kwargs
        Passed to ``Axes.plot``.
    """
    metric = table["metric"].iloc[0] if metric is None else metric
    rows = table[table["metric"] == metric]
    if rows.empty:
        msg = f"metric={metric!r} is not in {table['metric'].unique().tolist()}."
        raise SchemaError(msg)
    if ax is None:
        ax = plt.gca()
    keys = ["model", "blocks", "endpoint"]
    named = [key for key in keys if len(rows[key].unique()) > 1] or ["model"]
    for number, (_, curve) in enumerate(rows.groupby(keys, sort=False)):
        style = {"color": PALETTE[number % len(PALETTE)], "marker": "o"}
        style |= {"label": ", ".join(curve.iloc[0][named])} | kwargs
        (line,) = ax.plot(curve["n_train"], curve["estimate"], **style)
        band = {"color": line.get_color(), "alpha": 0.12, "linewidth": 0}
        ax.fill_between(curve["n_train"], curve["lower"], curve["upper"], **band)
    ax.set_xlabel("Training patients")
    percent = f"{100 * rows['level'].iloc[0]:g}% interval"
    ax.set_ylabel(f"{_LABELS.get(metric, metric)}, out of fold ({percent})")
    name_lines(ax, "best")
    return ax
