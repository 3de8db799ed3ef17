"""Predictions of patients that a model was not fitted on.

Features by patient, an endpoint and a **folds** table, or another cohort, enter; a
``Result`` with predictions and metrics leaves. This is the only place that fits a model
to be tested.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline

from radlatent.errors import LeakageError, SchemaError
from radlatent.features.endpoint import pair_problems
from radlatent.features.folded import FoldedFeatures
from radlatent.fusion.metrics.continuous import residuals
from radlatent.fusion.metrics.evaluate import evaluate
from radlatent.fusion.metrics.incidence import incidence_by_risk
from radlatent.fusion.metrics.roc import roc_curve
from radlatent.fusion.metrics.survival_curves import kaplan_meier
from radlatent.fusion.validation.inputs import (
    check_inputs,
    check_model,
    check_table,
    outcome_of,
    with_text_ids,
)
from radlatent.fusion.validation.leakage import check_fitted, origin_of_fits
from radlatent.fusion.validation.predict import fit_and_predict, log_unused
from radlatent.fusion.validation.suspects import log_suspects
from radlatent.fusion.validation.tuning import Tuned, search_folds
from radlatent.parallel import map_tasks
from radlatent.schema import check_predictions

if TYPE_CHECKING:
    from radlatent.features.endpoint import Endpoint

__all__ = [
    "Result",
    "check_external",
    "cross_validate",
    "fit_folds",
    "validate_externally",
]

_log = logging.getLogger(__name__)

_RUN = ["model", "blocks", "endpoint"]
_ENDS = ["metric", "estimate", "lower", "upper"]


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """What validation found.

    Parameters
    ----------
    predictions
        The **predictions** table; tables of several models are joined by
        ``pandas.concat`` and evaluated together.
    metrics
        The **metrics** table.
    folds
        The **folds** table that was used; of another cohort, all of its patients in one
        fold.
    fits
        One row a fit that was tested: ``model, blocks, endpoint, repeat, fold, n_train,
        n_test, n_pipelines`` (fits that it took, those of a search included),
        ``chosen`` (what a search took, as JSON), ``n_columns_used`` (block to how many
        of its columns the model looks at, as JSON; empty where it does not tell),
        ``origin`` ("measured", "fitted in the fold", "other cohort A", "other patients
        of A", "unknown" where that was declared, or "not told" of features whose table
        lost where they come from; each with its blocks where they differ).
    """

    predictions: pd.DataFrame
    metrics: pd.DataFrame
    folds: pd.DataFrame
    fits: pd.DataFrame

    @property
    def summary(self) -> pd.DataFrame:
        """The **metrics** table."""
        return self.metrics

    @property
    def n_pipelines(self) -> int:
        """How many pipelines were fitted for this result."""
        return int(self.fits["n_pipelines"].sum())

    def plot(self, ax=None, **kwargs):
        """Draw ROC curves, survival by group of risk, or observed against predicted.

        Of competing events the incidence by group of risk. On ``ax``, which is
        returned.
        """
        from radlatent import figures

        if "predicted" in self.predictions:
            table = residuals(self.predictions)
            return figures.observed_predicted(table, ax, **kwargs)

        if "cause" in self.predictions:
            return incidence_by_risk(self.predictions).plot(ax, **kwargs)
        if "risk" in self.predictions:
            return kaplan_meier(self.predictions).plot(ax, **kwargs)
        kwargs.setdefault("metrics", self.metrics)
        return figures.roc(roc_curve(self.predictions), ax, **kwargs)

    def __repr__(self) -> str:
        told = []
        for key, rows in self.metrics.groupby(_RUN, sort=False):
            n, events = rows[["n", "n_events"]].iloc[0]
            known = "" if pd.isna(events) else f", {events} events"
            told.append("{} on {}, {}".format(*key) + f": n = {n}{known}")
            told += [
                f"  {metric:<22}{_interval(*ends)}"
                for metric, *ends in rows[_ENDS].itertuples(index=False)
            ]
        return "\n".join(told)

    def _repr_html_(self) -> str:
        return self.summary.to_html()


def _interval(estimate, lower, upper):
    ends = "" if np.isnan(lower) else f"  ({lower:.3f} to {upper:.3f})"
    return f"{estimate:.3f}{ends}"


def cross_validate(
    model: BaseEstimator,
    features: pd.DataFrame | FoldedFeatures,
    endpoint: "Endpoint",
    folds: pd.DataFrame,
    *,
    name: str | None = None,
    blocks: str = "all",
    jobs: int | None = None,
) -> Result:
    """Fit a copy of the model on all folds but one and predict that one, for each.

    Parameters
    ----------
    model
        A scikit-learn classifier with ``predict_proba``, a regressor for numbers, or,
        for survival, an estimator that is fitted on a structured array (``event,
        time``, of competing events ``cause`` too) and whose ``predict`` is a risk (and
        ``predict_incidence`` probabilities); most often a Pipeline. It stays
        unfitted. Whatever is fitted must be inside it; with ``tune`` around it,
        validation is nested.
    features
        A **features** table indexed by ``patient_id``, or features that were fitted
        fold by fold, of which each fold uses its own table. Patients without an
        outcome are not used. Columns that are the outcome, and patients who are copies,
        are logged (`radlatent.fusion.suspects`).
    endpoint
        An endpoint.
    folds
        A **folds** table of the patients of the endpoint.
    name
        What the tables call the model; None takes the class of its last step.
    blocks
        What the tables call the blocks of the features.
    jobs
        Processes; None leaves it to ``joblib.parallel_config``.

    Raises
    ------
    SchemaError
        The tables do not fit together (all problems are listed at once), or the model
        cannot be fitted in a fold.
    LeakageError
        A patient would be in the training and in the test part of one fold, or a block
        was, or may have been, fitted on patients it is tested on (``check_fitted``).

    Notes
    -----
    Of two classes, ``threshold`` is the share of the positive one among the training
    patients: sensitivity and specificity are those of calling positive who is likelier
    so than the average patient. It needs no outcome of the tested patients, and no
    further fit. Survival probabilities are told for 19 days: the 5 to 95 % quantiles of
    the times of events. They are NaN on days after ``trained_until``, the last one on
    which a training patient was followed: no hazard is known there, and nothing is
    scored (``evaluate``). Of competing events they are ``incidence_<day>``, the
    probability to have had the one of interest by then; ``cause`` says which came
    first, and ``positive`` which is of interest.
    """
    features, folds = with_text_ids(features, folds)
    check_model(model, endpoint)
    splits = check_inputs(features, endpoint, folds)
    _log_empty(features, endpoint.frame.index)
    log_suspects(features, endpoint)
    key = key_of(model, endpoint, name, blocks)
    predictions, fits = predict_folds(model, features, endpoint, splits, key, jobs)
    log_unused(fits)
    return Result(predictions, evaluate(predictions), folds, fits)


def predict_folds(
    model: BaseEstimator,
    features: pd.DataFrame | FoldedFeatures,
    endpoint: "Endpoint",
    splits: dict,
    key: Mapping[str, str] | None = None,
    jobs: int | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the predictions of `cross_validate` and its fits, not evaluated.

    Parameters
    ----------
    model, features, endpoint, jobs
        As in `cross_validate`.
    splits
        Of `check_inputs`.
    key
        ``model``, ``blocks`` and ``endpoint`` as the tables call them; without a model
        no progress is shown.

    Raises
    ------
    SchemaError
        The model cannot be fitted in a fold.
    """
    tasks, scores = {}, {}
    what = f"{key['model']}, {key['blocks']}" if key and key["model"] else ""
    if isinstance(model, Tuned):
        about = (model, partial(_table, features), endpoint, splits)
        told = what and f"Searching {what}"
        scores, failures = search_folds(*about, jobs=jobs, description=told)
        _raise_failures(failures, "the model cannot be fitted")
    for fold, ids in splits.items():
        about = (model, _table(features, fold), endpoint, *ids, scores.get(fold))
        tasks["repeat {}, fold {}".format(*fold)] = about
    told = what and f"Validating {what}"
    outcome = map_tasks(fit_and_predict, tasks, jobs=jobs, description=told)
    _raise_failures(outcome.failures, "the model cannot be fitted")
    found = [
        [part.assign(repeat=repeat, fold=fold) for part in parts]
        for (repeat, fold), parts in zip(splits, outcome.results.values(), strict=True)
    ]
    key = key or {"model": "", "blocks": "", "endpoint": endpoint.name}
    predictions, fits = _named(found, key)
    origins = origin_of_fits(features, splits)
    return predictions, fits.assign(origin=[origins[fold] for fold in splits])


def validate_externally(
    model: BaseEstimator,
    features: pd.DataFrame,
    endpoint: "Endpoint",
    external: tuple[pd.DataFrame, "Endpoint"],
    *,
    name: str | None = None,
    blocks: str = "all",
) -> Result:
    """Fit a copy of the model on one cohort and predict another, once.

    Parameters
    ----------
    model, features, endpoint, name, blocks
        As in `cross_validate`; the model is fitted on all patients of the endpoint.
    external
        Features and endpoint of the other cohort, of the same columns and name. Nothing
        is fitted on its patients.

    Raises
    ------
    SchemaError
        The tables do not fit together, or the model cannot be fitted.
    LeakageError
        The cohorts share patients, or a block was fitted on patients of the other one.
    """
    features, _ = with_text_ids(features)
    ours = _Side(features, endpoint)
    theirs = _Side(with_text_ids(external[0])[0], external[1])
    check_model(model, endpoint)
    check_external(features, endpoint, theirs.features, theirs.endpoint)
    train, test = ours.patients, theirs.patients
    splits = {(0, 0): (train, test)}
    check_fitted(theirs.features, splits)
    log_suspects(features, endpoint)
    tested = theirs.features.loc[test, features.columns]
    both = pd.concat([features.loc[train], tested])
    frames = [side.endpoint.frame for side in (ours, theirs)]
    pair = replace(endpoint, frame=pd.concat(frames))
    try:
        parts = fit_and_predict(model, both, pair, train, test)
    except ValueError as error:
        raise SchemaError(f"the model cannot be fitted: {error}") from error
    folds = pd.DataFrame({"patient_id": test, "repeat": 0, "fold": 0})
    found = [[part.assign(repeat=0, fold=0) for part in parts]]
    key = key_of(model, endpoint, name, blocks)
    predictions, fits = _named(found, key)
    log_unused(fits)
    fits["origin"] = origin_of_fits(theirs.features, splits)[0, 0]
    return Result(predictions, evaluate(predictions), folds, fits)


@dataclass(frozen=True, eq=False)
class _Side:
    """One of two cohorts: features, and the outcomes of their patients."""

    features: pd.DataFrame
    endpoint: "Endpoint"

    @property
    def patients(self):
        return self.endpoint.frame.index.tolist()


def check_external(
    features: pd.DataFrame,
    endpoint: "Endpoint",
    other_features: pd.DataFrame,
    other_endpoint: "Endpoint",
) -> None:
    """Raise what `validate_externally` would raise before it fits a model.

    Parameters
    ----------
    features, endpoint
        As in `validate_externally`; the values of the features are not looked at.
    other_features, other_endpoint
        Of the other cohort.
    """
    ours, theirs = _Side(features, endpoint), _Side(other_features, other_endpoint)
    for side in (ours, theirs):
        check_table(side.features, side.endpoint)
    problems = []
    shared = sorted(set(ours.patients) & set(theirs.patients))
    if shared:
        msg = (
            f"{len(shared)} patients are in both cohorts: {shared[:5]}. If they are "
            "the same people, leave them out of one; else rename them."
        )
        raise LeakageError(msg)
    for side, what in ((ours, "training"), (theirs, "external")):
        absent = sorted(set(side.patients) - set(side.features.index))
        if absent:
            problems.append(
                f"{len(absent)} {what} patients have no features: {absent[:5]}"
            )
    absent = [c for c in ours.features if c not in theirs.features]
    if absent:
        problems.append(
            f"the external features lack {len(absent)} columns: {absent[:5]}"
        )
    kinds = [side.endpoint.kind for side in (ours, theirs)]
    if kinds[0] != kinds[1]:
        problems.append(f"the endpoints are of kinds {kinds}")
    elif kinds[0] == "class":
        unknown = set(theirs.endpoint.strata) - set(ours.endpoint.strata)
        if unknown:
            problems.append(f"classes {sorted(unknown)} are not in training")
    else:
        problems += pair_problems(ours.endpoint, theirs.endpoint)
    if problems:
        raise SchemaError("the cohorts do not fit: " + "; ".join(problems) + ".")


def key_of(
    model: BaseEstimator,
    endpoint: "Endpoint",
    name: str | None = None,
    blocks: str = "all",
) -> dict[str, str]:
    """Return what the tables call a model, its blocks and the endpoint.

    Parameters
    ----------
    model, endpoint, name, blocks
        As in `cross_validate`.
    """
    return {
        "model": name or _name(model),
        "blocks": blocks,
        "endpoint": endpoint.name,
    }


def _named(found, key):
    """Return the predictions and the fits of all folds, named."""
    tables = []
    for parts in zip(*found, strict=True):
        table = pd.concat(parts, ignore_index=True)
        first = ["repeat", "fold"]
        table = table[first + [c for c in table if c not in first]]
        for at, (column, value) in enumerate(key.items()):
            table.insert(at, column, value)
        tables.append(table)
    return check_predictions(tables[0]), tables[1]


def _name(model):
    model = getattr(model, "estimator", model)
    return type(model[-1] if isinstance(model, Pipeline) else model).__name__


def _table(features, key):
    return features.at(*key) if isinstance(features, FoldedFeatures) else features


def _raise_failures(failures, what):
    if failures:
        told = "; ".join(f"{name}: {text}" for name, (_, text) in failures.items())
        raise SchemaError(f"{what}: {told}")


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
    features, folds = with_text_ids(features, folds)
    check_model(model, endpoint)
    splits = check_inputs(features, endpoint, folds)
    _log_empty(features, endpoint.frame.index)
    for (repeat, fold), (train, test) in splits.items():
        table = _table(features, (repeat, fold))
        try:
            fitted = clone(model).fit(table.loc[train], outcome_of(endpoint, train))
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
