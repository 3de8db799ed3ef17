"""Trees of a fitted model: of a random forest as arrays, of XGBoost as its own JSON.

Columns of patients enter; probabilities, or risks, leave.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from radlatent.model.parts import Part

__all__ = ["Boosters", "BoostersSurvival", "Forest", "ForestSurvival"]


@dataclass(frozen=True, eq=False)
class Forest(Part):
    """Trees whose leaves hold the shares of classes, and are averaged.

    Parameters
    ----------
    roots
        Node at which each tree starts, (n_trees,).
    column, threshold
        Of each node: a patient whose value is at most the threshold goes left,
        (n_nodes,); of a leaf the column is -1.
    left, right
        The nodes below, (n_nodes,).
    values
        Of each node: the shares of the classes, (n_nodes, n_classes).

    Notes
    -----
    Values are compared in single precision, as scikit-learn does; those of survival in
    double precision.
    """

    roots: np.ndarray
    column: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    values: np.ndarray

    def probabilities(self, X: np.ndarray) -> np.ndarray:
        """Return a probability of each class, (n_patients, n_classes)."""
        return self._mean(X.astype(np.float32))

    def _mean(self, X):
        rows = np.arange(len(X))
        total = np.zeros((len(X), self.values.shape[1]))
        for root in self.roots:
            node = np.full(len(X), root)
            while (inner := self.column[node] >= 0).any():
                at, who = node[inner], rows[inner]
                goes_left = X[who, self.column[at]] <= self.threshold[at]
                node[inner] = np.where(goes_left, self.left[at], self.right[at])
            total += self.values[node]
        return total / len(self.roots)

    def uses(self, n: int) -> np.ndarray:
        """Return which of n columns have a say."""
        return np.isin(np.arange(n), self.column)


@dataclass(frozen=True, eq=False)
class ForestSurvival(Forest):
    """The same of mortality; who has less than ``least`` is as safe as one can be."""

    least: float = 0.0

    def risk(self, X: np.ndarray) -> np.ndarray:
        """Return the logarithm of the mean mortality, (n_patients,)."""
        return np.log(np.maximum(self._mean(X)[:, 0], self.least))


@dataclass(frozen=True, eq=False)
class Boosters(Part):
    """Trees of XGBoost for classes.

    Parameters
    ----------
    trees
        The JSON of XGBoost.
    n_rounds
        Rounds that predict.
    """

    trees: bytes
    n_rounds: int

    @cached_property
    def booster(self):
        """The Booster of XGBoost."""
        import xgboost

        booster = xgboost.Booster()
        booster.load_model(bytearray(self.trees))
        booster.set_param({"nthread": 1})
        return booster

    def _margin(self, X, **options):
        import xgboost

        data = xgboost.DMatrix(X, nthread=1)
        rounds = (0, self.n_rounds)
        found = self.booster.predict(
            data, iteration_range=rounds, validate_features=False, **options
        )
        return found.astype(np.float64)

    def probabilities(self, X: np.ndarray) -> np.ndarray:
        """Return a probability of each class, (n_patients, n_classes)."""
        chances = self._margin(X)
        if chances.ndim == 1:
            # in the precision of XGBoost, as its own classifier does
            last = chances.astype(np.float32)
            chances = np.column_stack([np.float32(1) - last, last]).astype(np.float64)
        return chances / chances.sum(axis=1, keepdims=True)

    def uses(self, n: int) -> np.ndarray:
        """Return which of n columns have a say."""
        named = self.booster.feature_names or [f"f{place}" for place in range(n)]
        split = self.booster.get_score(importance_type="weight")
        return np.array([name in split for name in named])


@dataclass(frozen=True, eq=False)
class BoostersSurvival(Boosters):
    """Trees of XGBoost for survival; ``sign`` makes higher = earlier event."""

    sign: float = 1.0

    def risk(self, X: np.ndarray) -> np.ndarray:
        """Return the risk, (n_patients,)."""
        return self.sign * self._margin(X, output_margin=True)
