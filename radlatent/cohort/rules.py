"""What must hold within and between the two tables of a cohort.

Frames of text enter, typed tables leave; every broken rule is noted on the way.
"""

import posixpath
from collections.abc import Container
from pathlib import Path, PureWindowsPath

import pandas as pd

from radlatent.cohort.card import Card
from radlatent.cohort.problems import FileProblems
from radlatent.cohort.tables import (
    check_columns,
    parse_flags,
    parse_labels,
    parse_numbers,
)
from radlatent.features.endpoint import TIME_REMEDY
from radlatent.features.values import MISSING_WORDS, MOST_CATEGORIES, class_faults
from radlatent.schema import nearest

__all__ = ["check_paths", "read_cases", "read_endpoints"]

_KEYS = ("lesion_id", "timepoint", "site")
_FIXED = ("case_id", "patient_id", *_KEYS, "mask", "mask_label")
#: What programs write for a missing value; empty cells are the only one here.
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
    paths = [f"image_{m}" for m in card.modalities]
    paths += sorted({mask_column(m, table.columns) for m in card.modalities})
    own = [f"mask_{m}" for m in card.modalities]
    known = (*_FIXED, *_EXCLUSION, *paths, *own)
    required = ("case_id", "patient_id", *paths)
    check_columns(table, known, problems, required=required)
    _unknown_modalities(table, card, problems)
    for column in (*required, *_KEYS, *_EXCLUSION, "mask_label"):
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
            for column, path in zip(columns, (image, mask), strict=True):
                at = where | {"column": column}
                # whoever derived the cohort may have written masks anywhere
                free = bool(card.derived) and column.startswith("mask")
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


def _not_there(path, places, root, problems):
    others = f" (and {len(places) - 1} more cases)" if len(places) > 1 else ""
    concerned = tuple(place["case_id"] for place in places)
    problem = f"{path!r} is not there{others} (root {root})"
    remedy = "Restore the file, correct the path, or exclude the case"
    if (root / path).is_dir():
        problem, remedy = _folder(root / path)
    problems.add(problem, remedy, **places[0] | {"cases": concerned})


def _folder(path):
    """Return what is wrong with a folder in the place of a volume, and the remedy."""
    files = [each for each in path.iterdir() if each.is_file()]
    dicom = sum(each.suffix.lower() in (".dcm", ".ima", "") for each in files)
    if not dicom:
        return (
            f"{path.name!r} is a folder ({len(files)} files), not a volume",
            "Name the file",
        )
    return (
        f"{path.name!r} is a folder of {dicom} DICOM files; a volume in one file is "
        "needed",
        "Convert the series first, as .nii.gz or .nrrd: with SimpleITK "
        "(ImageSeriesReader, GetGDCMSeriesFileNames) or dcm2niix. For PET divide by "
        "dose over weight (SUV)",
    )


def _is_sound(root, path, problems, where, *, anywhere):
    """Return whether a path is given and stays inside the root, or note why not.

    A path that may lie ``anywhere`` is inside the root, or absolute.
    """
    if path is None:
        partner = "image" if where["column"].startswith("mask") else "mask"
        problems.add(
            f"the cell is empty though the {partner} is given",
            "An image and its mask come together",
            **where,
        )
        return False
    where = where | {"value": path}
    if _leaves_root(path) and not (anywhere and Path(path).is_absolute()):
        problems.add(
            f"{path!r} leaves the root {root}",
            "Give paths relative to the root, inside it",
            **where,
        )
        return False
    return True


def _leaves_root(path):
    # a drive or a leading slash replaces the root on Windows
    windows = PureWindowsPath(path)
    return path.split("/")[0] == ".." or bool(windows.drive or windows.root)


def read_endpoints(
    table: pd.DataFrame,
    card: Card,
    included: Container[str],
    problems: FileProblems,
) -> pd.DataFrame:
    """Return the **endpoints** table of a frame of text, typed and checked.

    Endpoints need two classes, or an event, among the ``included`` patients.
    """
    check_columns(table, (), problems, required=("patient_id",))
    if "patient_id" not in table:
        return pd.DataFrame(index=pd.Index([], name="patient_id"))
    twice = table["patient_id"].duplicated()
    for line, patient in table["patient_id"].items():
        if patient == "" or twice[line]:
            what = "occurs twice" if patient else "is empty"
            problems.add(
                f"patient_id {patient!r} {what}",
                "One row a patient",
                row=line,
                column="patient_id",
                value=patient,
            )
    keep = (table["patient_id"] != "") & ~table["patient_id"].duplicated()
    table = table[keep]
    typed = table.astype(object).where(table != "", None)
    counted = table[table["patient_id"].isin(included)]
    for name, endpoint in card.endpoints.items():
        _read_endpoint(table, counted, typed, name, endpoint, problems)
    for column in card.covariates:
        if _known(table, column, f"covariate {column!r}", problems):
            text = "; text is listed under 'categories' in cohort.yml"
            typed[column] = parse_numbers(table[column], problems, otherwise=text)
    for column in card.categories:
        if _known(table, column, f"category {column!r}", problems):
            _no_words_for_missing(table[column], problems)
            _true_categories(counted[column], problems)
    return typed.set_index("patient_id")


def _known(table, column, what, problems):
    if column in table:
        return True
    problems.every.add(
        f"{what} names column {column!r}, which {problems.file} does not have"
        f"{nearest(column, table.columns)}",
        f"Correct the name; the columns are {list(table.columns)}",
        file="cohort.yml",
        column=column,
    )
    return False


def _read_endpoint(table, counted, typed, name, endpoint, problems):
    known = [
        _known(table, column, f"endpoint {name!r}", problems)
        for column in endpoint.columns
    ]
    if not all(known):
        return
    if endpoint.kind == "class":
        _no_words_for_missing(table[endpoint.column], problems)
        _true_classes(counted[endpoint.column], name, problems)
        _several_classes(counted[endpoint.column], name, problems)
        _positive_of_two(table[endpoint.column], name, endpoint.positive, problems)
        return
    time = parse_numbers(table[endpoint.time], problems, lowest=0)
    event = parse_numbers(table[endpoint.event], problems)
    for line in table.index[event.notna() & ~event.isin((0, 1))]:
        problems.add(
            f"event {table[endpoint.event][line]!r} is neither 0 nor 1",
            "1 is an event, 0 is censored",
            row=line,
            column=endpoint.event,
        )
    for line in counted.index[time[counted.index] == 0]:
        problems.add(
            f"time {table[endpoint.time][line]!r} is not above 0",
            TIME_REMEDY,
            row=line,
            column=endpoint.time,
            value=table[endpoint.time][line],
        )
    for line in table.index[time.notna() != event.notna()]:
        problems.add(
            f"endpoint {name!r} has a time without an event, or the reverse",
            "Give both, or neither",
            row=line,
            column=endpoint.time,
        )
    if not event[counted.index].eq(1).any():
        problems.add(
            f"endpoint {name!r} has no event",
            "A survival endpoint needs events; remove it from cohort.yml",
            column=endpoint.event,
        )
    typed[endpoint.time], typed[endpoint.event] = time, event


def _true_categories(values, problems):
    known = values[(values != "") & ~values.str.lower().isin(MISSING_WORDS)]
    found = sorted(known.unique())
    for fault in class_faults(found) if len(found) <= MOST_CATEGORIES else ():
        what, _, remedy = fault.partition(": ")
        what = f"category {values.name!r}: {what.removeprefix('classes ')}"
        problems.add(what, remedy.capitalize(), column=values.name)
    if len(found) > MOST_CATEGORIES:
        problems.add(
            f"category {values.name!r} has {len(found)} different values, such as "
            f"{found[:2]}",
            f"At most {MOST_CATEGORIES} are categories; list numbers under covariates",
            column=values.name,
        )


def _true_classes(values, name, problems):
    known = values[(values != "") & ~values.str.lower().isin(MISSING_WORDS)]
    for fault in class_faults(known.unique()):
        what, _, remedy = fault.partition(": ")
        problems.add(
            f"endpoint {name!r}: {what}", remedy.capitalize(), column=values.name
        )


def _no_words_for_missing(values, problems):
    for line, value in values[values.str.lower().isin(MISSING_WORDS)].items():
        problems.add(
            f"{value!r} would be a class of its own",
            "Leave the cell empty where the outcome is not known, or rename the class",
            row=line,
            column=values.name,
            value=value,
        )


def _several_classes(values, name, problems):
    found = sorted(set(values) - {""})
    if len(found) < 2:
        problems.add(
            f"endpoint {name!r} has one class only among included patients: {found}",
            "An endpoint needs two classes; correct it or remove it from cohort.yml",
            column=values.name,
        )


def _positive_of_two(values, name, positive, problems):
    found = sorted(set(values) - {""})
    if positive is not None and (positive not in found or len(found) != 2):
        problems.every.add(
            f"endpoint {name!r} has positive {positive!r} and the classes {found}",
            "Name one of two classes; with more, leave the key out",
            file="cohort.yml",
            column=values.name,
            value=positive,
        )
