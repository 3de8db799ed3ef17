"""What every stage of a run knows: the plan, the patients, and where things go.

A study file enters, a `Work` leaves: read, checked, with everybody dealt to folds.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from radlatent.cohort import (
    Cohort,
    Endpoint,
    FeatureFile,
    Given,
    Outcomes,
    Problems,
    check,
    read_given,
)
from radlatent.errors import CohortError, SchemaError
from radlatent.fusion import make_folds, site_folds
from radlatent.fusion.validation.subgroups import grouped
from radlatent.handcrafted import Settings, read_settings
from radlatent.outputs import check_file, check_folder, sweep
from radlatent.schema import nearest
from radlatent.study.plan import Study, SubgroupSpec, read_study

__all__ = ["Work", "begin", "begin_plan", "check_study", "groups_of"]

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
    given
        Features that were measured elsewhere; None of a study of images.
    external
        The same of the patients that models are tested on once, whose tables lie below
        ``external/``; None without.
    kept
        Where finished cases and encoders lie; None: in the run folder.
    """

    plan: Study
    cohort: Cohort
    endpoint: Endpoint
    folds: pd.DataFrame
    settings: dict[str, Settings] | Settings | None
    out: Path
    jobs: int | None
    given: Given | None = None
    external: "Work | None" = None
    kept: Path | None = None

    @property
    def data(self) -> Path:
        """Where the tables of the run lie."""
        return self.out / "data"

    @property
    def cache(self) -> Path:
        """Where finished cases and encoders lie, for a run that is started again."""
        return self.kept or self.out / "cache"

    @property
    def tables(self) -> tuple[Path, ...]:
        """The files that a study of tables reads."""
        return self.given.files if self.given else ()

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
    return begin_plan(plan, here, out, root=root, jobs=jobs, allow=allow_failures)


def begin_plan(
    plan: Study,
    here: Path,
    out: Path,
    *,
    root: str | Path | None,
    jobs: int | None,
    allow: int,
) -> Work:
    """Do what `begin` does for a study that was read, whose paths start ``here``."""
    settings = _settings(plan, here)
    _make_folder(out)
    about = {"root": root, "jobs": jobs, "out": out}
    found = _look(plan, here, settings=settings, **about)
    _raise(found, allow)
    works = []
    for number, one in enumerate(found):
        endpoint = one.cohort.endpoint(plan.endpoint_name)
        sites, place = _sites(one.cohort), out / "external" if number else out
        # nobody is trained on in another cohort: one fold, which is tested
        folds = _tested_once(endpoint) if number else _deal(plan, endpoint, sites)
        groups_of(plan.subgroups, one.cohort, endpoint.frame.index)
        about = (plan, one.cohort, endpoint, folds, settings, place, jobs, one.given)
        works.append(Work(*about))
    ours, *others = works
    if not others:
        return ours
    # presets are those of the cohort that models were fitted on
    measured = {m: read_settings(s.preset) for m, s in ours.cohort.modalities.items()}
    other = replace(others[0], settings=settings or measured)
    return replace(ours, external=other)


def check_study(
    study: Path, *, root: str | Path | None = None, jobs: int | None = None
) -> list[pd.Series]:
    """Check a study file and all that it names, and return the flow of each cohort.

    Parameters
    ----------
    study, root, jobs
        As in `radlatent.study.run`.

    Raises
    ------
    CohortError, SchemaError
        With every problem.
    """
    plan, here = read_study(study), study.parent
    settings = _settings(plan, here)
    found = _look(plan, here, settings=settings, root=root, jobs=jobs)
    _raise(found, 0)
    for one in found:
        endpoint = one.cohort.endpoint(plan.endpoint_name)
        _deal(plan, endpoint, _sites(one.cohort))
        groups_of(plan.subgroups, one.cohort, endpoint.frame.index)
    return [one.cohort.flow for one in found]


@dataclass(frozen=True, eq=False)
class _Seen:
    """What a look at the patients of a study found, in images or in tables."""

    name: str
    cohort: Cohort | None
    problems: Problems
    notes: tuple[str, ...] = ()
    given: Given | None = None


def _look(plan, here, *, settings, root, jobs, out=None):
    """Return what is seen of the cohort, and of the other one where there is one."""
    sources = [(plan, root, out)]
    if plan.external:
        where = plan.external.root
        there = out and out / "external"
        sources.append((plan.external, where and here / where, there))
    allowed, found = _tolerance(settings), []
    for source, place, run in sources:
        if source.features:
            found.append(_tables(plan, source, here))
            continue
        about = {"root": place, "jobs": jobs, "cache": run and run / "cache"}
        seen = check(here / source.cohort, tolerance_voxels=allowed, **about)
        found.append(_Seen(seen.cohort.name, seen.cohort, seen.found, seen.notes))
    return found


def _tables(plan, source, here):
    files = [
        FeatureFile(one.block, here / one.file, one.leave_out, one.measured)
        for one in source.features
    ]
    path = here / source.endpoints
    about = {"positive": plan.positive, "about": plan.outcome}
    outcomes = Outcomes(path, plan.endpoint_name, plan.covariates, **about)
    name = getattr(source, "name", None) or path.stem
    given, problems = read_given(files, outcomes, name=name)
    return _Seen(name, given and given.cohort, problems, given=given)


def _raise(found, allow_failures):
    """Raise with every problem of both cohorts."""
    errors = []
    for one in found:
        for note in one.notes:
            _log.warning("%s", note)
        try:
            one.problems.raise_if_any(repr(one.name), allow=allow_failures)
        except CohortError as error:
            errors.append(error)
    if errors:
        rows = pd.concat([error.problems for error in errors], ignore_index=True)
        raise CohortError("\n".join(map(str, errors)), problems=rows)


def _tested_once(endpoint):
    return pd.DataFrame({"patient_id": endpoint.frame.index, "repeat": 0, "fold": 0})


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


def groups_of(
    specs: Sequence[SubgroupSpec], cohort: Cohort, patients: pd.Index
) -> pd.DataFrame:
    """Return the group of each patient with the endpoint, as categories.

    Parameters
    ----------
    specs
        Columns of the table of outcomes, or of the cases, where a patient has one value
        in all of them.
    cohort
        Whose.
    patients
        With the endpoint.

    Returns
    -------
    DataFrame
        No column where the study asks for no groups.

    Raises
    ------
    SchemaError
        There is no such column, a patient has two values, or values make no groups.
    """
    found, problems = pd.DataFrame(index=patients), []
    for spec in specs:
        try:
            values = _values(cohort, spec.by).reindex(patients)
            cuts = {spec.by: spec.cuts} if spec.cuts else None
            found[spec.by] = grouped(values.to_frame(spec.by), cuts)[spec.by]
        except SchemaError as error:
            problems.append(str(error).removeprefix("subgroups: ").rstrip("."))
    if problems:
        msg = f"subgroups of cohort {cohort.name!r}: {'; '.join(problems)}."
        raise SchemaError(msg)
    return found


def _values(cohort, name):
    outcomes, cases = cohort.patients, cohort.included
    if name in outcomes:
        return outcomes[name]
    if name not in cases:
        known = [*dict.fromkeys([*outcomes, *_groupable(cases)])]
        msg = f"no column {name!r}{nearest(name, known)} (there are {known})"
        raise SchemaError(msg)
    by_patient = cases.groupby("patient_id")[name]
    several = by_patient.nunique()
    several = several.index[several > 1].tolist()
    if several:
        msg = f"{len(several)} patients have two values of {name!r}: {several[:5]}"
        raise SchemaError(msg)
    return by_patient.first()


def _groupable(cases):
    """Return the columns of cases that tell something of patients."""
    about = ("image", "mask", "exclude", "line", "patient_id", "lesion_id", "timepoint")
    return [column for column in cases if not str(column).startswith(about)]
