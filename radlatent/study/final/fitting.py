"""The model of a study, fitted on all of its patients.

A study file enters, a `FinalModel` leaves, with what the validation of the study found.
"""

import logging
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from radlatent.errors import SchemaError
from radlatent.model import FinalModel, check_keepable, fit
from radlatent.study import latents, models
from radlatent.study.final.encoder import files_of
from radlatent.study.final.way import way_of
from radlatent.study.images import locate, measure, measure_heart
from radlatent.study.patients import gather
from radlatent.study.plan import read_study
from radlatent.study.rehearsal import rehearse
from radlatent.study.work import begin_plan

__all__ = ["fit_study"]

_log = logging.getLogger(__name__)


def fit_study(
    study: str | Path,
    *,
    root: str | Path | None = None,
    jobs: int | None = None,
    cache: str | Path | None = None,
    allow_failures: int = 0,
    purpose: str = "",
) -> FinalModel:
    """Fit the model of a study on all of its patients, for new ones.

    Parameters
    ----------
    study
        The study file. Of several models it says with ``final`` which one.
    root, jobs, allow_failures
        As of `radlatent.run`.
    cache
        Folder of finished cases and encoders; ``cache`` in the folder of a run serves.
    purpose
        What the model is for, and for whom, as its card says it.

    Returns
    -------
    FinalModel
        Its performance is that of the study's own cross-validation, and it knows the
        way from images, or from tables, to its columns. An encoder (``latent``) is
        fitted in every fold for the validation, and once on all patients for new ones.

    Raises
    ------
    CohortError, SchemaError
        With everything that needs mending, before the first feature is measured; or
        the study does not say which model, or one that cannot be kept.
    """
    path = Path(study)
    plan = _of_one_model(read_study(path), path)
    with TemporaryDirectory() as place:
        about = {"root": root, "jobs": jobs, "allow": allow_failures}
        work = begin_plan(plan, path.parent, Path(place), **about)
        work = replace(work, kept=Path(cache) if cache else None)
        [spec] = plan.models
        model = models.build(spec, work.endpoint.kind, work.sites)
        check_keepable(model, work.endpoint)
        heart = measure_heart(work)
        rehearse(work, heart.features)
        features = measure(work).features
        sides = (work, features, heart.features, locate(work, features))
        encoding = latents.encode(work, features)
        patients = gather(*sides, encoding and encoding.features)
        [result] = models.validate(work, patients)
        latent, encoder = latents.fit_on_all(work, features)
    chosen = gather(*sides, latent).select(spec.blocks)
    found = fit(model, chosen, work.endpoint, result=result, purpose=purpose)
    about = replace(found.about, way=way_of(work))
    return replace(found, about=about, files=files_of(encoder))


def _of_one_model(plan, path):
    """Return a plan of the model that is kept, and of nothing that is not."""
    if plan.final is None and len(plan.models) > 1:
        names = [
            f"{number}: {spec.label} on {spec.told}"
            for number, spec in enumerate(plan.models, start=1)
        ]
        msg = (
            f"{path} has {len(names)} models ({'; '.join(names)}): say which one is "
            "for new patients, as in 'final: 1'. The best of several is promised too "
            "much by its own validation."
        )
        raise SchemaError(msg)
    spec = plan.models[(plan.final or 1) - 1]
    one = {"models": (spec,), "final": None, "compare_with": 1}
    if plan.latent and not latents.is_used(plan.latent, spec.blocks):
        one["latent"] = None
    return plan.model_copy(update=one | {"external": None, "masks": None})
