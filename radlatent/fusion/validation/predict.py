"""One fit and its predictions: a fold, or another cohort.

A model, features, an endpoint and two lists of patients enter; rows of the
**predictions** table and one of the **fits** table leave. The latter counts the columns
of each block that the fitted model looks at; a block that no fit looks at is logged.
"""

import json
import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline

from radlatent.features.endpoint import SHORT
from radlatent.features.origin import blocks_of
from radlatent.fusion.validation.inputs import outcome_of

if TYPE_CHECKING:
    from radlatent.features.endpoint import Endpoint

__all__ = ["columns_used", "fit_and_predict", "log_unused"]

_log = logging.getLogger(__name__)

#: Quantiles of the event times at which survival is predicted.
_QUANTILES = np.linspace(0.05, 0.95, 19)


def fit_and_predict(
    model: BaseEstimator,
    table: pd.DataFrame,
    endpoint: "Endpoint",
    train: list[str],
    test: list[str],
    scores: list[list[float]] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the predictions of the test patients, and what the fit took.

    Parameters
    ----------
    model, endpoint
        As in `cross_validate`; a copy of the model is fitted.
    table
        Features of all of these patients.
    train, test
        Who the copy is fitted on, and who it predicts.
    scores
        Of a search on these training patients that is done, a list an inner fold.
    """
    fitted, X, y = clone(model), table.loc[train], outcome_of(endpoint, train)
    fitted = fitted.fit(X, y) if scores is None else fitted.choose(X, y, scores)
    predict = _PREDICT[endpoint.kind]
    predictions = predict(fitted, table.loc[test], endpoint, train)
    search = getattr(fitted, "cv_results_", {"params": []})
    n_inner = getattr(fitted, "n_splits_", 0)
    fits = {"n_train": len(train), "n_test": len(test)}
    fits |= {"n_pipelines": 1 + len(search["params"]) * n_inner}
    fits |= {"chosen": json.dumps(getattr(fitted, "best_params_", {}), default=str)}
    fits |= {"n_columns_used": columns_used(fitted, X)}
    return predictions, pd.DataFrame([fits])


def _predict_classes(fitted, test, endpoint, train):
    part = {"patient_id": test.index}
    part |= {"truth": endpoint.frame["class"].loc[test.index].to_numpy()}
    chances = fitted.predict_proba(test).T
    part |= {
        f"probability_{c}": p for c, p in zip(fitted.classes_, chances, strict=True)
    }
    if len(fitted.classes_) == 2:
        trained = endpoint.frame["class"].loc[train]
        positive = endpoint.positive or fitted.classes_[-1]
        part |= {"threshold": float((trained == positive).mean())}
        part |= {"positive": positive} if endpoint.positive else {}
    return pd.DataFrame(part)


def _predict_survival(fitted, test, endpoint, train):
    frame = endpoint.frame.loc[test.index]
    until = float(endpoint.frame["time"].loc[train].max())
    part = {"patient_id": test.index, "time": frame["time"].to_numpy(float)}
    part |= {"event": (frame["event"] == 1).to_numpy(int)}
    part |= {"risk": fitted.predict(test), "trained_until": until}
    if hasattr(fitted, "predict_survival"):
        days = _days(endpoint.frame)
        chances = fitted.predict_survival(test, days)
        # a Weibull curve goes on where nobody was followed
        chances = np.where(days <= until, chances, np.nan).T
        part |= {f"survival_{d:g}": p for d, p in zip(days, chances, strict=True)}
    return pd.DataFrame(part)


def _predict_competing(fitted, test, endpoint, train):
    part = _predict_survival(fitted, test, endpoint, train)
    part.insert(3, "cause", endpoint.frame["cause"].loc[test.index].to_numpy())
    part.insert(4, "positive", endpoint.positive)
    if hasattr(fitted, "predict_incidence"):
        days = _days(endpoint.frame)
        found = fitted.predict_incidence(test, days)[0].T
        named = {f"incidence_{d:g}": p for d, p in zip(days, found, strict=True)}
        part = part.assign(**named)
    return part


def _predict_numbers(fitted, test, endpoint, train):
    part = {"patient_id": test.index}
    part |= {"value": endpoint.frame["value"].loc[test.index].to_numpy(float)}
    part |= {"predicted": np.asarray(fitted.predict(test), dtype=float)}
    return pd.DataFrame(part | ({"unit": endpoint.unit} if endpoint.unit else {}))


_PREDICT = {
    "class": _predict_classes,
    "survival": _predict_survival,
    "competing": _predict_competing,
    "continuous": _predict_numbers,
}


def _days(frame):
    """Return the days that survival is predicted for, whole ones of long times."""
    times = frame["time"][frame["event"] == 1].quantile(_QUANTILES)
    if frame["time"].median() < SHORT:
        # as many digits as the name of a column has room for
        return np.unique([float(f"{time:.3g}") for time in times])
    return np.unique(np.round(times).clip(lower=1))


def columns_used(fitted: BaseEstimator, features: pd.DataFrame) -> str:
    """Return how many columns of each block a fitted model looks at, as JSON.

    Parameters
    ----------
    fitted
        A fitted model; of a search, its best one.
    features
        The **features** table that it was fitted on.

    Returns
    -------
    str
        Block to number, all blocks of the table among them; "" of a model that does not
        tell, as one that mixes columns. A column counts that enters the last step and
        whose coefficient, where there are coefficients, is not 0 in every class.
    """
    names = _names(getattr(fitted, "best_estimator_", fitted), features)
    if names is None:
        return ""
    counts = dict.fromkeys(blocks_of(features), 0)
    counts |= blocks_of(pd.DataFrame(columns=names))
    return json.dumps(counts)


def _names(fitted, features):
    names, last = list(features.columns), fitted
    if isinstance(fitted, Pipeline):
        last = fitted[-1]
        if len(fitted) > 1:
            try:
                names = list(fitted[:-1].get_feature_names_out())
            except (AttributeError, ValueError):  # a step of the user's names nothing
                return None
    if not set(names) <= set(features.columns):
        return None
    weights = getattr(last, "coef_", None)
    if weights is None:
        return names
    weights = np.atleast_2d(np.asarray(weights, dtype=float))
    if weights.shape[1] != len(names):
        return None
    kept = (weights != 0).any(axis=0)
    return [name for name, has in zip(names, kept, strict=True) if has]


def log_unused(fits: pd.DataFrame) -> None:
    """Log the blocks of a table of which no fit looked at a column.

    Parameters
    ----------
    fits
        Of a ``Result``, one model.
    """
    told = [json.loads(text) for text in fits["n_columns_used"] if text]
    if len(told) < len(fits) or not told:
        return
    unused = [block for block in told[0] if not any(one[block] for one in told)]
    # a model of one block that keeps nothing of it predicts the base rate: no news here
    if unused and len(told[0]) > 1:
        _log.warning(
            "model %r on %r: no column of blocks %s is in any of %d fits, so that "
            "the model is the one without them. That says nothing of what they could "
            "add: keep more columns (n_features), or use a model that keeps all.",
            *(fits["model"].iloc[0], fits["blocks"].iloc[0], unused, len(fits)),
        )
