"""Training and test patients of each fold, and whether the tables fit together.

Features, an endpoint and a **folds** table enter; lists of patients and outcomes in the
form that models take leave, or an error that lists everything that does not fit.
"""

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.lib import recfunctions as rfn
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.pipeline import Pipeline

from radlatent.errors import LeakageError, SchemaError
from radlatent.features.endpoint import (
    SHORT,
    TIMED,
    outcome_problems,
    positive_problems,
)
from radlatent.features.folded import FoldedFeatures
from radlatent.features.values import text_index
from radlatent.fusion.solvers.survival import SurvivalModel
from radlatent.fusion.validation.leakage import check_fitted
from radlatent.schema import check_features, check_folds

if TYPE_CHECKING:
    from radlatent.features.endpoint import Endpoint

__all__ = [
    "check_inputs",
    "check_model",
    "check_table",
    "missing_in_training",
    "outcome_of",
    "with_text_ids",
]

_log = logging.getLogger(__name__)


def outcome_of(endpoint: "Endpoint", patients: list[str] | None = None):
    """Return the outcome of patients as models take it.

    Parameters
    ----------
    endpoint
        An endpoint.
    patients
        Whose, in this order; None takes all of the endpoint.

    Returns
    -------
    Series or ndarray
        The class, or the number, by ``patient_id``; of survival, a structured array
        with the fields ``event`` (bool) and ``time`` (days), which estimators of
        scikit-survival take as well. Of competing events ``event`` is that of the cause
        of interest, and ``cause`` says which of ``endpoint.causes`` it was, counted
        from 1; 0 is censored.
    """
    frame = endpoint.frame if patients is None else endpoint.frame.loc[patients]
    if endpoint.kind == "class":
        return frame["class"]
    if endpoint.kind == "continuous":
        return frame["value"]
    y = np.empty(len(frame), dtype=[("event", bool), ("time", float)])
    y["event"], y["time"] = frame["event"] == 1, frame["time"]
    if endpoint.kind == "competing":
        numbers = {cause: n for n, cause in enumerate(endpoint.causes, 1)}
        cause = frame["cause"].map(numbers).fillna(0).to_numpy(np.int64)
        y = rfn.append_fields(y, "cause", cause, usemask=False)
    return y


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
    check_table(features, endpoint)
    splits = _split(folds)
    _check_folds(features, endpoint, folds, splits)
    check_fitted(features, splits)
    return splits


def with_text_ids(
    features: pd.DataFrame | FoldedFeatures, folds: pd.DataFrame | None = None
):
    """Return features and folds whose ids are text, as those of an `Endpoint` are."""
    if not isinstance(features, FoldedFeatures) and not _are_text(features.index):
        name = features.index.name  # who is not named is asked for later
        features = features.set_axis(text_index(features.index).rename(name))
    if folds is not None and not _are_text(folds.get("patient_id", ())):
        ids = text_index(pd.Index(folds["patient_id"]))
        folds = folds.assign(patient_id=ids.to_numpy())
    return features, folds


def _are_text(ids):
    return all(isinstance(one, str) for one in ids)


def check_model(model: BaseEstimator, endpoint: "Endpoint") -> None:
    """Raise if a classifier is asked for numbers, or a regressor for classes."""
    last = model[-1] if isinstance(model, Pipeline) else model
    if endpoint.kind == "continuous" and (
        is_classifier(model) or isinstance(last, SurvivalModel)
    ):
        other = "ridge(), elastic_net() or forest(kind='continuous')"
    elif endpoint.kind == "class" and is_regressor(model):
        other = "logistic() or forest()"
    else:
        return
    msg = (
        f"{type(last).__name__} is not for endpoint {endpoint.name!r}, of kind "
        f"{endpoint.kind!r}: take {other}."
    )
    raise SchemaError(msg)


def check_table(features: pd.DataFrame | FoldedFeatures, endpoint: "Endpoint") -> None:
    """Raise if features are not of patients, or outcomes not what outcomes are."""
    # the tables of folds were checked when they were put together
    if not isinstance(features, FoldedFeatures):
        check_features(features)
    if features.index.name != "patient_id":
        msg = (
            f"the features are indexed by {features.index.name!r}, not 'patient_id'. "
            "Bring the cases to patients with aggregate first."
        )
        raise SchemaError(msg)
    if not _are_text(features.index):
        msg = (
            f"the features are indexed by {features.index.dtype}, and ids are text. "
            "Make the table with radlatent.features(frame, block=...)."
        )
        raise SchemaError(msg)
    problems = outcome_problems(endpoint) + positive_problems(endpoint)
    if problems:
        raise SchemaError(f"endpoint {endpoint.name!r}: " + "; ".join(problems) + ".")
    _log_short(endpoint)


def _log_short(endpoint):
    """Log times that are hardly in days, whatever is said of them."""
    if endpoint.kind in TIMED and endpoint.frame["time"].median() < SHORT:
        _log.warning(
            "endpoint %r: half of the times are below %.3g, and times are days. If "
            "these are months or years, say Endpoint.survival(..., unit='years').",
            *(endpoint.name, endpoint.frame["time"].median()),
        )


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


def _check_folds(features, endpoint, folds, splits):
    check_folds(folds)
    problems, known = [], endpoint.frame.index
    _report(problems, known.difference(features.index), "have no features")
    for repeat, table in folds.groupby("repeat"):
        patients = pd.Index(table["patient_id"])
        _report(problems, known.difference(patients), f"not in repeat {repeat}")
        _report(problems, patients.difference(known), "have folds, no outcome")
    problems += [
        f"repeat {repeat}, fold {fold}: {what}"
        for (repeat, fold), parts in splits.items()
        for what in missing_in_training(endpoint, *parts)
    ]
    if problems:
        msg = "features, endpoint and folds do not fit: " + "; ".join(problems)
        msg += ". Make the folds of this endpoint with make_folds."
        raise SchemaError(msg)


def missing_in_training(
    endpoint: "Endpoint", train: list[str], test: list[str]
) -> list[str]:
    """Return what training patients lack to learn from: a class, events, a spread."""
    if endpoint.kind == "continuous":
        values = endpoint.frame["value"].reindex(train)
        varies = values.min() < values.max()
        return [] if varies else ["all training patients have the same value"]
    if endpoint.kind in TIMED:
        # who was censored may all be tested: the times of events are learned
        event = endpoint.frame["event"].reindex(train) == 1
        return [] if event.any() else ["events are not among the training patients"]
    there, tested = (
        set(endpoint.strata.reindex(part).dropna()) for part in (train, test)
    )
    absent = sorted(tested - there)
    return [f"classes {absent} are not among the training patients"] * bool(absent)


def _report(problems, patients, what):
    if len(patients):
        problems.append(f"{len(patients)} patients {what}: {patients[:5].tolist()}")
