"""Outcomes under the names in the files, brought to the patients of a cohort.

A CSV file enters; rows by the names that the cohort uses leave, and the endpoint as
``cohort.yml`` says it.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from radlatent.cohort.card import EndpointCard
from radlatent.cohort.from_dicom.protocol import OLDEST
from radlatent.cohort.layouts.given import Outcomes, card_of
from radlatent.cohort.outcomes import read_endpoints
from radlatent.cohort.problems import Problems
from radlatent.cohort.tables import read_text_table
from radlatent.errors import CohortError

__all__ = ["read_outcomes"]

_log = logging.getLogger(__name__)


def read_outcomes(
    outcomes: Outcomes, patients: Mapping[str, str], *, hides: bool = True
) -> tuple[pd.DataFrame, dict[str, EndpointCard]]:
    """Return a table of outcomes under the names of a cohort, and its endpoint.

    Parameters
    ----------
    outcomes
        A CSV file whose ``patient_id`` is the PatientID of the DICOM files.
    patients
        PatientID to the name in the cohort.
    hides
        Whether these are pseudonyms: only the columns of the endpoint and the numbers
        that are named as ``covariates`` come along then, and ages end at 90.

    Returns
    -------
    tuple
        Text, a row a patient who is in both, with ``patient_id`` as in the cohort; the
        endpoint by its name. Patients who are in one of both only are counted in the
        log.

    Raises
    ------
    CohortError
        With every fault of the table; or no patient is in both.
    """
    problems, path = Problems(), Path(outcomes.path)
    table = read_text_table(path, problems)
    problems.raise_if_any(str(path))
    known = table.get("patient_id", pd.Series("", table.index)).isin(patients)
    if "patient_id" in table and not known.any():
        here, there = [*patients][:3], table["patient_id"].tolist()[:3]
        msg = (
            f"{path}: no patient_id is the PatientID of a file: {there} here, {here} "
            "in DICOM. Give the table by the PatientID of the files."
        )
        raise CohortError(msg)
    of = problems.of(path.name)
    card = card_of(outcomes, table, path.name, of)
    read_endpoints(table, card, set(patients), of)
    problems.raise_if_any(str(path))
    _tell(path, n_more=int((~known).sum()), n_less=len(patients) - int(known.sum()))
    table = table[known]
    if hides:
        table = _without_who(table, outcomes.covariates, card, path.name)
    names = table["patient_id"].map(patients)
    return table.assign(patient_id=names), dict(card.endpoints)


def _without_who(table, asked, card, name):
    """Return what tells nobody who is who: outcomes, and the numbers asked for."""
    of = {column for about in card.endpoints.values() for column in about.columns}
    kept = [c for c in table if c in {"patient_id", *of, *asked}]
    out = [column for column in table if column not in kept]
    if out:
        _log.warning(
            "%s: columns that are no outcome are left out beside pseudonyms: %s",
            name,
            ", ".join(out),
        )
    table = table[kept].copy()
    for column in {c for c in asked if c.casefold() == "age"}:
        old = pd.to_numeric(table[column], errors="coerce") > OLDEST
        table.loc[old, column] = f"{OLDEST:g}"
    return table


def _tell(path, *, n_more, n_less):
    if n_more:
        _log.warning("%s: %d patients are not in DICOM, left out", path.name, n_more)
    if n_less:
        _log.warning("%s: %d patients of DICOM have no row", path.name, n_less)
