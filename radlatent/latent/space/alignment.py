"""Whether encoders of different folds find the same: latent spaces, aligned.

Features of every fold and the patients of their rows enter; canonical correlations of
each pair of encoders and what others know of each latent feature leave.
"""

from dataclasses import dataclass
from itertools import permutations

import numpy as np
import pandas as pd

from radlatent.errors import SchemaError
from radlatent.features.folded import FoldedFeatures

__all__ = ["FoldAlignment", "alignment_folds"]

#: Held-out share of the variance below which no other encoder knows a latent feature.
FOUND = 0.5

#: Standard deviation, in those of the largest column, below which a column is constant.
_CONSTANT = 1e-3

#: Ridge penalty for each row, of standardized columns.
_PENALTY = 1e-2

_PAIR = ["repeat", "fold", "other_repeat", "other_fold"]


@dataclass(frozen=True, eq=False, repr=False)
class FoldAlignment:
    """What the encoders of different folds have in common.

    Parameters
    ----------
    correlations
        ``repeat, fold, other_repeat, other_fold, component, correlation, n``: canonical
        correlations of two encoders, the largest first, fitted on the rows that both
        were fitted on and measured on ``n`` others.
    known
        The same pair, ``feature`` of the first, and ``r2``: the share of its variance
        on these others that is predicted from the features of the second.
    """

    correlations: pd.DataFrame
    known: pd.DataFrame

    @property
    def features(self) -> pd.DataFrame:
        """One row a latent feature of a fold: what the other encoders know of it.

        ``median`` and ``best`` are of ``r2`` over them; ``alone`` marks what none of
        them knows half of: it is of this encoder, not of the lesions.
        """
        keys = ["repeat", "fold", "feature"]
        table = self.known.groupby(keys)["r2"].agg(["median", "max"]).reset_index()
        table = table.rename(columns={"max": "best"})
        return table.assign(alone=table["best"] < FOUND)

    @property
    def summary(self) -> pd.DataFrame:
        """One row a canonical component: mean, least and largest over pairs."""
        grouped = self.correlations.groupby("component")["correlation"]
        return grouped.agg(["mean", "min", "max", "count"]).reset_index()

    def __repr__(self) -> str:
        table = self.features
        return (
            f"FoldAlignment({table['alone'].sum()} of {len(table)} latent features are "
            f"found by no other encoder; mean canonical correlation "
            f"{self.correlations['correlation'].mean():.2f})"
        )

    def _repr_html_(self) -> str:
        return self.summary.to_html()


def alignment_folds(features: FoldedFeatures, patients: pd.Series) -> FoldAlignment:
    """Align the latent features of every two folds.

    Parameters
    ----------
    features
        What `encode_folds` gave as ``features``.
    patients
        ``patient_id`` of every row.

    Raises
    ------
    SchemaError
        There is one fold only, a row has no patient, or two folds leave too few rows to
        fit on or to measure on.

    Notes
    -----
    A latent space may be turned between two trainings, so that columns of one name have
    nothing to do with each other: what is compared is the space, by canonical
    correlations, and each feature with the best linear combination of the others'.
    Rows that are tested in either fold are kept out of the fit. Constant columns, of
    latents that collapsed, are left out.

    References
    ----------
    Hotelling 1936, doi:10.1093/biomet/28.3-4.321 (canonical correlations)
    """
    names = list(features.tables)
    absent = features.index.difference(patients.index)
    if len(names) < 2 or len(absent):
        msg = (
            f"alignment_folds: {len(names)} fold(s), and {len(absent)} rows without a "
            "patient. Give two folds or more, and the patient_id of every row."
        )
        raise SchemaError(msg)
    owners = patients.loc[features.index].astype(str)
    correlations, known = [], []
    for one, other in permutations(names, 2):
        first, second, fitted = _rows(features, owners, one, other)
        pair = dict(zip(_PAIR, (*one, *other), strict=True))
        r2 = _explained(first.to_numpy(), second.to_numpy(), fitted)
        about = {"feature": first.columns, "r2": r2, "n": int((~fitted).sum())}
        known.append(pd.DataFrame(pair | about))
        if one < other:
            found = _canonical(first.to_numpy(), second.to_numpy(), fitted)
            about = {"component": np.arange(1, len(found) + 1), "correlation": found}
            about |= {"n": int((~fitted).sum())}
            correlations.append(pd.DataFrame(pair | about))
    return FoldAlignment(
        pd.concat(correlations, ignore_index=True), pd.concat(known, ignore_index=True)
    )


def _rows(features, owners, one, other):
    """Return the varying columns of two folds, and which rows both were fitted on."""
    tables = [features.at(*name) for name in (one, other)]
    whole = np.logical_and(*(t.notna().all(axis=1).to_numpy() for t in tables))
    fitted = [
        owners.isin([str(p) for p in features.fitted_on[n]]) for n in (one, other)
    ]
    both = np.logical_and(*fitted).to_numpy()[whole]
    tables = [_varying(table[whole]) for table in tables]
    fewest = 2 + max(table.shape[1] for table in tables)
    if both.sum() < fewest or (~both).sum() < fewest:
        msg = (
            f"alignment_folds: folds {one} and {other} have {both.sum()} rows that "
            f"both were fitted on, and {(~both).sum()} others; {fewest} of each are "
            "needed."
        )
        raise SchemaError(msg)
    return *tables, both


def _varying(table):
    deviations = table.std()
    return table.loc[:, deviations > _CONSTANT * deviations.max()]


def _standardized(values, fitted):
    known = values[fitted]
    return (values - known.mean(axis=0)) / known.std(axis=0)


def _explained(first, second, fitted):
    """Return the held-out share of each column of the first that the second tells."""
    x, y = _standardized(second, fitted), _standardized(first, fitted)
    penalty = _PENALTY * fitted.sum() * np.eye(x.shape[1])
    weights = np.linalg.solve(
        x[fitted].T @ x[fitted] + penalty, x[fitted].T @ y[fitted]
    )
    rest = y[~fitted] - x[~fitted] @ weights
    # about 0, the mean of the rows that were fitted on
    return 1 - (rest**2).sum(axis=0) / (y[~fitted] ** 2).sum(axis=0)


def _canonical(first, second, fitted):
    """Return canonical correlations on the rows that were not fitted on."""
    x, y = _standardized(first, fitted), _standardized(second, fitted)
    roots = []
    for part in (x[fitted], y[fitted]):
        values, vectors = np.linalg.eigh(part.T @ part / len(part))
        roots.append(vectors / np.sqrt(values + _PENALTY) @ vectors.T)
    between = roots[0] @ (x[fitted].T @ y[fitted] / fitted.sum()) @ roots[1]
    left, _, right = np.linalg.svd(between)
    n = min(left.shape[1], right.shape[0])
    u = x[~fitted] @ roots[0] @ left[:, :n]
    v = y[~fitted] @ roots[1] @ right.T[:, :n]
    return [float(np.corrcoef(u[:, k], v[:, k])[0, 1]) for k in range(n)]
