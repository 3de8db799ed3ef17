"""Estimators of dependence that fit no model, and their values under permutations.

Arrays enter, numbers leave. There are two families: products of centered matrices
(distance correlation, HSIC) and nearest neighbors (mutual information). Those that fit
a model are in `prediction` and `discriminator`.
"""

import numpy as np
from scipy.spatial import KDTree
from scipy.spatial.distance import pdist, squareform
from scipy.special import digamma

__all__ = [
    "alignment",
    "distances",
    "gaussian_kernel",
    "mutual_information",
    "permuted_alignment",
    "permuted_mutual_information",
    "u_centered",
]

#: Bytes that the pairs of one group of features may take.
_BYTES = 2**28


def distances(values: np.ndarray) -> np.ndarray:
    """Return Euclidean distances of rows, shape (n, n), from shape (n, p) or (n,)."""
    return squareform(pdist(values.reshape(len(values), -1)))


def gaussian_kernel(values: np.ndarray, bandwidth: float | None = None) -> np.ndarray:
    """Return ``exp(-distance**2 / (2 bandwidth**2))`` of rows, shape (n, n).

    Parameters
    ----------
    values
        Shape (n, p) or (n,).
    bandwidth
        In the unit of ``values``; None takes the median distance of two rows, or the
        mean where more than half of the pairs are equal.

    References
    ----------
    Gretton et al. 2005, doi:10.1007/11564089_7; the median: Gretton et al. 2007,
    https://papers.nips.cc/paper/3201, section 4
    """
    distance = distances(values)
    if bandwidth is None:
        pairs = distance[np.triu_indices(len(distance), 1)]
        bandwidth = np.median(pairs) or pairs.mean()
    return np.exp(-0.5 * (distance / bandwidth) ** 2)


def u_centered(matrix: np.ndarray) -> np.ndarray:
    """Return a symmetric matrix centered such that products of two are unbiased.

    Parameters
    ----------
    matrix
        Distances or a kernel of the rows, shape (n, n), n > 3; the diagonal is not
        read, and zero afterwards.

    Notes
    -----
    The mean product of two centered matrices over ``n (n - 3)`` is the unbiased squared
    distance covariance when they hold distances, and the unbiased HSIC when they hold
    kernels: the two estimators are one formula.

    References
    ----------
    Székely and Rizzo 2014, eq. 2.3, doi:10.1214/14-AOS1255; Song et al. 2012, eq. 5,
    https://jmlr.org/papers/v13/song12a.html
    """
    n = len(matrix)
    if n < 4:
        msg = f"{n} rows: an unbiased estimate needs 4 or more."
        raise ValueError(msg)
    matrix = matrix - np.diag(np.diag(matrix))
    rows = matrix.sum(axis=0) / (n - 2)
    total = matrix.sum() / ((n - 1) * (n - 2))
    centered = matrix - rows[:, None] - rows + total
    np.fill_diagonal(centered, 0)
    return centered


def alignment(first: np.ndarray, second: np.ndarray) -> float:
    """Return the normalized product of two centered matrices: 0 if independent.

    Parameters
    ----------
    first, second
        Both from `distances` or both from `gaussian_kernel`, shape (n, n).

    Returns
    -------
    float
        Of distances, the bias-corrected *squared* distance correlation. Of kernels,
        HSIC(x, y) / sqrt(HSIC(x, x) HSIC(y, y)). At most 1, and below 0 by chance: its
        expectation for independent rows is 0 in any dimension, whereas the uncorrected
        distance correlation nears 1 with many columns.

    References
    ----------
    Székely and Rizzo 2013, doi:10.1016/j.jmva.2013.02.012; Song et al. 2012
    """
    identity = np.arange(len(first))[None]
    return float(permuted_alignment(first, [second], identity)[0, 0])


def permuted_alignment(
    first: np.ndarray, seconds: list[np.ndarray], orders: np.ndarray
) -> np.ndarray:
    """Return the `alignment` of one matrix with several under each order of its rows.

    Parameters
    ----------
    first
        Shape (n, n).
    seconds
        As many matrices as features, each of shape (n, n).
    orders
        Shape (n_orders, n).

    Returns
    -------
    numpy.ndarray
        Shape (n_orders, n_features); NaN where a matrix is constant.
    """
    # centering and norms do not depend on the order: only the product is repeated
    first = u_centered(first)
    upper = np.triu_indices(len(first), 1)
    norm = np.linalg.norm(first[upper])
    size = max(1, _BYTES // (8 * len(upper[0])))
    found = np.empty((len(orders), len(seconds)))
    for start in range(0, len(seconds), size):
        group = seconds[start : start + size]
        pairs = np.stack([u_centered(second)[upper] for second in group], axis=1)
        with np.errstate(invalid="ignore"):
            pairs /= norm * np.linalg.norm(pairs, axis=0)  # (n_pairs, n_features)
        for row, order in enumerate(orders):
            permuted = first[order[upper[0]], order[upper[1]]]
            found[row, start : start + size] = permuted @ pairs
    return found


def mutual_information(x: np.ndarray, y: np.ndarray, k: int = 3) -> float:
    """Return the nearest-neighbor estimate of mutual information, in nats.

    Parameters
    ----------
    x, y
        Shape (n,), n > k. Both are standardized first, which does not change what is
        estimated.
    k
        Which neighbor; few: small bias, many: small variance.

    Notes
    -----
    Algorithm 1: with the distance to the k-th neighbor in the plane (the larger of
    both coordinates' distances) and the numbers n_x and n_y of points strictly closer
    in one coordinate, I = digamma(k) + digamma(n) - mean(digamma(n_x + 1) +
    digamma(n_y + 1)). Negative values occur by chance and stay. The estimate is for
    continuous variables.

    References
    ----------
    Kraskov, Stögbauer and Grassberger 2004, eq. 8, doi:10.1103/PhysRevE.69.066138
    """
    identity = np.arange(len(x))[None]
    found = permuted_mutual_information(x[:, None], y[:, None], identity, k)
    return float(found[0, 0])


def permuted_mutual_information(
    x: np.ndarray, y: np.ndarray, orders: np.ndarray, k: int = 3
) -> np.ndarray:
    """Return `mutual_information` of each column of x and y under each order of y.

    Parameters
    ----------
    x, y
        Shape (n, n_features); column is paired with column.
    orders
        Shape (n_orders, n).
    k
        Which neighbor.

    Returns
    -------
    numpy.ndarray
        Shape (n_orders, n_features).
    """
    x, y = _standardized(x), _standardized(y)
    columns = [_neighbors(a, b, orders, k) for a, b in zip(x.T, y.T, strict=True)]
    return np.stack(columns, axis=1)


def _standardized(values):
    spread = values.std(axis=0)
    return (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1)


def _neighbors(x, y, orders, k):
    n = len(x)
    sorted_x, sorted_y = np.sort(x), np.sort(y)
    ready = digamma(np.arange(1, n + 1))  # digamma(count + 1) at the count
    found = np.empty(len(orders))
    for row, order in enumerate(orders):
        permuted = y[order]
        points = np.column_stack([x, permuted])
        # the first neighbor is the point itself
        reach = KDTree(points).query(points, k=k + 1, p=np.inf)[0][:, -1]
        # rounding of x + reach must not let the k-th neighbor in
        reach *= 1 - 1e-9
        near = (
            ready[_within(sorted_x, x, reach)]
            + ready[_within(sorted_y, permuted, reach)]
        )
        found[row] = ready[k - 1] + ready[n - 1] - near.mean()
    return found


def _within(ordered, values, reach):
    """Return how many others lie within the reach of each value."""
    last = np.searchsorted(ordered, values + reach, "right")
    return last - np.searchsorted(ordered, values - reach, "left") - 1
