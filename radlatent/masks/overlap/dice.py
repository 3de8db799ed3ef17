"""Dice of two masks as one number: labels of one shape enter, a number leaves.

What is asked of every slice and every candidate; `compare` measures structure by
structure.
"""

from collections.abc import Sequence

import numpy as np

__all__ = ["label_dice", "slice_dice"]


def slice_dice(a: np.ndarray, b: np.ndarray, values: Sequence[int]) -> float:
    """Return the mean Dice of the structures that one of two slices holds.

    Parameters
    ----------
    a, b
        Labels of one shape.
    values
        Label of each structure.

    Returns
    -------
    float
        A structure that one of both lacks counts 0, one that both lack does not count;
        NaN where both are empty.
    """
    shape = max(values) + 1
    sizes = np.bincount(a.ravel(), minlength=shape) + np.bincount(
        b.ravel(), minlength=shape
    )
    common = np.bincount(a[a == b].ravel(), minlength=shape)
    each = [2 * common[v] / sizes[v] for v in values if sizes[v]]
    return float(np.mean(each)) if each else float("nan")


def label_dice(a: np.ndarray, b: np.ndarray) -> float:
    """Return the Dice of two masks over all structures at once.

    Parameters
    ----------
    a, b
        Labels of one shape.

    Returns
    -------
    float
        Twice the voxels that have one label in both, over the voxels of both; 1 where
        both are empty. A structure that one of both lacks weighs as much as it is
        large.
    """
    inside = a > 0
    total = np.count_nonzero(inside) + np.count_nonzero(b)
    return float(2 * np.count_nonzero(inside & (a == b)) / total) if total else 1.0
