"""Classifiers for tables with more columns than patients, and their like for numbers.

Each name gives an unfitted Pipeline of `pipeline`, for ``cross_validate``. What serves
both takes ``kind``: "class" (the last step is ``classify``) or "continuous"
(``regress``).
"""

from collections.abc import Sequence

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from radlatent.errors import SchemaError
from radlatent.features.folds import whose_rows
from radlatent.fusion.models.prepare import Preparation, pipeline
from radlatent.fusion.solvers.boosted import Boosted, BoostedNumbers
from radlatent.fusion.solvers.linear import ScaledSVR
from radlatent.fusion.solvers.sparse import SparingLogistic, SparseLogistic
from radlatent.schema import nearest

__all__ = ["boosted", "forest", "logistic", "svm"]

_PENALTIES = ("ridge", "lasso", "elastic_net")

#: Kind of outcome to the last step of a Pipeline.
_STEPS = {"class": "classify", "continuous": "regress"}


def _step(kind):
    if kind not in _STEPS:
        raise SchemaError(f"kind is {kind!r}; known are {[*_STEPS]}.")
    return _STEPS[kind]


def logistic(
    *,
    n_features: int | None = None,
    C: float = 1.0,
    penalty: str = "ridge",
    l1_ratio: float = 0.5,
    unpenalized: str | Sequence[str] = (),
    prepare: Preparation | dict | None = None,
) -> Pipeline:
    """Return penalized logistic regression behind impute, scale and select.

    Missing values become the median of the training patients; columns that are
    constant or empty there are dropped.

    Parameters
    ----------
    n_features
        Columns to keep by one-way F statistic, or as ``prepare`` says; None for all.
    C
        Inverse strength of the penalty on standardized columns.
    penalty
        "ridge" shrinks all coefficients, "lasso" leaves columns out, "elastic_net" does
        both (`SparseLogistic`).
    l1_ratio
        Share of the elastic net that is lasso; the other penalties do not use it.
    unpenalized
        Blocks, patterns or columns, such as ["clinical"], whose coefficients have no
        penalty and that no selection leaves out: glmnet's ``penalty.factor`` of 0.
    prepare
        A `Preparation`, or its fields.

    Notes
    -----
    Classes are not reweighted: balanced weights would move the probabilities away
    from the prevalence and spoil the Brier score. With rare classes, read the
    balanced accuracy, which uses the largest probability, together with the AUC.
    """
    if penalty not in _PENALTIES:
        hint = nearest(penalty, _PENALTIES)
        msg = f"unknown penalty {penalty!r}{hint} (known are {_PENALTIES})."
        raise SchemaError(msg)
    shared = {"n_features": n_features, "prepare": prepare}
    if len(unpenalized):
        ratios = {"ridge": 0.0, "lasso": 1.0, "elastic_net": l1_ratio}
        classify = SparingLogistic(C, ratios[penalty], unpenalized)
        return pipeline("classify", classify, unpenalized=unpenalized, **shared)
    # the default of 100 iterations is too few for a weak penalty on many columns
    classify = LogisticRegression(C=C, max_iter=10_000)
    if penalty != "ridge":
        classify = SparseLogistic(C, l1_ratio if penalty == "elastic_net" else 1.0)
    return pipeline("classify", classify, **shared)


def svm(
    *,
    kind: str = "class",
    n_features: int | None = None,
    C: float = 1.0,
    gamma: float | str = "scale",
    n_folds: int = 5,
    random_state: int | None = 0,
    prepare: Preparation | dict | None = None,
) -> Pipeline:
    """Return a support vector machine with an RBF kernel, as `logistic` prepared.

    Parameters
    ----------
    kind
        "class", or "continuous" for an outcome that is a number.
    n_features
        Columns to keep by one-way F, of numbers by |correlation|, or as ``prepare``
        says; None for all.
    C
        Inverse strength of the penalty on standardized columns.
    gamma
        Width of the kernel exp(-gamma d^2), d between standardized columns; "scale" is
        1 / (number of columns x their variance), "auto" 1 / number of columns.
    n_folds
        Parts of the training patients that probabilities are learned on; every class
        needs as many training patients. Numbers need none.
    random_state
        Seed of these parts; None draws others in each fit.
    prepare
        A `Preparation`, or its fields.

    Notes
    -----
    A support vector machine gives distances, not probabilities. A sigmoid is fitted to
    distances of training patients that the machine did not see, and turns those of the
    machine of all training patients into probabilities. Columns are selected anew
    inside these parts: chosen on all of them, noise would look certain. Where features
    tell nothing the sigmoid may fall instead of rise, and the ranking is reversed.
    Of numbers it is support vector regression of the standardized outcome, with errors
    below a tenth of its standard deviation free (`ScaledSVR`).

    The solver has no limit of iterations: it ends at its tolerance, never before.

    References
    ----------
    Cortes & Vapnik 1995, doi:10.1007/BF00994018; Platt 1999, Advances in Large Margin
    Classifiers, 61-74; Lin et al. 2007, doi:10.1007/s10994-007-5018-6
    """
    if _step(kind) == "regress":
        model = ScaledSVR(C, gamma=gamma)
        return pipeline("regress", model, n_features=n_features, prepare=prepare)
    plan, machine = Preparation.of(prepare), SVC(C=C, gamma=gamma, max_iter=-1)
    parts = _Parts(n_folds, shuffle=True, random_state=random_state)
    inner = Pipeline([*plan.by_outcome(n_features), ("machine", machine)])
    classify = CalibratedClassifierCV(inner, ensemble=False, cv=parts)
    steps = [*plan.before_outcome(), ("classify", classify)]
    # tables between steps, so that parts can tell patients apart
    return Pipeline(steps).set_output(transform="pandas")


class _Parts(StratifiedKFold):
    """Parts of patients: those drawn several times are in one part."""

    def split(self, X, y, groups=None):
        """Yield the places of training and of test patients."""
        who = whose_rows(X)
        _, first, number = np.unique(who, return_index=True, return_inverse=True)
        for _, inside in super().split(first, np.asarray(y)[first]):
            held = np.isin(number, inside)
            yield np.flatnonzero(~held), np.flatnonzero(held)


def forest(
    *,
    kind: str = "class",
    n_features: int | None = None,
    n_estimators: int = 500,
    max_features: int | float | str = "sqrt",
    min_samples_leaf: int = 1,
    random_state: int | None = 0,
    prepare: Preparation | dict | None = None,
) -> Pipeline:
    """Return a random forest, as `logistic` prepared.

    Parameters
    ----------
    kind
        "class", or "continuous" for an outcome that is a number.
    n_features
        Columns to keep by one-way F, of numbers by |correlation|, or as ``prepare``
        says; None for all.
    n_estimators
        Number of trees.
    max_features
        Columns tried at a split: a number, a share, "sqrt" or "log2" of them.
    min_samples_leaf
        Training patients that a leaf holds at least.
    random_state
        Seed of the trees; None draws others in each fit.
    prepare
        A `Preparation`, or its fields.

    Notes
    -----
    One process, so that ``cross_validate`` gives the same numbers on any machine and
    starts no processes inside processes. Trees do not need the scaling; it is kept so
    that models differ in one thing only.

    References
    ----------
    Breiman 2001, doi:10.1023/A:1010933404324
    """
    step = _step(kind)
    grow = RandomForestClassifier if kind == "class" else RandomForestRegressor
    model = grow(
        n_estimators,
        max_features=max_features,
        min_samples_leaf=min_samples_leaf,
        random_state=random_state,
        n_jobs=1,
    )
    return pipeline(step, model, n_features=n_features, prepare=prepare)


def boosted(
    *,
    kind: str = "class",
    n_features: int | None = None,
    n_estimators: int = 200,
    max_depth: int = 2,
    learning_rate: float = 0.05,
    random_state: int | None = 0,
    prepare: Preparation | dict | None = None,
) -> Pipeline:
    """Return boosted trees (XGBoost), as `logistic` prepared.

    Parameters
    ----------
    kind
        "class", or "continuous" for an outcome that is a number.
    n_features
        Columns to keep by one-way F, of numbers by |correlation|, or as ``prepare``
        says; None for all.
    n_estimators
        Rounds; with several classes, a tree a class in each.
    max_depth
        Splits from the root of a tree to a leaf, at most.
    learning_rate
        What is added of each tree.
    random_state
        Seed of the 80% of patients that each tree is grown on; None draws others.
    prepare
        A `Preparation`, or its fields.

    Notes
    -----
    The trees are shallow and added slowly, for some hundred patients. One process, as
    in `forest`.

    References
    ----------
    Friedman 2002, doi:10.1016/S0167-9473(01)00065-2; Chen & Guestrin 2016,
    doi:10.1145/2939672.2939785
    """
    step = _step(kind)
    grow = Boosted if kind == "class" else BoostedNumbers
    model = grow(
        n_estimators,
        max_depth=max_depth,
        learning_rate=learning_rate,
        random_state=random_state,
    )
    return pipeline(step, model, n_features=n_features, prepare=prepare)
