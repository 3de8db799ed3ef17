"""Apical echocardiography: frames as they were released enter, a cohort folder leaves.

CAMUS (Leclerc et al. 2019, doi:10.1109/TMI.2019.2900516) as NIfTI, MetaImage or PNG,
and TED (Painchaud et al. 2022, arXiv:2112.02102). Releases keep pictures of two axes
and sequences, which are no volumes, so that every frame is written again: a volume of
one slice.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from scipy.ndimage import binary_dilation, distance_transform_edt
from scipy.ndimage import label as label_components

from radlatent.cohort.layouts.file_names import image_root
from radlatent.cohort.problems import Problems
from radlatent.cohort.tables import read_text_table
from radlatent.errors import GeometryError
from radlatent.imaging import Volume, read_frames, write_volume
from radlatent.outputs import check_folder, replace_file, replace_text
from radlatent.schema import inert

__all__ = ["APICAL_LABELS", "ECHO_LAYOUTS", "index_echo", "largest_components"]

#: Label values of CAMUS and TED masks. ACDC has 1 and 3 the other way around.
APICAL_LABELS = {"LV": 1, "MYO": 2, "LA": 3}

ECHO_LAYOUTS = ("camus", "ted")

_CORNERS = np.ones((3, 3), dtype=bool)
_FILES = ("cases.csv", "endpoints.csv", "cohort.yml")
_ENDINGS = (".nii.gz", ".nii", ".mhd")
_STEM = re.compile(r"(?P<patient>patient\d+)_(?P<view>2CH|4CH)_(?P<what>\w+)")

#: Names of ``Info_<view>.cfg``, of both releases, to those of our columns.
_INFO = {
    "Sex": "sex",
    "Age": "age",
    "EF": "ef",
    "LVef": "ef",
    "FrameRate": "frame_rate",
}
_INFO |= {"ImageQuality": "quality", "ED": "ed", "ES": "es"}
_NUMBERS, _TEXTS = ("age", "ef"), ("sex", "quality")

_ABOUT = {
    "camus": (
        "CC BY-NC-SA 4.0, research only",
        "Leclerc et al. 2019, doi:10.1109/TMI.2019.2900516",
    ),
    "ted": (
        "CC BY-NC-SA 4.0, research only",
        "Painchaud et al. 2022, arXiv:2112.02102; patients overlap with those of CAMUS",
    ),
}


@dataclass(frozen=True)
class _Pictures:
    """Files of a patient and view: one frame, or a sequence of them."""

    patient: str
    view: str
    image: Path
    mask: Path
    #: ``ED`` or ``ES`` of a frame, None of a sequence
    phase: str | None
    info: dict

    @property
    def modality(self):
        return f"us_{self.view.lower()}"

    def timepoint(self, number):
        return self.phase or f"f{number:03d}"

    def phase_of(self, number):
        """Return ``ED`` or ``ES`` where the frame with a number, from 1, is that."""
        marks = {self.info.get(name.lower()): name for name in ("ED", "ES")}
        return self.phase or marks.get(str(number), "")


def index_echo(
    root: str | Path,
    out: str | Path,
    *,
    layout: str = "camus",
    sequences: bool = False,
    keep_largest: bool | None = None,
    name: str | None = None,
) -> pd.DataFrame:
    """Write the frames of CAMUS or TED as a cohort folder, and return its cases.

    Parameters
    ----------
    root
        CAMUS: holds ``patientNNNN`` folders (or ``database_nifti``, ``training`` and
        ``testing`` with these) of the NIfTI or the MetaImage release; or ``images``,
        ``labels`` and ``patients_info.csv``, frames as PNG. TED: holds ``patientNNN``.
    out
        Cohort folder: gets ``images/``, ``cases.csv``, ``endpoints.csv``,
        ``frames.csv`` and, if there is none, ``cohort.yml``.
    layout
        ``"camus"`` or ``"ted"``.
    sequences
        Whether a case is a frame of the annotated half sequences of CAMUS, timepoints
        ``f001``, ``f002`` ..., instead of ED or ES. TED has sequences alone.
    keep_largest
        Whether a structure is cut to its largest component. None: of PNG frames alone,
        whose classes were recovered from gray values and keep specks.
    name
        Name of the cohort; by default that of the folder ``out``.

    Returns
    -------
    pandas.DataFrame
        The rows of ``cases.csv``, index ``case_id``: one a patient, frame and
        structure. A view is a modality, ``us_2ch`` or ``us_4ch``, with its own masks.

    Raises
    ------
    CohortError
        The folder does not have the layout; every problem is listed.
    FileExistsError
        ``out`` holds a table already.

    Notes
    -----
    PNG frames do not know the size of a pixel: ``pixel_size: unknown`` in
    ``cohort.yml``, and files say 1 mm. What needs millimeters then gives NaN, or says
    so. Slices of known size are 1 mm thick, so that a volume in mm3 is an area in mm2.

    Age and ejection fraction are covariates, sex and image quality categories, as far
    as the release tells them. ``frames.csv`` has a row a frame: view, phase, number,
    quality, ejection fraction, spacing, and ``n_removed`` pixels of small components.
    """
    root, out = image_root(root), Path(out)
    for table in _FILES[:2]:
        if (out / table).exists():
            msg = f"{out / table} exists. Move it away; nothing was written."
            raise FileExistsError(msg)
    check_folder(out)
    problems = Problems()
    is_png = layout == "camus" and (root / "patients_info.csv").is_file()
    found = _pngs(root, problems) if is_png else _released(root, layout, sequences)
    found = sorted(found, key=lambda one: (one.patient, one.view, one.phase or ""))
    if not found and not problems.rows:
        _nothing(root, layout, sequences, problems)
    problems.raise_if_any(str(root))
    keep = is_png if keep_largest is None else keep_largest
    frames = pd.DataFrame(_written(found, out, keep, problems))
    problems.raise_if_any(str(root))
    cases, endpoints = _cases(frames), _patients(found)
    if not (out / "cohort.yml").exists():
        card = _card(name or out.resolve().name, layout, frames, endpoints, keep)
        text = yaml.safe_dump(card, sort_keys=False, allow_unicode=True)
        replace_text(out / "cohort.yml", text)
    frames = frames.drop(columns="labels")
    tables = {"frames": frames, "endpoints": endpoints, "cases": cases}
    for stem, table in tables.items():
        replace_file(out / f"{stem}.csv", partial(inert(table).to_csv, index=False))
    return cases.set_index("case_id")


def _pngs(root, problems) -> Iterator[_Pictures]:
    known = _patients_info(root / "patients_info.csv", problems)
    for image in sorted((root / "images").glob("*.png")):
        match = _STEM.fullmatch(image.stem)
        mask = root / "labels" / image.name
        if match is None or match["what"] not in ("ED", "ES") or not mask.is_file():
            problems.add(
                "no frame patientNNNN_<2CH or 4CH>_<ED or ES>.png with one in labels",
                "Restore it, or move it out of the folder",
                file=f"images/{image.name}",
            )
            continue
        info = _named(known.get(match["patient"], {}))
        yield _Pictures(
            match["patient"], match["view"], image, mask, match["what"], info
        )


def _patients_info(path, problems):
    """Return by patient what the table of the PNG release tells."""
    table = read_text_table(path, problems)
    if table is None:
        return {}
    if "Patient" not in table:
        problems.add(
            f"no column Patient; found {[*table.columns]}",
            "Restore the table from the release",
            file=path.name,
            row=1,
        )
        return {}
    for line, patient in table["Patient"][table["Patient"].duplicated()].items():
        problems.add(
            f"patient {patient!r} has more than one row",
            "Keep the right one",
            file=path.name,
            row=line,
            column="Patient",
        )
    return table.drop_duplicates("Patient").set_index("Patient").to_dict("index")


def _released(root, layout, sequences) -> Iterator[_Pictures]:
    """Yield the files of folders of patients that have masks."""
    folders = {path for path in root.glob("patient*") if path.is_dir()}
    for part in ("database_nifti", "training", "testing"):
        folders |= {path for path in (root / part).glob("patient*") if path.is_dir()}
    kinds = {"ED": "ED", "ES": "ES"}
    if layout == "ted" or sequences:
        kinds = {"half_sequence" if layout == "camus" else "sequence": None}
    for folder in sorted(folders, key=lambda path: path.name):
        for view in ("2CH", "4CH"):
            info = _read_info(folder, view)
            for what, phase in kinds.items():
                stem = f"{folder.name}_{view}_{what}"
                files = _with_ending(folder, stem), _with_ending(folder, f"{stem}_gt")
                if all(files):
                    yield _Pictures(folder.name, view, *files, phase, info)


def _with_ending(folder, stem):
    paths = (folder / f"{stem}{ending}" for ending in _ENDINGS)
    return next((path for path in paths if path.is_file()), None)


def _read_info(folder, view):
    """Return what an information file tells; keys differ between releases."""
    for name in (f"Info_{view}.cfg", f"{folder.name}_{view}_info.cfg"):
        if (folder / name).is_file():
            text = (folder / name).read_text(encoding="utf-8", errors="replace")
            pairs = (line.partition(":") for line in text.splitlines())
            return _named({key.strip(): value.strip() for key, _, value in pairs})
    return {}


def _named(told):
    return {_INFO[key]: value for key, value in told.items() if key in _INFO}


def _nothing(root, layout, sequences, problems):
    what = "half_sequence" if layout == "camus" else "sequence"
    what = what if layout == "ted" or sequences else "ED"
    wanted = f"patientNNNN/patientNNNN_4CH_{what}.nii.gz (or .mhd) with {what}_gt"
    found = sorted(path.name for path in root.iterdir())[:5]
    problems.add(
        f"no {wanted} here; found {found or 'nothing'}",
        "Give the folder that holds the patients",
        file=str(root),
    )


def _written(found, out, keep, problems):
    """Yield a row a frame that was written."""
    for one in found:
        try:
            images, masks = read_frames(one.image), read_frames(one.mask)
            _check_pair(one, images, masks)
        except (OSError, GeometryError) as error:
            problems.add(str(error), "Mend the files", file=one.image.name)
            continue
        spacing_mm = images.spacing_mm or (1.0, 1.0)
        # whole numbers, as was checked, also where a file keeps them as floats
        planes = zip(images.array, masks.array.astype(np.uint8), strict=True)
        for number, (pixels, labels) in enumerate(planes, 1):
            kept = largest_components(labels) if keep else labels
            stem = f"images/{one.patient}/{one.view}_{one.timepoint(number)}"
            for role, plane in (("image", pixels), ("mask", kept)):
                volume = Volume(plane[np.newaxis], (1.0, *spacing_mm))
                write_volume(volume, out / f"{stem}_{role}.nii.gz")
            yield {
                "patient_id": one.patient,
                "modality": one.modality,
                "timepoint": one.timepoint(number),
                "view": one.view,
                "phase": one.phase_of(number),
                "number": number,
                "quality": one.info.get("quality", ""),
                "ef": one.info.get("ef", ""),
                "row_mm": images.spacing_mm and spacing_mm[0],
                "column_mm": images.spacing_mm and spacing_mm[1],
                "n_removed": int(np.count_nonzero(labels != kept)),
                "image": f"{stem}_image.nii.gz",
                "mask": f"{stem}_mask.nii.gz",
                "labels": tuple(np.unique(kept[kept > 0]).tolist()),
            }


def _check_pair(one, images, masks):
    if images.array.shape != masks.array.shape:
        msg = (
            f"{one.mask}: has frames, rows, columns {masks.array.shape}, the image "
            f"{images.array.shape}. Restore both from the release."
        )
        raise GeometryError(msg)
    strange = np.setdiff1d(np.unique(masks.array), [0, *APICAL_LABELS.values()])
    if len(strange):
        msg = f"{one.mask}: holds the labels {strange[:5].tolist()}, not 0 to 3."
        raise GeometryError(msg)


def largest_components(labels: np.ndarray) -> np.ndarray:
    """Return labels with the largest component of each, across corners too.

    Parameters
    ----------
    labels
        Shape (rows, columns), 0 = background.

    Notes
    -----
    Pixels of other components take the label of the nearest pixel that is kept, from
    their rim inward: a speck inside of a structure becomes no hole, and no new
    component comes up.
    """
    kept, specks = labels.copy(), np.zeros(labels.shape, dtype=bool)
    for value in np.unique(labels[labels > 0]):
        numbers, _ = label_components(labels == value, _CORNERS)
        sizes = np.bincount(numbers.ravel())[1:]
        specks |= (numbers > 0) & (numbers != 1 + sizes.argmax())
    while specks.any():
        # the nearest kept pixel of the rim touches it: what grows stays in one piece
        rim = specks & binary_dilation(~specks, _CORNERS)
        nearest = distance_transform_edt(
            specks, return_distances=False, return_indices=True
        )
        kept[rim] = kept[*nearest[:, rim]]
        specks &= ~rim
    return kept


def _cases(frames):
    """Return rows of ``cases.csv``; a structure has a row where its patient has it."""
    held = {
        who: set().union(*labels)
        for who, labels in frames.groupby("patient_id")["labels"]
    }
    modalities = frames["modality"].unique()
    rows = {}
    for frame in frames.to_dict("records"):
        for structure, label in APICAL_LABELS.items():
            if label not in held[frame["patient_id"]]:
                continue
            case_id = f"{frame['patient_id']}_{frame['timepoint']}_{structure}"
            empty = {f"{r}_{m}": "" for m in modalities for r in ("image", "mask")}
            about = {
                "case_id": case_id,
                "patient_id": frame["patient_id"],
                "lesion_id": structure,
                "timepoint": frame["timepoint"],
            }
            row = rows.setdefault(case_id, about | empty | {"mask_label": str(label)})
            for role in ("image", "mask"):
                row[f"{role}_{frame['modality']}"] = frame[role]
    return pd.DataFrame(sorted(rows.values(), key=_order))


def _order(row):
    return row["patient_id"], row["timepoint"], int(row["mask_label"])


def _patients(found):
    rows = {}
    for one in found:
        row = rows.setdefault(one.patient, {"patient_id": one.patient})
        for column in (*_NUMBERS, *_TEXTS):
            name = column if column != "quality" else f"quality_{one.view.lower()}"
            row[name] = row.get(name) or one.info.get(column, "")
    return pd.DataFrame(list(rows.values())).fillna("")


def _card(name, layout, frames, endpoints, keep):
    license_text, citation = _ABOUT[layout]
    about = {"unit": "arbitrary", "preset": "mr"}
    if frames["row_mm"].isna().any():
        about["pixel_size"] = "unknown"
    told = endpoints.columns[endpoints.ne("").any()]
    n_changed = int((frames["n_removed"] > 0).sum())
    cut = "Structures are as released."
    if keep:
        cut = (
            "Each structure was cut to its largest component (keep_largest): "
            f"{frames['n_removed'].sum()} pixels of {n_changed} of {len(frames)} "
            "frames took the label around them, see frames.csv."
        )
    return {
        "name": name,
        "root": ".",
        "modalities": {m: dict(about) for m in sorted(frames["modality"].unique())},
        "endpoints": {},
        "covariates": [c for c in _NUMBERS if c in told],
        "categories": [c for c in told if c == "sex" or c.startswith("quality")],
        "license": license_text,
        "citation": citation,
        "description": f"Apical echocardiography, one slice a frame. {cut}",
    }
