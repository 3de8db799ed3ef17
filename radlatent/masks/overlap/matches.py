"""Lesions matched to those of a reference by overlap, whatever their numbers.

Arrays of lesions enter, one row a matched, missed or false lesion leaves. Connected
components are numbered by their place, so that one more lesion renumbers the others:
what counts is where a lesion lies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import ndimage
from scipy.stats import binomtest

from radlatent.errors import GeometryError
from radlatent.masks.overlap.compare import METRICS, compare_structure
from radlatent.masks.overlap.label_boxes import (
    check_labels,
    check_spacing,
    find_labels,
)
from radlatent.schema import failures_table, nearest

__all__ = [
    "LesionMatches",
    "Lesions",
    "check_matching",
    "lesions_of",
    "match",
    "match_lesions",
    "matches_of",
]

_LEVEL = 0.95

_OVERLAPS = {"iou": "jaccard", "dice": "dice"}

#: Of a matched pair, as `METRICS` defines them.
_METRICS = ("jaccard", "dice", "hd95_max_mm", "assd_pooled_mm")

_COLUMNS = (
    "state",
    "mask_lesion",
    "reference_lesion",
    *_METRICS,
    "volume_ml",
    "reference_volume_ml",
)

_WAYS = ("auto", "labels", "components")

#: What a summary says, to its definition.
_QUANTITIES = {
    "n_reference": "lesions of the reference",
    "n_mask": "lesions of the mask",
    "matched": "TP: pairs of a lesion of the mask and one of the reference",
    "missed": "FN: lesions of the reference without a partner",
    "false": "FP: lesions of the mask without a partner",
    "precision": "TP / (TP + FP), Wilson interval",
    "recall": "TP / (TP + FN), Wilson interval",
    "f1": "2 TP / (2 TP + FP + FN), the recognition quality; interval from Wilson's of "
    "TP / (TP + FP + FN)",
    "segmentation_quality": "mean Jaccard index (IoU) of matched pairs",
    "panoptic_quality": "f1 times segmentation_quality",
    "dice": "mean of matched pairs",
    "hd95_max_mm": "mean of matched pairs",
    "assd_pooled_mm": "mean of matched pairs",
    "reference_volume_ml": "volume of the lesions of the reference",
    "missed_volume_ml": "volume of those missed",
    "false_volume_ml": "volume of the false lesions of the mask",
}


@dataclass(frozen=True, eq=False)
class Lesions:
    """The lesions of one mask.

    Parameters
    ----------
    array
        0 = background, k = the k-th lesion; each occurs.
    names
        What the lesions are called.
    """

    array: np.ndarray
    names: Sequence[str]


@dataclass(frozen=True, eq=False, repr=False)
class LesionMatches:
    """Lesions of a mask, and which of a reference they are.

    Parameters
    ----------
    lesions
        One row a lesion: ``state`` is ``matched``, ``missed`` or ``false``;
        ``mask_lesion`` and ``reference_lesion`` name it; of matched ones ``jaccard,
        dice, hd95_max_mm, assd_pooled_mm``; ``volume_ml``, ``reference_volume_ml``.
    failures
        **failures** table: masks that could not be compared, and are in no number.
    definitions
        Metric or quantity to its definition, and how lesions were told and matched.
    """

    lesions: pd.DataFrame
    failures: pd.DataFrame
    definitions: Mapping[str, str]

    @property
    def summary(self) -> pd.DataFrame:
        """One row a quantity: ``estimate, lower, upper, n, definition``.

        Intervals take lesions for independent; those of one patient are not quite, so
        that they are rather too narrow.
        """
        return _summary(self.lesions)

    def __repr__(self) -> str:
        counts = self.lesions["state"].value_counts()
        told = [f"{counts.get(s, 0)} {s}" for s in ("matched", "missed", "false")]
        failed = f", {len(self.failures)} failed" if len(self.failures) else ""
        return f"LesionMatches({', '.join(told)}{failed})"

    def _repr_html_(self) -> str:
        return self.summary.to_html()


def match_lesions(
    mask: np.ndarray,
    reference: np.ndarray,
    *,
    spacing_mm: Sequence[float],
    overlap: str = "iou",
    least_overlap: float = 0.5,
    lesions: str = "auto",
) -> LesionMatches:
    """Match the lesions of a mask to those of a reference, one to one, by overlap.

    Parameters
    ----------
    mask, reference
        Booleans or labels on one grid, shape (z, y, x), 0 = background. Their numbers
        need not agree.
    spacing_mm
        In the order of the array axes.
    overlap
        What decides: ``"iou"``, the Jaccard index, or ``"dice"``.
    least_overlap
        What a pair needs at least, above 0 to 1. Detection often asks for less than
        panoptic quality, which is defined for 0.5 of IoU.
    lesions
        ``"labels"``: each label is a lesion; ``"components"``: each connected component
        of what is above 0, voxels that touch at a corner included (26 neighbors);
        ``"auto"``: components of a mask with one label at most, else labels.

    Returns
    -------
    LesionMatches
        ``lesions``, their ``summary`` and ``definitions``.

    Raises
    ------
    GeometryError
        Shapes differ, are not of three axes, or a spacing is not positive.
    SchemaError
        Labels are no integers from 0.
    ValueError
        An option is unknown or out of bounds.

    Notes
    -----
    Greedy: the pair of the largest overlap first, a lesion in one pair at most; of
    equal overlaps the one that comes first in the array, so that numbers never matter.
    Above 0.5 of IoU no lesion has two partners, and greedy is best. Where one lesion of
    the reference is drawn as two, one of them is false.

    Without a lesion in the reference recall is NaN, without one in the mask precision
    is; without any, F1 is NaN too.

    References
    ----------
    Kofler et al. 2023, arXiv:2312.02608 (panoptica); Kirillov et al. 2019,
    arXiv:1801.00868 (panoptic quality); Wilson 1927, doi:10.2307/2276774

    Examples
    --------
    >>> mask, reference = np.zeros((2, 2, 4, 12), np.uint8)
    >>> reference[:, :, 1:5], reference[:, :, 8:11] = 1, 2
    >>> mask[:, :, 8:11], mask[:, :, 1:4] = 1, 2
    >>> found = match_lesions(mask, reference, spacing_mm=(5, 5, 5))
    >>> found
    LesionMatches(2 matched, 0 missed, 0 false)
    >>> found.lesions["jaccard"].tolist()
    [0.75, 1.0]
    """
    mask, reference = check_labels(mask, "mask"), check_labels(reference, "reference")
    if mask.shape != reference.shape or mask.ndim != 3:
        msg = (
            f"the mask has shape {mask.shape}, the reference {reference.shape}. Give "
            "both on one grid, as (z, y, x)."
        )
        raise GeometryError(msg)
    spacing = check_spacing(spacing_mm, mask.ndim)
    check_matching(overlap=overlap, least_overlap=least_overlap)
    if lesions not in _WAYS:
        msg = f"lesions is {lesions!r}{nearest(lesions, _WAYS)}. Give one of {_WAYS}."
        raise ValueError(msg)
    rows = match(
        lesions_of(mask, lesions),
        lesions_of(reference, lesions),
        spacing_mm=spacing,
        overlap=overlap,
        least_overlap=least_overlap,
    )
    return matches_of(pd.DataFrame(rows), (), overlap, least_overlap)


def check_matching(*, overlap: str, least_overlap: float) -> None:
    """Raise `ValueError` for what `match_lesions` does not take."""
    if overlap not in _OVERLAPS:
        known = tuple(_OVERLAPS)
        msg = f"overlap is {overlap!r}{nearest(overlap, known)}. Give one of {known}."
        raise ValueError(msg)
    if not 0 < least_overlap <= 1:
        msg = f"least_overlap is {least_overlap!r}. Give more than 0, and at most 1."
        raise ValueError(msg)


def lesions_of(labels: np.ndarray, how: str) -> Lesions:
    """Return the lesions of labels from 0, told apart as `match_lesions` says."""
    values = sorted(find_labels(labels))
    if how == "components" or (how == "auto" and len(values) < 2):
        array, n = ndimage.label(labels > 0, structure=np.ones((3, 3, 3)))
        return Lesions(array, [str(k + 1) for k in range(n)])
    array = np.searchsorted([0, *values], labels).astype(np.int32)
    return Lesions(array, [str(value) for value in values])


def match(
    mask: Lesions,
    reference: Lesions,
    *,
    spacing_mm: tuple[float, ...],
    overlap: str,
    least_overlap: float,
) -> list[dict]:
    """Return the rows of matched, missed and false lesions, as in `LesionMatches`.

    Those of the reference come first, each as they lie in the array.
    """
    sides = (mask, reference)
    arrays = tuple(side.array for side in sides)
    found = tuple(find_labels(array) for array in arrays)
    places = tuple(_first_voxels(array) for array in arrays)
    partner = _partners(arrays, found, places, overlap, least_overlap)
    options = {"spacing_mm": spacing_mm, "tolerance_mm": 0.0, "empty": "nan"}
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    rows = []
    for there in sorted(found[1], key=places[1].get):
        here = partner.get(there)
        about = {
            "state": "missed" if here is None else "matched",
            "reference_lesion": reference.names[there - 1],
            "reference_volume_ml": found[1][there].n_voxels * voxel_ml,
        }
        if here is not None:
            at = found[0][here], found[1][there]
            values = compare_structure(arrays, (here, there), at, **options)
            about |= {name: values[name] for name in _METRICS}
            about["mask_lesion"] = mask.names[here - 1]
            about["volume_ml"] = found[0][here].n_voxels * voxel_ml
        rows.append(about)
    for here in sorted(set(found[0]) - set(partner.values()), key=places[0].get):
        about = {"state": "false", "mask_lesion": mask.names[here - 1]}
        rows.append(about | {"volume_ml": found[0][here].n_voxels * voxel_ml})
    return rows


def _first_voxels(array):
    """Return lesion to the number of its first voxel, in the order of the array."""
    at = np.flatnonzero(array)
    values, first = np.unique(array.ravel()[at], return_index=True)
    return dict(zip(values.tolist(), at[first].tolist(), strict=True))


def _partners(arrays, found, places, overlap, least_overlap):
    """Return lesion of the reference to its lesion of the mask."""
    both = (arrays[0] > 0) & (arrays[1] > 0)
    inside = np.stack([array[both] for array in arrays])
    pairs, common = np.unique(inside, axis=1, return_counts=True)
    candidates = []
    for (here, there), n in zip(pairs.T.tolist(), common.tolist(), strict=True):
        total = found[0][here].n_voxels + found[1][there].n_voxels
        value = 2 * n / total if overlap == "dice" else n / (total - n)
        if value >= least_overlap:
            order = -value, places[1][there], places[0][here]
            candidates.append((order, here, there))
    partner, taken = {}, set()
    for _, here, there in sorted(candidates):
        if there not in partner and here not in taken:
            partner[there] = here
            taken.add(here)
    return partner


def matches_of(
    lesions: pd.DataFrame,
    failures: Sequence[tuple],
    overlap: str,
    least_overlap: float,
    keys: Sequence[str] = (),
) -> LesionMatches:
    """Return a result from rows of `match`, failures, options and names of patients."""
    lesions = lesions.reindex(columns=[*keys, *_COLUMNS])
    texts = [*keys, "state", "mask_lesion", "reference_lesion"]
    numbers = [name for name in _COLUMNS if name not in texts]
    lesions = lesions.astype(dict.fromkeys(texts, object))
    lesions = lesions.astype(dict.fromkeys(numbers, "float64"))
    lesions[texts] = lesions[texts].where(lesions[texts].notna(), None)
    name = {"iou": "Jaccard index (IoU)", "dice": "Dice"}[overlap]
    definitions = {
        "matching": f"one to one, greedy by {name}, at least {least_overlap:g}",
        "components": "voxels that share a face, an edge or a corner (26 neighbors)",
        **{metric: METRICS[metric] for metric in _METRICS},
    }
    return LesionMatches(lesions, failures_table(failures), definitions)


def _summary(lesions):
    state = lesions["state"]
    tp, fn, fp = ((state == s).sum() for s in ("matched", "missed", "false"))
    shares = {
        "precision": _share(tp, tp + fp),
        "recall": _share(tp, tp + fn),
        "f1": [2 * x / (1 + x) for x in _share(tp, tp + fp + fn)],
    }
    ns = {"precision": tp + fp, "recall": tp + fn, "f1": tp + fp + fn}
    quality = lesions["jaccard"].mean()
    panoptic = shares["f1"][0] * quality if tp else shares["f1"][0]
    values = {
        "n_reference": tp + fn,
        "n_mask": tp + fp,
        "matched": tp,
        "missed": fn,
        "false": fp,
        "segmentation_quality": quality,
        "panoptic_quality": panoptic,
        **{name: lesions[name].mean() for name in _METRICS[1:]},
        "reference_volume_ml": lesions["reference_volume_ml"].sum(),
        "missed_volume_ml": lesions.loc[state == "missed", "reference_volume_ml"].sum(),
        "false_volume_ml": lesions.loc[state == "false", "volume_ml"].sum(),
    }
    ns |= dict.fromkeys(("segmentation_quality", *_METRICS[1:]), tp)
    ns |= {"panoptic_quality": ns["f1"], "reference_volume_ml": tp + fn}
    ns |= {"missed_volume_ml": fn, "false_volume_ml": fp}
    rows = {}
    for name, text in _QUANTITIES.items():
        estimate, lower, upper = shares.get(name, (values.get(name), np.nan, np.nan))
        rows[name] = {
            "estimate": float(estimate),
            "lower": float(lower),
            "upper": float(upper),
            "n": int(ns.get(name, len(lesions))),
            "definition": text,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("quantity")


def _share(k, n):
    """Return a share with its Wilson interval, NaN of nothing."""
    if not n:
        return [np.nan] * 3
    interval = binomtest(int(k), int(n)).proportion_ci(_LEVEL, method="wilson")
    return [k / n, interval.low, interval.high]
