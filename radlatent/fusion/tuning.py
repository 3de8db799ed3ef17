"""Settings of a model, chosen on inner folds of the training patients.

A model and a grid enter, an estimator leaves that searches when it is fitted: inside
``cross_validate`` validation is nested.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.model_selection import BaseCrossValidator, GridSearchCV, StratifiedKFold
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from radlatent.errors import SchemaError
from radlatent.fusion.metrics import auc
from radlatent.fusion.runs import Risks
from radlatent.schema import nearest

__all__ = ["InnerFolds", "Tuned", "rank_score", "tune"]


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
        from radlatent.fusion.survival_metrics import c_harrell

        risks = Risks(fitted.predict(X), np.empty((len(X), 0)), np.empty(0))
        return float(c_harrell(y, risks, ones)[0])
    truth = np.searchsorted(fitted.classes_, y)
    return float(auc(truth, fitted.predict_proba(X), ones)[0])


def _gives_survival(tuned):
    return hasattr(tuned.estimator, "predict_survival")


class Tuned(GridSearchCV):
    """A grid search that also passes survival probabilities on."""

    @available_if(_gives_survival)
    def predict_survival(self, X: pd.DataFrame, times: np.ndarray) -> np.ndarray:
        """Return probabilities to be free of the event, shape (n_patients, n_times)."""
        check_is_fitted(self)
        return self.best_estimator_.predict_survival(X, times)


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
