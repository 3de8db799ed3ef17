"""Attributes and latents of a sequence made consistent by the least change."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from radlatent.errors import SchemaError
from radlatent.masks.sequences.consistency import inconsistent_frames
from radlatent.masks.sequences.ejection import ejection_change
from radlatent.masks.sequences.smoothing import least_weights, smooth_sequence

__all__ = ["Regularized", "regularize_sequence"]


@dataclass(frozen=True, eq=False)
class Regularized:
    """A sequence that was made consistent.

    Parameters
    ----------
    frames
        The values as they entered, smoothed; gaps are filled.
    weights
        By column: how strongly it was smoothed; 0 where it was consistent.
    ratios
        By attribute: ``before`` and ``after``, the largest ratio of second difference
        to threshold. Above 1 after: not even the heaviest weight was enough, or a fixed
        frame jumps.
    ejection
        Ejection fraction ``before`` and ``after``, of attributes as `shape_attributes`
        measures them; None of latents, and without area and length of LV. At the two
        fixed frames, taken as end-diastole and end-systole; of the largest and smallest
        volume where not two are fixed.
    """

    frames: pd.DataFrame
    weights: pd.Series
    ratios: pd.DataFrame
    ejection: pd.Series | None = None


def regularize_sequence(
    values: pd.DataFrame,
    limits: pd.DataFrame,
    *,
    residual_weight: float | None = 50.0,
    order: int = 1,
    fixed: Sequence[int] = (),
    steps: int = 20,
) -> Regularized:
    """Smooth the attributes of a sequence as little as makes them consistent.

    Parameters
    ----------
    values
        A row a frame; columns are attributes, or latents.
    limits
        Index: those columns that are attributes; ``minimum, maximum, threshold``.
    residual_weight
        With which the other columns are smoothed (50 is published, "all"); None leaves
        them ("attributes").
    order, fixed
        As in `radlatent.masks.smooth_sequence`. End-diastole and end-systole as fixed
        frames, in that order, with order 2, keep the volumes that an ejection fraction
        is made of.
    steps
        Of bisection.

    Raises
    ------
    SchemaError
        An attribute is missing in all frames, or settings are faulty.

    Notes
    -----
    Frames without a value are filled from their neighbors first, linearly.

    References
    ----------
    Painchaud et al. 2022, arXiv:2112.02102
    """
    filled = values.interpolate(limit_direction="both").astype(np.float64)
    never = [*filled.columns[filled.isna().any()]]
    if never:
        msg = (
            f"no frame has {never}; leave these attributes out of the values, or the "
            "sequence out."
        )
        raise SchemaError(msg)
    names = [name for name in filled if name in limits.index]
    spans = (limits["maximum"] - limits["minimum"])[names].to_numpy()
    scaled = filled[names].to_numpy() / spans
    thresholds = limits["threshold"][names].to_numpy()
    options = {"order": order, "fixed": fixed}
    weights = pd.Series(residual_weight or 0.0, filled.columns, dtype=np.float64)
    weights[names] = least_weights(scaled, thresholds, steps=steps, **options)
    smooth = smooth_sequence(filled.to_numpy(), weights.to_numpy(), **options)
    smooth = pd.DataFrame(smooth, filled.index, filled.columns)
    own = limits.loc[names]
    ratios = {
        "before": inconsistent_frames(values, own).max(),
        "after": inconsistent_frames(smooth, own).max(),
    }
    return Regularized(
        smooth, weights, pd.DataFrame(ratios), _ejections(values, smooth, fixed)
    )


def _ejections(before, after, fixed):
    """Return what smoothing does to the ejection fraction: it may well lower it."""
    told = {"lv_area", "lv_length"} <= {*before.columns}
    if before.attrs.get("attributes") != "apical_7" or not told:
        return None
    return ejection_change(before, after, fixed)
