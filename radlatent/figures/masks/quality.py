"""Drawings of how good masks are, and of what a correction does to them.

Tables of ``masks`` enter, an Axes leaves; every mark is a cell of the table.
"""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection

from radlatent.errors import SchemaError
from radlatent.figures.masks.features import violin
from radlatent.figures.masks.slices import structure_colors
from radlatent.figures.style.drawable import drawable, missing_text
from radlatent.figures.style.look import PALETTE, name_above

__all__ = ["correction_effect", "dice_agreement", "dice_violins", "rules_broken"]

_GRAY = "0.55"

#: Decisions of the gate, in the order that they are drawn: the rare ones on top.
_DECISIONS = {"kept": _GRAY, "corrected": PALETTE[0], "refused": PALETTE[1]}

#: Intervals that can still be told apart, and groups of masks where there are more.
_MOST_BARS, _BANDS = 60, 20


def rules_broken(table: pd.DataFrame, ax: Axes | None = None, **kwargs) -> Axes:
    """Draw the share of slices that break each rule, before and after a correction.

    Parameters
    ----------
    table
        ``rule, when, n_broken, n``, a row a rule and time; ``n`` slices have a verdict.
        The first of ``when`` is drawn gray and decides the order: the rule that is
        broken most often is on top.
    ax
        Where to draw, None for the current Axes.
    **kwargs
        Passed to ``Axes.barh``.

    Raises
    ------
    SchemaError
        A column is missing or not numeric, no row has numbers, or a rule is there twice
        at one time.

    Notes
    -----
    The numbers at the bars are ``n_broken``, with ``n`` where it differs between rows.
    """
    rows = drawable(table, ["n_broken", "n"], ["rule", "when"])
    # nothing is known of a rule without a slice
    rows = drawable(rows.assign(share=100 * rows["n_broken"] / rows["n"]), ["share"])
    twice = rows[rows.duplicated(["rule", "when"])]
    if len(twice):
        pairs = twice[["rule", "when"]].iloc[:3].to_numpy().tolist()
        msg = f"the table holds {pairs} more than once; choose the rows of one set."
        raise SchemaError(msg)
    if ax is None:
        ax = plt.gca()
    times = rows["when"].unique().tolist()
    first = rows[rows["when"] == times[0]].set_index("rule")
    share = first["share"].reindex(rows["rule"].unique())
    rules = share.sort_values(ascending=False, kind="stable").index
    one_n = len(rows["n"].unique()) == 1
    height = 0.8 / len(times)
    for number, when in enumerate(times):
        part = rows[rows["when"] == when]
        y = rules.get_indexer(part["rule"]) + (number - (len(times) - 1) / 2) * height
        color = "0.6" if number == 0 else PALETTE[(number - 1) % 8]
        look = {"height": height, "color": color, "label": when} | kwargs
        bars = ax.barh(y, part["share"], **look)
        pairs = zip(part["n_broken"], part["n"], strict=True)
        texts = [f"{a:,.0f}" + ("" if one_n else f" of {n:,.0f}") for a, n in pairs]
        size = "small" if len(rules) <= 8 else "x-small"
        ax.bar_label(bars, texts, padding=2, fontsize=size)
    ax.set_yticks(np.arange(len(rules)), rules)
    ax.set_ylim(len(rules) - 0.5, -0.5)
    # room for the numbers, also where no rule is broken
    room = 1.12 if one_n else 1.3
    ax.set_xlim(0, max(1.0, room * rows["share"].max()))
    counted = f"; n = {rows['n'].iloc[0]:,.0f}" if one_n else ""
    label = f"Slices that break the rule (%{counted})"
    # long names of rules leave less room than label and names need
    ax.set_xlabel(label + missing_text(table, rows), loc="right")
    name_above(ax, len(times), loc="lower right", bbox_to_anchor=(1, 1))
    return ax


def dice_violins(
    table: pd.DataFrame,
    ax: Axes | None = None,
    *,
    structures: Sequence[str] = (),
    **kwargs,
) -> Axes:
    """Draw the Dice of structures, a violin a maker of masks, and name what lies at 0.

    Parameters
    ----------
    table
        ``name, structure, dice, state``, a row a mask or slice: ``both`` have voxels of
        the structure, or it is ``missed`` or ``invented``, and Dice is 0.
    ax
        Where to draw, None for the current Axes.
    structures
        The first of those that decide the colors.
    **kwargs
        Passed to ``Axes.text`` of the names.

    Raises
    ------
    SchemaError
        A column is missing, or no row has numbers.

    Notes
    -----
    A violin is the density where both have voxels, with the median; what lies at 0 is
    no tail of it but another lobe, which is counted by name.
    """
    rows = drawable(table, ["dice"], ["name", "structure", "state"])
    if ax is None:
        ax = plt.gca()
    names = list(dict.fromkeys([*structures, *rows["structure"]]))
    colors, ticks, y = structure_colors(names), {}, 0.0
    for structure in (one for one in names if (rows["structure"] == one).any()):
        groups = rows[rows["structure"] == structure].groupby("name", sort=False)
        for name, part in groups:
            held = part.loc[part["state"] == "both", "dice"]
            violin(ax, held, y, colors[structure])
            if len(held):
                ax.vlines(held.median(), y - 0.38, y + 0.38, color="black", lw=2)
            counts = [(part["state"] == what).sum() for what in ("missed", "invented")]
            told = f"{counts[0]:,} missed, {counts[1]:,} invented"
            # above the tail of the violin, which would strike it out
            look = {"fontsize": "x-small", "va": "bottom"} | kwargs
            ax.text(0.01, y - 0.06, told, **look)
            ticks[y] = f"{structure}, {name} (n = {len(part):,})"
            y += 1.0
        y += 0.4
    ax.set_yticks(list(ticks), list(ticks.values()))
    ax.set_ylim(max(ticks) + 0.6, -0.6)
    ax.set_xlim(0, 1)
    ax.tick_params(axis="y", labelsize="small")
    ax.set_xlabel("Dice with the reference" + missing_text(table, rows))
    return ax


def dice_agreement(
    table: pd.DataFrame,
    ax: Axes | None = None,
    *,
    flag_below: float | None = None,
    threshold: float | None = None,
    **kwargs,
) -> Axes:
    """Draw the true Dice of masks against that predicted without a reference.

    Parameters
    ----------
    table
        ``dice, predicted_dice, flagged``, a row a mask; ``lower, upper`` where the
        predictions have intervals, and their ``level``.
    ax
        Where to draw, None for the current Axes.
    flag_below
        True Dice below which a mask should be flagged, a horizontal line.
    threshold
        Predicted Dice that is flagged, as are all below, a vertical line.
    **kwargs
        Passed to ``Axes.scatter``.

    Raises
    ------
    SchemaError
        A column is missing or not numeric, or no row has numbers.

    Notes
    -----
    An interval holds a mask whose point lies inside of it. Each of up to 60 masks has
    its own; more have the median limits of 20 groups, as many masks in each, in the
    order of the prediction.
    """
    rows = drawable(table, ["dice", "predicted_dice"], ["flagged"])
    if ax is None:
        ax = plt.gca()
    dashed = {"color": "black", "linestyle": "--", "linewidth": 1, "zorder": 4}
    ax.plot([0, 1], [0, 1], **dashed)
    if {"lower", "upper"} <= set(rows):
        _intervals(ax, rows.dropna(subset=["lower", "upper"]))
    flagged = rows["flagged"].astype(bool)
    for name, part, color in (
        ("not flagged", rows[~flagged], PALETTE[0]),
        ("flagged", rows[flagged], PALETTE[1]),
    ):
        told = {"color": color, "label": f"{name} (n = {len(part):,})", "zorder": 2}
        look = _points(len(rows)) | told | kwargs
        ax.scatter(part["predicted_dice"], part["dice"], **look)
    for value, line in ((threshold, ax.axvline), (flag_below, ax.axhline)):
        if value is not None:
            line(value, color="black", linestyle=":", linewidth=1.2, zorder=4)
    _square(ax, 0)
    unseen = missing_text(table, rows)
    ax.set_xlabel(f"Predicted Dice (without the reference){unseen}")
    ax.set_ylabel("True Dice (1 = as the reference)")
    _solid_legend(ax, "upper left")
    return ax


def _intervals(ax, rows):
    if rows.empty:
        return
    percent = f"{100 * rows['level'].iloc[0]:g}% interval" if "level" in rows else ""
    label = percent or "interval"
    if len(rows) <= _MOST_BARS:
        look = {"color": "0.75", "linewidth": 1.5, "zorder": 1, "label": label}
        ax.vlines(rows["predicted_dice"], rows["lower"], rows["upper"], **look)
        return
    place = rows["predicted_dice"].rank(method="first") - 1
    groups = rows.groupby((place * _BANDS // len(rows)).astype(int))
    middle = groups[["predicted_dice", "lower", "upper"]].median()
    band = {"color": "0.88", "linewidth": 0, "zorder": 1}
    ax.fill_between(middle["predicted_dice"], middle["lower"], middle["upper"], **band)
    edge = {"color": "0.25", "linewidth": 1, "zorder": 3}
    for name, told in (("lower", f"{label}, median"), ("upper", None)):
        ax.plot(middle["predicted_dice"], middle[name], label=told, **edge)


def correction_effect(
    table: pd.DataFrame,
    ax: Axes | None = None,
    *,
    worse_by: float = 0.02,
    **kwargs,
) -> Axes:
    """Draw the Dice of each slice after a correction against that before.

    Parameters
    ----------
    table
        ``dice_before, dice_after, decision``, a row a slice. Decisions are ``kept``,
        ``corrected``, ``refused``, or others, which are drawn last.
    ax
        Where to draw, None for the current Axes.
    worse_by
        Loss of Dice that counts as harm, a dashed line; how many slices lose more is
        said in the legend.
    **kwargs
        Passed to ``Axes.scatter``.

    Raises
    ------
    SchemaError
        A column is missing or not numeric, or no row has numbers.
    """
    rows = drawable(table, ["dice_before", "dice_after"], ["decision"])
    if ax is None:
        ax = plt.gca()
    ax.plot([0, 1], [0, 1], color="0.3", linewidth=1, zorder=1)
    lost = {"color": "0.3", "linestyle": "--", "linewidth": 1, "zorder": 1}
    ax.plot([worse_by, 1], [0, 1 - worse_by], label=f"loss of {worse_by:g}", **lost)
    found = rows["decision"].unique()
    others = [name for name in found if name not in _DECISIONS]
    colors = _DECISIONS | {n: PALETTE[2 + i % 6] for i, n in enumerate(others)}
    for number, (name, color) in enumerate(colors.items()):
        part = rows[rows["decision"] == name]
        if part.empty:
            continue
        change = part["dice_after"] - part["dice_before"]
        # a loss of exactly the limit is not above it, whatever rounding says
        worse = int((change < -worse_by - 1e-9).sum())
        label = f"{name} (n = {len(part):,}; {worse:,} lose more)"
        told = {"color": color, "label": label, "zorder": 2 + number}
        look = _points(len(rows)) | told | kwargs
        ax.scatter(part["dice_before"], part["dice_after"], **look)
    _square(ax, np.floor(10 * rows[["dice_before", "dice_after"]].min().min()) / 10)
    ax.set_xlabel("Dice before (1 = as the reference)" + missing_text(table, rows))
    ax.set_ylabel("Dice after correction")
    # a correction that helps leaves this corner free
    _solid_legend(ax, "lower right")
    return ax


def _points(n):
    """Return the look of points that shows how dense they are."""
    look = {"linewidths": 0, "rasterized": n > 500}
    return look | ({"s": 6, "alpha": 0.35} if n > 500 else {"s": 18, "alpha": 0.8})


def _square(ax, low):
    limits = low - 0.02, 1.02
    ax.set(xlim=limits, ylim=limits, aspect="equal")


def _solid_legend(ax, loc):
    """Name the points by marks that can be seen, however faint the points are."""
    legend = ax.legend(fontsize="small", edgecolor="none", loc=loc)
    for handle in legend.legend_handles:
        handle.set_alpha(1)
        if isinstance(handle, PathCollection):
            handle.set_sizes([20])
