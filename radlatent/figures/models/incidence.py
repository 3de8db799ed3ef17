"""Drawings of competing events: how many have had each of them, by day.

Tables of ``fusion.metrics.incidence`` enter, an Axes leaves; every mark is a cell of
the table.
"""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from radlatent.errors import SchemaError
from radlatent.figures.style.look import PALETTE, name_above, write_at_risk

__all__ = ["cumulative_incidence"]

_DASHES = ["-", "--", ":", "-."]

_MODEL = ("model", "blocks", "endpoint")


def cumulative_incidence(
    curves: pd.DataFrame, ax: Axes | None = None, **kwargs
) -> Axes:
    """Draw the incidence of each cause, and below it how many are at risk.

    A color a group, dashes a cause; bands are intervals, of several groups those of the
    first cause.

    Parameters
    ----------
    curves
        ``group, cause, time, incidence, lower, upper, at_risk``. With one group each
        cause has a color of its own. Of groups of risk, those of one model.
    ax
        Where to draw, None for the current Axes.
    **kwargs
        Passed to ``Axes.step``.

    Raises
    ------
    SchemaError
        The table holds several models.
    """
    if ax is None:
        ax = plt.gca()
    kwargs.setdefault("linewidth", 1.5)
    groups, causes = curves["group"].unique(), curves["cause"].unique()
    varying = [c for c in _MODEL if c in curves and len(set(curves[c])) > 1]
    if varying:
        msg = f"the table holds several {varying}; choose the rows of one."
        raise SchemaError(msg)
    several = len(groups) > 1
    for (group, cause), rows in curves.groupby(["group", "cause"], sort=False):
        number, dash = [*groups].index(group), [*causes].index(cause)
        style = {"label": f"{group}: {cause}" if several else str(cause)}
        style |= {"color": PALETTE[(number if several else dash) % len(PALETTE)]}
        style |= {"linestyle": _DASHES[dash % len(_DASHES)] if several else "-"}
        (line,) = ax.step(
            rows["time"], rows["incidence"], where="post", **style | kwargs
        )
        if several and dash:
            continue  # bands upon bands are gray
        band = {"color": line.get_color(), "alpha": 0.12, "linewidth": 0}
        ends = rows["lower"], rows["upper"]
        ax.fill_between(rows["time"], *ends, step="post", **band)
    top = curves[["incidence", "upper"]].max().max()
    ax.set(xlim=(0, curves["time"].max()), ylim=(0, min(1.02, 1.05 * top)))
    ax.set(xlabel="Time (days)", ylabel="Cumulative incidence")
    name_above(ax)
    once = curves[curves["cause"] == causes[0]]
    write_at_risk(once, ax, PALETTE if several else ["0.3"])
    return ax
