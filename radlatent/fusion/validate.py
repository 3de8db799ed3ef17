"""Out-of-fold predictions of a model.

A features table by patient, an endpoint and a **folds** table enter; a ``Result`` with
predictions and metrics leaves. This is the only place that fits a model to be tested.
"""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline

from radlatent.errors import LeakageError, SchemaError
from radlatent.fusion.curves import roc_curve
from radlatent.fusion.metrics import evaluate
from radlatent.schema import check_features, check_folds, check_predictions

if TYPE_CHECKING:
    from radlatent.cohort import Endpoint

__all__ = ["Result", "check_inputs", "cross_validate"]

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
    features: pd.DataFrame,
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
        A **features** table indexed by ``patient_id``. Patients without an outcome
        are not used.
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
        A patient would be in the training and in the test part of one fold.
    """
    splits = check_inputs(features, endpoint, folds)
    truth = endpoint.frame["class"]
    features = features.loc[truth.index]
    empty = features.index[features.isna().all(axis=1)]
    if len(empty):
        _log.info(
            "%d patients have no feature at all and are imputed: %s",
            len(empty),
            empty[:5].tolist(),
        )
    parts = []
    for (repeat, fold), (train, test) in splits.items():
        try:
            fitted = clone(model).fit(features.loc[train], truth.loc[train])
        except ValueError as error:
            msg = f"repeat {repeat}, fold {fold}: the model cannot be fitted: {error}"
            raise SchemaError(msg) from error
        part = {"repeat": repeat, "fold": fold, "patient_id": test}
        part |= {"truth": truth.loc[test].to_numpy()}
        chances = fitted.predict_proba(features.loc[test]).T
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


def check_inputs(
    features: pd.DataFrame, endpoint: "Endpoint", folds: pd.DataFrame
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
    return splits


def _check_kind(features, endpoint):
    if endpoint.kind != "class":
        msg = (
            f"endpoint {endpoint.name!r} is of kind {endpoint.kind!r}; cross_validate "
            "supports 'class'. Choose an endpoint with classes."
        )
        raise SchemaError(msg)
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
        for fold in sorted(table["fold"].unique()):
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
