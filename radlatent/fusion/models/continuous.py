"""Models of numbers for tables with more columns than patients.

Each name gives an unfitted Pipeline of `pipeline`, for ``cross_validate``; `forest`,
`boosted` and `svm` are those of classes with ``kind="continuous"``.
"""

from collections.abc import Sequence

from sklearn.pipeline import Pipeline

from radlatent.fusion.models.prepare import Preparation, pipeline
from radlatent.fusion.solvers.linear import PenalizedLinear

__all__ = ["elastic_net", "ridge"]


def ridge(
    *,
    n_features: int | None = None,
    penalty_strength: float = 0.1,
    unpenalized: str | Sequence[str] = (),
    prepare: Preparation | dict | None = None,
) -> Pipeline:
    """Return ridge regression of a number behind impute, scale and select.

    Parameters
    ----------
    n_features
        Columns to keep by |correlation| with the outcome, or as ``prepare`` says; None
        for all.
    penalty_strength
        Weight of the penalty on standardized columns and outcome, as in
        `PenalizedLinear`.
    unpenalized
        Blocks, patterns or columns, such as ["clinical"], whose coefficients have no
        penalty and that no selection leaves out: glmnet's ``penalty.factor`` of 0.
    prepare
        A `Preparation`, or its fields.

    Examples
    --------
    >>> from radlatent import tune
    >>> tune(ridge(), {"penalty_strength": [0.01, 0.1, 1]}).param_grid
    {'penalty_strength': [0.01, 0.1, 1]}
    """
    model = PenalizedLinear(penalty_strength, unpenalized=unpenalized)
    about = {"n_features": n_features, "prepare": prepare, "unpenalized": unpenalized}
    return pipeline("regress", model, **about)


def elastic_net(
    *,
    n_features: int | None = None,
    penalty_strength: float = 0.1,
    l1_ratio: float = 0.5,
    unpenalized: str | Sequence[str] = (),
    prepare: Preparation | dict | None = None,
) -> Pipeline:
    """Return a regression of a number that leaves columns out, as `ridge` prepared.

    Parameters
    ----------
    n_features
        Columns that are offered to it, as in `ridge`.
    penalty_strength
        Weight of the penalty on standardized columns and outcome; from 1 / l1_ratio on
        no column is used, whatever it says.
    l1_ratio
        Share of the penalty that is lasso, above 0 to 1.
    unpenalized
        As of `ridge`.
    prepare
        A `Preparation`, or its fields.
    """
    model = PenalizedLinear(penalty_strength, l1_ratio, unpenalized)
    about = {"n_features": n_features, "prepare": prepare, "unpenalized": unpenalized}
    return pipeline("regress", model, **about)
