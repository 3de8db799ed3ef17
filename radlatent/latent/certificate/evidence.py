"""What each estimator of the certificate finds in a pair of tables.

A `Pair` enters; statistics as observed and under orders of patients leave, an
`Evidence` an estimator.
"""

from dataclasses import dataclass

import numpy as np

from radlatent.latent.certificate import dependence as dep
from radlatent.latent.certificate import discriminator as disc
from radlatent.latent.certificate import prediction as pred
from radlatent.latent.certificate import reverse
from radlatent.latent.certificate.permutations import block_orders, widened
from radlatent.latent.certificate.tables import Pair

__all__ = ["KERNELS", "METHOD", "N_BOOT", "Evidence", "evidence_of"]

N_BOOT = 1000

METHOD = {
    "r2_linear": "mean held-out R2 of ridge regression",
    "r2_trees": "mean held-out R2 of boosted trees",
    "reverse_linear": "held-out R2 of the hand-crafted column or component that ridge "
    "regression on z, z^2, |z| of all latent features predicts best",
    "reverse_trees": "the same of components, by boosted trees",
    "distance_correlation_squared": "bias-corrected, of the whole blocks",
    "hsic": "unbiased, normalized, Gaussian kernels of median bandwidth, of the whole "
    "blocks",
    "mutual_information": "mean over features, nats, 3 nearest neighbors, with the "
    "held-out prediction: a lower bound",
    "discriminator_auc": "fresh networks, true against shuffled held-out pairs",
}

#: Estimators of whole tables, without folds: the matrix that each compares.
KERNELS = {
    "distance_correlation_squared": dep.distances,
    "hsic": dep.gaussian_kernel,
}


@dataclass(frozen=True, eq=False)
class Evidence:
    """What one estimator found.

    Parameters
    ----------
    whole
        The statistic of the whole block, observed and under each order, shape
        (1 + n_permutations,).
    n_movable
        Rows of patients that have someone to be exchanged with.
    features
        The statistic of each feature, shape (1 + n_permutations, n_features); None
        where there is none.
    draws
        The estimate under draws of patients, shape (n_boot,) or (n_boot, n_features);
        None where there is no interval.
    told
        The hand-crafted column that is told best, of the reverse estimators.
    """

    whole: np.ndarray
    n_movable: int
    features: np.ndarray | None = None
    draws: np.ndarray | None = None
    told: str | None = None


@dataclass(frozen=True, eq=False)
class _Orders:
    """Orders of rows, how many rows move in them, and draws of patients."""

    inside: np.ndarray
    n_inside: int
    free: np.ndarray
    n_free: int
    weights: np.ndarray


def evidence_of(
    pair: Pair, n_permutations: int, rng: np.random.Generator
) -> dict[str, Evidence]:
    """Return what each estimator found, by its name.

    Parameters
    ----------
    pair
        The tables.
    n_permutations
        Orders that each test compares with.
    rng
        Of orders, draws and networks.
    """
    free, n_free = block_orders(pair.patients, n_permutations, rng)
    inside, n_inside = block_orders(pair.patients, n_permutations, rng, pair.folds)
    weights = _patient_draws(pair.patients, rng)
    orders = _Orders(inside, n_inside, free, n_free, weights)
    found, targets, predictions = _forward(pair, orders)
    found |= _reverse(pair, orders)
    found |= _kernels(pair, orders)
    # y is what moves: predictions stay with the rows that they were made from
    statistics = dep.permuted_mutual_information(
        np.mean(predictions, axis=0), targets, inside
    )
    found["mutual_information"] = _pooled(statistics, None, pair, n_inside)
    about = pair.handcrafted, pair.in_folds, pair.patients, pair.folds
    scores = disc.cross_fit_scores(*about, rng)
    areas = widened(disc.permuted_auc(scores, pair.patients, inside), pair.n_folds)
    draws = disc.auc(scores, pair.patients, weights)
    found["discriminator_auc"] = Evidence(areas, n_inside, draws=draws)
    return {name: found[name] for name in METHOD}


def _forward(pair, orders):
    """Return the evidence of predicted latent features, targets and predictions."""
    found, predictions = {}, []
    for name, predict in (("r2_linear", pred.linear), ("r2_trees", pred.trees)):
        about = pair.handcrafted, pair.in_folds, pair.patients, pair.folds
        targets, prediction = pred.cross_fit(*about, predict)
        statistics = pred.permuted_r2(targets, prediction, orders.inside)
        draws = pred.held_out_r2(targets, prediction, orders.weights)
        found[name] = _pooled(statistics, draws, pair, orders.n_inside)
        predictions.append(prediction)
    return found, targets, predictions


def _reverse(pair, orders):
    """Return the evidence of predicted hand-crafted features."""
    parts = pair.parts  # (n_folds, n, n_parts)
    names = [f"component {k}" for k in range(parts.shape[2])]
    every = np.broadcast_to(pair.handcrafted, (len(parts), *pair.handcrafted.shape))
    columns = np.concatenate([every, parts], axis=2)
    about = columns, pair.patients, pair.folds, orders.inside
    each = reverse.reverse_of_each(pair.in_folds, *about)
    ways = {
        "reverse_linear": (columns, pred.linear, [*pair.columns, *names], each),
        "reverse_trees": (parts, pred.trees, names, None),
    }
    found, inputs = {}, reverse.functions_of_all(pair.in_folds)
    for name, (wanted, predict, told, features) in ways.items():
        about = inputs, wanted, pair.patients, pair.folds
        targets, prediction = pred.cross_fit(*about, predict)
        whole, best = reverse.largest(targets, prediction, orders.inside, pair.n_folds)
        one = targets[:, [best]], prediction[:, [best]]
        draws = pred.held_out_r2(*one, orders.weights)[:, 0]
        found[name] = Evidence(whole, orders.n_inside, features, draws, told[best])
    return found


def _kernels(pair, orders):
    one, found = _standardized(pair.handcrafted), {}
    for name, matrix in KERNELS.items():
        whole, parts = _standardized(pair.latent), _standardized(pair.features)
        seconds = [matrix(whole), *(matrix(column) for column in parts.T)]
        statistics = dep.permuted_alignment(matrix(one), seconds, orders.free)
        found[name] = Evidence(statistics[:, 0], orders.n_free, statistics[:, 1:])
    return found


def _pooled(statistics, draws, pair, n_movable):
    """Return the evidence of held-out predictions, pooled over folds."""
    n = pair.n_folds
    whole = widened(statistics.mean(axis=1), n)
    return Evidence(whole, n_movable, widened(statistics, n), draws)


def _standardized(values):
    spread = values.std(axis=0)
    return (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0)


def _patient_draws(patients, rng):
    """Return how often each row is drawn, shape (N_BOOT, n)."""
    _, numbers = np.unique(patients, return_inverse=True)
    n = numbers.max() + 1
    return rng.multinomial(n, np.full(n, 1 / n), size=N_BOOT)[:, numbers].astype(float)
