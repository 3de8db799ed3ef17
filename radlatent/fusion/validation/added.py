"""What an embedding adds to hand-crafted features, whatever network it is of.

Two **features** tables by patient, an endpoint and **folds** enter; four models leave,
of hand-crafted features, of the embedding, of both, and of what hand-crafted features
do not predict of it, with their differences and the sentence that these allow.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from radlatent.errors import LeakageError
from radlatent.features.endpoint import Endpoint
from radlatent.features.folded import FoldedFeatures
from radlatent.fusion.metrics.compare import compare
from radlatent.fusion.metrics.evaluate import evaluate
from radlatent.fusion.models.classes import logistic
from radlatent.fusion.models.competing import fine_gray
from radlatent.fusion.models.continuous import ridge
from radlatent.fusion.models.survival import cox
from radlatent.fusion.validation.inputs import check_inputs, with_text_ids
from radlatent.fusion.validation.leakage import NOT_TOLD, origin_of_fits
from radlatent.fusion.validation.residual import narrowed, residual, side_by_side
from radlatent.fusion.validation.validate import cross_validate

__all__ = ["AddedValue", "added_value"]

_NAME = "added value"
_TABLES = ("handcrafted", "embedding", "both", "residual")

_WORDS = {"auc": "AUC", "c_harrell": "Harrell's C", "r2": "R²"}

#: What a metric of chance is.
_CHANCE = {"auc": 0.5, "c_harrell": 0.5, "r2": 0.0}

#: Kind of outcome to the model that is taken where none is given.
_MODELS = {
    "class": logistic,
    "survival": cox,
    "competing": fine_gray,
    "continuous": ridge,
}


@dataclass(frozen=True, eq=False, repr=False)
class AddedValue:
    """What an embedding adds to hand-crafted features.

    Parameters
    ----------
    predictions, metrics
        **predictions** and **metrics** of ``blocks`` "handcrafted", "embedding", "both"
        and "residual" (what hand-crafted features do not predict of the embedding).
    differences
        The table of `compare`: each of the others minus "handcrafted".
    origin
        Where the embedding comes from, as in ``fits`` of `Result`.
    method
        What was done to the columns, in words.
    """

    predictions: pd.DataFrame
    metrics: pd.DataFrame
    differences: pd.DataFrame
    origin: str
    method: str

    @property
    def metric(self) -> str:
        """The metric that is compared: the AUC, Harrell's C, or R2."""
        return self.differences["metric"].iloc[0]

    @property
    def summary(self) -> pd.DataFrame:
        """One row a table: the metric, and its difference from hand-crafted ones."""
        wanted = ["blocks", "metric", "estimate", "lower", "upper", "level", "n"]
        rows = self.metrics[self.metrics["metric"] == self.metric][wanted]
        ends = {"lower": "difference_lower", "upper": "difference_upper"}
        found = self.differences.rename(columns=ends)
        found = found[["blocks", "difference", *ends.values(), "p_corrected"]]
        return rows.merge(found, on="blocks", how="left")

    @property
    def verdict(self) -> str:
        """What the tables allow to say: useful, redundant, worthless, or not known.

        "Useful" where both together are better than hand-crafted features alone,
        ``p_corrected`` being at most ``1 - level``. Else "worthless" where the
        embedding by itself is not better than chance by its interval, "redundant" where
        it is and its residual is not, "not settled" where both are.
        """
        rows = self.summary.set_index("blocks")
        both = rows.loc["both"]
        alone = rows.loc[["embedding", "residual"], "lower"] > _CHANCE[self.metric]
        metric = _WORDS.get(self.metric, self.metric)
        by = f"{metric} {_numbers(rows.loc['embedding'])} by itself"
        rest = (
            f"{_numbers(rows.loc['residual'])} without what hand-crafted ones predict"
        )
        adds = (
            f"with it {both['estimate']:.3f}, without "
            f"{rows.loc['handcrafted', 'estimate']:.3f}, difference "
            f"{both['difference']:+.3f} ({both['difference_lower']:+.3f} to "
            f"{both['difference_upper']:+.3f}), p = {both['p_corrected']:.2g}"
        )
        if np.isnan(both["p_corrected"]):
            said = (
                "Not settled: both models predict the same, and no column is compared"
            )
        elif both["difference"] > 0 and both["p_corrected"] <= 1 - both["level"]:
            said = "Useful: the embedding adds to hand-crafted features"
        elif not alone["embedding"]:
            said = "Worthless here: the embedding is not seen to tell the outcome"
        elif not alone["residual"]:
            said = "Redundant: what the embedding tells, hand-crafted features tell"
        else:
            said = (
                "Not settled: the residual tells of the outcome, too little to be seen"
            )
        return f"{said} ({by}, {rest}); {adds}. Origin of the embedding: {self.origin}."

    def plot(self, ax=None, **kwargs):
        """Draw the metric of the four tables on ``ax`` and return it."""
        from radlatent import figures

        rows = self.metrics[self.metrics["metric"] == self.metric]
        return figures.forest(rows, ax, **kwargs)

    def __repr__(self) -> str:
        return f"AddedValue({' '.join(filter(None, (self.verdict, self.method)))})"

    def _repr_html_(self) -> str:
        return self.summary.to_html()


def added_value(
    handcrafted: pd.DataFrame,
    embedding: pd.DataFrame | FoldedFeatures,
    endpoint: Endpoint,
    folds: pd.DataFrame,
    *,
    model: BaseEstimator | None = None,
    jobs: int | None = None,
) -> AddedValue:
    """Validate hand-crafted features, an embedding, both, and what is new in it.

    Parameters
    ----------
    handcrafted
        A **features** table of the patients.
    embedding
        One of the same patients, of 1 to some thousand columns, that tells where it
        comes from; or `FoldedFeatures` of an encoder a fold.
    endpoint
        Of any kind.
    folds
        A **folds** table; several repeats make the tests sharper.
    model
        What is fitted to each of the four tables; None takes `logistic`, `cox`,
        `fine_gray` or `ridge` on all columns.
    jobs
        Processes.

    Raises
    ------
    LeakageError
        The embedding does not tell where it comes from, whatever its block is called,
        or its network was fitted on tested patients.
    SchemaError
        As `cross_validate`, of any of the tables.

    Notes
    -----
    A table of more than 64 columns is turned into the first 32 principal components of
    its standardized columns, at most one for 8 training patients. The residual is the
    embedding, so narrowed, minus what ridge regression predicts of it from hand-crafted
    features; its penalty is chosen by leave-one-out. Both, and medians in the place of
    missing values, are fitted on the training patients of each fold. Residuals of
    training patients are of five inner fits that did not see them: fitted ones would be
    smaller than those of tested patients.

    A linear residual keeps what hand-crafted features know in a curved way; the
    difference of "both" and "handcrafted" is the answer, the residual a hint.

    That nothing is found is no proof that nothing is there: read the interval of the
    difference.

    References
    ----------
    Nadeau & Bengio 2003, doi:10.1023/A:1024068626366 (``p_corrected``)
    """
    handcrafted, folds = with_text_ids(handcrafted, folds)
    embedding, _ = with_text_ids(embedding)
    check_inputs(handcrafted, endpoint, folds)
    splits = check_inputs(embedding, endpoint, folds)
    origin = _origin(embedding, splits)
    known, new = (narrowed(side, splits) for side in (handcrafted, embedding))
    both = side_by_side(known, new, splits)
    tables = (known, new, both, residual(known, new, splits))
    if model is None:
        model = _MODELS[endpoint.kind]()
    found = [
        cross_validate(
            model, table, endpoint, folds, name=_NAME, blocks=name, jobs=jobs
        ).predictions
        for name, table in zip(_TABLES, tables, strict=True)
    ]
    predictions = pd.concat(found)
    metrics = evaluate(predictions)
    reference = _NAME, "handcrafted"
    metric = metrics["metric"].iloc[0]
    differences = compare(predictions, metric=metric, reference=reference)
    done = _told("handcrafted", handcrafted, known), _told("embedding", embedding, new)
    method = " ".join(filter(None, done))
    return AddedValue(predictions, metrics, differences, origin, method)


def _origin(embedding, splits):
    """Return where an embedding comes from, or raise where it does not tell."""
    told = list(dict.fromkeys(origin_of_fits(embedding, splits).values()))
    if any(NOT_TOLD in words for words in told):
        msg = (
            "added_value: the embedding does not tell where it comes from. Say "
            "declare_fitted_on(table, block, cohort=..., encoded=...), with the cohort "
            "that its network was trained on, or cohort='unknown' where nobody knows; "
            "declare_measured where nothing was trained."
        )
        raise LeakageError(msg)
    return "; ".join(told)


def _told(name, side, narrow):
    before, after = len(side.columns), len(narrow.columns)
    if before == after:
        return ""
    return (
        f"{name}: {after} principal components of {before} columns, fitted on the "
        "training patients of each fold."
    )


def _numbers(row):
    return f"{row['estimate']:.3f} ({row['lower']:.3f} to {row['upper']:.3f})"
