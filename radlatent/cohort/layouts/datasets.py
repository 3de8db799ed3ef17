"""Datasets whose folders are known: an image root in, the tables of a cohort out."""

import re
from pathlib import Path

import pandas as pd

from radlatent.cohort.layouts.file_names import image_root
from radlatent.cohort.problems import Problems
from radlatent.cohort.tables import read_text_table

__all__ = ["read_acdc", "read_pet_gt", "read_simulated", "read_sts"]

#: Label values of ACDC masks. CAMUS uses 1 and 3 the other way around.
ACDC_LABELS = {"RV": 1, "MYO": 2, "LV": 3}
_ACDC_KEYS = ("ED", "ES", "Group", "Height", "Weight")
_STS_MODALITIES = {"pet": "PET", "ct": "CT", "mr_t1": "MR_T1"}


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
    root, problems = image_root(root), Problems()
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
    root, problems = image_root(root), Problems()
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
    root, problems = image_root(root), Problems()
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


def _nothing(root, wanted, problems):
    found = sorted(path.name for path in root.iterdir())[:5]
    problems.add(
        f"no {wanted} here; found {found or 'nothing'}",
        "Give the folder that holds the patients",
        file=str(root),
    )
