"""Consistency over time: attributes of sequences enter, what jumps leaves.

References
----------
Painchaud et al. 2022, arXiv:2112.02102; vitalab/vital, castor
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from radlatent.errors import SchemaError
from radlatent.masks.sequences.smoothing import second_differences

__all__ = ["inconsistent_frames", "reference_limits", "sequence_consistency"]

_COLUMNS = ["minimum", "maximum", "threshold"]

#: Thresholds are shares of a range: below this, references have no jump at all.
_ROUNDING = 1e-12


def reference_limits(
    sequences: Mapping[str, pd.DataFrame], *, how: str = "max"
) -> pd.DataFrame:
    """Return the bounds of attributes, and how much reference sequences jump.

    Parameters
    ----------
    sequences
        Name to attributes of its frames, a row a frame.
    how
        ``"max"`` or ``"mean"``, over sequences, of the largest second difference.

    Returns
    -------
    pandas.DataFrame
        Index ``attribute``: ``minimum`` and ``maximum`` over all frames, and
        ``threshold``, a share of their difference.

    Raises
    ------
    SchemaError
        There is no sequence, ``how`` is unknown, or references never have an attribute,
        or never change it: nothing could then be called inconsistent.
    """
    if not sequences or how not in ("max", "mean"):
        msg = (
            f"{len(sequences)} sequences, how={how!r}: give some, and 'max' or 'mean'."
        )
        raise SchemaError(msg)
    every = pd.concat(sequences.values())
    low, high = every.min(), every.max()
    worst = pd.DataFrame(
        {
            name: pd.DataFrame(np.abs(_jumps(frames, low, high))).max().to_numpy()
            for name, frames in sequences.items()
        },
        index=every.columns,
    )
    limits = pd.concat([low, high, worst.agg(how, axis=1)], axis=1)
    limits = limits.set_axis(_COLUMNS, axis=1).rename_axis("attribute")
    _check_limits(limits)
    return limits


def _check_limits(limits):
    # NaN is above nothing
    sound = limits["maximum"] > limits["minimum"]
    sound &= limits["threshold"] > _ROUNDING
    if not sound.all():
        msg = (
            f"references lack {[*limits.index[~sound]]} or keep them constant or on a "
            "line, so that no jump could be judged. Give other references, or leave "
            "these out."
        )
        raise SchemaError(msg)


def inconsistent_frames(frames: pd.DataFrame, limits: pd.DataFrame) -> pd.DataFrame:
    """Return the second differences of a sequence over their thresholds.

    Parameters
    ----------
    frames
        Attributes, a row a frame.
    limits
        Index ``attribute``, columns ``minimum, maximum, threshold``.

    Returns
    -------
    pandas.DataFrame
        Shaped as the attributes of ``limits`` in ``frames``: |e| / threshold, above 1
        where a frame is inconsistent; infinite where an attribute is missing, as it is
        between two frames that have it.

    Raises
    ------
    SchemaError
        An attribute of the limits is missing.
    """
    missing = [name for name in limits.index if name not in frames]
    if missing:
        msg = f"the sequence lacks {missing}; it has {list(frames.columns)}."
        raise SchemaError(msg)
    own = frames[limits.index]
    ratio = np.abs(_jumps(own, limits["minimum"], limits["maximum"]))
    ratio = ratio / limits["threshold"].to_numpy()
    ratio = np.where(np.isnan(own), np.inf, ratio)
    # beside a frame without a value nothing can be said
    return pd.DataFrame(
        np.nan_to_num(ratio, nan=0.0, posinf=np.inf), own.index, own.columns
    )


def _jumps(frames, low, high):
    scaled = (frames - low) / (high - low)
    return second_differences(scaled.to_numpy())


def sequence_consistency(
    sequences: Mapping[str, pd.DataFrame], limits: pd.DataFrame
) -> pd.DataFrame:
    """Return how consistent each attribute of each sequence is.

    Parameters
    ----------
    sequences
        Name to attributes of its frames, a row a frame.
    limits
        As `reference_limits` gives them.

    Returns
    -------
    pandas.DataFrame
        Index ``sequence, attribute``: ``n_frames``, ``n_inconsistent``,
        ``is_consistent``, ``worst_ratio`` and ``mean_ratio`` of |second difference| to
        threshold, the mean over frames that have one.

    Notes
    -----
    e_t = a_t - (a_t-1 + a_t+1) / 2 of attributes as a share of their range, 0 at both
    ends; a frame is inconsistent where |e_t| is above the threshold.
    """
    rows = {}
    for name, frames in sequences.items():
        ratios = inconsistent_frames(frames, limits)
        for attribute, ratio in ratios.items():
            known = ratio[np.isfinite(ratio)]
            n_wrong = int((ratio > 1).sum())
            rows[name, attribute] = {
                "n_frames": len(ratio),
                "n_inconsistent": n_wrong,
                "is_consistent": n_wrong == 0,
                "worst_ratio": ratio.max(),
                "mean_ratio": known.mean(),
            }
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index = pd.MultiIndex.from_tuples(rows, names=["sequence", "attribute"])
    return table
