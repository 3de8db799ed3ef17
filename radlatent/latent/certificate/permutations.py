"""Orders of rows in which patients are exchanged, and what a statistic is beside them.

Every test gets ``statistics`` of shape (1 + n_permutations, n_features), whose first
row is what was observed.
"""

import numpy as np

__all__ = [
    "adjusted_p_values",
    "block_orders",
    "joint_p_values",
    "p_values",
    "widened",
]


def block_orders(
    patients: np.ndarray,
    n_permutations: int,
    rng: np.random.Generator,
    folds: np.ndarray | None = None,
) -> tuple[np.ndarray, int]:
    """Return orders of rows that exchange whole patients, and how many rows can move.

    Parameters
    ----------
    patients
        Whose row it is, shape (n,).
    n_permutations
        How many orders besides the first, which is that of the rows.
    rng
        Where they are drawn from.
    folds
        Shape (n,); given, patients stay in their fold.

    Returns
    -------
    tuple
        Orders, shape (1 + n_permutations, n), and the number of rows of patients that
        have someone to be exchanged with.

    Notes
    -----
    Rows of one patient resemble one another, in both tables, without one table saying
    anything about the other: exchanged one by one they make such tables look dependent.
    A patient is exchanged with one of as many rows, row by row in the order given; the
    only patient with some number of rows stays. Where each patient has one row, this is
    the plain permutation.

    References
    ----------
    Winkler et al. 2015, doi:10.1016/j.neuroimage.2015.05.092
    """
    _, numbers, counts = np.unique(patients, return_inverse=True, return_counts=True)
    by_patient = np.split(np.argsort(numbers, kind="stable"), np.cumsum(counts)[:-1])
    strata = {}
    for rows in by_patient:
        fold = 0 if folds is None else folds[rows[0]]
        strata.setdefault((fold, len(rows)), []).append(rows)
    orders = np.tile(np.arange(len(patients)), (1 + n_permutations, 1))
    movable = 0
    for blocks in map(np.array, strata.values()):  # (n_patients, n_rows)
        start = np.tile(np.arange(len(blocks)), (n_permutations, 1))
        shuffled = blocks[rng.permuted(start, axis=1)]
        orders[1:, blocks.ravel()] = shuffled.reshape(n_permutations, -1)
        movable += blocks.size if len(blocks) > 1 else 0
    return orders, movable


def p_values(statistics: np.ndarray) -> np.ndarray:
    """Return the share of orders as extreme as the observed one, that one included.

    Parameters
    ----------
    statistics
        Shape (1 + n_permutations, n_features); large = dependent.

    References
    ----------
    Phipson and Smyth 2010, doi:10.2202/1544-6115.1585
    """
    return _share(statistics, statistics)


def adjusted_p_values(statistics: np.ndarray) -> np.ndarray:
    """Return p-values adjusted for the number of features, single-step max-T.

    Notes
    -----
    Each feature is compared with the largest statistic of all features in each order,
    which controls the chance of one false claim or more. Unlike Holm's procedure it
    can find a single dependent feature with few permutations: 500 permutations cannot
    give a p below 1 / 501, which times 32 features is 0.06.

    References
    ----------
    Westfall and Young 1993, ISBN 0-471-55761-7; Ge et al. 2003, eq. 9,
    doi:10.1007/BF02595811
    """
    return _share(statistics, statistics.max(axis=1, keepdims=True))


def joint_p_values(
    wholes: np.ndarray, features: np.ndarray
) -> tuple[float, np.ndarray]:
    """Return one p of all estimators, and one of each feature, adjusted for all.

    Parameters
    ----------
    wholes
        Statistics of the whole blocks, shape (1 + n_permutations, n_estimators).
    features
        Those of each feature, shape (1 + n_permutations, n_estimators, n_features).

    Notes
    -----
    Statistics are brought to one scale, by mean and standard deviation over all orders,
    the observed one among them: left out, it would be the only one that is scaled by
    others, and stand out where orders are few. They are compared with the largest of
    all estimators and features in each order: the chance that anything at all is
    claimed of independent tables is that of one test. Estimators whose orders were
    drawn apart are taken for independent there, which makes p too large rather than too
    small.

    References
    ----------
    Westfall and Young 1993, ISBN 0-471-55761-7
    """
    wholes, features = _scaled(wholes), _scaled(features)
    each = features.max(axis=1)  # (1 + n_permutations, n_features)
    largest = np.maximum(wholes.max(axis=1), each.max(axis=1))[:, None]
    return float(_share(largest, largest)[0]), _share(each, largest)


def _scaled(statistics):
    spread = statistics.std(axis=0)
    return (statistics - statistics.mean(axis=0)) / np.where(spread > 0, spread, 1)


def widened(statistics: np.ndarray, n_folds: int) -> np.ndarray:
    """Return statistics whose permuted rows are as wide as cross-fitting makes them.

    Parameters
    ----------
    statistics
        Shape (1 + n_permutations, n_features), with held-out rows exchanged inside
        folds and nothing fitted again.
    n_folds
        Folds that the statistic is pooled over.

    Notes
    -----
    In one fold such permutations are exact: held-out rows had no part in the fit. Over
    folds they are too narrow, since a row that is held out in one fold is trained on in
    the others, and folds err together. Permuted values are moved away from their mean
    by sqrt(1 + n_folds / (n_folds - 1)), which is the variance 1 / n_folds + n_test /
    n_train of a mean over folds that Nadeau and Bengio give, in place of 1 / n_folds.

    References
    ----------
    Nadeau and Bengio 2003, section 3.2, doi:10.1023/A:1024068626366
    """
    middle = statistics[1:].mean(axis=0)
    wide = middle + np.sqrt(1 + n_folds / (n_folds - 1)) * (statistics[1:] - middle)
    return np.concatenate([statistics[:1], wide])


def _share(statistics, compared):
    observed = statistics[0]
    # an order that changes nothing gives the observed value up to rounding
    limit = observed - 1e-10 * np.abs(observed)
    return (1 + (compared[1:] >= limit).sum(axis=0)) / len(statistics)
