"""What a model finds where there is nothing to find.

A model, features, an endpoint and folds enter, as in ``cross_validate``; the same
validation is repeated with outcomes of other patients, and a small table leaves.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from radlatent.errors import SchemaError
from radlatent.features.folded import FoldedFeatures
from radlatent.fusion.metrics.arrays import interval, read_runs
from radlatent.fusion.metrics.evaluate import RANKED_BY, bootstrap_metric
from radlatent.fusion.solvers.calibrated import uncalibrated
from radlatent.fusion.validation.inputs import (
    check_inputs,
    check_model,
    missing_in_training,
    with_text_ids,
)
from radlatent.fusion.validation.validate import predict_folds
from radlatent.parallel import map_tasks

if TYPE_CHECKING:
    from radlatent.features.endpoint import Endpoint

__all__ = ["PermutedOutcomes", "permute_outcomes"]

#: Dealings that are drawn until one leaves something to learn in every fold.
_TRIES = 1000


@dataclass(frozen=True, eq=False, repr=False)
class PermutedOutcomes:
    """A metric with the outcomes of the patients, and with those of others.

    Parameters
    ----------
    summary
        One row: ``metric, estimate, chance, chance_lower, chance_upper, p,
        n_permutations, n``.
    draws
        The metric of each permutation.
    """

    summary: pd.DataFrame
    draws: pd.Series

    def __repr__(self) -> str:
        row = self.summary.iloc[0]
        return (
            f"PermutedOutcomes({row['metric']} {row['estimate']:.3f}; by chance "
            f"{row['chance_lower']:.3f} to {row['chance_upper']:.3f}, p {row['p']:.3g})"
        )

    def _repr_html_(self) -> str:
        return self.summary.to_html(index=False)


def permute_outcomes(
    model: BaseEstimator,
    features: pd.DataFrame | FoldedFeatures,
    endpoint: "Endpoint",
    folds: pd.DataFrame,
    *,
    n_permutations: int = 100,
    jobs: int | None = None,
    random_state: int | np.random.Generator | None = 0,
) -> PermutedOutcomes:
    """Validate with outcomes dealt to other patients: a control, and a test.

    Parameters
    ----------
    model, features, endpoint, folds
        As in ``cross_validate``. A search inside the model is repeated each time.
    n_permutations
        Times that the outcomes are dealt anew.
    jobs
        Processes; None leaves it to ``joblib.parallel_config``.
    random_state
        Seed or Generator of the dealing.

    Raises
    ------
    SchemaError, LeakageError
        As in ``cross_validate``, and where a permuted outcome cannot be fitted.

    Notes
    -----
    The metric is the AUC (of several classes the macro average), Harrell's C or R2,
    mean over repeats. p = (1 + number of permutations that are as good) / (1 + number
    of permutations). ``chance_lower`` and ``chance_upper`` hold the middle 95 % of the
    permutations. A search or a selection inside the model is repeated and accounted
    for; one that was made before, on the true outcomes of all patients, is not, and
    looks as if it were an effect.

    Outcomes of whole patients are dealt, time and event together; folds stay, so that
    features fitted in folds stay those of their fold. Of few events or a small class
    all may come to be tested in one fold, which leaves nothing to learn there: such a
    dealing is drawn anew, as the one that was observed is not of these. The test is of
    the whole procedure: it does not tell which block is at work.

    References
    ----------
    Ojala & Garriga 2010, JMLR 11:1833; Phipson & Smyth 2010, doi:10.2202/1544-6115.1585
    """
    if n_permutations < 1:
        raise SchemaError(f"n_permutations is {n_permutations}; give 1 or more.")
    features, folds = with_text_ids(features, folds)
    check_model(model, endpoint)
    splits = check_inputs(features, endpoint, folds)
    model = uncalibrated(model)  # curves of survival do not rank
    rng = np.random.default_rng(random_state)
    tasks = {"observed": (model, features, endpoint, splits)}
    for number in range(n_permutations):
        tasks[str(number)] = (model, features, _dealt(endpoint, splits, rng), splits)
    what = "Permuting outcomes"
    outcome = map_tasks(_ranked, tasks, jobs=jobs, description=what)
    if outcome.failures:
        number, (_, text) = next(iter(outcome.failures.items()))
        msg = f"{len(outcome.failures)} permutations failed; number {number}: {text}"
        raise SchemaError(msg)
    (metric, estimate), *others = outcome.results.values()
    draws = pd.Series([value for _, value in others], name=metric)
    lower, upper = interval(draws.to_numpy(), 0.95)
    row = {"metric": metric, "estimate": estimate, "chance": draws.mean()}
    row |= {"chance_lower": lower, "chance_upper": upper}
    row |= {"p": (1 + (draws >= estimate).sum()) / (1 + len(draws))}
    row |= {"n_permutations": len(draws), "n": len(endpoint.frame)}
    return PermutedOutcomes(pd.DataFrame([row]), draws)


def _dealt(endpoint, splits, rng):
    """Return an endpoint with outcomes of other patients, of which all folds learn."""
    for _ in range(_TRIES):
        order = rng.permutation(len(endpoint.frame))
        dealt = endpoint.frame.iloc[order].set_axis(endpoint.frame.index)
        other = replace(endpoint, frame=dealt)
        if not any(missing_in_training(other, *parts) for parts in splits.values()):
            break
    return other


def _ranked(model, features, endpoint, splits):
    """Return name and mean over repeats of the metric that ranks."""
    predictions, _ = predict_folds(model, features, endpoint, splits)
    (run,) = read_runs(predictions)
    nothing = np.empty((0, len(run.patients)))
    metric = RANKED_BY[endpoint.kind]
    return metric, float(bootstrap_metric(run, metric, nothing)[0])
