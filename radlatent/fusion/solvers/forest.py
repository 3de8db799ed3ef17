"""A random forest for survival.

Columns and a structured outcome enter; risks (higher = earlier event) leave.
"""

from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from radlatent.fusion.solvers.survival import SurvivalModel, check_survival

__all__ = ["SurvivalForest", "Trees"]


@dataclass(frozen=True, eq=False)
class Trees:
    """Trees as arrays, one after the other.

    Parameters
    ----------
    roots
        Node at which each tree starts, shape (n_trees,).
    nodes
        Column of each node (-1 of a leaf), the node of patients whose value is at most
        the threshold, and that of the others: shape (3, n_nodes).
    threshold
        Of each node, shape (n_nodes,).
    values
        Mortality of each leaf, 0 of other nodes, shape (n_nodes,).
    """

    roots: np.ndarray
    nodes: np.ndarray
    threshold: np.ndarray
    values: np.ndarray

    def mean(self, X: np.ndarray) -> np.ndarray:
        """Return the mean mortality of each patient, shape (n_patients,)."""
        kernel, columns = _kernel(), np.ascontiguousarray(X.T, np.float64)
        total, leaves = np.zeros(len(X)), np.empty(len(X), np.int64)
        for root in self.roots:
            kernel.descend(columns, root, self.nodes, self.threshold, leaves)
            total += self.values[leaves]
        return total / len(self.roots)


class SurvivalForest(SurvivalModel):
    """Trees that split where the log-rank statistic is largest and end in hazards.

    Parameters
    ----------
    n_estimators
        Number of trees.
    max_features
        Columns tried at a split: a number, a share, "sqrt" or "log2" of them; None for
        all. More are tried where none of these splits.
    min_samples_leaf
        Training patients that a leaf holds at least.
    random_state
        Seed of the trees; None draws others in each fit.

    Attributes
    ----------
    forest_
        The fitted `Trees`.
    least_
        Mortality of those who are only in leaves without an event.

    Notes
    -----
    Each tree is grown on a bootstrap sample of the patients. A node is split by that
    column and threshold whose two sides have the largest log-rank statistic, computed
    anew from the patients of the node; it is a leaf where there is none above 0: nobody
    has the event, or sides would be too small. A sweep over a sorted column takes
    n log(n) steps, and is compiled.

    Scores of all patients, with which trees of regression can grow, do not replace it:
    in a node of early times they differ most between patients with the event and
    those censored early, who tell nothing.

    A leaf has the cumulative hazard of its patients, summed over all days of events:
    the mortality, as many events as patients like these would have. Risks are the
    logarithm of its mean over trees. One process, so that results do not depend on the
    machine.

    References
    ----------
    Segal 1988, doi:10.2307/2531894; LeBlanc & Crowley 1993,
    doi:10.1080/01621459.1993.10476296 (splits); Ishwaran et al. 2008,
    doi:10.1214/08-AOAS169 (forest)
    """

    def __init__(
        self,
        n_estimators: int = 200,
        *,
        max_features: int | float | str | None = "sqrt",
        min_samples_leaf: int = 3,
        random_state: int | None = 0,
    ):
        self.n_estimators = n_estimators
        self.max_features = max_features
        self.min_samples_leaf = min_samples_leaf
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: np.ndarray) -> "SurvivalForest":
        """Fit columns ``X`` to the structured outcome ``y``.

        Raises
        ------
        ValueError
            As `check_survival`, or a parameter is none of the values above.
        """
        X, y = check_survival(self, X, y)
        for name in ("n_estimators", "min_samples_leaf"):
            number = getattr(self, name)
            if not (isinstance(number, Integral) and number >= 1):
                msg = f"{name}={number!r} is no whole number above 0."
                raise ValueError(msg)
        self.forest_ = self._grow(X, y)
        some = self.forest_.values[self.forest_.values > 0]
        # who is in leaves without an event only is safer than anybody else
        self.least_ = float(some.min(initial=1.0)) / (2 * self.n_estimators)
        return self

    def _grow(self, X, y):
        """Return the `Trees`."""
        kernel, random = _kernel(), check_random_state(self.random_state)
        n_tried = columns_tried(self.max_features, X.shape[1])
        # kernels take patients in the order of their times
        order = np.argsort(y["time"], kind="stable")
        columns, y = np.ascontiguousarray(X[order].T), y[order]
        at = np.unique(y["time"], return_inverse=True)[1].astype(np.int64)
        event, n = y["event"].astype(np.uint8), len(y)
        nodes, threshold = np.empty((3, 2 * n), np.int64), np.empty(2 * n)
        leaves, trees, n_nodes = np.empty(n, np.int64), [], 0
        for _ in range(self.n_estimators):
            drawn = np.bincount(random.randint(n, size=n), minlength=n)
            limits = (
                n_tried,
                self.min_samples_leaf,
                np.uint64(random.randint(2**31 - 1)),
            )
            size = kernel.grow(
                columns, at, event, drawn.astype(float), *limits, nodes, threshold
            )
            kernel.descend(columns, 0, nodes, threshold, leaves)
            who = np.repeat(np.arange(n), drawn)
            values = mortality(leaves[who], y[who], y, size)
            grown = nodes[:, :size].copy()
            grown[1:] += np.where(grown[0] >= 0, n_nodes, 0)
            trees.append((n_nodes, grown, threshold[:size].copy(), values))
            n_nodes += size
        roots, grown, *others = zip(*trees, strict=True)
        joined = map(np.concatenate, others)
        return Trees(np.array(roots), np.concatenate(grown, axis=1), *joined)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return the logarithm of the mean mortality (higher = worse)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return np.log(np.maximum(self.forest_.mean(X), self.least_))


def _kernel():
    # compiled when the first forest grows, and not for those who only import models
    from radlatent.fusion.solvers.kernels import log_rank

    return log_rank


def columns_tried(wanted: int | float | str | None, n_columns: int) -> int:
    """Return how many of the columns are tried at a split, at least one.

    Raises
    ------
    ValueError
        It is not a number of them, a share, "sqrt", "log2" or None.

    Examples
    --------
    >>> [columns_tried(wanted, 20) for wanted in ("sqrt", "log2", None, 0.5, 30)]
    [4, 4, 20, 10, 20]
    """
    if wanted is None:
        return n_columns
    if wanted in ("sqrt", "log2"):
        return max(1, int(getattr(np, wanted)(n_columns)))
    if isinstance(wanted, Integral) and wanted >= 1:
        return min(int(wanted), n_columns)
    if isinstance(wanted, Real) and 0 < wanted <= 1:
        return max(1, int(wanted * n_columns))
    msg = (
        f"max_features={wanted!r} is not a number of columns, a share of them above 0, "
        "'sqrt', 'log2' or None."
    )
    raise ValueError(msg)


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
