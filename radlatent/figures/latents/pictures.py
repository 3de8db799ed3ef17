"""Pictures of reconstructions and of what latent features change.

What an encoder returned enters (``Reconstructions``, ``Traversal``), an Axes leaves: a
grid of pictures with a gap between them, whose pixels are the values.
"""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from radlatent.errors import SchemaError

__all__ = ["reconstructions", "traversal"]

#: Array axis of a volume (z, y, x of the body) that a plane has one slice of.
_PLANES = {"axial": 0, "coronal": 1, "sagittal": 2}

#: Where left and right are; arrays lie along the axes of the body.
_SIDES = {
    "axial": "the patient's right is on the left, anterior is up",
    "coronal": "the patient's right is on the left",
    "sagittal": "anterior is on the left",
}

#: Channels that are drawn dark on white, as PET is read.
_DARK_ON_WHITE = {"pet", "coronal", "sagittal"}

#: Percentiles of the intensities shown that are black and white.
_WINDOW = (0.5, 99.5)

#: Color of no intensity, where intensities are gray.
_NOTHING = "#d6e4f0"

_LENGTHS_MM = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_GAP = 0.06  # of a picture's width


def traversal(
    images,
    ax: Axes | None = None,
    *,
    names: Sequence[str] | None = None,
    plane: str = "coronal",
    **kwargs,
) -> Axes:
    """Draw the images along each latent feature: a row a feature, a column a step.

    Parameters
    ----------
    images
        The ``Traversal`` of an encoder. Channels stand side by side.
    ax
        Where to draw, None for the current Axes.
    names
        Features to draw, in this order; None draws all.
    plane
        Of volumes, whose middle slice is drawn: "coronal", "axial" or "sagittal".
    **kwargs
        Passed to ``Axes.imshow``.

    Raises
    ------
    SchemaError
        A name is not of a feature, or the plane is none.
    """
    wanted = list(images.names if names is None else names)
    absent = [name for name in wanted if name not in images.names]
    if absent:
        msg = f"names {absent} are not in {list(images.names)}."
        raise SchemaError(msg)
    if ax is None:
        ax = plt.gca()
    view = _View(images.images.ndim - 3, images.spacing_mm, images.channels, plane)
    grid = [
        [view.picture(image) for image in images.images[images.names.index(name)]]
        for name in wanted
    ]
    composed, places = _composed(grid)
    image = _draw(ax, composed, view, grid[0][0].shape[1], kwargs)
    ax.figure.colorbar(
        image, ax=ax, label="Intensity (standard deviations)", shrink=0.6, pad=0.02
    )
    blocks = {name.partition("__")[0] for name in wanted}
    short = [name.partition("__")[2] or name for name in wanted]
    ax.set_yticks(places[0], short if len(blocks) == 1 else wanted)
    ax.set_xticks(places[1], [f"{step:+.1f}" for step in images.steps])
    ax.tick_params(length=0, labelsize="small")
    what = "Value of the latent feature (standard deviations of the prior), others at 0"
    ax.set_xlabel(f"{what}\n{view.told()}", fontsize="small")
    return ax


def reconstructions(
    found,
    ax: Axes | None = None,
    *,
    n: int = 3,
    case_ids: Sequence[str] | None = None,
    plane: str = "coronal",
    **kwargs,
) -> Axes:
    """Draw originals, reconstructions and differences, a column a case.

    Parameters
    ----------
    found
        The ``Reconstructions`` of an encoder. Channels stand side by side.
    ax
        Where to draw, None for the current Axes.
    n
        How many of the best and of the worst cases to draw.
    case_ids
        The cases to draw instead.
    plane
        As in `traversal`.
    **kwargs
        Passed to ``Axes.imshow`` for originals and reconstructions, which have one
        scale.

    Raises
    ------
    SchemaError
        A case is not there, there are fewer than ``2 n``, or the plane is none.

    Notes
    -----
    Difference = reconstruction - original; red is too much, blue too little. Its scale
    is as wide as the scale of the images. What is outside of the mask of a case is left
    out, as the decoder is taught nothing there.
    """
    chosen = _chosen(found, n, case_ids)
    if ax is None:
        ax = plt.gca()
    view = _View(found.originals.ndim - 2, found.spacing_mm, found.channels, plane)
    at = found.cases.index.get_indexer(chosen)
    outside = found.masks[at] == 0
    originals, decoded = (
        [view.picture(image) for image in np.where(outside, np.nan, array[at])]
        for array in (found.originals, found.decoded)
    )
    differences = [d - o for d, o in zip(decoded, originals, strict=True)]
    composed, places = _composed([originals, decoded, differences])
    height, width = originals[0].shape
    upper = composed.copy()
    upper[-height:] = np.nan
    image = _draw(ax, upper, view, width, kwargs)
    low, high = image.get_clim()
    half = (high - low) / 2
    lower = np.full_like(composed, np.nan)
    lower[-height:] = composed[-height:]
    change = ax.imshow(
        lower, cmap="RdBu_r", vmin=-half, vmax=half, aspect=view.aspect, zorder=1
    )
    bars = {"ax": ax, "shrink": 0.7, "pad": 0.02}
    ax.figure.colorbar(change, label=f"Difference ({found.unit})", **bars)
    ax.figure.colorbar(image, label=f"Intensity ({found.unit})", **bars)
    ax.set_yticks(places[0], ["original", "reconstruction", "difference"])
    errors = found.errors.loc[chosen]
    ax.set_xticks(places[1], [f"{i}\n{error:.3g}" for i, error in errors.items()])
    ax.tick_params(length=0, labelsize="small")
    what = "Case and its mean squared error"
    if case_ids is None:
        what += f": the {n} best, then the {n} worst from the worst on"
    ax.set_xlabel(f"{what}\n{view.told()}", fontsize="small")
    return ax


def _chosen(found, n, case_ids):
    if case_ids is not None:
        absent = [c for c in case_ids if c not in found.cases.index]
        if absent or not len(case_ids):
            msg = f"case_ids {absent} are not among the {len(found.cases)} cases."
            raise SchemaError(msg)
        return list(case_ids)
    if not 1 <= n <= len(found.cases) // 2:
        most = len(found.cases) // 2
        msg = f"n is {n}; with {len(found.cases)} cases give 1 to {most}."
        raise SchemaError(msg)
    order = found.errors.sort_values(kind="stable").index
    return [*order[:n], *order[: -n - 1 : -1]]


class _View:
    """How an array of channels becomes one picture."""

    def __init__(self, n_axes, spacing_mm, channels, plane):
        if plane not in _PLANES:
            msg = f"plane is {plane!r}; give one of {list(_PLANES)}."
            raise SchemaError(msg)
        self.n_axes, self.plane, self.channels = n_axes, plane, channels
        self.spacing_mm = None
        if spacing_mm is not None:
            kept = np.broadcast_to(spacing_mm, (n_axes,))
            if n_axes == 3:
                kept = np.delete(kept, _PLANES[plane])
            self.spacing_mm = tuple(float(v) for v in kept)  # rows, columns

    @property
    def aspect(self):
        """Height of a pixel over its width."""
        if self.spacing_mm is None:
            return 1.0
        return self.spacing_mm[0] / self.spacing_mm[1]

    def picture(self, image):
        """Return the channels of an image side by side."""
        if self.n_axes == 3:
            axis = 1 + _PLANES[self.plane]
            image = image.take(image.shape[axis] // 2, axis)
            if self.plane != "axial":
                image = image[:, ::-1]  # z grows toward the head
        return np.concatenate(list(image), axis=1)

    def told(self):
        """Return what is shown and where left and right are."""
        if self.n_axes == 3:
            shown = f"middle {self.plane} slice"
            sides = _SIDES[self.plane]
            if len(self.channels) > 1:
                shown += f" of {', '.join(self.channels)}"
        else:
            shown = " and ".join(self.channels)
            sides = [f"{c}: {_SIDES[c]}" for c in self.channels if c in _SIDES]
            sides = "; ".join(sides)
        if not sides:
            return shown[0].upper() + shown[1:]
        return f"{shown[0].upper()}{shown[1:]} (radiological convention; {sides})"


def _composed(grid):
    """Return pictures as one array with gaps of NaN, and the centers of its cells."""
    height, width = grid[0][0].shape
    gap = max(1, round(_GAP * width))
    step = height + gap, width + gap
    shape = [len(grid) * step[0] - gap, len(grid[0]) * step[1] - gap]
    composed = np.full(shape, np.nan)
    for row, pictures in enumerate(grid):
        for column, picture in enumerate(pictures):
            top, left = row * step[0], column * step[1]
            composed[top : top + height, left : left + width] = picture
    centers = [
        np.arange(count) * s + (size - 1) / 2
        for count, s, size in zip(
            (len(grid), len(grid[0])), step, (height, width), strict=True
        )
    ]
    return composed, centers


def _draw(ax, composed, view, width, kwargs):
    dark = set(view.channels) <= _DARK_ON_WHITE
    low, high = np.nanpercentile(composed, _WINDOW)
    # where nothing is shown must not look like an intensity
    name, nothing = ("gray_r", "white") if dark else ("gray", _NOTHING)
    colors = plt.colormaps[name].with_extremes(bad=nothing)
    defaults = {"cmap": colors, "vmin": low, "vmax": high, "aspect": view.aspect}
    image = ax.imshow(composed, **defaults | {"interpolation": "nearest"} | kwargs)
    ax.spines[:].set_visible(False)
    if view.spacing_mm is not None:
        _scale_bar(ax, len(composed), width, view.spacing_mm[1])
    return image


def _scale_bar(ax, height, width, spacing_mm):
    """Draw a line of a round length above the first picture."""
    fitting = [mm for mm in _LENGTHS_MM if mm <= 0.6 * width * spacing_mm]
    if not fitting:
        return
    length = fitting[-1] / spacing_mm
    y = -0.5 - 0.03 * height
    arrow = {"arrowstyle": "|-|,widthA=0.2,widthB=0.2", "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", (0, y), (length, y), arrowprops=arrow, annotation_clip=False)
    words = {"ha": "center", "va": "bottom", "fontsize": "small"}
    ax.text(length / 2, y, f"{fitting[-1]} mm", **words)
