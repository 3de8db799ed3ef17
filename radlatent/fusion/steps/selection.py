"""Which columns a model sees.

Columns of training patients enter, filled in and standardized, and their outcome; a
fitted scikit-learn selector leaves, which keeps the same columns of new patients.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import rel_entr
from scipy.stats import binom
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data

from radlatent.fusion.solvers.concordance import concordance
from radlatent.fusion.solvers.linear import PenalizedLinear
from radlatent.fusion.solvers.sparse import SparseLogistic, null_gradient
from radlatent.fusion.solvers.survival import check_survival
from radlatent.fusion.steps.filters import Selector, correlation, share_between

__all__ = [
    "CONTINUOUS_SELECTIONS",
    "SELECTIONS",
    "SURVIVAL_SELECTIONS",
    "Boruta",
    "BorutaOfNumbers",
    "ElasticNetOfNumbers",
    "ElasticNetSelect",
    "MinimumRedundancy",
    "SelectAtMost",
    "SelectByConcordance",
    "SelectByCorrelation",
]


class SelectAtMost(Selector):
    """Keep the columns with the largest one-way F, all if there are fewer.

    ``SelectKBest`` warns when a training fold leaves fewer columns than it should
    keep; here that is an ordinary case. Ties go to the column that comes first.

    Parameters
    ----------
    n_features
        Columns to keep.
    """

    def __init__(self, n_features: int = 20):
        self.n_features = n_features

    def fit(self, X: ArrayLike, y: ArrayLike) -> "SelectAtMost":
        """Score the columns of ``X``, shape (n_patients, n_columns), against ``y``."""
        X, y = validate_data(self, X, y)
        self._check_n_features()
        return self._keep_best(share_between(X, y), self.n_features)


class SelectByConcordance(Selector):
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
        X, y = check_survival(self, X, y, causes=None)
        self._check_n_features()
        return self._keep_best(np.abs(concordance(X, y) - 0.5), self.n_features)


class SelectByCorrelation(Selector):
    """Keep the columns with the largest |correlation|, all if there are fewer.

    Ties go to the column that comes first.

    Parameters
    ----------
    n_features
        Columns to keep.
    """

    def __init__(self, n_features: int = 20):
        self.n_features = n_features

    def fit(self, X: ArrayLike, y: ArrayLike) -> "SelectByCorrelation":
        """Score the columns of ``X``, (n_patients, n_columns), against numbers."""
        X, y = validate_data(self, X, y, y_numeric=True)
        self._check_n_features()
        return self._keep_best(np.abs(correlation(X, y)), self.n_features)


class MinimumRedundancy(Selector):
    """Keep columns that tell about the class what the ones kept before do not (mRMR).

    One after the other, that with the largest mutual information with the class less
    its mean mutual information with those kept before: the difference form.

    Parameters
    ----------
    n_features
        Columns to keep; all if there are fewer.

    Notes
    -----
    Mutual information is that of counts, with each column cut into three states at its
    mean plus and minus half its standard deviation. Ties go to the column that comes
    first.

    References
    ----------
    Peng et al. 2005, equation 6, doi:10.1109/TPAMI.2005.159; the states are those of
    Ding & Peng 2005, doi:10.1142/S0219720005001004
    """

    def __init__(self, n_features: int = 20):
        self.n_features = n_features

    def fit(self, X: ArrayLike, y: ArrayLike) -> "MinimumRedundancy":
        """Rank the columns of ``X``, shape (n_patients, n_columns), for ``y``.

        ``ranking_`` has the columns that were kept, the first first.
        """
        X, y = validate_data(self, X, y)
        self._check_n_features()
        apart, half = X - X.mean(axis=0), X.std(axis=0) / 2
        states = np.array([apart < -half, np.abs(apart) <= half, apart > half])
        states = states.astype(np.float32)  # (3, n_patients, n_columns), counts exact
        relevance = _information(states, y[:, None] == np.unique(y))
        redundancy, ranking = np.zeros(X.shape[1]), []
        for turn in range(min(self.n_features, X.shape[1])):
            score = relevance - redundancy / max(turn, 1)
            score[ranking] = -np.inf
            ranking.append(int(np.argmax(score)))
            redundancy += _information(states, states[:, :, ranking[-1]].T)
        self.ranking_ = np.array(ranking)
        return self._keep(np.isin(np.arange(X.shape[1]), ranking))


class ElasticNetSelect(Selector):
    """Keep the columns that an elastic net uses.

    Parameters
    ----------
    n_features
        The most to keep, by |coefficient|; None keeps all that are used.
    share
        Penalty, as a share of the smallest one that uses no column.
    l1_ratio
        Share of the penalty that is lasso, above 0 to 1.

    Notes
    -----
    The smallest penalty that uses none follows from the classes, so that one ``share``
    means the same for few and for many patients. With several classes, the mean of
    |coefficients|. Columns should be standardized.

    References
    ----------
    Zou & Hastie 2005, doi:10.1111/j.1467-9868.2005.00503.x; Friedman et al. 2010,
    section 2.5, doi:10.18637/jss.v033.i01
    """

    def __init__(
        self,
        n_features: int | None = None,
        *,
        share: float = 0.1,
        l1_ratio: float = 0.5,
    ):
        self.n_features = n_features
        self.share = share
        self.l1_ratio = l1_ratio

    def fit(self, X: ArrayLike, y: ArrayLike) -> "ElasticNetSelect":
        """Fit an elastic net of ``y`` on ``X``, shape (n_patients, n_columns)."""
        X, y = validate_data(self, X, y)
        self._check_n_features()
        weights = self._weigh(X, y)
        used = np.count_nonzero(weights)
        return self._keep_best(weights, min(used, self.n_features or used))

    def _weigh(self, X, y):
        largest = null_gradient(X, y).max() / self.l1_ratio
        C = 1 / (self.share * max(largest, np.finfo(float).tiny))
        net = SparseLogistic(C=C, l1_ratio=self.l1_ratio).fit(X, y)
        return np.abs(net.coef_).mean(axis=0)


class ElasticNetOfNumbers(ElasticNetSelect):
    """`ElasticNetSelect` of an outcome that is a number (`PenalizedLinear`).

    Parameters
    ----------
    n_features, share, l1_ratio
        As of `ElasticNetSelect`.
    """

    def _weigh(self, X, y):
        # of the standardized outcome, the gradient where no column is used
        largest = np.abs(correlation(X, y) * X.std(axis=0)).max() / self.l1_ratio
        strength = self.share * max(largest, np.finfo(float).tiny)
        return np.abs(PenalizedLinear(strength, self.l1_ratio).fit(X, y).coef_)


class Boruta(Selector):
    """Keep columns that a forest uses more than shuffled copies of columns.

    Parameters
    ----------
    n_features
        The most to keep, by mean importance; None keeps all that are confirmed.
    n_estimators
        Trees of a forest.
    n_rounds
        Forests that are grown at most.
    level
        Error probability of each of the two tests, over all columns (Bonferroni).
    random_state
        Seed of shuffles and trees; None draws others in each fit.

    Notes
    -----
    In each round every column that is left has a shuffled copy, at least five; it
    scores where its importance is above that of every copy. Columns that score more
    often than a fair coin are confirmed, those that score less often are dropped. What
    is undecided after the last round is not kept; where nothing is confirmed, the
    column that scored most is. Importance is the mean decrease of impurity, in the
    original that of accuracy. A round of 20,000 columns takes seconds: filter before.

    References
    ----------
    Kursa & Rudnicki 2010, doi:10.18637/jss.v036.i11
    """

    _forest = RandomForestClassifier

    def __init__(
        self,
        n_features: int | None = None,
        *,
        n_estimators: int = 200,
        n_rounds: int = 100,
        level: float = 0.01,
        random_state: int | None = 0,
    ):
        self.n_features = n_features
        self.n_estimators = n_estimators
        self.n_rounds = n_rounds
        self.level = level
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> "Boruta":
        """Compare the columns of ``X``, shape (n_patients, n_columns), with copies."""
        X, y = validate_data(self, X, y)
        self._check_n_features()
        draw, p = check_random_state(self.random_state), X.shape[1]
        hits, total = np.zeros(p), np.zeros(p)
        left, open_ = np.ones(p, dtype=bool), np.ones(p, dtype=bool)
        for done in range(1, self.n_rounds + 1):
            columns = np.flatnonzero(left)
            importance, bar = self._grow(X, y, columns, draw)
            hits[columns] += importance > bar
            total[columns] += importance
            # both tests are made of open columns only: a decision stays
            confirmed = open_ & (binom.sf(hits - 1, done, 0.5) * p < self.level)
            refused = open_ & (binom.cdf(hits, done, 0.5) * p < self.level)
            left &= ~refused
            open_ &= ~(confirmed | refused)
            if not open_.any():
                break
        kept = left & ~open_
        if not kept.any():
            return self._keep_best(hits, 1)
        n = min(self.n_features or p, int(kept.sum()))
        return self._keep_best(np.where(kept, total, -1.0), n)

    def _grow(self, X, y, columns, draw):
        """Return importances of columns, and the largest of shuffled copies."""
        copies = X[:, np.resize(columns, max(5, len(columns)))]
        shuffled = np.take_along_axis(copies, draw.rand(*copies.shape).argsort(0), 0)
        seed = draw.randint(2**31 - 1)
        forest = self._forest(self.n_estimators, random_state=seed, n_jobs=1)
        found = forest.fit(np.hstack([X[:, columns], shuffled]), y).feature_importances_
        return found[: len(columns)], found[len(columns) :].max()


class BorutaOfNumbers(Boruta):
    """`Boruta` of an outcome that is a number.

    Parameters
    ----------
    n_features, n_estimators, n_rounds, level, random_state
        As of `Boruta`.

    Notes
    -----
    A split looks at a third of the columns: of all, as scikit-learn's default is, the
    strongest column would hide the others in every tree.
    """

    @staticmethod
    def _forest(n_estimators, **about):
        return RandomForestRegressor(n_estimators, max_features=1 / 3, **about)


def _information(states, members):
    """Return the mutual information of columns and groups in nats, (n_columns,).

    ``states`` is (n_states, n_patients, n_columns), ``members`` (n_patients, n_groups).
    """
    joint = members.T.astype(np.float32) @ states / np.float64(len(members))
    alone = joint.sum(axis=0, keepdims=True) * joint.sum(axis=1, keepdims=True)
    return rel_entr(joint, alone).sum(axis=(0, 1))


#: What ``select`` may name, by the classes.
SELECTIONS = {
    "univariate": SelectAtMost,
    "mrmr": MinimumRedundancy,
    "elastic_net": ElasticNetSelect,
    "boruta": Boruta,
}

#: The same, by survival: the others look at classes.
SURVIVAL_SELECTIONS = {"univariate": SelectByConcordance}

#: The same, by a number: classes that are cut out of it would be another outcome.
CONTINUOUS_SELECTIONS = {
    "univariate": SelectByCorrelation,
    "elastic_net": ElasticNetOfNumbers,
    "boruta": BorutaOfNumbers,
}
