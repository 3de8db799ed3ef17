"""GLCM: how often two gray levels are neighbors, a matrix for each direction.

Names and values are pyradiomics'; a feature is the mean over directions.

References
----------
Haralick, Shanmugam, Dinstein 1973, doi:10.1109/TSMC.1973.4309314; IBSI reference
manual, chapter "Grey level co-occurrence based features", arXiv:1612.07003
"""

import numpy as np

__all__ = ["glcm_features"]

_EPS = np.spacing(1.0)

#: Matrix entries that are worked on at a time: bounds the memory at many gray levels.
_AT_A_TIME = 2_000_000


def glcm_features(
    pairs: np.ndarray, gray: np.ndarray, *, symmetric: bool, weights: np.ndarray | None
) -> dict[str, float]:
    """Measure co-occurrence matrices.

    Parameters
    ----------
    pairs
        Counts, shape (n_levels, n_directions, n_levels).
    gray
        Gray levels that occur, shape (n_levels,); the largest is their number.
    symmetric
        Whether a pair counts in both orders.
    weights
        Of directions, which are then added up; None leaves them apart.

    Returns
    -------
    dict
        NaN for each feature where no voxel has a neighbor.
    """
    pairs = pairs.transpose(1, 0, 2)
    totals = pairs.sum(axis=(1, 2))
    if weights is not None:
        # one after the other: all of them in floats may not fit in memory
        pairs = sum(w * one for w, one in zip(weights, pairs, strict=True))[None]
        totals = pairs.sum(axis=(1, 2))
    if not totals.all():
        pairs, totals = pairs[totals > 0], totals[totals > 0]
    step = max(1, _AT_A_TIME // max(gray.size**2, 2 * int(gray[-1])))
    # added up by their lengths, probabilities get near to pyradiomics' guard against 0
    guarded = weights is not None
    parts = [
        _of_directions(
            pairs[k : k + step], totals[k : k + step], gray, symmetric, guarded
        )
        for k in range(0, len(pairs), step)
    ]
    if not parts:
        # one matrix of no pair, for the names
        empty = np.full((1, 1, 1), np.nan)
        return dict.fromkeys(_features(empty, np.ones(1), True), np.nan)
    # a rounded 1 - 1 below a root makes a direction NaN: it is left out, as there
    return {
        name: _mean(np.concatenate([part[name] for part in parts])) for name in parts[0]
    }


def _mean(values):
    known = values[~np.isnan(values)]
    return known.mean() if known.size else np.nan


def _of_directions(pairs, totals, gray, symmetric, guarded):
    p = pairs / totals[:, None, None]
    if symmetric:
        p = (p + p.transpose(0, 2, 1)) / 2
    with np.errstate(invalid="ignore"):
        return _features(p, gray.astype(float), symmetric, guarded)


def _features(p, gray, symmetric, guarded=False):
    """Return each feature of matrices that sum to 1, shape (n, n_levels, n_levels)."""
    px, py = p.sum(axis=2), p.sum(axis=1)
    ux, uy = px @ gray, py @ gray
    from_x, from_y = gray - ux[:, None], gray - uy[:, None]
    var_x, var_y = (px * from_x**2).sum(axis=1), (py * from_y**2).sum(axis=1)
    both = np.einsum("ai,aij,aj->a", from_x, p, from_y, optimize=True)
    sigmas = np.sqrt(var_x) * np.sqrt(var_y)
    # one gray level has no variance, whatever its probability is rounded to
    single = ((px > 0).sum(axis=1) == 1) | ((py > 0).sum(axis=1) == 1)
    correlation = np.where(single, 1.0, both / (sigmas + _EPS))
    return {
        "Autocorrelation": np.einsum("i,aij,j->a", gray, p, gray, optimize=True),
        **_of_sums(p, gray, ux + uy),
        **_of_differences(p, gray),
        "Correlation": correlation,
        **_of_information(p, px, py),
        "JointAverage": ux,
        "JointEnergy": (p * p).sum(axis=(1, 2)),
        "MCC": _maximal_correlation(p, px, py, symmetric, guarded),
        "MaximumProbability": p.max(axis=(1, 2)),
        "SumSquares": var_x,
    }


def _along(p, index, n):
    """Add up entries of each matrix that share an index, shape (n_matrices, n)."""
    first = np.arange(len(p))[:, None, None] * n
    flat = np.bincount((first + index).ravel(), p.ravel(), minlength=n * len(p))
    return flat.reshape(len(p), n)


def _of_sums(p, gray, mean):
    levels = gray.astype(int)
    n = 2 * levels[-1] + 1
    sums = _along(p, levels[:, None] + levels, n)
    k = np.arange(n)
    off = k - mean[:, None]
    return {
        "ClusterProminence": (sums * off**4).sum(axis=1),
        "ClusterShade": (sums * off**3).sum(axis=1),
        "ClusterTendency": (sums * off**2).sum(axis=1),
        "SumAverage": sums @ k,
        "SumEntropy": -(sums * np.log2(sums + _EPS)).sum(axis=1),
    }


def _of_differences(p, gray):
    levels = gray.astype(int)
    n = levels[-1]
    differences = _along(p, np.abs(levels[:, None] - levels), n)
    k = np.arange(n, dtype=float)
    mean = differences @ k
    return {
        "Contrast": differences @ k**2,
        "DifferenceAverage": mean,
        "DifferenceEntropy": -(differences * np.log2(differences + _EPS)).sum(axis=1),
        "DifferenceVariance": (differences * (k - mean[:, None]) ** 2).sum(axis=1),
        "Id": differences @ (1 / (1 + k)),
        "Idm": differences @ (1 / (1 + k**2)),
        "Idmn": differences @ (1 / (1 + k**2 / n**2)),
        "Idn": differences @ (1 / (1 + k / n)),
        "InverseVariance": differences[:, 1:] @ (1 / k[1:] ** 2),
    }


def _of_information(p, px, py):
    joint = -(p * np.log2(p + _EPS)).sum(axis=(1, 2))
    expected = px[:, :, None] * py[:, None, :]
    log_expected = np.log2(expected + _EPS)
    first = -(p * log_expected).sum(axis=(1, 2))
    second = -(expected * log_expected).sum(axis=(1, 2))
    divisor = np.fmax(_entropy(px), _entropy(py))
    single = ((px > 0).sum(axis=1) == 1) & ((py > 0).sum(axis=1) == 1)
    imc1 = np.where(single, 0.0, (joint - first) / np.where(single, 1.0, divisor))
    imc2 = np.sqrt(1 - np.exp(-2 * (second - joint)))
    return {
        "Imc1": imc1,
        "Imc2": np.where(second == joint, 0.0, imc2),
        "JointEntropy": joint,
    }


def _entropy(p):
    return -(p * np.log2(p + _EPS)).sum(axis=1)


def _maximal_correlation(p, px, py, symmetric, guarded):
    """Return the second largest singular value of p / sqrt(px py).

    pyradiomics takes the root of the second eigenvalue of a matrix Q that is similar
    to the square of this one; what its guard against 0 does cancels to first order.
    Where that will not do, Q itself is taken.
    """
    if p.shape[1] < 2:
        return np.ones(len(p))
    if guarded:
        q = p / (px[:, :, None] * py[:, None, :] + _EPS) @ p.transpose(0, 2, 1)
        return np.sqrt(np.sort(np.linalg.eigvals(q).real, axis=1)[:, -2])
    scaled = p / np.sqrt(px[:, :, None] * py[:, None, :] + _EPS)
    if symmetric:
        values = np.abs(np.linalg.eigvalsh(scaled))
        values.sort(axis=1)
    else:
        values = np.linalg.svd(scaled, compute_uv=False)[:, ::-1]
    return values[:, -2]
