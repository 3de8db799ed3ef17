"""How thick the myocardium is: what a cardiologist reads first on short-axis slices.

A cohort with masks of myocardium and cavity enters, a **features** table by case of the
myocardium leaves, and what it becomes from one timepoint to another.
"""

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.ndimage import distance_transform_edt

from radlatent.cohort import Cohort
from radlatent.errors import GeometryError, SchemaError
from radlatent.features.aggregate import fractional_decrease
from radlatent.features.origin import keep_origins, mark_measured
from radlatent.handcrafted.aha import (
    ORIENTATIONS,
    SEGMENTS,
    aha_segments,
    closed_slices,
)
from radlatent.imaging import (
    check_same_grid,
    chosen,
    read_volume,
    region_of,
    whole_labels,
)
from radlatent.parallel import map_tasks
from radlatent.schema import check_features, failures_table, nearest

__all__ = [
    "Walls",
    "measure_walls",
    "slice_thickness",
    "thickness_map",
    "wall_thickening",
    "wall_thickness",
]

_log = logging.getLogger(__name__)

#: Of slices, block ``<modality>_myocardium``.
_SLICES = ("wall_thickness_mean", "wall_thickness_maximum", "wall_thickness_spread")

#: The segments, as names end.
_NUMBERS = [f"aha_{number:02d}" for number in SEGMENTS]

#: Within slices and over segments, block ``<modality>_wall``.
_WITHIN = (
    "thickness_within_slice_maximum_mean",
    "thickness_within_slice_maximum_maximum",
    "thickness_within_slice_spread_mean",
    "thickness_within_slice_spread_maximum",
)
_OF_SEGMENTS = (
    *(f"thickness_{name}" for name in _NUMBERS),
    "thickness_aha_mean",
    "thickness_aha_maximum",
    "thickness_aha_spread",
)


@dataclass(frozen=True, eq=False)
class Walls:
    """What was measured of the walls of a cohort, and what could not be.

    Parameters
    ----------
    features
        As from `wall_thickness`.
    failures
        The **failures** table: cases whose values, or segments, are missing, and why.
    """

    features: pd.DataFrame
    failures: pd.DataFrame


def wall_thickness(
    cohort: Cohort,
    *,
    myocardium: str,
    cavity: str,
    modality: str,
    right_ventricle: str | None = None,
    orientation: str = "header",
    jobs: int | None = None,
) -> pd.DataFrame:
    """Return the thickness of the myocardium around a cavity, from its masks.

    Parameters
    ----------
    cohort
        A cohort of short-axis images.
    myocardium, cavity
        The ``lesion_id`` of both structures.
    modality
        Whose masks are read.
    right_ventricle
        The ``lesion_id`` of the right ventricle, for the segments; None: no segments.
    orientation
        What tells anterior from inferior segments: "header" or "displayed", as in
        `radlatent.handcrafted.aha.aha_segments`.
    jobs
        Processes; None leaves it to ``joblib.parallel_config``.

    Returns
    -------
    DataFrame
        A **features** table by ``case_id`` of the myocardium, all in mm.

        Block ``<modality>_myocardium``: mean, maximum and standard deviation over the
        slices of the mean thickness of a slice.

        Block ``<modality>_wall``: of the maximum and of the standard deviation of the
        thickness within a slice the mean and the maximum over slices
        (``thickness_within_slice_spread_mean``); with ``right_ventricle`` the mean
        thickness in each of the segments 1 to 16 of the American Heart Association
        (``thickness_aha_01``) and the mean, maximum and standard deviation over these.

        NaN where patient and timepoint lack the cavity, no slice shows both, or
        segments cannot be told; the reason is logged, and in `measure_walls`.

    Raises
    ------
    SchemaError
        The cohort has no such structure, its pixel size is unknown, or the orientation
        is not one of both.

    Notes
    -----
    See `thickness_map`. Slices without a cavity (the apex) are left out. Means of
    slices, not of points, so that one bulge does not decide; a slice is measured in its
    own plane, so that near the apex, where the wall is cut obliquely, it looks thicker.
    Slices in which the ring of the wall is open, as at the base, count in
    ``<modality>_myocardium`` only: at the ends of an open wall the way out is short.
    Standard deviations divide by the number of points, slices or segments. A segment
    without a pixel is NaN; so are then what is taken over the segments.

    References
    ----------
    Cerqueira et al. 2002, doi:10.1161/hc0402.102975 (segments); Lang et al. 2015,
    doi:10.1016/j.echo.2014.10.003 (what is normal)
    """
    walls = measure_walls(
        cohort,
        myocardium=myocardium,
        cavity=cavity,
        modality=modality,
        right_ventricle=right_ventricle,
        orientation=orientation,
        jobs=jobs,
    )
    for row in walls.failures.itertuples():
        _log.warning("%s: %s", row.case_id, row.message)
    return walls.features


def measure_walls(
    cohort: Cohort,
    *,
    myocardium: str,
    cavity: str,
    modality: str,
    right_ventricle: str | None = None,
    orientation: str = "header",
    jobs: int | None = None,
) -> Walls:
    """Return what `wall_thickness` does, and why values are missing.

    Parameters
    ----------
    cohort, myocardium, cavity, modality, right_ventricle, orientation, jobs
        As of `wall_thickness`.
    """
    if orientation not in ORIENTATIONS:
        hint = nearest(orientation, ORIENTATIONS)
        msg = f"orientation={orientation!r} is not one of {list(ORIENTATIONS)}{hint}."
        raise SchemaError(msg)
    structures = {"": myocardium, "_cavity": cavity}
    if right_ventricle is not None:
        structures["_right"] = right_ventricle
    cases = cohort.located
    sets = _together(cohort, structures, modality)
    column, tasks, missing = f"mask_{modality}", {}, []
    for case_id, row in sets.iterrows():
        lacking = [structures[s] for s in ("", "_cavity") if pd.isna(row[column + s])]
        if lacking:
            why = f"there is no mask of {lacking} at this timepoint: no thickness"
            missing.append((case_id, "CohortError", why))
        else:
            there = [s for s in structures if not pd.isna(row[column + s])]
            about = {s: (row[column + s], row[f"mask_label{s}"]) for s in there}
            tasks[case_id] = about, "_right" in structures, orientation
    outcome = map_tasks(_measure, tasks, jobs=jobs, description="Measuring the wall")
    names = [f"{modality}_myocardium__{name}" for name in _SLICES]
    within = _WITHIN if right_ventricle is None else (*_WITHIN, *_OF_SEGMENTS)
    names += [f"{modality}_wall__{name}" for name in within]
    values = {case_id: numbers for case_id, (numbers, _) in outcome.results.items()}
    table = pd.DataFrame.from_dict(values, orient="index", columns=names)
    table = check_features(table.reindex(sets.index).astype("float64"))
    missing += [(name, *told) for name, told in outcome.failures.items()]
    reasons = {case_id: why for case_id, (_, why) in outcome.results.items() if why}
    missing += [(case_id, "GeometryError", why) for case_id, why in reasons.items()]
    stage = f"myocardium {modality}"
    failures = failures_table([(case_id, stage, *told) for case_id, *told in missing])
    return Walls(mark_measured(table, cases), failures)


def _together(cohort, structures, modality):
    """Return the masks of structures side by side, a row a case of the first."""
    cases = cohort.located
    found = set(cases["lesion_id"].dropna()) if "lesion_id" in cases else set()
    absent = [name for name in structures.values() if name not in found]
    if absent:
        msg = f"lesion_id {absent} are not in cohort {cohort.name!r}: {sorted(found)}."
        raise SchemaError(msg)
    cohort.check_in_mm(modality, "the thickness of a wall")
    keys = [k for k in ("patient_id", "timepoint") if k in cases]
    columns = [*keys, f"mask_{modality}", "mask_label"]
    parts = {
        suffix: cases.loc[cases["lesion_id"] == name, columns]
        for suffix, name in structures.items()
    }
    table = parts.pop("").rename_axis("case_id").reset_index()
    for suffix, part in parts.items():
        part = part.drop_duplicates(keys, keep="last")
        table = table.merge(part, on=keys, how="left", suffixes=("", suffix))
    return table.set_index("case_id")


def _measure(masks, with_segments, orientation):
    """Return the numbers of one case, and why some of them are missing, or None."""
    volumes = {path: _labels(path) for path, _ in masks.values()}
    found = {
        suffix: _structure(volumes[p], label) for suffix, (p, label) in masks.items()
    }
    wall, cavity = found[""], found["_cavity"]
    for other in found.values():
        check_same_grid(wall, other)
    # axes of the array are z, y, x; a short-axis slice is one z
    pixel = np.asarray(wall.spacing_mm)[1:]
    pairs = zip(wall.array, cavity.array, strict=True)
    maps = np.stack([thickness_map(w, c, pixel) for w, c in pairs])
    shown = [one[~np.isnan(one)] for one in maps]
    means = np.array([points.mean() for points in shown if len(points)])
    closed = closed_slices(wall.array, cavity.array)
    rings = [one for one, whole in zip(shown, closed, strict=True) if whole]
    within = [np.array([one(ring) for ring in rings]) for one in (np.max, np.std)]
    numbers = [*_over(means), *(n for one in within for n in _over(one)[:2])]
    why = None if closed.any() else _why_none(means)
    if with_segments:
        try:
            numbers += _by_segment(maps, found, orientation)
        except GeometryError as error:
            numbers += [np.nan] * len(_OF_SEGMENTS)
            why = why or str(error)
    return [float(number) for number in numbers], why


def _why_none(means):
    if len(means):
        return "the ring of the wall is open in every slice: nothing within slices"
    return "no slice shows wall and cavity"


def _by_segment(maps, found, orientation):
    """Return the numbers of the segments; the right ventricle may not be there."""
    wall, cavity = found[""], found["_cavity"]
    right = found.get("_right", wall.with_array(np.zeros_like(wall.array)))
    segments = aha_segments(wall, cavity, right, orientation)
    parts = [maps[segments == number] for number in SEGMENTS]
    means = [part.mean() if len(part) else np.nan for part in parts]
    return [*means, np.mean(means), np.max(means), np.std(means)]


def _over(values):
    """Return mean, maximum and standard deviation, NaN of nothing."""
    if not len(values):
        return [np.nan] * 3
    return [values.mean(), values.max(), values.std()]


def _labels(path):
    return whole_labels(read_volume(path), str(path))[0]


def _structure(labels, label):
    return labels.with_array(chosen(labels.array, region_of(label)))


def slice_thickness(
    wall: np.ndarray, cavity: np.ndarray, pixel_mm: np.ndarray
) -> float:
    """Return the mean thickness of a wall around a cavity in one slice, in mm.

    Parameters
    ----------
    wall, cavity
        Booleans, shape (rows, columns).
    pixel_mm
        Distance of rows and of columns.

    Returns
    -------
    float
        The mean of `thickness_map`; NaN where one of both is missing.
    """
    if not wall.any() or not cavity.any():
        return np.nan
    return float(np.nanmean(thickness_map(wall, cavity, pixel_mm)))


def thickness_map(
    wall: np.ndarray, cavity: np.ndarray, pixel_mm: np.ndarray
) -> np.ndarray:
    """Return the thickness of a wall at each of its pixels in one slice, in mm.

    Parameters
    ----------
    wall, cavity
        Booleans, shape (rows, columns).
    pixel_mm
        Distance of rows and of columns.

    Returns
    -------
    numpy.ndarray
        Shape (rows, columns), NaN outside the wall, and everywhere without a cavity.

    Notes
    -----
    At a pixel of the wall the ways to the cavity and to the outside are added: the
    thickness of a tissue at a point is the length of the way between its borders that
    passes there (Yezzi and Prince), here along the two shortest ways, which are one
    straight line where both borders are parallel. Between two circles whose centers
    are apart by e it is (R - r) + |p - a| - |p - b| at the point p, a and b being the
    centers of the inner and of the outer circle, so that it lies within e of R - r.

    A way ends at the center of a pixel beyond the border, half a pixel too far where
    the border runs along the grid, which is taken off in the direction of the way.
    Beyond a round border the nearest center lies less far: a ring comes out 0.4 pixels
    too thin on average, all around.

    References
    ----------
    Yezzi & Prince 2003, doi:10.1109/TMI.2003.817775
    """
    found = np.full(wall.shape, np.nan)
    if not wall.any() or not cavity.any():
        return found
    # no way to a border leads farther than one pixel beyond both
    rows, columns = (
        slice(where.min(), where.max() + 1) for where in (wall | cavity).nonzero()
    )
    muscle, inner = (np.pad(mask[rows, columns], 1) for mask in (wall, cavity))
    total = sum(_way(mask, pixel_mm)[muscle] for mask in (~inner, muscle | inner))
    found[wall] = total
    return found


def _way(mask, pixel_mm):
    """Return the way from the pixels of a mask to its border, in mm."""
    length, ends = distance_transform_edt(mask, sampling=pixel_mm, return_indices=True)
    pixel = np.asarray(pixel_mm)[:, None, None]
    way = (ends - np.indices(mask.shape)) * pixel
    # half of what a pixel measures along the way; 0 of 0 outside the mask
    half = 0.5 * np.hypot(*(way * pixel)) / np.where(mask, length, 1)
    return length - half


def wall_thickening(
    walls: pd.DataFrame, cases: pd.DataFrame, *, first: str, last: str
) -> pd.DataFrame:
    """Return by what share the wall is thicker at one timepoint than at another.

    Parameters
    ----------
    walls
        What `wall_thickness` returned.
    cases
        The **cases** table; excluded cases are dropped.
    first, last
        The two timepoints, ``"ED"`` and ``"ES"`` of a heart.

    Returns
    -------
    DataFrame
        A **features** table by ``patient_id``, block ``<modality>_wall``: fractions, 0
        where the wall stays as it is. ``thickening_mean`` of the mean thickness of
        slices, and ``thickening_aha_01`` to ``_16`` where there are segments; NaN where
        one of both is missing.

    Raises
    ------
    SchemaError
        There is no such timepoint, or the table is of several structures or modalities.

    Notes
    -----
    (thickness at ``last`` - thickness at ``first``) / thickness at ``first``; of the
    segments the same segment at both. Slices are not followed through the beat, so that
    the third of the ventricle that a segment belongs to is that of its own timepoint.
    """
    cases = cases.loc[cases.index.intersection(walls.index)]
    structures = sorted(set(cases["lesion_id"].dropna()))
    means = [c for c in walls if c.endswith(f"_myocardium__{_SLICES[0]}")]
    if len(structures) != 1 or len(means) != 1:
        msg = (
            "give what wall_thickness returned of one myocardium in one modality, not "
            f"columns {means} of {structures}."
        )
        raise SchemaError(msg)
    modality = means[0].removesuffix(f"_myocardium__{_SLICES[0]}")
    about = {"lesion_id": structures[0], "first": first, "last": last}
    wanted = {means[0]: "mean"}
    wanted |= {f"{modality}_wall__thickness_{name}": name for name in _NUMBERS}
    found = {
        f"{modality}_wall__thickening_{new}": -fractional_decrease(
            walls, cases, feature=column, **about
        )
        for column, new in wanted.items()
        if column in walls
    }
    return keep_origins(check_features(pd.DataFrame(found)), walls)
