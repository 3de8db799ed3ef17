"""Patients whose masks were made by what was fitted on them, told with their features.

A located **cases** table enters with a table measured in its masks; the table leaves
with these patients in its ``attrs``, where joining, aggregating and testing find them.
"""

import pandas as pd

__all__ = ["IN_SAMPLE", "in_sample_of", "keep_in_sample", "mark_in_sample"]

#: Column of located cases, and key of ``attrs``.
IN_SAMPLE = "in_sample"


def mark_in_sample(table: pd.DataFrame, cases: pd.DataFrame) -> pd.DataFrame:
    """Return a copy of a table that tells whose masks were fitted on these patients.

    Parameters
    ----------
    table
        Measured in the masks of the cases.
    cases
        ``cohort.located``; a table without the column ``in_sample`` tells nothing.
    """
    if not {IN_SAMPLE, "cohort"} <= set(cases):
        return table
    rows = cases[cases[IN_SAMPLE].astype(bool)].groupby("cohort")["patient_id"]
    return _told(table, {cohort: sorted(set(patients)) for cohort, patients in rows})


def in_sample_of(table: pd.DataFrame) -> dict[str, list[str]]:
    """Return what a table tells: cohort to patients, empty where it tells nothing."""
    return dict(table.attrs.get(IN_SAMPLE, {}))


def keep_in_sample(result: pd.DataFrame, *tables: pd.DataFrame) -> pd.DataFrame:
    """Return a copy of a table that tells what any of the tables it was made of tells.

    Whatever is left of a table keeps what the whole told: columns may have changed
    their names, and their blocks, on the way.

    Parameters
    ----------
    result
        The table that was made.
    tables
        What it was made of.
    """
    found = {}
    for table in tables:
        for cohort, patients in in_sample_of(table).items():
            found[cohort] = sorted({*found.get(cohort, ()), *patients})
    return _told(result, found)


def _told(table, found):
    table = table.copy(deep=False)
    table.attrs = {key: v for key, v in table.attrs.items() if key != IN_SAMPLE}
    if found:
        table.attrs[IN_SAMPLE] = found
    return table
