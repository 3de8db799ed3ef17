"""What a model's predictions rest on: by permutation, and by Shapley values.

A model, features, an endpoint and folds enter, as in ``cross_validate``, or a fitted
model and features; tables of importance by block or by column leave.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from radlatent.errors import SchemaError
from radlatent.features.endpoint import TIMED
from radlatent.features.folded import FoldedFeatures
from radlatent.fusion.metrics.arrays import Risks, interval
from radlatent.fusion.metrics.classes import auc
from radlatent.fusion.metrics.continuous import r2
from radlatent.fusion.metrics.evaluate import RANKED_BY
from radlatent.fusion.metrics.survival import c_harrell
from radlatent.fusion.solvers.calibrated import uncalibrated
from radlatent.fusion.validation.inputs import outcome_of
from radlatent.fusion.validation.validate import fit_folds
from radlatent.schema import split_column

if TYPE_CHECKING:
    from radlatent.features.endpoint import Endpoint

__all__ = ["Explanation", "permutation_importance", "shap_values"]

_LEVEL = 0.95


def permutation_importance(
    model: BaseEstimator,
    features: pd.DataFrame | FoldedFeatures,
    endpoint: "Endpoint",
    folds: pd.DataFrame,
    *,
    by: str = "block",
    n_permutations: int = 20,
    random_state: int | np.random.Generator | None = 0,
) -> pd.DataFrame:
    """Return what the test patients' AUC, C or R2 loses when columns change owners.

    Parameters
    ----------
    model, features, endpoint, folds
        As in ``cross_validate``.
    by
        "block" permutes all columns of a block together, each patient's row staying in
        one piece; "feature" permutes every column by itself.
    n_permutations
        Orders of the test patients of each fold; all blocks get the same.
    random_state
        Seed or Generator.

    Returns
    -------
    DataFrame
        ``name, block, n_columns, metric, loss, lower, upper, level, n, n_fits,
        method``, the largest loss first: the mean over folds and orders of the metric
        ("auc", of times "c_harrell", of numbers "r2") of a fold's test patients less
        that after the permutation. ``lower`` and ``upper`` hold the middle 95% of these
        losses: they tell how much a loss varies from fold to fold and order to order,
        and are no confidence interval. ``n_fits`` counts the folds that define the
        metric.

    Raises
    ------
    SchemaError
        ``by`` is not known, or no fold defines the metric; or as in ``cross_validate``.
    LeakageError
        As in ``cross_validate``.

    Notes
    -----
    Nothing is fitted anew: the loss tells what this model rests on, not what another
    could do without the columns; for that, compare models of other blocks. Where
    columns say the same, each covers for the other and both lose little, and permuted
    rows may be patients who cannot exist: read ``by="feature"`` among correlated
    columns with care, and prefer blocks.

    References
    ----------
    Breiman 2001, section 10, doi:10.1023/A:1010933404324; Fisher et al. 2019,
    arXiv:1801.01489; Hooker et al. 2021, doi:10.1007/s11222-021-10057-z
    """
    if by not in ("block", "feature"):
        msg = f"by={by!r} is not one of 'block', 'feature'."
        raise SchemaError(msg)
    groups = {}
    for column in features.columns:
        name = split_column(column)[0] if by == "block" else column
        groups.setdefault(name, []).append(column)
    rng = np.random.default_rng(random_state)
    losses = []
    ranks = uncalibrated(model)  # curves of survival change no order
    for _, _, fitted, _, test in fit_folds(ranks, features, endpoint, folds):
        orders = rng.permuted(
            np.tile(np.arange(len(test)), (n_permutations, 1)), axis=1
        )
        losses.append(_losses(fitted, test, endpoint, groups.values(), orders))
    # the truth is not permuted: a fold that lacks a class has no loss at all
    known = [loss for loss in losses if not np.isnan(loss).any()]
    if not known:
        msg = "no fold tests a pair of patients who can be ranked. Use fewer folds."
        raise SchemaError(msg)
    draws = np.concatenate(known)  # (n_fits * n_permutations, n_groups)
    lower, upper = interval(draws, _LEVEL)
    table = pd.DataFrame({"name": list(groups)})
    table["block"] = [split_column(columns[0])[0] for columns in groups.values()]
    table["n_columns"] = [len(columns) for columns in groups.values()]
    table["metric"] = RANKED_BY[endpoint.kind]
    table["loss"], table["lower"], table["upper"] = draws.mean(axis=0), lower, upper
    table = table.assign(level=_LEVEL, n=len(endpoint.frame), n_fits=len(known))
    table["method"] = f"middle of {len(draws)} losses: folds x {n_permutations} orders"
    order = np.argsort(-table["loss"], kind="stable")
    return table.iloc[order].reset_index(drop=True)


def _losses(fitted, test, endpoint, groups, orders):
    """Return the loss of each order and group, shape (n_permutations, n_groups)."""
    before = _scores(fitted, test, test, endpoint)
    # one call predicts all orders: a Pipeline takes longer to call than to compute
    copies = pd.concat([test] * len(orders))
    losses = []
    for columns in groups:
        moved = copies.copy()
        moved[columns] = test[columns].to_numpy()[orders.ravel()]
        losses.append(before - _scores(fitted, moved, test, endpoint))
    return np.transpose(losses)


def _scores(fitted, rows, test, endpoint):
    """Return AUC (macro average), C or R2 of each copy of the test patients."""
    ones, n_copies = np.ones((1, len(test))), len(rows) // len(test)
    truth = np.asarray(outcome_of(endpoint, test.index))
    if endpoint.kind in TIMED:
        empty = np.empty((len(test), 0)), np.empty(0)
        risks = [Risks(r, *empty) for r in np.split(fitted.predict(rows), n_copies)]
        return np.concatenate([c_harrell(truth, one, ones) for one in risks])
    if endpoint.kind == "continuous":
        said = np.split(fitted.predict(rows), n_copies)
        return np.concatenate([r2(truth, one, ones) for one in said])
    truth = np.searchsorted(fitted.classes_, truth)
    chances = np.split(fitted.predict_proba(rows), n_copies)
    return np.concatenate([auc(truth, one, ones) for one in chances])


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """How each column moves the score of each patient.

    Parameters
    ----------
    contributions
        Shapley values, a row a patient, a column a column of the features; in the unit
        of the score, such as log odds of the last class.
    base
        The score that those of a patient are added to.
    """

    contributions: pd.DataFrame
    base: float

    @property
    def summary(self) -> pd.DataFrame:
        """``name, block, mean_absolute, n`` of each column, the largest first."""
        size = (
            self.contributions.abs().mean().sort_values(ascending=False, kind="stable")
        )
        table = pd.DataFrame({"name": size.index, "mean_absolute": size.to_numpy()})
        table.insert(1, "block", [split_column(name)[0] for name in size.index])
        return table.assign(n=len(self.contributions))

    def plot(self, ax=None, **kwargs):
        """Draw the twenty largest columns on ``ax`` and return it."""
        from radlatent import figures

        return figures.importance(self.summary.head(20), ax, **kwargs)

    def _repr_html_(self) -> str:
        return self.summary.to_html()


def shap_values(
    fitted: BaseEstimator, features: pd.DataFrame, *, train: pd.DataFrame | None = None
) -> Explanation:
    """Return the exact Shapley values of a linear model or of boosted trees.

    Parameters
    ----------
    fitted
        A fitted Pipeline, or estimator, that ends in a linear model of two classes, of
        numbers or of survival, or in one of XGBoost; a search takes its best.
        ``fit_folds`` gives fitted models with the patients that they did not see.
    features
        A **features** table of the patients to explain.
    train
        Features of the patients that a linear model was fitted on; of trees not used.

    Raises
    ------
    SchemaError
        The model is of another kind, a step mixes columns, a linear model comes without
        ``train``, or the values do not add up to the score of the model.

    Notes
    -----
    Of a linear model the value is the coefficient times the distance of the (imputed,
    scaled) column from its mean over ``train``: exact if columns were independent, the
    first of the two definitions in use. Of trees it is that of TreeSHAP with the paths
    of the training patients, by XGBoost itself. A column that the model dropped has the
    value 0. The values add up, with ``base``, to the score: log odds of the last class,
    log hazard ratio, or minus log time of accelerated failure time.

    They explain the model, not the disease; correlated columns divide their share as
    the penalty or the trees happened to do.

    References
    ----------
    Lundberg & Lee 2017, arXiv:1705.07874; Lundberg et al. 2020,
    doi:10.1038/s42256-019-0138-9; Strumbelj & Kononenko 2014,
    doi:10.1007/s10115-013-0679-x
    """
    fitted = getattr(fitted, "best_estimator_", fitted)
    pipe = fitted if isinstance(fitted, Pipeline) else Pipeline([("model", fitted)])
    last, entering = pipe[-1], _entering(pipe, features)
    two = len(getattr(last, "classes_", ())) <= 2
    if two and (hasattr(last, "get_booster") or hasattr(last, "booster_")):
        values, score = _of_trees(last, entering)
    elif two and hasattr(last, "coef_") and train is not None:
        values = (entering - _entering(pipe, train).mean()) * np.ravel(last.coef_)
        score = getattr(pipe, "decision_function", pipe.predict)(features)
    else:
        msg = (
            f"{type(last).__name__}: Shapley values are exact of linear models (coef_; "
            "give train) and of XGBoost, of two classes or survival. For others use "
            "permutation_importance."
        )
        raise SchemaError(msg)
    bases = score - values.sum(axis=1)
    # XGBoost adds in float32
    if np.ptp(bases) > 1e-4 * (1 + np.abs(score).max()):
        msg = f"the score of {type(last).__name__} is not a sum over its columns."
        raise SchemaError(msg)
    values = values.reindex(columns=features.columns, fill_value=0.0)
    return Explanation(values, float(bases.mean()))


def _entering(pipe, features):
    """Return what enters the last step, named by columns of the features."""
    if len(pipe) == 1:
        return features
    names = list(pipe[:-1].get_feature_names_out())
    foreign = [name for name in names if name not in features.columns]
    if foreign:
        msg = f"a step of the model mixes columns, into {foreign[:5]}. Leave it out."
        raise SchemaError(msg)
    table = np.asarray(pipe[:-1].transform(features), dtype=float)
    return pd.DataFrame(table, features.index, names)


def _of_trees(last, entering):
    """Return values of TreeSHAP, and the score that the model itself gives."""
    from xgboost import DMatrix

    booster = last.booster_ if hasattr(last, "booster_") else last.get_booster()
    matrix = DMatrix(entering.to_numpy(), feature_names=booster.feature_names)
    # after early stopping the model uses its best trees; (0, 0) is all of them
    rounds = {"iteration_range": (0, getattr(last, "best_iteration", -1) + 1)}
    # accelerated failure time adds up the log time, of which the risk is minus
    sign = -1.0 if getattr(last, "objective", "") == "aft" else 1.0
    # of numbers it adds up the standardized outcome
    sign *= getattr(last, "spread_", 1.0)
    values = sign * booster.predict(matrix, pred_contribs=True, **rounds)[:, :-1]
    score = sign * booster.predict(matrix, output_margin=True, **rounds)
    score = score + getattr(last, "center_", 0.0)
    return pd.DataFrame(values, entering.index, entering.columns, dtype=float), score
