"""Derived cohorts: the cases of a cohort under other masks, in memory and as a folder.

A **cases** table and paths of masks enter; a cases table that names these masks leaves,
with a card that says what made them. No mask is written here, and none is replaced.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import yaml

from radlatent.cohort.card import Card, Derivation, MadeBy
from radlatent.cohort.places import below_masks_root, is_mask_column
from radlatent.cohort.problems import Problems
from radlatent.errors import SchemaError
from radlatent.features.origin import cohort_names
from radlatent.outputs import replace_file, replace_text
from radlatent.provenance import content_key, file_hash
from radlatent.schema import inert, nearest, parse

__all__ = [
    "derived_card",
    "replace_masks",
    "write_tables",
]

_log = logging.getLogger(__name__)

_FILES = ("cases.csv", "endpoints.csv", "cohort.yml")

#: What problems are told of: no file of the cohort's, but the argument.
_MASKS = "masks"


def derived_card(
    card: Card,
    *,
    name: str,
    key: str,
    made_by: Mapping,
    masks: str,
    before: pd.DataFrame,
    after: pd.DataFrame,
) -> Card:
    """Return the card of a derived cohort.

    Parameters
    ----------
    card
        Of the cohort it derives from.
    name
        Of the derived cohort.
    key
        `Cohort.key` of the cohort it derives from.
    made_by
        What made the masks: keys ``name``, ``key`` and ``fitted_on``, as in `MadeBy`.
    masks
        Hash of the contents of the masks, from `replace_masks`.
    before, after
        The **cases** table under the old masks and under the new ones.

    Raises
    ------
    SchemaError
        ``made_by`` has other keys, does not tell on which patients of this cohort it
        was fitted, names patients that are not there, or leaves out whose masks are
        new; or the name is that of the cohort or one it derives from.
    """
    maker = parse(dict(made_by), MadeBy, source="made_by")
    if not card.identity.isdisjoint(cohort_names(name)):
        msg = (
            f"name {name!r} is that of the cohort itself, or of one it derives from "
            f"({sorted(card.identity)}). Give the derived cohort a name of its own."
        )
        raise SchemaError(msg)
    step = Derivation(source=card.name, key=key, made_by=maker, masks=masks)
    # a layout would find the masks of the original
    changes = {"name": name, "layout": None, "derived": (*card.derived, step)}
    # its cells tell where masks lie, wherever that is
    changes |= {"masks_root": None, "masks": True}
    derived = parse(vars(card) | changes, Card, source="made_by")
    _check_patients(derived, before, after)
    return derived


def _check_patients(card, before, after):
    """Raise where the fits of the last step do not speak of the patients at hand."""
    maker, here = card.derived[-1].made_by, set(before["patient_id"])
    inside = [fit for one, fit in card.fits_here if one is maker]
    found = [
        f"none of {len(fit.patients)} patients it was fitted on is of {card.name!r}: "
        f"{[*fit.patients[:3]]}"
        for fit in inside
        if here.isdisjoint(fit.patients)
    ]
    told = [set(fit.applied_to) for fit in maker.fitted_on]
    unknown = sorted(set().union(*told) - here)
    if unknown:
        found.append(f"applied_to names {len(unknown)} others: {unknown[:3]}")
    missed = sorted(_patients_with_new(before, after) - set().union(*told))
    if told and all(told) and missed:
        found.append(
            f"{len(missed)} patients with new masks are in no applied_to: {missed[:3]}"
        )
    if found:
        msg = (
            f"made_by {maker.name!r}: {'; '.join(found)}. Give patient_id of the "
            "cohort (it has "
            f"{sorted(here)[:3]} ...), and every patient to a fit."
        )
        raise SchemaError(msg)
    for fit in maker.fitted_on:
        shared = sorted(here.intersection(fit.patients))
        if shared and fit not in inside:
            _log.warning(
                "%r, fitted on cohort %r, made masks of %r; they share %d names of "
                "patients: %s. If they are the same people, name them one cohort.",
                *(maker.name, fit.cohort, card.name, len(shared), shared[:5]),
            )


def _patients_with_new(before, after):
    found = set()
    for column in filter(is_mask_column, after):
        pairs = zip(before["patient_id"], before[column], after[column], strict=True)
        found |= {patient for patient, old, new in pairs if str(old) != str(new)}
    return found


def replace_masks(
    cases: pd.DataFrame,
    masks: pd.Series | pd.DataFrame,
    *,
    columns: Sequence[str],
    root: Path,
    card: Card,
) -> tuple[pd.DataFrame, str]:
    """Return the cases under other masks, and a hash of the contents of these.

    Parameters
    ----------
    cases
        The **cases** table.
    masks
        As in `Cohort.with_masks`.
    columns
        Those of ``cases`` that name masks.
    root
        Folder that relative paths start from.
    card
        Of the cohort: its name, and whether it has masks to be replaced.

    Raises
    ------
    CohortError
        With every problem of the masks.
    """
    problems = Problems()
    table = _as_table(masks, columns, problems)
    _identified(table, cases, problems)
    taken = _stamps_of(cases, root)
    places, contents = {}, []
    for case_id, column, path in _cells(table, cases):
        where = {"file": _MASKS, "case_id": case_id, "column": column, "value": path}
        fault = _fault(root / path, taken)
        if card.masks and cases.loc[case_id, column] is None:
            fault = (
                f"the case has no mask in {column!r} to be replaced",
                "Leave the cell empty, or give the cohort this modality first",
            )
        if fault:
            problems.add(*fault, **where)
            continue
        places[case_id, column] = _place(root / path, root)
        contents.append((case_id, column, root / path))
    if not (places or problems.rows):
        problems.add("not one mask is given", "Name the masks", file=_MASKS)
    problems.raise_if_any(repr(card.name))
    changed = cases.copy()
    for (case_id, column), place in places.items():
        changed.loc[case_id, column] = place
    hashes = {path: file_hash(path) for _, _, path in contents}
    return changed, content_key(
        sorted([case_id, column, hashes[path]] for case_id, column, path in contents)
    )


def _as_table(masks, columns, problems):
    if isinstance(masks, pd.Series) and len(columns) == 1:
        return masks.to_frame(columns[0])
    if not isinstance(masks, pd.DataFrame):
        problems.add(
            f"masks are a {type(masks).__name__}",
            f"Give a DataFrame with columns of {list(columns)}",
            file=_MASKS,
        )
        return pd.DataFrame(index=pd.Index([], dtype=object))
    for column in masks.columns.difference(columns):
        problems.add(
            f"the cohort has no masks {column!r}{nearest(column, columns)}",
            f"Give columns of {list(columns)}",
            file=_MASKS,
            column=str(column),
        )
    return masks[[column for column in masks if column in columns]]


def _identified(table, cases, problems):
    for case_id in table.index[table.index.duplicated()].unique():
        problems.add(
            "the case is named twice",
            "Name every case once",
            file=_MASKS,
            case_id=str(case_id),
        )
    for case_id in (each for each in table.index.unique() if each not in cases.index):
        problems.add(
            f"there is no such case{nearest(case_id, cases.index)}",
            "Index the masks by the case_id of the cohort",
            file=_MASKS,
            case_id=str(case_id),
        )


def _cells(table, cases):
    """Yield case, column and path of each mask that is given for a known case."""
    known = table[table.index.isin(cases.index) & ~table.index.duplicated()]
    for column in known:
        for case_id, path in known[column].items():
            if not pd.isna(path):
                yield case_id, column, str(path)


def _stamps_of(cases, root):
    """Return what identifies each file of a cohort to what it is there."""
    found = {}
    for column in cases:
        role = column.partition("_")[0]
        if role in ("image", "mask") and column != "mask_label":
            for path in cases[column].dropna().unique():
                if (root / path).is_file():
                    found[_stamp(root / path)] = f"the {role} {path}"
    return found


def _stamp(path):
    about = path.stat()
    return about.st_dev, about.st_ino


def _fault(path, taken):
    """Return problem and remedy of one mask, or None."""
    if not path.is_file():
        return f"{str(path)!r} is not there", "Write the masks before they are named"
    if _stamp(path) in taken:
        return (
            f"{str(path)!r} is {taken[_stamp(path)]} of this cohort",
            "Write masks to files of their own: those of a cohort are never replaced",
        )
    return None


def _place(path, root):
    """Return a path relative to the root where it lies inside, else absolute."""
    path = Path(os.path.abspath(path))
    inside = path.is_relative_to(root)
    return (path.relative_to(root) if inside else path).as_posix()


def write_tables(
    folder: str | Path,
    card: Card,
    *,
    root: Path,
    cases: pd.DataFrame,
    patients: pd.DataFrame,
) -> Path:
    """Write ``cohort.yml``, ``cases.csv`` and ``endpoints.csv`` into a folder.

    Parameters
    ----------
    folder
        Made where it is absent.
    card, root, cases, patients
        Those of a `Cohort`.

    Raises
    ------
    FileExistsError
        The folder holds one of the three files; nothing is written.
    """
    folder = Path(folder)
    there = [name for name in _FILES if (folder / name).exists()]
    if there:
        msg = f"{folder} holds {there}. Move them away, or give another folder."
        raise FileExistsError(msg)
    folder.mkdir(parents=True, exist_ok=True)
    columns = [name for name in cases if is_mask_column(name)]
    cases = below_masks_root(cases, card, columns).drop(columns="line")
    replace_file(folder / "cases.csv", inert(cases).to_csv)
    replace_file(folder / "endpoints.csv", inert(patients).to_csv)
    # the tables are here: no layout is asked for them
    about = card.model_copy(update={"root": _root(root, folder), "layout": None})
    if card.masks_root is not None:
        moved = {"masks_root": _root(Path(card.masks_root), folder)}
        about = about.model_copy(update=moved)
    about = about.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    text = yaml.safe_dump(about, sort_keys=False, allow_unicode=True)
    # last: its presence says that the tables are there
    replace_text(folder / "cohort.yml", text)
    return folder


def _root(root, folder):
    try:
        return Path(os.path.relpath(root, folder.resolve())).as_posix()
    except ValueError:  # another drive on Windows
        return root.as_posix()
