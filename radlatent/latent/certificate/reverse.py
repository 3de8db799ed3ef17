"""The certificate turned around: hand-crafted features from functions of latent ones.

Arrays enter, arrays leave. What a latent feature says by its size alone, as one that is
shrunken in small lesions, no prediction of its mean finds. Its size predicts.
"""

import numpy as np

from radlatent.latent.certificate import prediction as pred
from radlatent.latent.certificate.permutations import widened

__all__ = ["functions", "functions_of_all", "largest", "reverse_of_each"]

#: Quantiles at which a function of one latent feature may bend.
_BENDS = (0.2, 0.4, 0.6, 0.8)


def functions(latent: np.ndarray) -> np.ndarray:
    """Return z, z squared and |z| of each latent feature, and bends of z.

    Parameters
    ----------
    latent
        Shape (..., n, n_latent).

    Returns
    -------
    numpy.ndarray
        Shape (..., n, n_latent, 7), of z centered and scaled over its rows: z, z
        squared, |z|, and max(z - q, 0) for four quantiles q of z: sums of them follow
        any smooth function.
    """
    middle = latent.mean(axis=-2, keepdims=True)
    spread = latent.std(axis=-2, keepdims=True)
    z = (latent - middle) / np.where(spread > 0, spread, 1.0)
    bends = [
        np.maximum(z - np.quantile(z, q, axis=-2, keepdims=True), 0) for q in _BENDS
    ]
    return np.stack([z, z**2, np.abs(z), *bends], axis=-1)


def functions_of_all(latent: np.ndarray) -> np.ndarray:
    """Return z, z squared and |z| of all latent features, and their squared length.

    Parameters
    ----------
    latent
        Shape (..., n, n_latent).

    Returns
    -------
    numpy.ndarray
        Shape (..., n, 3 n_latent + 1).
    """
    three = functions(latent)[..., :3]
    length = three[..., 1].sum(axis=-1, keepdims=True)
    return np.concatenate([three.reshape(*three.shape[:-2], -1), length], axis=-1)


def largest(
    targets: np.ndarray, predictions: np.ndarray, orders: np.ndarray, n_folds: int
) -> tuple[np.ndarray, int]:
    """Return the largest held-out R2 of all targets in each order.

    Parameters
    ----------
    targets, predictions
        Of `cross_fit`, shape (n, n_targets).
    orders
        Shape (1 + n_permutations, n), inside folds.
    n_folds
        That the predictions are pooled over.

    Returns
    -------
    tuple
        Shape (1 + n_permutations,), `widened`; and which target has it as observed.
    """
    statistics = widened(pred.permuted_r2(targets, predictions, orders), n_folds)
    return statistics.max(axis=1), int(statistics[0].argmax())


def reverse_of_each(
    latent: np.ndarray,
    handcrafted: np.ndarray,
    patients: np.ndarray,
    folds: np.ndarray,
    orders: np.ndarray,
) -> np.ndarray:
    """Return how well each latent feature by itself tells what it tells best.

    Parameters
    ----------
    latent, handcrafted
        As x and y of `cross_fit`.
    patients, folds
        Shape (n,).
    orders
        Shape (1 + n_permutations, n).

    Returns
    -------
    numpy.ndarray
        Shape (1 + n_permutations, n_latent): the `largest` R2 of ridge regression on
        the `functions` of one latent feature.
    """
    bent, n_folds = functions(latent), len(np.unique(folds))
    found = []
    for number in range(latent.shape[-1]):
        fitted = pred.cross_fit(
            bent[..., number, :], handcrafted, patients, folds, pred.linear
        )
        found.append(largest(*fitted, orders, n_folds)[0])
    return np.stack(found, axis=1)
