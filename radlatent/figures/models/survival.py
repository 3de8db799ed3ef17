"""Drawings of predicted survival: risk groups, calibration, AUC by day.

Tables of ``fusion.survival_curves`` enter, an Axes leaves; every mark is a cell of the
table.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from radlatent.errors import SchemaError
from radlatent.figures.style.look import (
    PALETTE,
    name_above,
    name_lines,
    write_at_risk,
)

__all__ = ["kaplan_meier", "survival_auc", "survival_calibration"]

_KEYS = ["model", "blocks", "endpoint"]


def kaplan_meier(
    curves: pd.DataFrame,
    ax: Axes | None = None,
    *,
    groups: pd.DataFrame | None = None,
    **kwargs,
) -> Axes:
    """Draw survival of risk groups with bands, and below it how many are at risk.

    Parameters
    ----------
    curves
        ``model, blocks, endpoint, group, time, survival, lower, upper, at_risk,
        censored`` of one model. A cross marks a day with a censored patient.
    ax
        Where to draw, None for the current Axes. The numbers at risk hang below it; a
        figure of constrained layout makes room for them.
    groups
        ``n_events, n, p`` by ``group``, for the legend.
    **kwargs
        Passed to ``Axes.step``.

    Raises
    ------
    SchemaError
        The table holds several models.
    """
    _check_one(curves)
    if ax is None:
        ax = plt.gca()
    kwargs.setdefault("linewidth", 1.5)
    names = curves["group"].unique().tolist()
    for number, name in enumerate(names):
        rows = curves[curves["group"] == name]
        label = name + ("" if groups is None else _counts(groups, name))
        style = {"color": PALETTE[number % len(PALETTE)], "label": label} | kwargs
        (line,) = ax.step(rows["time"], rows["survival"], where="post", **style)
        band = {"color": line.get_color(), "alpha": 0.12, "linewidth": 0}
        ends = rows["lower"], rows["upper"]
        ax.fill_between(rows["time"], *ends, step="post", **band)
        lost = rows[rows["censored"] > 0]
        cross = {"marker": "+", "markersize": 5, "linestyle": "none"}
        ax.plot(lost["time"], lost["survival"], color=line.get_color(), **cross)
    title = "Predicted risk"
    if groups is not None and pd.notna(groups["p"].iloc[0]):
        title += f", log-rank {_p_text(groups['p'].iloc[0])}"
    # above the Axes: curves leave no corner free in common
    name_above(ax, title=title, title_fontsize="small")
    ax.set(xlim=(0, curves["time"].max()), ylim=(0, 1.02))
    ax.set(xlabel="Time (days)", ylabel="Free of the event")
    write_at_risk(curves, ax)
    return ax


def _varying(table):
    return [name for name in _KEYS if len(table[name].unique()) > 1]


def _check_one(table):
    several = _varying(table)
    if several:
        msg = f"the table holds several {several}; choose the rows of one."
        raise SchemaError(msg)


def _counts(groups, name):
    row = groups[groups["group"] == name].iloc[0]
    return f" ({row['n_events']} events of {row['n']})"


def _p_text(p):
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def survival_calibration(
    calibration_table: pd.DataFrame, ax: Axes | None = None, **kwargs
) -> Axes:
    """Draw the observed against the predicted risk of groups, with intervals.

    Parameters
    ----------
    calibration_table
        ``model, blocks, endpoint, predicted, observed, lower, upper, horizon``; of
        competing events with ``cause``, that of interest.
    ax
        Where to draw, None for the current Axes.
    **kwargs
        Passed to ``Axes.errorbar``.
    """
    if ax is None:
        ax = plt.gca()
    kwargs = {"marker": "o", "markersize": 5, "linewidth": 1, "capsize": 3} | kwargs
    ax.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1, zorder=1)
    for label, color, rows in _by_model(calibration_table):
        arms = [rows["observed"] - rows["lower"], rows["upper"] - rows["observed"]]
        style = {"color": color, "label": label, "yerr": np.clip(arms, 0, None)}
        ax.errorbar(rows["predicted"], rows["observed"], **style | kwargs)
    days = calibration_table["horizon"].unique()
    until = f"day {days[0]:.4g}" if len(days) == 1 else "the horizon"
    top = calibration_table[["predicted", "observed", "upper"]].max().max()
    limits = (0, min(1.02, 1.05 * top))
    ax.set(xlim=limits, ylim=limits, aspect="equal")
    what = _event(calibration_table)
    ax.set_xlabel(f"Predicted risk of {what} until {until}")
    how = "Aalen-Johansen" if "cause" in calibration_table else "1 − Kaplan-Meier"
    ax.set_ylabel(f"Observed risk ({how})")
    name_lines(ax, "upper left")
    return ax


def _event(table):
    """Return what a risk is of: the cause of interest, or an event."""
    return table["cause"].iloc[0] if "cause" in table else "an event"


def _by_model(table):
    """Yield label, color and rows of each model."""
    named = _varying(table) or ["model"]
    for number, (_, rows) in enumerate(table.groupby(_KEYS, sort=False)):
        label = ", ".join(rows[name].iloc[0] for name in named)
        yield label, PALETTE[number % len(PALETTE)], rows


def survival_auc(curve_table: pd.DataFrame, ax: Axes | None = None, **kwargs) -> Axes:
    """Draw the cumulative/dynamic AUC by day, with its band and the line of chance.

    Parameters
    ----------
    curve_table
        ``model, blocks, endpoint, time, auc, lower, upper``.
    ax
        Where to draw, None for the current Axes.
    **kwargs
        Passed to ``Axes.plot``.
    """
    if ax is None:
        ax = plt.gca()
    kwargs.setdefault("linewidth", 1.5)
    ax.axhline(0.5, color="0.6", linestyle="--", linewidth=1, zorder=1)
    for label, color, rows in _by_model(curve_table):
        style = {"color": color, "label": label} | kwargs
        (line,) = ax.plot(rows["time"], rows["auc"], **style)
        band = {"color": line.get_color(), "alpha": 0.12, "linewidth": 0}
        ax.fill_between(rows["time"], rows["lower"], rows["upper"], **band)
    low = min(0.4, curve_table["lower"].min() - 0.02)
    ax.set(xlim=(curve_table["time"].min(), curve_table["time"].max()))
    ax.set(ylim=(max(0, low), 1.01), xlabel="Time (days)")
    ax.set_ylabel("Time-dependent AUC (higher = better)")
    name_lines(ax, "lower right")
    return ax
