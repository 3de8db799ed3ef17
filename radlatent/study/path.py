"""A study file walks the whole path: cohort, features, models, report.

``study.yml`` enters, a run folder leaves. What is computed is computed in the rooms;
here is only the order, and the files between the stages.
"""

import inspect
import json
import logging
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from radlatent.cohort import check
from radlatent.errors import CohortError, SchemaError
from radlatent.fusion import (
    MODELS,
    aggregate,
    check_inputs,
    confusion,
    cross_validate,
    fractional_decrease,
    join,
    make_folds,
    roc_curve,
    select_blocks,
)
from radlatent.handcrafted import empty_features, extract, read_settings
from radlatent.provenance import environment, file_hash, run_record
from radlatent.report import report, write_extraction, write_table
from radlatent.schema import nearest, read_yaml

__all__ = ["Run", "Study", "read_study", "run"]

_log = logging.getLogger(__name__)

#: What `write_extraction` writes into the data folder of a run.
_EXTRACTED = ("features.parquet", "features.failures.csv", "features.provenance.csv")

_STRICT = ConfigDict(extra="forbid", frozen=True)


class Derived(BaseModel):
    """A clinical quantity from one feature at two timepoints."""

    model_config = _STRICT

    feature: str
    lesion_id: str
    first: str
    last: str

    @model_validator(mode="after")
    def _two_timepoints(self):
        if self.first == self.last:
            raise ValueError(f"first and last are both {self.first!r}")
        return self


class ModelSpec(BaseModel):
    """One model on some blocks of features."""

    model_config = _STRICT

    model: str = "logistic"
    name: str | None = None
    blocks: tuple[str, ...] = Field(min_length=1)
    options: dict[str, Any] = {}

    @field_validator("model")
    @classmethod
    def _known(cls, value):
        if value not in MODELS:
            raise ValueError(f"unknown model {value!r}{nearest(value, MODELS)}")
        return value

    @property
    def label(self) -> str:
        """What the tables call the model."""
        return self.name or self.model


class FoldSpec(BaseModel):
    """How patients are divided."""

    model_config = _STRICT

    n_folds: int = Field(default=5, ge=2)
    n_repeats: int = Field(default=10, ge=1)
    random_state: int = Field(default=0, ge=0)


class Study(BaseModel):
    """What ``study.yml`` may hold: which stages run, with what."""

    model_config = _STRICT

    title: str
    cohort: str
    endpoint: str
    settings: dict[str, str] | str | None = None
    engine: Literal["radlatent", "pyradiomics"] = "radlatent"
    aggregate: Literal["pivot", "largest", "volume_weighted_mean", "sum"] = "pivot"
    volume: str | None = None
    derived: dict[str, Derived] = {}
    models: tuple[ModelSpec, ...] = Field(min_length=1)
    folds: FoldSpec = FoldSpec()

    @field_validator("models")
    @classmethod
    def _told_apart(cls, models):
        keys = [(spec.label, spec.blocks) for spec in models]
        if len(set(keys)) < len(keys):
            raise ValueError("two models share name and blocks; name them apart")
        return models


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


def read_study(path: str | Path) -> Study:
    """Return a study file, checked key by key.

    Raises
    ------
    SchemaError
        Keys are unknown, missing or of another kind: all of them at once.
    """
    return read_yaml(path, Study)


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
    path, out = Path(study), Path(out)
    plan = read_study(path)
    folder = path.parent / plan.cohort
    settings = _settings(plan, path.parent)
    _make_folder(out)
    clock = {}
    with _stage("check", clock):
        checked = check(folder, root=root, jobs=jobs)
        checked.raise_if_any(allow=allow_failures)
        cohort = checked.cohort
        endpoint = cohort.endpoint(plan.endpoint)
        _rehearse(plan, cohort, endpoint, settings)
    # from here on the folder is not that of an earlier run
    (out / "run.json").unlink(missing_ok=True)
    with _stage("extract", clock):
        how = {"engine": plan.engine, "jobs": jobs, "cache": out / "cache"}
        extraction = extract(cohort, settings=settings, **how)
        data = out / "data"
        write_extraction(extraction, data / _EXTRACTED[0])
    with _stage("models", clock):
        _check_measured(extraction)
        patients = _patients(plan, cohort, extraction.features)
        results = _models(plan, patients, endpoint)
    tables = _tables(patients, results, extraction, cohort)
    for name, table in tables.items():
        write_table(table, data / name)
    record = run_record(
        command={"study": str(path), "root": str(cohort.root), "jobs": jobs},
        cohort=_about(cohort),
        settings=_choices(plan, settings, cohort),
        counts=_counts(cohort, endpoint, extraction)
        | {"patients without a feature": _without_features(extraction, cohort)},
        outputs={name: file_hash(data / name) for name in (*tables, *_EXTRACTED)},
        seconds=clock,
        environment=environment(),
    )
    _write_record(record, out)
    report(out)
    return Run(
        out, tables["metrics.csv"], tables["predictions.parquet"], extraction.failures
    )


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


def _patients(plan, cohort, features):
    """Return one row a patient: aggregated features, covariates, derived quantities."""
    cases = cohort.included
    patients = aggregate(features, cases, how=plan.aggregate, volume=plan.volume)
    clinical = cohort.clinical()
    for name, spec in plan.derived.items():
        if f"clinical__{name}" in clinical:
            msg = f"derived {name!r} is a covariate of {cohort.name!r} too; rename it."
            raise SchemaError(msg)
        values = fractional_decrease(features, cases, **spec.model_dump())
        clinical[f"clinical__{name}"] = values
    clinical = clinical.loc[patients.index]
    return join(patients, clinical) if clinical.shape[1] else patients


def _rehearse(plan, cohort, endpoint, settings):
    """Walk the rest of the path with missing values, so that faults show at once."""
    patients = _patients(plan, cohort, empty_features(cohort, settings))
    folds = make_folds(endpoint, **plan.folds.model_dump())
    noise = np.random.default_rng(0).standard_normal(patients.shape)
    patients = pd.DataFrame(noise, patients.index, patients.columns)
    for spec in plan.models:
        table = select_blocks(patients, spec.blocks)
        check_inputs(table, endpoint, folds)
        classes = endpoint.frame["class"]
        try:
            _model(spec).fit(table.loc[classes.index], classes)
        except (TypeError, ValueError) as error:
            msg = f"model {spec.label!r} with options {spec.options}: {error}"
            raise SchemaError(msg) from error


def _make_folder(out):
    """Make the run folder: one that cannot be written is told before the work."""
    if out.exists() and not out.is_dir():
        msg = f"out {str(out)!r} is a file; give a folder."
        raise SchemaError(msg)
    out.mkdir(parents=True, exist_ok=True)


def _write_record(record, out):
    part = out / "run.json.part"
    part.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    part.replace(out / "run.json")


def _check_measured(extraction):
    if extraction.features.notna().any(axis=None):
        return
    reasons = "\n  ".join(extraction.failures["message"][:5])
    n = len(extraction.features)
    msg = (
        f"not one value could be measured in {n} cases; the first reasons:\n  {reasons}"
    )
    raise CohortError(msg)


def _model(spec):
    known = inspect.signature(MODELS[spec.model]).parameters
    for option in spec.options.keys() - known.keys():
        msg = (
            f"model {spec.label!r}: unknown option {option!r}{nearest(option, known)} "
            f"(known are {list(known)})."
        )
        raise SchemaError(msg)
    return MODELS[spec.model](**spec.options)


def _models(plan, patients, endpoint):
    folds = make_folds(endpoint, **plan.folds.model_dump())
    results = []
    for spec in plan.models:
        blocks = " + ".join(spec.blocks)
        _log.info("%s on %s", spec.label, blocks)
        table = select_blocks(patients, spec.blocks)
        names = {"name": spec.label, "blocks": blocks}
        results.append(cross_validate(_model(spec), table, endpoint, folds, **names))
    return results


def _tables(patients, results, extraction, cohort):
    """Return file name to table, for everything that the report is made from."""
    predictions = pd.concat([r.predictions for r in results], ignore_index=True)
    return {
        "patients.parquet": patients,
        "folds.csv": results[0].folds,
        "predictions.parquet": predictions,
        "metrics.csv": pd.concat([r.metrics for r in results], ignore_index=True),
        "roc.csv": roc_curve(predictions),
        "confusion.csv": confusion(predictions),
        "extraction.csv": extraction.summary,
        "flow.csv": cohort.flow.rename_axis("what").to_frame(),
    }


def _about(cohort):
    return {
        "name": cohort.name,
        "freeze": cohort.card.freeze,
        "units": {name: spec.unit for name, spec in cohort.modalities.items()},
        "manifest": cohort.key,
        "license": cohort.card.license,
        "citation": cohort.card.citation,
    }


def _choices(plan, settings, cohort):
    """Return what the user chose, the settings of the extraction written out."""
    chosen = plan.model_dump()
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


def _without_features(extraction, cohort):
    """Return how many patients have not one value; models impute all of theirs."""
    measured = extraction.features.notna().any(axis=1)
    patients = cohort.included["patient_id"]
    return int((~measured.groupby(patients).any()).sum())


def _counts(cohort, endpoint, extraction):
    return {
        "flow": {what: int(n) for what, n in cohort.flow.items()},
        "patients with the endpoint": len(endpoint.frame),
        "outcome": endpoint.strata.value_counts().sort_index().to_dict(),
        "failed cases": int(extraction.failures["case_id"].nunique()),
    }
