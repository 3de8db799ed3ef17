"""Out-of-fold predictions of a model.

Features by patient, an endpoint and a **folds** table enter; a ``Result`` with
predictions and metrics leaves. This is the only place that fits a model to be tested.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline

from radlatent.errors import LeakageError, SchemaError
from radlatent.fusion.curves import roc_curve
from radlatent.fusion.leakage import check_fitted
from radlatent.fusion.metrics import evaluate
from radlatent.latent.folded import FoldedFeatures
from radlatent.schema import check_features, check_folds, check_predictions

if TYPE_CHECKING:
    from radlatent.cohort import Endpoint

__all__ = ["Result", "check_inputs", "cross_validate", "fit_folds"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """What cross-validation found.

    Parameters
    ----------
    predictions
        The **predictions** table; tables of several models are joined by
        ``pandas.concat`` and evaluated together.
    metrics
        The **metrics** table.
    folds
        The **folds** table that was used.
    """

    predictions: pd.DataFrame
    metrics: pd.DataFrame
    folds: pd.DataFrame

    @property
    def summary(self) -> pd.DataFrame:
        """The **metrics** table."""
        return self.metrics

    def plot(self, ax=None, **kwargs):
        """Draw the ROC curves on ``ax`` and return it."""
        from radlatent import figures

        kwargs.setdefault("metrics", self.metrics)
        return figures.roc(roc_curve(self.predictions), ax, **kwargs)

    def __repr__(self) -> str:
        estimates = self.metrics.set_index("metric")["estimate"].round(3)
        return f"Result({estimates.to_dict()})"

    def _repr_html_(self) -> str:
        return self.summary.to_html()


def cross_validate(
    model: BaseEstimator,
    features: pd.DataFrame | FoldedFeatures,
    endpoint: "Endpoint",
    folds: pd.DataFrame,
    *,
    name: str | None = None,
    blocks: str = "all",
) -> Result:
    """Fit a copy of the model on all folds but one and predict that one, for each.

    Parameters
    ----------
    model
        A scikit-learn classifier or Pipeline with ``predict_proba``; it stays
        unfitted. Whatever is fitted must be inside it.
    features
        A **features** table indexed by ``patient_id``, or features that were fitted
        fold by fold, of which each fold uses its own table. Patients without an
        outcome are not used.
    endpoint
        An endpoint of kind "class".
    folds
        A **folds** table of the patients of the endpoint.
    name
        What the tables call the model; None takes the class of its last step.
    blocks
        What the tables call the blocks of the features.

    Raises
    ------
    SchemaError
        The tables do not fit together (all problems are listed at once), or the model
        cannot be fitted in a fold.
    LeakageError
        A patient would be in the training and in the test part of one fold, or a block
        was, or may have been, fitted on patients it is tested on (``check_fitted``).
    """
    parts = []
    for repeat, fold, fitted, _, test in fit_folds(model, features, endpoint, folds):
        part = {"repeat": repeat, "fold": fold, "patient_id": test.index}
        part |= {"truth": endpoint.frame["class"].loc[test.index].to_numpy()}
        chances = fitted.predict_proba(test).T
        part |= {
            f"probability_{c}": p for c, p in zip(fitted.classes_, chances, strict=True)
        }
        parts.append(pd.DataFrame(part))
    predictions = pd.concat(parts, ignore_index=True)
    name = name or type(model[-1] if isinstance(model, Pipeline) else model).__name__
    for at, value in enumerate((name, blocks, endpoint.name)):
        predictions.insert(at, ("model", "blocks", "endpoint")[at], value)
    check_predictions(predictions)
    return Result(predictions, evaluate(predictions), folds)


def fit_folds(
    model: BaseEstimator,
    features: pd.DataFrame | FoldedFeatures,
    endpoint: "Endpoint",
    folds: pd.DataFrame,
) -> Iterator[tuple[int, int, BaseEstimator, pd.DataFrame, pd.DataFrame]]:
    """Fit a copy of the model on all folds but one, for each.

    Parameters
    ----------
    model, features, endpoint, folds
        As in `cross_validate`.

    Yields
    ------
    tuple
        Repeat, fold, the fitted model, and the features of its training and of its
        test patients.

    Raises
    ------
    SchemaError, LeakageError
        As in `cross_validate`.
    """
    splits = check_inputs(features, endpoint, folds)
    truth = endpoint.frame["class"]
    _log_empty(features, truth.index)
    for (repeat, fold), (train, test) in splits.items():
        folded = isinstance(features, FoldedFeatures)
        table = features.at(repeat, fold) if folded else features
        try:
            fitted = clone(model).fit(table.loc[train], truth.loc[train])
        except ValueError as error:
            msg = f"repeat {repeat}, fold {fold}: the model cannot be fitted: {error}"
            raise SchemaError(msg) from error
        yield repeat, fold, fitted, table.loc[train], table.loc[test]


def _log_empty(features, patients):
    """Log who has no value at all, in the table of any fold."""
    folded = isinstance(features, FoldedFeatures)
    empty = set()
    for table in features.tables.values() if folded else [features]:
        rows = table.loc[patients]
        empty |= set(rows.index[rows.isna().all(axis=1)])
    if empty:
        _log.info(
            "%d patients have no feature at all and are imputed: %s",
            len(empty),
            sorted(empty)[:5],
        )


def check_inputs(
    features: pd.DataFrame | FoldedFeatures,
    endpoint: "Endpoint",
    folds: pd.DataFrame,
) -> dict[tuple[int, int], tuple[list[str], list[str]]]:
    """Return the splits of `cross_validate`, or raise what it would raise.

    Parameters
    ----------
    features, endpoint, folds
        As in `cross_validate`; the values of the features are not looked at.

    Returns
    -------
    dict
        (repeat, fold) to the training and the test patients.
    """
    _check_kind(features, endpoint)
    splits = _split(folds)
    _check_tables(features, endpoint.frame["class"], folds, splits)
    check_fitted(features, splits)
    return splits


def _check_kind(features, endpoint):
    if endpoint.kind != "class":
        msg = (
            f"endpoint {endpoint.name!r} is of kind {endpoint.kind!r}; cross_validate "
            "supports 'class'. Choose an endpoint with classes."
        )
        raise SchemaError(msg)
    # the tables of folds were checked when they were put together
    if not isinstance(features, FoldedFeatures):
        check_features(features)
    if features.index.name != "patient_id":
        msg = (
            f"the features are indexed by {features.index.name!r}, not 'patient_id'. "
            "Bring the cases to patients with aggregate first."
        )
        raise SchemaError(msg)


def _split(folds):
    """Return training and test patients of each (repeat, fold)."""
    splits = {}
    for repeat, table in folds.groupby("repeat"):
        for fold in sorted(table["fold"].unique().tolist()):
            tested = table["fold"] == fold
            train, test = table["patient_id"][~tested], table["patient_id"][tested]
            shared = sorted(set(train) & set(test))
            if shared:
                msg = (
                    f"repeat {repeat}, fold {fold}: {len(shared)} patients are in "
                    f"training and test: {shared[:5]}. A patient belongs to one fold "
                    "of a repeat; make the folds with make_folds."
                )
                raise LeakageError(msg)
            splits[repeat, fold] = train.tolist(), test.tolist()
    return splits


def _check_tables(features, truth, folds, splits):
    check_folds(folds)
    problems = []
    _report(problems, truth.index.difference(features.index), "have no features")
    for repeat, table in folds.groupby("repeat"):
        patients = pd.Index(table["patient_id"])
        _report(problems, truth.index.difference(patients), f"not in repeat {repeat}")
        _report(problems, patients.difference(truth.index), "have folds, no outcome")
    for (repeat, fold), (train, test) in splits.items():
        absent = set(truth.reindex(test).dropna()) - set(truth.reindex(train).dropna())
        if absent:
            problems.append(
                f"repeat {repeat}, fold {fold}: classes {sorted(absent)} are tested "
                "but not in training"
            )
    if problems:
        msg = "features, endpoint and folds do not fit: " + "; ".join(problems)
        msg += ". Make the folds of this endpoint with make_folds."
        raise SchemaError(msg)


def _report(problems, patients, what):
    if len(patients):
        problems.append(f"{len(patients)} patients {what}: {patients[:5].tolist()}")
