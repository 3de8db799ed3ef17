"""The tables of a run that the report is made from.

A `Work`, features by patient and results enter; name to table leaves.
"""

import pandas as pd

from radlatent.fusion import (
    Result,
    compare,
    permutation_importance,
    permute_outcomes,
    study_size,
    subgroups,
    suspects,
)
from radlatent.report import table_one
from radlatent.report.results import curves
from radlatent.study.models import build
from radlatent.study.patients import Patients
from radlatent.study.work import Work, groups_of

__all__ = ["by_groups", "characteristics", "run_tables"]


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
    found |= curves(predictions) | by_groups(work, predictions)
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
    "competing": ("c_harrell", "observed_expected"),
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
