"""Agreement of a mask with a reference: label arrays enter, a table leaves.

Overlap, distances and volumes of every structure of a case come from one pass over
both arrays. Tools define the distances differently, so that each variant has a name of
its own and a result carries its definitions.
"""

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from radlatent.errors import GeometryError, SchemaError
from radlatent.masks.overlap.distances import (
    SURFACE,
    distance_metrics,
    distances_to,
    surface_of,
)
from radlatent.masks.overlap.label_boxes import (
    check_labels,
    check_spacing,
    check_structures,
    find_labels,
)
from radlatent.schema import nearest

__all__ = [
    "ELSEWHERE",
    "METRICS",
    "STATES",
    "check_options",
    "compare_masks",
    "compare_structure",
    "definitions_of",
    "elsewhere",
    "summarize_overlap",
]

#: Of a structure and what `elsewhere` returns.
ELSEWHERE = (
    "%s has a Dice of 0, but lies on the labels %s of the reference: are the same "
    "lesions numbered otherwise? masks.match_lesions matches them by overlap"
)

_log = logging.getLogger(__name__)

#: Metric to its definition; of ``nsd`` for a tolerance that a result names.
METRICS = {
    "dice": "2 |A and B| / (|A| + |B|), A the mask, B the reference, in voxels",
    "jaccard": "|A and B| / |A or B|, in voxels",
    "hd_mm": "largest of the distances from A's surface to B's and from B's to A's",
    "hd95_max_mm": "larger of the 95th percentiles of the distances from A's surface "
    "to B's and from B's to A's (MONAI)",
    "hd95_pooled_mm": "95th percentile of the distances from A's surface to B's and "
    "from B's to A's, pooled (MedPy)",
    "assd_pooled_mm": "mean of the distances from A's surface to B's and from B's to "
    "A's, pooled (MONAI, MedPy 0.5)",
    "assd_mean_mm": "mean of two means: of the distances from A's surface to B's, and "
    "from B's to A's (MedPy to 0.4)",
    "nsd": "share of the surface voxels of A and B within the tolerance of the other's "
    "surface (MONAI)",
    "volume_mm3": "|A| times the volume of a voxel",
    "reference_volume_mm3": "|B| times the volume of a voxel",
    "volume_difference_mm3": "volume of A less that of B",
    "volume_difference_percent": "volume of A less that of B, in percent of B's",
}

_DISTANCES = tuple(name for name in METRICS if name.startswith(("hd", "assd")))

#: Of one slice: its metrics of size are areas.
_SIZES = {name: name for name in METRICS if "volume" in name}
_AREAS = {n: n.replace("volume", "area").replace("mm3", "mm2") for n in _SIZES}
METRICS |= {
    area: METRICS[name].replace("volume", "area").replace("a voxel", "a pixel")
    for name, area in _AREAS.items()
}

#: By (mask has voxels, reference has voxels).
STATES = {
    (True, True): "both",
    (False, True): "mask_empty",
    (True, False): "reference_empty",
    (False, False): "both_empty",
}

_EMPTY = ("nan", "worst")


def compare_masks(
    mask: np.ndarray,
    reference: np.ndarray,
    *,
    structures: Mapping[str, int],
    spacing_mm: Sequence[float],
    tolerance_mm: float = 2.0,
    empty: str = "nan",
) -> pd.DataFrame:
    """Compare the structures of a mask with those of a reference.

    Parameters
    ----------
    mask, reference
        Integer labels on one grid, shape (z, y, x), or (rows, columns) of one slice;
        0 = background.
    structures
        Name to label, of every label that occurs.
    spacing_mm
        In the order of the array axes.
    tolerance_mm
        Distance that ``nsd`` takes for equal.
    empty
        Distances where one of the two has no voxel: ``"nan"``, or ``"worst"``, the
        diagonal of the image in mm, outer edge to outer edge.

    Returns
    -------
    pandas.DataFrame
        Index ``structure``; the metrics of `METRICS`, areas for one slice instead of
        volumes, and ``state``: ``both``, ``mask_empty``, ``reference_empty`` or
        ``both_empty``. ``attrs`` hold ``definitions`` (metric to text), ``surface``,
        ``tolerance_mm`` and ``empty``.

    Raises
    ------
    GeometryError
        Shapes differ, or a spacing is not positive.
    SchemaError
        Labels are no integers, two structures share one, or one has no name.
    ValueError
        The tolerance is below 0, or ``empty`` is unknown.

    Notes
    -----
    Where one of the two is empty, overlaps are 0, where both are, they are NaN, and so
    are distances, whatever ``empty`` says: nothing was to be found, and nothing was.
    `summarize_overlap` counts both. A structure of Dice 0 that lies on another label
    of the reference is logged: `match_lesions` is for numbers that do not agree.
    Surfaces are those of MedPy: `SURFACE`. The surface of DeepMind's surface-distance
    lies on corners of voxels and is weighted by area; its distances are not offered.

    References
    ----------
    Podobnik and Vrtovec 2024, arXiv:2410.02630 (how definitions differ); Nikolov et
    al. 2021, doi:10.2196/26151 (NSD, by area)

    Examples
    --------
    >>> mask, reference = np.zeros((2, 4, 9, 9), np.uint8)
    >>> mask[1:3, 2:6, 2:6] = reference[1:3, 2:6, 3:7] = 1
    >>> found = compare_masks(
    ...     mask, reference, structures={"LV": 1}, spacing_mm=(5, 1, 1)
    ... )
    >>> found[["dice", "hd_mm", "volume_mm3"]].values.tolist()
    [[0.75, 1.0, 160.0]]
    """
    mask, reference = check_labels(mask, "mask"), check_labels(reference, "reference")
    if mask.shape != reference.shape:
        msg = (
            f"the mask has shape {mask.shape}, the reference {reference.shape}. "
            "Resample one onto the grid of the other."
        )
        raise GeometryError(msg)
    spacing = check_spacing(spacing_mm, mask.ndim)
    structures = check_structures(structures)
    check_options(tolerance_mm=tolerance_mm, empty=empty)
    found = find_labels(mask), find_labels(reference)
    _check_known(found, structures)
    rows = {
        name: compare_structure(
            (mask, reference),
            (label, label),
            tuple(here.get(label) for here in found),
            spacing_mm=spacing,
            tolerance_mm=tolerance_mm,
            empty=empty,
        )
        for name, label in structures.items()
    }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("structure")
    table.attrs = definitions_of(table.columns, tolerance_mm=tolerance_mm, empty=empty)
    for name, label in structures.items():
        if rows[name]["state"] == "both" and not rows[name]["dice"]:
            box = found[0][label].box
            others = elsewhere(mask[box] == label, reference[box])
            if others:
                _log.warning(ELSEWHERE, f"structure {name!r}", others)
    return table


def elsewhere(inside: np.ndarray, reference: np.ndarray) -> list[int]:
    """Return the labels of a reference that a structure lies on, five at most.

    Parameters
    ----------
    inside
        Booleans: the structure in the mask.
    reference
        Labels of the same shape.
    """
    others = np.unique(reference[inside])
    return others[others > 0][:5].tolist()


def check_options(*, tolerance_mm: float, empty: str) -> None:
    """Raise `ValueError` for what `compare_masks` does not take."""
    if not (np.isfinite(tolerance_mm) and tolerance_mm >= 0):
        msg = f"tolerance_mm is {tolerance_mm!r}. Give 0 or more, in mm."
        raise ValueError(msg)
    if empty not in _EMPTY:
        msg = f"empty is {empty!r}{nearest(empty, _EMPTY)}. Give one of {_EMPTY}."
        raise ValueError(msg)


def definitions_of(
    columns: Sequence[str], *, tolerance_mm: float, empty: str
) -> dict[str, object]:
    """Return what a table of metrics carries: definitions and options."""
    texts = {name: METRICS[name] for name in METRICS if name in columns}
    texts["nsd"] = texts["nsd"].replace("the tolerance", f"{tolerance_mm:g} mm")
    return {
        "definitions": texts,
        "surface": SURFACE,
        "tolerance_mm": float(tolerance_mm),
        "empty": empty,
    }


def _check_known(found, structures):
    present = found[0].keys() | found[1].keys()
    if unknown := sorted(present - set(structures.values())):
        which = "the mask" if unknown[0] in found[0] else "the reference"
        msg = (
            f"{which} holds the label {unknown[0]}, which is none of {structures} "
            f"(unknown labels of both: {unknown[:10]}). Name every label in "
            "structures, or set its voxels to 0."
        )
        raise SchemaError(msg)


def compare_structure(
    arrays: tuple[np.ndarray, np.ndarray],
    labels: tuple[int, int],
    found: tuple,
    *,
    spacing_mm: tuple[float, ...],
    tolerance_mm: float,
    empty: str,
) -> dict[str, object]:
    """Return metrics and state of one structure, as in `compare_masks`.

    Parameters
    ----------
    arrays
        Mask and reference, as `check_labels` gives them.
    labels
        Of the structure in each.
    found
        Where it is in each, as `find_labels` says, None where it is missing.
    spacing_mm, tolerance_mm, empty
        As in `compare_masks`.
    """
    sizes = [0 if here is None else here.n_voxels for here in found]
    state = STATES[sizes[0] > 0, sizes[1] > 0]
    row = dict.fromkeys(_DISTANCES, np.nan)
    if state == "both":
        common = _intersection(arrays, labels, found)
        row = {
            "dice": 2 * common / sum(sizes),
            "jaccard": common / (sum(sizes) - common),
        }
        mask, reference = (
            surface_of(array, label, here.box)
            for array, label, here in zip(arrays, labels, found, strict=True)
        )
        to_reference = distances_to(mask, reference, spacing_mm)
        to_mask = distances_to(reference, mask, spacing_mm)
        row |= distance_metrics(to_reference, to_mask, tolerance_mm=tolerance_mm)
    else:
        overlap = np.nan if state == "both_empty" else 0.0
        if empty == "worst" and state != "both_empty":
            diagonal = float(np.linalg.norm(np.multiply(arrays[0].shape, spacing_mm)))
            row = dict.fromkeys(_DISTANCES, diagonal)
        row = {"dice": overlap, "jaccard": overlap, **row, "nsd": overlap}
    return row | _sizes(sizes, spacing_mm) | {"state": state}


def _intersection(arrays, labels, found):
    """Return how many voxels of a structure the two share."""
    sides = zip(found[0].box, found[1].box, strict=True)
    both = [slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in sides]
    if any(side.start >= side.stop for side in both):
        return 0
    here, there = (
        array[tuple(both)] == label for array, label in zip(arrays, labels, strict=True)
    )
    return int(np.count_nonzero(here & there))


def _sizes(n_voxels, spacing_mm):
    """Return volumes and their difference, or areas of one slice."""
    mask, reference = (float(n * np.prod(spacing_mm)) for n in n_voxels)
    difference = mask - reference
    percent = 100 * difference / reference if reference else np.nan
    names = _SIZES if len(spacing_mm) == 3 else _AREAS
    values = mask, reference, difference, percent
    return dict(zip(names.values(), values, strict=True))


def summarize_overlap(table: pd.DataFrame, *, by: str = "structure") -> pd.DataFrame:
    """Summarize metrics over cases, with the number of values behind each mean.

    Parameters
    ----------
    table
        Rows of `compare_masks` of many cases below each other, or the ``table`` of
        `compare_cohorts`.
    by
        The column, or the name of the index, that tells groups apart.

    Returns
    -------
    pandas.DataFrame
        One row a group and metric: ``mean, sd, median`` of the ``n`` values that
        exist; of the group, ``n_rows`` and how many of them are ``both_empty,
        mask_empty, reference_empty`` or ``failed``, and ``percent_not_segmented``:
        references with voxels whose mask has none; ``definition`` of the metric.

    Raises
    ------
    SchemaError
        The table has no such column, no ``state`` or no metric.

    Examples
    --------
    >>> mask = np.ones((2, 3), np.uint8)
    >>> options = {"structures": {"LV": 1}, "spacing_mm": (1, 1)}
    >>> tables = [compare_masks(m, mask, **options) for m in (mask, 0 * mask)]
    >>> summary = summarize_overlap(pd.concat(tables)).set_index("metric")
    >>> summary.loc[["dice", "hd_mm"], ["mean", "n", "mask_empty"]].values.tolist()
    [[0.5, 2.0, 1.0], [0.0, 1.0, 1.0]]
    """
    metrics = [name for name in table.columns if name in METRICS]
    flat = table.reset_index() if by == table.index.name else table
    missing = [name for name in (by, "state") if name not in flat.columns]
    if missing or not metrics:
        msg = (
            f"the table lacks {missing or 'metrics'}; it has {list(table.columns)}. "
            "Give rows of compare_masks or compare_cohorts, and by a column of them."
        )
        raise SchemaError(msg)
    texts = METRICS | table.attrs.get("definitions", {})
    rows = []
    for group, part in flat.groupby(by, sort=False, dropna=False):
        counts = _counts(part["state"])
        for metric in metrics:
            values = part[metric].dropna()
            about = {"mean": values.mean(), "sd": values.std()}
            about |= {"median": values.median(), "n": len(values)}
            text = {"definition": texts[metric]}
            rows.append({by: group, "metric": metric, **about, **counts, **text})
    return pd.DataFrame(rows)


def _counts(state):
    counts = {"n_rows": len(state)}
    counts |= {name: int((state == name).sum()) for name in STATES.values()}
    present = counts.pop("both") + counts["mask_empty"]
    percent = 100 * counts["mask_empty"] / present if present else np.nan
    failed = int(state.isna().sum())
    return counts | {"failed": failed, "percent_not_segmented": percent}
