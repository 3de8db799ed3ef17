"""How well predicted classes agree with the truth: one number a draw.

Arrays in, numbers out: ``truth`` holds class numbers, shape (n_patients,),
``probability`` has shape (n_patients, n_classes), ``weights`` has shape
(n_draws, n_patients), and the result one number a draw.
"""

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

__all__ = [
    "accuracy",
    "auc",
    "auprc",
    "balanced_accuracy",
    "brier",
    "delong",
    "delong_interval",
    "over_repeats",
    "sensitivity",
    "specificity",
    "tied_weights",
]


def tied_weights(
    positive: np.ndarray, score: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights of positives and negatives at each distinct score, ascending.

    Parameters
    ----------
    positive
        Whether a patient is of the positive class, shape (n_patients,).
    score
        Higher = more likely positive, shape (n_patients,).
    weights
        Shape (n_draws, n_patients).

    Returns
    -------
    tuple
        Two arrays of shape (n_draws, n_distinct_scores).
    """
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf))
    ordered, positive = weights[:, order], positive[order]
    return (
        np.add.reduceat(ordered * positive, starts, axis=1),
        np.add.reduceat(ordered * ~positive, starts, axis=1),
    )


def auc(truth: np.ndarray, probability: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the area under the ROC curve; for several classes the macro average.

    Notes
    -----
    The Mann-Whitney form: the weighted share of pairs of a positive and a negative in
    which the positive has the higher probability, ties counted half. With two classes
    the last is positive; with more, each is compared with the rest and the unweighted
    mean is taken. NaN in a draw that lacks a class.

    References
    ----------
    Hanley & McNeil 1982, doi:10.1148/radiology.143.1.7063747
    """
    n_classes = probability.shape[1]
    areas = []
    for label in range(n_classes) if n_classes > 2 else [1]:
        positive, negative = tied_weights(
            truth == label, probability[:, label], weights
        )
        below = np.cumsum(negative, axis=1) - negative
        won = (positive * (below + negative / 2)).sum(axis=1)
        with np.errstate(invalid="ignore"):
            areas.append(won / (positive.sum(axis=1) * negative.sum(axis=1)))
    return np.mean(areas, axis=0)


def auprc(
    truth: np.ndarray, probability: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return the average precision of two classes, the last being positive.

    Notes
    -----
    The mean over positives of the precision at their probability: the area under the
    precision-recall curve as a sum of steps, since a straight line between its points
    is too optimistic. A model without information reaches the share of positives, not
    1/2. NaN in a draw without a positive.

    References
    ----------
    Davis & Goadrich 2006, doi:10.1145/1143844.1143874
    """
    positive, negative = tied_weights(truth == 1, probability[:, 1], weights)
    positive, negative = positive[:, ::-1], negative[:, ::-1]
    found = np.cumsum(positive, axis=1)
    assigned = found + np.cumsum(negative, axis=1)
    # no patient was drawn above this score: nothing to add
    precision = np.divide(found, assigned, out=np.zeros_like(found), where=assigned > 0)
    with np.errstate(invalid="ignore"):
        return (positive * precision).sum(axis=1) / found[:, -1]


def balanced_accuracy(
    truth: np.ndarray, probability: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return the mean over classes of the share assigned to the right class.

    A patient is assigned to the class of the largest probability (with two classes
    the threshold is 0.5), ties to the first. NaN in a draw that lacks a class.

    References
    ----------
    Brodersen et al. 2010, doi:10.1109/ICPR.2010.764
    """
    member = truth[:, None] == np.arange(probability.shape[1])
    hits = member & (truth == probability.argmax(axis=1))[:, None]
    with np.errstate(invalid="ignore"):
        return ((weights @ hits) / (weights @ member)).mean(axis=1)


def accuracy(
    truth: np.ndarray, probability: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return the share of patients assigned to the right class."""
    hits = truth == probability.argmax(axis=1)
    return weights @ hits / weights.sum(axis=1)


def brier(
    truth: np.ndarray, probability: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return the mean squared error of the probabilities (lower = better).

    Notes
    -----
    With two classes the squared error of the positive class, from 0 to 1; with more,
    the sum over all classes, from 0 to 2, as in the original.

    References
    ----------
    Brier 1950, eq. 2, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2
    """
    member = truth[:, None] == np.arange(probability.shape[1])
    error = (probability - member) ** 2  # (n_patients, n_classes)
    loss = error[:, 1] if probability.shape[1] == 2 else error.sum(axis=1)
    return weights @ loss / weights.sum(axis=1)


def sensitivity(
    truth: np.ndarray, assigned: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return the share of positives assigned to the positive class, the last of two.

    Parameters
    ----------
    truth, weights
        As of the other metrics.
    assigned
        Whether a patient reaches the threshold, shape (n_patients,).

    Returns
    -------
    ndarray
        NaN in a draw without a positive.
    """
    return _share(assigned, weights * (truth == 1))


def specificity(
    truth: np.ndarray, assigned: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return the share of negatives not assigned; parameters as of `sensitivity`."""
    return _share(~assigned, weights * (truth != 1))


def _share(hits, weights):
    with np.errstate(invalid="ignore"):
        return weights @ hits / weights.sum(axis=1)


def delong(
    positive: np.ndarray, one: np.ndarray, two: np.ndarray
) -> tuple[float, float]:
    """Return the difference of two AUCs of the same patients, and its variance.

    Parameters
    ----------
    positive
        Whether a patient is of the positive class, shape (n_patients,); at least two
        are, and two are not.
    one, two
        Scores, higher = more likely positive, shape (n_patients,).

    Notes
    -----
    The placement of a positive is the share of negatives with a lower score, ties
    counted half; that of a negative, the share of positives with a higher one. The
    variance is that of the differences of placements (ddof 1) over the positives,
    divided by their number, plus the same over the negatives.

    References
    ----------
    DeLong et al. 1988, doi:10.2307/2531595
    """
    (above_one, below_one), (above_two, below_two) = (
        _placements(score[positive], score[~positive]) for score in (one, two)
    )
    above, below = above_one - above_two, below_one - below_two
    variance = above.var(ddof=1) / len(above) + below.var(ddof=1) / len(below)
    return float(above.mean()), float(variance)


def _placements(positives, negatives):
    def lower(scores, among):
        among = np.sort(among)
        sides = (np.searchsorted(among, scores, side) for side in ("left", "right"))
        return sum(sides) / 2 / len(among)

    return lower(positives, negatives), 1 - lower(negatives, positives)


def over_repeats(found: list[tuple[float, float]]) -> tuple[float, float]:
    """Return mean and total variance of an estimate of which each repeat gives one.

    Parameters
    ----------
    found
        Estimate and variance of each repeat.

    Notes
    -----
    W + (1 + 1/R) V, W being the mean of the R variances and V the variance between
    repeats (ddof 1): Rubin's rule, with repeats in the place of imputations.

    References
    ----------
    Rubin 1987, section 3.1, doi:10.1002/9780470316696
    """
    mean, variance = np.mean(found, axis=0)
    if len(found) > 1:
        between = np.var([one for one, _ in found], ddof=1)
        variance += (1 + 1 / len(found)) * between
    return float(mean), float(variance)


def delong_interval(
    positive: np.ndarray, scores: np.ndarray, level: float
) -> np.ndarray:
    """Return the two ends of the interval of an AUC, made on the logit scale.

    Parameters
    ----------
    positive
        Whether a patient is of the positive class, shape (n_patients,).
    scores
        Higher = more likely positive, shape (n_repeats, n_patients).
    level
        Coverage that the interval aims at.

    Returns
    -------
    ndarray
        NaN without two patients of each class, and where the mean area is 0 or 1, which
        has no logit and no variance.

    Notes
    -----
    With A the mean area and s the root of DeLong's variance, over repeats that of
    `over_repeats`, the ends are logit(A) ± z s / (A (1 - A)) back on the scale of the
    AUC: between 0 and 1, and longer towards 1/2.

    References
    ----------
    DeLong et al. 1988, doi:10.2307/2531595;
    Kottas et al. 2014, doi:10.1186/1471-2288-14-26
    """
    if np.bincount(positive, minlength=2).min() < 2:
        return np.full(2, np.nan)
    constant = np.zeros(len(positive))  # its area is 1/2, without variance
    difference, variance = over_repeats(
        [delong(positive, one, constant) for one in scores]
    )
    area = difference + 0.5
    if not 0 < area < 1:
        return np.full(2, np.nan)
    arm = norm.ppf((1 + level) / 2) * np.sqrt(variance) / (area * (1 - area))
    return expit(logit(area) + np.array([-arm, arm]))
