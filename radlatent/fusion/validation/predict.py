"""One fit and its predictions: a fold, or another cohort.

A model, features, an endpoint and two lists of patients enter; rows of the
**predictions** table and one of the **fits** table leave.
"""

import json
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone

from radlatent.features.endpoint import SHORT
from radlatent.fusion.validation.inputs import outcome_of
from radlatent.fusion.validation.used import columns_used

if TYPE_CHECKING:
    from radlatent.features.endpoint import Endpoint

__all__ = ["fit_and_predict"]

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


def _predict_numbers(fitted, test, endpoint, train):
    part = {"patient_id": test.index}
    part |= {"value": endpoint.frame["value"].loc[test.index].to_numpy(float)}
    part |= {"predicted": np.asarray(fitted.predict(test), dtype=float)}
    return pd.DataFrame(part | ({"unit": endpoint.unit} if endpoint.unit else {}))


_PREDICT = {
    "class": _predict_classes,
    "survival": _predict_survival,
    "competing": _predict_survival,
    "continuous": _predict_numbers,
}


def _days(frame):
    """Return the days that survival is predicted for, whole ones of long times."""
    times = frame["time"][frame["event"] == 1].quantile(_QUANTILES)
    if frame["time"].median() < SHORT:
        # as many digits as the name of a column has room for
        return np.unique([float(f"{time:.3g}") for time in times])
    return np.unique(np.round(times).clip(lower=1))
