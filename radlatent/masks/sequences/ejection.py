"""Volumes and the ejection fraction of one apical view: areas and lengths enter."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

__all__ = ["ejection_change", "ejection_fraction", "single_plane_volume"]


def single_plane_volume(area: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Return the volume of a ventricle from its area and length in one view.

    Parameters
    ----------
    area, length
        Of LV, in mm2 and mm, or in pixels.

    Returns
    -------
    numpy.ndarray
        8 area^2 / (3 pi length), in mm3 or cubic pixels.

    Notes
    -----
    The area-length method: half an ellipsoid of revolution.
    """
    return 8 * np.asarray(area) ** 2 / (3 * np.pi * np.asarray(length))


def ejection_fraction(
    attributes: pd.DataFrame, *, ed: int | None = None, es: int | None = None
) -> float:
    """Return the ejection fraction of a sequence, a share of the larger volume.

    Parameters
    ----------
    attributes
        A row a frame, with ``lv_area`` and ``lv_length``; pixels do, as it is a ratio.
    ed, es
        Numbers of the frames of end-diastole and end-systole, from 0; None: of the
        largest and of the smallest volume.

    Returns
    -------
    float
        NaN where a volume is missing.

    Examples
    --------
    >>> beat = pd.DataFrame({"lv_area": [20.0, 10.0], "lv_length": [8.0, 4.0]})
    >>> ejection_fraction(beat)
    0.5
    """
    volume = single_plane_volume(attributes["lv_area"], attributes["lv_length"])
    if not np.isfinite(volume).any():
        return float("nan")
    first = volume[ed] if ed is not None else np.nanmax(volume)
    last = volume[es] if es is not None else np.nanmin(volume)
    return float(1 - last / first)


def ejection_change(
    before: pd.DataFrame, after: pd.DataFrame, fixed: Sequence[int] = ()
) -> pd.Series:
    """Return the ejection fraction ``before`` and ``after``, at the same frames.

    Parameters
    ----------
    before, after
        As `ejection_fraction` takes them.
    fixed
        Two frames: end-diastole and end-systole. Otherwise the largest and smallest
        volume of each are taken, which may be those of a broken frame.
    """
    ends = dict(zip(("ed", "es"), fixed, strict=True)) if len(fixed) == 2 else {}
    pair = {"before": before, "after": after}
    return pd.Series({k: ejection_fraction(one, **ends) for k, one in pair.items()})
