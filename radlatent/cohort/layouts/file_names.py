"""File names with placeholders: an image root in, the tables of a cohort out."""

import logging
import re
from pathlib import Path

import pandas as pd

from radlatent.cohort.card import MODALITY
from radlatent.cohort.problems import Problems
from radlatent.errors import CohortError
from radlatent.imaging import DICOM_REMEDY
from radlatent.schema import nearest

_log = logging.getLogger(__name__)

__all__ = ["IMAGE_PATTERN", "MASK_PATTERN", "image_root", "read_pattern"]

IMAGE_PATTERN = "{patient_id}/{modality}_image.nii.gz"
MASK_PATTERN = "{patient_id}/{modality}_mask.nii.gz"

#: What identifies a case, in the order of its id.
_KEYS = ("patient_id", "site", "timepoint", "lesion_id")
_PLACEHOLDERS = (*_KEYS, "modality")
_PLACEHOLDER = re.compile(r"\{(\w*)\}")


def image_root(root: str | Path) -> Path:
    """Return the folder of the images.

    Raises
    ------
    CohortError
        It is no folder.
    """
    if not Path(root).is_dir():
        msg = (
            f"image root {str(root)!r} is not a folder. Give the folder of the images."
        )
        raise CohortError(msg)
    return Path(root)


def read_pattern(
    root: str | Path, *, image: str = IMAGE_PATTERN, mask: str = MASK_PATTERN
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the tables of the images and masks that two patterns match.

    Parameters
    ----------
    root
        Folder of the images.
    image, mask
        Patterns relative to it, see ``radlatent.cohort.index``.

    Raises
    ------
    CohortError
        A pattern is malformed or matches nothing, or a file lacks its partner.
    """
    cases = _match_cases(image_root(root), image, mask)
    patients = cases["patient_id"].drop_duplicates().sort_values()
    return cases, pd.DataFrame({"patient_id": patients.to_list()})


def _match_cases(root, image, mask):
    fields = {"image": _fields("image", image)}
    fields["mask"] = _fields("mask", mask) if mask else set()
    paths = sorted(
        p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()
    )
    images, masks = _match(paths, image, mask)
    left = [p for p in paths if _is_volume(p) and p not in images and p not in masks]
    if left:
        n, some = len(left), ", ".join(left[:3])
        _log.warning("%d images match neither pattern and are left out: %s", n, some)
    for role, pattern, found in (("image", image, images), ("mask", mask, masks)):
        if pattern and not found:
            msg = (
                f"no file under {root} matches the {role} pattern {pattern!r}; found "
                f"{paths[:5] or 'no file'}. {_remedy(paths, role)}"
            )
            raise CohortError(msg)
    if mask:
        _check_partners(images, masks, fields, root)
    return _assemble(_join(images, masks, fields))


def _remedy(paths, role):
    if not any(map(_is_volume, paths)) and any(
        p.lower().endswith((".dcm", ".ima")) for p in paths
    ):
        return f"These are DICOM files: convert them first. {DICOM_REMEDY}."
    return f"Give {role}=... for these names."


def _is_volume(path):
    return path.lower().endswith((".nii", ".nii.gz", ".nrrd", ".mha"))


def _fields(role, pattern):
    fields = _PLACEHOLDER.findall(pattern)
    for field in fields:
        if field not in _PLACEHOLDERS:
            msg = (
                f"{role} pattern {pattern!r}: placeholder {{{field}}} is unknown"
                f"{nearest(field, _PLACEHOLDERS)} (known are {list(_PLACEHOLDERS)})."
            )
            raise CohortError(msg)
    needed = ("patient_id", "modality") if role == "image" else ("patient_id",)
    missing = [field for field in needed if field not in fields]
    if missing:
        msg = (
            f"{role} pattern {pattern!r} lacks {missing}. Write them in braces where "
            f"they stand in the path, as in {IMAGE_PATTERN!r}."
        )
        raise CohortError(msg)
    return set(fields)


def _match(paths, image, mask):
    """Return the fields of the images and of the masks, by path.

    A path that both patterns match belongs to the one with more literal characters:
    ``{modality}.nii.gz`` also matches ``ct_mask.nii.gz``.
    """
    found = {"image": {}, "mask": {}}
    patterns = {"image": image, "mask": mask}
    literal = {role: len(_PLACEHOLDER.sub("", p)) for role, p in patterns.items()}
    roles = sorted(found, key=literal.get, reverse=True)
    compiled = {role: _compile(pattern) for role, pattern in patterns.items()}
    for path in paths:
        for role in roles:
            match = compiled[role].fullmatch(path)
            if match:
                found[role][path] = match.groupdict()
                break
    return found["image"], found["mask"]


def _compile(pattern):
    parts, seen = [], set()
    for n, part in enumerate(_PLACEHOLDER.split(pattern)):
        if n % 2 == 0:
            parts.append(re.escape(part))
        elif part in seen:
            parts.append(f"(?P={part})")
        else:
            # ids of patients hold underscores more often than the other parts
            lazy = "" if part == "patient_id" else "?"
            parts.append(f"(?P<{part}>[^/]+{lazy})")
            seen.add(part)
    return re.compile("".join(parts))


def _check_partners(images, masks, fields, root):
    shared = sorted(fields["image"] & fields["mask"])
    problems = Problems()
    for role, mine, other, partner in (
        ("image", images, masks, "mask"),
        ("mask", masks, images, "image"),
    ):
        keys = {tuple(found[f] for f in shared) for found in other.values()}
        for path, found in mine.items():
            if tuple(found[f] for f in shared) not in keys:
                problems.add(
                    f"the {role} has no {partner}",
                    f"Add the {partner}, or move the {role} out of the root",
                    file=path,
                    value=path,
                )
    problems.raise_if_any(str(root))


def _join(images, masks, fields):
    """Return case (tuple of keys) to its cells, one row a lesion and timepoint."""
    keys = [key for key in _KEYS if key in fields["image"] | fields["mask"]]
    linked = fields["image"] & fields["mask"]
    # where there are no masks an image is a case by itself
    by_link = {} if masks else {(): [("", {})]}
    for path, found in masks.items():
        by_link.setdefault(tuple(found[f] for f in sorted(linked)), []).append(
            (path, found)
        )
    cases = {}
    for path, found in images.items():
        modality = _column(found["modality"])
        link = tuple(found[f] for f in sorted(linked))
        for mask_path, of_mask in by_link[link]:
            values = of_mask | found
            cells = cases.setdefault(tuple(values[key] for key in keys), {})
            cells |= {key: values[key] for key in keys}
            if cells.get(f"image_{modality}", path) != path:
                msg = (
                    f"{path} and {cells[f'image_{modality}']} are both {modality!r} of "
                    "one case. Rename one, or move it out of the root."
                )
                raise CohortError(msg)
            cells[f"image_{modality}"] = path
            common = "modality" not in of_mask
            cells["mask" if common else f"mask_{modality}"] = mask_path
    return [cases[case] for case in sorted(cases)]


def _column(modality):
    """Return what the columns call a modality: ``18F-FDG`` becomes ``m18f_fdg``."""
    name = re.sub(r"[^a-z0-9]+", "_", modality.lower()).strip("_")
    return name if MODALITY.fullmatch(name) else f"m{name}"


def _assemble(rows):
    table = pd.DataFrame(rows).fillna("")
    keys = [key for key in _KEYS if key in table]
    varying = [k for k in keys if k == "patient_id" or len(set(table[k])) > 1]
    table.insert(0, "case_id", table[varying].agg("_".join, axis=1))
    files = sorted(c for c in table if c not in ("case_id", *keys))
    # image and mask of a modality side by side
    files.sort(key=lambda column: column.partition("_")[2])
    table = table[["case_id", *keys, *files]]
    if table["case_id"].duplicated().any():
        twice = table.loc[table["case_id"].duplicated(), "case_id"].tolist()
        msg = (
            f"cases {twice[:5]} occur twice: their parts, joined by '_', are the same. "
            "Rename the files so that they differ."
        )
        raise CohortError(msg)
    return table
