"""How a model's metric grows with the number of training patients.

A model, features, an endpoint and folds enter, as in ``cross_validate``; a **metrics**
table by number of training patients leaves.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone, is_regressor

from radlatent.errors import SchemaError
from radlatent.features.endpoint import groups_of
from radlatent.features.folded import FoldedFeatures
from radlatent.fusion.metrics.evaluate import evaluate
from radlatent.fusion.validation.inputs import check_inputs, check_model, with_text_ids
from radlatent.fusion.validation.validate import key_of, predict_folds

if TYPE_CHECKING:
    from radlatent.features.endpoint import Endpoint

__all__ = ["learning_curve"]


def learning_curve(
    model: BaseEstimator,
    features: pd.DataFrame | FoldedFeatures,
    endpoint: "Endpoint",
    folds: pd.DataFrame,
    *,
    sizes: Sequence[int] | None = None,
    random_state: int | np.random.Generator | None = 0,
) -> pd.DataFrame:
    """Return out-of-fold metrics of models of fewer training patients.

    Parameters
    ----------
    model, features, endpoint, folds
        As in ``cross_validate``.
    sizes
        Numbers of training patients; None takes five even steps up to all of them.
    random_state
        Seed or Generator of who is left out.

    Returns
    -------
    DataFrame
        ``n_train``, then the columns of a **metrics** table, one row a size and metric.
        Estimates and intervals are those of ``evaluate``: of one run of
        cross-validation, over patients and repeats.

    Raises
    ------
    SchemaError
        A size is below 2 or above the training patients of a fold, or leaves out a
        class or all events; or as in ``cross_validate``.
    LeakageError
        As in ``cross_validate``.

    Notes
    -----
    Every size tests the same patients. Its training patients are a part of those of the
    next size, with classes, events and censored, or low and high numbers in the same
    shares. A curve that
    still rises at its end says that more patients would help; one that is flat says
    little where its interval is wide. Latent features are those of the encoder of the
    fold, which saw all of its training patients: the curve is that of the last model.

    References
    ----------
    Mukherjee et al. 2003, doi:10.1089/106652703321825928; Figueroa et al. 2012,
    doi:10.1186/1472-6947-12-8
    """
    features, folds = with_text_ids(features, folds)
    check_model(model, endpoint)
    splits = check_inputs(features, endpoint, folds)
    most = min(len(train) for train, _ in splits.values())
    if sizes is None:
        sizes = (np.linspace(0.2, 1, 5) * most).round().astype(int)
    wrong = [size for size in sizes if not 2 <= size <= most]
    if wrong:
        msg = f"sizes {wrong} are not between 2 and {most}, the patients in training."
        raise SchemaError(msg)
    seed = int(np.random.default_rng(random_state).integers(2**31))
    # not cross_validate, which would tell of each size what the tables do not
    parts, key = [], key_of(model, endpoint)
    for size in sorted({int(size) for size in sizes}):
        fewer = _Fewer(model, size, seed)
        predictions, _ = predict_folds(fewer, features, endpoint, splits, key)
        metrics = evaluate(predictions)
        metrics.insert(0, "n_train", size)
        parts.append(metrics)
    return pd.concat(parts, ignore_index=True)


class _Fewer(BaseEstimator):
    """Fits an estimator on some of the training patients.

    What ``fit`` returns is tested, so that it need not pass on what a model can do.
    """

    def __init__(self, estimator, size, random_state):
        self.estimator = estimator
        self.size = size
        self.random_state = random_state

    def fit(self, X, y):
        """Return a fitted copy of the estimator itself."""
        outcome = np.asarray(y)
        numbers = is_regressor(self.estimator)
        strata = outcome["event"] if outcome.dtype.names else outcome
        strata = groups_of(outcome, 2) if numbers else strata
        rows = _nested(strata, np.random.default_rng(self.random_state))[: self.size]
        # of survival, events are learned, and censored patients need not be there
        needed = {True} if outcome.dtype.names else set(() if numbers else strata)
        absent = needed - set(strata[rows])
        if absent:
            msg = f"{self.size} training patients leave out {sorted(absent)}."
            raise ValueError(msg)
        part = y.iloc[rows] if isinstance(y, pd.Series) else y[rows]
        return clone(self.estimator).fit(X.iloc[rows], part)


def _nested(strata, rng):
    """Return the rows in an order of which every beginning is stratified."""
    place = np.empty(len(strata))
    for label in np.unique(strata):
        rows = rng.permutation(np.flatnonzero(strata == label))
        place[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
    return np.argsort(place, kind="stable")
