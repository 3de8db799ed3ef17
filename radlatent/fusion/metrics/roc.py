"""Tables behind the figures of a classifier: ROC curves and confusion.

A **predictions** table enters; long tables leave that ``figures`` can draw.
"""

import numpy as np
import pandas as pd

from radlatent.fusion.metrics.arrays import interval, read_runs
from radlatent.fusion.metrics.classes import tied_weights

__all__ = ["confusion", "roc_curve"]


def roc_curve(
    predictions: pd.DataFrame,
    *,
    n_points: int = 101,
    n_boot: int = 1000,
    level: float = 0.95,
    random_state: int | np.random.Generator | None = 0,
) -> pd.DataFrame:
    """Return ROC curves averaged over repeats, with a bootstrap band.

    Parameters
    ----------
    predictions
        A **predictions** table.
    n_points
        False positive rates on an even grid from 0 to 1.
    n_boot
        Bootstrap draws of patients.
    level
        Pointwise coverage that the band aims at.
    random_state
        Seed or Generator.

    Returns
    -------
    DataFrame
        ``model, blocks, endpoint, class, false_positive_rate, true_positive_rate,
        lower, upper``; a curve begins with a row at the origin. With two classes one
        curve, of the positive class; with more, one curve a class
        against the rest.

    Notes
    -----
    Vertical averaging: the mean over repeats of the true positive rate at a fixed
    false positive rate, linear between the points of a curve, the upper end where a
    curve is vertical. The band is drawn as the interval of ``evaluate`` is.

    References
    ----------
    Fawcett 2006, algorithm 3, doi:10.1016/j.patrec.2005.10.010
    """
    seed = np.random.default_rng(random_state).integers(2**63)
    grid = np.linspace(0, 1, n_points)
    curves = []
    for run in read_runs(predictions, kind="class"):
        weights = run.draw_weights(n_boot, seed)
        for label in range(len(run.classes)) if len(run.classes) > 2 else [1]:
            estimate, draws = run.bootstrap(
                lambda truth, p, w, k=label: _roc(truth == k, p[:, k], w, grid), weights
            )
            lower, upper = interval(draws[~np.isnan(draws).any(axis=1)], level)
            columns = {"false_positive_rate": grid, "true_positive_rate": estimate}
            columns |= {"lower": lower, "upper": upper}
            origin = {name: np.r_[0.0, values] for name, values in columns.items()}
            key = run.key | {"class": run.classes[label]}
            curves.append(pd.DataFrame(key | origin))
    return pd.concat(curves, ignore_index=True)


def _roc(positive, score, weights, grid):
    """Return true positive rates at the grid, shape (n_draws, n_points)."""
    counts = tied_weights(positive, score, weights)
    with np.errstate(invalid="ignore"):
        true, false = (
            np.cumsum(np.pad(count[:, ::-1], [(0, 0), (1, 0)]), axis=1)
            / count.sum(axis=1, keepdims=True)
            for count in counts
        )
    # a grid point that rounds to just below a step of the curve belongs to the step
    grid = grid + 1e-12
    rates = np.full((len(weights), len(grid)), np.nan)
    for row in np.flatnonzero(~np.isnan(true[:, 0] + false[:, 0])):
        rates[row] = np.interp(grid, false[row], true[row])
    return rates


def confusion(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return how many patients of each class are assigned to each class.

    Parameters
    ----------
    predictions
        A **predictions** table.

    Returns
    -------
    DataFrame
        ``model, blocks, endpoint, truth, predicted, count``: the mean count over
        repeats of each pair, zeros included. A patient is assigned to the class of
        the largest probability, ties to the first.
    """
    rows = []
    for run in read_runs(predictions, kind="class"):
        n = len(run.classes)
        pairs = run.truth * n + run.probability.argmax(
            axis=2
        )  # (n_repeats, n_patients)
        counts = np.bincount(pairs.ravel(), minlength=n * n) / len(pairs)
        for (truth, predicted), count in np.ndenumerate(counts.reshape(n, n)):
            names = {"truth": run.classes[truth], "predicted": run.classes[predicted]}
            rows.append(run.key | names | {"count": count})
    return pd.DataFrame(rows)
