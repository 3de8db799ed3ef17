"""The tables of a run that the report is made from.

A `Work`, features by patient and results enter; name to table leaves.
"""

import logging

import pandas as pd

from radlatent.cohort import Endpoint
from radlatent.errors import SchemaError
from radlatent.fusion import (
    Result,
    calibration_curve,
    compare,
    confusion,
    kaplan_meier,
    net_benefit,
    permutation_importance,
    permute_outcomes,
    residuals,
    roc_curve,
    study_size,
    subgroups,
    survival_auc_curve,
    survival_calibration,
    survival_net_benefit,
    suspects,
)
from radlatent.report import table_one
from radlatent.study.models import build
from radlatent.study.patients import Patients
from radlatent.study.work import Work, groups_of

__all__ = ["by_groups", "characteristics", "curves", "run_tables"]

_log = logging.getLogger(__name__)


def run_tables(
    work: Work, patients: Patients, results: list[Result]
) -> dict[str, pd.DataFrame]:
    """Return name to table, for everything that the report is made from."""
    plan, endpoint = work.plan, work.endpoint
    predictions = pd.concat([r.predictions for r in results], ignore_index=True)
    told = characteristics(work, patients)
    found = {
        "patients": patients.table,
        "endpoints": endpoint.frame,
        "folds": results[0].folds,
        "fits": pd.concat([r.fits for r in results], ignore_index=True),
        "predictions": predictions,
        "metrics": pd.concat([r.metrics for r in results], ignore_index=True),
    }
    found["suspects"] = suspects(_used(plan, patients), endpoint)
    if told.shape[1]:
        found["table_one"] = table_one(told, endpoint)
    if len(results) > 1:
        found["compared"] = _compared(plan, predictions)
    found |= curves(endpoint, predictions) | by_groups(work, predictions)
    classes = endpoint.strata.nunique() if endpoint.kind == "class" else 0
    if endpoint.kind == "survival" or classes == 2:
        found["sample_size"] = study_size(patients.table, endpoint)
    if plan.importance:
        found |= _importance(work, patients, results)
    if plan.permutations:
        found["permuted"] = _permuted(work, patients, results)
    return found


def characteristics(work: Work, patients: Patients) -> pd.DataFrame:
    """Return what Table 1 tells of each patient: covariates, and what else is named."""
    clinical = patients.table.filter(regex="^clinical__")
    return clinical.join(work.cohort.described())


#: What is told of each group: how patients are ranked, and whether the level is right.
_OF_GROUPS = {
    "class": ("auc", "calibration_intercept"),
    "survival": ("c_harrell", "observed_expected"),
    "continuous": ("r2", "mae", "calibration_intercept"),
}


def by_groups(work: Work, predictions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return performance in the groups that a study names, none where it names none."""
    endpoint = work.endpoint
    groups = groups_of(work.plan.subgroups, work.cohort, endpoint.frame.index)
    if not groups.shape[1]:
        return {}
    kind, metrics = endpoint.kind, (None,)
    if kind != "class" or endpoint.strata.nunique() == 2:
        metrics = _OF_GROUPS.get(kind, metrics)
    parts = [subgroups(predictions, groups, metric=metric) for metric in metrics]
    return {"subgroups": pd.concat(parts, ignore_index=True)}


def _used(plan, patients):
    """Return the columns that any model uses."""
    blocks = dict.fromkeys(block for spec in plan.models for block in spec.blocks)
    return patients.select(tuple(blocks))


def _compared(plan, predictions):
    spec = plan.models[plan.compare_with - 1]
    return compare(predictions, reference=(spec.label, spec.told))


def curves(endpoint: Endpoint, predictions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the tables behind the figures of predictions, name to table."""
    draw = {"class": _of_classes, "continuous": _of_numbers}
    return draw.get(endpoint.kind, _of_survival)(endpoint, predictions)


def _of_classes(endpoint, predictions):
    found = {"roc": roc_curve(predictions), "confusion": confusion(predictions)}
    if endpoint.strata.nunique() == 2:
        found["calibration"] = calibration_curve(predictions)
        found["net_benefit"] = net_benefit(predictions)
    return found


def _of_numbers(_, predictions):
    return {
        "residuals": residuals(predictions),
        "calibration": calibration_curve(predictions),
    }


def _of_survival(_, predictions):
    groups = kaplan_meier(predictions)
    found = {
        "kaplan_meier": groups.curves,
        "risk_groups": groups.summary,
        "survival_auc": survival_auc_curve(predictions),
    }
    on_a_day = {
        "survival_calibration": survival_calibration,
        "net_benefit": survival_net_benefit,
    }
    for name, make in on_a_day.items():
        parts = [*_where_known(make, predictions)]
        if parts:
            found[name] = pd.concat(parts, ignore_index=True)
    return found


def _where_known(make, predictions):
    """Yield a table of each model that predicts survival on the day that is asked for.

    What one model does not tell is no reason to lose the report of all.
    """
    for _, part in predictions.groupby(["model", "blocks"], sort=False):
        try:
            yield make(part)
        except SchemaError as error:
            _log.warning("no %s: %s", make.__name__, error)


def _importance(work, patients, results):
    """Return the importance of the blocks of every model that has several."""
    parts = []
    for spec, result in zip(work.plan.models, results, strict=True):
        features = patients.select(spec.blocks)
        if len({column.split("__")[0] for column in features.columns}) > 1:
            found = permutation_importance(
                build(spec, work.endpoint.kind, work.sites),
                features,
                work.endpoint,
                result.folds,
                n_permutations=work.plan.importance,
            )
            parts.append(found.assign(model=spec.label, blocks=spec.told))
    return {"importance": pd.concat(parts, ignore_index=True)} if parts else {}


def _permuted(work, patients, results):
    """Return the control of the last model: the one with most behind it."""
    spec, result = work.plan.models[-1], results[-1]
    found = permute_outcomes(
        build(spec, work.endpoint.kind, work.sites),
        patients.select(spec.blocks),
        work.endpoint,
        result.folds,
        n_permutations=work.plan.permutations,
        jobs=work.jobs,
    )
    return found.summary.assign(model=spec.label, blocks=spec.told)
