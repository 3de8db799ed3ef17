"""Drawings of predicted numbers: against the true ones, and what is left.

The table of ``residuals`` enters, an Axes leaves; every mark is a patient.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from radlatent.figures.style.look import PALETTE, name_lines

__all__ = ["axis_of", "observed_predicted", "residuals"]

_KEYS = ["model", "blocks", "endpoint"]


def observed_predicted(
    residual_table: pd.DataFrame, ax: Axes | None = None, **kwargs
) -> Axes:
    """Draw the true number of each patient against the predicted one, and the diagonal.

    Parameters
    ----------
    residual_table
        ``model, blocks, endpoint, patient_id, value, predicted, residual``, perhaps
        ``unit``.
    ax
        Where to draw, None for the current Axes.
    **kwargs
        Passed to ``Axes.scatter``; a ``label`` names the model.
    """
    ax = _scatter(residual_table, "value", ax, kwargs)
    both = residual_table[["value", "predicted"]].to_numpy()
    ends = np.array([both.min(), both.max()])
    ax.plot(ends, ends, color="0.6", linestyle="--", linewidth=1, zorder=1)
    edge = 0.03 * np.ptp(ends)
    limits = ends[0] - edge, ends[1] + edge
    ax.set(xlim=limits, ylim=limits, aspect="equal")
    ax.set_xlabel(axis_of(residual_table, "Predicted"))
    ax.set_ylabel(axis_of(residual_table, "Observed"))
    name_lines(ax, "upper left")
    return ax


def residuals(residual_table: pd.DataFrame, ax: Axes | None = None, **kwargs) -> Axes:
    """Draw observed minus predicted against the prediction of each patient, and zero.

    Parameters
    ----------
    residual_table, ax, **kwargs
        As of `observed_predicted`.
    """
    ax = _scatter(residual_table, "residual", ax, kwargs)
    ax.axhline(0, color="0.6", linestyle="--", linewidth=1, zorder=1)
    ax.set_xlabel(axis_of(residual_table, "Predicted"))
    unnamed = residual_table.drop(columns="endpoint")
    ax.set_ylabel(axis_of(unnamed, "Observed minus predicted"))
    name_lines(ax, "upper left")
    return ax


def axis_of(table: pd.DataFrame, what: str) -> str:
    """Return what an axis says: what, of which endpoint, in which unit."""
    names = table["endpoint"].unique() if "endpoint" in table else []
    known = table["unit"].dropna().unique() if "unit" in table else []
    of = f" {names[0]}" if len(names) == 1 else ""
    return f"{what}{of}" + (f" ({known[0]})" if len(known) == 1 else "")


def _scatter(table, column, ax, kwargs):
    ax = plt.gca() if ax is None else ax
    varying = [name for name in _KEYS if len(table[name].unique()) > 1]
    for number, (key, rows) in enumerate(table.groupby(_KEYS, sort=False)):
        named = dict(zip(_KEYS, key, strict=True))
        name = ", ".join(named[one] for one in varying or ["model"])
        style = {"color": PALETTE[number % len(PALETTE)], "s": 14, "alpha": 0.7}
        style |= {"label": name, "linewidth": 0} | kwargs
        style["label"] += f" (n = {len(rows)})"
        ax.scatter(rows["predicted"], rows[column], **style)
    return ax
