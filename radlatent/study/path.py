"""A study file walks the whole path: cohort, features, models, report.

``study.yml`` enters, a run folder leaves. What is computed is computed in the rooms;
here is only the order of the stages, each a function of a `Work`.
"""

import logging
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from radlatent.report import report
from radlatent.study import external, latents, models, record
from radlatent.study.images import judge, locate, measure, measure_heart
from radlatent.study.patients import gather
from radlatent.study.rehearsal import rehearse
from radlatent.study.tables import run_tables
from radlatent.study.work import begin

__all__ = ["Run", "run"]

_log = logging.getLogger(__name__)

#: The tables that a `Run` holds.
_RETURNED = ("metrics", "predictions", "failures")


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
    clock, asked = {}, {"root": root, "jobs": jobs}
    with _stage("check", clock):
        work = begin(Path(study), Path(out), allow_failures=allow_failures, **asked)
        heart = measure_heart(work)
        rehearse(work, heart.features)
    with _stage("masks", clock):
        tables, unjudged = judge(work)
    # from here on the folder is not that of an earlier run
    (work.out / "run.json").unlink(missing_ok=True)
    with _stage("extract", clock):
        extraction = measure(work)
        features = extraction.features
        places = locate(work, features)
    with _stage("latent", clock):
        encoding = latents.encode(work, features)
        tables |= latents.latent_tables(work, features, encoding)
    with _stage("models", clock):
        latent = encoding and encoding.features
        patients = gather(work, features, heart.features, places, latent)
        results = models.validate(work, patients)
        tables |= run_tables(work, patients, results)
    with _stage("external", clock):
        encoder = None
        if work.external and encoding:
            # encoders of folds know parts of the patients: one is fitted on all
            whole, encoder = latents.fit_on_all(work, features)
            patients = gather(work, features, heart.features, places, whole)
        of_others, failed_there = external.validate_once(work, patients, encoder)
        tables |= of_others
    failed = [heart.failures, unjudged, *([encoding.failures] if encoding else [])]
    failed += [] if failed_there is None else [failed_there]
    tables |= record.of_cases(work, extraction, failed)
    command = {"study": str(study), "root": str(work.cohort.root), "jobs": jobs}
    counts = record.counts(work, extraction, results)
    told = {"command": command, "counts": counts, "shared": extraction.shared}
    record.write(work, tables, seconds=clock, **told)
    report(work.out)
    return Run(work.out, *(tables[name] for name in _RETURNED))


@contextmanager
def _stage(name, clock):
    _log.info("%s ...", name)
    start = time.perf_counter()
    yield
    clock[name] = time.perf_counter() - start
    _log.info("%s: %.1f s", name, clock[name])
