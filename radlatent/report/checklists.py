"""Checklists of reporting, filled from what a run proves.

The record and the tables of a run enter, a table of items with status, evidence and
link leaves. An item is never said to be done well: that stays with the reader.
"""

import functools
import importlib.resources
from collections.abc import Mapping

import pandas as pd
import yaml

from radlatent.errors import SchemaError
from radlatent.report.evidence import images, models
from radlatent.report.evidence.answer import Absent, Found
from radlatent.schema import nearest

__all__ = [
    "CHECKLISTS",
    "STATUSES",
    "check_reporting",
    "checklist",
    "evidenced_share",
    "read_checklist",
]

CHECKLISTS = ("clear", "metrics", "ibsi", "tripod_ai")

STATUSES = ("evidenced", "user-supplied", "missing", "not applicable")

_RULES = images.RULES | models.RULES

#: Unit of intensity, and start of the name of a modality, to the kind of imaging.
_KINDS = {"SUV": "PET", "pet": "PET", "HU": "CT", "ct": "CT", "mr": "MRI"}


def checklist(
    name: str, record: Mapping, tables: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """Return a checklist with the evidence that a run holds for each item.

    Parameters
    ----------
    name
        "clear", "metrics", "ibsi" or "tripod_ai".
    record
        The run record. ``settings.reporting`` of it, item to text, is what the user
        says of items that no run can prove: ``{"clear-8": "Approved by ..."}``.
    tables
        The tables of the run, by name of their file without its ending.

    Returns
    -------
    DataFrame
        ``id, item, group, text, weight, status, evidence, link``. ``status`` is
        "evidenced" where a rule found the evidence that ``link`` leads to,
        "user-supplied" where the user's words stand alone, "not applicable", or
        "missing". ``weight`` is that of METRICS, NaN elsewhere.

    Raises
    ------
    SchemaError
        There is no checklist of that name.

    References
    ----------
    CLEAR: Kocak et al. 2023, doi:10.1186/s13244-023-01415-8; METRICS: Kocak et al.
    2024, doi:10.1186/s13244-023-01572-w; IBSI: arXiv:1612.07003, chapter 4; TRIPOD+AI:
    Collins et al. 2024, doi:10.1136/bmj-2023-078378
    """
    said = record["settings"].get("reporting") or {}
    kinds = _kinds(record)
    rows = []
    for item in read_checklist(name)["items"]:
        number = str(item["id"])
        answer = _answer(item, record, tables, kinds)
        status, evidence, link = _status(answer, said.get(f"{name}-{number}"))
        rows.append(
            {
                "id": f"{name}-{number}",
                "item": number,
                "group": item["group"],
                "text": item["text"],
                "weight": item.get("weight", float("nan")),
                "status": status,
                "evidence": evidence,
                "link": link,
            }
        )
    return pd.DataFrame(rows)


def evidenced_share(table: pd.DataFrame) -> dict[str, float]:
    """Return the weight of the items of METRICS by status; they sum to 1.

    This is no METRICS score: a score is awarded by a reader of the paper.

    Parameters
    ----------
    table
        What `checklist` returned for "metrics".
    """
    shares = table.groupby("status")["weight"].sum()
    return {status: float(shares.get(status, 0.0)) for status in STATUSES}


def check_reporting(reporting: Mapping[str, str]) -> None:
    """Raise if what a user says of items names one that no checklist has.

    Raises
    ------
    SchemaError
        With every unknown item, and the nearest one that there is.
    """
    known = [
        f"{name}-{item['id']}"
        for name in CHECKLISTS
        for item in read_checklist(name)["items"]
    ]
    wrong = [f"{key!r}{nearest(key, known)}" for key in reporting if key not in known]
    if wrong:
        msg = f"reporting: no checklist has the item {'; '.join(wrong)}."
        raise SchemaError(msg)


@functools.cache
def read_checklist(name: str) -> dict:
    """Return ``name``, ``source`` and ``items`` of a checklist, as in its file."""
    if name not in CHECKLISTS:
        hint = nearest(name, CHECKLISTS)
        msg = f"name={name!r} is not one of {list(CHECKLISTS)}{hint}."
        raise SchemaError(msg)
    here = importlib.resources.files("radlatent.report") / "checklists"
    return yaml.safe_load((here / f"{name}.yaml").read_text("utf-8"))


def _answer(item, record, tables, kinds):
    if "only" in item and kinds and item["only"] not in kinds:
        return Absent(f"no {item['only']}")
    return _RULES[item["rule"]](record, tables) if "rule" in item else None


def _kinds(record):
    """Return the kinds of imaging, or nothing where one of them is not known."""
    units = record["cohort"].get("units") or {}
    kinds = {
        _KINDS.get(unit) or _KINDS.get(name[:3].strip("_")) or _KINDS.get(name[:2])
        for name, unit in units.items()
    }
    return set() if None in kinds else kinds


def _status(answer, said):
    """Return status, evidence and link: what the run proves comes first."""
    if isinstance(answer, Found):
        words = f"{answer.words}. {said}" if said else answer.words
        return "evidenced", words, answer.link
    if said:
        return "user-supplied", said, ""
    if isinstance(answer, Absent):
        return "not applicable", answer.words, ""
    return "missing", "", ""
