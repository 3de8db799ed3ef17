"""NGTDM: how far gray levels are from the mean of their neighbors.

Names and values are pyradiomics'.

References
----------
Amadasun, King 1989, doi:10.1109/21.44046; IBSI reference manual, chapter
"Neighbourhood grey tone difference based features", arXiv:1612.07003
"""

import numpy as np

__all__ = ["ngtdm_features"]

#: Of a lesion without any difference, where the formula divides by 0.
_COARSENESS_AT_MOST = 1e6


def ngtdm_features(difference: np.ndarray, gray: np.ndarray) -> dict[str, float]:
    """Measure a neighborhood difference matrix.

    Parameters
    ----------
    difference
        Voxels, and the sum of their differences, by gray level, shape (n_levels, 2).
    gray
        Gray levels that occur, shape (n_levels,).
    """
    n, s = difference.T
    p, i = n / n.sum(), gray.astype(float)
    weighted, total = float(p @ s), float(s.sum())
    apart, around, spread, complexity = _over_pairs(p, s, i)
    n_pairs = gray.size * (gray.size - 1)
    return {
        "Busyness": weighted / around if around else 0.0,
        "Coarseness": 1 / weighted if weighted else _COARSENESS_AT_MOST,
        "Complexity": complexity / n.sum(),
        "Contrast": spread * total / n.sum() / n_pairs if n_pairs else 0.0,
        "Strength": apart / total if total else 0.0,
    }


def _over_pairs(p, s, i):
    """Return sums over all pairs of gray levels, a row at a time."""
    sums = np.zeros(4)
    for level, share, moved in zip(i, p, s, strict=True):
        step = np.abs(level - i)
        together = share + p
        sums[0] += (together * step**2).sum()
        sums[1] += np.abs(level * share - i * p).sum()
        sums[2] += share * (p * step**2).sum()
        sums[3] += (step * (share * moved + p * s) / together).sum()
    return sums
