"""From one row a case to one row a patient.

A **features** table and its **cases** table enter, a features table indexed by
``patient_id`` leaves, because outcomes belong to patients and not to lesions.
"""

import pandas as pd

from radlatent.errors import SchemaError
from radlatent.latent.folded import keep_origins
from radlatent.schema import check_cases, check_features, nearest, split_column

__all__ = ["aggregate", "fractional_decrease"]


def aggregate(
    features: pd.DataFrame,
    cases: pd.DataFrame,
    *,
    how: str = "pivot",
    volume: str | None = None,
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
        the largest volume; "volume_weighted_mean" and "sum" combine the lesions.
    volume
        Column with the volume of a lesion, for "largest" and
        "volume_weighted_mean". None takes pyradiomics' voxel volume, or its mesh
        volume, if exactly one block has it.

    Returns
    -------
    DataFrame
        Columns ``<block>__<feature>``. The timepoint is appended if the cohort has
        several, and in a pivot the lesion before it: ``<block>__<feature>__LV_ED``.
        Every patient has the columns of every lesion and timepoint in the cohort,
        ordered by first appearance in ``cases``, NaN where the patient lacks them.

    Raises
    ------
    SchemaError
        Cases and features do not match, two cases share a cell of the pivot, or
        the volume column is not known.

    Notes
    -----
    Missing values never become zeros. In a sum, one missing lesion makes the value
    of the patient missing. In a mean, it is left out together with its weight. A
    lesion without a volume takes no part in "largest" and in the weighted mean.
    A lesion has one volume, whatever the block, so that "largest" is one lesion.
    """
    if how not in _COMBINE:
        msg = f"how={how!r} is not one of {list(_COMBINE)}."
        raise SchemaError(msg)
    whole = features
    features, keys = _align(features, cases)
    weights = None
    if how in ("largest", "volume_weighted_mean"):
        weights = features[_volume_column(features, volume)]
    levels = ["lesion_id", "timepoint"] if how == "pivot" else ["timepoint"]
    levels = [level for level in levels if len(keys[level].unique()) > 1]
    patients = pd.Index(keys["patient_id"].unique(), name="patient_id")
    parts = []
    for suffix, rows in _cells(keys, levels):
        part = _COMBINE[how](features.loc[rows], keys.loc[rows, "patient_id"], weights)
        parts.append(part.reindex(patients).add_suffix(suffix))
    return keep_origins(check_features(pd.concat(parts, axis=1)), whole)


def _align(features, cases):
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


def _cells(keys, levels):
    """Return suffix and row labels of each lesion and timepoint of the cohort."""
    if not levels:
        return [("", keys.index)]
    groups = keys.groupby(levels, sort=False)
    return [("__" + "_".join(cell), group.index) for cell, group in groups]


def _volume_column(features, volume):
    if volume is not None:
        if volume in features:
            return volume
        hint = nearest(volume, features)
        msg = f"volume={volume!r} is not a column of the features{hint}"
        raise SchemaError(msg)
    voxel, mesh = (
        [column for column in features if split_column(column)[1] == name]
        for name in ("original_shape_VoxelVolume", "original_shape_MeshVolume")
    )
    found = voxel or mesh
    if len(found) != 1:
        msg = (
            f"aggregate: {len(found)} columns could be the volume: {found}. "
            "Name one as volume=."
        )
        raise SchemaError(msg)
    return found[0]


def _place(table, patients, _weights):
    twice = patients[patients.duplicated(keep=False)]
    if len(twice):
        msg = (
            "aggregate: cases with the same patient, lesion and timepoint: "
            f"{twice.index[:5].tolist()}. Give them different lesion_id or timepoint, "
            "exclude one, or use another how=."
        )
        raise SchemaError(msg)
    return table.set_axis(patients.to_numpy(), axis=0)


def _largest(table, patients, weights):
    ranked = weights.loc[table.index].dropna()
    ranked = ranked.sort_values(ascending=False, kind="stable")
    chosen = patients.loc[ranked.index].drop_duplicates()
    return _place(table.loc[chosen.index], chosen, None)


def _volume_weighted_mean(table, patients, weights):
    weights = weights.loc[table.index]
    weighted = table.mul(weights, axis=0).groupby(patients).sum(min_count=1)
    return weighted / table.notna().mul(weights, axis=0).groupby(patients).sum()


def _sum(table, patients, _weights):
    total = table.groupby(patients).sum()
    return total.mask(table.isna().groupby(patients).any())


_COMBINE = {
    "pivot": _place,
    "largest": _largest,
    "volume_weighted_mean": _volume_weighted_mean,
    "sum": _sum,
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
    features, keys = _align(features, cases)
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
