"""Settings of a model, chosen on inner folds of the training patients.

A model and a grid enter, an estimator leaves that searches when it is fitted: inside
``cross_validate`` validation is nested.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import (
    BaseCrossValidator,
    GridSearchCV,
    ParameterGrid,
    StratifiedKFold,
)
from sklearn.pipeline import Pipeline
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from radlatent.errors import SchemaError
from radlatent.fusion.metrics.arrays import Risks
from radlatent.fusion.metrics.evaluate import auc
from radlatent.fusion.models.classes import Boosted
from radlatent.fusion.models.survival import SurvivalPipeline
from radlatent.fusion.validation.inputs import outcome_of
from radlatent.parallel import map_tasks
from radlatent.schema import nearest

if TYPE_CHECKING:
    from radlatent.features.endpoint import Endpoint

__all__ = ["InnerFolds", "Tuned", "rank_score", "search_folds", "tune"]


class InnerFolds(BaseCrossValidator):
    """Parts of the training patients, stratified by class or by event.

    Parameters
    ----------
    n_folds
        Parts.
    random_state
        Seed of the dealing.
    """

    def __init__(self, n_folds: int = 5, random_state: int | None = 0):
        self.n_folds = n_folds
        self.random_state = random_state

    def split(self, X, y=None, groups=None):
        """Yield the places of training and of test patients."""
        y = np.asarray(y)
        strata = y["event"] if y.dtype.names else y
        smallest = np.unique(strata, return_counts=True)[1].min()
        if smallest < self.n_folds:
            what = "events" if y.dtype.names else "patients of a class"
            msg = (
                f"{smallest} {what} are left in training, fewer than the "
                f"{self.n_folds} inner folds. Use n_folds={max(2, smallest)} or fewer."
            )
            raise ValueError(msg)
        dealt = StratifiedKFold(
            self.n_folds, shuffle=True, random_state=self.random_state
        )
        yield from dealt.split(np.zeros(len(y)), strata)

    def get_n_splits(self, X=None, y=None, groups=None):
        """Return the number of parts."""
        return self.n_folds


def rank_score(fitted: BaseEstimator, X: pd.DataFrame, y) -> float:
    """Return the AUC (of several classes the macro average) or Harrell's C."""
    ones = np.ones((1, len(X)))
    y = np.asarray(y)
    if y.dtype.names:
        from radlatent.fusion.metrics.survival import c_harrell

        risks = Risks(fitted.predict(X), np.empty((len(X), 0)), np.empty(0))
        return float(c_harrell(y, risks, ones)[0])
    truth = np.searchsorted(fitted.classes_, y)
    return float(auc(truth, fitted.predict_proba(X), ones)[0])


def _gives_survival(tuned):
    return hasattr(tuned.estimator, "predict_survival")


class Tuned(GridSearchCV):
    """A grid search that does once what its candidates share.

    The steps of a Pipeline before the first that has a candidate are fitted once for
    each inner fold, and one fit of `Boosted` serves all numbers of its trees. What is
    found is what a plain search finds. The curve of a `SurvivalPipeline` is fitted for
    the chosen candidate only, as it does not rank. Survival probabilities pass through.

    Attributes
    ----------
    cv_results_
        ``params``, and ``mean_test_score`` and ``std_test_score`` over inner folds.
    """

    def fit(self, X: pd.DataFrame, y) -> "Tuned":
        """Search on inner folds of ``X`` and fit the best candidate to all of it."""
        scores = []
        for places in self.cv.split(X, y):
            train, test = ((X.iloc[p], _rows(y, p)) for p in places)
            scores.append(self.score_fold(train, test))
        return self.choose(X, y, scores)

    def score_fold(self, train: tuple, test: tuple) -> list[float]:
        """Return the score of each candidate; train and test are (X, y)."""
        (X, y), (unseen, truth) = train, test
        fits, shared = _plan(self.estimator, self.param_grid)
        first, rest = _divide(self.estimator, self.param_grid)
        if first is not None:
            X = first.fit_transform(X, y)
            unseen = first.transform(unseen)
        largest = {name: max(lot[name] for lot in shared) for name in shared[0]}
        scores = []
        for settings in fits:
            model = clone(rest).set_params(**clone(settings, safe=False), **largest)
            model.fit(X, y)
            for lot in shared:
                scores.append(rank_score(model.set_params(**lot), unseen, truth))
        return scores

    def choose(self, X: pd.DataFrame, y, scores: list[list[float]]) -> "Tuned":
        """Fit the candidate with the best mean of ``scores``, a list an inner fold."""
        fits, shared = _plan(self.estimator, self.param_grid)
        candidates = [settings | lot for settings in fits for lot in shared]
        mean = np.mean(scores, axis=0)
        results = {"params": candidates, "mean_test_score": mean}
        self.cv_results_ = results | {"std_test_score": np.std(scores, axis=0)}
        self.n_splits_ = len(scores)
        self.scorer_, self.multimetric_ = self.scoring, False
        # a score that is not defined in a fold says nothing for a candidate
        self.best_index_ = int(np.argmax(np.nan_to_num(mean, nan=-np.inf)))
        self.best_score_ = mean[self.best_index_]
        self.best_params_ = candidates[self.best_index_]
        best = clone(self.estimator).set_params(**clone(self.best_params_, safe=False))
        self.best_estimator_ = best.fit(X, y)
        if hasattr(best, "feature_names_in_"):
            self.feature_names_in_ = best.feature_names_in_
        return self

    @available_if(_gives_survival)
    def predict_survival(self, X: pd.DataFrame, times: np.ndarray) -> np.ndarray:
        """Return probabilities to be free of the event, shape (n_patients, n_times)."""
        check_is_fitted(self)
        return self.best_estimator_.predict_survival(X, times)


def _rows(y, places):
    return y.iloc[places] if isinstance(y, pd.Series) else y[places]


def _plan(model, grid):
    """Return the settings that are fitted, and those that each of these fits serves."""
    fits, shared, parts = dict(grid), {}, model.get_params()
    for name in grid:
        step, _, setting = name.rpartition("__")
        boosted = isinstance(parts.get(step) if step else model, Boosted)
        if boosted and setting == "n_estimators" and step not in grid:
            shared[name] = fits.pop(name)
    return [*ParameterGrid(fits)], [*ParameterGrid(shared)]


def _divide(model, grid):
    """Return the steps that no candidate changes, or None, and the others."""
    if not isinstance(model, Pipeline):
        return None, model
    names = [name for name, _ in model.steps]
    changed = [name.split("__")[0] for name in grid]
    start = min(names.index(name) if name in names else 0 for name in changed)
    # the curve of a SurvivalPipeline takes five more fits and does not rank
    kind = Pipeline if type(model) is SurvivalPipeline else type(model)
    rest = kind(model.steps[start:])
    return clone(Pipeline(model.steps[:start])) if start else None, rest


def search_folds(
    tuned: Tuned,
    table_of: Callable[[tuple[int, int]], pd.DataFrame],
    endpoint: "Endpoint",
    splits: dict,
    *,
    jobs: int | None = None,
    description: str = "",
) -> tuple[dict, dict]:
    """Search in each fold, with a task for each of its inner folds.

    Parameters
    ----------
    tuned
        Of `tune`.
    table_of
        (repeat, fold) to the **features** table.
    endpoint, jobs
        As in ``cross_validate``.
    splits
        Of ``check_inputs``.
    description
        What the progress bar says; an empty text shows nothing.

    Returns
    -------
    dict
        (repeat, fold) to the scores that ``Tuned.choose`` takes.
    dict
        Name of a fold or an inner fold that failed to (type of error, message).
    """
    tasks, failures, keys = {}, {}, []
    for key, (train, _) in splits.items():
        name, ids = "repeat {}, fold {}".format(*key), np.array(train, dtype=object)
        try:
            parts = [*tuned.cv.split(ids, outcome_of(endpoint, train))]
        except ValueError as error:
            failures[name] = (type(error).__name__, str(error))
            continue
        for number, part in enumerate(parts):
            inside, held = (ids[places].tolist() for places in part)
            about = (tuned, table_of(key), endpoint, inside, held)
            tasks[f"{name}, inner fold {number}"] = about
            keys.append(key)
    if failures:
        return {}, failures
    outcome = map_tasks(_score_fold, tasks, jobs=jobs, description=description)
    scores = {key: [] for key in splits}
    if not outcome.failures:
        for key, found in zip(keys, outcome.results.values(), strict=True):
            scores[key].append(found)
    return scores, outcome.failures


def _score_fold(tuned, table, endpoint, *patients):
    parts = ((table.loc[ids], outcome_of(endpoint, ids)) for ids in patients)
    return tuned.score_fold(*parts)


def tune(
    model: BaseEstimator,
    grid: Mapping[str, Sequence],
    *,
    n_folds: int = 5,
    random_state: int | None = 0,
) -> Tuned:
    """Return an estimator that chooses settings of a model when it is fitted.

    Parameters
    ----------
    model
        An unfitted classifier or survival estimator, most often a Pipeline.
    grid
        Name of a setting to its candidates, as of ``model.get_params()``; in a Pipeline
        ``classify__C``, ``select__n_features``.
    n_folds
        Inner folds, stratified by class or event.
    random_state
        Seed of these folds.

    Raises
    ------
    SchemaError
        The model has no such setting, or a setting has no candidate.

    Notes
    -----
    Candidates are ranked by the mean over inner folds of the AUC (of several classes
    the macro average) or of Harrell's C; ties go to the first. The chosen one is fitted
    again on all training patients. Fitted inside ``cross_validate``, no tested patient
    takes part: the table tells the AUC of the search, not that of its best candidate.
    There every inner fold is a task of its own, for ``jobs`` and for progress.

    References
    ----------
    Varma & Simon 2006, doi:10.1186/1471-2105-7-91

    Examples
    --------
    >>> from radlatent import logistic
    >>> tune(logistic(n_features=10), {"classify__C": [0.01, 0.1, 1]}).param_grid
    {'classify__C': [0.01, 0.1, 1]}
    """
    known = model.get_params()
    problems = [f"no setting {k!r}{nearest(k, known)}" for k in grid if k not in known]
    problems += [f"{k!r} has no candidate" for k, v in grid.items() if not len(v)]
    if problems or not grid:
        told = "; ".join(problems) or "it is empty"
        raise SchemaError(f"grid of {type(model).__name__}: {told}.")
    lists = {k: list(values) for k, values in grid.items()}
    inner = InnerFolds(n_folds, random_state)
    return Tuned(model, lists, scoring=rank_score, cv=inner, error_score="raise")
