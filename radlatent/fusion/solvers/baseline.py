"""What models of survival share: the outcome, the baseline hazard, the ranking.

Columns of patients and their outcome enter; checked arrays, cumulative hazards,
concordances and selected columns leave. The outcome ``y`` is a structured array with
the fields ``event`` (bool) and ``time`` (positive, days), as scikit-survival takes it.
"""

from collections.abc import Callable
from numbers import Integral

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import rankdata
from sklearn.base import BaseEstimator
from sklearn.feature_selection import SelectorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

__all__ = [
    "SelectByConcordance",
    "SurvivalModel",
    "breslow",
    "check_survival",
    "concordance",
    "predict_unseen",
    "survival_at",
]


def check_survival(
    estimator: BaseEstimator, X: ArrayLike, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return columns and outcome as arrays, and let the estimator note the columns.

    Parameters
    ----------
    estimator
        It gets ``n_features_in_`` and, of a DataFrame, ``feature_names_in_``.
    X
        Shape (n_patients, n_columns), finite.
    y
        Structured, shape (n_patients,).

    Raises
    ------
    ValueError
        The outcome is of another form, has times that are missing or not positive
        (with the index of ``X`` where it is a DataFrame), no event, or no two patients
        of whom one is known to have had the event first.
    """
    fields = getattr(getattr(y, "dtype", None), "names", None)
    if set(fields or ()) != {"event", "time"}:
        msg = (
            f"y has the fields {fields}, not 'event' and 'time'. Give a structured "
            "array with both, in any order."
        )
        raise ValueError(msg)
    who = X.index if isinstance(X, pd.DataFrame) else pd.RangeIndex(len(X))
    X = validate_data(estimator, X, dtype=np.float64)
    if len(X) != len(y):
        msg = f"X has {len(X)} patients, y has {len(y)}."
        raise ValueError(msg)
    checked = np.empty(len(y), dtype=[("event", bool), ("time", float)])
    checked["event"], checked["time"] = y["event"], y["time"]
    wrong = ~(np.isfinite(checked["time"]) & (checked["time"] > 0))
    if wrong.any():
        msg = (
            f"{wrong.sum()} times are missing or not positive: patients "
            f"{who[wrong][:5].tolist()}, times {checked['time'][wrong][:5].tolist()}. "
            "Correct them, or leave these patients out."
        )
        raise ValueError(msg)
    if not _comparable(checked).any():
        msg = (
            f"{checked['event'].sum()} events in {len(y)} patients, and no patient is "
            "known to have had the event before another. A model of survival needs "
            "events at different times."
        )
        raise ValueError(msg)
    return X, checked


def breslow(risk: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the times of events and the cumulative hazard of risk 0 there.

    Parameters
    ----------
    risk
        Log hazard ratio, shape (n_patients,).
    y
        Structured outcome of the same patients.

    Returns
    -------
    tuple
        Distinct times, ascending, and hazards, both of shape (n_event_times,).

    Notes
    -----
    The hazard grows at each time by the number of events over the sum of exp(risk) of
    those still at risk, tied events taken together. Coefficients that were fitted with
    Efron's treatment of ties go with it, as in lifelines and scikit-survival; R's
    ``survfit`` uses Efron's there too, which differs where many times are tied.

    References
    ----------
    Breslow 1972, J R Stat Soc B 34:216-217, doi:10.1111/j.2517-6161.1972.tb00900.x
    """
    # a common factor cancels from the ratio; without it exp may overflow
    top = risk.max()
    times, at = np.unique(y["time"], return_inverse=True)
    events = np.bincount(at, y["event"])
    at_risk = np.cumsum(np.bincount(at, np.exp(risk - top))[::-1])[::-1]
    hazard = np.cumsum(events / at_risk) * np.exp(-top)
    return times[events > 0], hazard[events > 0]


def survival_at(
    baseline: tuple[np.ndarray, np.ndarray], risk: np.ndarray, times: ArrayLike
) -> np.ndarray:
    """Return the probability to be free of the event, shape (n_patients, n_times).

    Parameters
    ----------
    baseline
        What `breslow` returned.
    risk
        Log hazard ratio, shape (n_patients,).
    times
        Days. The curve is 1 before the first event and flat after the last.
    """
    at, hazard = baseline
    before = np.searchsorted(at, np.asarray(times, dtype=float), side="right")
    with np.errstate(divide="ignore"):
        log_hazard = np.log(np.r_[0, hazard])[before]
    # a hazard of exp(50) leaves nobody, and exp cannot overflow
    return np.exp(-np.exp(np.minimum(risk[:, None] + log_hazard, 50)))


def predict_unseen(
    fit: Callable, X: ArrayLike, y: np.ndarray, groups: tuple
) -> np.ndarray:
    """Return what models predict of patients that they were not fitted on.

    Parameters
    ----------
    fit
        Takes columns and outcome, returns a function from columns to one number each.
    X, y
        Columns and outcome of the patients.
    groups
        Sort keys of patients, the last one first, as ``numpy.lexsort`` takes them: the
        five parts that patients are dealt into hold them evenly.
    """
    part, found = np.empty(len(y), dtype=int), np.empty(len(y))
    part[np.lexsort(groups)] = np.arange(len(y)) % 5
    for one in range(5):
        inside = part == one
        if inside.any():
            found[inside] = fit(X[~inside], y[~inside])(X[inside])
    return found


def _comparable(y):
    """Return whom each patient with an event precedes, shape (n_events, n_patients)."""
    time = y["time"][y["event"]][:, None]
    # who is censored at the time of an event was still free of it
    return (time < y["time"]) | ((time == y["time"]) & ~y["event"])


def concordance(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return Harrell's C of each column as a risk, shape (n_columns,).

    Parameters
    ----------
    X
        Shape (n_patients, n_columns), higher = earlier event.
    y
        Structured outcome of the same patients.

    Notes
    -----
    The share of comparable pairs in which the patient with the earlier event has the
    higher value, equal values counted half. A pair is comparable if the earlier time is
    an event, or if times are equal and one of them is an event.

    References
    ----------
    Harrell et al. 1996, Statistics in Medicine 15:361-387, section 5.5
    """
    comparable = _comparable(y)
    mask = np.packbits(comparable, axis=1)
    ranks = rankdata(X, method="dense", axis=0).T.astype(np.min_scalar_type(len(X)))
    gained = np.empty(len(ranks))
    # 64 MiB of comparisons at a time
    step = max(1, 2**26 // comparable.size)
    for start in range(0, len(ranks), step):
        rank = ranks[start : start + step]
        earlier, later = rank[:, y["event"], None], rank[:, None, :]
        won, lost = (
            np.bitwise_count(np.packbits(wins, axis=2) & mask).sum((1, 2), dtype=int)
            for wins in (earlier > later, earlier < later)
        )
        gained[start : start + step] = won - lost
    return 0.5 + gained / comparable.sum() / 2


class SelectByConcordance(SelectorMixin, BaseEstimator):
    """Keep the columns whose C is farthest from 0.5, all if there are fewer.

    Ties go to the column that comes first.

    Parameters
    ----------
    n_features
        Columns to keep.
    """

    def __init__(self, n_features: int = 20):
        self.n_features = n_features

    def fit(self, X: ArrayLike, y: np.ndarray) -> "SelectByConcordance":
        """Score the columns of ``X`` against the structured outcome ``y``."""
        X, y = check_survival(self, X, y)
        if not (isinstance(self.n_features, Integral) and self.n_features >= 1):
            msg = f"n_features is {self.n_features!r}; give a whole number from 1."
            raise ValueError(msg)
        strength = np.abs(concordance(X, y) - 0.5)
        self.support_ = np.zeros(X.shape[1], dtype=bool)
        self.support_[np.argsort(-strength, kind="stable")[: self.n_features]] = True
        return self

    def _get_support_mask(self):
        check_is_fitted(self)
        return self.support_


class SurvivalModel(BaseEstimator):
    """A model whose ``predict`` gives a risk, higher = earlier event."""

    def score(self, X: ArrayLike, y: np.ndarray) -> float:
        """Return Harrell's C of the predicted risk."""
        return float(concordance(self.predict(X)[:, None], y)[0])
