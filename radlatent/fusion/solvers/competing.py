"""Regression of competing events: hazards by cause, and of the subdistribution.

Columns and a structured outcome with ``cause`` (0 = censored, 1 = the cause of
interest, from 2 on others) enter; risks and probabilities of each cause leave.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted, validate_data

from radlatent.fusion.metrics.censoring import censoring_steps, over
from radlatent.fusion.solvers.calibrated import (
    Calibrated,
    calibrate,
    predict_unseen,
)
from radlatent.fusion.solvers.cox import Baseline, CoxRegression, descend
from radlatent.fusion.solvers.survival import (
    Linear,
    SurvivalModel,
    check_survival,
    unpenalized_columns,
)

__all__ = [
    "ByCause",
    "CauseSpecificCox",
    "CompetingPipeline",
    "FineGray",
    "Subdistribution",
    "of_cause",
    "others_censored",
]


def of_cause(y: np.ndarray, cause: int) -> np.ndarray:
    """Return the outcome with another cause of interest, ``cause`` being its number."""
    made = y.copy()
    made["event"] = y["cause"] == cause
    return made


def others_censored(y: np.ndarray) -> np.ndarray:
    """Return the outcome of survival in which competing events are censorings."""
    made = np.empty(len(y), dtype=[("event", bool), ("time", float)])
    made["event"], made["time"] = y["event"], y["time"]
    return made


class Subdistribution(Linear):
    """Proportional hazards of the subdistribution of the cause of interest, penalized.

    Parameters
    ----------
    penalty_strength, l1_ratio, unpenalized
        As in `CoxRegression`.

    Attributes
    ----------
    coef_, dropped_
        As in `CoxRegression`: log ratios of the subdistribution hazard.
    baseline_
        `Baseline` of the mean training patient; one minus its survival is the
        cumulative incidence.

    Notes
    -----
    Who had a competing event on day T stays at risk after it, with the weight
    G(t-) / G(T-) on day t, G being the Kaplan-Meier estimate of the censoring, for
    which events come before censorings of the same day (as in R's ``finegray``; R's
    ``crr`` counts events of that day as at risk to be censored). Ties are treated as
    Breslow does, as in ``crr``.

    References
    ----------
    Fine & Gray 1999, doi:10.1080/01621459.1999.10474144; Geskus 2011,
    doi:10.1111/j.1541-0420.2010.01420.x (weights)
    """

    def __init__(
        self,
        penalty_strength: float = 0.1,
        l1_ratio: float = 0.0,
        unpenalized: str | Sequence[str] = (),
    ):
        self.penalty_strength = penalty_strength
        self.l1_ratio = l1_ratio
        self.unpenalized = unpenalized

    def fit(self, X: ArrayLike, y: np.ndarray) -> "Subdistribution":
        """Fit columns ``X`` to the structured outcome ``y``.

        Raises
        ------
        ValueError
            As `check_survival`, or the fit does not converge.
        """
        X, y = check_survival(self, X, y, causes=True)
        free = unpenalized_columns(self)
        centered, kept = self._center(X)
        at_risk = _Weighted(y)
        self.coef_[kept] = descend(self, centered, at_risk.loss, free[kept])
        self.baseline_ = at_risk.baseline(centered @ self.coef_[kept])
        return self

    def predict_survival(self, X: ArrayLike, times: ArrayLike) -> np.ndarray:
        """Return the probability not to have had the event, (n_patients, n_times)."""
        return self.baseline_.survival(self.predict(X), times)


class _Weighted:
    """Who is at risk of the event of interest on each day of one, with weights."""

    def __init__(self, y):
        order = np.argsort(y["time"], kind="stable")
        self.back, self.y = np.argsort(order), y[order]
        self.order, time, event = order, self.y["time"], self.y["event"]
        self.days, self.deaths = np.unique(time[event], return_counts=True)
        # places of the first patient at risk on each day, and of the day of each
        self.first = np.searchsorted(time, self.days, side="left")
        self.until = np.searchsorted(self.days, time, side="right")
        ended = self.y.copy()
        ended["event"] = self.y["cause"] > 0
        free = censoring_steps(ended, np.ones((1, len(y))))
        self.free = free.before(self.days)[0]
        competing = (self.y["cause"] > 0) & ~event
        self.kept = competing * over(1, free.before(time)[0])

    def total(self, ratio):
        """Return the sum of ratios of those at risk on each day, of sorted patients."""
        alive = np.r_[np.cumsum(ratio[::-1])[::-1], 0][self.first]
        gone = np.r_[0, np.cumsum(self.kept * ratio)][self.first]
        return alive + self.free * gone

    def loss(self, risk):
        """Return minus the mean log partial likelihood, and its slope by patient."""
        risk, n, event = risk[self.order], len(risk), self.y["event"]
        top = risk.max()
        ratio = np.exp(risk - top)
        total = self.total(ratio)
        if total.min() < 1e-290:  # risks so far apart that the smallest vanish
            return np.inf, np.zeros(n)
        value = self.deaths @ (np.log(total) + top) - risk[event].sum()
        each = self.deaths / total
        up = np.r_[0, np.cumsum(each)][self.until]
        down = np.r_[np.cumsum((self.free * each)[::-1])[::-1], 0][self.until]
        slope = ratio * (up + self.kept * down) - event
        return value / n, slope[self.back] / n

    def baseline(self, risk):
        """Return the cumulative subdistribution hazard of risk 0."""
        top = risk.max()
        total = self.total(np.exp(risk[self.order] - top))
        hazard = np.cumsum(self.deaths / total) * np.exp(-top)
        return Baseline(self.days, hazard, float(self.y["time"][-1]))


class ByCause(SurvivalModel):
    """A penalized regression for each cause."""

    #: The regression of one cause.
    one = CoxRegression

    def __init__(
        self,
        penalty_strength: float = 0.1,
        l1_ratio: float = 0.0,
        unpenalized: str | Sequence[str] = (),
    ):
        self.penalty_strength = penalty_strength
        self.l1_ratio = l1_ratio
        self.unpenalized = unpenalized

    def fit(self, X: ArrayLike, y: np.ndarray) -> "ByCause":
        """Fit columns ``X`` to the structured outcome ``y``, cause by cause.

        Raises
        ------
        ValueError
            As in the regression of one cause; or ``y`` names no causes.
        """
        X, y = check_survival(self, X, y, causes=True)
        about, X = (self.penalty_strength, self.l1_ratio), self._named(X)
        self.models_ = [
            self._fitted(self.one(*about, self.unpenalized), X, y, cause)
            for cause in range(1, max(2, y["cause"].max()) + 1)
        ]
        self.coef_ = self.models_[0].coef_
        return self

    def _named(self, X):
        """Return columns with the names that they came with."""
        names = getattr(self, "feature_names_in_", None)
        return X if names is None else pd.DataFrame(X, columns=names)

    @classmethod
    def _fitted(cls, model, X, y, cause):
        # what nobody in training had is not learned, and has no incidence
        if cause > 1 and not (y["cause"] == cause).any():
            return None
        return model.fit(X, cls.outcome(y, cause))

    @staticmethod
    def outcome(y: np.ndarray, cause: int) -> np.ndarray:
        """Return the outcome as the regression of one cause takes it."""
        return of_cause(y, cause)

    def predict_causes(self, X: ArrayLike) -> np.ndarray:
        """Return the log hazard ratio of each cause, shape (n_patients, n_causes)."""
        check_is_fitted(self)
        X, zero = self._named(validate_data(self, X, reset=False)), np.zeros(len(X))
        found = [zero if one is None else one.predict(X) for one in self.models_]
        return np.column_stack(found)

    def predict_incidence(self, X: ArrayLike, times: ArrayLike) -> np.ndarray:
        """Return the probability to have had each event, as ``incidence_of`` does."""
        risks, baselines = self.predict_causes(X), [_baseline(m) for m in self.models_]
        return self.incidence_of(risks, baselines, np.asarray(times, dtype=float))


def _baseline(model):
    return None if model is None else model.baseline_


class FineGray(ByCause):
    """Regression of the subdistribution hazard of each cause (`Subdistribution`).

    Parameters
    ----------
    penalty_strength, l1_ratio, unpenalized
        As in `CoxRegression`.

    Attributes
    ----------
    models_
        A `Subdistribution` for each cause, None of one without an event.
    coef_
        Log ratios of the subdistribution hazard of the cause of interest.

    Notes
    -----
    Each cause has a model of its own, so that the probabilities of all of them may
    exceed 1 for a patient at high risk of several: read that of interest.

    References
    ----------
    Fine & Gray 1999, doi:10.1080/01621459.1999.10474144; Austin et al. 2022,
    doi:10.1002/sim.9023 (probabilities above 1)
    """

    one = Subdistribution

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return the log ratio of the subdistribution hazard (higher = worse)."""
        check_is_fitted(self)
        X = self._named(validate_data(self, X, reset=False))
        return self.models_[0].predict(X)

    @staticmethod
    def incidence_of(
        risks: np.ndarray, baselines: list, times: np.ndarray
    ) -> np.ndarray:
        """Return probabilities to have had each event until each time.

        Parameters
        ----------
        risks
            Log hazard ratios, shape (n_patients, n_causes).
        baselines
            `Baseline` of each cause, None of one without an event.
        times
            Days, shape (n_times,).

        Returns
        -------
        ndarray
            Shape (n_causes, n_patients, n_times); NaN after the last day on which
            somebody was followed.
        """
        last = baselines[0].last
        nobody = np.where(times <= last, np.zeros((len(risks), 1)), np.nan)
        return np.stack(
            [
                nobody if one is None else 1 - one.survival(risk, times)
                for one, risk in zip(baselines, risks.T, strict=True)
            ]
        )


class CauseSpecificCox(ByCause):
    """Cox regression of the hazard of each cause, the others being censored.

    Parameters
    ----------
    penalty_strength, l1_ratio, unpenalized
        As in `CoxRegression`.

    Attributes
    ----------
    models_
        A `CoxRegression` for each cause, None of one without an event.
    coef_
        Log hazard ratios of the cause of interest.

    Notes
    -----
    The incidence of a cause grows on each day of an event by the probability to have
    been free of all of them, times that to have one, in the shares of the hazards: the
    incidences and the probability to be free add up to 1.

    The risk is the incidence of the cause of interest at its last event in training, on
    the scale log(-log(1 - incidence)): how often it comes depends on the hazards of the
    others as well, and a hazard ratio alone does not order patients by it.

    References
    ----------
    Prentice et al. 1978, doi:10.2307/2530374; Putter et al. 2007,
    doi:10.1002/sim.2712 (incidence); Ozenne et al. 2017, doi:10.32614/RJ-2017-062
    """

    one = CoxRegression

    @staticmethod
    def outcome(y: np.ndarray, cause: int) -> np.ndarray:
        """Return the outcome as the regression of one cause takes it."""
        return others_censored(of_cause(y, cause))

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return log(-log(1 - incidence)) of the cause of interest (higher = worse)."""
        check_is_fitted(self)
        day = self.models_[0].baseline_.times[-1:]
        return cloglog(self.predict_incidence(X, day)[0, :, 0])

    @staticmethod
    def incidence_of(
        risks: np.ndarray, baselines: list, times: np.ndarray
    ) -> np.ndarray:
        """Return probabilities to have had each event, as that of `FineGray`."""
        days = np.unique(np.concatenate([b.times for b in baselines if b is not None]))
        steps = np.stack([_steps(one, days) for one in baselines])
        with np.errstate(over="ignore"):
            grown = np.exp(np.minimum(risks.T, 500))[:, :, None] * steps[:, None]
        total = grown.sum(axis=0)  # (n_patients, n_days)
        before = np.exp(-np.cumsum(total, axis=1))
        before = np.pad(before, [(0, 0), (1, 0)], constant_values=1.0)
        shares = over(grown, np.broadcast_to(total, grown.shape))
        incidence = np.cumsum(shares * -np.diff(before, axis=1), axis=2)
        incidence = np.pad(incidence, [(0, 0), (0, 0), (1, 0)])
        found = incidence[:, :, np.searchsorted(days, times, side="right")]
        return np.where(times <= baselines[0].last, found, np.nan)


def _steps(baseline, days):
    """Return by how much a cumulative hazard grows on each day."""
    if baseline is None:
        return np.zeros(len(days))
    hazard = np.r_[0, baseline.hazard]
    return np.diff(
        hazard[np.searchsorted(baseline.times, days, side="right")], prepend=0
    )


def cloglog(chance: np.ndarray) -> np.ndarray:
    """Return log(-log(1 - p)), finite at both ends.

    Examples
    --------
    >>> cloglog(np.array([1 - np.exp(-1)])).round(12).tolist()
    [0.0]
    """
    return np.log(-np.log1p(-np.clip(chance, 1e-15, 1 - 1e-15)))


class CompetingPipeline(Calibrated):
    """A Pipeline that gives risks and, calibrated, probabilities of each cause.

    Attributes
    ----------
    curves_
        Regression of each cause on its risk alone, None of one without an event.

    Notes
    -----
    As of `SurvivalPipeline`: the regressions are fitted to risks of training patients
    that their model, with its selection, did not see.
    """

    def fit(self, X: ArrayLike, y: np.ndarray, **params) -> "CompetingPipeline":
        """Fit all steps to the structured outcome ``y``, then the curves."""
        super().fit(X, y, **params)
        causes = range(1, len(self[-1].models_) + 1)

        def fit(X, y):
            return _risks(Pipeline(clone(self).steps).fit(X, y, **params), len(causes))

        unseen = predict_unseen(fit, X, y, (y["time"], y["cause"]))
        self.curves_ = [
            calibrate(self[-1].one, risk, self[-1].outcome(y, cause))
            if model is not None
            else None
            for cause, risk, model in zip(
                causes, unseen.T, self[-1].models_, strict=True
            )
        ]
        return self

    def predict_incidence(self, X: ArrayLike, times: ArrayLike) -> np.ndarray:
        """Return the probability to have had each event until each time.

        Parameters
        ----------
        X
            Shape (n_patients, n_columns).
        times
            Days, shape (n_times,).

        Returns
        -------
        ndarray
            Shape (n_causes, n_patients, n_times), the cause of interest first; NaN
            after the last day on which a training patient was followed.
        """
        risks = _risks(self, len(self.curves_))(X)
        calibrated = [
            np.zeros(len(risks)) if curve is None else curve.predict(risk[:, None])
            for curve, risk in zip(self.curves_, risks.T, strict=True)
        ]
        baselines = [_baseline(curve) for curve in self.curves_]
        days = np.asarray(times, dtype=float)
        return self[-1].incidence_of(np.column_stack(calibrated), baselines, days)


def _risks(pipe, n_causes) -> Callable:
    """Return what gives the risks of all causes; 0 of those that it did not see."""

    def risks(X):
        # inside a search nothing may be left before the model
        made = pipe[:-1].transform(X) if len(pipe) > 1 else X
        told = pipe[-1].predict_causes(made)
        return np.pad(told, [(0, 0), (0, n_causes - told.shape[1])])

    return risks
