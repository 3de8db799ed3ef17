"""How well predictions agree with the truth, with intervals over patients.

A **predictions** table enters, a **metrics** table leaves. The four metrics below are
arrays in, numbers out: ``truth`` holds class numbers, shape (n_patients,),
``probability`` has shape (n_patients, n_classes), ``weights`` has shape
(n_draws, n_patients), and the result one number a draw.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from radlatent.errors import SchemaError
from radlatent.schema import check_metrics, check_predictions

__all__ = ["accuracy", "auc", "balanced_accuracy", "brier", "evaluate"]

_KEYS = ["model", "blocks", "endpoint"]
_PREFIX = "probability_"


def tied_weights(positive, score, weights):
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


def auc(truth, probability, weights):
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


def balanced_accuracy(truth, probability, weights):
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


def accuracy(truth, probability, weights):
    """Return the share of patients assigned to the right class."""
    hits = truth == probability.argmax(axis=1)
    return weights @ hits / weights.sum(axis=1)


def brier(truth, probability, weights):
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


_METRICS = {
    "auc": auc,
    "balanced_accuracy": balanced_accuracy,
    "accuracy": accuracy,
    "brier": brier,
}


def evaluate(predictions, *, n_boot=1000, level=0.95, random_state=0):
    """Return a **metrics** table for each model, blocks and endpoint.

    Parameters
    ----------
    predictions
        A **predictions** table; every repeat predicts the same patients.
    n_boot
        Bootstrap draws of patients.
    level
        Coverage that the interval aims at.
    random_state
        Seed or Generator. All models of one call get the same draws.

    Returns
    -------
    DataFrame
        ``n_events`` counts the positive class (the last in sorted order) of two
        classes, the smallest class of several; ``method`` says which.

    Notes
    -----
    The estimate is the mean over repeats of the metric of one repeat's pooled
    out-of-fold predictions. The interval is a percentile bootstrap over patients: a
    patient's predictions in all repeats are drawn together. A draw without one of the
    classes is left out where the metric needs it. The models are not refitted in a
    draw, so the interval does not include the variation that other training patients
    would bring; it is too narrow by that amount.

    References
    ----------
    Efron & Tibshirani 1993, chapter 13, ISBN 0-412-04231-2
    """
    seed = np.random.default_rng(random_state).integers(2**63)
    rows = [
        row
        for run in read_runs(predictions)
        for row in _metric_rows(run, draw_weights(run, n_boot, seed), level)
    ]
    return check_metrics(pd.DataFrame(rows))


def _metric_rows(run, weights, level):
    n_boot = len(weights) - 1
    sizes = np.bincount(run.truth, minlength=len(run.classes))
    event = 1 if len(sizes) == 2 else int(sizes.argmin())
    role = "positive" if len(sizes) == 2 else "smallest"
    for metric, function in _METRICS.items():
        values = run.mean_over_repeats(function, weights)
        draws = values[1:][~np.isnan(values[1:])]
        lower, upper = interval(draws, level)
        yield run.key | {
            "metric": metric,
            "estimate": values[0],
            "lower": lower,
            "upper": upper,
            "level": level,
            "n": len(run.truth),
            "n_events": int(sizes[event]),
            "method": f"mean of {len(run.probability)} repeats; percentile bootstrap "
            f"over patients, {len(draws)} of {n_boot} draws; "
            f"{role} class {run.classes[event]!r}",
        }


@dataclass(frozen=True, eq=False)
class Run:
    """The predictions of one model, blocks and endpoint as arrays.

    Parameters
    ----------
    key
        ``model``, ``blocks`` and ``endpoint``.
    classes
        Class names in sorted order.
    truth
        Class numbers, shape (n_patients,).
    probability
        Shape (n_repeats, n_patients, n_classes).
    """

    key: dict
    classes: list
    truth: np.ndarray
    probability: np.ndarray

    def mean_over_repeats(self, function, weights):
        """Return the mean of ``function(truth, probability, weights)``."""
        return np.mean([function(self.truth, p, weights) for p in self.probability], 0)


def read_runs(predictions):
    """Return a list of ``Run``, patients sorted by ``patient_id``.

    Raises
    ------
    SchemaError
        A repeat lacks patients, or a probability or the truth of a class is missing.
    """
    groups = check_predictions(predictions).groupby(_KEYS, sort=False)
    return [_read_run(dict(zip(_KEYS, key, strict=True)), t) for key, t in groups]


def _read_run(key, table):
    table = table.sort_values(["repeat", "patient_id"])
    shape = table["repeat"].nunique(), table["patient_id"].nunique()
    # models of other endpoints leave empty columns behind when tables are joined
    columns = sorted(
        c for c in table if c.startswith(_PREFIX) and table[c].notna().any()
    )
    classes = [column.removeprefix(_PREFIX) for column in columns]
    probability = table[columns].to_numpy(float)
    problems = []
    if len(table) != shape[0] * shape[1]:
        problems.append(
            f"some of {shape[1]} patients are not in all {shape[0]} repeats"
        )
    if np.isnan(probability).any():
        rows = np.isnan(probability).any(axis=1)
        some = table["patient_id"][rows].unique()[:5].tolist()
        problems.append(f"probabilities of patients {some} are missing")
    if len(table[["patient_id", "truth"]].drop_duplicates()) > shape[1]:
        problems.append("the truth of a patient differs between repeats")
    unknown = sorted(set(table["truth"].map(str)) - set(classes))
    if unknown or len(classes) < 2:
        problems.append(f"truth {unknown} has no probability column; found {columns}")
    if problems:
        msg = f"predictions of {key}: " + "; ".join(problems) + "."
        raise SchemaError(msg)
    truth = np.searchsorted(classes, table["truth"].iloc[: shape[1]].to_list())
    return Run(key, classes, truth, probability.reshape(*shape, len(classes)))


def draw_weights(run, n_boot, seed):
    """Return how often each patient is drawn, shape (1 + n_boot, n_patients).

    The first row is all ones: the data themselves.
    """
    n = len(run.truth)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(n, np.full(n, 1 / n), size=n_boot)
    return np.vstack([np.ones(n), draws])


def interval(draws, level):
    """Return the percentile interval of draws (first axis); NaN without a draw."""
    if not len(draws):
        return np.full((2, *np.shape(draws)[1:]), np.nan)
    return np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
