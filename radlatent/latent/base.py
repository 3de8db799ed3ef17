"""What every encoder does: cases are read, latent features and images leave.

How latent features are found is left to `LatentEncoder` and `PcaEncoder`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from radlatent.errors import SchemaError
from radlatent.features.origin import cohort_label, mark_fitted
from radlatent.latent.boxes import BoxProposal, propose_box
from radlatent.latent.prepared import PreparedCases, cases_of, prepare_cases
from radlatent.latent.results import Encoding, Posterior, Reconstructions
from radlatent.latent.space.explained import ExplainedVariance, explained_of
from radlatent.provenance import versions
from radlatent.records import Kind, parameters_of, write_model
from radlatent.schema import check_features, failures_table

if TYPE_CHECKING:
    from radlatent.cohort import Cohort

__all__ = ["KIND", "RECORD", "CaseEncoder", "cohort_of", "fill_in", "told_of"]

#: The version is raised when the meaning of the files changes.
KIND = Kind(
    "an encoder",
    version=1,
    keys=frozenset(
        {
            "class",
            "parameters",
            "columns",
            "statistics",
            "scaling",
            "classes",
            "fitted_on",
            "best_epoch",
            "history",
            "failures",
        }
    ),
    tensors="model.safetensors",
)
RECORD = "encoder.json"

#: Voxels of all cases and channels beyond which a fit looks at a part of the cases to
#: say what is explained: it takes about 40 bytes a voxel, here 5 GB.
MOST_VOXELS = 2**27


class CaseEncoder(TransformerMixin, BaseEstimator, ABC):
    """What can be done with an encoder, however it was fitted.

    Attributes
    ----------
    explained_
        `ExplainedVariance` of the training patients, and of those that were kept out
        for validation; of a part of the cases where boxes have more than 2**27 voxels
        in all.
    failures_
        **failures** table of the training cases.
    fitted_on_
        Name of the cohort and the training patients.
    history_
        One row an epoch and split.
    statistics_
        Percentiles, mean and standard deviation of each channel in the training cases.
    """

    #: Whether it is what others are compared with.
    is_rival = False

    @abstractmethod
    def fit_prepared(
        self,
        prepared: PreparedCases,
        y: pd.Series | None = None,
        handcrafted: pd.DataFrame | None = None,
        *,
        checkpoint: str | Path | None = None,
        description: str = "",
    ) -> "CaseEncoder":
        """Fit on cases whose files were read already."""

    @abstractmethod
    def encode_prepared(self, prepared: PreparedCases) -> Posterior:
        """Return means and log variances of prepared cases."""

    @abstractmethod
    def reconstruct_prepared(
        self, prepared: PreparedCases, handcrafted: pd.DataFrame | None = None
    ) -> Reconstructions:
        """Reconstruct cases whose files were read already."""

    @abstractmethod
    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Return the names of the columns of `transform`."""

    @abstractmethod
    def state(self) -> tuple[dict, dict[str, np.ndarray]]:
        """Return what JSON can hold of a fitted encoder, and its tensors."""

    def transform(self, X: "pd.DataFrame | Cohort") -> pd.DataFrame:
        """Return the **features** table of latent means, a row for every case.

        Parameters
        ----------
        X
            A cohort, or a **cases** table with paths that can be opened. A case that
            cannot be read is a row of NaN; `encode` says why.
        """
        return self.encode(X).features

    def encode(
        self, X: "pd.DataFrame | Cohort", *, jobs: int | None = None
    ) -> Encoding:
        """Return latent features and what became of every case.

        Parameters
        ----------
        X
            As in `transform`.
        jobs
            Processes that read the files.
        """
        check_is_fitted(self)
        cases = cases_of(X)
        prepared = prepare_cases(cases, self.inputs, jobs=jobs)
        features = self.encode_prepared(prepared).mean.reindex(cases.index)
        features = check_features(features.rename_axis("case_id"))
        features = mark_fitted(features, self.block, self.fitted_on_, cases)
        return Encoding(features, prepared.failures)

    def encode_masks(
        self,
        cohort: "Cohort",
        alternatives: Sequence["Cohort"],
        *,
        jobs: int | None = None,
    ) -> pd.DataFrame:
        """Return the latent features of every case in its own mask and in others.

        Parameters
        ----------
        cohort
            A cohort whose patients the encoder was not fitted on: of others, latents
            agree better than they will.
        alternatives
            Cohorts of the same cases under other masks, of other names, as
            ``Cohort.with_masks`` or ``rl.draw_alternatives`` give them.
        jobs
            Processes that read the files.

        Returns
        -------
        DataFrame
            ``case_id, masks`` (the name of the cohort) and the features:
            ``rl.icc(table, rater="masks")`` says which of them agree.

        Raises
        ------
        SchemaError
            Cohorts have the same name, or other cases.
        """
        cohorts = {each.card.name: each for each in (cohort, *alternatives)}
        known = set(cohort.included.index)
        other = [k for k, each in cohorts.items() if set(each.included.index) != known]
        if len(cohorts) <= len(alternatives) or other:
            msg = (
                f"encode_masks: {1 + len(alternatives)} cohorts have the names "
                f"{list(cohorts)}; {other} have other cases than {cohort.card.name!r}. "
                "Give cohorts of the same cases, each with a name of its own."
            )
            raise SchemaError(msg)
        tables = [
            self.encode(each, jobs=jobs).features.reset_index().assign(masks=name)
            for name, each in cohorts.items()
        ]
        table = pd.concat(tables, ignore_index=True)
        table.attrs = {}  # of several cohorts
        first = ["case_id", "masks"]
        return table[[*first, *table.columns.drop(first)]]

    def reconstruct(
        self,
        X: "pd.DataFrame | Cohort",
        *,
        handcrafted: pd.DataFrame | None = None,
    ) -> Reconstructions:
        """Return what the decoder makes of the posterior means, beside the originals.

        Parameters
        ----------
        X
            As in `transform`.
        handcrafted
            The **features** table by case, where the decoder takes it.
        """
        check_is_fitted(self)
        prepared = prepare_cases(cases_of(X), self.inputs)
        return self.reconstruct_prepared(prepared, handcrafted)

    def box_for(
        self,
        cohort: "pd.DataFrame | Cohort",
        *,
        share: float = 0.95,
        n_voxels: int = 32,
        jobs: int | None = None,
    ) -> BoxProposal:
        """Return a box that holds the lesions of a cohort, beside this encoder's.

        Parameters
        ----------
        cohort
            As X in `transform`.
        share
            Of the lesions that are to fit; the others are scaled into the box, or cut.
        n_voxels
            Voxels along an axis at most.
        jobs
            Processes that read the files.

        Raises
        ------
        SchemaError
            The encoder looks at no `Box`, or no mask can be read.
        """
        about = {"share": share, "n_voxels": n_voxels, "jobs": jobs}
        return propose_box(cases_of(cohort), self.inputs, **about)

    @property
    def block(self) -> str:
        """The block of the features, ``<modality>_latent``."""
        return "_".join(self.inputs.modalities) + "_latent"

    @property
    def summary(self) -> pd.DataFrame:
        """The share of variance that is explained, of training and other patients.

        Beside as many principal components and the mean of each case; columns as of
        `ExplainedVariance.summary`. The others are those kept out for validation:
        training stopped where it was best for them, so that ``rl.explained_variance``
        of further patients is more severe.

        Raises
        ------
        SchemaError
            The encoder was written to disk before this was measured.
        """
        check_is_fitted(self)
        if self.explained_ is None:
            msg = (
                "this encoder was written by a version of radlatent that did not "
                "measure what it explains; rl.explained_variance(encoder, cohort) does."
            )
            raise SchemaError(msg)
        return self.explained_.summary

    def save(self, folder: str | Path) -> None:
        """Write ``encoder.json`` and ``model.safetensors``; `rl.load_encoder` reads."""
        write_model(Path(folder) / RECORD, KIND, *self.state())

    def explain(
        self,
        prepared: PreparedCases,
        seen: pd.Index,
        handcrafted: pd.DataFrame | None = None,
    ) -> ExplainedVariance:
        """Return what is explained of prepared cases, beside principal components.

        Parameters
        ----------
        prepared
            All cases.
        seen
            Those that were fitted on; the components are theirs.
        handcrafted
            The **features** table by case, where the decoder takes it.
        """
        made = self.reconstruct_prepared(prepared, handcrafted)
        held_out = ~prepared.cases.index.isin(seen)
        return explained_of(made, held_out, len(self.get_feature_names_out()))

    def _explained(self, prepared, seen, handcrafted=None):
        """Return what a fit explains, of every k-th case where there are very many."""
        step = -(-prepared.images.size // MOST_VOXELS)
        part = prepared.take(prepared.cases.index[::step]) if step > 1 else prepared
        return self.explain(part, seen, handcrafted)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "fitted_on_")


def cohort_of(cases: pd.DataFrame) -> str:
    """Return the name of the cohort, or cohorts, of a **cases** table."""
    return cohort_label(cases["cohort"].unique()) if "cohort" in cases else ""


def told_of(encoder: CaseEncoder) -> dict:
    """Return what JSON can hold of any fitted encoder."""
    explained = encoder.explained_
    return {
        "class": type(encoder).__name__,
        "parameters": parameters_of(encoder),
        "columns": encoder.get_feature_names_out().tolist(),
        "statistics": encoder.statistics_.reset_index().to_dict("list"),
        "fitted_on": encoder.fitted_on_,
        "history": _rows(encoder.history_),
        "failures": encoder.failures_.to_dict("records"),
        "explained": explained and explained.state(),
        "versions": versions(),
    }


def fill_in(encoder: CaseEncoder, record: dict) -> None:
    """Give an encoder what `told_of` told.

    Raises
    ------
    KeyError, TypeError, ValueError
        It is of something else.
    """
    encoder.statistics_ = pd.DataFrame(record["statistics"]).set_index("channel")
    encoder.fitted_on_ = record["fitted_on"]
    encoder.history_ = pd.DataFrame(record["history"])
    columns = failures_table().columns
    encoder.failures_ = pd.DataFrame(record["failures"], None, columns, object)
    # encoders of before do not tell
    explained = record.get("explained")
    encoder.explained_ = explained and ExplainedVariance.of(explained)


def _rows(table):
    return table.astype(object).where(table.notna(), None).to_dict("records")
