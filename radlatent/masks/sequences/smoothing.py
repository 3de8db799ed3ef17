"""Signals over time, smoothed: one column a signal.

What the published descent looks for is the minimum of a quadratic, and so the solution
of a banded linear system, which is solved here in one step.

References
----------
Painchaud et al. 2022, arXiv:2112.02102; vitalab/vital, vital/utils/signal/snake.py
"""

from collections.abc import Sequence

import numpy as np
from scipy.linalg import solveh_banded

from radlatent.errors import SchemaError

__all__ = [
    "descend_sequence",
    "least_weights",
    "second_differences",
    "smooth_sequence",
]

#: The heaviest weights that are tried, by order: the published one, and its square:
#: penalties of second differences fall with the fourth power of a period.
MOST = {1: 128.0, 2: 128.0**2}


def second_differences(signals: np.ndarray) -> np.ndarray:
    """Return how far each value is from the mean of its neighbors, 0 at both ends.

    Parameters
    ----------
    signals
        Shape (n,) or (n, signals), one row a frame.
    """
    signals = np.asarray(signals, dtype=np.float64)
    found = np.zeros_like(signals)
    found[1:-1] = signals[1:-1] - (signals[:-2] + signals[2:]) / 2
    return found


def smooth_sequence(
    signals: np.ndarray,
    weight: float | Sequence[float],
    *,
    order: int = 1,
    fixed: Sequence[int] = (),
) -> np.ndarray:
    """Return the smoothed signals: an exact solution in one step.

    Parameters
    ----------
    signals
        Shape (n,) or (n, signals), one row a frame.
    weight
        Of smoothness, 0 or more; one, or one a signal.
    order
        1: the published energy, of differences of neighbors, which pulls a beating
        signal toward its mean. 2: of second differences, which consistency is about.
    fixed
        Numbers of frames whose values are kept.

    Returns
    -------
    numpy.ndarray
        Of the shape of ``signals``, float64.

    Raises
    ------
    SchemaError
        Signals are no such array or not finite, or settings are faulty.

    Notes
    -----
    The minimum over s of |s - s0|^2 / 2 + w / 4 sum (s_t - s_t+1)^2, or with order 2
    of |s - s0|^2 / 2 + w / 2 sum e_t^2, e_t the second differences: (I + w P) s = s0
    with a banded P. Rows of fixed frames become those of the identity.
    """
    signals, weights = _checked(signals, weight, order)
    n, flat = len(signals), signals.reshape(len(signals), -1)
    fixed = sorted({*fixed})
    if any(not 0 <= k < n for k in fixed):
        msg = f"fixed are {fixed}; the sequence has frames 0 to {n - 1}."
        raise SchemaError(msg)
    smooth = np.empty_like(flat)
    penalty = _penalty(n, order)
    for value in np.unique(weights):
        own = weights == value
        smooth[:, own] = _solved(penalty * value, flat[:, own], fixed)
    return smooth.reshape(signals.shape)


def _checked(signals, weight, order):
    signals = np.asarray(signals, dtype=np.float64)
    if signals.ndim not in (1, 2) or not len(signals) or not np.isfinite(signals).all():
        msg = (
            f"signals have shape {signals.shape}. Give finite numbers of shape "
            "(frames,) or (frames, signals); frames without a value are filled first."
        )
        raise SchemaError(msg)
    n_signals = 1 if signals.ndim == 1 else signals.shape[1]
    weights = np.broadcast_to(np.asarray(weight, dtype=np.float64), (n_signals,))
    if not (weights >= 0).all() or order not in (1, 2):
        msg = f"weight is {weight!r}, order {order!r}: give 0 or more, and 1 or 2."
        raise SchemaError(msg)
    return signals, weights


def _penalty(n, order):
    """Return the lower bands of P, shape (order + 1, n)."""
    bands = np.zeros((order + 1, n))
    if order == 1:
        bands[0, :-1] += 0.5
        bands[0, 1:] += 0.5
        bands[1, :-1] = -0.5
    elif n > 2:
        bands[0, :-2] += 0.25
        bands[0, 1:-1] += 1.0
        bands[0, 2:] += 0.25
        bands[1, :-2] -= 0.5
        bands[1, 1:-1] -= 0.5
        bands[2, :-2] = 0.25
    return bands


def _solved(bands, signals, fixed):
    bands = bands.copy()
    bands[0] += 1
    right = signals.copy()
    for k in fixed:
        for away in range(1, len(bands)):
            # the entries of this row and column: k with k + away, and with k - away
            for first, other in ((k, k + away), (k - away, k - away)):
                if first >= 0 and other < len(right) and other != k:
                    right[other] -= bands[away, first] * signals[k]
                    bands[away, first] = 0
    for k in fixed:
        bands[0, k], right[k] = 1, signals[k]
    reach = min(len(bands), len(right))
    return solveh_banded(bands[:reach], right, lower=True)


def least_weights(
    signals: np.ndarray,
    thresholds: Sequence[float],
    *,
    order: int = 1,
    fixed: Sequence[int] = (),
    steps: int = 20,
) -> np.ndarray:
    """Return the smallest weights that make signals consistent, shape (signals,).

    Parameters
    ----------
    signals
        Shape (n, signals).
    thresholds
        Largest second difference of each signal.
    order, fixed
        As in `smooth_sequence`.
    steps
        Of bisection; 5 is published.

    Notes
    -----
    Signals that are consistent keep the weight 0, and so their values. Where not even
    the heaviest is enough (128, of order 2 its square), it is the answer.
    """
    signals, limits = np.asarray(signals, np.float64), np.asarray(thresholds)
    low, high = np.zeros(len(limits)), np.full(len(limits), MOST[order])
    high[_is_consistent(signals, limits)] = 0
    for _ in range(steps):
        middle = (low + high) / 2
        smooth = smooth_sequence(signals, middle, order=order, fixed=fixed)
        enough = _is_consistent(smooth, limits)
        high, low = np.where(enough, middle, high), np.where(enough, low, middle)
    return high


def _is_consistent(signals, limits):
    return (np.abs(second_differences(signals)) <= limits).all(axis=0)


def descend_sequence(
    signals: np.ndarray,
    weight: float,
    *,
    step: float = 1e-2,
    momentum: float = 0.9,
    iterations: int = 10_000,
    tolerance: float = float(np.finfo(np.float32).eps),
) -> np.ndarray:
    """Smooth signals by the published gradient descent, for comparison.

    Parameters
    ----------
    signals
        Shape (n,) or (n, signals).
    weight
        Of smoothness.
    step, momentum, iterations, tolerance
        Of the descent, which stops where a step is shorter than the tolerance.

    Notes
    -----
    grad = (s - s0) + w (s - mean of the neighbors), with the ends repeated:
    `smooth_sequence` of order 1 gives where it ends.
    """
    start = np.asarray(signals, dtype=np.float64)
    found, moved = start.copy(), np.zeros_like(start)
    for _ in range(iterations):
        padded = np.concatenate([found[:1], found, found[-1:]])
        near = (padded[:-2] + padded[2:]) / 2
        moved = momentum * moved - step * ((found - start) + weight * (found - near))
        found = found + moved
        if np.linalg.norm(moved) < tolerance:
            break
    return found
