"""What must hold of the cases of a cohort, and of the paths they name.

A frame of text enters, the **cases** table leaves; every broken rule is noted.
"""

import itertools
import os
import posixpath
from collections.abc import Container
from pathlib import Path

import pandas as pd

from radlatent.cohort.card import Card
from radlatent.cohort.places import leaves_root
from radlatent.cohort.problems import FileProblems
from radlatent.cohort.tables import (
    check_columns,
    parse_flags,
    parse_labels,
)
from radlatent.imaging import DICOM_REMEDY
from radlatent.schema import nearest

__all__ = ["check_paths", "mask_column", "read_cases"]

_KEYS = ("lesion_id", "timepoint", "site")
_FIXED = ("case_id", "patient_id", *_KEYS, "mask", "mask_label")
#: So many files below a folder tell what it is.
_LOOKED_AT = 1000
_EXCLUSION = ("exclude", "exclude_reason")


def mask_column(modality: str, columns: Container[str]) -> str:
    """Return the column with a modality's mask: its own one, else the common one."""
    own = f"mask_{modality}"
    return own if own in columns else "mask"


def read_cases(table: pd.DataFrame, card: Card, problems: FileProblems) -> pd.DataFrame:
    """Return the **cases** table of a frame of text, typed and checked.

    Notes
    -----
    Rows without a usable ``case_id`` or with one that occurred before are noted and
    left out, so that the checks that follow see one row a case.
    """
    images = [f"image_{m}" for m in card.modalities]
    masks = sorted({mask_column(m, table.columns) for m in card.modalities})
    paths = [*images, *masks]
    own = [f"mask_{m}" for m in card.modalities]
    known = (*_FIXED, *_EXCLUSION, *paths, *own)
    required = ("case_id", "patient_id", *(paths if card.masks else images))
    check_columns(table, known, problems, required=required)
    _unknown_modalities(table, card, problems)
    for column in (*required, *masks, *_KEYS, *_EXCLUSION, "mask_label"):
        if column not in table:
            table = table.assign(**{column: ""})
    table = _identified(table, problems)
    flags = parse_flags(table["exclude"], problems)
    labels = parse_labels(table["mask_label"], problems)
    _reasons(table, flags, problems)
    _repeated(table, flags, problems)
    _two_sites(table, flags, problems)
    _unfit_names(table, problems)
    if flags.all():
        found = f"all {len(table)} are excluded" if len(table) else "there is no row"
        problems.add(f"no case is included: {found}", "Add cases")
    return _typed(table, flags, labels, paths, card)


def _typed(table, flags, labels, paths, card):
    texts = ["case_id", "patient_id", *_KEYS, *paths, "exclude_reason"]
    extra = [c for c in table if c not in {*texts, *_FIXED, *_EXCLUSION}]
    cases = table[[*texts, *extra]].astype(object)
    cases = cases.where(cases != "", None)
    for column in paths:
        cases[column] = cases[column].map(_plain, na_action="ignore")
    cases["exclude"], cases["mask_label"] = flags, labels
    cases["line"] = table.index
    return cases.set_index("case_id")


def _plain(path):
    """Return a path with forward slashes, without detours."""
    return posixpath.normpath(path.replace("\\", "/"))


def _identified(table, problems):
    for column in ("case_id", "patient_id"):
        for line in table.index[table[column] == ""]:
            problems.add(
                "the cell is empty",
                f"Give every case a {column}",
                row=line,
                column=column,
            )
    for line, case_id in table.loc[table["case_id"].duplicated(), "case_id"].items():
        if case_id:
            problems.add(
                "the case_id occurs twice",
                "Give every case an id of its own",
                row=line,
                case_id=case_id,
                column="case_id",
                value=case_id,
            )
    keep = (table["case_id"] != "") & ~table["case_id"].duplicated()
    return table[keep]


def _unknown_modalities(table, card, problems):
    for column in table.columns:
        role, _, modality = column.partition("_")
        if role not in ("image", "mask") or modality in ("", "label"):
            continue
        if modality not in card.modalities:
            problems.add(
                f"modality {modality!r} is not in cohort.yml"
                f"{nearest(modality, card.modalities)}",
                f"Add it to modalities (there are {list(card.modalities)}), "
                "or drop the column",
                row=1,
                column=column,
            )


def _reasons(table, flags, problems):
    for line in table.index[flags & (table["exclude_reason"] == "")]:
        problems.add(
            "the case is excluded without a reason",
            "Write why",
            row=line,
            case_id=table["case_id"][line],
            column="exclude_reason",
        )


def _repeated(table, flags, problems):
    if not table["lesion_id"].any():
        return
    keys = ["patient_id", "lesion_id", "timepoint"]
    included = table[~flags]
    for line, row in included[included.duplicated(keys)].iterrows():
        found = ", ".join(repr(row[key]) for key in keys)
        problems.add(
            f"patient, lesion and timepoint ({found}) occur in another case too",
            "A case is one patient, lesion and timepoint: correct or exclude one",
            row=line,
            case_id=row["case_id"],
        )


def _two_sites(table, flags, problems):
    """Note patients who are at two sites at one time: most often two patients."""
    included = table[~flags & (table["site"] != "")]
    sites = included.groupby(["patient_id", "timepoint"])["site"].agg(set)
    for (patient, _), found in sites[sites.map(len) > 1].items():
        problems.add(
            f"patient {patient!r} is at the sites {sorted(found)}",
            "Give patients of different sites different ids, as in 'siteA_001'",
            column="site",
            value=patient,
        )


def _unfit_names(table, problems):
    for column in ("lesion_id", "timepoint"):
        unfit = table[column].str.contains(r"[\[\]<]")
        for line, name in table.loc[unfit, column].items():
            problems.add(
                f"{name!r} does not fit the name of a feature column",
                "Leave out the characters [ ] <",
                row=line,
                column=column,
                value=name,
            )


def check_paths(
    cases: pd.DataFrame, card: Card, root: Path, problems: FileProblems
) -> None:
    """Note images and masks that are absent, alone, or outside the root."""
    absent = {}
    # whoever derived the cohort may have written masks anywhere
    anywhere = bool(card.derived or card.masks_root)
    for case_id, case in cases[~cases["exclude"]].iterrows():
        where = {"row": case["line"], "case_id": case_id}
        given = 0
        for modality in card.modalities:
            columns = (f"image_{modality}", mask_column(modality, cases.columns))
            image, mask = (case[column] for column in columns)
            # a common mask serves the modalities whose image is there
            if image is None and (mask is None or columns[1] == "mask"):
                continue
            given += 1
            if image == mask:
                problems.add(
                    f"{image!r} is given as image and as mask",
                    "Correct one of them",
                    **where,
                )
            paths = dict(zip(columns, (image, mask), strict=True))
            for column, path in _wanted(paths, card, problems, where):
                at = where | {"column": column}
                free = anywhere and column.startswith("mask")
                if not _is_sound(root, path, problems, at, anywhere=free):
                    continue
                if not (root / path).is_file():
                    absent.setdefault(path, []).append(at | {"value": path})
        if not given:
            problems.add(
                "the case has no image", "Name one, or exclude the case", **where
            )
    for path, places in absent.items():
        _not_there(path, places, root, problems)


def _wanted(paths, card, problems, where):
    """Return columns and paths that a case has to have, image before mask."""
    if card.masks:
        return paths.items()
    column, path = paths.popitem()
    if path is not None:
        problems.add(
            f"{path!r} is a mask, and cohort.yml says masks: false",
            "Leave the cell empty, or take masks: false out of cohort.yml",
            **where | {"column": column, "value": path},
        )
    return paths.items()


def _not_there(path, places, root, problems):
    others = f" (and {len(places) - 1} more cases)" if len(places) > 1 else ""
    concerned = tuple(place["case_id"] for place in places)
    problem = f"{path!r} is not there{others} (root {root})"
    remedy = "Restore the file, correct the path, or exclude the case"
    if (root / path).is_dir():
        problem, remedy = _folder(root / path)
    elif near := _near(root / path):
        problem += f"; there is {near!r}"
    problems.add(problem, remedy, **places[0] | {"cases": concerned})


def _folder(path):
    """Return what is wrong with a folder in the place of a volume, and the remedy."""
    below = (each for each in path.rglob("*") if each.is_file())
    files = list(itertools.islice(below, _LOOKED_AT))
    dicom = sum(each.suffix.lower() in (".dcm", ".ima", "") for each in files)
    if not dicom:
        names = sorted(each.relative_to(path).as_posix() for each in files)
        found = f"; there is {names[0]!r}" if names else ""
        return (
            f"{path.name!r} is a folder ({_files(len(files))}), not a volume{found}",
            "Name the file",
        )
    return (
        f"{path.name!r} is a folder of {_files(dicom, 'DICOM ')}; a volume in one file "
        "is needed",
        f"Convert the series first: {DICOM_REMEDY}",
    )


def _files(n, kind=""):
    more = " or more" if n == _LOOKED_AT else ""
    return f"{n} {kind}files{more}"


def _near(path):
    """Return the name of a file beside an absent one that it may be, or nothing."""
    try:
        names = sorted(os.listdir(path.parent))
    except OSError:
        return ""
    stem = path.name.lower().partition(".")[0]
    # of names that are merely like it, most are another patient's
    return next((n for n in names if n.lower().partition(".")[0] == stem), "")


def _is_sound(root, path, problems, where, *, anywhere):
    """Return whether a path is given and stays inside the root, or note why not.

    A path that may lie ``anywhere`` is inside the root, or absolute.
    """
    if path is None:
        partner = "image" if where["column"].startswith("mask") else "mask"
        problems.add(
            f"the cell is empty though the {partner} is given",
            "An image and its mask come together; masks: false in cohort.yml says that "
            "there are none yet",
            **where,
        )
        return False
    where = where | {"value": path}
    if leaves_root(path) and not (anywhere and Path(path).is_absolute()):
        remedy = "Give paths relative to the root, inside it"
        if where["column"].startswith("mask"):
            remedy += "; masks of another folder: say where in masks_root of cohort.yml"
        problems.add(f"{path!r} leaves the root {root}", remedy, **where)
        return False
    return True
