"""Drawings of a latent space: correlations, a map of the cases, ranks.

Tables of ``radlatent.latent`` enter, an Axes leaves.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from radlatent.errors import SchemaError
from radlatent.figures.style.palette import PALETTE

__all__ = ["clustered_correlations", "latent_map", "ranking"]

_MARKERS = "osD^vP*X"

#: Ranks that have a bar of their own in a histogram.
_BARS = 40


def clustered_correlations(
    table: pd.DataFrame, ax: Axes | None = None, **kwargs
) -> Axes:
    """Draw a matrix of correlations in the order of hierarchical clustering.

    Parameters
    ----------
    table
        Square, of one index; a feature without a correlation (a constant) is left
        out, and counted in the label.
    ax
        Where to draw, None for the current Axes.
    **kwargs
        Passed to ``Axes.imshow``.

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
    order = leaves_list(linkage(condensed, "average", optimal_ordering=True))
    matrix = matrix.iloc[order, order]
    for name, value in {"cmap": "RdBu_r", "vmin": -1, "vmax": 1}.items():
        kwargs.setdefault(name, value)
    image = ax.imshow(matrix, **kwargs)
    ax.figure.colorbar(image, ax=ax, label="Spearman's ρ", shrink=0.85, pad=0.02)
    _name_ticks(ax, matrix.index)
    left_out = len(table) - len(matrix)
    told = f"; {left_out} constant left out" if left_out else ""
    ax.set_xlabel(f"{len(matrix)} features, clustered by 1 − |ρ|{told}")
    return ax


def _name_ticks(ax, index):
    blocks = {name.partition("__")[0] for name in index}
    names = [name.partition("__")[2] or name for name in index]
    names = names if len(blocks) == 1 else list(index)
    size = "small" if len(names) <= 20 else "xx-small"
    ax.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
    ax.set_yticks(range(len(names)), names, fontsize=size)
    ax.tick_params(length=0)


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
        Passed to ``Axes.scatter``.
    """
    if ax is None:
        ax = plt.gca()
    table = table.dropna(subset=["coordinate_1", "coordinate_2"])
    for name, value in {"s": 18, "alpha": 0.7, "linewidths": 0}.items():
        kwargs.setdefault(name, value)
    groups = table.get("group", pd.Series("", table.index))
    names = sorted(groups.dropna().unique(), key=str)
    for number, name in enumerate([*names, None]):
        rows = table[groups.isna() if name is None else groups == name]
        if rows.empty:
            continue
        style = {"color": PALETTE[number % 8], "marker": _MARKERS[number % 8]}
        if name is None:
            style = {"color": "0.7", "marker": "o", "zorder": 1}
        told = "no group" if name is None else name
        style["label"] = f"{told} (n = {len(rows)})" if told != "" else None
        ax.scatter(rows["coordinate_1"], rows["coordinate_2"], **style | kwargs)
    if names and names != [""]:
        ax.legend(fontsize="small", edgecolor="none")
    for number, set_label in enumerate((ax.set_xlabel, ax.set_ylabel)):
        set_label(_axis_label(axes, number))
    return ax


def _axis_label(axes, number):
    if axes is None:
        return f"Coordinate {number + 1}"
    row = axes.iloc[number]
    what = "between groups" if "discriminant" in row["label"] else "of the variance"
    label = row["label"][0].upper() + row["label"][1:]
    return f"{label} ({100 * row['share']:.0f}% {what})"


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
