"""A row a label: rows of ``cases.csv`` enter, one for each label of their masks leaves.

Tools for PET and converters of DICOM SEG write the lesions of a patient as labels of
one file; without a row each they would be measured as one lesion.
"""

from pathlib import Path

import pandas as pd

from radlatent.cohort.problems import Problems
from radlatent.errors import RadlatentError
from radlatent.imaging import label_counts, read_volume, whole_labels

__all__ = ["one_row_a_label"]

_HIGHEST = 65_535


def one_row_a_label(cases: pd.DataFrame, root: Path) -> pd.DataFrame:
    """Return the rows of ``cases.csv`` with one for each label of their masks.

    Parameters
    ----------
    cases
        Rows as text, empty where there is nothing; masks are relative to ``root``.
    root
        Folder of the images.

    Returns
    -------
    pandas.DataFrame
        ``mask_label`` is the label; ``case_id`` and ``lesion_id`` end in it. Where a
        mask of one modality lacks a label of another, image and mask of that modality
        are empty. Rows that name a label, and those of empty masks, are as they were.

    Raises
    ------
    CohortError
        With every mask that cannot be read, or holds no labels.
    """
    masks = [c for c in cases if c == "mask" or c.startswith("mask_")]
    masks = [c for c in masks if c != "mask_label"]
    places = sorted({p for column in masks for p in cases[column] if p})
    labels, problems = {}, Problems()
    for place in places:
        try:
            labels[place] = _labels_of(root / place, place)
        except (OSError, RadlatentError, ValueError) as error:
            problems.add(str(error), "Mend the file", file=place, value=place)
    problems.raise_if_any(str(root))
    rows = [
        row
        for case in cases.to_dict("records")
        for row in _rows(case, {c: labels[case[c]] for c in masks if case[c]})
    ]
    return _ordered(pd.DataFrame(rows).fillna(""), cases)


def _labels_of(path, place):
    """Return the labels of a mask above 0, ascending."""
    mask, _ = whole_labels(read_volume(path), place)
    found = sorted(label for label in label_counts(mask.array) if label > 0)
    if found and found[-1] > _HIGHEST:
        msg = (
            f"{place} holds the label {found[-1]}, and at most {_HIGHEST} can be named"
        )
        raise ValueError(msg)
    return found


def _rows(case, labels):
    """Yield a row a label of a case, whose masks hold ``labels`` by column."""
    everything = sorted(set().union(*labels.values()))
    if case.get("mask_label") or not everything:
        yield case
        return
    for label in everything:
        name = case.get("lesion_id")
        row = case | {
            "case_id": f"{case['case_id']}_{label}",
            "lesion_id": f"{name}_{label}" if name else str(label),
            "mask_label": str(label),
        }
        for column, found in labels.items():
            if label not in found:
                row[column] = ""
                row[column.replace("mask_", "image_", 1)] = ""
        yield row


def _ordered(table, cases):
    """Return the columns as they were, the new ones beside those they belong to."""
    columns = list(cases)
    if "lesion_id" in table and "lesion_id" not in columns:
        columns.insert(columns.index("patient_id") + 1, "lesion_id")
    if "mask_label" in table and "mask_label" not in columns:
        columns.append("mask_label")
    return table[columns]
