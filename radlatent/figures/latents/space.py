"""Drawings of a latent space: correlations, a map of the cases, ranks.

Tables of ``radlatent.latent`` enter, an Axes leaves.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.ticker import MaxNLocator
from scipy.cluster.hierarchy import dendrogram, linkage
from scipy.spatial.distance import squareform

from radlatent.errors import SchemaError
from radlatent.figures.style.look import PALETTE, in_lines, name_above

__all__ = ["clustered_correlations", "latent_map", "ranking"]

_MARKERS = "osD^vP*X"

#: Letters of the longest line along an axis.
_LETTERS = 40

#: Ranks that have a bar of their own in a histogram.
_BARS = 40


def clustered_correlations(
    table: pd.DataFrame, ax: Axes | None = None, **kwargs
) -> Axes:
    """Draw a matrix of correlations in the order of clusters, their tree above it.

    Parameters
    ----------
    table
        Square, of one index; a feature without a correlation (a constant) is left
        out, and counted in the label.
    ax
        Where to draw, None for the current Axes.
    **kwargs
        Passed to ``seaborn.heatmap``, which names as many rows as there is room for.

    Raises
    ------
    SchemaError
        Index and columns differ, or fewer than two features are left.

    Notes
    -----
    Average linkage on 1 - |rho|, so that opposite features are neighbors, leaves in
    the order of least distance of neighbors (Bar-Joseph et al. 2001).

    References
    ----------
    Bar-Joseph et al. 2001, doi:10.1093/bioinformatics/17.suppl_1.S22
    """
    if list(table.index) != list(table.columns):
        msg = "index and columns differ; give the square table of correlations."
        raise SchemaError(msg)
    known = table.notna().sum() > 1
    matrix = table.loc[known, known]
    if len(matrix) < 2 or matrix.isna().any(axis=None):
        msg = (
            f"{len(matrix)} of {len(table)} features have correlations; the clustering "
            "needs two or more, each with every other."
        )
        raise SchemaError(msg)
    if ax is None:
        ax = plt.gca()
    distance = 1 - np.abs(matrix.to_numpy(float))
    np.fill_diagonal(distance, 0)
    condensed = squareform(np.clip(distance, 0, None), checks=False)
    tree = linkage(condensed, "average", optimal_ordering=True)
    tree = dendrogram(tree, no_plot=True)
    matrix = matrix.iloc[tree["leaves"], tree["leaves"]]
    names = _short_names(matrix.index)
    # the size is that of the ticks, by which seaborn leaves some of them out
    ax.tick_params(labelsize="small", length=0)
    look = {"cmap": "RdBu_r", "vmin": -1, "vmax": 1, "square": True}
    look |= {"xticklabels": False, "rasterized": True}
    look["cbar_kws"] = {"label": "Spearman's ρ", "shrink": 0.85, "pad": 0.02}
    look["cbar_kws"]["ticks"] = [-1, -0.5, 0, 0.5, 1]
    sns.heatmap(matrix.set_axis(names).set_axis(names, axis=1), ax=ax, **look | kwargs)
    ax.tick_params(axis="y", rotation=0)
    _draw_tree(ax, tree)
    left_out = len(table) - len(matrix)
    constant = f"\n{left_out} constant left out" if left_out else ""
    text = f"{len(matrix)} features, clustered by 1 − |ρ|{constant}"
    ax.set(xlabel=text, ylabel="")
    return ax


def _short_names(index):
    """Return names without their block where there is one."""
    blocks = {name.partition("__")[0] for name in index}
    if len(blocks) > 1:
        return list(index)
    return [name.partition("__")[2] or name for name in index]


def _draw_tree(ax, tree):
    """Draw the tree of clusters above a matrix, the height of a fork its 1 − |ρ|."""
    top = ax.inset_axes([0, 1.01, 1, 0.15])
    # SciPy puts leaves at 5, 15, 25, ...
    forks = [
        np.column_stack([np.divide(across, 10), heights])
        for across, heights in zip(tree["icoord"], tree["dcoord"], strict=True)
    ]
    top.add_collection(LineCollection(forks, colors="0.3", linewidths=0.7))
    top.set(xlim=(0, len(tree["leaves"])), ylim=(0, 1.02), xticks=[], yticks=[0, 1])
    # on the right: the first row has its name on the left
    top.yaxis.tick_right()
    top.tick_params(labelsize="x-small", length=2)
    top.spines[["top", "left", "bottom"]].set_visible(False)


def latent_map(
    table: pd.DataFrame,
    ax: Axes | None = None,
    *,
    axes: pd.DataFrame | None = None,
    **kwargs,
) -> Axes:
    """Draw cases in two coordinates, by group where there are groups.

    Parameters
    ----------
    table
        ``coordinate_1, coordinate_2`` and maybe ``group``; cases without coordinates
        are left out, cases without a group are gray.
    ax
        Where to draw, None for the current Axes.
    axes
        ``coordinate, label, share``: what the coordinates are.
    **kwargs
        Passed to ``seaborn.scatterplot``.

    Notes
    -----
    Cases without a group lie below the others, which are drawn in an order of chance
    (always the same): no group hides another.
    """
    if ax is None:
        ax = plt.gca()
    rows = table.dropna(subset=["coordinate_1", "coordinate_2"])
    look = {"s": 18, "alpha": 0.7, "linewidth": 0, "color": PALETTE[0]}
    if "group" in rows:
        rows, groups = _groups(rows)
        look |= {"hue": "group", "style": "group", **groups}
    sns.scatterplot(rows, x="coordinate_1", y="coordinate_2", ax=ax, **look | kwargs)
    if ax.get_legend():
        name_above(ax)
    for number, set_label in enumerate((ax.set_xlabel, ax.set_ylabel)):
        set_label(_axis_label(axes, number))
    return ax


def _groups(rows):
    """Return the rows to draw, named by group and count, and the look of each group."""
    names = sorted(rows["group"].dropna().unique(), key=str)
    counts = rows["group"].value_counts()
    texts = {name: f"{name} (n = {counts[name]})" for name in names}
    palette = {text: PALETTE[n % 8] for n, text in enumerate(texts.values())}
    markers = {text: _MARKERS[n % 8] for n, text in enumerate(texts.values())}
    without = f"no group (n = {rows['group'].isna().sum()})"
    if rows["group"].isna().any():
        palette[without], markers[without] = "0.7", "o"
    shuffled = rows.sample(frac=1, random_state=0)
    shuffled = shuffled.sort_values("group", key=pd.Series.notna, kind="stable")
    shuffled = shuffled.assign(group=shuffled["group"].map(texts).fillna(without))
    order = list(palette)
    look = {"palette": palette, "markers": markers}
    return shuffled, look | {"hue_order": order, "style_order": order}


def _axis_label(axes, number):
    if axes is None:
        return f"Coordinate {number + 1}"
    row = axes.iloc[number]
    what = "between groups" if "discriminant" in row["label"] else "of the variance"
    label = row["label"][0].upper() + row["label"][1:]
    return in_lines(f"{label} ({100 * row['share']:.0f}% {what})", _LETTERS)


def ranking(ranks: pd.Series, ax: Axes | None = None, **kwargs) -> Axes:
    """Draw how many cases have each rank, with chance.

    Parameters
    ----------
    ranks
        Of every case of a pool, from 1.
    ax
        Where to draw, None for the current Axes.
    **kwargs
        Passed to ``Axes.bar``. A bar holds several ranks where there are many.
    """
    if ax is None:
        ax = plt.gca()
    n = len(ranks)
    step = -(-int(ranks.max()) // _BARS)
    counts = ((ranks - 1) // step).value_counts().sort_index()
    left = counts.index * step + 0.5
    for name, value in {"color": PALETTE[0], "align": "edge"}.items():
        kwargs.setdefault(name, value)
    ax.bar(left, counts, width=0.9 * step, **kwargs)
    chance = (n + 1) / 2
    dashed = {"color": "0.4", "linestyle": "--", "linewidth": 1}
    ax.axvline(chance, label=f"chance, {chance:g}", **dashed)
    mean, deviation = ranks.mean(), ranks.std(ddof=0)
    dotted = {"color": PALETTE[1], "linewidth": 1.5}
    ax.axvline(mean, label=f"mean {mean:.2f} (SD {deviation:.2f})", **dotted)
    ax.set_xlim(0, n + 1)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    told = "\nsaturated: uninformative" if (ranks == 1).all() else ""
    ax.set_xlabel(
        f"Rank of the own original, our reading (1 = best; pool of {n}){told}"
    )
    ax.set_ylabel("Cases")
    ax.legend(fontsize="small", edgecolor="none")
    return ax
