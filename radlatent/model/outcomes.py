"""What is left of fitted models of numbers and of competing events.

Columns of patients enter; numbers, in the unit of the outcome, or risks of the event of
interest and its incidence until some days, leave.
"""

from dataclasses import dataclass

import numpy as np

from radlatent.fusion.solvers.competing import CauseSpecificCox, FineGray, cloglog
from radlatent.fusion.solvers.cox import Baseline
from radlatent.model.parts import Late, Part, People, kernel_of
from radlatent.model.trees import Boosters, Forest

__all__ = [
    "BoostersNumbers",
    "Causes",
    "ForestNumbers",
    "Hazards",
    "LateCompeting",
    "LateNumbers",
    "Line",
    "MachineNumbers",
]


@dataclass(frozen=True, eq=False)
class Line(Part):
    """A number that is a weighted sum: weights (n_columns,) and an intercept."""

    coef: np.ndarray
    intercept: float

    def numbers(self, X: np.ndarray) -> np.ndarray:
        """Return the number of each patient, (n_patients,)."""
        return X @ self.coef + self.intercept

    def uses(self, n: int) -> np.ndarray:
        """Return which of n columns have a say."""
        return self.coef != 0


@dataclass(frozen=True, eq=False)
class MachineNumbers(Part):
    """A support vector machine with an RBF kernel, of a standardized outcome.

    Parameters
    ----------
    vectors, dual, intercept
        Support vectors (n_vectors, n_columns), their weights (n_vectors,), and what is
        added.
    gamma
        Of exp(-gamma d^2).
    center, spread
        Mean and standard deviation of the outcome.
    """

    vectors: np.ndarray
    dual: np.ndarray
    intercept: float
    gamma: float
    center: float
    spread: float

    def numbers(self, X: np.ndarray) -> np.ndarray:
        """Return the number of each patient, (n_patients,)."""
        found = kernel_of(X, self.vectors, self.gamma) @ self.dual + self.intercept
        return self.center + self.spread * found

    def uses(self, n: int) -> np.ndarray:
        """Return which of n columns have a say: all, or none without a vector."""
        return np.full(n, len(self.vectors) > 0)


@dataclass(frozen=True, eq=False)
class ForestNumbers(Forest):
    """Trees whose leaves hold a mean, (n_nodes, 1), and are averaged."""

    def numbers(self, X: np.ndarray) -> np.ndarray:
        """Return the number of each patient, (n_patients,)."""
        return self._mean(X.astype(np.float32))[:, 0]


@dataclass(frozen=True, eq=False)
class BoostersNumbers(Boosters):
    """Trees of XGBoost for a standardized outcome: its mean, standard deviation."""

    center: float
    spread: float

    def numbers(self, X: np.ndarray) -> np.ndarray:
        """Return the number of each patient, (n_patients,)."""
        return self.center + self.spread * self._margin(X)


@dataclass(frozen=True, eq=False)
class LateNumbers(Late):
    """`Late` of numbers."""

    def numbers(self, X: np.ndarray, people: People) -> np.ndarray:
        """Return the number of each patient, (n_patients,)."""
        return self.fuse.numbers(self._scores(X, people))

    def _said(self, model, X, people):
        return model.numbers(X, people)[:, None]


@dataclass(frozen=True, eq=False)
class Hazards(Part):
    """Incidence by risk: baseline hazards of each cause, that of interest first.

    Parameters
    ----------
    coef, center
        Of the risk of each cause, (n_causes,).
    times, hazard
        Days of the events of each cause, and the cumulative hazard from each of them
        on; empty of a cause that nobody had.
    last
        The last day on which a training patient was followed.
    specific
        Whether the hazards are those of causes, which share who is at risk, or of the
        subdistribution.
    """

    coef: np.ndarray
    center: np.ndarray
    times: tuple[np.ndarray, ...]
    hazard: tuple[np.ndarray, ...]
    last: float
    specific: bool

    @classmethod
    def of(
        cls,
        bases: list[Baseline | None],
        ends: list[tuple[float, float]],
        *,
        specific: bool,
    ) -> "Hazards":
        """Return it of baselines, None of a cause that nobody had; weights, centers."""
        nobody = Baseline(np.empty(0), np.empty(0), bases[0].last)
        known = [base or nobody for base in bases]
        times, hazard = zip(*((b.times, b.hazard) for b in known), strict=True)
        return cls(*np.array(ends, float).T, times, hazard, nobody.last, specific)

    def incidence(self, risks: np.ndarray, days: np.ndarray) -> np.ndarray:
        """Return the probability of the event until each day, (n_patients, n_days).

        ``risks`` are those of each cause, (n_patients, n_causes).
        """
        baselines = [
            Baseline(times, hazard, self.last) if len(times) else None
            for times, hazard in zip(self.times, self.hazard, strict=True)
        ]
        kind = CauseSpecificCox if self.specific else FineGray
        risks, days = (risks - self.center) * self.coef, np.asarray(days, dtype=float)
        return kind.incidence_of(risks, baselines, days)[0]


@dataclass(frozen=True, eq=False)
class Causes(Part):
    """Risks of several causes, that of interest first.

    Parameters
    ----------
    coef, center
        Weights (n_causes, n_columns) and centers (n_columns,).
    own
        The hazards that it was fitted with, where a risk is an incidence.
    day
        Until when.
    """

    coef: np.ndarray
    center: np.ndarray
    own: Hazards | None = None
    day: float = 0.0

    def risks(self, X: np.ndarray) -> np.ndarray:
        """Return the risk of each cause, (n_patients, n_causes)."""
        return (X - self.center) @ self.coef.T

    def risk(self, X: np.ndarray) -> np.ndarray:
        """Return the risk of the cause of interest, higher = worse, (n_patients,)."""
        risks = self.risks(X)
        if self.own is None:
            return risks[:, 0]
        return cloglog(self.own.incidence(risks, np.array([self.day]))[:, 0])

    def uses(self, n: int) -> np.ndarray:
        """Return which of n columns have a say."""
        return (self.coef != 0).any(axis=0)


@dataclass(frozen=True, eq=False)
class LateCompeting(Late):
    """`Late` of risks; ``curve`` is that of the fused risk."""

    curve: Part | None = None

    def risk(self, X: np.ndarray, people: People) -> np.ndarray:
        """Return the risk, higher = worse, (n_patients,)."""
        return self.fuse.risk(self._scores(X, people))

    def incidence(self, X: np.ndarray, people: People, days: np.ndarray) -> np.ndarray:
        """Return the probability of the event until each day, (n_patients, n_days)."""
        return self.curve.incidence(self.fuse.risks(self._scores(X, people)), days)

    def _said(self, model, X, people):
        return model.risk(X, people)[:, None]
