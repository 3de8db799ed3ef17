"""A bag of lesions: each lesion is told the class of its patient, and votes.

Rows of patients as `LesionGraphs.table` gives them enter, probabilities leave. What
networks of sets have to beat.
"""

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.utils.validation import check_is_fitted

from radlatent.errors import SchemaError
from radlatent.graphs.sets import Scaling, Sets, read_sets

__all__ = ["LesionBag"]


class LesionBag(ClassifierMixin, BaseEstimator):
    """A forest of single lesions, whose probabilities a patient averages.

    Parameters
    ----------
    n_estimators
        Trees.
    min_samples_leaf
        Lesions in a leaf, at least.
    random_state
        Seed of the trees.

    Notes
    -----
    Lesions of a patient weigh one together. A patient without a lesion gets the shares
    of the classes in training. Columns of patients and places are not used.
    """

    def __init__(
        self,
        n_estimators: int = 500,
        *,
        min_samples_leaf: int = 5,
        random_state: int | None = 0,
    ):
        self.n_estimators = n_estimators
        self.min_samples_leaf = min_samples_leaf
        self.random_state = random_state

    def fit(self, X: pd.DataFrame, y: pd.Series) -> "LesionBag":
        """Fit to classes."""
        sets = read_sets(X)
        self.feature_names_in_ = X.columns.to_numpy(dtype=object)
        self.n_features_in_, self.names_ = X.shape[1], sets.names
        self.classes_, codes = np.unique(np.asarray(y), return_inverse=True)
        self.shares_ = np.bincount(codes) / len(codes)
        self.scaling_ = Scaling.learn(sets)
        whose, lesions = self._lesions(sets)
        self.forest_ = RandomForestClassifier(
            self.n_estimators,
            min_samples_leaf=self.min_samples_leaf,
            random_state=self.random_state,
            n_jobs=1,
        )
        weights = 1 / np.bincount(whose)[whose]
        self.forest_.fit(lesions, codes[whose], sample_weight=weights)
        return self

    def _lesions(self, sets: Sets):
        """Return the row of the patient of each lesion, and the lesions."""
        scaled = self.scaling_.apply(sets)
        whose, _ = np.nonzero(scaled.is_there)
        return whose, scaled.lesions[scaled.is_there]

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """Return probabilities, shape (n_patients, n_classes)."""
        check_is_fitted(self, "forest_")
        sets = read_sets(X)
        if sets.names != self.names_:
            unlike = sorted(set(sets.names) ^ set(self.names_))
            msg = f"LesionBag: columns are not those it was fitted on: {unlike[:5]}."
            raise SchemaError(msg)
        found = np.tile(self.shares_, (len(X), 1))
        whose, lesions = self._lesions(sets)
        if len(whose):
            votes = self.forest_.predict_proba(lesions)
            for row in np.unique(whose):
                # a class of which no patient has a lesion is none of the forest's
                found[row] = 0.0
                found[row, self.forest_.classes_] = votes[whose == row].mean(0)
        return found

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Return the likeliest class."""
        return self.classes_[self.predict_proba(X).argmax(1)]
