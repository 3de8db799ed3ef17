"""What is left of fitted models of numbers, and what is computed with it.

Columns of patients enter; numbers, in the unit of the outcome, leave.
"""

from dataclasses import dataclass

import numpy as np

from radlatent.model.parts import Late, Part, People, kernel_of
from radlatent.model.trees import Boosters, Forest

__all__ = ["BoostersNumbers", "ForestNumbers", "LateNumbers", "Line", "MachineNumbers"]


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
