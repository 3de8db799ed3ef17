"""What models of survival share: the outcome, the score, the weighted sum of columns.

Columns of patients and their outcome enter, checked arrays leave. The outcome ``y`` is
a structured array with the fields ``event`` (bool) and ``time`` (positive, days), as
scikit-survival takes it.
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from radlatent.errors import SchemaError
from radlatent.features.join import columns_that_fit
from radlatent.fusion.solvers.concordance import comparable, concordance

__all__ = [
    "MAX_STEPS",
    "TOLERANCE",
    "Linear",
    "SurvivalModel",
    "check_survival",
    "not_converged",
    "unpenalized_columns",
]

#: Slope of the mean log likelihood of a patient that counts as none.
TOLERANCE = 1e-7

#: Steps of a solver, at most.
MAX_STEPS = 20_000


def check_survival(
    estimator: BaseEstimator,
    X: ArrayLike,
    y: np.ndarray,
    *,
    causes: bool | None = False,
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
    causes
        Whether ``y`` has the field ``cause`` of competing events, too; None takes both.

    Raises
    ------
    ValueError
        The outcome is of another form, has times that are missing or not positive
        (with the index of ``X`` where it is a DataFrame), no event, or no two patients
        of whom one is known to have had the event first.
    """
    fields = _fields(estimator, y, causes)
    who = X.index if isinstance(X, pd.DataFrame) else pd.RangeIndex(len(X))
    X = validate_data(estimator, X, dtype=np.float64)
    if len(X) != len(y):
        msg = f"X has {len(X)} patients, y has {len(y)}."
        raise ValueError(msg)
    kinds = {"event": bool, "time": float, "cause": np.int64}
    checked = np.empty(len(y), dtype=[(name, kinds[name]) for name in fields])
    for name in fields:
        checked[name] = y[name]
    wrong = ~(np.isfinite(checked["time"]) & (checked["time"] > 0))
    if wrong.any():
        msg = (
            f"{wrong.sum()} times are missing or not positive: patients "
            f"{who[wrong][:5].tolist()}, times {checked['time'][wrong][:5].tolist()}. "
            "Correct them, or leave these patients out."
        )
        raise ValueError(msg)
    if not comparable(checked).any():
        msg = (
            f"{checked['event'].sum()} events in {len(y)} patients, and no patient is "
            "known to have had the event before another. A model of survival needs "
            "events at different times."
        )
        raise ValueError(msg)
    return X, checked


def _fields(estimator, y, causes):
    """Return the fields of an outcome, or raise where it is one of another kind."""
    fields = getattr(getattr(y, "dtype", None), "names", None)
    found, one = set(fields or ()), {"event", "time"}
    causes = "cause" in found if causes is None else causes
    if found == one | ({"cause"} if causes else set()):
        return fields
    if found == one:
        msg = (
            f"{type(estimator).__name__} is of competing events, and y has no field "
            "'cause'. Make the endpoint with Endpoint.competing, or take cox."
        )
    elif found == one | {"cause"}:
        msg = (
            f"{type(estimator).__name__} is of one event and y of competing ones, "
            "which it would take for censored. Take fine_gray or cause_specific_cox; "
            "or, for hazards of that cause alone, Endpoint.survival with the other "
            "causes as 0."
        )
    else:
        msg = (
            f"y has the fields {fields}, not 'event' and 'time'. Give a structured "
            "array with both, in any order."
        )
    raise ValueError(msg)


class SurvivalModel(BaseEstimator):
    """A model whose ``predict`` gives a risk, higher = earlier event."""

    def score(self, X: ArrayLike, y: np.ndarray) -> float:
        """Return Harrell's C of the predicted risk."""
        return float(concordance(self.predict(X)[:, None], y)[0])


class Linear(SurvivalModel):
    """A model whose risk is a weighted sum of columns."""

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return the log hazard ratio to the mean training patient (higher = worse)."""
        check_is_fitted(self)
        return (validate_data(self, X, reset=False) - self.center_) @ self.coef_

    def _center(self, X):
        """Return centered columns without exact copies, and where they came from."""
        if not (self.penalty_strength >= 0 and 0 <= getattr(self, "l1_ratio", 0) <= 1):
            msg = f"{self}: penalty_strength is 0 or more, l1_ratio from 0 to 1."
            raise ValueError(msg)
        self.center_ = X.mean(axis=0)
        centered = X - self.center_
        # as bytes, a zero being one zero: a frame of patients takes 14 ms, in each fit
        columns = [column.tobytes() for column in centered.T + 0.0]
        kept = ~pd.Series(columns).duplicated().to_numpy()
        kept &= np.ptp(X, axis=0) > 0
        if not kept.any():
            msg = f"all {X.shape[1]} columns are constant; there is nothing to fit."
            raise ValueError(msg)
        self.dropped_ = np.flatnonzero(~kept)
        self.coef_ = np.zeros(X.shape[1])
        return centered[:, kept], kept


def unpenalized_columns(model: BaseEstimator) -> np.ndarray:
    """Return which columns of a model have no penalty, shape (n_columns,).

    Parameters
    ----------
    model
        Its columns are known already; ``unpenalized`` names blocks, patterns or columns
        as for ``select_blocks``, an empty list none.

    Raises
    ------
    SchemaError
        A name fits no column, or the columns have no names.
    """
    if not len(model.unpenalized):
        return np.zeros(model.n_features_in_, dtype=bool)
    names = getattr(model, "feature_names_in_", None)
    if names is None:
        msg = f"unpenalized={model.unpenalized!r} names columns: give a table of them."
        raise SchemaError(msg)
    return np.isin(names, columns_that_fit(names, model.unpenalized))


def not_converged(model: "Linear", why: str = "") -> ValueError:
    """Return the error of a fit that found no optimum, with what to do about it."""
    msg = (
        f"{type(model).__name__} did not converge with penalty_strength="
        f"{model.penalty_strength}{why}. Give a larger penalty_strength, or fewer "
        "columns with n_features."
    )
    return ValueError(msg)
