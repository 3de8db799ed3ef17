"""A discriminator, trained from scratch, between true and shuffled pairs of rows.

Arrays enter, scores and areas under the ROC curve leave. It shares no code and no
training with the discriminator that an encoder was trained against.
"""

import warnings

import numpy as np
from scipy.special import logit
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

__all__ = ["auc", "cross_fit_scores", "permuted_auc", "shuffled_pairs", "weighted_auc"]

_N_NETWORKS = 3
_N_SHUFFLES = 4
_N_EPOCHS = 100
_MAX_COMPONENTS = 32


def shuffled_pairs(patients: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return for each row the row of another patient; each row occurs once.

    Patients are put in a random order and their rows are shifted by a random number
    that is larger than any patient. That every row occurs once keeps the discriminator
    from telling pairs by how often a row occurs.

    Raises
    ------
    ValueError
        A patient has more than half of the rows.
    """
    _, numbers, counts = np.unique(patients, return_inverse=True, return_counts=True)
    n, most = len(patients), counts.max()
    if n < 2 * most:
        msg = f"one patient has {most} of {n} rows: there is nobody to pair them with."
        raise ValueError(msg)
    order = np.argsort(rng.permutation(len(counts))[numbers], kind="stable")
    partner = np.empty(n, dtype=int)
    partner[order] = np.roll(order, rng.integers(most, n - most, endpoint=True))
    return partner


def cross_fit_scores(
    first: np.ndarray,
    second: np.ndarray,
    patients: np.ndarray,
    folds: np.ndarray,
    rng: np.random.Generator,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return rows of each fold and the held-out scores of all of their pairs.

    Parameters
    ----------
    first, second
        Shapes (n, p) and (n, q); ``second`` may be (n_folds, n, q), with columns of
        its own in each fold.
    patients, folds
        Shape (n,).
    rng
        Where shuffles and starting weights are drawn from.

    Returns
    -------
    list
        One tuple a fold: rows, shape (m,), and scores, shape (m, m); entry (i, j) says
        how much row i of ``first`` and row j of ``second`` look like one case.

    Notes
    -----
    Both tables are standardized and ``first`` is turned into at most 32 principal
    components of unit variance, at most one for 8 training rows: a network sees weak
    dependence on a few hundred pairs only if its inputs are few. Dependence along the
    directions that are left out is not seen. Scores are mean logits of three networks
    (one hidden layer of 64, weight decay, 100 epochs), each trained on the true pairs
    of the training rows against four shuffles of them. None of this is tuned.
    """
    scores = []
    for number, fold in enumerate(np.unique(folds)):
        rows, train = np.flatnonzero(folds == fold), folds != fold
        one = _whitened(first[train], first[rows])
        other = second[number] if second.ndim == 3 else second
        two = _standardized(other[train], other[rows])
        m = len(rows)
        left, right = np.repeat(np.arange(m), m), np.tile(np.arange(m), m)
        pairs = np.hstack([one[1][left], two[1][right]])
        total = np.zeros(m * m)
        for _ in range(_N_NETWORKS):
            total += _network(one[0], two[0], patients[train], pairs, rng)
        scores.append((rows, (total / _N_NETWORKS).reshape(m, m)))
    return scores


def _standardized(train, new):
    mean, spread = train.mean(axis=0), train.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    return (train - mean) / spread, (new - mean) / spread


def _whitened(train, new):
    train, new = _standardized(train, new)
    _, values, right = np.linalg.svd(train, full_matrices=False)
    most = min(_MAX_COMPONENTS, max(1, len(train) // 8))
    kept = min(most, int((values > 1e-3 * values[0]).sum()))
    turn = right[:kept].T * (np.sqrt(len(train)) / values[:kept])
    return train @ turn, new @ turn


def _network(first, second, patients, pairs, rng):
    """Return the logits of pairs by a network trained on rows of both tables."""
    partners = [shuffled_pairs(patients, rng) for _ in range(_N_SHUFFLES)]
    true = np.hstack([first, second])
    false = [np.hstack([first, second[partner]]) for partner in partners]
    # as many of both kinds: 0.5 is the probability without information
    inputs = np.vstack([true] * _N_SHUFFLES + false)
    labels = np.repeat([1, 0], _N_SHUFFLES * len(first))
    network = MLPClassifier(
        (64,),
        alpha=1.0,
        batch_size=max(200, len(inputs) // 8),
        learning_rate_init=3e-3,
        max_iter=_N_EPOCHS,
        random_state=int(rng.integers(2**31)),
    )
    with warnings.catch_warnings():
        # the number of epochs is set: it is not meant to converge
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(inputs, labels)
    probability = network.predict_proba(pairs)[:, 1]
    return logit(np.clip(probability, 1e-7, 1 - 1e-7))


def weighted_auc(
    scores: np.ndarray, positive: np.ndarray, negative: np.ndarray
) -> np.ndarray:
    """Return the chance that a positive scores above a negative, ties counted half.

    Parameters
    ----------
    scores
        Shape (m,).
    positive, negative
        Weights of the scores as either, shape (n_draws, m).

    Returns
    -------
    numpy.ndarray
        Shape (n_draws,); NaN without a positive or a negative.

    References
    ----------
    Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747
    """
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    positive = np.add.reduceat(positive[:, order], starts, axis=1)
    negative = np.add.reduceat(negative[:, order], starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    with np.errstate(invalid="ignore"):
        won = (positive * below).sum(axis=1) / positive.sum(axis=1)
        return won / negative.sum(axis=1)


def auc(
    scores: list[tuple[np.ndarray, np.ndarray]],
    patients: np.ndarray,
    weights: np.ndarray,
) -> np.ndarray:
    """Return the AUC of true against shuffled pairs under weightings of patients.

    Parameters
    ----------
    scores
        Of `cross_fit_scores`.
    patients
        Shape (n,).
    weights
        Shape (n_draws, n); rows of a patient have one weight.

    Returns
    -------
    numpy.ndarray
        Shape (n_draws,). Shuffled are all pairs of rows of two patients of one fold;
        folds have networks of their own and are compared inside, then averaged by
        their weight.
    """
    total, mass = np.zeros(len(weights)), np.zeros(len(weights))
    for rows, score in scores:
        other = patients[rows][:, None] != patients[rows]
        for part in np.array_split(np.arange(len(weights)), 1 + score.size // 2000):
            inside = weights[part][:, rows]
            true = inside[:, :, None] * np.eye(len(rows))
            false = inside[:, :, None] * inside[:, None] * other
            shape = len(part), -1
            area = weighted_auc(
                score.ravel(), true.reshape(shape), false.reshape(shape)
            )
            # a draw may leave a fold with one patient, who tells nothing
            heft = np.where(np.isnan(area), 0.0, inside.sum(axis=1))
            total[part] += np.nan_to_num(area) * heft
            mass[part] += heft
    with np.errstate(invalid="ignore"):
        return total / mass


def permuted_auc(
    scores: list[tuple[np.ndarray, np.ndarray]],
    patients: np.ndarray,
    orders: np.ndarray,
) -> np.ndarray:
    """Return the AUC with the second table in each order, shape (n_orders,).

    Parameters
    ----------
    scores
        Of `cross_fit_scores`; networks are not trained again.
    patients
        Shape (n,).
    orders
        Shape (n_orders, n), inside folds.
    """
    total = np.zeros(len(orders))
    for rows, score in scores:
        m = len(rows)
        place = np.empty(len(patients), dtype=int)
        place[rows] = np.arange(m)
        other = (patients[rows][:, None] != patients[rows]).ravel().astype(float)
        true = np.eye(m).ravel()
        for number, order in enumerate(orders):
            permuted = score[:, place[order[rows]]].ravel()
            area = weighted_auc(permuted, true[None], other[None])
            total[number] += m * area[0]
    return total / sum(len(rows) for rows, _ in scores)
