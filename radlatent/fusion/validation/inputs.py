"""Training and test patients of each fold, and whether the tables fit together.

Features, an endpoint and a **folds** table enter; lists of patients and outcomes in the
form that models take leave, or an error that lists everything that does not fit.
"""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from radlatent.errors import LeakageError, SchemaError
from radlatent.features.folded import FoldedFeatures
from radlatent.fusion.validation.leakage import check_fitted
from radlatent.schema import check_features, check_folds

if TYPE_CHECKING:
    from radlatent.features.endpoint import Endpoint

__all__ = ["check_inputs", "check_table", "outcome_of"]


def outcome_of(endpoint: "Endpoint", patients: list[str] | None = None):
    """Return the outcome of patients as models take it.

    Parameters
    ----------
    endpoint
        An endpoint of kind "class" or "survival".
    patients
        Whose, in this order; None takes all of the endpoint.

    Returns
    -------
    Series or ndarray
        The class by ``patient_id``; of survival, a structured array with the fields
        ``event`` (bool) and ``time`` (days), which estimators of scikit-survival take
        as well.
    """
    frame = endpoint.frame if patients is None else endpoint.frame.loc[patients]
    if endpoint.kind == "class":
        return frame["class"]
    y = np.empty(len(frame), dtype=[("event", bool), ("time", float)])
    y["event"], y["time"] = frame["event"] == 1, frame["time"]
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


def check_table(features: pd.DataFrame | FoldedFeatures, endpoint: "Endpoint") -> None:
    """Raise if features are not of patients, or outcomes cannot be those of patients.

    A patient has one outcome; a survival time is positive, an event 0 or 1.
    """
    # the tables of folds were checked when they were put together
    if not isinstance(features, FoldedFeatures):
        check_features(features)
    if features.index.name != "patient_id":
        msg = (
            f"the features are indexed by {features.index.name!r}, not 'patient_id'. "
            "Bring the cases to patients with aggregate first."
        )
        raise SchemaError(msg)
    problems, known = [], endpoint.frame.index
    twice = known[known.duplicated()].unique()
    _report(problems, twice, "have more than one outcome")
    if endpoint.kind == "survival":
        problems += _survival_problems(endpoint.frame)
    elif endpoint.positive is not None:
        classes = sorted(endpoint.strata.unique())
        if endpoint.positive not in classes or len(classes) != 2:
            problems.append(
                f"positive is {endpoint.positive!r}, of the classes {classes}: name "
                "one of two, or none"
            )
    if problems:
        raise SchemaError(f"endpoint {endpoint.name!r}: " + "; ".join(problems) + ".")


def _survival_problems(frame):
    problems, times, events = [], frame["time"], frame["event"]
    wrong = times.index[~((times > 0) & np.isfinite(times))]
    if len(wrong):
        problems.append(
            f"{len(wrong)} patients have a time that is not above 0 and finite: "
            f"{wrong[:5].tolist()} (times are days from the start of follow-up)"
        )
    odd = events.index[~events.isin([0, 1])]
    _report(problems, odd, "have an event that is neither 0 nor 1")
    if not events.any():
        problems.append("no patient has an event")
    return problems


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
    strata = endpoint.strata
    for (repeat, fold), (train, test) in splits.items():
        there = set(strata.reindex(train).dropna())
        absent = set(strata.reindex(test).dropna()) - there
        if endpoint.kind == "survival":
            absent = {"1"} - there
        if absent:
            what = "classes" if endpoint.kind == "class" else "events"
            problems.append(
                f"repeat {repeat}, fold {fold}: {what} {sorted(absent)} are not among "
                "the training patients"
            )
    if problems:
        msg = "features, endpoint and folds do not fit: " + "; ".join(problems)
        msg += ". Make the folds of this endpoint with make_folds."
        raise SchemaError(msg)


def _report(problems, patients, what):
    if len(patients):
        problems.append(f"{len(patients)} patients {what}: {patients[:5].tolist()}")
