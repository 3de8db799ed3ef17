"""Late fusion: a model for each block, and one that weighs what they say.

Features by patient and an outcome enter, a fitted estimator leaves. It learns the
weights on scores of training patients that the models of the blocks did not see.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import logit
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    RegressorMixin,
    clone,
    is_classifier,
    is_regressor,
)
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.utils.validation import check_array, check_is_fitted

from radlatent.errors import SchemaError
from radlatent.features.endpoint import groups_of, strata_of
from radlatent.features.folds import deal, whose_rows
from radlatent.features.join import has_values, select_blocks
from radlatent.fusion.solvers.calibrated import uncalibrated
from radlatent.fusion.solvers.competing import FineGray
from radlatent.fusion.solvers.cox import CoxRegression
from radlatent.fusion.solvers.linear import PenalizedLinear

__all__ = [
    "FLOOR",
    "LateFusion",
    "LateFusionCompeting",
    "LateFusionNumbers",
    "LateFusionSurvival",
    "late_fusion",
]

#: Probabilities nearer to 0 or 1 count as this far: the log-odds of a forest that is
#: sure are infinite.
FLOOR = 1e-3


def late_fusion(
    models: Mapping[str, BaseEstimator],
    *,
    n_folds: int = 5,
    C: float = 1.0,
    random_state: int | None = 0,
) -> "LateFusion | LateFusionNumbers | LateFusionSurvival | LateFusionCompeting":
    """Return an unfitted model that fuses a model for each block.

    Parameters
    ----------
    models
        Block, or pattern of blocks such as ``"*_latent"``, to an unfitted estimator:
        all classifiers with ``predict_proba``, all regressors, or all survival models
        whose ``predict`` gives a risk.
    n_folds
        Parts that the training patients of a block are dealt into.
    C
        Inverse strength of the ridge penalty on the weights of standardized scores.
    random_state
        Seed of the parts; None draws others in each fit.

    Returns
    -------
    LateFusion, LateFusionNumbers, LateFusionCompeting, LateFusionSurvival
        The first if all models are classifiers, the second if all are regressors, the
        third if all tell incidences of competing events.

    Examples
    --------
    >>> from radlatent.fusion import logistic
    >>> late_fusion({"ct_*": logistic(), "pet_*": logistic(n_features=5)})
    LateFusion(models={...})
    """
    kinds = {is_classifier: LateFusion, is_regressor: LateFusionNumbers}
    kinds |= {_tells_incidence: LateFusionCompeting}
    fitting = (k for asked, k in kinds.items() if all(map(asked, models.values())))
    kind = next(fitting, LateFusionSurvival)
    return kind(dict(models), n_folds=n_folds, C=C, random_state=random_state)


def _tells_incidence(model):
    return hasattr(model, "predict_incidence")


class _Late(BaseEstimator):
    """What fusing classes, numbers and survival have in common."""

    _kind = "class"

    def __init__(
        self,
        models: Mapping[str, BaseEstimator],
        *,
        n_folds: int = 5,
        C: float = 1.0,
        random_state: int | None = 0,
    ):
        self.models = models
        self.n_folds = n_folds
        self.C = C
        self.random_state = random_state

    def _fit_blocks(self, X, y, strata, n_scores):
        """Fit the models; return standardized scores of patients they did not see."""
        once = _each_once(X)
        known = {block: select_blocks(once, block).columns for block in self.models}
        tables = {block: X[columns] for block, columns in known.items()}
        has = {block: has_values(table).to_numpy() for block, table in tables.items()}
        _check_counts(has, strata, self.n_folds, self._kind)
        self.feature_names_in_ = X.columns.to_numpy(dtype=object)
        self.n_features_in_ = X.shape[1]
        self.models_ = {}
        self.columns_ = {block: list(table) for block, table in tables.items()}
        scores = np.full((len(X), len(tables), n_scores), np.nan)
        for at, (block, model) in enumerate(self.models.items()):
            chosen = has[block]
            rows, outcome = tables[block][chosen], y[chosen]
            # curves of survival do not change a risk
            ranks, parts = uncalibrated(model), self._deal(rows, strata[chosen])
            said = cross_val_predict(
                ranks, rows, outcome, cv=parts, method=self._method
            )
            scores[chosen, at] = check_array(self._score(said))
            self.models_[block] = clone(model).fit(rows, outcome)
        self.center_, spread = np.nanmean(scores, axis=0), np.nanstd(scores, axis=0)
        # of equal scores the spread is 0, or rounding: they say nothing
        self.scale_ = np.where(spread > 1e-9 * np.abs(self.center_), spread, np.inf)
        return self._standardize(scores)

    def _deal(self, rows, strata):
        seed = self.random_state
        if self._kind == "continuous":
            strata = groups_of(strata, self.n_folds)
        else:
            survival = self._kind == "survival"
            strata = strata_of(strata, self.n_folds, survival=survival)
        part = deal(whose_rows(rows), self.n_folds, strata=strata, random_state=seed)
        return PredefinedSplit(part)

    def _scores(self, X):
        """Return the standardized scores of patients."""
        check_is_fitted(self)
        scores = np.full((len(X), *self.center_.shape), np.nan)
        for at, (block, model) in enumerate(self.models_.items()):
            # by name: a patient may be asked for several times, as importance does
            table = X[self.columns_[block]]
            has = has_values(table).to_numpy()
            if has.any():
                said = getattr(model, self._method)(table[has])
                scores[has, at] = check_array(self._score(said))
        return self._standardize(scores)

    def _standardize(self, scores):
        # the mean says nothing: so does a block that a patient does not have
        scores = np.nan_to_num((scores - self.center_) / self.scale_, nan=0.0)
        return scores.reshape(len(scores), -1)


def _each_once(X):
    """Return a row a patient of a bootstrap draw, and any other table as it is."""
    if not isinstance(X, pd.DataFrame):
        return X
    copies = X.reset_index().duplicated().to_numpy()
    return X[~copies]


class LateFusion(ClassifierMixin, _Late):
    """Log-odds of a model for each block, weighed by a logistic regression.

    Parameters
    ----------
    models
        Block, or pattern of blocks, to an unfitted classifier; see `late_fusion`.
    n_folds, C, random_state
        As in `late_fusion`.

    Attributes
    ----------
    classes_
        The classes, sorted.
    models_
        Block to its model, fitted on all training patients who have any value in it.
    columns_
        Block to its columns.
    weights_
        Series by block: change of the fused log-odds with one standard deviation of
        the score of the block. Of several classes, the mean over them of the weight
        that the score of a class has for that class.
    fuse_
        The logistic regression.

    Raises
    ------
    SchemaError
        ``X`` is no DataFrame with one row a patient, lacks a block, or a block has too
        few patients of a class.

    Notes
    -----
    Stacking: the training patients of a block are dealt into parts, and the model of
    the other parts scores each part. On these scores, standardized, a ridge-penalized
    logistic regression is fitted; new patients are scored by models of all training
    patients. A score is the log-odds of the last class, or of each of several classes,
    at most 6.9 (a probability of 0.999). A patient without a block gets the mean of its
    scores: the block says nothing of this patient.

    What was fitted on training patients before, such as an encoder, has seen the
    patients of the inner parts: a supervised one looks better there than it is.

    References
    ----------
    Wolpert 1992, doi:10.1016/S0893-6080(05)80023-1
    """

    _method = "predict_proba"

    def fit(self, X: pd.DataFrame, y: ArrayLike) -> "LateFusion":
        """Fit on features by patient and the class of each."""
        y = np.asarray(y)
        self.classes_ = np.unique(y)
        n_scores = 1 if len(self.classes_) == 2 else len(self.classes_)
        scores = self._fit_blocks(X, y, y, n_scores)
        self.fuse_ = LogisticRegression(C=self.C, max_iter=10_000).fit(scores, y)
        # (class, block, score): a class and its own score are on the diagonal
        coefficients = self.fuse_.coef_.reshape(-1, *self.center_.shape)
        own = np.einsum("kbk->b", coefficients) / n_scores
        self.weights_ = pd.Series(own, [*self.models_], name="weight")
        return self

    def _score(self, chances):
        chances = chances[:, 1:] if chances.shape[1] == 2 else chances
        return logit(np.clip(chances, FLOOR, 1 - FLOOR))

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """Return probabilities, shape (n_patients, n_classes)."""
        return self.fuse_.predict_proba(self._scores(X))

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Return the class with the largest probability."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


class LateFusionNumbers(RegressorMixin, _Late):
    """Predictions of a model for each block, weighed by a ridge regression.

    Parameters
    ----------
    models
        Block, or pattern of blocks, to an unfitted regressor; see `late_fusion`.
    n_folds, C, random_state
        As in `late_fusion`; parts have similar numbers (`groups_of`).

    Attributes
    ----------
    models_, columns_
        As in `LateFusion`.
    weights_
        Series by block: change of the fused number, in its unit, with one standard
        deviation of the prediction of the block.
    fuse_
        The `PenalizedLinear`.

    Raises
    ------
    SchemaError
        As in `LateFusion`.

    Notes
    -----
    As `LateFusion`, with predicted numbers in the place of log-odds. The penalty on
    half the sum of squared errors of the standardized outcome is |weights|^2 / (2 C).

    References
    ----------
    Wolpert 1992, doi:10.1016/S0893-6080(05)80023-1; Breiman 1996,
    doi:10.1007/BF00117832
    """

    _method, _kind = "predict", "continuous"

    def fit(self, X: pd.DataFrame, y: ArrayLike) -> "LateFusionNumbers":
        """Fit on features by patient and the number of each."""
        y = np.asarray(y, dtype=float)
        scores = self._fit_blocks(X, y, y, 1)
        self.fuse_ = PenalizedLinear(1 / (self.C * len(scores))).fit(scores, y)
        self.weights_ = pd.Series(self.fuse_.coef_, [*self.models_], name="weight")
        return self

    def _score(self, said):
        return np.asarray(said)[:, None]

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Return the number of each patient, in the unit of the outcome."""
        return self.fuse_.predict(self._scores(X))


class LateFusionSurvival(_Late):
    """Risks of a model for each block, weighed by a Cox regression.

    Parameters
    ----------
    models
        Block, or pattern of blocks, to an unfitted survival model whose ``predict``
        gives a risk; see `late_fusion`.
    n_folds, C, random_state
        As in `late_fusion`; parts are stratified by the event, where enough patients
        were censored.

    Attributes
    ----------
    models_, columns_
        As in `LateFusion`.
    weights_
        Series by block: log hazard ratio of one standard deviation of its risk.
    fuse_
        The ``CoxRegression``.

    Raises
    ------
    SchemaError
        As in `LateFusion`.
    ValueError
        No block tells patients apart.

    Notes
    -----
    As `LateFusion`, with risks in the place of log-odds. The penalty on the log partial
    likelihood is |weights|^2 / (2 C).

    References
    ----------
    Wolpert 1992, doi:10.1016/S0893-6080(05)80023-1; Cox 1972,
    doi:10.1111/j.2517-6161.1972.tb00899.x
    """

    _method, _kind = "predict", "survival"

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> "LateFusionSurvival":
        """Fit on features by patient and an array with ``event`` and ``time``."""
        scores = self._fit_blocks(X, y, y["event"].astype(bool), 1)
        self.fuse_ = CoxRegression(1 / (self.C * len(scores))).fit(scores, y)
        self.weights_ = pd.Series(self.fuse_.coef_, [*self.models_], name="weight")
        return self

    def _score(self, risks):
        return np.asarray(risks)[:, None]

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Return the risk, higher is worse: the log hazard ratio to the mean."""
        return self.fuse_.predict(self._scores(X))

    def predict_survival(self, X: pd.DataFrame, times: ArrayLike) -> np.ndarray:
        """Return the probability of no event until each time, in the unit of ``y``.

        Shape (n_patients, n_times); NaN after the follow-up of training.
        """
        return self.fuse_.predict_survival(self._scores(X), times)


class LateFusionCompeting(_Late):
    """Risks of a model for each block, weighed by Fine and Gray's regression.

    Parameters
    ----------
    models
        Block, or pattern of blocks, to an unfitted model of competing events; see
        `late_fusion`.
    n_folds, C, random_state
        As in `LateFusionSurvival`.

    Attributes
    ----------
    models_, columns_
        As in `LateFusion`.
    weights_
        Series by block: log ratio of the subdistribution hazard of the cause of
        interest for one standard deviation of its risk.
    fuse_
        The ``FineGray``.

    Raises
    ------
    SchemaError
        As in `LateFusion`.
    ValueError
        No block tells patients apart.

    Notes
    -----
    As `LateFusionSurvival`. Each block says its risk of the cause of interest; the
    incidence of the others is a regression on the same risks.

    References
    ----------
    Wolpert 1992, doi:10.1016/S0893-6080(05)80023-1; Fine & Gray 1999,
    doi:10.1080/01621459.1999.10474144
    """

    _method, _kind = "predict", "survival"

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> "LateFusionCompeting":
        """Fit on features by patient and an array with ``event, time, cause``."""
        scores = self._fit_blocks(X, y, y["event"].astype(bool), 1)
        self.fuse_ = FineGray(1 / (self.C * len(scores))).fit(scores, y)
        self.weights_ = pd.Series(self.fuse_.coef_, [*self.models_], name="weight")
        return self

    def _score(self, risks):
        return np.asarray(risks)[:, None]

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Return the log ratio of the subdistribution hazard (higher = worse)."""
        return self.fuse_.predict(self._scores(X))

    def predict_incidence(self, X: pd.DataFrame, times: ArrayLike) -> np.ndarray:
        """Return the probability of each event until each time, as `FineGray` does."""
        return self.fuse_.predict_incidence(self._scores(X), times)


def _check_counts(has, strata, n_folds, kind):
    if kind == "continuous":
        strata = np.full(len(strata), "any value")
    # of survival, events: who was censored is no class
    known = [True] if kind == "survival" else np.unique(strata)
    counts = {
        block: {str(k): int((strata[rows] == k).sum()) for k in known}
        for block, rows in has.items()
    }
    small = {b: found for b, found in counts.items() if min(found.values()) < n_folds}
    if small:
        msg = (
            f"late fusion: n_folds={n_folds} takes as many training patients who have "
            "the block, of each class, with the event or a value; there are "
            f"{small}. Give a smaller n_folds, or leave the block out."
        )
        raise SchemaError(msg)
