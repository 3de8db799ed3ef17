"""Names of patients and sites that do not tell, and the one file that does.

What files say enters, pseudonyms and days since the first study leave. The file of
names lies beside the cohort, not in it, so that the cohort can be passed on.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path

import pandas as pd

from radlatent.errors import DicomError
from radlatent.outputs import replace_file
from radlatent.schema import inert, meant

__all__ = ["Names", "plain_names", "pseudonyms", "slug"]

_COLUMNS = ["kind", "pseudonym", "name", "first_study"]


def slug(text: str) -> str:
    """Return a text that names a file and a case: letters, digits, ``_ + - .``.

    Examples
    --------
    >>> slug("GTV, left/1")
    'GTV_left_1'
    """
    return re.sub(r"[^\w+.-]+", "_", text).strip("._")


class Names:
    """What patients, sites and days are called.

    Parameters
    ----------
    patients, sites
        What files say, to the name.
    first
        PatientID to the date of the first study, ``YYYY-MM-DD``; None: days are told
        as dates.
    """

    def __init__(
        self,
        patients: Mapping[str, str],
        sites: Mapping[str, str],
        first: Mapping[str, str] | None,
    ):
        self.patients, self.sites, self.first = patients, sites, first

    def timepoint(self, patient: str, day: str) -> str:
        """Return the name of a day: itself, or ``day12`` after the first study."""
        if self.first is None or not day:
            return day
        try:
            past = date.fromisoformat(day) - date.fromisoformat(self.first[patient])
        except ValueError:  # no date, or one that is damaged
            return ""
        return f"day{past.days}"


def plain_names(patients: Iterable[str], sites: Iterable[str]) -> Names:
    """Return the names that are in the files, as far as they name files of ours.

    Raises
    ------
    DicomError
        Two patients would have one name.
    """
    names = {patient: slug(patient) or "unnamed" for patient in set(patients)}
    if len(set(names.values())) < len(names):
        twice = sorted(p for p, n in names.items() if [*names.values()].count(n) > 1)
        msg = (
            f"PatientID {twice[:4]} differ in characters that name no file. Convert "
            "with pseudonyms."
        )
        raise DicomError(msg)
    return Names(names, {site: slug(site) for site in set(sites)}, None)


def pseudonyms(path: Path, days: Mapping[str, str], sites: Iterable[str]) -> Names:
    """Return pseudonyms, those of an earlier run as they were, and write their file.

    Parameters
    ----------
    path
        The file of names; readable by its owner alone.
    days
        PatientID to the date of the first study.
    sites
        Names of institutions.

    Raises
    ------
    DicomError
        There is such a file, and it is none of ours.
    """
    rows = _read(path)
    # by a hash: not in the order of names, and the same when started again
    _number_patients(rows, days)
    known = {name for kind, _, name, _ in rows if kind == "site"}
    for name in sorted(set(sites) - {"", *known}):
        # not by number: site1 of two conversions would be two hospitals, and ComBat
        # would take one for the other
        rows.append(("site", f"site_{_hash(name)[:6]}", name, ""))
    table = pd.DataFrame(rows, columns=_COLUMNS)
    replace_file(path, lambda draft: _write(table, draft))
    of = {kind: table[table["kind"] == kind] for kind in ("patient", "site")}
    called = {
        kind: dict(zip(part["name"], part["pseudonym"], strict=True))
        for kind, part in of.items()
    }
    patients = of["patient"]
    first = dict(zip(patients["name"], patients["first_study"], strict=True))
    return Names(called["patient"], called["site"] | {"": ""}, first)


def _hash(name):
    return hashlib.sha256(name.encode()).hexdigest()


def _read(path):
    if not path.exists():
        return []
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        return list(table[_COLUMNS].map(meant).itertuples(index=False, name=None))
    except (ValueError, KeyError, OSError) as error:
        msg = (
            f"{path} is no file of pseudonyms with columns {_COLUMNS}: restore it, or "
            "move it away, and everybody gets another pseudonym."
        )
        raise DicomError(msg) from error


def _number_patients(rows, days):
    """Add rows for patients who have none yet."""
    known = {name for kind, _, name, _ in rows if kind == "patient"}
    first = 1 + sum(kind == "patient" for kind, *_ in rows)
    for n, name in enumerate(sorted(set(days) - known, key=_hash), start=first):
        rows.append(("patient", f"p{n:03d}", name, days[name]))


def _write(table, draft):
    Path(draft).touch(mode=0o600)
    inert(table).to_csv(draft, index=False)
