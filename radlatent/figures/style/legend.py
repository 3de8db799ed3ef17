"""Where the names of lines stand: an Axes with named lines enters and gets a legend."""

from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation

__all__ = ["name_lines"]

#: Lines of text, and letters of the longest, that leave room for curves.
_MOST_LINES, _MOST_LETTERS = 6, 40

#: Room for the ticks and the label of an axis.
_BELOW_IN = 0.6


def name_lines(ax: Axes, loc: str) -> None:
    """Add a legend inside of the Axes, or below where it would hide the curves.

    Parameters
    ----------
    ax
        With lines that have labels.
    loc
        Corner of a small legend.
    """
    lines = "\n".join(ax.get_legend_handles_labels()[1]).split("\n")
    place = {"loc": loc}
    if len(lines) > _MOST_LINES or max(map(len, lines)) > _MOST_LETTERS:
        # in inches, so that it clears the label of the axis whatever the height
        down = ScaledTranslation(0, -_BELOW_IN, ax.figure.dpi_scale_trans)
        place = {"loc": "upper left", "bbox_to_anchor": (0, 0), "borderaxespad": 0}
        place["bbox_transform"] = ax.transAxes + down
    ax.legend(fontsize="small", edgecolor="none", **place)
