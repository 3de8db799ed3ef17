"""A latent space in two coordinates.

A **features** table enters; two coordinates a case and the meaning of both leave.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import StratifiedGroupKFold

from radlatent.errors import SchemaError

__all__ = ["LatentMap", "latent_map"]

_COORDINATES = ["coordinate_1", "coordinate_2"]

#: Folds that discriminant axes are fitted in.
_N_FOLDS = 5


@dataclass(frozen=True, eq=False, repr=False)
class LatentMap:
    """Two coordinates of every case.

    Parameters
    ----------
    coordinates
        By ``case_id``: ``coordinate_1, coordinate_2`` and, where groups were given,
        ``group``; NaN where a feature is missing.
    axes
        One row a coordinate: ``coordinate, label, share``. The share is of the
        variance for a principal component; for a discriminant axis, of what all axes
        have of the variance between groups, fitted on all cases.
    """

    coordinates: pd.DataFrame
    axes: pd.DataFrame

    @property
    def summary(self) -> pd.DataFrame:
        """What the two coordinates are."""
        return self.axes

    def plot(self, ax=None, **kwargs):
        """Draw the cases on ``ax`` and return it."""
        from radlatent import figures

        return figures.latent_map(self.coordinates, ax, axes=self.axes, **kwargs)

    def __repr__(self) -> str:
        return f"LatentMap({len(self.coordinates)} cases: {', '.join(self.axes.label)})"

    def _repr_html_(self) -> str:
        return self.summary.to_html()


def latent_map(
    features: pd.DataFrame,
    *,
    method: str = "pca",
    groups: pd.Series | None = None,
    patients: pd.Series | None = None,
    random_state: int = 0,
) -> LatentMap:
    """Bring a latent space to two coordinates.

    Parameters
    ----------
    features
        A **features** table; only rows without NaN are used.
    method
        "pca": principal components of the centered columns. "lda": discriminant axes
        of ``groups``, cross-fitted: each case is shown where axes put it that were
        fitted without its patient.
    groups
        Names by ``case_id``, such as classes or cohorts.
    patients
        Patient by ``case_id``; None takes every case for a patient of its own.
    random_state
        Of the folds of "lda".

    Raises
    ------
    SchemaError
        The method is unknown, or groups are missing or too small.

    Notes
    -----
    Axes fitted on the cases that are shown separate groups even where features are
    noise, hence the folds. Those axes have the sign that the axes of all cases have.
    The covariance within groups is shrunk (Ledoit and Wolf 2004). Two groups have one
    discriminant axis; the second coordinate is then the first principal component.

    References
    ----------
    Ledoit and Wolf 2004, doi:10.1016/S0047-259X(03)00096-4
    """
    if method not in ("pca", "lda"):
        msg = f"method is {method!r}; give 'pca' or 'lda'."
        raise SchemaError(msg)
    complete = features.dropna()
    if len(complete) < 3 or complete.shape[1] < 2:
        msg = (
            f"{len(complete)} complete rows of {complete.shape[1]} features: a map "
            "needs three rows and two features or more."
        )
        raise SchemaError(msg)
    values = complete.to_numpy(float)
    principal = PCA(2, svd_solver="full").fit(values)
    found = principal.transform(values)
    share = list(principal.explained_variance_ratio_)
    labels = ["principal component 1", "principal component 2"]
    if method == "lda":
        names = _checked(groups, complete.index)
        own = complete.index if patients is None else patients.loc[complete.index]
        axes, between = _cross_fitted(values, names, np.asarray(own), random_state)
        n = axes.shape[1]
        found = np.column_stack([axes, found])[:, :2]
        share = [*between, *share][:2]
        told = [f"discriminant axis {k + 1}, cross-fitted" for k in range(n)]
        labels = [*told, *labels][:2]
    coordinates = pd.DataFrame(found, complete.index, _COORDINATES)
    coordinates = coordinates.reindex(features.index)
    if groups is not None:
        coordinates["group"] = groups.reindex(features.index)
    table = {"coordinate": _COORDINATES, "label": labels, "share": share}
    return LatentMap(coordinates, pd.DataFrame(table))


def _checked(groups, index):
    if groups is None:
        msg = "method='lda' looks for axes between groups; give groups."
        raise SchemaError(msg)
    absent = index.difference(groups.dropna().index)
    if len(absent):
        msg = f"groups lacks {len(absent)} rows of the features: {absent[:5].tolist()}."
        raise SchemaError(msg)
    names = groups.loc[index].astype(str)
    counts = names.value_counts()
    if len(counts) < 2 or counts.min() < _N_FOLDS:
        msg = (
            f"groups are {counts.to_dict()}; discriminant axes need two groups or more "
            f"of at least {_N_FOLDS} cases, one a fold."
        )
        raise SchemaError(msg)
    return names.to_numpy()


def _cross_fitted(values, names, patients, random_state):
    """Return up to two discriminant coordinates, and shares of the fit of all cases."""
    reference = _coordinates(values, names, values)
    groups, counts = np.unique(names, return_counts=True)
    means = np.stack([reference[names == group].mean(axis=0) for group in groups])
    between = counts @ means**2
    reference = reference[:, :2]
    found = np.zeros_like(reference)
    folds = StratifiedGroupKFold(_N_FOLDS, shuffle=True, random_state=random_state)
    for train, test in folds.split(values, names, patients):
        both = _coordinates(values[train], names[train], values)[:, :2]
        # an axis has no sign of its own
        sign = np.sign((both[train] * reference[train]).sum(axis=0))
        found[test] = both[test] * np.where(sign == 0, 1, sign)
    return found, list((between / between.sum())[:2])


def _coordinates(values, names, shown):
    """Return discriminant coordinates of ``shown``, 0 at the mean of ``values``."""
    model = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto")
    model.fit(values, names)
    return model.transform(shown) - model.transform(values).mean(axis=0)
