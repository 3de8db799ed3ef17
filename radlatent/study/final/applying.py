"""A final model and new patients: what it says of them, from images or from tables.

A model and a cohort, or tables, enter; a table with a row a patient leaves.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from radlatent.cohort import Cohort, FeatureFile, Outcomes, check, read_given
from radlatent.cohort.card import read_card
from radlatent.errors import SchemaError
from radlatent.model import FinalModel, load_model
from radlatent.model.table import CLINICAL, with_remarks
from radlatent.schema import nearest
from radlatent.study import latents
from radlatent.study.final.encoder import opened
from radlatent.study.final.way import check_card, plan_of, settings_of
from radlatent.study.images import locate, measure, measure_heart
from radlatent.study.patients import gather
from radlatent.study.work import Work

__all__ = ["predict"]


def predict(
    model: FinalModel | str | Path,
    patients: Cohort | Mapping[str, str | Path] | str | Path,
    *,
    root: str | Path | None = None,
    jobs: int | None = None,
    cache: str | Path | None = None,
    allow_failures: int = 0,
    level: float = 0.9,
) -> pd.DataFrame:
    """Return what a final model says of new patients, from their images or tables.

    Parameters
    ----------
    model
        A final model, or its folder.
    patients
        Of a study of images, a cohort or its folder: features are measured, brought to
        patients and derived as those of training were; no endpoint is needed. Of a
        study of tables, block to CSV file, as in the study, ``clinical`` to that of the
        covariates and sites. Of any model, a CSV file with ``patient_id`` and the
        columns of the model by their full names.
    root
        Folder of the images, instead of the one in ``cohort.yml``.
    jobs
        Processes.
    cache
        Folder of finished cases.
    allow_failures
        Cases with a faulty image or mask that are put up with.
    level
        As of `FinalModel.predict`.

    Returns
    -------
    DataFrame
        As of `FinalModel.predict`; ``remark``, or ``refused`` where there is no
        prediction, says what of a patient could not be measured.

    Raises
    ------
    CohortError, SchemaError
        With everything that needs mending: the folder of the model is not what was
        written, a modality is absent or in another unit, masks were not made by what
        made those of training, tables or columns are absent.
    """
    if not isinstance(model, FinalModel):
        model = load_model(model)
    if isinstance(patients, Mapping):
        given = _read_tables(model, patients)
        return _predict_work(model, given, {"jobs": jobs, "level": level})
    if not isinstance(patients, Cohort) and not Path(patients).is_dir():
        table = _read_table(Path(patients))
        return model.predict(table, level=level)
    way = _way(model, "images", "a table")
    card = patients.card if isinstance(patients, Cohort) else read_card(patients)
    # other modalities, units and masks are refused before an image is opened
    remark = check_card(way, card)
    settings = settings_of(way)
    allowed = {m: one.setting.geometryTolerance for m, one in settings.items()}
    where = {"root": root, "jobs": jobs, "cache": cache}
    found = check(patients, tolerance_voxels=allowed, **where)
    found.raise_if_any(allow=allow_failures)
    cohort = _only(found.cohort, settings)
    about = {"jobs": jobs, "level": level, "settings": settings, "cache": cache}
    said = _predict_work(model, cohort, about)
    return with_remarks(said, pd.Series(remark, said.index, dtype=str))


def _way(model, source, other):
    """Return the way to the columns of a model, of this source."""
    way = model.about.way
    if not way or bool(way["modalities"]) != (source == "images"):
        known = "from no study" if not way else f"not from {source}"
        msg = f"the columns of this model are {known}: give {other} of new patients."
        raise SchemaError(msg)
    return way


def _only(cohort, modalities):
    """Return a cohort with the modalities of the model alone."""
    kept = {name: cohort.modalities[name] for name in modalities}
    return replace(cohort, card=cohort.card.model_copy(update={"modalities": kept}))


def _read_table(path):
    """Return a table of features by patient, of CSV or Parquet."""
    if not path.is_file():
        msg = f"{path}: there is no such file, nor a folder of a cohort."
        raise FileNotFoundError(msg)
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path, dtype={"patient_id": str, "site": str})
    except (OSError, ValueError) as error:
        raise SchemaError(f"{path} is not a table: {error}") from error


def _read_tables(model, files):
    """Return a cohort of tables, of which no outcome is known."""
    way = _way(model, "tables", "a cohort, or one table with all columns,")
    plan = plan_of(way, model.about.endpoint, model.columns)
    needed = [spec.block for spec in plan.features]
    clinical = any(column.startswith(f"{CLINICAL}__") for column in model.columns)
    wanted = needed + [CLINICAL] * clinical
    known = [spec["block"] for spec in way["study"]["features"]] + [CLINICAL]
    problems = [
        f"{name!r} is not a block of the study{nearest(name, known)}"
        for name in files
        if name not in known
    ]
    absent = [name for name in wanted if name not in files]
    problems += [f"absent are {absent}"] if absent else []
    if problems:
        msg = f"the model needs a table of each of {wanted}: {'; '.join(problems)}."
        raise SchemaError(msg)
    tables = [
        FeatureFile(one.block, Path(files[one.block]), one.leave_out, one.measured)
        for one in plan.features
    ]
    beside = files.get(CLINICAL)
    covariates = plan.covariates if beside is not None else ()
    about = Outcomes(None if beside is None else Path(beside), None, covariates)
    given, problems = read_given(tables, about, name="new patients")
    problems.raise_if_any("the tables")
    return given


def _predict_work(model, source, about):
    """Walk the way to the columns, and predict."""
    way, jobs, settings = model.about.way, about["jobs"], about.get("settings")
    plan = plan_of(way, model.about.endpoint, model.columns)
    given = None if isinstance(source, Cohort) else source
    cohort = source if given is None else given.cohort
    cache = about.get("cache")
    encoder = opened(model.files) if plan.latent else None
    with TemporaryDirectory() as place:
        own = {"given": given, "kept": Path(cache) if cache else None}
        where = (settings, Path(place), jobs)
        work = Work(plan, cohort, None, None, *where, **own)
        heart, extraction = measure_heart(work), measure(work)
        places = locate(work, extraction.features)
        latent, unread = latents.encode_new(work, extraction.features, encoder)
    found = gather(work, extraction.features, heart.features, places, latent)
    said = model.predict(found.table, sites=work.sites, level=about["level"])
    failures = pd.concat([extraction.failures, unread], ignore_index=True)
    return _with_reasons(said, failures, cohort.included)


def _with_reasons(said, failures, cases):
    """Return predictions that tell what of a patient could not be measured."""
    owners = failures["case_id"].map(cases["patient_id"])
    reasons = failures["message"].groupby(owners.to_numpy()).first()
    told = reasons.reindex(said.index).fillna("")
    said = with_remarks(said, told)
    both = (told != "") & (said["refused"] != "")
    return said.assign(
        refused=said["refused"].mask(both, said["refused"] + ": " + told)
    )
