"""From one row a case to one row a patient.

A **features** table and its **cases** table enter, a features table indexed by
``patient_id`` leaves, because outcomes belong to patients and not to lesions.
"""

from collections.abc import Iterator

import pandas as pd

from radlatent.errors import SchemaError
from radlatent.features.origin import keep_origins
from radlatent.schema import check_cases, check_features, nearest, split_column

__all__ = [
    "aggregate",
    "align_cases",
    "cells_of",
    "fractional_decrease",
    "pet_maxima",
]

#: How the lesions of a patient differ.
_STATISTICS = {
    "std": lambda lesions: lesions.std(ddof=1),
    "range": lambda lesions: lesions.max() - lesions.min(),
    "iqr": lambda lesions: lesions.quantile(0.75) - lesions.quantile(0.25),
}

_VOLUMES = ("original_shape_VoxelVolume", "original_shape_MeshVolume")
_MAXIMUM = "original_firstorder_Maximum"


def aggregate(
    features: pd.DataFrame,
    cases: pd.DataFrame,
    *,
    how: str = "pivot",
    volume: str | None = None,
    intensity: str | None = None,
    statistic: str = "std",
) -> pd.DataFrame:
    """Return one row a patient from one row a case.

    Parameters
    ----------
    features
        A **features** table indexed by ``case_id``.
    cases
        The **cases** table; excluded cases are dropped.
    how
        "pivot" gives every lesion its own columns; "largest" takes the lesion with
        the largest volume, "hottest" that with the largest intensity;
        "volume_weighted_mean" and "sum" combine the lesions; "dispersion" says how
        they differ and how many they are.
    volume
        Column with the volume of a lesion, for "largest" and
        "volume_weighted_mean". None takes pyradiomics' voxel volume, or its mesh
        volume, if exactly one block has it.
    intensity
        Column that "hottest" compares. None takes the maximum of the original image,
        if exactly one block with "pet" in its name has it.
    statistic
        What "dispersion" is: "std" (divided by the number of lesions less one),
        "range", or "iqr", from the first to the third quartile (interpolated
        linearly).

    Returns
    -------
    DataFrame
        Columns ``<block>__<feature>``; of "dispersion" ``<block>__<feature>__std``,
        named after its statistic, and ``<block>__n_lesions``. The timepoint is
        appended if the cohort has several, and in a pivot the lesion before it:
        ``<block>__<feature>__LV_ED``.
        Every patient has the columns of every lesion and timepoint in the cohort,
        ordered by first appearance in ``cases``, NaN where the patient lacks them.

    Raises
    ------
    SchemaError
        Cases and features do not match, two cases share a cell of the pivot, or
        the column of the volume or the intensity is not known.

    Notes
    -----
    Missing values never become zeros. In a sum, one missing lesion makes the value
    of the patient missing. In a mean, it is left out together with its weight. A
    lesion without a volume takes no part in "largest" and in the weighted mean, one
    without an intensity none in "hottest". A lesion has one volume and one intensity,
    whatever the block, so that "largest" and "hottest" are one lesion.

    A dispersion is over the lesions that have the value, and missing where fewer than
    two have it: a single lesion does not tell how lesions differ, and 0 would call
    them equal. ``n_lesions`` tells such patients from the others after imputation; it
    counts all lesions of the patient, and is missing where none has a value in the
    block.
    """
    if how not in _COMBINE:
        msg = f"how={how!r} is not one of {list(_COMBINE)}."
        raise SchemaError(msg)
    if statistic not in _STATISTICS:
        msg = f"statistic={statistic!r} is not one of {list(_STATISTICS)}."
        raise SchemaError(msg)
    whole = features
    features, keys = align_cases(features, cases)
    about = statistic
    if how in ("largest", "volume_weighted_mean"):
        about = features[_volume_column(features, volume)]
    elif how == "hottest":
        maxima = pet_maxima(features)
        about = features[_one_column(features, "intensity", intensity, maxima)]
    levels = ["lesion_id", "timepoint"] if how == "pivot" else ["timepoint"]
    patients = pd.Index(keys["patient_id"].unique(), name="patient_id")
    parts = []
    for suffix, rows in cells_of(keys, levels):
        part = _COMBINE[how](features.loc[rows], keys.loc[rows, "patient_id"], about)
        parts.append(part.reindex(patients).add_suffix(suffix))
    return keep_origins(check_features(pd.concat(parts, axis=1)), whole)


def align_cases(
    features: pd.DataFrame, cases: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of the included cases, and whose they are.

    Parameters
    ----------
    features, cases
        As in `aggregate`.

    Returns
    -------
    tuple
        The features in the order of ``cases``, and ``patient_id``, ``lesion_id`` and
        ``timepoint`` of each row, empty texts where the cohort does not tell them.
    """
    check_features(features)
    check_cases(cases)
    if features.index.name != "case_id":
        msg = (
            f"aggregate: the features are indexed by {features.index.name!r}, "
            "not 'case_id'. They are of patients already; leave out this step."
        )
        raise SchemaError(msg)
    unknown = features.index.difference(cases.index).tolist()
    cases = cases[~cases["exclude"]]
    absent = cases.index.difference(features.index).tolist()
    if unknown or absent:
        msg = (
            f"aggregate: {len(absent)} cases have no features row: {absent[:5]}; "
            f"{len(unknown)} features rows have no case: {unknown[:5]}. "
            "Use the cases table the features were extracted from."
        )
        raise SchemaError(msg)
    keys = pd.DataFrame({"patient_id": cases["patient_id"]})
    for level in ("lesion_id", "timepoint"):
        keys[level] = _level(cases, level)
    return features.loc[cases.index], keys


def _level(cases, name):
    if name not in cases or cases[name].isna().all():
        return ""
    if cases[name].isna().any():
        some = cases.index[cases[name].isna()]
        msg = (
            f"cases table: {name!r} is missing in {len(some)} cases: "
            f"{some[:5].tolist()}. Fill it for every case or leave it empty for all."
        )
        raise SchemaError(msg)
    return cases[name].astype(str)


def cells_of(keys: pd.DataFrame, levels: list[str]) -> Iterator[tuple[str, pd.Index]]:
    """Yield suffix and row labels of each lesion and timepoint of the cohort.

    Parameters
    ----------
    keys
        As from `align_cases`.
    levels
        Which of ``lesion_id`` and ``timepoint`` tell cells apart; of one that is the
        same in all rows nothing is said.
    """
    levels = [level for level in levels if len(keys[level].unique()) > 1]
    if not levels:
        yield "", keys.index
        return
    for cell, group in keys.groupby(levels, sort=False):
        yield "__" + "_".join(cell), group.index


def _volume_column(features, volume):
    voxel, mesh = (_columns(features, name) for name in _VOLUMES)
    return _one_column(features, "volume", volume, voxel or mesh)


def _columns(features, name):
    return [column for column in features if split_column(column)[1] == name]


def pet_maxima(features: pd.DataFrame) -> list[str]:
    """Return the columns of the maximum of the original image of a PET block."""
    maxima = _columns(features, _MAXIMUM)
    return [c for c in maxima if "pet" in split_column(c)[0].lower()]


def _one_column(features, parameter, named, found):
    """Return the named column, or the only one that was found."""
    if named is not None and named not in features:
        hint = nearest(named, features)
        msg = f"{parameter}={named!r} is not a column of the features{hint}"
        raise SchemaError(msg)
    if named is None and len(found) != 1:
        msg = (
            f"aggregate: {len(found)} columns could be the {parameter}: {found}. "
            f"Name one as {parameter}=."
        )
        raise SchemaError(msg)
    return found[0] if named is None else named


def _place(table, patients, _about):
    twice = patients[patients.duplicated(keep=False)]
    if len(twice):
        msg = (
            "aggregate: cases with the same patient, lesion and timepoint: "
            f"{twice.index[:5].tolist()}. Give them different lesion_id or timepoint, "
            "exclude one, or use another how=."
        )
        raise SchemaError(msg)
    return table.set_axis(patients.to_numpy(), axis=0)


def _largest(table, patients, values):
    ranked = values.loc[table.index].dropna()
    ranked = ranked.sort_values(ascending=False, kind="stable")
    chosen = patients.loc[ranked.index].drop_duplicates()
    return _place(table.loc[chosen.index], chosen, None)


def _volume_weighted_mean(table, patients, weights):
    weights = weights.loc[table.index]
    weighted = table.mul(weights, axis=0).groupby(patients).sum(min_count=1)
    return weighted / table.notna().mul(weights, axis=0).groupby(patients).sum()


def _sum(table, patients, _about):
    total = table.groupby(patients).sum()
    return total.mask(table.isna().groupby(patients).any())


def _dispersion(table, patients, statistic):
    lesions = table.groupby(patients)
    spread = _STATISTICS[statistic](lesions).where(lesions.count() > 1)
    counts = _count_lesions(table, patients)
    return spread.add_suffix(f"__{statistic}").join(counts)


def _count_lesions(table, patients):
    blocks = [split_column(column)[0] for column in table]
    measured = table.notna().T.groupby(blocks, sort=False).any().T
    measured = measured.groupby(patients).any()
    counts = measured.astype(float).mul(patients.value_counts(), axis=0)
    return counts.where(measured).add_suffix("__n_lesions")


_COMBINE = {
    "pivot": _place,
    "largest": _largest,
    "hottest": _largest,
    "volume_weighted_mean": _volume_weighted_mean,
    "sum": _sum,
    "dispersion": _dispersion,
}


def fractional_decrease(
    features: pd.DataFrame,
    cases: pd.DataFrame,
    *,
    feature: str,
    lesion_id: str,
    first: str,
    last: str,
) -> pd.Series:
    """Return (value at ``first`` - value at ``last``) / value at ``first``.

    Of a cavity volume with ``first="ED"`` and ``last="ES"`` it is the ejection
    fraction.

    Parameters
    ----------
    features
        A **features** table indexed by ``case_id``.
    cases
        The **cases** table; excluded cases are dropped.
    feature
        The column, with its block.
    lesion_id
        The lesion or structure.
    first, last
        The two timepoints.

    Returns
    -------
    Series
        A fraction (no unit) for every patient in ``cases``; NaN where a timepoint is
        missing or the value at ``first`` is zero.

    Notes
    -----
    EF = (EDV - ESV) / EDV, EDV and ESV being the end-diastolic and end-systolic
    volume.

    References
    ----------
    Lang et al. 2015, doi:10.1016/j.echo.2014.10.003
    """
    features, keys = align_cases(features, cases)
    for name, value, known in (
        ("feature", feature, list(features)),
        ("lesion_id", lesion_id, keys["lesion_id"].unique().tolist()),
        ("first", first, keys["timepoint"].unique().tolist()),
        ("last", last, keys["timepoint"].unique().tolist()),
    ):
        if value not in known:
            hint = nearest(value, known) or f"; there are {known[:5]}"
            msg = f"{name}={value!r} is not in the tables{hint}"
            raise SchemaError(msg)
    patients = pd.Index(keys["patient_id"].unique(), name="patient_id")
    ends = []
    for timepoint in (first, last):
        rows = (keys["lesion_id"] == lesion_id) & (keys["timepoint"] == timepoint)
        cell = _place(features.loc[rows], keys.loc[rows, "patient_id"], None)
        ends.append(cell[feature].reindex(patients))
    start = ends[0].where(ends[0] != 0)
    return ((start - ends[1]) / start).rename("fractional_decrease")
