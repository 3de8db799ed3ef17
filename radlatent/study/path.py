"""A study file walks the whole path: cohort, features, models, report.

``study.yml`` enters, a run folder leaves. What is computed is computed in the rooms;
here is only the order, and the files between the stages.
"""

import json
import logging
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from radlatent.cohort import check
from radlatent.errors import CohortError, SchemaError
from radlatent.fusion import aggregate, fractional_decrease, join
from radlatent.handcrafted import (
    empty_features,
    extract,
    read_settings,
    wall_thickness,
)
from radlatent.provenance import environment, file_hash, run_record
from radlatent.records import replace_text
from radlatent.report import report, write_extraction, write_table
from radlatent.study import latents, models
from radlatent.study.lesions import lesion_blocks, locate
from radlatent.study.plan import read_study
from radlatent.study.quality import judge
from radlatent.study.tables import run_tables

__all__ = ["Run", "run"]

_log = logging.getLogger(__name__)

#: What `write_extraction` writes into the data folder of a run.
_EXTRACTED = ("features.parquet", "features.failures.csv", "features.provenance.csv")
_RETURNED = ("metrics.csv", "predictions.parquet", "failures.csv")


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """What a run made, and where it lies.

    Parameters
    ----------
    folder
        The run folder, with ``index.html``.
    metrics, predictions, failures
        The tables of those names.
    """

    folder: Path
    metrics: pd.DataFrame
    predictions: pd.DataFrame
    failures: pd.DataFrame

    @property
    def summary(self) -> pd.DataFrame:
        """The **metrics** table."""
        return self.metrics

    def __repr__(self) -> str:
        n = len(self.metrics.groupby(["model", "blocks"]))
        failed = self.failures["case_id"].nunique()
        return f"Run({str(self.folder)!r}: {n} models, {failed} cases failed)"

    def _repr_html_(self) -> str:
        return self.metrics.to_html(index=False)


def run(
    study: str | Path,
    *,
    out: str | Path,
    root: str | Path | None = None,
    jobs: int | None = None,
    allow_failures: int = 0,
) -> Run:
    """Walk the path of a study file, from the cohort to ``index.html``.

    Parameters
    ----------
    study
        The study file; the paths in it start from its folder.
    out
        The run folder. A run that was interrupted goes on from what it holds.
    root
        Folder of the images, instead of the one in ``cohort.yml``.
    jobs
        Processes; None leaves it to ``joblib.parallel_config``.
    allow_failures
        How many cases with a faulty image or mask are put up with; they keep their
        rows, with the reason.

    Raises
    ------
    CohortError, SchemaError
        With everything that needs mending, before the first feature is measured.
    """
    path, out, clock = Path(study), Path(out), {}
    plan = read_study(path)
    settings = _settings(plan, path.parent)
    _make_folder(out)
    with _stage("check", clock):
        checked = check(path.parent / plan.cohort, root=root, jobs=jobs)
        checked.raise_if_any(allow=allow_failures)
        cohort = checked.cohort
        endpoint = cohort.endpoint(plan.endpoint)
        folds = models.deal(plan, endpoint, _sites(cohort))
        walls = _walls(plan, cohort, jobs)
        _rehearse(plan, cohort, endpoint, folds, (settings, walls))
    with _stage("masks", clock):
        judged, unjudged = judge(plan, cohort, jobs)
    # from here on the folder is not that of an earlier run
    (out / "run.json").unlink(missing_ok=True)
    with _stage("extract", clock):
        how = {"engine": plan.engine, "jobs": jobs, "cache": out / "cache"}
        extraction = extract(cohort, settings=settings, **how)
        write_extraction(extraction, out / "data" / _EXTRACTED[0])
        places = locate(plan, cohort, _measured(extraction), jobs)
    with _stage("latent", clock):
        encoding, tables = _latent(plan, cohort, extraction, folds, (out, jobs))
    with _stage("models", clock):
        measured = extraction.features, walls, places
        patients = _patients(plan, cohort, measured, encoding and encoding.features)
        results = models.validate(plan, patients, endpoint, folds, jobs)
        tables |= run_tables(plan, patients, endpoint, results, jobs)
    beside = [unjudged, *([encoding.failures] if encoding else [])]
    tables |= judged | _of_cases(cohort, extraction, beside)
    record = {
        "command": {"study": str(path), "root": str(cohort.root), "jobs": jobs},
        "cohort": _about(cohort),
        "settings": _choices(plan, settings, cohort, endpoint.kind),
        "counts": _counts(cohort, endpoint, extraction, results),
        "seconds": clock,
    }
    _write(out, tables, record)
    report(out)
    return Run(out, *(tables[name] for name in _RETURNED))


def _latent(plan, cohort, extraction, folds, where):
    """Return latent features of every fold, None without an encoder, and tables."""
    if plan.latent is None:
        return None, {}
    out, jobs = where
    about = (plan.latent, cohort, extraction.features)
    encoding = latents.encode(*about, folds, jobs=jobs, cache=out / "cache")
    certificate = latents.certify(*about, encoding, folds, jobs)
    return encoding, {"encoders.csv": encoding.summary} | certificate


def _of_cases(cohort, extraction, beside):
    """Return what became of the cases, with what failed beside the extraction."""
    failed = [extraction.failures, *beside]
    return {
        "failures.csv": pd.concat(failed, ignore_index=True),
        "extraction.csv": extraction.summary,
        "flow.csv": cohort.flow.rename_axis("what").to_frame(),
    }


def _write(out, tables, record):
    """Write the tables of a run, and then the record that vouches for them."""
    for name, table in tables.items():
        write_table(table, out / "data" / name)
    hashes = {name: file_hash(out / "data" / name) for name in (*tables, *_EXTRACTED)}
    record = run_record(**record, outputs=hashes, environment=environment())
    replace_text(out / "run.json", json.dumps(record, indent=2) + "\n")


@contextmanager
def _stage(name, clock):
    _log.info("%s ...", name)
    start = time.perf_counter()
    yield
    clock[name] = time.perf_counter() - start
    _log.info("%s: %.1f s", name, clock[name])


def _settings(plan, here):
    """Return what `extract` takes, with file names taken from the study's folder."""

    def resolve(source):
        path = here / source
        return read_settings(path if path.is_file() else source)

    if plan.settings is None:
        return None
    if isinstance(plan.settings, str):
        return resolve(plan.settings)
    return {modality: resolve(source) for modality, source in plan.settings.items()}


def _sites(cohort):
    """Return the site of each patient, of the first case; missing without a column."""
    cases = cohort.included
    if "site" not in cases:
        return pd.Series(pd.NA, cases["patient_id"].unique())
    return cases.groupby("patient_id")["site"].first()


def _walls(plan, cohort, jobs):
    """Return the thickness of the myocardium by case, empty where none is asked for."""
    if plan.myocardium is None:
        return pd.DataFrame()
    about = plan.myocardium
    return wall_thickness(
        cohort,
        myocardium=about.wall,
        cavity=about.cavity,
        modality=about.modality,
        jobs=jobs,
    )


def _patients(plan, cohort, measured, folded=None):
    """Return one row a patient: features, latent ones, covariates, derived ones."""
    features, walls, places = measured
    cases = cohort.included
    beside = [_clinical(plan, cohort, features)]
    beside += lesion_blocks(plan, cohort, features, places)
    if len(walls):
        beside.append(aggregate(walls, cases.loc[walls.index]))
    how = {"how": plan.aggregate, "volume": plan.volume, "intensity": plan.intensity}

    def of_patients(table):
        patients = aggregate(table, cases, **how)
        others = [t.reindex(patients.index) for t in beside if t.shape[1]]
        return _ratios(plan, join(patients, *others))

    together = None
    if folded is not None:
        # cases that no encoder saw keep their rows
        together = folded.map(
            lambda table: of_patients(join(features, table.reindex(features.index)))
        )
    return models.Patients(of_patients(features), together, _sites(cohort))


def _clinical(plan, cohort, features):
    clinical = cohort.clinical()
    for name, spec in plan.derived.items():
        if f"clinical__{name}" in clinical:
            msg = f"derived {name!r} is a covariate of {cohort.name!r} too; rename it."
            raise SchemaError(msg)
        if spec.feature:
            about = spec.model_dump(include={"feature", "lesion_id", "first", "last"})
            values = fractional_decrease(features, cohort.included, **about)
            clinical[f"clinical__{name}"] = values
    return clinical


def _ratios(plan, patients):
    """Return the table with the ratios of its columns that a study names."""
    found = {}
    for name, spec in plan.derived.items():
        if spec.numerator:
            absent = {spec.numerator, spec.denominator} - set(patients)
            if absent:
                msg = (
                    f"derived {name!r}: {sorted(absent)} are not columns of a patient; "
                    f"there are {list(patients)[:3]} ..."
                )
                raise SchemaError(msg)
            below = patients[spec.denominator]
            found[f"ratio__{name}"] = patients[spec.numerator] / below.where(below != 0)
    return patients.assign(**found) if found else patients


def _rehearse(plan, cohort, endpoint, folds, known):
    """Walk the rest of the path with missing values, so that faults show at once."""
    settings, walls = known
    features, folded = empty_features(cohort, settings), None
    if plan.latent:
        latents.encoder_of(plan.latent)
        latents.handcrafted_of(plan.latent, features)
        owners = cohort.included["patient_id"]
        folded = latents.pretend(plan.latent, features.index, folds, owners)
    nowhere = pd.DataFrame(np.nan, features.index, ["x_mm", "y_mm", "z_mm"])
    patients = _patients(plan, cohort, (features, walls, nowhere), folded)
    models.rehearse(plan, patients, endpoint, folds)


def _make_folder(out):
    """Make the run folder: one that cannot be written is told before the work."""
    if out.exists() and not out.is_dir():
        msg = f"out {str(out)!r} is a file; give a folder."
        raise SchemaError(msg)
    out.mkdir(parents=True, exist_ok=True)


def _measured(extraction):
    """Return the features, if there is one value among them."""
    if extraction.features.notna().any(axis=None):
        return extraction.features
    reasons = "\n  ".join(extraction.failures["message"][:5])
    n = len(extraction.features)
    msg = (
        f"not one value could be measured in {n} cases; the first reasons:\n  {reasons}"
    )
    raise CohortError(msg)


def _about(cohort):
    return {
        "name": cohort.name,
        "freeze": cohort.card.freeze,
        "units": {name: spec.unit for name, spec in cohort.modalities.items()},
        "manifest": cohort.key,
        "derived": cohort.card.model_dump(mode="json", by_alias=True)["derived"],
        "license": cohort.card.license,
        "citation": cohort.card.citation,
    }


def _choices(plan, settings, cohort, kind):
    """Return what the user chose; settings of the extraction and steps written out."""
    chosen = plan.model_dump()
    sites = _sites(cohort)
    for spec, about in zip(plan.models, chosen["models"], strict=True):
        about["steps"] = models.steps_of(models.build(spec, kind, sites))
    per_modality = settings if isinstance(settings, dict) else {}
    default = None if isinstance(settings, dict) else settings
    read = {
        modality: read_settings(per_modality.get(modality) or default or spec.preset)
        for modality, spec in cohort.modalities.items()
    }
    chosen["settings"] = {
        modality: one.parameters | ({"ibsi": one.ibsi.model_dump()} if one.ibsi else {})
        for modality, one in read.items()
    }
    return chosen


def _counts(cohort, endpoint, extraction, results):
    measured = extraction.features.notna().any(axis=1)
    owners = cohort.included["patient_id"]
    # the positive class last
    outcome = endpoint.strata.value_counts().sort_index()
    by_role = {"key": lambda names: names == endpoint.positive, "kind": "stable"}
    outcome = outcome.sort_index(**by_role)
    return {
        "flow": {what: int(n) for what, n in cohort.flow.items()},
        "patients with the endpoint": len(endpoint.frame),
        "outcome": outcome.to_dict(),
        "failed cases": int(extraction.failures["case_id"].nunique()),
        # models impute all of theirs
        "patients without a feature": int((~measured.groupby(owners).any()).sum()),
        "pipelines fitted": sum(result.n_pipelines for result in results),
    }
