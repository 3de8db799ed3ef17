"""Principal components as an encoder: what a network has to be better than."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from sklearn.utils.validation import check_is_fitted

from radlatent.latent.base import CaseEncoder, cohort_of, fill_in, told_of
from radlatent.latent.checks import check_fit
from radlatent.latent.inputs import Box, Projections
from radlatent.latent.prepared import (
    PreparedCases,
    cases_of,
    hold_out,
    prepare_cases,
)
from radlatent.latent.results import Posterior, Reconstructions, Traversal
from radlatent.latent.source import CaseSource, fit_statistics
from radlatent.latent.space.principal import Principal, fit_principal
from radlatent.records import parameters_from

if TYPE_CHECKING:
    from radlatent.cohort import Cohort

__all__ = ["PcaEncoder"]

#: Name to what makes a parameter that is no plain value.
_PARAMETERS = {"Box": Box.of, "Projections": Projections}

#: Least variance of a posterior: float32 divides by nothing.
_LEAST = 1e-6


class PcaEncoder(CaseEncoder):
    """Latent features of images that are their principal components.

    Parameters
    ----------
    inputs
        What is looked at: a `Box` around the lesion, or `Projections`.
    n_latent
        Number of components.
    probabilistic
        Whether latent features are the posterior means of probabilistic PCA, which are
        drawn to 0 along directions of little variance; else they are scores of unit
        variance in the training cases.
    validation_fraction
        Share of the patients that are kept out, to see what is explained of them; the
        components are those of the others.
    random_state
        Of who is kept out.

    Attributes
    ----------
    explained_, failures_, fitted_on_, history_, statistics_
        As of `LatentEncoder`.
    principal_
        The components of the standardized boxes, 0 outside of the masks.

    Notes
    -----
    The interface is that of `LatentEncoder`, so that ``encode_folds`` takes it. y and
    hand-crafted features may be given and are not looked at: components repeat what
    they repeat.

    References
    ----------
    Tipping and Bishop 1999, doi:10.1111/1467-9868.00196 (probabilistic PCA)

    Examples
    --------
    >>> cohort = getfixture("tiny_cohort")
    >>> box = Box(("ct",), size_mm=(16, 16, 16), spacing_mm=(4, 4, 4))
    >>> PcaEncoder(box, n_latent=2).fit(cohort).transform(cohort).shape
    (3, 2)
    """

    is_rival = True

    def __init__(
        self,
        inputs: Box | Projections,
        *,
        n_latent: int = 32,
        probabilistic: bool = False,
        validation_fraction: float = 0.0,
        random_state: int | np.random.Generator | None = 0,
    ):
        self.inputs = inputs
        self.n_latent = n_latent
        self.probabilistic = probabilistic
        self.validation_fraction = validation_fraction
        self.random_state = random_state

    def fit(
        self,
        X: "pd.DataFrame | Cohort",
        y: pd.Series | None = None,
        *,
        handcrafted: pd.DataFrame | None = None,
    ) -> "PcaEncoder":
        """Find the components of the cases of a table.

        Parameters
        ----------
        X
            A cohort, or a **cases** table with paths that can be opened
            (``cohort.located``); training patients only.
        y, handcrafted
            Not looked at.

        Raises
        ------
        SchemaError
            With everything that is wrong.
        """
        cases = cases_of(X)
        check_fit(cases, None, None, self.settings() | {"inputs": self.inputs})
        return self.fit_prepared(prepare_cases(cases, self.inputs))

    def fit_prepared(
        self,
        prepared: PreparedCases,
        y: pd.Series | None = None,
        handcrafted: pd.DataFrame | None = None,
        *,
        checkpoint: str | Path | None = None,
        description: str = "",
    ) -> "PcaEncoder":
        """Find the components of cases whose files were read already."""
        start = time.perf_counter()
        seed = int(np.random.default_rng(self.random_state).integers(2**31))
        kept, _ = hold_out(prepared, self.validation_fraction, seed)
        check_fit(kept.cases, None, None, self.settings())
        self.statistics_ = fit_statistics(kept, self.inputs)
        flat = self._standardized(kept)[0].reshape(len(kept), -1)
        self.principal_ = fit_principal(flat, self.n_latent)
        self.failures_ = prepared.failures
        self.fitted_on_ = {
            "cohort": cohort_of(prepared.cases),
            "patients": sorted(prepared.cases["patient_id"].unique()),
        }
        self.explained_ = self._explained(prepared, kept.cases.index)
        cases = self.explained_.cases
        left = cases.loc[~cases["held_out"], "encoder"].mean() / 2
        row = {"epoch": 0, "split": "train", "total": left, "reconstruction": left}
        seconds = {"seconds": time.perf_counter() - start}
        self.history_ = pd.DataFrame([row | seconds])
        return self

    def encode_prepared(self, prepared: PreparedCases) -> Posterior:
        """Return means and log variances of prepared cases."""
        check_is_fitted(self)
        flat = self._standardized(prepared)[0].reshape(len(prepared), -1)
        variances = np.maximum(self.principal_.variances, _LEAST)
        means = self.principal_.scores(flat) * self._signal() / variances
        doubt = np.maximum(self.principal_.rest / variances, _LEAST)
        doubts = np.tile(np.log(doubt), (len(prepared), 1))
        return Posterior(self._table(means, prepared), self._table(doubts, prepared))

    def reconstruct_prepared(
        self, prepared: PreparedCases, handcrafted: pd.DataFrame | None = None
    ) -> Reconstructions:
        """Reconstruct cases whose files were read already."""
        check_is_fitted(self)
        images, masks = self._standardized(prepared)
        # the nearest point of the plane, whatever latent features are drawn to
        scores = self.principal_.scores(images.reshape(len(images), -1))
        decoded = self.principal_.images(scores).reshape(images.shape)
        about = self.inputs.channels, self.inputs.voxel_mm
        return Reconstructions(prepared.cases, images, decoded, masks, *about)

    def traverse(self, *, limit: float = 3.0, n_steps: int = 7) -> Traversal:
        """Return images along each component; arguments as of `LatentEncoder`."""
        check_is_fitted(self)
        steps = np.linspace(-limit, limit, n_steps)
        n = len(self.principal_.variances)
        z = np.einsum("ij,s->isj", np.eye(n), steps).reshape(-1, n)
        images = self.principal_.images(z * self._signal())
        shape = (n, n_steps, len(self.inputs.channels), *self.inputs.size)
        names = tuple(self.get_feature_names_out())
        about = self.inputs.channels, self.inputs.voxel_mm
        return Traversal(images.reshape(shape), steps, names, *about)

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Return the names of the columns of `transform`."""
        names = [f"{self.block}__mu{k:03d}" for k in range(self.n_latent)]
        return np.array(names, dtype=object)

    def state(self) -> tuple[dict, dict[str, np.ndarray]]:
        """Return what JSON can hold of a fitted encoder, and its tensors."""
        check_is_fitted(self)
        none = {"scaling": None, "classes": [], "best_epoch": 0}
        own = self.principal_
        tensors = {"mean": own.mean, "axes": own.axes, "variances": own.variances}
        return told_of(self) | none | {"rest": own.rest}, tensors

    @classmethod
    def of(cls, record: dict, tensors: dict[str, np.ndarray]) -> "PcaEncoder":
        """Return the fitted encoder that `state` told of.

        Raises
        ------
        AttributeError, KeyError, TypeError, ValueError
            They are of something else.
        """
        encoder = cls(**parameters_from(record["parameters"], _PARAMETERS))
        fill_in(encoder, record)
        encoder.principal_ = Principal(**tensors, rest=record["rest"])
        return encoder

    def settings(self) -> dict:
        """Return what is checked against the training cases."""
        free = {"beta": 0, "kappa": 0, "classification_weight": 0}
        return free | {"n_latent": self.n_latent}

    def _signal(self):
        """Return how far an image moves with a latent feature, an entry an axis."""
        noise = self.principal_.rest if self.probabilistic else 0.0
        return np.sqrt(np.maximum(self.principal_.variances - noise, _LEAST))

    def _standardized(self, prepared):
        source = CaseSource(prepared, self.inputs, self.statistics_.to_numpy())
        every = torch.arange(len(prepared))
        found = source.minibatch(every, torch.device("cpu"), augment=False)
        return tuple(t.contiguous().numpy() for t in (found.x, found.mask))

    def _table(self, values, prepared):
        columns = self.get_feature_names_out()
        return pd.DataFrame(values.astype(float), prepared.cases.index, columns)
