"""Where the lesions of a patient lie, and what each does to a prediction."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm

from radlatent.errors import SchemaError

__all__ = ["lesion_map"]

#: Areas of the circles of the weakest and the strongest lesion, points squared.
_AREAS = (30.0, 160.0)


def lesion_map(
    effects: pd.DataFrame,
    ax: Axes | None = None,
    *,
    projection: np.ndarray | None = None,
    extent_mm: tuple[float, float, float, float] | None = None,
    **kwargs,
) -> Axes:
    """Draw the lesions of a patient seen from the front, by their effect.

    Parameters
    ----------
    effects
        Of ``lesion_effects``, of one patient: ``lesion``, ``x_mm``, ``z_mm``,
        ``effect``.
    ax
        Where to draw, None for the current Axes.
    projection
        Shape (z, x): a projection of the image along y, drawn beneath in gray, black
        where it is highest; None draws the lesions alone.
    extent_mm
        World coordinates of its left, right, lower and upper edge.
    **kwargs
        Passed to ``Axes.scatter``.

    Raises
    ------
    SchemaError
        Lesions are of no or of several patients, or a projection has no extent.

    Notes
    -----
    The left of the patient is on the right. Area and color are the effect: red raises
    the prediction, blue lowers it; numbers are those of ``lesion``.
    """
    told = effects["patient_id"].unique()[:5].tolist()
    if len(told) != 1:
        raise SchemaError(f"the effects are of the patients {told}; give those of one.")
    if projection is not None and extent_mm is None:
        raise SchemaError("a projection needs extent_mm: where its edges lie.")
    ax = plt.gca() if ax is None else ax
    if projection is not None:
        about = {"cmap": "gray_r", "origin": "lower", "extent": extent_mm, "zorder": 0}
        # brain and bladder would leave nothing else to be seen
        ax.imshow(projection, vmax=np.quantile(projection, 0.995), **about)
    size = effects["effect"].abs()
    most = max(float(size.max()), 1e-12)
    kwargs = {"cmap": "coolwarm", "edgecolors": "black", "linewidths": 0.8} | kwargs
    drawn = ax.scatter(
        effects["x_mm"],
        effects["z_mm"],
        s=np.interp(size / most, (0, 1), _AREAS),
        c=effects["effect"],
        norm=TwoSlopeNorm(0.0, -most, most),
        **kwargs,
    )
    for row in effects.itertuples():
        ax.annotate(
            str(row.lesion),
            (row.x_mm, row.z_mm),
            xytext=(7, 5),
            textcoords="offset points",
            fontsize=8,
            zorder=5,
        )
    ax.set_aspect("equal")
    if extent_mm is None:
        ax.margins(0.15)
    ax.set_xlabel("x (mm, to the left of the patient)")
    ax.set_ylabel("z (mm, to the head)")
    bar = ax.figure.colorbar(drawn, ax=ax, shrink=0.7)
    bar.set_label("prediction with the lesion\nless that without")
    return ax
