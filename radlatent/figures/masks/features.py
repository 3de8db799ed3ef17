"""Drawings of what a mask does to features: how stable they are, how far they shift.

Tables of features enter, an Axes leaves; every mark is a cell of the table.
"""

from collections.abc import Iterable
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from radlatent.errors import SchemaError
from radlatent.figures.masks.slices import structure_colors
from radlatent.figures.style.drawable import drawable, missing_text
from radlatent.figures.style.look import PALETTE, name_above

__all__ = ["feature_shift", "feature_stability", "violin"]

#: Koo and Li 2016, doi:10.1016/j.jcm.2016.02.012, and where each verdict begins.
_VERDICTS = {"poor": -np.inf, "moderate": 0.5, "good": 0.75, "excellent": 0.9}

#: A longest shift this many times the median asks for a logarithmic axis.
_WIDE = 20

#: Golden ratio: multiples of it, modulo 1, spread evenly however many there are.
_GOLDEN = (np.sqrt(5) - 1) / 2


def feature_stability(
    table: pd.DataFrame,
    ax: Axes | None = None,
    *,
    structures: Iterable[str] = (),
    **kwargs,
) -> Axes:
    """Draw the ICC of every feature by structure and tier, with densities and medians.

    Parameters
    ----------
    table
        A row a feature: ``feature``, ``estimate`` (or ``icc``, where that is a number);
        optionally ``structure`` or else ``family``, which give the rows and colors of
        the figure, ``tier``, which divides them, and ``lower``.
    ax
        Where to draw, None for the current Axes.
    structures
        Names in the order that decides the colors, as in `mask_overlay`; by default
        that of the table.
    **kwargs
        Passed to ``Axes.scatter``.

    Raises
    ------
    SchemaError
        A column is missing or not numeric, no row has numbers, or the table holds
        several coefficients.

    Notes
    -----
    Lines divide poor, moderate, good and excellent (Koo and Li 2016). Those judge the
    ``lower`` limit of the interval: the share of features whose limit is good or
    better stands at each row.

    References
    ----------
    Koo and Li 2016, doi:10.1016/j.jcm.2016.02.012
    """
    named = "estimate" in table
    value = "estimate" if named else "icc"
    kinds = table["icc"].unique().tolist() if named and "icc" in table else []
    if len(kinds) > 1:
        msg = f"the table holds {kinds}; choose the rows of one."
        raise SchemaError(msg)
    rows = drawable(table, [value], ["feature"])
    if ax is None:
        ax = plt.gca()
    by = [name for name in ("structure", "family") if name in rows][:1]
    keys = by + [name for name in ("tier",) if name in rows]
    groups = _groups(rows, keys)
    names = dict.fromkeys([*structures, *(key[0] for key, _ in groups)])
    colors = structure_colors(names) if by else {}
    places, y = [], 0.0
    for number, (key, part) in enumerate(groups):
        # a gap between structures
        y += 0 if not number else 1 if key[:1] == groups[number - 1][0][:1] else 1.4
        places.append(y)
        color = colors.get(key[0], PALETTE[0]) if by else PALETTE[0]
        violin(ax, part[value], y, color)
        _strip(ax, part[value], y, color, kwargs)
    ax.set_yticks(places, [_told(key, part) for key, part in groups])
    ax.set_ylim(y + 0.6, -0.6)
    ax.tick_params(axis="y", labelsize="small")
    _verdict_lines(ax, rows[value])
    label = f"{kinds[0] if kinds else 'ICC'} of a feature over masks (1 = stable)"
    if "lower" in rows:
        label += "\ngood or better: the lower limit of the interval"
    # long names of rows leave less room than a label needs
    ax.set_xlabel(label + missing_text(table, rows), loc="right", fontsize="small")
    return ax


def _groups(rows, keys):
    """Return names and rows of each group, in the order of the table or of tiers."""
    if not keys:
        return [(("all",), rows)]
    groups = rows.groupby(keys, sort=False, observed=True, dropna=False)
    found = [(tuple(map(str, key)), part) for key, part in groups]
    first = list(dict.fromkeys(key[0] for key, _ in found))
    order = _order(rows[keys[-1]])
    return sorted(found, key=lambda g: (first.index(g[0][0]), order.index(g[0][-1])))


def _order(column):
    if isinstance(column.dtype, pd.CategoricalDtype):
        return [*map(str, column.cat.categories), "nan"]
    return list(dict.fromkeys(map(str, column)))


def violin(
    ax: Axes, values: pd.Series, y: float, color: str | tuple[float, ...]
) -> None:
    """Draw the density of a row: points that lie on each other do not show it.

    Parameters
    ----------
    ax
        Where to draw.
    values
        Without missing ones; of a single value nothing is drawn.
    y
        Height of the row.
    color
        Of the violin.
    """
    if len(values.unique()) < 2:
        return
    look = {"color": color, "alpha": 0.35, "saturation": 1, "linewidth": 0.6}
    look |= {"cut": 0, "density_norm": "width", "width": 0.8, "inner": None}
    sns.violinplot(
        x=values.to_numpy(float),
        y=[y] * len(values),
        orient="h",
        native_scale=True,
        ax=ax,
        **look,
    )


def _strip(ax, values, y, color, kwargs):
    values = np.sort(values.to_numpy(float))
    spread = (np.arange(len(values)) * _GOLDEN + 0.5) % 1 - 0.5
    look = {"color": color, "linewidths": 0, "rasterized": len(values) > 500}
    look |= {"s": 4 if len(values) > 100 else 10, "zorder": 2}
    look["alpha"] = 0.25 if len(values) > 500 else 0.8
    ax.scatter(values, y + 0.6 * spread, **look | kwargs)
    ax.vlines(np.median(values), y - 0.38, y + 0.38, color="black", lw=2, zorder=3)


def _told(key, part):
    text = f"{', '.join(key)} (n = {len(part):,})"
    if "lower" in part:
        good = 100 * (part["lower"] >= _VERDICTS["good"]).mean()
        text += f"\n{good:.0f}% good or better"
    return text


def _verdict_lines(ax, values):
    low = min(0.0, values.min()) - 0.02
    ax.set_xlim(low, 1.02)
    edges = [low, *list(_VERDICTS.values())[1:], 1.02]
    for edge in edges[1:-1]:
        ax.axvline(edge, color="0.4", linestyle="--", linewidth=1, zorder=1)
    top = ax.secondary_xaxis("top")
    centers = [(a + b) / 2 for a, b in pairwise(edges)]
    top.set_xticks(centers, list(_VERDICTS), rotation=30, ha="left")
    top.tick_params(length=0, labelsize="small", pad=0)


def feature_shift(table: pd.DataFrame, ax: Axes | None = None, **kwargs) -> Axes:
    """Draw how far features lie from those of the expert's mask, in pairs by family.

    Parameters
    ----------
    table
        ``feature, family, when, shift``, a row a feature and time. ``shift`` is the
        median absolute difference from the feature of the expert's mask, in standard
        deviations between patients. ``when`` is of two times such as ``degraded`` and
        ``corrected``; the first of the table is drawn above.
    ax
        Where to draw, None for the current Axes.
    **kwargs
        Passed to ``Axes.scatter`` for the points of features.

    Raises
    ------
    SchemaError
        A column is missing or not numeric, no feature has both times, there are not
        two, or a feature is there twice.

    Notes
    -----
    A line joins the two points of a feature; large points are medians of a family.
    """
    rows = drawable(table, ["shift"], ["feature", "family", "when"])
    times = rows["when"].unique().tolist()
    twice = rows.duplicated(["feature", "family", "when"])
    if len(times) != 2 or twice.any():
        msg = (
            f"the table holds the times {times}, {int(twice.sum())} features more than "
            "once. Give two times, and a row a feature and time."
        )
        raise SchemaError(msg)
    by_time = rows.set_index(["family", "feature"]).groupby("when")["shift"]
    pairs = pd.concat({time: by_time.get_group(time) for time in times}, axis=1)
    pairs = drawable(pairs.reset_index(), times)
    if ax is None:
        ax = plt.gca()
    families = rows["family"].unique().tolist()
    families = [name for name in families if (pairs["family"] == name).any()]
    for y, family in enumerate(families):
        _pairs(ax, pairs.loc[pairs["family"] == family, times], y, kwargs)
    counts = pairs["family"].value_counts()
    ax.set_yticks(
        range(len(families)), [f"{name} (n = {counts[name]})" for name in families]
    )
    ax.set_ylim(len(families) - 0.4, -0.6)
    _scale(ax, pairs[times].to_numpy())
    label = "Shift from the expert's mask\n(standard deviations between patients)"
    unpaired = len(rows.groupby(["family", "feature"])) - len(pairs)
    text = label + (f"; {unpaired} features in one only" if unpaired else "")
    ax.set_xlabel(text, loc="right")
    for number, name in enumerate(times):
        ax.scatter([], [], s=45, color=_color(number), label=name)
    name_above(ax)
    return ax


def _scale(ax, values):
    """Shifts start at zero; a few long ones do not hide the others."""
    most, usual = values.max(), np.median(values)
    if most > _WIDE * usual > 0:
        ax.set_xscale("symlog", linthresh=2 * usual)
        ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        ax.set_xlim(-0.05 * usual, 1.5 * most)
    else:
        ax.set_xlim(-0.02 * most, 1.05 * most or 1)


def _color(number):
    return (PALETTE[1], PALETTE[0])[number]


def _pairs(ax, values, y, kwargs):
    lanes = y - 0.2, y + 0.2
    values = values.to_numpy(float)
    segments = {"color": "0.8", "linewidth": 0.6, "zorder": 1}
    ax.plot(values.T, np.tile(lanes, (len(values), 1)).T, **segments)
    medians = np.median(values, axis=0)
    ax.plot(medians, lanes, color="black", linewidth=1.5, zorder=3)
    for number, lane in enumerate(lanes):
        look = {"s": 10, "alpha": 0.6, "linewidths": 0, "color": _color(number)}
        ax.scatter(values[:, number], [lane] * len(values), **look | kwargs)
        large = {"s": 45, "color": _color(number), "edgecolors": "black", "zorder": 4}
        ax.scatter(medians[number], lane, **large)
