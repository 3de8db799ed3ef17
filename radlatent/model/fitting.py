"""A model is fitted on all patients, and what vouches for it is put beside it.

An unfitted model, features and an outcome enter; a `FinalModel` leaves.
"""

import json
import logging

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone, is_regressor

from radlatent.errors import LeakageError, SchemaError
from radlatent.features.endpoint import CENSORED, SHORT, Endpoint
from radlatent.features.folded import FoldedFeatures
from radlatent.fusion import Result, cross_validate, make_folds, outcome_of
from radlatent.fusion.validation.inputs import (
    check_model,
    check_table,
    with_text_ids,
)
from radlatent.fusion.validation.validate import key_of
from radlatent.model.about import About
from radlatent.model.conformal import Conformal, Errors
from radlatent.model.domain import Domain
from radlatent.model.final import FinalModel
from radlatent.model.freezing import check_known, freeze
from radlatent.model.parts import Part, People
from radlatent.provenance import versions

__all__ = ["check_keepable", "fit"]

_log = logging.getLogger(__name__)

#: Quantiles of the times of events: the days on which survival is told.
_DAYS = (0.25, 0.5, 0.75)

#: How far what is kept may be from the estimator, on the training patients.
_ROUNDING = 1e-9


def fit(
    model: BaseEstimator,
    features: pd.DataFrame,
    endpoint: Endpoint,
    *,
    result: Result | None = None,
    purpose: str = "",
    jobs: int | None = None,
) -> FinalModel:
    """Fit a copy of a model on all patients, for new ones.

    Parameters
    ----------
    model
        As of ``cross_validate``: a pipeline of this library, ``tune`` or
        ``late_fusion`` around it. It stays unfitted.
    features
        A **features** table indexed by ``patient_id``.
    endpoint
        The outcome of these patients.
    result
        Of ``cross_validate`` of this model on these patients: the performance that is
        promised, and the out-of-fold predictions that conformal sets, of numbers
        intervals, are calibrated on. None validates here, once with five folds, or as
        many as the rarest class has patients.
    purpose
        What the model is for, and for whom, as its card says it.
    jobs
        Processes of this validation.

    Returns
    -------
    FinalModel
        With ``predict``, ``save`` and ``performance``.

    Raises
    ------
    SchemaError
        The tables do not fit together, the model cannot be fitted, or a step of it is
        of a class that cannot be kept without code.
    LeakageError
        As of ``cross_validate``; or features were fitted fold by fold.

    Notes
    -----
    What predicts is not the estimator but the numbers in it. Its probabilities, risks
    or numbers are compared with those of the estimator on the training patients before
    anything is returned; survival and incidence by day, which follow from risks, are
    not. The threshold of two classes is the share of the positive one, as in
    validation.

    Examples
    --------
    >>> import radlatent as rl
    >>> patients = pd.Index([f"p{i}" for i in range(40)], name="patient_id")
    >>> values = np.random.default_rng(0).normal(size=(40, 2))
    >>> table = pd.DataFrame(values, patients, ["ct__a", "ct__b"])
    >>> sick = pd.Series(values[:, 0] > 0, patients)
    >>> table = rl.declare_measured(table)
    >>> fit(rl.logistic(), table, rl.Endpoint.binary(sick, name="sick"))
    FinalModel(LogisticRegression for sick, 40 patients, 2 of 2 columns)
    """
    if isinstance(features, FoldedFeatures):
        msg = (
            "the features were fitted fold by fold, and a final model needs one "
            "encoder: transform all patients with an encoder of another cohort, or "
            "fit the study with fit_study."
        )
        raise LeakageError(msg)
    check_keepable(model, endpoint)
    features, _ = with_text_ids(features)
    check_table(features, endpoint)
    patients = endpoint.frame.index.tolist()
    _check_patients(features, patients, result)
    if result is None:
        result = _validate(model, features, endpoint, jobs)
    X = features.loc[patients]
    try:
        fitted = clone(model).fit(X, outcome_of(endpoint, patients))
    except ValueError as error:
        raise SchemaError(f"the model cannot be fitted: {error}") from error
    predictor = freeze(fitted)
    people = _people_of(model, patients)
    values = X.to_numpy(dtype=np.float64)
    _check_kept(fitted, predictor, X, people)
    uses = predictor.uses(values.shape[1])
    about = _about(fitted, X, endpoint, result, purpose)
    sets = _calibrated(endpoint.kind, result, about.classes)
    return FinalModel(about, predictor, Domain.of(values, uses), sets, fitted)


def _calibrated(kind, result, classes):
    """Return what makes sets of classes, or intervals of numbers, of predictions."""
    if result is None or kind in ("survival", "competing"):
        return None
    if kind == "continuous":
        return Errors.of(result.predictions)
    return Conformal.of(result.predictions, classes)


def check_keepable(model: BaseEstimator, endpoint: Endpoint) -> None:
    """Raise before the work where a model of an endpoint could not be kept.

    Raises
    ------
    SchemaError
        A step of the model is not known here, or the model is not for the endpoint.
    """
    check_model(model, endpoint)
    check_known(model)


def _check_patients(features, patients, result):
    absent = sorted(set(patients) - set(features.index))
    if absent:
        msg = f"{len(absent)} patients have no features: {absent[:5]}."
        raise SchemaError(msg)
    if result is None:
        return
    others = set(patients) ^ set(result.predictions["patient_id"].astype(str))
    if others:
        msg = (
            f"the result is of other patients than the endpoint: {sorted(others)[:5]} "
            "are in one of them only."
        )
        raise SchemaError(msg)


def _validate(model, features, endpoint, jobs):
    """Return the result of one validation, None where patients are too few."""
    for n_folds in (5, 4, 3, 2):
        try:
            folds = make_folds(endpoint, n_folds=n_folds, n_repeats=1)
        except SchemaError as error:
            fault = error
            continue
        return cross_validate(model, features, endpoint, folds, jobs=jobs)
    _log.warning("the model is not validated, and has no conformal sets: %s", fault)
    return None


def _combats(model):
    """Yield the `Combat` of a model, of each block and candidate."""
    inside = [getattr(model, "estimator", None), *getattr(model, "models", {}).values()]
    inside += [step for _, step in getattr(model, "steps", ())]
    for one in inside:
        if type(one).__name__ == "Combat":
            yield one
        elif one is not None:
            yield from _combats(one)


def _people_of(model, patients):
    for combat in _combats(model):
        site = combat.site.reindex(patients).astype(object)
        texts = [None if pd.isna(one) else str(one) for one in site]
        covariates = combat.covariates
        kept = None if covariates is None else covariates.reindex(patients)
        return People(np.array(texts, dtype=object), kept)
    return People(np.full(len(patients), None, dtype=object))


def _check_kept(fitted, predictor: Part, X, people):
    """Refuse a model of which what is kept does not predict what it predicts."""
    values = X.to_numpy(dtype=np.float64)
    if is_regressor(fitted):
        pair = fitted.predict(X), predictor.numbers(values, people)
    elif hasattr(fitted, "predict_proba"):
        pair = fitted.predict_proba(X), predictor.probabilities(values, people)
    else:
        pair = fitted.predict(X), predictor.risk(values, people)
    apart = np.abs(pair[0] - pair[1]).max()
    if not apart <= _ROUNDING * max(1.0, np.abs(pair[0]).max()):
        msg = (
            f"what is kept of {type(fitted).__name__} predicts {apart:.2g} beside it: "
            "this version of its library is not known."
        )
        raise SchemaError(msg)


def _about(fitted, X, endpoint, result, purpose):
    key, frame = key_of(fitted, endpoint), endpoint.frame
    told = {"purpose": purpose, "versions": versions(), "columns": tuple(X)}
    told |= {"n": len(frame), "steps": _steps(fitted)}
    if result is not None:
        rows = result.metrics.to_json(orient="records", double_precision=15)
        told["performance"] = tuple(json.loads(rows))
        key = {name: str(result.metrics[name].iloc[0]) for name in key}
        told["origin"] = "; ".join(dict.fromkeys(result.fits["origin"]))
        n_folds = result.folds.groupby("repeat")["fold"].nunique().iloc[0]
        repeats = result.folds["repeat"].nunique()
        told["validation"] = f"{repeats} x {n_folds} folds by patient"
    key["name"] = key.pop("model")
    told |= _OF[endpoint.kind](fitted, endpoint)
    return About(**key, kind=endpoint.kind, **told)


def _steps(fitted):
    model = getattr(fitted, "best_estimator_", fitted)
    steps = getattr(model, "steps", [("", model)])
    return tuple(type(step).__name__ for _, step in steps)


def _of_classes(fitted, endpoint):
    counts = endpoint.frame["class"].value_counts().sort_index()
    classes = tuple(str(name) for name in fitted.classes_)
    told = {"classes": classes, "outcome": {k: int(n) for k, n in counts.items()}}
    if len(classes) != 2:
        return told | {"n_events": int(counts.min())}
    positive = endpoint.positive or classes[-1]
    share = float(counts[positive] / counts.sum())
    told |= {"positive": positive, "threshold": share}
    return told | {"n_events": int(counts[positive])}


def _of_survival(fitted, endpoint):
    frame = endpoint.frame
    event = frame["event"] == 1
    days = frame["time"][event].quantile([*_DAYS]).to_numpy(float)
    if frame["time"].median() >= SHORT:
        days = np.round(days).clip(min=1)
    outcome = {"event": int(event.sum()), "censored": int((~event).sum())}
    return {
        "n_events": outcome["event"],
        "outcome": outcome,
        "days": tuple(float(f"{day:.6g}") for day in np.unique(days)),
        "trained_until": float(frame["time"].max()),
    }


def _of_numbers(fitted, endpoint):
    values = endpoint.frame["value"]
    told = values.min(), values.mean(), values.std(), values.max()
    return {"n_events": None, "outcome": {}, "unit": endpoint.unit} | {
        "numbers": tuple(map(float, told))
    }


def _of_competing(fitted, endpoint):
    counts = endpoint.frame["cause"].value_counts()
    names = [*endpoint.causes, CENSORED]
    outcome = {name: int(counts[name]) for name in names if name in counts}
    told = {"outcome": outcome, "positive": endpoint.positive}
    return _of_survival(fitted, endpoint) | told


#: Kind of an outcome to what is told of it.
_OF = {
    "class": _of_classes,
    "survival": _of_survival,
    "competing": _of_competing,
    "continuous": _of_numbers,
}
