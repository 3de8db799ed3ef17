"""The certificate of features that were fitted in folds, each on its own test rows.

Hand-crafted features, `FoldedFeatures` and the **folds** table enter; one certificate a
fold and their summary leave.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from radlatent.errors import LeakageError, RadlatentError
from radlatent.features.folded import FoldedFeatures
from radlatent.features.origin import mark_fitted
from radlatent.latent.certificate.redundancy import redundancy
from radlatent.parallel import map_tasks
from radlatent.schema import check_folds

__all__ = ["FoldedRedundancy", "redundancy_folds"]


@dataclass(frozen=True, eq=False, repr=False)
class FoldedRedundancy:
    """Certificates of every fold.

    Parameters
    ----------
    features, overall
        The tables of `Redundancy` of all folds, with ``repeat`` and ``fold``.
    """

    features: pd.DataFrame
    overall: pd.DataFrame

    @property
    def summary(self) -> pd.DataFrame:
        """One row an estimator: means over folds, and a p of all folds.

        ``lower`` and ``upper`` are means of the folds' ends, wider than the interval of
        the mean. ``p`` is twice the median of the folds' p, at most 1: valid however
        the folds depend on each other (Meinshausen et al. 2009,
        doi:10.1198/jasa.2009.tm08647). ``least`` and ``largest`` are the extremes.
        ``n_dependent`` and ``n_features`` are sums over folds, of which each has an
        encoder of its own; ``worst_estimate`` is the largest of any feature of any
        fold, that of ``worst``.
        """
        groups = self.overall.groupby("estimator", sort=False)
        table = groups[["estimate", "lower", "upper"]].mean()
        table["least"] = groups["estimate"].min()
        table["largest"] = groups["estimate"].max()
        table["p"] = (2 * groups["p"].median()).clip(upper=1)
        first = ["level", "expected_if_independent"]
        table = table.join(groups[first].first())
        table["n_folds"] = groups.size()
        table["n_patients"] = groups["n_patients"].sum()
        table["n_features"] = groups["n_features"].sum()
        table["n_dependent"] = groups["n_dependent"].sum(min_count=1)
        table["worst_estimate"] = groups["worst_estimate"].max()
        table["worst"] = [self._worst(name) for name in table.index]
        return table.reset_index()

    def _worst(self, estimator):
        rows = self.overall[self.overall["estimator"] == estimator]
        if rows["worst_estimate"].isna().all():
            return ""
        row = rows.loc[rows["worst_estimate"].idxmax()]
        return f"repeat {row['repeat']}, fold {row['fold']}: {row['worst']}"

    @property
    def verdict(self) -> str:
        """What the certificates of all folds say, in one sentence.

        "Dependent" where the p of all estimators and folds, twice the median of the
        folds', is at most ``1 - level``.
        """
        row = self.summary.set_index("estimator").loc["any"]
        rows = self.overall[self.overall["estimator"] == "any"]
        n = int((rows["p"] <= 1 - row["level"]).sum())
        said = "Dependent" if row["p"] <= 1 - row["level"] else "No dependence found"
        return (
            f"{said}: p = {row['p']:.2g} of all estimators and folds; in {n} of "
            f"{row['n_folds']} folds the encoder's features tell of hand-crafted ones, "
            f"{row['n_dependent']} of {row['n_features']} features by themselves."
        )

    def plot(self, ax=None, **kwargs):
        """Draw the held-out R2 of the features of the first fold on ``ax``."""
        from radlatent import figures

        keys = self.features[["repeat", "fold"]]
        first = (keys == keys.iloc[0]).all(axis=1)
        return figures.redundancy(self.features[first], ax, **kwargs)

    def __repr__(self) -> str:
        n = len(self.overall[["repeat", "fold"]].drop_duplicates())
        return f"FoldedRedundancy({n} folds). {self.verdict}"

    def _repr_html_(self) -> str:
        return self.summary.to_html()


def redundancy_folds(
    handcrafted: pd.DataFrame,
    latent: FoldedFeatures,
    patients: pd.Series,
    folds: pd.DataFrame,
    *,
    n_permutations: int = 500,
    jobs: int | None = None,
    random_state: int | np.random.Generator | None = 0,
) -> FoldedRedundancy:
    """Measure in every fold how much the latent features of its test rows repeat.

    Parameters
    ----------
    handcrafted
        A **features** table.
    latent
        Features that were fitted in folds, of the same rows.
    patients
        ``patient_id`` of each row, by the index of the tables.
    folds
        The **folds** table that the latent features were fitted with.
    n_permutations
        Orders that each test compares with.
    jobs
        Processes; a fold is a task.
    random_state
        Seed or Generator.

    Raises
    ------
    SchemaError
        As `redundancy`, of any fold.
    LeakageError
        Patients that a fold tests were among those its features were fitted on.
    RadlatentError
        A certificate could not be made.

    Notes
    -----
    Rows without a value, of cases that could not be read, are left out.
    """
    tasks = {}
    seeds = np.random.default_rng(random_state).integers(2**31, size=len(folds))
    groups = check_folds(folds).groupby(["repeat", "fold"])
    for (key, tested), seed in zip(groups, seeds, strict=False):
        table = _told(latent, tuple(map(int, key)), tested["patient_id"]).dropna()
        rows = table.index[patients.loc[table.index].isin(tested["patient_id"])]
        tables = handcrafted.loc[rows], table.loc[rows], patients.loc[rows]
        tasks[key] = (*tables, n_permutations, int(seed))
    done = map_tasks(_certify, tasks, jobs=jobs, description="Certifying folds")
    for (repeat, fold), (_, message) in done.failures.items():
        raise RadlatentError(f"repeat {repeat}, fold {fold}: {message}")
    parts = [
        [table.assign(repeat=key[0], fold=key[1]) for table in pair]
        for key, pair in done.results.items()
    ]
    features, overall = (
        pd.concat(some, ignore_index=True) for some in zip(*parts, strict=True)
    )
    return FoldedRedundancy(features, overall)


def _told(latent, key, tested):
    """Return the table of a fold, which tells whom it was fitted on."""
    fitted_on = sorted(map(str, latent.fitted_on.get(key, ())))
    seen = sorted(set(fitted_on) & set(map(str, tested)))
    if seen:
        msg = (
            f"repeat {key[0]}, fold {key[1]}: {len(seen)} tested patients were among "
            f"those the features were fitted on: {seen[:5]}. Give the folds table that "
            "they were encoded with."
        )
        raise LeakageError(msg)
    table = latent.at(*key)
    cases = pd.DataFrame(index=table.index)  # of whom all is told by the folds
    for block in latent.fitted_blocks:
        table = mark_fitted(table, block, {"patients": fitted_on}, cases)
    return table


def _certify(handcrafted, latent, patients, n_permutations, seed):
    found = redundancy(
        handcrafted,
        latent,
        patients,
        n_permutations=n_permutations,
        random_state=seed,
    )
    return found.features, found.overall
