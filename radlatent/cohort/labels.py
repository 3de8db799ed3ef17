"""The masks of a cohort as labels of structures: a cohort enters, label maps leave.

Structures are looked up by name: what value a structure has belongs to the cohort, and
two cohorts may use one value for two structures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from radlatent.cohort.manifest import Cohort
from radlatent.errors import SchemaError
from radlatent.imaging import (
    Volume,
    label_text,
    read_volume,
    region_of,
    whole_labels,
)
from radlatent.schema import check_cases, nearest

__all__ = [
    "LabelMap",
    "MaskFile",
    "by_structure",
    "mask_files",
    "modality_of",
    "read_label_map",
]


@dataclass(frozen=True, eq=False)
class LabelMap:
    """A mask of several structures.

    Parameters
    ----------
    volume
        Integer labels, 0 = background.
    structures
        Name to label, of all that may occur.
    name
        What messages call it.
    """

    volume: Volume
    structures: Mapping[str, int]
    name: str = "the mask"

    def __post_init__(self):
        array = self.volume.array
        if array.dtype.kind == "f":
            array = whole_labels(self.volume, self.name)[0].array.astype(np.int32)
        if array.dtype.kind not in "iu":
            msg = f"{self.name}: labels are {array.dtype}. Give integers."
            raise SchemaError(msg)
        values = list(self.structures.values())
        strange = np.setdiff1d(np.unique(array), [0, *values]).tolist()
        if strange or len(set(values)) < len(values) or min(values, default=0) < 1:
            msg = (
                f"{self.name}: holds the labels {strange[:5]} besides those of "
                f"structures, which are {dict(self.structures)}. Give every structure "
                "one label of its own, from 1."
            )
            raise SchemaError(msg)
        object.__setattr__(self, "volume", self.volume.with_array(array))

    @property
    def array(self) -> np.ndarray:
        """The labels, shape (z, y, x)."""
        return self.volume.array

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Of (z, y, x)."""
        return self.volume.spacing_mm

    @property
    def legend(self) -> dict:
        """``structures`` and ``spacing_mm``, by which functions read the labels."""
        return {"structures": self.structures, "spacing_mm": self.spacing_mm}

    @property
    def slice_legend(self) -> dict:
        """The same for one slice."""
        return {"structures": self.structures, "spacing_mm": self.spacing_mm[1:]}

    def with_array(self, array: np.ndarray) -> "LabelMap":
        """Return other labels on the same grid."""
        return replace(self, volume=self.volume.with_array(array))


@dataclass(frozen=True)
class MaskFile:
    """A file of masks, and the cases that it serves.

    Parameters
    ----------
    path
        The file.
    place
        As the cohort names it.
    patient_id
        Whose it is.
    structures
        Name to label of all cases that name the file, excluded ones included, under
        their ``case_id`` where an included one has the name; None is every voxel above
        0, of one case.
    case_ids
        The included cases.
    image
        The image that it is drawn on; None where there is none, or several.
    """

    path: str
    place: str
    patient_id: str
    structures: Mapping[str, int | None]
    case_ids: tuple[str, ...]
    image: str | None = None


def modality_of(cohort: Cohort, modality: str | None) -> str:
    """Return the modality whose masks are meant.

    Raises
    ------
    SchemaError
        The cohort has no such modality, or several and none is named.
    """
    known = list(cohort.modalities)
    if modality is None and len(known) == 1:
        return known[0]
    if modality not in known:
        hint = nearest(modality, known) if modality else ""
        msg = (
            f"modality is {modality!r}{hint}; cohort {cohort.name!r} has {known}. Name "
            "the one whose masks are meant."
        )
        raise SchemaError(msg)
    return modality


def mask_files(cohort: Cohort, *, modality: str | None = None) -> list[MaskFile]:
    """Return the mask files of a cohort, in the order of its cases.

    Parameters
    ----------
    cohort
        The cohort; files of excluded cases alone are left out.
    modality
        Whose masks; None where the cohort has one modality.

    Raises
    ------
    SchemaError
        Two included cases of a file share a structure, a file of several has no labels,
        one serves two patients, or a case is a region of several labels.
    """
    modality = modality_of(cohort, modality)
    column = cohort.mask_column(modality)
    cases = cohort.cases[cohort.cases[column].notna()]
    files = []
    for place, part in cases.groupby(column, sort=False):
        included = part[~part["exclude"]]
        if len(included):
            patient = _patient(place, included)
            structures = _structures(place, part)
            path, served = str(cohort.root / place), tuple(included.index)
            image = _image(cohort, included[f"image_{modality}"])
            files.append(MaskFile(path, place, patient, structures, served, image))
    return files


def _image(cohort, places):
    places = places.dropna().unique()
    return str(cohort.root / places[0]) if len(places) == 1 else None


def _patient(place, included):
    whose = included["patient_id"].unique()
    if len(whose) > 1:
        msg = (
            f"{place} serves the patients {sorted(whose)}. Give every patient mask "
            "files of their own."
        )
        raise SchemaError(msg)
    return whose[0]


def _structures(place, part):
    names = part["lesion_id"] if "lesion_id" in part else pd.Series(index=part.index)
    names = names.fillna("lesion").astype(str)
    # an excluded case may be a second drawing of a structure: its label stays known
    taken = names.isin(names[~part["exclude"]]) | names.duplicated()
    names = names.mask(part["exclude"] & taken, part.index.astype(str))
    labels = part.get("mask_label", pd.Series(index=part.index, dtype=object))
    labels = [region_of(label) for label in labels]
    _check_single(place, part.index, labels)
    structures = dict(zip(names, labels, strict=True))
    if len(structures) < len(part) or (len(part) > 1 and None in labels):
        msg = (
            f"{place} serves the cases {list(part.index)} with lesion_id "
            f"{names.tolist()} and mask_label {labels}. Give every structure of a file "
            "a name and a label of its own in cases.csv."
        )
        raise SchemaError(msg)
    return structures


def _check_single(place, case_ids, labels):
    """Refuse regions of several labels: a voxel of a label map has one structure."""
    for case_id, label in zip(case_ids, labels, strict=True):
        if isinstance(label, tuple):
            msg = (
                f"case {case_id!r} is the region {label_text(label)} of {place}; "
                "structures of a label map have one label each. Write a mask in which "
                "the region is one label, and name that in mask_label."
            )
            raise SchemaError(msg)


def by_structure(cohort: Cohort, modality: str, structures: Sequence[str]) -> Cohort:
    """Return a cohort without masks with a case a structure instead of one an image.

    Parameters
    ----------
    cohort
        Its card says ``masks: false``.
    modality
        Whose images get masks.
    structures
        What there will be in each, labels 1, 2 ...

    Returns
    -------
    Cohort
        ``case_id`` and ``lesion_id`` end in the name of the structure. Cases without
        such an image are excluded, with the reason.

    Raises
    ------
    SchemaError
        Cases name lesions, or share an image.
    """
    column, cases = f"image_{modality}", cohort.cases.copy()
    bare = ~cases["exclude"] & cases[column].isna()
    cases.loc[bare, "exclude"] = True
    cases.loc[bare, "exclude_reason"] = f"no image of {modality!r}"
    there = cases[~cases["exclude"]]
    named, shared = there["lesion_id"].notna(), there[column].duplicated(keep=False)
    if named.any() or shared.any():
        wrong = there.index[named | shared][:5].tolist()
        msg = (
            f"cohort {cohort.name!r} has no masks, so that a case is an image; but "
            f"{named.sum()} cases name a lesion_id and {shared.sum()} share an image: "
            f"{wrong}. Give one row an image: the network names {list(structures)}."
        )
        raise SchemaError(msg)
    parts = [cases[cases["exclude"]]]
    for label, name in enumerate(structures, start=1):
        part = there.assign(lesion_id=name, mask_label=label)
        parts.append(part.set_axis(part.index + f"_{name}"))
    # as the rows were: the structures of an image together
    found = pd.concat(parts).sort_values("line", kind="stable").rename_axis("case_id")
    found["mask_label"] = found["mask_label"].astype(cases["mask_label"].dtype)
    return replace(cohort, cases=check_cases(found))


def read_label_map(path: str, structures: Mapping[str, int | None]) -> LabelMap:
    """Return a file as a label map.

    Parameters
    ----------
    path
        A mask.
    structures
        Of a `MaskFile`.

    Raises
    ------
    SchemaError
        The file holds a label that no structure has.
    LabelError
        Voxels are no whole numbers.
    """
    volume = read_volume(path)
    labels, _ = whole_labels(volume, str(path))
    if volume.array.dtype.kind == "f":
        volume = labels.with_array(labels.array.astype(np.int32))
    if None in structures.values():
        volume = volume.with_array((volume.array > 0).astype(np.uint8))
        structures = dict.fromkeys(structures, 1)
    return LabelMap(volume, structures, str(path))
