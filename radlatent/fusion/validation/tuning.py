"""Settings of a model, chosen on inner folds of the training patients.

A model and a grid enter, an estimator leaves that searches when it is fitted: inside
``cross_validate`` validation is nested.
"""

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_regressor
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import BaseCrossValidator, ParameterGrid, PredefinedSplit
from sklearn.pipeline import Pipeline
from sklearn.utils import assert_all_finite, column_or_1d, get_tags, indexable
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from radlatent.errors import SchemaError
from radlatent.features.endpoint import groups_of, strata_of
from radlatent.features.folds import deal, whose_rows
from radlatent.fusion.metrics.arrays import Risks
from radlatent.fusion.metrics.classes import auc
from radlatent.fusion.metrics.continuous import r2
from radlatent.fusion.metrics.survival import c_harrell
from radlatent.fusion.models import FAMILIES
from radlatent.fusion.solvers.boosted import GrownOnce
from radlatent.fusion.solvers.calibrated import Calibrated
from radlatent.fusion.validation.inputs import outcome_of
from radlatent.parallel import map_tasks
from radlatent.schema import nearest

if TYPE_CHECKING:
    from radlatent.features.endpoint import Endpoint

__all__ = [
    "InnerFolds",
    "Tuned",
    "rank_score",
    "search_folds",
    "settings_of",
    "tune",
]


class InnerFolds(BaseCrossValidator):
    """Parts of the training patients, stratified by class, or by event (`strata_of`).

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
        """Yield the places of training and of test patients; copies stay together."""
        y = np.asarray(y)
        survival = bool(y.dtype.names)
        strata = y["event"].astype(bool) if survival else y
        try:
            strata = strata_of(strata, self.n_folds, survival=survival)
        except ValueError:
            counts = np.unique(strata, return_counts=True)[1]
            smallest = int(strata.sum()) if survival else counts.min()
            msg = (
                f"{smallest} {'events' if survival else 'patients of a class'} are "
                f"left in training, fewer than the {self.n_folds} inner folds. Use "
                f"n_folds={max(2, smallest)} or fewer."
            )
            raise ValueError(msg) from None
        seed = self.random_state
        part = deal(whose_rows(X), self.n_folds, strata=strata, random_state=seed)
        yield from PredefinedSplit(part).split()

    def get_n_splits(self, X=None, y=None, groups=None):
        """Return the number of parts."""
        return self.n_folds


def rank_score(fitted: BaseEstimator, X: pd.DataFrame, y) -> float:
    """Return the AUC (of several classes the macro average), Harrell's C, or R2."""
    y = np.asarray(y)
    ones = np.ones((1, len(y)))
    if is_regressor(fitted):
        return float(r2(y, fitted.predict(X), ones)[0])
    if y.dtype.names:
        risks = Risks(fitted.predict(X), np.empty((len(y), 0)), np.empty(0))
        return float(c_harrell(y, risks, ones)[0])
    truth = np.searchsorted(fitted.classes_, y)
    return float(auc(truth, fitted.predict_proba(X), ones)[0])


def _offers(name):
    """Return a check whether the model that is tuned has a method."""
    return lambda tuned: hasattr(
        getattr(tuned, "best_estimator_", tuned.estimator), name
    )


class Tuned(MetaEstimatorMixin, BaseEstimator):
    """A search on inner folds that does once what its candidates share.

    The steps of a Pipeline before the first that has a candidate are fitted once for
    each inner fold, and one fit of boosted trees serves all numbers of them. What is
    found is what scikit-learn's GridSearchCV finds. Curves of a `SurvivalPipeline`, or
    a `CompetingPipeline`, are fitted for the chosen candidate only: they do not rank.

    Parameters
    ----------
    estimator
        The unfitted model.
    param_grid
        Name of a setting to its candidates, as of `tune`.
    cv
        The `InnerFolds`; None takes five.

    Attributes
    ----------
    best_estimator_
        The chosen candidate, fitted to all patients; what `Tuned` predicts is its.
    best_params_, best_score_, best_index_
        Its settings by the names of the grid, its mean score, its number among the
        candidates.
    cv_results_
        ``params``, and ``mean_test_score`` and ``std_test_score`` over inner folds.
    n_splits_
        Inner folds.
    """

    def __init__(
        self,
        estimator: BaseEstimator,
        param_grid: Mapping[str, Sequence],
        *,
        cv: InnerFolds | None = None,
    ):
        self.estimator = estimator
        self.param_grid = param_grid
        self.cv = cv

    def fit(self, X: pd.DataFrame, y: ArrayLike) -> "Tuned":
        """Search on inner folds of ``X`` and fit the best candidate to all of it."""
        X, y = indexable(X, _checked(y, numbers=is_regressor(self.estimator)))
        scores = [
            self.score_fold(*(_rows(part, p) for p in places for part in (X, y)))
            for places in self.split(X, y)
        ]
        return self.choose(X, y, scores)

    def _grid(self):
        """Return the grid by the names that ``set_params`` takes."""
        names = settings_of(self.estimator)
        return {names.get(k, k): values for k, values in self.param_grid.items()}

    def split(self, X: ArrayLike, y: ArrayLike):
        """Yield the places of training and of test patients of each inner fold."""
        folds = self.cv or InnerFolds()
        if is_regressor(self.estimator):
            y = groups_of(np.asarray(y, dtype=float), folds.n_folds)
        yield from folds.split(X, y)

    def score_fold(
        self, X: pd.DataFrame, y: ArrayLike, unseen: pd.DataFrame, truth: ArrayLike
    ) -> list[float]:
        """Return the score of each candidate, fitted to ``X``, on the unseen."""
        grid = self._grid()
        fits, shared = _plan(self.estimator, grid)
        first, rest = _divide(self.estimator, grid)
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

    def choose(
        self, X: pd.DataFrame, y: ArrayLike, scores: list[list[float]]
    ) -> "Tuned":
        """Fit the candidate with the best mean of ``scores``, a list an inner fold.

        An inner fold that scores no candidate, as one without a patient of a class,
        tells nothing of any and is left out.

        Raises
        ------
        SchemaError
            No inner fold scores one.
        """
        grid = self._grid()
        given = dict(zip(grid, self.param_grid, strict=True))
        fits, shared = _plan(self.estimator, grid)
        candidates = [settings | lot for settings in fits for lot in shared]
        named = [{given[k]: v for k, v in lot.items()} for lot in candidates]
        self.n_splits_ = len(scores)
        known = _known_folds(scores)
        mean = np.mean(known, axis=0)
        results = {"params": named, "mean_test_score": mean}
        self.cv_results_ = results | {"std_test_score": np.std(known, axis=0)}
        # a score that is not defined in a fold says nothing for a candidate
        self.best_index_ = int(np.argmax(np.nan_to_num(mean, nan=-np.inf)))
        self.best_score_ = mean[self.best_index_]
        self.best_params_ = named[self.best_index_]
        chosen = candidates[self.best_index_]
        best = clone(self.estimator).set_params(**clone(chosen, safe=False))
        self.best_estimator_ = best.fit(X, y)
        # what scikit-learn knows of a fitted model, where the model knows it
        for name in ("classes_", "n_features_in_", "feature_names_in_"):
            if hasattr(best, name):
                setattr(self, name, getattr(best, name))
        return self

    @available_if(_offers("predict"))
    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Return the classes, numbers or risks that the chosen model predicts."""
        check_is_fitted(self)
        return self.best_estimator_.predict(X)

    @available_if(_offers("predict_proba"))
    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """Return a probability of each class, shape (n_patients, n_classes)."""
        check_is_fitted(self)
        return self.best_estimator_.predict_proba(X)

    @available_if(_offers("predict_survival"))
    def predict_survival(self, X: pd.DataFrame, times: ArrayLike) -> np.ndarray:
        """Return probabilities to be free of the event, shape (n_patients, n_times)."""
        check_is_fitted(self)
        return self.best_estimator_.predict_survival(X, times)

    @available_if(_offers("predict_incidence"))
    def predict_incidence(self, X: pd.DataFrame, times: ArrayLike) -> np.ndarray:
        """Return probabilities of competing events, (n_causes, n_patients, n_times)."""
        check_is_fitted(self)
        return self.best_estimator_.predict_incidence(X, times)

    def score(self, X: pd.DataFrame, y: ArrayLike) -> float:
        """Return what candidates are ranked by: the AUC, Harrell's C, or R2."""
        return rank_score(self, X, y)

    def __sklearn_tags__(self):
        tags, model = super().__sklearn_tags__(), get_tags(self.estimator)
        tags.estimator_type = model.estimator_type
        tags.classifier_tags = model.classifier_tags
        tags.regressor_tags = model.regressor_tags
        tags.target_tags = model.target_tags
        tags.input_tags = model.input_tags
        return tags


#: What builders call settings.
_WORDS = {
    word
    for families in FAMILIES.values()
    for build in families.values()
    for word in signature(build).parameters
}

#: Settings of scikit-learn that have the name of another one of a builder.
_OTHERS = {LogisticRegression: ("penalty", "l1_ratio")}


def settings_of(model: BaseEstimator) -> dict[str, str]:
    """Return the names by which a grid may call settings, to those of ``set_params``.

    Parameters
    ----------
    model
        Unfitted.

    Notes
    -----
    Every name of ``model.get_params()``, and the last part of one, where builders use
    that word and only one of the steps has it: ``C`` for ``classify__C``.
    """
    known = model.get_params()
    found = {name: [name] for name in known}
    for name in known:
        owner, _, last = name.rpartition("__")
        other = last in _OTHERS.get(type(known.get(owner)), ())
        if owner and last in _WORDS - known.keys() and not other:
            found.setdefault(last, []).append(name)
    return {short: names[0] for short, names in found.items() if len(names) == 1}


def _checked(y, *, numbers=False):
    """Return an outcome of one dimension: classes, numbers or survival."""
    if getattr(getattr(y, "dtype", None), "names", None):
        return y
    if not isinstance(y, pd.Series):
        y = column_or_1d(y, warn=True)
    if len(y) < 2:
        msg = f"n_samples={len(y)}: a search takes patients to fit, and to test."
        raise ValueError(msg)
    assert_all_finite(y, input_name="y")
    if not numbers:
        check_classification_targets(y)
    return y


def _known_folds(scores):
    """Return the scores of inner folds that tell something, shape (n_folds, n)."""
    scores = np.asarray(scores, dtype=float)
    known = scores[~np.isnan(scores).all(axis=1)]
    if not len(known):
        msg = (
            "no inner fold of the search scores a candidate: none has patients of both "
            "outcomes. Take fewer inner folds, or a model that needs no search."
        )
        raise SchemaError(msg)
    return known


def _rows(table, places):
    if hasattr(table, "iloc"):
        return table.iloc[places]
    return (table if hasattr(table, "shape") else np.asarray(table))[places]


def _plan(model, grid):
    """Return the settings that are fitted, and those that each of these fits serves."""
    fits, shared, parts = dict(grid), {}, model.get_params()
    for name in grid:
        step, _, setting = name.rpartition("__")
        boosted = isinstance(parts.get(step) if step else model, GrownOnce)
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
    # the curves of survival take five more fits and do not rank
    kind = Pipeline if isinstance(model, Calibrated) else type(model)
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
            parts = [*tuned.split(ids, outcome_of(endpoint, train))]
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


def _score_fold(tuned, table, endpoint, inside, held):
    train, test = outcome_of(endpoint, inside), outcome_of(endpoint, held)
    return tuned.score_fold(table.loc[inside], train, table.loc[held], test)


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
        An unfitted classifier, regressor or survival estimator, most often a Pipeline.
    grid
        Name of a setting to its candidates, as its builder calls it, ``C`` or
        ``n_features``, or as of ``model.get_params()``: ``classify__C``.
    n_folds
        Inner folds, stratified by class, event or groups of similar numbers.
    random_state
        Seed of these folds.

    Raises
    ------
    SchemaError
        The model has no such setting, several steps have one of this name, or a setting
        has no candidate.

    Notes
    -----
    Candidates are ranked by the mean over inner folds of the AUC (of several classes
    the macro average), of Harrell's C, or of R2; ties go to the first. The chosen one
    is fitted again on all training patients. Fitted inside ``cross_validate``, no
    tested patient takes part: the table tells the AUC of the search, not that of its
    best candidate. There every inner fold is a task of its own, for ``jobs`` and for
    progress.

    What changes which steps there are has no candidates: ``kind``, ``penalty`` of
    ``logistic``, ``prepare``. Search ``n_features`` of a model that was built with some
    number of them.

    References
    ----------
    Varma & Simon 2006, doi:10.1186/1471-2105-7-91

    Examples
    --------
    >>> from radlatent import logistic
    >>> tune(logistic(n_features=10), {"C": [0.01, 0.1, 1]}).param_grid
    {'C': [0.01, 0.1, 1]}
    """
    known = settings_of(model)
    problems = [f"no setting {k!r}{nearest(k, known)}" for k in grid if k not in known]
    problems += [f"{k!r} has no candidate" for k, v in grid.items() if not len(v)]
    if problems or not grid:
        told = "; ".join(problems) or "it is empty"
        raise SchemaError(f"grid of {type(model).__name__}: {told}.")
    lists = {k: list(values) for k, values in grid.items()}
    return Tuned(model, lists, cv=InnerFolds(n_folds, random_state))
