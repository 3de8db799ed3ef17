"""Whether an encoder generalises: what it explains of lesions that it never saw.

A fitted encoder and the cohort that it was fitted on a part of enter; shares of the
variance of training and of other patients leave, beside those of simple rivals.
"""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from radlatent.errors import SchemaError
from radlatent.latent.results import Reconstructions

if TYPE_CHECKING:
    from radlatent.cohort import Cohort
    from radlatent.latent.encoder import LatentEncoder

__all__ = ["ExplainedVariance", "explained_variance"]

_log = logging.getLogger(__name__)

_METHODS = ("encoder", "pca", "own_mean")


@dataclass(frozen=True, eq=False, repr=False)
class ExplainedVariance:
    """Squared errors of reconstruction, by case.

    Parameters
    ----------
    cases
        By ``case_id``: ``patient_id, held_out``, and sums of squares over the mask:
        ``total`` about the mean of the training voxels of each channel; ``encoder``,
        ``pca`` (as many components) and ``own_mean`` (each case painted with its own
        mean) of what they leave.
    n_components
        Of ``pca``.
    """

    cases: pd.DataFrame
    n_components: int

    @property
    def summary(self) -> pd.DataFrame:
        """One row a method and part of the patients.

        ``explained`` is 1 - SSE / SST over all voxels, ``median_patient`` the median of
        the same of each patient.
        """
        rows = []
        for held_out, part in self.cases.groupby("held_out"):
            sums = part.groupby("patient_id")[["total", *_METHODS]].sum()
            for method in _METHODS:
                share = 1 - sums[method].sum() / sums["total"].sum()
                each = 1 - sums[method] / sums["total"]
                about = {"method": method, "held_out": bool(held_out)}
                found = {"explained": share, "median_patient": each.median()}
                rows.append(about | found | {"n_patients": len(sums)})
        return pd.DataFrame(rows)

    @property
    def verdict(self) -> str:
        """Whether the encoder explains more of new patients than PCA does."""
        rows = self.summary.set_index(["held_out", "method"])["explained"]
        new, pca, seen = (
            rows[True, "encoder"],
            rows[True, "pca"],
            rows[False, "encoder"],
        )
        said = "Generalises" if new > pca else "No better than PCA on new patients"
        return (
            f"{said}: {new:.2f} of the variance explained, {seen:.2f} of training "
            f"patients; {self.n_components} principal components {pca:.2f}, "
            f"the mean of each case {rows[True, 'own_mean']:.2f}."
        )

    def __repr__(self) -> str:
        return f"ExplainedVariance({self.verdict})"

    def _repr_html_(self) -> str:
        return self.summary.to_html()


def explained_variance(
    encoder: "LatentEncoder",
    cohort: "Cohort",
    *,
    handcrafted: pd.DataFrame | None = None,
) -> ExplainedVariance:
    """Compare what an encoder explains of its training patients and of others.

    Parameters
    ----------
    encoder
        A fitted `LatentEncoder`.
    cohort
        The cohort that it was fitted on a part of; the other patients are held out.
    handcrafted
        The **features** table by case, where the decoder takes it.

    Raises
    ------
    SchemaError
        The cohort has no patient that the encoder was fitted on, or no other.

    Notes
    -----
    Principal components are those of the standardized boxes of the training patients, 0
    outside of the masks, as many as the encoder has latent features; they see no
    hand-crafted features. An encoder that is no better is logged: it has learned its
    training patients.
    """
    made = encoder.reconstruct(cohort, handcrafted=handcrafted)
    seen = set(encoder.fitted_on_["patients"])
    held_out = ~made.cases["patient_id"].astype(str).isin(seen).to_numpy()
    if held_out.all() or not held_out.any():
        msg = (
            f"explained_variance: the encoder was fitted on {(~held_out).sum()} of "
            f"{len(held_out)} cases that could be read. Give the cohort that some "
            "patients were kept out of."
        )
        raise SchemaError(msg)
    n = min(len(encoder.get_feature_names_out()), int((~held_out).sum()) - 1)
    found = ExplainedVariance(_sums(made, held_out, n), n)
    if not found.verdict.startswith("Generalises"):
        _log.warning("explained_variance: %s", found.verdict)
    return found


def _sums(made: Reconstructions, held_out, n):
    """Return sums of squares by case."""
    mask, values = made.masks.astype(bool), made.originals * made.masks
    axes = tuple(range(2, values.ndim))
    counts = mask.sum(axis=axes, keepdims=True)  # (n_cases, channels, 1, ...)
    sums = values.sum(axis=axes, keepdims=True, dtype=float)
    train = ~held_out
    level = sums[train].sum(axis=0) / np.maximum(counts[train].sum(axis=0), 1)
    own = sums / np.maximum(counts, 1)
    flat = values.reshape(len(values), -1)
    pca = PCA(n, svd_solver="full").fit(flat[train])
    painted = pca.inverse_transform(pca.transform(flat)).reshape(values.shape)
    parts = {"total": level, "encoder": made.decoded, "pca": painted, "own_mean": own}
    table = pd.DataFrame({"patient_id": made.cases["patient_id"], "held_out": held_out})
    for name, guess in parts.items():
        squares = np.where(mask, (made.originals - guess) ** 2, 0)
        table[name] = squares.reshape(len(values), -1).sum(axis=1, dtype=float)
    return table
