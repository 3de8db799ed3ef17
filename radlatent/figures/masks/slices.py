"""A slice with its mask drawn over it: arrays enter, an Axes leaves.

The picture is cropped to the structures; each has a color that it keeps in the other
figures of masks.
"""

from collections.abc import Iterable, Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.font_manager import FontProperties
from matplotlib.patheffects import withStroke
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar
from skimage.measure import find_contours

from radlatent.errors import SchemaError
from radlatent.figures.style.look import PALETTE

__all__ = ["mask_overlay", "structure_colors"]

#: Colors that stand out from every gray and from white, in the order that they are
#: given away; the yellow is left for voxels that break a rule.
_COLORS = tuple(PALETTE[number] for number in (5, 1, 2, 3, 4, 0))
_OFFENDING = PALETTE[7]

#: Beside the structures.
_MARGIN_MM = 15.0

#: Percentiles of the intensities beside the structures that are black and white.
_WINDOW = (0.5, 99.5)

#: Of a mask (1 inside, 0 outside): a fifth of a pixel inside of the edge.
_LEVEL = 0.7

_SIDES = "Radiological convention: right is on the left"


def structure_colors(structures: Iterable[str]) -> dict[str, str]:
    """Return the color of each structure, which the order of the names decides.

    Parameters
    ----------
    structures
        Names, such as the mapping to labels. A seventh has the color of the first.
    """
    return {name: _COLORS[i % len(_COLORS)] for i, name in enumerate(structures)}


def mask_overlay(
    image: np.ndarray | None,
    labels: np.ndarray,
    ax: Axes | None = None,
    *,
    structures: Mapping[str, int],
    spacing_mm: tuple[float, float],
    offending: np.ndarray | None = None,
    reference: np.ndarray | None = None,
    **kwargs,
) -> Axes:
    """Draw the contours of each structure over a slice, cropped to them.

    Parameters
    ----------
    image
        Intensities, shape (rows, columns); None draws a gray ground.
    labels
        The mask, integers of that shape, 0 is background.
    ax
        Where to draw, None for the current Axes.
    structures
        Name to label; the order of the names decides the colors.
    spacing_mm
        Distance of pixel centers in mm: of rows, of columns.
    offending
        Pixels that break a rule, booleans of that shape, filled.
    reference
        The expert's mask, whose contours are thin and dashed.
    **kwargs
        Passed to ``Axes.imshow``.

    Raises
    ------
    SchemaError
        Shapes differ, a label has no name, or a spacing is not positive.

    Notes
    -----
    The axes count pixels of the slice: other limits show more of it. Without any
    structure the whole slice is drawn. Contours run a fifth of a pixel inside of the
    edges, so that those of neighbors lie side by side; all are named, ``Axes.legend``
    lists them.

    Nothing is turned. The label of the x axis says where left and right are in an axial
    slice (y, x) of a volume along the axes of the body, and in a short axis with the
    right ventricle on the left; of other slices, set another.
    """
    planes = {"image": image, "offending": offending, "reference": reference}
    planes = {name: np.asarray(p) for name, p in planes.items() if p is not None}
    labels = np.asarray(labels)
    _check(labels, planes, structures, spacing_mm)
    if ax is None:
        ax = plt.gca()
    rows, columns = _crop(labels, planes, spacing_mm)
    _ground(ax, planes.get("image"), (rows, columns), kwargs)
    if "offending" in planes and planes["offending"].any():
        ax.add_collection(_pixels(planes["offending"]), autolim=False)
    for name, color in structure_colors(structures).items():
        look = {"colors": color, "linewidths": 1.8}
        look["path_effects"] = [withStroke(linewidth=2.8, foreground="black")]
        drawn = _contours(labels == structures[name], label=name, zorder=3, **look)
        ax.add_collection(drawn, autolim=False)
        if "reference" in planes:
            inside = planes["reference"] == structures[name]
            thin = {"colors": color, "linewidths": 1.2, "linestyles": (0, (3, 2))}
            drawn = _contours(inside, label=f"{name}, reference", zorder=5, **thin)
            ax.add_collection(drawn, autolim=False)
    ax.set_xlim(columns.start - 0.5, columns.stop - 0.5)
    ax.set_ylim(rows.stop - 0.5, rows.start - 0.5)
    ax.set_aspect(spacing_mm[0] / spacing_mm[1])
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.set_xlabel(_SIDES, fontsize="small")
    _scale_bar(ax, columns.stop - columns.start, spacing_mm[1])
    return ax


def _check(labels, planes, structures, spacing_mm):
    shapes = {name: plane.shape for name, plane in planes.items()}
    if labels.ndim != 2 or set(shapes.values()) - {labels.shape}:
        msg = (
            f"labels have shape {labels.shape}, the others {shapes}. Give one slice "
            "(rows, columns) of each."
        )
        raise SchemaError(msg)
    masks = [labels, planes.get("reference", labels)]
    found = set(np.unique(masks).tolist()) - {0}
    nameless = sorted(found - set(structures.values()))
    if nameless:
        msg = f"labels {nameless} are none of structures {dict(structures)}. Name them."
        raise SchemaError(msg)
    if len(spacing_mm) != 2 or not min(spacing_mm) > 0:
        msg = f"spacing_mm is {spacing_mm!r}; give two above 0, of rows and of columns."
        raise SchemaError(msg)


def _crop(labels, planes, spacing_mm):
    """Return the slices of rows and columns that are drawn."""
    drawn = labels != 0
    for name in ("offending", "reference"):
        drawn = drawn | (planes.get(name, labels) != 0)
    if not drawn.any():
        drawn = np.ones_like(drawn)
    spans = []
    for axis, spacing in enumerate(spacing_mm):
        places = np.flatnonzero(drawn.any(axis=1 - axis))
        margin = round(_MARGIN_MM / spacing)
        first, last = places[0] - margin, places[-1] + margin
        spans.append(slice(max(first, 0), min(last + 1, labels.shape[axis])))
    return spans


def _ground(ax, image, box, kwargs):
    if image is None:
        ax.set_facecolor("0.35")
        return
    low, high = np.nanpercentile(image[box], _WINDOW)
    look = {"cmap": "gray", "vmin": low, "vmax": high, "interpolation": "nearest"}
    ax.imshow(image, **look | kwargs)


def _pixels(offending):
    """Return the pixels as squares."""
    corners = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
    squares = np.argwhere(offending)[:, None, ::-1] + corners
    # above the contours, which hide a hole of one pixel; seams show between squares
    # whose edges are smoothed
    look = {"facecolors": _OFFENDING, "linewidths": 0, "antialiaseds": False}
    return PolyCollection(squares, label="breaks a rule", zorder=4, alpha=0.6, **look)


def _contours(inside, **look):
    found = find_contours(np.pad(inside, 1).astype(float), _LEVEL)
    return LineCollection([contour[:, ::-1] - 1 for contour in found], **look)


def _scale_bar(ax, width, spacing_mm):
    """Draw a line of a round length above the picture."""
    most = 0.35 * width * spacing_mm
    power = 10.0 ** np.floor(np.log10(most))
    length = power * max(step for step in (1, 2, 5) if step * power <= most)
    look = {"pad": 0, "borderpad": 0.3, "sep": 3, "frameon": False, "label_top": True}
    bar = AnchoredSizeBar(
        ax.transData,
        length / spacing_mm,
        f"{length:g} mm",
        "lower left",
        bbox_to_anchor=(0, 1),
        bbox_transform=ax.transAxes,
        size_vertical=0,
        fontproperties=FontProperties(size="small"),
        **look,
    )
    ax.add_artist(bar)
