"""The models of a study on patients of another cohort, whom they are tested on once.

A `Work` with the features of its patients enters; the tables of the other cohort, and
what failed there, leave.
"""

import logging
from typing import TYPE_CHECKING

import pandas as pd

from radlatent.fusion import (
    check_external,
    evaluate,
    recalibrate_in_the_large,
    validate_externally,
)
from radlatent.report import table_one
from radlatent.report.results import curves
from radlatent.study.images import locate, measure, measure_heart
from radlatent.study.latents import encode_new
from radlatent.study.models import build, tell_origin
from radlatent.study.patients import Patients, gather
from radlatent.study.tables import by_groups, characteristics
from radlatent.study.work import Work

if TYPE_CHECKING:
    from radlatent.latent import LatentEncoder

__all__ = ["check_columns", "validate_once"]

_log = logging.getLogger(__name__)


def check_columns(work: Work, patients: Patients, other: Patients) -> None:
    """Raise where the models of a study could not predict the other cohort.

    Parameters
    ----------
    work
        The run.
    patients, other
        Features by patient of both cohorts; their values are not looked at.

    Raises
    ------
    SchemaError
        Columns or classes are missing there, or the endpoint is of another kind, unit
        or event of interest.
    LeakageError
        A patient is in both.
    """
    for spec in work.plan.models:
        ours, theirs = _pair(spec, patients, other)
        check_external(ours, work.endpoint, theirs, work.external.endpoint)


def validate_once(
    work: Work, patients: Patients, encoder: "LatentEncoder | None" = None
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame | None]:
    """Return the tables of the external validation, name to table, and what failed.

    Every model of the study is fitted on all patients of its cohort, nothing on those
    of the other one. Without another cohort there is no table.

    Parameters
    ----------
    work
        The run.
    patients
        Features by patient of the cohort that models are fitted on, latent ones of one
        encoder among them.
    encoder
        That encoder, of a study that has one.
    """
    there = work.external
    if there is None:
        return {}, None
    heart, extraction = measure_heart(there), measure(there)
    places = locate(there, extraction.features)
    latent, unread = encode_new(there, extraction.features, encoder)
    other = gather(there, extraction.features, heart.features, places, latent)
    sites = pd.concat([work.sites, there.sites])
    results = []
    for spec in work.plan.models:
        _log.info("%s on %s, on the other cohort", spec.label, spec.told)
        model = build(spec, work.endpoint.kind, sites)
        ours, theirs = _pair(spec, patients, other)
        names = {"name": spec.label, "blocks": spec.told}
        pair = (theirs, there.endpoint)
        found = validate_externally(model, ours, work.endpoint, pair, **names)
        results.append(tell_origin(work, found))
    failed = pd.concat([heart.failures, extraction.failures, unread], ignore_index=True)
    tables = _tables(there, other, results)
    tables = {f"external_{name}": table for name, table in tables.items()}
    return tables, failed.assign(stage="external " + failed["stage"])


def _pair(spec, patients, other):
    """Return the columns of a model in both cohorts, in the same order."""
    ours, theirs = (side.select(spec.blocks) for side in (patients, other))
    there = [column for column in ours if column in theirs]
    return ours, theirs[there]


def _tables(there, other, results):
    predictions = pd.concat([r.predictions for r in results], ignore_index=True)
    found = {
        "patients": other.table,
        "endpoints": there.endpoint.frame,
        "flow": there.cohort.flow.rename_axis("what").to_frame(),
        "fits": pd.concat([r.fits for r in results], ignore_index=True),
        "predictions": predictions,
        "metrics": pd.concat([r.metrics for r in results], ignore_index=True),
    }
    told = characteristics(there, other)
    if told.shape[1]:
        found["table_one"] = table_one(told, there.endpoint)
    found |= curves(predictions) | by_groups(there, predictions)
    moved = recalibrate_in_the_large(predictions)
    if len(moved):
        found["recalibrated"] = evaluate(moved)
    return found
