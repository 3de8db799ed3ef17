"""What every stage of a run knows: the plan, the patients, and where things go.

A study file enters, a `Work` leaves: read, checked, with everybody dealt to folds.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from radlatent.cohort import Cohort, Endpoint, check
from radlatent.fusion import make_folds, site_folds
from radlatent.handcrafted import Settings, read_settings
from radlatent.outputs import check_file, check_folder, sweep
from radlatent.study.plan import Study, read_study

__all__ = ["Work", "begin"]

_log = logging.getLogger(__name__)

#: What a run writes into its folder, itself and by its report.
_FOLDERS = ("data", "cache", "tables", "figures")
_FILES = ("run.json", "index.html", "failures.csv")


@dataclass(frozen=True, eq=False)
class Work:
    """A run that can begin: made once, and given to every stage.

    Parameters
    ----------
    plan
        What the study file says.
    cohort
        Its cohort, checked.
    endpoint
        The endpoint that it names.
    folds
        The **folds** table.
    settings
        Of the extraction, read: one for all, one a modality, or None for the presets.
    out
        The run folder.
    jobs
        Processes.
    """

    plan: Study
    cohort: Cohort
    endpoint: Endpoint
    folds: pd.DataFrame
    settings: dict[str, Settings] | Settings | None
    out: Path
    jobs: int | None

    @property
    def data(self) -> Path:
        """Where the tables of the run lie."""
        return self.out / "data"

    @property
    def cache(self) -> Path:
        """Where finished cases and encoders lie, for a run that is started again."""
        return self.out / "cache"

    @property
    def sites(self) -> pd.Series:
        """Site of each patient, of the first case; missing without a column."""
        return _sites(self.cohort)


def begin(
    study: Path,
    out: Path,
    *,
    root: str | Path | None,
    jobs: int | None,
    allow_failures: int,
) -> Work:
    """Read a study and all that it names, and make the run folder.

    Parameters
    ----------
    study, out, root, jobs, allow_failures
        As in `radlatent.study.run`.

    Raises
    ------
    CohortError, SchemaError
        The study, its settings or its cohort need mending.
    """
    plan, here = read_study(study), study.parent
    settings = _settings(plan, here)
    _make_folder(out)
    allowed = _tolerance(settings)
    about = {"root": root, "jobs": jobs, "cache": out / "cache"}
    checked = check(here / plan.cohort, tolerance_voxels=allowed, **about)
    for note in checked.notes:
        _log.warning("%s", note)
    checked.raise_if_any(allow=allow_failures)
    cohort = checked.cohort
    endpoint = cohort.endpoint(plan.endpoint)
    folds = _deal(plan, endpoint, _sites(cohort))
    return Work(plan, cohort, endpoint, folds, settings, out, jobs)


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


def _tolerance(settings):
    """Return what `check` takes, so that it refuses no grid that `extract` accepts."""
    if settings is None:
        return None
    if isinstance(settings, dict):
        return {modality: _tolerance(one) for modality, one in settings.items()}
    return settings.setting.geometryTolerance


def _make_folder(out):
    """Make the run folder: one that cannot be written is told before the work."""
    check_folder(out)
    for name in _FOLDERS:
        check_folder(out / name)
    for name in _FILES:
        check_file(out / name)
    out.mkdir(parents=True, exist_ok=True)
    sweep(out)


def _sites(cohort):
    cases = cohort.included
    if "site" not in cases:
        return pd.Series(pd.NA, cases["patient_id"].unique())
    return cases.groupby("patient_id")["site"].first()


def _deal(plan, endpoint, sites):
    if plan.folds.leave_site_out:
        return site_folds(sites.loc[endpoint.frame.index])
    return make_folds(endpoint, **plan.folds.model_dump(exclude={"leave_site_out"}))
