"""How good a model is, from models of bootstrap draws of its patients.

A model, features and an endpoint enter; what each metric is in training, how much of
that is optimism, and two estimates for new patients leave.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from radlatent.errors import SchemaError
from radlatent.features.folded import FoldedFeatures
from radlatent.fusion.metrics.arrays import (
    ContinuousRun,
    OutOfFold,
    Risks,
    SurvivalRun,
    interval,
    read_runs,
)
from radlatent.fusion.metrics.evaluate import events_of, metrics_of, predicted_of
from radlatent.fusion.validation.inputs import (
    check_model,
    check_table,
    missing_in_training,
    with_text_ids,
)
from radlatent.fusion.validation.leakage import check_fitted
from radlatent.fusion.validation.predict import fit_and_predict
from radlatent.parallel import map_tasks

if TYPE_CHECKING:
    from radlatent.features.endpoint import Endpoint

__all__ = ["Bootstrapped", "bootstrap_validate", "validate_draws"]

#: Draws that are made until one leaves something to learn.
_TRIES = 1000

#: Metrics that are worse where they are larger.
_LOSSES = ("brier", "integrated_brier", "mae", "rmse")

#: Metrics that are means over patients: the mean over draws is taken by patient first.
_MEANS = ("accuracy", "brier", "mae", "rmse")

#: Metrics of which the mean over all pairs of a patient and another's prediction is
#: what a model without information has.
_BY_PAIRS = (*_MEANS, "balanced_accuracy", "sensitivity", "specificity")
_BY_PAIRS += ("integrated_brier",)

#: What ranking by chance has.
_BY_CHANCE = {"auc": 0.5, "c_harrell": 0.5, "c_uno": 0.5, "auc_at_quartiles": 0.5}
_BY_CHANCE |= {"pearson": 0.0, "spearman": 0.0}

_WHERE = ["in_draw", "of_all", "left_out"]


@dataclass(frozen=True, eq=False, repr=False)
class Bootstrapped:
    """A metric in training, without its optimism, and by the .632+ rule.

    Parameters
    ----------
    summary
        One row a metric: ``metric, apparent, optimism, corrected, lower, upper, level,
        left_out, no_information, overfitting, weight, plus_632, n_boot, n, n_events``;
        see `bootstrap_validate`.
    draws
        One row a draw and metric: ``draw, metric``, and its value ``in_draw``,
        ``of_all`` patients and of those ``left_out``.
    """

    summary: pd.DataFrame
    draws: pd.DataFrame

    def __repr__(self) -> str:
        told = [f"{'metric':<22}{'training':>9}{'corrected':>11}{'.632+':>9}"]
        for row in self.summary.itertuples():
            numbers = (row.apparent, row.corrected, row.plus_632)
            one, two, three = ("" if np.isnan(n) else f"{n:.3f}" for n in numbers)
            told.append(f"{row.metric:<22}{one:>9}{two:>11}{three:>9}")
        row = self.summary.iloc[0]
        return "\n".join([*told, f"n = {row['n']}, {row['n_boot']} draws"])

    def _repr_html_(self) -> str:
        return self.summary.to_html(index=False)


def bootstrap_validate(
    model: BaseEstimator,
    features: pd.DataFrame,
    endpoint: "Endpoint",
    *,
    n_boot: int = 200,
    level: float = 0.95,
    jobs: int | None = None,
    random_state: int | np.random.Generator | None = 0,
) -> Bootstrapped:
    """Return metrics corrected for optimism, and by the .632+ rule.

    Parameters
    ----------
    model, features, endpoint, jobs
        As in ``cross_validate``. Selection and search inside the model are done anew
        in every draw.
    n_boot
        Draws of as many patients as there are, with replacement.
    level
        Coverage that the interval of ``corrected`` aims at.
    random_state
        Seed or Generator of the draws.

    Raises
    ------
    SchemaError
        As in ``cross_validate``; features were fitted fold by fold; or the model cannot
        be fitted to all patients, or to a draw.
    LeakageError
        As in ``cross_validate``.

    Notes
    -----
    ``apparent`` is the metric of the model of all patients on these patients. A model
    of each draw is tested on the draw and on all patients; the mean of the difference
    is the ``optimism``, and ``corrected`` is ``apparent`` less that. Its interval holds
    the middle of the metrics of draws on themselves, moved by the optimism; in small
    cohorts it is too narrow (Noma et al.). Calibration has none: a model is calibrated
    in its own draw by construction.

    ``left_out`` is the metric of patients who are not in a draw: of what is a mean over
    patients, first averaged over draws for each of them, of other metrics the mean over
    draws. A draw holds 63.2 % of the patients, so it is too low. ``no_information`` is
    the metric of a model whose predictions have nothing to do with the outcome: over
    all pairs of a prediction and a patient, and 0.5 of AUC and C. ``plus_632`` is
    ``(1 - weight) apparent + weight left_out``, the latter no worse than
    ``no_information``; ``weight`` is 0.632 / (1 - 0.368 x ``overfitting``), and
    ``overfitting``, 0 to 1, how far ``left_out`` is on the way from ``apparent`` to
    ``no_information``. What has no such value, as a slope, has the first estimate only.

    A patient is drawn with all that is known of them: inner parts, of a search or a
    calibration, never have a patient on both sides. A draw without anything to learn,
    as without a class, is made anew. Days of survival are those until which the
    training patients of all draws were followed.

    With fewer patients than columns a flexible model fits any draw perfectly; the
    optimism is then too small and .632+ the better of the two (Steyerberg; Iba et al.),
    and repeated cross-validation what they are compared with.

    References
    ----------
    Harrell et al. 1996, doi:10.1002/(SICI)1097-0258(19960229)15:4<361::AID-SIM168>
    3.0.CO;2-4 (optimism); Efron & Tibshirani 1997, doi:10.1080/01621459.1997.10474007
    (.632+); Sahiner et al. 2008, doi:10.1118/1.2868757 (of AUC); Noma et al. 2021,
    doi:10.1002/sim.9148 (interval); Iba et al. 2021, doi:10.1186/s12874-020-01201-w
    """
    if n_boot < 2 or not 0 < level < 1:
        msg = f"n_boot={n_boot}, level={level}: give at least 2, and a share below 1."
        raise SchemaError(msg)
    features = _checked(model, features, endpoint)
    rng = np.random.default_rng(random_state)
    draws = [_draw(endpoint, rng) for _ in range(n_boot)]
    return validate_draws(model, features, endpoint, draws, level=level, jobs=jobs)


def _checked(model, features, endpoint):
    if isinstance(features, FoldedFeatures):
        msg = (
            "the features were fitted fold by fold, and there are none of a bootstrap "
            "draw: use cross_validate with their folds."
        )
        raise SchemaError(msg)
    features, _ = with_text_ids(features)
    check_model(model, endpoint)
    check_table(features, endpoint)
    patients = endpoint.frame.index
    absent = patients.difference(features.index)
    if len(absent):
        msg = f"{len(absent)} patients have no features: {absent[:5].tolist()}."
        raise SchemaError(msg)
    everybody = patients.tolist()
    problems = missing_in_training(endpoint, everybody, everybody)
    if problems or (endpoint.kind == "class" and endpoint.strata.nunique() < 2):
        told = "; ".join(problems) or "all patients are of one class"
        raise SchemaError(f"endpoint {endpoint.name!r}: {told}.")
    check_fitted(features, {(0, 0): (everybody, everybody)})
    return features


def _draw(endpoint, rng):
    """Return patients, some of them several times, of whom something can be learned."""
    everybody = endpoint.frame.index.to_numpy()
    for _ in range(_TRIES):
        drawn = rng.choice(everybody, len(everybody)).tolist()
        if not missing_in_training(endpoint, drawn, everybody.tolist()):
            return drawn
    msg = (
        f"endpoint {endpoint.name!r}: {_TRIES} draws of its patients left nothing to "
        "learn, one class or no event. So few of one kind cannot be bootstrapped."
    )
    raise SchemaError(msg)


def validate_draws(
    model: BaseEstimator,
    features: pd.DataFrame,
    endpoint: "Endpoint",
    draws: list[list[str]],
    *,
    level: float = 0.95,
    jobs: int | None = None,
) -> Bootstrapped:
    """Return what `bootstrap_validate` finds in given draws, nothing checked.

    Parameters
    ----------
    model, features, endpoint, level, jobs
        As in `bootstrap_validate`.
    draws
        The patients of each draw, some of them several times.
    """
    everybody = endpoint.frame.index.tolist()
    about = (model, features, endpoint)
    tasks = {"all patients": (*about, everybody, everybody)}
    tasks |= {f"draw {n}": (*about, d, everybody) for n, d in enumerate(draws)}
    fitted = map_tasks(fit_and_predict, tasks, jobs=jobs, description="Bootstrap")
    if fitted.failures:
        name, (_, text) = next(iter(fitted.failures.items()))
        msg = (
            f"the model cannot be fitted to {len(fitted.failures)} of {len(tasks)} "
            f"draws; {name}: {text}"
        )
        raise SchemaError(msg)
    key = {"model": "", "blocks": "", "endpoint": endpoint.name}
    # the model of all patients is repeat 0, that of each draw a further one
    tables = [
        part.assign(**key, repeat=repeat, fold=0)
        for repeat, (part, _) in enumerate(fitted.results.values())
    ]
    (run,) = read_runs(pd.concat(tables, ignore_index=True))
    who = pd.Index(run.patients)
    counts = [np.bincount(who.get_indexer(one), minlength=len(who)) for one in draws]
    found = _Found(run, np.array(counts, dtype=float))
    rows, parts = [], []
    for metric in metrics_of(run):
        apparent, values = found.values(metric)
        rows.append(found.row(metric, apparent, values, level))
        part = pd.DataFrame(values, columns=_WHERE)
        part.insert(0, "metric", metric)
        parts.append(part.rename_axis("draw").reset_index())
    return Bootstrapped(pd.DataFrame(rows), pd.concat(parts, ignore_index=True))


@dataclass(frozen=True, eq=False)
class _Found:
    """What models of all patients and of draws predicted, and who was drawn how often.

    Repeat 0 of ``run`` is the model of all patients; ``counts`` is (n_draws,
    n_patients).
    """

    run: OutOfFold | SurvivalRun | ContinuousRun
    counts: np.ndarray

    def values(self, metric):
        """Return the metric in training, and in each draw where `_WHERE` says."""
        function, truth = metrics_of(self.run)[metric], self.run.truth
        first, *others = predicted_of(self.run, metric)
        ones, told = np.ones(len(truth)), []
        for one, drawn in zip(others, self.counts, strict=True):
            told.append(function(truth, one, np.array([drawn, ones, drawn == 0.0])))
        return float(function(truth, first, ones[None])[0]), np.array(told)

    def row(self, metric, apparent, draws, level):
        """Return what the summary tells of a metric."""
        inside, of_all, outside = draws.T
        optimism = _mean(inside - of_all)
        left_out, nothing = _mean(outside), _BY_CHANCE.get(metric, np.nan)
        if metric in _MEANS:
            left_out = self._by_patient(metric)
        if metric in _BY_PAIRS:
            nothing = self._of_pairs(metric)
        if metric == "auprc":
            nothing = float(np.mean(self.run.truth == 1))
        if metric == "r2":
            errors = self._by_patient("rmse"), self._of_pairs("rmse")
            left_out, nothing = (1 - e**2 / self.run.truth.var() for e in errors)
        # a model is calibrated in its own draw by construction: no spread to move
        known = ~np.isnan(inside) & ~np.isnan(nothing)
        lower, upper = interval(inside[known], level) - optimism
        row = {"metric": metric, "apparent": apparent, "optimism": optimism}
        row |= {"corrected": apparent - optimism, "lower": lower, "upper": upper}
        row |= {"level": level, "left_out": left_out, "no_information": nothing}
        sign = 1 if metric in _LOSSES else -1
        row |= _plus(apparent, left_out, nothing, sign)
        known = int((~np.isnan(draws)).all(axis=1).sum())
        n_events, _ = events_of(self.run)
        return row | {"n_boot": known, "n": len(self.run.truth), "n_events": n_events}

    def _by_patient(self, metric):
        """Return the mean over patients of that over draws that a patient is not in."""
        function = metrics_of(self.run)[metric]
        power = 2 if metric == "rmse" else 1
        out = self.counts == 0
        weights = out / np.maximum(out.sum(axis=0), 1) / max(out.any(axis=0).sum(), 1)
        _, *others = predicted_of(self.run, metric)
        told = [
            function(self.run.truth, one, each[None])[0] ** power * each.sum()
            for one, each in zip(others, weights, strict=True)
            if each.any()
        ]
        return float(np.sum(told) ** (1 / power)) if told else np.nan

    def _of_pairs(self, metric):
        """Return the mean over all pairs of a patient and a prediction."""
        function, n = metrics_of(self.run)[metric], len(self.run.truth)
        first, ones = predicted_of(self.run, metric)[0], np.ones((1, n))
        power = 2 if metric == "rmse" else 1
        # in each turn every patient gets the prediction of another one
        turned = (_turn(first, by) for by in range(n))
        told = [function(self.run.truth, one, ones)[0] ** power for one in turned]
        return float(np.mean(told) ** (1 / power))


def _mean(values):
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else np.nan


def _turn(predicted, by):
    """Return predictions, each of the patient that comes ``by`` places later."""
    if isinstance(predicted, Risks):
        risk, survival = (
            np.roll(part, by, axis=0) for part in (predicted.risk, predicted.survival)
        )
        return replace(predicted, risk=risk, survival=survival)
    return np.roll(predicted, by, axis=0)


def _plus(apparent, left_out, nothing, sign):
    """Return the share of the way to no information, its weight, and the estimate."""
    # as errors, of which less is better
    error, outside, most = sign * apparent, sign * left_out, sign * nothing
    outside = np.minimum(outside, most)
    further = min(outside, most) > error
    share = (outside - error) / (most - error) if further else 0.0
    weight = 0.632 / (1 - 0.368 * share)
    plus = sign * ((1 - weight) * error + weight * outside)
    if np.isnan(plus):
        share = weight = np.nan
    return {"overfitting": share, "weight": weight, "plus_632": plus}
