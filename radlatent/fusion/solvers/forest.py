"""A random forest for survival.

Columns and a structured outcome enter; risks (higher = earlier event) leave.
"""

import numpy as np
from numpy.typing import ArrayLike
from sklearn.ensemble import RandomForestRegressor
from sklearn.utils.validation import check_is_fitted, validate_data

from radlatent.fusion.solvers.cox import breslow
from radlatent.fusion.solvers.survival import SurvivalModel, check_survival

__all__ = ["SurvivalForest"]


class SurvivalForest(SurvivalModel):
    """Trees of scikit-learn that split by log-rank scores and end in hazards.

    Parameters
    ----------
    n_estimators
        Number of trees.
    max_features
        Columns tried at a split: a number, a share, "sqrt" or "log2" of them.
    min_samples_leaf
        Training patients that a leaf holds at least.
    random_state
        Seed of the trees; None draws others in each fit.

    Attributes
    ----------
    forest_
        The fitted forest of scikit-learn; the value of a leaf is its mortality.

    Notes
    -----
    Each tree is grown on a bootstrap sample of the patients. Splits make the difference
    of the mean log-rank scores as large as they can: event minus cumulative hazard, by
    Nelson and Aalen, at the time of a patient. Their sum over a group is the numerator
    of its log-rank test, and the largest reduction of their variance is that test with
    the variance of permutations. Scores are those of all patients and not computed anew
    in every node, as in scikit-survival and randomForestSRC: that lets compiled trees
    grow, and costs no concordance (``benchmarks/survival_forest.py``).

    A leaf has the cumulative hazard of its patients, summed over all days of events:
    the mortality, as many events as patients like these would have. Risks are the
    logarithm of its mean over trees. One process, so that results do not depend on the
    machine.

    References
    ----------
    Ishwaran et al. 2008, doi:10.1214/08-AOAS169; Hothorn & Lausen 2003,
    doi:10.1016/S0167-9473(02)00225-6 (scores); LeBlanc & Crowley 1992,
    doi:10.2307/2532300
    """

    def __init__(
        self,
        n_estimators: int = 200,
        *,
        max_features: int | float | str = "sqrt",
        min_samples_leaf: int = 3,
        random_state: int | None = 0,
    ):
        self.n_estimators = n_estimators
        self.max_features = max_features
        self.min_samples_leaf = min_samples_leaf
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: np.ndarray) -> "SurvivalForest":
        """Fit columns ``X`` to the structured outcome ``y``."""
        X, y = check_survival(self, X, y)
        forest = RandomForestRegressor(**self.get_params(), n_jobs=1)
        self.forest_ = forest.fit(X, log_rank_scores(y))
        leaves, least = forest.apply(X), np.inf
        samples = forest.estimators_samples_
        for number, (tree, drawn) in enumerate(zip(forest, samples, strict=True)):
            values = tree.tree_.value[:, 0, 0]
            values[:] = mortality(leaves[drawn, number], y[drawn], y, len(values))
            least = min(least, values[values > 0].min(initial=np.inf))
        # who is in leaves without an event only is safer than anybody else
        self.least_ = float(least) / (2 * self.n_estimators)
        return self

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return the logarithm of the mean mortality (higher = worse)."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        return np.log(np.maximum(self.forest_.predict(X), self.least_))


def log_rank_scores(y: np.ndarray) -> np.ndarray:
    """Return event minus cumulative hazard of each patient; their sum is 0.

    Examples
    --------
    >>> y = np.array([(True, 1.0), (False, 2.0)], [("event", bool), ("time", float)])
    >>> log_rank_scores(y)
    array([ 0.5, -0.5])
    """
    hazard = breslow(np.zeros(len(y)), y)
    at = np.searchsorted(hazard.times, y["time"], side="right")
    return y["event"] - np.r_[0, hazard.hazard][at]


def mortality(
    leaves: np.ndarray, y: np.ndarray, everyone: np.ndarray, n_nodes: int
) -> np.ndarray:
    """Return the cumulative hazard of each leaf, summed over the days of events.

    Parameters
    ----------
    leaves
        Number of the leaf of each patient of a tree, shape (n_drawn,).
    y
        Structured outcome of these patients.
    everyone
        That of all patients: the days on which any of them had the event are summed.
    n_nodes
        Nodes of the tree; those that are no leaves get 0.

    Notes
    -----
    An event on day t adds 1 / (patients of the leaf at risk on t) to the hazard of all
    days from t on, so that it counts as often as there are such days.
    """
    days = np.unique(everyone["time"][everyone["event"]])
    # time runs backwards inside a leaf: who is before or level is at risk
    backwards = np.unique(-y["time"], return_inverse=True)[1]
    key = leaves * (backwards.max() + 1) + backwards
    ranked, last = np.sort(leaves), np.searchsorted(np.sort(key), key, side="right")
    at_risk = last - np.searchsorted(ranked, leaves, side="left")
    counted = len(days) - np.searchsorted(days, y["time"], side="left")
    return np.bincount(leaves, y["event"] * counted / at_risk, n_nodes)
