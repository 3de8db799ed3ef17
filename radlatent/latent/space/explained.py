"""Whether an encoder generalises: what it explains of lesions that it never saw.

A fitted encoder and the cohort that it was fitted on a part of enter; shares of the
variance of training and of other patients leave, beside those of simple rivals.
"""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from radlatent.errors import SchemaError
from radlatent.latent.results import Reconstructions
from radlatent.latent.space.principal import fit_principal

if TYPE_CHECKING:
    from radlatent.cohort import Cohort
    from radlatent.latent.encoder import LatentEncoder

__all__ = [
    "METHODS",
    "ExplainedVariance",
    "explained_of",
    "explained_variance",
    "warn_of",
]

_log = logging.getLogger(__name__)

#: What is compared, columns of the sums of squares.
METHODS = ("encoder", "pca", "own_mean")


@dataclass(frozen=True, eq=False, repr=False)
class ExplainedVariance:
    """Squared errors of reconstruction, by case.

    Parameters
    ----------
    cases
        By ``case_id``: ``patient_id, held_out``, and sums of squares over the mask:
        ``total`` about the mean of the training voxels of each channel; ``encoder``,
        ``pca`` (as many components) and ``own_mean`` (each case painted with its own
        mean) of what they leave. ``mean_squared_error`` is that of the encoder.
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
            sums = part.groupby("patient_id")[["total", *METHODS]].sum()
            for method in METHODS:
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
        seen = rows[False, "encoder"]
        if (True, "encoder") not in rows:
            return (
                f"Not known: {seen:.2f} of the variance of training patients is "
                "explained, and no patient was held out."
            )
        new, pca = rows[True, "encoder"], rows[True, "pca"]
        said = "Generalises" if self.is_better else "No better than PCA on new patients"
        return (
            f"{said}: {new:.2f} of the variance explained, {seen:.2f} of training "
            f"patients; {self.n_components} principal components {pca:.2f}, "
            f"the mean of each case {rows[True, 'own_mean']:.2f}."
        )

    @property
    def is_better(self) -> bool:
        """Whether more is explained of held-out patients than by PCA.

        False where none is held out: nobody knows.
        """
        sums = self.cases[self.cases["held_out"]]
        return bool(sums["encoder"].sum() < sums["pca"].sum())

    def state(self) -> dict:
        """Return what JSON can hold of it; patients are numbers in it.

        An encoder goes to other hospitals with a model, without a patient's name.
        """
        numbers = pd.factorize(self.cases["patient_id"])[0]
        cases = self.cases.assign(patient_id=[f"patient {k}" for k in numbers])
        return {"cases": cases.to_dict("list"), "n_components": self.n_components}

    @classmethod
    def of(cls, told: dict) -> "ExplainedVariance":
        """Return what `state` told of."""
        cases = pd.DataFrame(told["cases"])
        cases.index = [f"case {k}" for k in range(len(cases))]
        return cls(cases.rename_axis("case_id"), told["n_components"])

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
    found = explained_of(made, held_out, len(encoder.get_feature_names_out()))
    warn_of(found)
    return found


def warn_of(found: ExplainedVariance) -> None:
    """Log the verdict where an encoder explains no more of new patients than PCA."""
    if found.cases["held_out"].any() and not found.is_better:
        _log.warning("explained variance: %s", found.verdict)


def explained_of(
    made: Reconstructions, held_out: np.ndarray, n_latent: int
) -> ExplainedVariance:
    """Return what reconstructions explain, beside principal components.

    Parameters
    ----------
    made
        Of the cases that the encoder was fitted on, and of others.
    held_out
        Which are others, shape (n_cases,); two cases or more are not.
    n_latent
        Number of latent features, and of components as far as cases allow.
    """
    n = min(n_latent, int((~held_out).sum()) - 1)
    return ExplainedVariance(_sums(made, held_out, n), n)


def _sums(made, held_out, n):
    """Return sums of squares by case."""
    mask, values = made.masks.astype(bool), made.originals * made.masks
    axes = tuple(range(2, values.ndim))
    counts = mask.sum(axis=axes, keepdims=True)  # (n_cases, channels, 1, ...)
    sums = values.sum(axis=axes, keepdims=True, dtype=float)
    train = ~held_out
    level = sums[train].sum(axis=0) / np.maximum(counts[train].sum(axis=0), 1)
    own = sums / np.maximum(counts, 1)
    flat = values.reshape(len(values), -1)
    pca = fit_principal(flat[train], n)
    painted = pca.images(pca.scores(flat)).reshape(values.shape)
    parts = {"total": level, "encoder": made.decoded, "pca": painted, "own_mean": own}
    table = pd.DataFrame({"patient_id": made.cases["patient_id"], "held_out": held_out})
    for name, guess in parts.items():
        squares = np.where(mask, (made.originals - guess) ** 2, 0)
        table[name] = squares.reshape(len(values), -1).sum(axis=1, dtype=float)
    table["mean_squared_error"] = table["encoder"] / counts.reshape(
        len(values), -1
    ).sum(1)
    return table
