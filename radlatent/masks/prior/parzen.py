"""The density of latents: latents enter, a bandwidth, log densities and draws leave.

A Gaussian kernel on every training latent (Parzen 1962).
"""

from collections.abc import Sequence

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from radlatent.errors import SchemaError

__all__ = ["CANDIDATES", "draw_latents", "log_density", "parzen_bandwidth"]

#: Bandwidths that are compared, as in vitalab/vital.
CANDIDATES = tuple(10 ** np.linspace(-1, 1, 100))

#: Rows that are compared with all kernels at once: 32 MB for 1000 kernels.
_TOGETHER = 4096


def parzen_bandwidth(
    latents: np.ndarray, patients: Sequence[str], *, n_folds: int = 5
) -> float:
    """Return the bandwidth under which latents of other patients are most likely.

    Parameters
    ----------
    latents
        Shape (n, n_latent).
    patients
        Whose each is.
    n_folds
        Parts that patients are dealt into, in the order of their names.

    Raises
    ------
    SchemaError
        There is but one patient.

    Notes
    -----
    vitalab/vital draws the rows to leave out regardless of patients; slices of one
    patient lie close to each other and would make the bandwidth too small.
    """
    names, who = np.unique(np.asarray(patients), return_inverse=True)
    if len(names) < 2:
        msg = f"the latents are of the patients {names.tolist()}. Give two or more."
        raise SchemaError(msg)
    folds = np.array_split(np.arange(len(names)), min(n_folds, len(names)))
    total = np.zeros(len(CANDIDATES))
    for fold in folds:
        out = np.isin(who, fold)
        squared = cdist(latents[out], latents[~out], "sqeuclidean")
        total += [_log_kernels(squared, h, latents.shape[1]).sum() for h in CANDIDATES]
    return float(CANDIDATES[int(total.argmax())])


def log_density(z: np.ndarray, latents: np.ndarray, bandwidth: float) -> np.ndarray:
    """Return the log density of points, in nats, shape (n,).

    Parameters
    ----------
    z
        Shape (n, n_latent).
    latents
        Middles of the kernels, shape (m, n_latent).
    bandwidth
        Standard deviation of the kernels.
    """
    parts = [
        _log_kernels(
            cdist(z[start : start + _TOGETHER], latents, "sqeuclidean"),
            bandwidth,
            latents.shape[1],
        )
        for start in range(0, len(z), _TOGETHER)
    ]
    return np.concatenate(parts) if parts else np.zeros(0)


def _log_kernels(squared, bandwidth, n_axes):
    """Return log mean of the kernels, from squared distances."""
    kernels = logsumexp(-squared / (2 * bandwidth**2), axis=1)
    constant = 0.5 * n_axes * np.log(2 * np.pi * bandwidth**2)
    return kernels - np.log(squared.shape[1]) - constant


def draw_latents(
    latents: np.ndarray,
    bandwidth: float,
    n: int,
    random_state: int | np.random.Generator | None,
) -> np.ndarray:
    """Draw points from the density, shape (n, n_latent).

    Parameters
    ----------
    latents, bandwidth
        As in `log_density`.
    n
        How many.
    random_state
        Seed, Generator or None.

    Notes
    -----
    A kernel is chosen, and a point drawn from it: exact draws of the density. The
    published rejection sampling (propose from a Gaussian Q, accept with P / kQ) gives
    the same distribution, but accepts one proposal in k = max P/Q, which for 32
    latents is more than a million.
    """
    random = np.random.default_rng(random_state)
    chosen = latents[random.integers(len(latents), size=n)]
    return chosen + bandwidth * random.standard_normal(chosen.shape)
