"""Drawing of observed shares or means against predictions.

The table of ``calibration_curve`` enters, an Axes leaves.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from radlatent.figures.models.numbers import axis_of
from radlatent.figures.style.look import PALETTE, name_lines

__all__ = ["calibration"]

_KEYS = ["model", "blocks", "endpoint", "class"]


def calibration(
    calibration_table: pd.DataFrame, ax: Axes | None = None, **kwargs
) -> Axes:
    """Draw smooth calibration curves with bands, bins with intervals, the diagonal.

    Parameters
    ----------
    calibration_table
        ``model, blocks, endpoint, class, curve, predicted, observed, lower, upper,
        count``, of numbers without ``class`` and perhaps with ``unit``; the area of a
        point follows the number of its patients.
    ax
        Where to draw, None for the current Axes.
    **kwargs
        Passed to ``Axes.plot`` of the smooth curves; a ``label`` names the model.
    """
    if ax is None:
        ax = plt.gca()
    kwargs.setdefault("linewidth", 1.5)
    keys = [c for c in _KEYS if c in calibration_table]
    ends = _limits(calibration_table)
    ax.plot(ends, ends, color="0.6", linestyle="--", linewidth=1, zorder=1)
    varying = [c for c in keys if len(calibration_table[c].unique()) > 1]
    groups = calibration_table.groupby(keys, sort=False)
    for number, (key, table) in enumerate(groups):
        key = dict(zip(keys, key, strict=True))
        bins = table[table["curve"] == "bins"]
        name = ", ".join(key[name] for name in varying or ["model"])
        style = {"color": PALETTE[number % len(PALETTE)], "label": name} | kwargs
        style["label"] += f" (n = {round(bins['count'].sum())})"
        smooth = table[table["curve"] == "smooth"]
        (line,) = ax.plot(smooth["predicted"], smooth["observed"], **style)
        band = {"color": line.get_color(), "alpha": 0.12, "linewidth": 0}
        ax.fill_between(smooth["predicted"], smooth["lower"], smooth["upper"], **band)
        _draw_bins(ax, bins, line.get_color())
    edge = 0.02 * np.ptp(ends)
    limits = ends[0] - edge, ends[1] + edge
    ax.set(xlim=limits, ylim=limits, aspect="equal")
    name_lines(ax, "upper left")
    if "class" not in calibration_table:
        ax.set_xlabel(axis_of(calibration_table, "Predicted"))
        ax.set_ylabel(axis_of(calibration_table, "Mean observed"))
        return ax
    classes = calibration_table["class"].unique()
    of = f" of class {classes[0]!r}" if len(classes) == 1 else ""
    ax.set_xlabel(f"Predicted probability{of}")
    ax.set_ylabel("Observed share of patients")
    return ax


def _limits(table):
    """Return where the diagonal ends: at 0 and 1, or where numbers do."""
    if "class" in table:
        return np.array([0.0, 1.0])
    both = table[["predicted", "observed", "lower", "upper"]].to_numpy(float)
    return np.array([np.nanmin(both), np.nanmax(both)])


def _draw_bins(ax, bins, color):
    x, y = bins["predicted"], bins["observed"]
    arms = np.clip([y - bins["lower"], bins["upper"] - y], 0, None)
    ax.errorbar(x, y, yerr=arms, fmt="none", color=color, capsize=2, linewidth=1)
    area = 120 * bins["count"] / bins["count"].sum()
    ax.scatter(x, y, s=area, color=color, edgecolor="white", zorder=3)
