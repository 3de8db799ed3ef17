"""One fit of a search: an encoder with its settings in, its held-out scores out.

Prepared cases and the fold of each enter; plain numbers leave, which JSON can hold.
"""

import time

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from radlatent.errors import RadlatentError, SchemaError
from radlatent.features.folds import deal
from radlatent.latent.certificate.prediction import (
    cross_fit,
    held_out_r2,
    linear,
)
from radlatent.latent.checks import check_fit
from radlatent.latent.encoder import LatentEncoder
from radlatent.latent.network import Network
from radlatent.latent.prepared import PreparedCases
from radlatent.latent.source import CaseSource
from radlatent.latent.space.diagnostics import ACTIVE
from radlatent.nn import Training, log_variance_of
from radlatent.nn.distributions import divergence
from radlatent.nn.objective import squared_error

__all__ = [
    "FEWEST_FOR_REDUNDANCY",
    "check_folds",
    "held_out_bound",
    "held_out_redundancy",
    "try_fold",
]

#: Held-out patients of a fold below which its redundancy is not measured: ridge is
#: fitted on four fifths of them, and its penalty in five folds of these.
FEWEST_FOR_REDUNDANCY = 10

#: Draws from the posterior of a case over which its reconstruction error is averaged.
_N_DRAWS = 8


def check_folds(
    encoder: LatentEncoder,
    cases: pd.DataFrame,
    y: pd.Series | None,
    handcrafted: pd.DataFrame | None,
    folds: np.ndarray,
) -> list[str]:
    """Return what keeps an encoder from being fitted on the training part of a fold.

    Parameters
    ----------
    encoder
        With the settings that need most.
    cases
        All training cases.
    y, handcrafted
        As in ``LatentEncoder.fit``.
    folds
        The inner fold of each case, shape (n_cases,).
    """
    weight = (encoder.network or Network()).classification_weight
    settings = {name: getattr(encoder, name) for name in ("n_latent", "beta", "kappa")}
    settings["classification_weight"] = weight
    found = {}
    for fold in np.unique(folds):
        try:
            check_fit(cases[folds != fold], handcrafted, y, settings)
        except SchemaError as error:
            found.setdefault(str(error).rstrip("."), fold)
    # what is wrong in every fold is told once
    return [f"without inner fold {fold}, {why}" for why, fold in found.items()]


def try_fold(
    encoder: LatentEncoder,
    prepared: PreparedCases,
    held_out: np.ndarray,
    handcrafted: pd.DataFrame | None,
    y: pd.Series | None,
) -> dict:
    """Fit an encoder on some cases and score it on the others.

    Parameters
    ----------
    encoder
        Unfitted; it is fitted here.
    prepared
        All cases.
    held_out
        Which of them it is scored on, shape (n_cases,).
    handcrafted, y
        As in ``LatentEncoder.fit``; rows of cases held out are not fitted on.

    Returns
    -------
    dict
        ``bound, reconstruction, kl`` (means over held-out cases, nats), ``redundancy``
        (None where it is not measured), ``n_active, n_cases, seconds``.

    Raises
    ------
    RadlatentError
        Training diverged, or the held-out bound is not finite.
    """
    start = time.perf_counter()
    index = prepared.cases.index
    inner, outer = prepared.take(index[~held_out]), prepared.take(index[held_out])
    h = None if handcrafted is None else handcrafted.loc[inner.cases.index]
    known = None if y is None else y.loc[y.index.intersection(inner.cases.index)]
    encoder.fit_prepared(inner, known, h, description="")
    means = encoder.encode_prepared(outer).mean.to_numpy()
    h = None if handcrafted is None else handcrafted.loc[outer.cases.index]
    reconstruction, kl = held_out_bound(encoder, outer, h)
    if not np.isfinite(reconstruction + kl):
        msg = (
            f"the held-out reconstruction error is {reconstruction}, the KL {kl}: the "
            "weights diverged in the last steps."
        )
        raise RadlatentError(msg)
    active = means.var(axis=0) > ACTIVE
    return {
        "bound": reconstruction + kl,
        "reconstruction": reconstruction,
        "kl": kl,
        "redundancy": held_out_redundancy(h, means[:, active], outer.cases),
        "n_active": int(active.sum()),
        "n_cases": len(outer),
        "seconds": time.perf_counter() - start,
    }


@torch.no_grad()
def held_out_bound(
    encoder: LatentEncoder, prepared: PreparedCases, handcrafted: pd.DataFrame | None
) -> tuple[float, float]:
    """Return the two parts of the negative evidence bound, means over cases, in nats.

    Parameters
    ----------
    encoder
        Fitted.
    prepared
        Cases that it was not fitted on.
    handcrafted
        Their **features** table, or None.

    Returns
    -------
    tuple
        E_q[1/2 sum over the mask of (x - f(z))^2], over 8 draws that are the same in
        every call, and KL(q || N(0, I)).

    References
    ----------
    Kingma & Welling 2014, eq. 3, arXiv:1312.6114
    """
    model, h = encoder.model_.eval(), encoder.told(prepared, handcrafted)
    statistics = encoder.statistics_.to_numpy()
    source = CaseSource(prepared, encoder.inputs, statistics, h)
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(0)
    size = (encoder.training or Training()).minibatch_size
    totals = np.zeros(2)
    for rows in torch.arange(len(prepared)).split(size):
        x, mask, given, *_ = source.minibatch(rows, device, augment=False)
        posterior = model.encode(x)
        deviation = (0.5 * log_variance_of(posterior)).exp()
        error = torch.zeros(len(x), dtype=torch.float64, device=device)
        for _ in range(_N_DRAWS):
            # drawn on the CPU: the same numbers on every device
            noise = torch.randn(deviation.shape, generator=generator).to(device)
            z = posterior.mean + deviation * noise
            decoded = model.decode(z) if given is None else model.decode(z, given)
            error += squared_error(x, decoded, mask) / _N_DRAWS
        totals += [float(error.sum()), float(divergence(posterior).double().sum())]
    reconstruction, kl = totals / len(prepared)
    return float(reconstruction), float(kl)


def held_out_redundancy(
    handcrafted: pd.DataFrame | None, latents: np.ndarray, cases: pd.DataFrame
) -> float | None:
    """Return the mean held-out R2 of latents, cross-fitted among cases held out.

    Parameters
    ----------
    handcrafted
        **features** table of the cases; None measures nothing.
    latents
        Shape (n_cases, n_active).
    cases
        The cases; None is returned if they are of too few patients.

    References
    ----------
    Hoerl and Kennard 1970, doi:10.1080/00401706.1970.10488634 (ridge regression)
    """
    patients = cases["patient_id"].to_numpy()
    few = len(np.unique(patients)) < FEWEST_FOR_REDUNDANCY
    if handcrafted is None or few or not latents.shape[1]:
        return None
    x = handcrafted.to_numpy(float)
    folds = deal(patients, 5, random_state=0)
    # matrices of this size lose more to threads than they gain
    with threadpool_limits(limits=1):
        found = cross_fit(x, latents, patients, folds, linear)
    return float(held_out_r2(*found, np.ones((1, len(x)))).mean())
