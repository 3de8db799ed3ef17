"""Held-out prediction of some columns from others, linear and by boosted trees.

Arrays enter, arrays leave; everything is cross-fitted by patient.
"""

from collections.abc import Callable

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from radlatent.features.folds import deal

__all__ = ["cross_fit", "held_out_r2", "linear", "permuted_r2", "trees"]

#: Relative to the number of rows: from almost none to a prediction by the mean.
_PENALTIES = np.logspace(-4, 4, 17)


def cross_fit(
    x: np.ndarray,
    y: np.ndarray,
    patients: np.ndarray,
    folds: np.ndarray,
    predict: Callable,
) -> tuple[np.ndarray, np.ndarray]:
    """Return held-out targets and predictions, both minus the mean of training rows.

    Parameters
    ----------
    x, y
        Shapes (n, n_inputs) and (n, n_targets); or (n_folds, n, ...) where each fold
        has its own, such as components that were fitted on its training rows.
    patients, folds
        Shape (n,).
    predict
        `linear` or `trees`: gets standardized training inputs, standardized training
        targets, patients of the training rows and standardized held-out inputs. Mean
        and spread are those of the training rows.

    Returns
    -------
    tuple
        Two arrays of shape (n, n_targets) in the unit of y. Targets of a fold are
        measured from what a model without inputs would have predicted, so that a fold
        that lies high is not taken for one that was predicted low.
    """
    targets, predictions = np.empty((2, *y.shape[-2:]))
    for number, fold in enumerate(np.unique(folds)):
        test, train = folds == fold, folds != fold
        given, wanted = (side[number] if side.ndim == 3 else side for side in (x, y))
        mean, spread = _mean_and_spread(given[train])
        center, scale = _mean_and_spread(wanted[train])
        inputs = (given - mean) / spread
        standard = (wanted[train] - center) / scale
        targets[test] = wanted[test] - center
        predictions[test] = scale * predict(
            inputs[train], standard, patients[train], inputs[test]
        )
    return targets, predictions


def _mean_and_spread(values):
    spread = values.std(axis=0)
    return values.mean(axis=0), np.where(spread > 0, spread, 1.0)


def linear(
    x: np.ndarray, y: np.ndarray, patients: np.ndarray, new: np.ndarray
) -> np.ndarray:
    """Return ridge predictions; each target has the penalty that predicts it best.

    Parameters
    ----------
    x, y
        Standardized, shapes (n, n_inputs) and (n, n_targets).
    patients
        Shape (n,); penalties are compared on patients left out, in five folds.
    new
        Standardized like x, shape (n_new, n_inputs).

    References
    ----------
    Hoerl and Kennard 1970, doi:10.1080/00401706.1970.10488634
    """
    inner = deal(patients, 5, random_state=0)
    error = np.zeros((len(_PENALTIES), y.shape[1]))
    for fold in range(5):
        test, train = inner == fold, inner != fold
        path = _ridge_path(x[train], y[train], x[test])
        error += ((y[test] - path) ** 2).sum(axis=1)
    best = error.argmin(axis=0)
    path = _ridge_path(x, y, new)
    return path[best, :, np.arange(y.shape[1])].T


def _ridge_path(x, y, new):
    """Return predictions for each penalty, shape (n_penalties, n_new, n_targets)."""
    middle, base = x.mean(axis=0), y.mean(axis=0)
    left, values, right = np.linalg.svd(x - middle, full_matrices=False)
    weights = values / (values**2 + len(x) * _PENALTIES[:, None])
    inside = weights[:, :, None] * (left.T @ (y - base))
    return base + (new - middle) @ right.T @ inside


def trees(
    x: np.ndarray, y: np.ndarray, patients: np.ndarray, new: np.ndarray
) -> np.ndarray:
    """Return predictions by boosted trees, one model a target; arguments as `linear`.

    50 trees of at most 4 leaves with a learning rate of 0.1: set, not tuned, because
    tuning on a hundred rows costs more than it gives.

    References
    ----------
    Friedman 2001, doi:10.1214/aos/1013203451; Ke et al. 2017,
    https://papers.nips.cc/paper/6907
    """
    del patients  # nothing is chosen, so nobody is left out
    model = HistGradientBoostingRegressor(
        learning_rate=0.1,
        max_iter=50,
        max_leaf_nodes=4,
        min_samples_leaf=10,
        l2_regularization=1.0,
        max_features=0.3,
        early_stopping=False,
        random_state=0,
    )
    return np.stack([model.fit(x, target).predict(new) for target in y.T], axis=1)


def held_out_r2(
    targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return ``1 - SSE / SST`` of each target under each weighting of rows.

    Parameters
    ----------
    targets, predictions
        Of `cross_fit`, shape (n, n_targets).
    weights
        Shape (n_draws, n).

    Returns
    -------
    numpy.ndarray
        Shape (n_draws, n_targets). The mean of training rows has 0; what predicts
        worse is negative, and not clipped.
    """
    return 1 - (weights @ (targets - predictions) ** 2) / (weights @ targets**2)


def permuted_r2(
    targets: np.ndarray, predictions: np.ndarray, orders: np.ndarray
) -> np.ndarray:
    """Return `held_out_r2` with targets in each order, shape (n_orders, n_targets).

    Models are not fitted again; orders that stay inside folds keep held-out rows away
    from the models that were fitted on them.
    """
    total = (targets**2).sum(axis=0)
    size = (predictions**2).sum(axis=0)
    products = np.array([(targets[o] * predictions).sum(axis=0) for o in orders])
    return (2 * products - size) / total
