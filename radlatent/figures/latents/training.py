"""Drawings of how encoders were trained, and what their settings change.

Tables of ``radlatent.latent.space.diagnostics`` enter, an Axes leaves.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from radlatent.errors import SchemaError
from radlatent.figures.style.look import PALETTE, in_lines, name_above

__all__ = ["discriminator_accuracy", "learning_curve", "split_errors", "sweep"]

_STYLES = ("-", "--", ":", "-.")
_WEIGHTS = {
    "beta": "β, weight of the KL term",
    "kappa": "κ, weight of the mutual-information term",
}
_MARKERS = "osD^"

#: A largest value this many times the smallest asks for a logarithmic axis.
_WIDE = 20


def learning_curve(
    table: pd.DataFrame,
    ax: Axes | None = None,
    *,
    log: bool | None = None,
    **kwargs,
) -> Axes:
    """Draw the parts of the loss against the epoch.

    Parameters
    ----------
    table
        ``epoch, split, part, value``. A part has a color, a split a style of line.
    ax
        Where to draw, None for the current Axes.
    log
        Whether the value has a logarithmic axis; None decides by the values, and
        takes a linear one where a value is not positive.
    **kwargs
        Passed to ``Axes.plot``.
    """
    if ax is None:
        ax = plt.gca()
    # a line through one point is no line
    alone = "." if len(table["epoch"].unique()) == 1 else ""
    for name, value in {"linewidth": 1.5, "marker": alone}.items():
        kwargs.setdefault(name, value)
    parts, splits = table["part"].unique(), table["split"].unique()
    for p, part in enumerate(parts):
        for s, split in enumerate(splits):
            rows = table[(table["part"] == part) & (table["split"] == split)]
            look = {"color": PALETTE[p % 8], "linestyle": _STYLES[s % 4]}
            ax.plot(rows["epoch"], rows["value"], **{**look, **kwargs})
    low, high = table["value"].min(), table["value"].max()
    if log is None:
        log = 0 < _WIDE * low < high
    if log:
        ax.set_yscale("log")
    ax.set_xlabel("Epoch")
    ax.set_ylabel("Part of the loss, mean of a case\n(nats; lower = better)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(ax, parts, splits)
    return ax


def _legend(ax, parts, splits):
    """Say colors and styles apart: their product would be a long list."""
    marks = [
        Line2D([], [], color=PALETTE[p % 8], label=part.replace("_", " "))
        for p, part in enumerate(parts)
    ]
    marks += [
        Line2D([], [], color="0.3", linestyle=_STYLES[s % 4], label=split)
        for s, split in enumerate(splits)
    ]
    name_above(ax, handles=marks)


def discriminator_accuracy(
    table: pd.DataFrame, ax: Axes | None = None, **kwargs
) -> Axes:
    """Draw the accuracy of the discriminator against chance.

    Parameters
    ----------
    table
        ``epoch, split, accuracy, chance``.
    ax
        Where to draw, None for the current Axes.
    **kwargs
        Passed to ``Axes.plot``.
    """
    if ax is None:
        ax = plt.gca()
    kwargs.setdefault("linewidth", 1.5)
    chance = table["chance"].iloc[0]
    ax.axhline(chance, color="0.6", linestyle="--", linewidth=1, label="chance")
    for number, (split, rows) in enumerate(table.groupby("split", sort=False)):
        look = {"color": PALETTE[number % 8], "label": split} | kwargs
        ax.plot(rows["epoch"], rows["accuracy"], **look)
    ax.set_ylim(min(0.4, table["accuracy"].min() - 0.02), 1.01)
    ax.set_xlabel("Epoch")
    ax.set_ylabel("Accuracy of the discriminator\n(chance = it finds no dependence)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(fontsize="small", edgecolor="none")
    return ax


def sweep(
    table: pd.DataFrame,
    ax: Axes | None = None,
    *,
    parameter: str = "beta",
    value: str,
    label: str,
    by: str | None = None,
    **kwargs,
) -> Axes:
    """Draw one quantity against a weight of the loss, on a logarithmic axis.

    Parameters
    ----------
    table
        The columns of ``parameter``, ``value`` and ``by``; a line ends where the value
        is missing. ``expected_if_independent``, where there, is drawn dashed.
    ax
        Where to draw, None for the current Axes.
    parameter
        ``"beta"`` or ``"kappa"``; a zero stands left of the others, after a gap.
    value, label
        Column that is drawn, and what the axis calls it: unit and direction.
    by
        Column that names the lines; None draws one.
    **kwargs
        Passed to ``Axes.plot``.

    Raises
    ------
    SchemaError
        The table lacks a column.
    """
    absent = [c for c in (parameter, value, by) if c is not None and c not in table]
    if absent:
        msg = f"the table lacks {absent}; it has {list(table)}."
        raise SchemaError(msg)
    if ax is None:
        ax = plt.gca()
    groups = table.groupby(by, sort=False) if by else [(None, table)]
    for number, (name, rows) in enumerate(groups):
        rows = rows.sort_values(parameter, kind="stable")
        look = {"color": PALETTE[number % 8], "label": name}
        # lines may lie on each other
        look |= {"marker": _MARKERS[number % 4], "linestyle": _STYLES[number % 4]}
        ax.plot(rows[parameter], rows[value], **look | kwargs)
    if "expected_if_independent" in table:
        level = table["expected_if_independent"].mean()
        dashed = {"color": "0.6", "linestyle": "--", "linewidth": 1, "zorder": 1}
        ax.axhline(level, label="expected if independent", **dashed)
    values = np.sort(table[parameter].unique())
    if values[0] > 0:
        ax.set_xscale("log")
    else:
        ax.set_xscale("symlog", linthresh=values[values > 0].min(), linscale=0.5)
    ax.set_xticks(values, [f"{v:g}" for v in values])
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel(_WEIGHTS.get(parameter, parameter))
    ax.set_ylabel(label)
    if by or "expected_if_independent" in table:
        # many lines leave no corner free
        if len(ax.lines) > 3:
            name_above(ax)
        else:
            ax.legend(fontsize="small", edgecolor="none")
    return ax


def split_errors(
    table: pd.DataFrame,
    ax: Axes | None = None,
    *,
    unit: str = "standard deviations",
    **kwargs,
) -> Axes:
    """Draw the errors of reconstruction of several encoders by split.

    Parameters
    ----------
    table
        One row a case: ``model, split, mean_squared_error``. A violin ends at the
        extremes; a bar has the quartiles, a black line is the median, a diamond the
        mean.
    ax
        Where to draw, None for the current Axes.
    unit
        Of the intensities.
    **kwargs
        Passed to ``seaborn.violinplot``.

    Notes
    -----
    Densities are those of the logarithm, as the axis is, and as wide as each other
    whatever the number of cases.
    """
    if ax is None:
        ax = plt.gca()
    models, splits = table["model"].unique(), table["split"].unique()
    colors = [PALETTE[m % 8] for m in range(len(models))]
    look = {"palette": colors, "saturation": 1, "alpha": 0.35, "linewidth": 0.6}
    look |= {"cut": 0, "density_norm": "width", "inner": None, "gap": 0.1}
    sns.violinplot(
        table,
        x="split",
        y="mean_squared_error",
        hue="model",
        order=splits,
        hue_order=models,
        log_scale=(False, True),
        ax=ax,
        **look | kwargs,
    )
    errors = table.groupby(["model", "split"])["mean_squared_error"]
    for m, model in enumerate(models):
        places = np.arange(len(splits)) + (m - (len(models) - 1) / 2) * 0.8 / len(
            models
        )
        for split, place in zip(splits, places, strict=True):
            if (model, split) in errors.groups:
                _summary(ax, errors.get_group((model, split)), place, colors[m])
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    counts = table[table["model"] == models[0]]["split"].value_counts()
    names = [f"{in_lines(s, 10)}\n(n = {counts.get(s, 0)})" for s in splits]
    ax.set_xticks(range(len(splits)), names)
    ax.tick_params(axis="x", labelsize="small")
    label = f"Mean squared error of a case ({unit}, squared; lower = better)"
    ax.set(xlabel="", ylabel=in_lines(label, 30))
    name_above(ax, title=None)
    return ax


def _summary(ax, errors, place, color):
    """Mark quartiles, median and mean of some errors."""
    low, median, high = errors.quantile([0.25, 0.5, 0.75])
    ax.plot([place] * 2, [low, high], color=color, linewidth=4, solid_capstyle="butt")
    dash = {"marker": "_", "markersize": 9, "markeredgewidth": 1.2, "color": "black"}
    ax.plot(place, median, **dash)
    diamond = {"marker": "D", "markersize": 2.5, "markeredgewidth": 0.6}
    diamond |= {"markerfacecolor": "white", "markeredgecolor": "black"}
    ax.plot(place, errors.mean(), **diamond)
