"""From rows of patients back to sets of lesions, standardized, with their edges.

A **features** table as `LesionGraphs.table` gives it enters, with columns of patients
beside it; arrays leave. What is standardized is learned on training patients.
"""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist

from radlatent.errors import SchemaError

__all__ = [
    "BLOCK",
    "PLACE",
    "Edges",
    "Scaling",
    "Sets",
    "edges_of",
    "lesion_column",
    "read_sets",
]

#: Block of what is known of a graph beside the features of its lesions.
BLOCK = "lesion_graph"
PLACE = ("x_mm", "y_mm", "z_mm")

_OF_LESION = re.compile(r"(?P<name>.+)__lesion(?P<number>\d{3,})")


def lesion_column(column: str, number: int) -> str:
    """Return the column of one lesion, counted from 1.

    Examples
    --------
    >>> lesion_column("pet_handcrafted__original_firstorder_Mean", 2)
    'pet_handcrafted__original_firstorder_Mean__lesion002'
    """
    return f"{column}__lesion{number:03d}"


@dataclass(frozen=True)
class Edges:
    """Edges of the lesions of one patient, or of several side by side.

    Parameters
    ----------
    neighbours
        Which lesions, shape (..., n_lesions, n_neighbours).
    distance_mm
        Of the same shape.
    direction
        Unit vectors from a lesion to its neighbour, shape (..., 3) besides.
    is_there
        Whether there is such an edge.
    """

    neighbours: np.ndarray
    distance_mm: np.ndarray
    direction: np.ndarray
    is_there: np.ndarray


def edges_of(places: np.ndarray, n_neighbours: int, radius_mm: float | None) -> Edges:
    """Return the edges of one patient.

    Parameters
    ----------
    places
        Centroids, mm, shape (n_lesions, 3).
    n_neighbours, radius_mm
        As in `LesionGraphs.edges`.
    """
    n = len(places)
    apart = cdist(places, places)
    np.fill_diagonal(apart, np.inf)
    k = max(1, min(n_neighbours, n - 1))
    nearest = np.argsort(apart, axis=1, kind="stable")[:, :k]
    distance = np.take_along_axis(apart, nearest, axis=1)
    reach = np.inf if radius_mm is None else radius_mm
    there = np.isfinite(distance) & (distance <= reach)
    distance = np.where(there, distance, 0.0)
    step = places[nearest] - places[:, None]
    direction = step / np.maximum(distance, 1e-9)[..., None]
    return Edges(nearest, distance, np.where(there[..., None], direction, 0.0), there)


@dataclass(frozen=True)
class Sets:
    """Lesions and columns of patients.

    Parameters
    ----------
    lesions
        Features, shape (n_patients, n_lesions, n_features); NaN is missing.
    places
        Centroids, mm, shape (n_patients, n_lesions, 3).
    is_there
        Whether there is such a lesion, shape (n_patients, n_lesions).
    patients
        Dmax, number of lesions and clinical columns, shape (n_patients, n_columns).
    names
        Of the features, sorted.
    columns
        Of the patients.
    """

    lesions: np.ndarray
    places: np.ndarray
    is_there: np.ndarray
    patients: np.ndarray
    names: tuple[str, ...]
    columns: tuple[str, ...]


def read_sets(X: pd.DataFrame) -> Sets:
    """Return the sets of lesions of a table.

    Parameters
    ----------
    X
        A table of `LesionGraphs.table`, perhaps with columns of patients, which the
        clinical branch takes.

    Raises
    ------
    SchemaError
        It is no such table, or it has lost lesions.
    """
    if not isinstance(X, pd.DataFrame):
        msg = "lesion graphs take the DataFrame of LesionGraphs.table, not an array."
        raise SchemaError(msg)
    found = {column: _OF_LESION.fullmatch(str(column)) for column in X}
    slots = sorted({int(match["number"]) for match in found.values() if match})
    names = sorted({match["name"] for match in found.values() if match})
    own = [f"{BLOCK}__{name}" for name in PLACE]
    counted = f"{BLOCK}__n_lesions"
    absent = [name for name in own if name not in names]
    absent += [n for n in (counted, f"{BLOCK}__dmax_mm") if n not in X]
    if absent:
        msg = (
            f"lesion graphs: the table lacks {absent}. Make it with "
            "LesionGraphs(features, cases, centroids).table(), and keep the block "
            f"{BLOCK!r}."
        )
        raise SchemaError(msg)
    features = [name for name in names if name not in own]
    places = _stacked(X, own, slots)
    there = np.isfinite(places).all(axis=2)
    lost = X.index[there.sum(axis=1) != X[counted]].tolist()
    if lost:
        msg = (
            f"lesion graphs: {len(lost)} patients have other lesions than "
            f"{counted!r} counts: {lost[:5]}. A table that was made with more lesions "
            "was cut: give all cohorts one most= in LesionGraphs.table."
        )
        raise SchemaError(msg)
    columns = sorted(str(column) for column, match in found.items() if not match)
    patients = X[columns].to_numpy(float)
    lesions = _stacked(X, features, slots)
    return Sets(lesions, places, there, patients, tuple(features), tuple(columns))


def _stacked(X, names, slots):
    """Return columns of lesions, shape (n_patients, n_lesions, n_names)."""
    wide = X.reindex(columns=[lesion_column(n, s) for s in slots for n in names])
    return wide.to_numpy(float).reshape(len(X), len(slots), len(names))


@dataclass(frozen=True, eq=False)
class Scaling:
    """What brings features of lesions and columns of patients to one scale.

    Parameters
    ----------
    center, scale
        Median and interquartile range of a feature over training lesions; the scale of
        one that is constant or empty is infinite, so that it is 0 everywhere.
    patient_center, patient_scale
        Mean and standard deviation of a column over training patients.

    Notes
    -----
    A lesion is asinh((x - center) / scale): near the median as it is, far away as its
    logarithm, since volumes and uptakes have long tails. Missing is 0, the median.
    """

    center: np.ndarray
    scale: np.ndarray
    patient_center: np.ndarray
    patient_scale: np.ndarray

    @classmethod
    def learn(cls, sets: Sets) -> "Scaling":
        """Return the scaling of training patients.

        Raises
        ------
        SchemaError
            No patient has a lesion.
        """
        lesions = sets.lesions[sets.is_there]
        if not len(lesions):
            raise SchemaError("lesion graphs: no training patient has a lesion.")
        low, center, high = (_quantile(lesions, q) for q in (0.25, 0.5, 0.75))
        mean = _quantile(sets.patients, None)
        spread = _quantile((sets.patients - mean) ** 2, None) ** 0.5
        return cls(center, _scale(high - low), mean, _scale(spread))

    def apply(self, sets: Sets) -> Sets:
        """Return sets on one scale, each with its lesions in an order of their own.

        The order depends on the lesions and not on that of the table, so that sums of
        floats do not either.
        """
        lesions = np.arcsinh((sets.lesions - self.center) / self.scale)
        lesions = np.where(np.isfinite(lesions), lesions, 0.0)
        patients = (sets.patients - self.patient_center) / self.patient_scale
        patients = np.where(np.isfinite(patients), patients, 0.0)
        keys = np.concatenate([lesions, np.nan_to_num(sets.places)], axis=2)
        order = np.stack(
            [
                np.lexsort([*key.T, ~there])
                for key, there in zip(keys, sets.is_there, strict=True)
            ]
        )
        turned = [
            np.take_along_axis(array, order[..., None], axis=1)
            for array in (lesions, sets.places)
        ]
        there = np.take_along_axis(sets.is_there, order, axis=1)
        return Sets(*turned, there, patients, sets.names, sets.columns)


def _quantile(values, q):
    """Return a quantile of each column, or its mean; 0 of one without a value."""
    empty = ~np.isfinite(values).any(axis=0)
    filled = np.where(empty, 0.0, values)
    return np.nanmean(filled, axis=0) if q is None else np.nanquantile(filled, q, 0)


def _scale(spread):
    return np.where(spread > 1e-12, spread, np.inf)
