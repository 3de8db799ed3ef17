"""How thick the myocardium is: what a cardiologist reads first on short-axis slices.

A cohort with masks of myocardium and cavity enters, a **features** table by case of the
myocardium leaves.
"""

import numpy as np
import pandas as pd
from scipy.ndimage import distance_transform_edt

from radlatent.cohort import Cohort
from radlatent.errors import SchemaError
from radlatent.features.origin import mark_measured
from radlatent.imaging import chosen, read_volume, region_of, whole_labels
from radlatent.parallel import map_tasks
from radlatent.schema import check_features

__all__ = ["slice_thickness", "wall_thickness"]

_NAMES = ("wall_thickness_mean", "wall_thickness_maximum", "wall_thickness_spread")


def wall_thickness(
    cohort: Cohort,
    *,
    myocardium: str,
    cavity: str,
    modality: str,
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
    jobs
        Processes; None leaves it to ``joblib.parallel_config``.

    Returns
    -------
    DataFrame
        A **features** table by ``case_id`` of the myocardium: mean, maximum and
        standard deviation over the slices of the mean thickness of a slice, in mm, in
        the block ``<modality>_myocardium``. NaN where patient and timepoint lack the
        cavity, or no slice shows both.

    Raises
    ------
    SchemaError
        The cohort has no such structure.

    Notes
    -----
    See `slice_thickness`. Slices without a cavity (the apex) are left out. Means of
    slices, not of points, so that one bulge does not decide; a slice is measured in its
    own plane, so that near the apex, where the wall is cut obliquely, it looks thicker.

    References
    ----------
    Lang et al. 2015, doi:10.1016/j.echo.2014.10.003 (what is normal)
    """
    cases = cohort.located
    found = set(cases["lesion_id"].dropna()) if "lesion_id" in cases else set()
    absent = [name for name in (myocardium, cavity) if name not in found]
    if absent:
        msg = f"lesion_id {absent} are not in cohort {cohort.name!r}: {sorted(found)}."
        raise SchemaError(msg)
    keys = [k for k in ("patient_id", "timepoint") if k in cases]
    walls = cases[cases["lesion_id"] == myocardium]
    columns = [*keys, f"mask_{modality}", "mask_label"]
    inner = cases.loc[cases["lesion_id"] == cavity, columns]
    pairs = walls[columns].reset_index()
    pairs = pairs.merge(inner, on=keys, suffixes=("", "_cavity"))
    mask = f"mask_{modality}"
    tasks = {row["case_id"]: (dict(row), mask) for _, row in pairs.iterrows()}
    outcome = map_tasks(_measure, tasks, jobs=jobs, description="Measuring the wall")
    names = [f"{modality}_myocardium__{name}" for name in _NAMES]
    table = pd.DataFrame.from_dict(outcome.results, orient="index", columns=names)
    table = check_features(table.reindex(walls.index).astype("float64"))
    return mark_measured(table, cases)


def _measure(case, column):
    wall, inner = (_structure(case, column, suffix) for suffix in ("", "_cavity"))
    # axes of the array are z, y, x; a short-axis slice is one z
    pixel = np.asarray(wall.spacing_mm)[1:]
    pairs = zip(wall.array, inner.array, strict=True)
    found = [slice_thickness(w, c, pixel) for w, c in pairs]
    found = np.array([mm for mm in found if not np.isnan(mm)])
    if not len(found):
        return [np.nan] * 3
    return [float(found.mean()), float(found.max()), float(found.std())]


def _structure(case, column, suffix):
    path = case[f"{column}{suffix}"]
    labels, _ = whole_labels(read_volume(path), str(path))
    wanted = region_of(case[f"mask_label{suffix}"])
    return labels.with_array(chosen(labels.array, wanted))


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
        NaN where one of both is missing.

    Notes
    -----
    At each pixel of the wall the ways to the cavity and to the outside are added; the
    thickness is the mean of the sums. Both ways end at the center of a pixel beyond
    the border, half a pixel too far each, so that one pixel is taken off.
    """
    if not wall.any() or not cavity.any():
        return np.nan
    padded = [np.pad(mask, 1) for mask in (wall, cavity)]
    inward = distance_transform_edt(~padded[1], sampling=pixel_mm)
    outward = distance_transform_edt(padded[0] | padded[1], sampling=pixel_mm)
    total = (inward + outward)[padded[0]]
    return float(total.mean() - np.mean(pixel_mm))
