"""Known folder layouts: a folder of images in, the tables of a cohort out.

``LAYOUTS`` maps a name to a function of the image root that returns the frames of
``cases.csv`` and ``endpoints.csv``, as text and with the ids as columns. `index`
writes them into a cohort folder, where they can be edited.
"""

import os
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pandas as pd

from radlatent.cohort.layouts.pattern import IMAGE_PATTERN, MASK_PATTERN, match_cases
from radlatent.cohort.problems import Problems
from radlatent.cohort.tables import read_text_table
from radlatent.errors import CohortError
from radlatent.schema import nearest

__all__ = ["LAYOUTS", "index"]

#: Label values of ACDC masks. CAMUS uses 1 and 3 the other way around.
ACDC_LABELS = {"RV": 1, "MYO": 2, "LV": 3}
_ACDC_KEYS = ("ED", "ES", "Group", "Height", "Weight")
_STS_MODALITIES = {"pet": "PET", "ct": "CT", "mr_t1": "MR_T1"}

_CLINICAL = {
    "acdc": "endpoints:\n  group: {kind: class, column: group}\n"
    "covariates: [height, weight]  # cm, kg\n"
    "license: CC BY-NC-SA 4.0\n"
    "citation: Bernard et al. 2018, doi:10.1109/TMI.2018.2837502\n",
    "pet_gt": "endpoints: {}  # name the columns of endpoints.csv\n",
    "sts": "endpoints:\n  lung_metastasis: {kind: class, column: lung_metastasis}\n"
    "license: CC BY 3.0\n"
    "citation: Vallieres et al. 2015, doi:10.1088/0031-9155/60/14/5471\n",
    "simulated": "endpoints:\n  response: {kind: class, column: response}\n"
    "  survival: {kind: survival, time: survival_time, event: survival_event}\n"
    "covariates: [age]\n",
}


def index(
    root: str | Path,
    out: str | Path,
    *,
    layout: str = "pattern",
    image: str = IMAGE_PATTERN,
    mask: str = MASK_PATTERN,
    name: str | None = None,
) -> pd.DataFrame:
    """Write the tables of a folder of images, and return its cases.

    Parameters
    ----------
    root
        Folder of the images.
    out
        Cohort folder: ``cases.csv``, ``endpoints.csv`` and, if there is none,
        ``cohort.yml`` are written into it.
    layout
        A name in ``LAYOUTS``.
    image, mask
        Paths under ``root`` for ``layout="pattern"``, with placeholders
        ``{patient_id}``, ``{lesion_id}``, ``{timepoint}``, ``{site}``,
        ``{modality}``. The image names its patient and modality. A mask without
        modality is common to all; where only the mask names the lesion, the lesions
        share the image.
    name
        Name of the cohort; by default that of the folder ``out``.

    Returns
    -------
    pandas.DataFrame
        The rows of ``cases.csv``, index ``case_id``.

    Raises
    ------
    CohortError
        The folder does not have the layout; every problem is listed.
    FileExistsError
        ``out`` holds a table already.
    """
    root, out = Path(root), Path(out)
    _check_layout(layout, (image, mask))
    for table in ("cases.csv", "endpoints.csv"):
        if (out / table).exists():
            msg = (
                f"{out / table} exists and may have been edited. Move it away, or "
                "give another folder; nothing was written."
            )
            raise FileExistsError(msg)
    if layout == "pattern":
        cases, endpoints = read_pattern(root, image=image, mask=mask)
    else:
        cases, endpoints = LAYOUTS[layout](root)
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "cohort.yml").exists():
        text = _card(name or out.resolve().name, _relative(root, out), layout, cases)
        (out / "cohort.yml").write_text(text, encoding="utf-8")
    endpoints.to_csv(out / "endpoints.csv", index=False)
    cases.to_csv(out / "cases.csv", index=False)
    return cases.set_index("case_id")


def _check_layout(layout, patterns):
    if layout not in LAYOUTS:
        msg = (
            f"layout {layout!r} is unknown{nearest(layout, LAYOUTS)} "
            f"(known are {sorted(LAYOUTS)})."
        )
        raise CohortError(msg)
    if layout != "pattern" and patterns != (IMAGE_PATTERN, MASK_PATTERN):
        msg = (
            f"layout {layout!r} has file names of its own; image and mask patterns "
            "belong to layout 'pattern'. Drop one of the two."
        )
        raise CohortError(msg)


def _relative(root, out):
    try:
        relative = os.path.relpath(root.resolve(), out.resolve())
    except ValueError:  # another drive on Windows
        return root.resolve().as_posix()
    return Path(relative).as_posix()


def _card(name, root, layout, cases):
    modalities = [c.removeprefix("image_") for c in cases if c.startswith("image_")]
    lines = [
        f"name: {_quoted(name)}",
        f'freeze: "{date.today().isoformat()}"',
        f"root: {_quoted(root)}",
        "modalities:",
        *(f"  {_quoted(m)}: {_guess(m)}" for m in modalities),
    ]
    return "\n".join(lines) + "\n" + _CLINICAL.get(layout, "endpoints: {}\n")


def _quoted(text):
    # single quotes: YAML knows no escapes between them but the doubled quote
    return "'" + text.replace("'", "''") + "'"


def _guess(modality):
    if re.match(r"ct", modality):
        return "{unit: HU, preset: hu}  # guessed from the name: check"
    if re.match(r"pet|pt|suv", modality):
        return "{unit: SUV, preset: suv}  # guessed from the name: check"
    return "{unit: arbitrary, preset: mr}  # guessed from the name: check"


def _existing(root):
    if not Path(root).is_dir():
        msg = (
            f"image root {str(root)!r} is not a folder. Give the folder of the images."
        )
        raise CohortError(msg)
    return Path(root)


def read_acdc(root: str | Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the tables of ACDC: end-diastole and end-systole of RV, MYO and LV.

    Parameters
    ----------
    root
        Holds ``training`` and ``testing`` (or one of them), or the patients.

    Notes
    -----
    Image and mask of the two frames in ``Info.cfg`` are listed whether or not they
    are there; ``Cohort.read`` reports those that are missing.
    """
    root, problems = _existing(root), Problems()
    folders = [f for f in _acdc_folders(root) if f.is_dir()]
    if not folders:
        _nothing(root, "patientNNN/Info.cfg, or training/patientNNN/Info.cfg", problems)
    cases, endpoints = [], []
    for folder in folders:
        info = _read_info(folder / "Info.cfg", root, problems)
        if info is None:
            continue
        cases += _acdc_cases(folder, root, info)
        measured = {k.lower(): info[k] for k in ("Group", "Height", "Weight")}
        endpoints.append({"patient_id": folder.name} | measured)
    problems.raise_if_any(str(root))
    return pd.DataFrame(cases), pd.DataFrame(endpoints)


def _acdc_folders(root):
    halves = [root / half for half in ("training", "testing") if (root / half).is_dir()]
    found = [f for half in halves or [root] for f in half.glob("patient*")]
    return sorted(found, key=lambda folder: folder.name)


def _acdc_cases(folder, root, info):
    cases = []
    for timepoint in ("ED", "ES"):
        stem = folder / f"{folder.name}_frame{int(info[timepoint]):02d}"
        stem = stem.relative_to(root).as_posix()
        cases += [
            {
                "case_id": f"{folder.name}_{timepoint}_{structure}",
                "patient_id": folder.name,
                "lesion_id": structure,
                "timepoint": timepoint,
                "image_mr": f"{stem}.nii.gz",
                "mask": f"{stem}_gt.nii.gz",
                "mask_label": str(label),
            }
            for structure, label in ACDC_LABELS.items()
        ]
    return cases


def _read_info(path, root, problems):
    """Return the keys of an ``Info.cfg``, or None with the problems noted."""
    file = path.relative_to(root).as_posix()
    if not path.is_file():
        problems.add(
            "the file is missing", "Restore it from the download of ACDC", file=file
        )
        return None
    before, info = len(problems.rows), {}
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        key, colon, value = (part.strip() for part in line.partition(":"))
        if colon:
            info[key] = value
        elif key:
            problems.add(
                f"{line!r} is not 'key: value'",
                "Correct the line",
                file=file,
                row=number,
                value=line,
            )
    for key in _ACDC_KEYS:
        fault = _info_fault(key, info.get(key, ""))
        if fault:
            found = f"found {info[key]!r}" if key in info else f"keys are {list(info)}"
            problems.add(
                f"{key} {fault}; {found}",
                "Correct the file, or move the patient out of the root",
                file=file,
                value=info.get(key, ""),
            )
    return info if len(problems.rows) == before else None


def _info_fault(key, value):
    if not value:
        return "is missing"
    if key in ("ED", "ES") and not (value.isdecimal() and int(value) > 0):
        return "is not a frame number (1, 2, ...)"
    if key in ("Height", "Weight") and not re.fullmatch(r"\d+(\.\d+)?", value):
        return "is not a positive number"
    return ""


def read_sts(root: str | Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the tables of the soft-tissue sarcomas: one lesion, PET, CT and T1 MR.

    Parameters
    ----------
    root
        Holds ``outcome.csv`` and the folders ``STS_NNN``.

    Notes
    -----
    Masks are read as ``mask > 0``, so ``mask_label`` is empty. Rows of
    ``outcome.csv`` without a folder are left out; a patient without a row has no
    outcome.
    """
    root, problems = _existing(root), Problems()
    patients = sorted(f.name for f in root.glob("STS_*") if f.is_dir())
    if not patients:
        _nothing(root, "STS_NNN/PET_image.nii.gz", problems)
    outcomes = read_text_table(root / "outcome.csv", problems)
    columns = ("patient_id", "lung_metastasis")
    if outcomes is not None and not set(columns) <= set(outcomes):
        problems.add(
            f"columns are {list(outcomes)}", f"Name them {columns}", file="outcome.csv"
        )
    problems.raise_if_any(str(root))
    known = dict(outcomes[list(columns)].itertuples(index=False))
    rows = [{"patient_id": p, columns[1]: known.get(p, "")} for p in patients]
    return pd.DataFrame(map(_sts_case, patients)), pd.DataFrame(rows)


def _sts_case(patient):
    case = {"case_id": patient, "patient_id": patient, "lesion_id": "GTV"}
    for modality, name in _STS_MODALITIES.items():
        for role in ("image", "mask"):
            case[f"{role}_{modality}"] = f"{patient}/{name}_{role}.nii.gz"
    return case | {"mask_label": ""}


def read_pet_gt(root: str | Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the tables of whole-body PET with one mask of all lesions a patient.

    Parameters
    ----------
    root
        Holds a folder a patient (or ``images``, which holds them), and in it the
        folders ``pet`` and ``gt`` (in small or capital letters) with one NIfTI file
        each, whatever its name. An ``endpoints.csv`` of the root is the second table.

    Notes
    -----
    Masks are read as ``mask > 0``, so ``mask_label`` is empty. The folders are those
    that ``KibromBerihu/ai4elife`` asks for.
    """
    root, problems = _existing(root), Problems()
    images = root / "images" if (root / "images").is_dir() else root
    folders = sorted(f for f in images.iterdir() if _has_pet(f))
    if not folders:
        _nothing(root, "PATIENT/pet/NAME.nii.gz with PATIENT/gt/NAME.nii.gz", problems)
    cases = [_pet_gt_case(root, folder, problems) for folder in folders]
    if (root / "endpoints.csv").is_file():
        endpoints = read_text_table(root / "endpoints.csv", problems)
    else:
        endpoints = pd.DataFrame({"patient_id": [f.name for f in folders]})
    problems.raise_if_any(str(root))
    return pd.DataFrame(cases), endpoints.reset_index(drop=True)


def _has_pet(folder):
    return folder.is_dir() and any(f.name.lower() == "pet" for f in folder.iterdir())


def _pet_gt_case(root, patient, problems):
    ids = {"case_id": patient.name, "patient_id": patient.name, "lesion_id": "total"}
    files = {}
    for role, name in (("image_pet", "pet"), ("mask_pet", "gt")):
        found = [
            path.relative_to(root).as_posix()
            for folder in patient.iterdir()
            if folder.name.lower() == name and folder.is_dir()
            for path in sorted(folder.iterdir())
            if path.name.lower().endswith((".nii", ".nii.gz"))
        ]
        if len(found) != 1:
            problems.add(
                f"{len(found)} NIfTI files in its folder {name!r}: {found[:3]}",
                "Keep one, or move the patient out of the root",
                file=f"{patient.name}/{name}",
            )
        files[role] = found[0] if found else ""
    return ids | files | {"mask_label": ""}


def _nothing(root, wanted, problems):
    found = sorted(path.name for path in root.iterdir())[:5]
    problems.add(
        f"no {wanted} here; found {found or 'nothing'}",
        "Give the folder that holds the patients",
        file=str(root),
    )


def read_pattern(
    root: str | Path, *, image: str = IMAGE_PATTERN, mask: str = MASK_PATTERN
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the tables of images and masks named by two patterns, see `index`."""
    cases = match_cases(_existing(root), image, mask)
    patients = cases["patient_id"].drop_duplicates().sort_values()
    return cases, pd.DataFrame({"patient_id": patients.to_list()})


def read_simulated(root: str | Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the tables that ``simulate`` wrote into the root."""
    root, problems = Path(root), Problems()
    tables = [
        read_text_table(root / name, problems)
        for name in ("cases.csv", "endpoints.csv")
    ]
    if problems.rows:
        problems.add(
            "the simulated cohort is not there or incomplete",
            f"Write it with 'radlatent simulate {root}'",
            file=str(root),
        )
    problems.raise_if_any(str(root))
    return tables[0].reset_index(drop=True), tables[1].reset_index(drop=True)


#: Name to a function of the image root: frames of ``cases.csv`` and ``endpoints.csv``.
LAYOUTS: dict[str, Callable[[str | Path], tuple[pd.DataFrame, pd.DataFrame]]] = {
    "acdc": read_acdc,
    "pattern": read_pattern,
    "pet_gt": read_pet_gt,
    "simulated": read_simulated,
    "sts": read_sts,
}
