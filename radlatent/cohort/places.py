"""Where masks lie: paths as ``cases.csv`` has them, and where these are.

Images lie below the root of a cohort. Masks do as well, or below a ``masks_root`` of
their own, or, in a derived cohort, wherever they were written.
"""

import os
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

import pandas as pd

from radlatent.cohort.card import Card
from radlatent.cohort.problems import FileProblems

__all__ = [
    "below_masks_root",
    "is_mask_column",
    "leaves_root",
    "place_masks",
    "without_places",
]


def is_mask_column(name: str) -> bool:
    """Return whether a column of the cases names masks."""
    return name.partition("_")[0] == "mask" and name != "mask_label"


def leaves_root(path: str) -> bool:
    """Return whether a path of a table starts elsewhere, or leads out."""
    # a drive or a leading slash replaces the root on Windows
    windows = PureWindowsPath(path)
    return path.split("/")[0] == ".." or bool(windows.drive or windows.root)


def place_masks(
    cases: pd.DataFrame, masks_root: Path, problems: FileProblems
) -> pd.DataFrame:
    """Return the cases with absolute paths of masks, or note those that leave a folder.

    Parameters
    ----------
    cases
        The **cases** table.
    masks_root
        Folder that the paths of masks start from.
    problems
        Of the file of the cases.
    """
    cases = cases.copy()
    for column in (name for name in cases if is_mask_column(name)):
        for case_id, path in cases[column].dropna().items():
            if leaves_root(path):
                where = {"row": cases["line"][case_id], "case_id": case_id}
                problems.add(
                    f"{path!r} leaves the folder of masks {masks_root}",
                    "Give paths of masks relative to masks_root, inside it",
                    **where | {"column": column, "value": path},
                )
            else:
                cases.loc[case_id, column] = (masks_root / path).as_posix()
    return cases


def below_masks_root(
    cases: pd.DataFrame, card: Card, columns: Sequence[str]
) -> pd.DataFrame:
    """Return the cases with paths of masks as ``cases.csv`` has them.

    Parameters
    ----------
    cases
        The **cases** table of a cohort that was read.
    card
        Its card; without a ``masks_root`` nothing changes.
    columns
        Those that name masks.
    """
    if card.masks_root is None:
        return cases
    cases = cases.copy()
    for column in columns:
        cases[column] = [
            path and Path(os.path.relpath(path, card.masks_root)).as_posix()
            for path in cases[column]
        ]
    return cases


def without_places(cases: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return the cases without the paths of masks that lie outside of the root.

    Where these lie says nothing about a cohort; its card has a hash of their contents.

    Parameters
    ----------
    cases
        The **cases** table.
    columns
        Those of ``cases`` that name masks.
    """
    cases = cases.copy()
    for column in columns:
        outside = [p is not None and Path(p).is_absolute() for p in cases[column]]
        cases[column] = cases[column].mask(pd.Series(outside, cases.index), "")
    return cases
