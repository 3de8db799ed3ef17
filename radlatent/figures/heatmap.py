"""The features table of a cohort as one picture.

A **features** table enters, an Axes leaves: who lacks what, and which features move
together.
"""

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from radlatent.errors import SchemaError
from radlatent.schema import split_column

__all__ = ["heatmap"]

#: pyradiomics' feature classes
_FAMILIES = {
    "shape",
    "shape2D",
    "firstorder",
    "glcm",
    "glrlm",
    "glszm",
    "gldm",
    "ngtdm",
}
_LIMIT = 3  # standard deviations


def heatmap(
    features: pd.DataFrame,
    ax: Axes | None = None,
    *,
    groups: pd.Series | None = None,
    **kwargs,
) -> Axes:
    """Draw patients by features as z-scores, missing values gray.

    Parameters
    ----------
    features
        A **features** table. Columns are drawn by block and feature class; a class
        too narrow for its label stays without one.
    ax
        Where to draw, None for the current Axes.
    groups
        Series of names, such as classes, with the index of ``features``; rows are
        drawn by group.
    **kwargs
        Passed to ``Axes.imshow``.

    Notes
    -----
    z = (value - mean) / standard deviation of the column (ddof 0) over the rows drawn,
    clipped to -3 and 3 by the color scale; 0 in a constant column.
    """
    if ax is None:
        ax = plt.gca()
    columns = _families(features)
    rows = _groups(features, groups)
    values = features.loc[rows.index, columns.index].to_numpy(float)
    colors = plt.colormaps["RdBu_r"].with_extremes(bad="0.7")
    defaults = {"cmap": colors, "vmin": -_LIMIT, "vmax": _LIMIT, "aspect": "auto"}
    for name, value in (defaults | {"interpolation": "nearest"}).items():
        kwargs.setdefault(name, value)
    image = ax.imshow(_z_scores(values), **kwargs)
    ax.figure.colorbar(image, ax=ax, label="z-score", extend="both", pad=0.02)
    _label_columns(ax, columns)
    _label_rows(ax, rows, features.index.name)
    return ax


def _families(features):
    """Return block and family of each column, in the order to draw them."""
    parts = [split_column(column) for column in features]
    blocks = [block for block, _ in parts]
    # <image type>_<class>_<feature>, and whatever aggregate appended after __
    words = [[*feature.split("__")[0].split("_"), ""] for _, feature in parts]
    families = [word[1] if word[1] in _FAMILIES else "" for word in words]
    table = pd.DataFrame({"block": blocks, "family": families}, features.columns)
    order = [table.groupby("block", sort=False).ngroup()]
    order.append(table.groupby(["block", "family"], sort=False).ngroup())
    return table.iloc[np.lexsort(order[::-1])]


def _groups(features, groups):
    if groups is None:
        return pd.Series("", features.index)
    absent = features.index.difference(groups.dropna().index)
    if len(absent):
        msg = f"groups lacks {len(absent)} rows of the features: {absent[:5].tolist()}."
        raise SchemaError(msg)
    return groups.loc[features.index].astype(str).sort_values(kind="stable")


def _z_scores(values):
    known = ~np.isnan(values)
    n = np.maximum(known.sum(axis=0), 1)
    centered = values - np.where(known, values, 0).sum(axis=0) / n
    spread = np.sqrt(np.where(known, centered**2, 0).sum(axis=0) / n)
    return centered / np.where(spread > 0, spread, 1)


@dataclass(frozen=True)
class _Span:
    """A run of equal keys."""

    start: int
    length: int
    key: str | tuple

    @property
    def center(self):
        return self.start + (self.length - 1) / 2


def _spans(keys):
    keys = list(keys)
    starts = [i for i, key in enumerate(keys) if i == 0 or key != keys[i - 1]]
    ends = [*starts[1:], len(keys)]
    return [_Span(a, b - a, keys[a]) for a, b in zip(starts, ends, strict=True)]


def _label_columns(ax, columns):
    blocks = _spans(columns["block"])
    families = _spans(zip(columns["block"], columns["family"], strict=True))
    for span in families[1:]:
        ax.axvline(span.start - 0.5, color="0.3", linewidth=0.4)
    for span in blocks[1:]:
        ax.axvline(span.start - 0.5, color="black", linewidth=1.5)
    crowded = len(families) > 20
    ticks = _uncrowded(families, (0.018 if crowded else 0.025) * len(columns))
    ax.set_xticks(list(ticks), list(ticks.values()), rotation=90)
    ax.tick_params(axis="x", labelsize=5 if crowded else 7, length=2)
    top = ax.secondary_xaxis("top")
    slant = {"rotation": 20, "ha": "left"} if len(blocks) > 2 else {}
    names = [span.key for span in blocks]
    top.set_xticks([span.center for span in blocks], names, **slant)
    top.tick_params(labelsize=7, length=0)
    ax.set_xlabel(f"{len(columns)} features")


def _uncrowded(families, gap):
    """Return labels by position, leaving out small families that lack the room."""
    kept = {}
    for span in sorted(families, key=lambda span: -span.length):
        _, family = span.key
        if family and all(abs(span.center - other) >= gap for other in kept):
            kept[span.center] = family
    return kept


def _label_rows(ax, rows, index_name):
    what = "patients" if index_name == "patient_id" else "cases"
    ax.set_ylabel(f"{len(rows)} {what}")
    groups = _spans(rows)
    for span in groups[1:]:
        ax.axhline(span.start - 0.5, color="black", linewidth=1)
    if len(groups) > 1 or groups[0].key:
        names = [f"{span.key} (n = {span.length})" for span in groups]
        ax.set_yticks([span.center for span in groups], names)
        ax.tick_params(axis="y", labelsize=8, length=0)
    else:
        ax.set_yticks([])
