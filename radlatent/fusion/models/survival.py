"""Models of survival for tables with more columns than patients.

Each name gives an unfitted Pipeline of `pipeline`. ``fit`` takes columns and a
structured outcome (``event``, ``time`` in days); ``predict`` gives risks (higher =
earlier event), ``predict_survival`` probabilities to be free of the event.
"""

from collections.abc import Sequence

from sklearn.pipeline import Pipeline

from radlatent.fusion.models.prepare import Preparation, pipeline
from radlatent.fusion.solvers.boosted import BoostedSurvival
from radlatent.fusion.solvers.calibrated import SurvivalPipeline
from radlatent.fusion.solvers.cox import CoxRegression
from radlatent.fusion.solvers.forest import SurvivalForest
from radlatent.fusion.solvers.signs import SignAverage, SignAverageClassifier
from radlatent.fusion.solvers.weibull import WeibullRegression

__all__ = ["aft", "boosted_survival", "cox", "sign_average", "survival_forest"]


def cox(
    *,
    n_features: int | None = None,
    penalty_strength: float = 0.1,
    l1_ratio: float = 0.0,
    unpenalized: str | Sequence[str] = (),
    prepare: Preparation | dict | None = None,
) -> SurvivalPipeline:
    """Return penalized Cox regression behind impute, scale and select.

    Parameters
    ----------
    n_features
        Columns to keep by their concordance with survival; None for all.
    penalty_strength
        Weight of the penalty on standardized columns, as in `CoxRegression`.
    l1_ratio
        0 ridge, 1 lasso, between them elastic net.
    unpenalized
        Blocks, patterns or columns, such as ["clinical"], whose coefficients have no
        penalty and that no selection leaves out: glmnet's ``penalty.factor`` of 0.
    prepare
        A `Preparation`, or its fields.

    Notes
    -----
    Probabilities are learned on risks of training patients that the model, with its
    preparation, did not see (`SurvivalPipeline`): five parts, in each of which a
    `Combat` with ``unseen="error"`` needs patients of every site beside it.
    """
    model = CoxRegression(penalty_strength, l1_ratio, unpenalized)
    about = {"n_features": n_features, "prepare": prepare, "unpenalized": unpenalized}
    return pipeline("risk", model, **about)


def aft(
    *,
    n_features: int | None = None,
    penalty_strength: float = 0.1,
    prepare: Preparation | dict | None = None,
) -> SurvivalPipeline:
    """Return Weibull regression with a ridge penalty, as `cox` prepared.

    Parameters
    ----------
    n_features
        Columns to keep by their concordance with survival; None for all.
    penalty_strength
        Weight of the penalty on standardized columns, as in `WeibullRegression`.
    prepare
        A `Preparation`, or its fields.
    """
    model = WeibullRegression(penalty_strength)
    return pipeline("risk", model, n_features=n_features, prepare=prepare)


def boosted_survival(  # noqa: PLR0913 - those of the class, and what is before it
    *,
    objective: str = "cox",
    n_features: int | None = None,
    n_estimators: int = 100,
    learning_rate: float = 0.05,
    max_depth: int = 2,
    subsample: float = 0.8,
    random_state: int | None = 0,
    prepare: Preparation | dict | None = None,
) -> SurvivalPipeline:
    """Return boosted trees for survival, as `cox` prepared.

    Parameters
    ----------
    n_features
        Columns to keep by their concordance with survival; None for all.
    objective, n_estimators, learning_rate, max_depth, subsample, random_state
        As in `BoostedSurvival`.
    prepare
        A `Preparation`, or its fields.
    """
    model = BoostedSurvival(
        objective,
        n_estimators=n_estimators,
        learning_rate=learning_rate,
        max_depth=max_depth,
        subsample=subsample,
        random_state=random_state,
    )
    return pipeline("risk", model, n_features=n_features, prepare=prepare)


def survival_forest(
    *,
    n_features: int | None = None,
    n_estimators: int = 200,
    max_features: int | float | str = "sqrt",
    min_samples_leaf: int = 3,
    random_state: int | None = 0,
    prepare: Preparation | dict | None = None,
) -> SurvivalPipeline:
    """Return a random survival forest, as `cox` prepared.

    Parameters
    ----------
    n_features
        Columns to keep by their concordance with survival; None for all.
    n_estimators, max_features, min_samples_leaf, random_state
        As in `SurvivalForest`.
    prepare
        A `Preparation`, or its fields.
    """
    model = SurvivalForest(
        n_estimators,
        max_features=max_features,
        min_samples_leaf=min_samples_leaf,
        random_state=random_state,
    )
    return pipeline("risk", model, n_features=n_features, prepare=prepare)


def sign_average(
    *,
    kind: str = "survival",
    n_features: int | None = None,
    max_correlation: float = 0.8,
    n_estimators: int = 1,
    random_state: int | None = 0,
    prepare: Preparation | dict | None = None,
) -> Pipeline:
    """Return the mean of columns with the sign of their association, as `cox` prepared.

    Parameters
    ----------
    kind
        "survival", or "class" for a classifier of two classes.
    n_features, max_correlation, n_estimators, random_state
        As in `SignAverage`; the selection is inside it, after columns that are like a
        stronger one. A selection of ``prepare`` comes before, of as many columns.
    prepare
        A `Preparation`, or its fields.
    """
    kinds = {"survival": SignAverage, "class": SignAverageClassifier}
    if kind not in kinds:
        msg = f"kind is {kind!r}; known are {sorted(kinds)}."
        raise ValueError(msg)
    model = kinds[kind](n_features, max_correlation, n_estimators, random_state)
    plan = Preparation.of(prepare)
    before = n_features if plan.select else None
    made = pipeline("risk", model, n_features=before, prepare=plan)
    return made if kind == "survival" else made.set_output(transform="pandas")
