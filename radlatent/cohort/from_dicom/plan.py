"""Which series and structures of a folder are which cases, before a voxel is read.

A folder of DICOM enters, a list of `Planned` series leaves, each with its names and,
where headers tell, why it cannot be converted.
"""

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from radlatent.cohort.card import MODALITY
from radlatent.cohort.from_dicom.people import People
from radlatent.cohort.from_dicom.protocol import scanner_of
from radlatent.cohort.from_dicom.pseudonyms import Names, slug
from radlatent.errors import SchemaError

if TYPE_CHECKING:
    from radlatent.imaging.dicom import DicomSeries

__all__ = ["SITES", "UNDRAWN", "Planned", "patterns_of", "plan"]

_log = logging.getLogger(__name__)

#: What the site of a case may be.
SITES = ("institution", "scanner")

#: A date, and a time behind it, as messages and as tags write them.
_DAY = re.compile(
    r"(?<!\d)(?:19|20)\d\d-?(?:0[1-9]|1[0-2])-?(?:0[1-9]|[12]\d|3[01])"
    r"(?:[ T]?\d\d:?\d\d(?::?\d\d)?(?:\.\d+)?)?"
)

UNDRAWN = "left out: no structure that was asked for is drawn on it"


@dataclass(frozen=True, eq=False)
class Planned:
    """A series, and what it is called.

    Parameters
    ----------
    series
        The series.
    patient_id, timepoint, modality, site
        What tables say.
    lesions
        ``lesion_id`` of each structure, in their order.
    hides
        Whether nothing that is written may tell who the patient is.
    problem
        Why it is not converted, without names of files where these may tell a patient;
        or an empty text.
    """

    series: "DicomSeries" = field(repr=False)
    patient_id: str
    timepoint: str
    modality: str
    site: str
    lesions: tuple[str, ...]
    hides: bool = True
    problem: str = ""

    @property
    def where(self) -> tuple[str, str]:
        """Patient and timepoint."""
        return self.patient_id, self.timepoint

    @property
    def name(self) -> str:
        """What no other converted series is called, and its folder and stem."""
        return "/".join(filter(None, (*self.where, self.modality)))

    def case_id(self, lesion: str) -> str:
        """Return the case of a lesion."""
        return "_".join(filter(None, (*self.where, lesion)))

    def told(self, reason: str) -> str:
        """Return a reason without what may tell who: files, days, what was typed."""
        if not self.hides:
            return reason
        for lesion, one in zip(self.lesions, self.series.structures, strict=True):
            for name in (one.region.name, one.name):
                reason = reason.replace(repr(name), repr(lesion))
        paths = sorted({header.path for header in self.series.headers})
        paths += sorted({one.path for one in self.series.structures})
        for k, path in enumerate(paths, start=1):
            reason = reason.replace(str(path), f"file {k}")
        for k, path in enumerate(paths, start=1):
            reason = re.sub(
                rf"(?<![\w.-]){re.escape(path.name)}(?![\w-])", f"file {k}", reason
            )
        return _DAY.sub("a day", reason)


def patterns_of(modalities: Mapping[str, str] | None) -> dict[str, re.Pattern]:
    """Return name of modality to the pattern of the series that it is.

    Raises
    ------
    SchemaError
        A name fits no column, or a pattern is none.
    """
    found = {}
    for name, pattern in (modalities or {}).items():
        if not MODALITY.fullmatch(name) or name == "label":
            msg = (
                f"modality {name!r} does not fit column names; use small letters, "
                "digits and single underscores, as in 'mr_t1'."
            )
            raise SchemaError(msg)
        try:
            found[name] = re.compile(pattern)
        except re.error as error:
            msg = f"modality {name!r}: {pattern!r} is no regular expression: {error}."
            raise SchemaError(msg) from error
    return found


def plan(
    every: Sequence["DicomSeries"],
    names: Names,
    patterns: Mapping[str, re.Pattern],
    *,
    site: str = "institution",
) -> list[Planned]:
    """Return the series with their names and problems.

    Parameters
    ----------
    every
        The series of a folder.
    names
        Of patients, sites and days.
    patterns
        From `patterns_of`; a series that none fits is called ct, mr or pet.
    site
        One of `SITES`; of a patient and day it is that of the first modality.

    Raises
    ------
    SchemaError
        ``site`` is none of them.
    """
    if site not in SITES:
        raise SchemaError(f"site is {site!r}; known are {list(SITES)}.")
    people = None if names.first is None else People(every)
    about = (names, patterns, site, people, days_of(every))
    found = [_named(series, *about) for series in every]
    if people and people.n_cleaned:
        _log.warning(
            "%d names of structures held names of people, which were taken out",
            people.n_cleaned,
        )
        if people.staff_cleaned:
            _log.warning(
                "words of staff that were taken out of them: %s",
                ", ".join(sorted(people.staff_cleaned)),
            )
    sites = {}
    for one in found:
        if one.lesions and one.site:
            sites.setdefault(one.where, one.site)
    found = [replace(one, site=sites.get(one.where, "")) for one in found]
    drawn = Counter(one.name for one in found if one.lesions)
    return [replace(one, problem=_problem(one, drawn[one.name])) for one in found]


def days_of(every: Sequence["DicomSeries"]) -> dict[tuple[str, str], str]:
    """Return patient and StudyInstanceUID to the day of the study.

    What makes files anonymous may move the dates of each series by themselves: the
    earliest is that of all.
    """
    found = {}
    for series in every:
        key = series.patient_id, series.tag("StudyInstanceUID")
        known = found.get(key, "")
        found[key] = min(filter(None, (series.study_date, known)), default="")
    return found


def _modality(series, patterns):
    told = series.tag("SeriesDescription")
    fitting = (name for name, pattern in patterns.items() if pattern.search(told))
    return next(fitting, series.modality)


def _named(series, names, patterns, site, people, days):
    patient = series.patient_id
    day = days[patient, series.tag("StudyInstanceUID")]
    drawn = [one.name for one in series.structures]
    if people:
        drawn = [people.clean(patient, name) for name in drawn]
    place = names.sites[series.tag("InstitutionName")]
    if site == "scanner":
        place = "_".join(filter(None, (place, slug(scanner_of(series)))))
    return Planned(
        series,
        names.patients[patient],
        slug(names.timepoint(patient, day)),
        _modality(series, patterns),
        place,
        tuple(slug(name) or "roi" for name in drawn),
        hides=people is not None,
    )


def _problem(one, n_drawn):
    if not one.lesions:
        return UNDRAWN
    problem = one.series.problem
    if problem:
        return one.told(problem)
    if n_drawn > 1:
        return (
            f"{n_drawn} series of this patient and day are {one.modality!r}, and "
            "structures are drawn on each: name them by their description (modalities)"
        )
    twice = sorted(n for n, count in Counter(one.lesions).items() if count > 1)
    if twice:
        return (
            f"several structures are called {twice}: tell them apart by roi, or leave "
            "files out"
        )
    return ""
