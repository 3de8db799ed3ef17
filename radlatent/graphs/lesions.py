"""The lesions of each patient as one row, so that folds and guards see them.

A **features** table of lesions, its **cases** table and the places of the lesions
enter; a features table indexed by ``patient_id`` leaves, from which the models of this
room take the sets back. An estimator that held the lesions itself would hide from
``cross_validate`` where their features come from, and whose they are.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial.distance import pdist

from radlatent.errors import SchemaError
from radlatent.features.aggregate import align_cases
from radlatent.features.join import join
from radlatent.features.origin import keep_origins, mark_measured
from radlatent.graphs.sets import BLOCK, PLACE, edges_of, lesion_column
from radlatent.schema import check_features

__all__ = ["LesionGraphs"]


@dataclass(frozen=True, eq=False)
class LesionGraphs:
    """Patients as graphs: lesions are nodes, and near ones have an edge.

    Parameters
    ----------
    features
        A **features** table indexed by ``case_id``, one row a lesion; hand-crafted,
        latent, or both. Volumes are among them, as features.
    cases
        The **cases** table; excluded cases are dropped.
    centroids
        Index ``case_id``, columns ``x_mm``, ``y_mm`` and ``z_mm``, as from
        ``lesion_centroids``.

    Raises
    ------
    SchemaError
        Cases, features and centroids do not match, a lesion has no place, or there are
        several timepoints.

    Notes
    -----
    Latents of lesions that were fitted fold by fold become rows of patients in each
    fold: ``folded.map(lambda t: LesionGraphs(t, cases, centroids).table())``.
    """

    features: pd.DataFrame
    cases: pd.DataFrame
    centroids: pd.DataFrame

    def __post_init__(self):
        """Check the tables against each other."""
        features, keys = align_cases(self.features, self.cases)
        times = keys["timepoint"].unique().tolist()
        if len(times) > 1:
            msg = f"lesion graphs: timepoints {times[:5]}; exclude all but one."
            raise SchemaError(msg)
        absent = [column for column in PLACE if column not in self.centroids]
        if not absent:
            places = self.centroids.reindex(features.index)[[*PLACE]]
            absent = places.index[~np.isfinite(places).all(axis=1)].tolist()
        if absent:
            msg = (
                f"lesion graphs: the centroids lack {len(absent)} columns or cases: "
                f"{absent[:5]}. Take them from lesion_centroids of the cohort of the "
                "features, or exclude lesions whose place is not known."
            )
            raise SchemaError(msg)

    def _aligned(self):
        features, keys = align_cases(self.features, self.cases)
        places = self.centroids.loc[features.index, [*PLACE]].astype("float64")
        return features, keys["patient_id"], places

    def table(
        self, *, most: int | None = None, patients: Iterable[str] = ()
    ) -> pd.DataFrame:
        """Return one row a patient.

        Parameters
        ----------
        most
            Lesions that there is room for; None takes the largest number of a patient.
            Cohorts that are to be tested on each other need one number.
        patients
            Patients without a lesion, who have no case: they get a row as well.

        Returns
        -------
        DataFrame
            ``<block>__<feature>__lesion001`` and on, NaN where there is no such lesion;
            block ``lesion_graph`` with ``x_mm``, ``y_mm``, ``z_mm`` in the same way,
            ``n_lesions`` and ``dmax_mm``, the largest distance of two lesions (0 of
            fewer than two). What tables tell of their blocks is kept. The number of a
            lesion tells nothing: the models do not look at it.

        Raises
        ------
        SchemaError
            A patient has more lesions than there is room for.
        """
        features, whose, places = self._aligned()
        number = whose.groupby(whose).cumcount() + 1
        largest = int(number.max())
        if most is not None and largest > most:
            who = whose[number > most].unique()
            msg = (
                f"lesion graphs: {len(who)} patients have more than {most} lesions: "
                f"{who[:5].tolist()}, up to {largest}. Give most={largest} or more."
            )
            raise SchemaError(msg)
        rows = [*dict.fromkeys([*whose, *map(str, patients)])]
        rows = pd.Index(rows, name="patient_id")
        slots = range(1, (most or largest) + 1)
        wide = keep_origins(_widened(features, whose, number, rows, slots), features)
        own = _widened(places.add_prefix(f"{BLOCK}__"), whose, number, rows, slots)
        counts = whose.value_counts().reindex(rows, fill_value=0)
        own[f"{BLOCK}__n_lesions"] = counts.astype("float64")
        spread = {who: pdist(one).max(initial=0) for who, one in places.groupby(whose)}
        own[f"{BLOCK}__dmax_mm"] = pd.Series(spread).reindex(rows, fill_value=0.0)
        return join(check_features(wide), mark_measured(own))

    def edges(
        self, *, n_neighbours: int = 8, radius_mm: float | None = None
    ) -> pd.DataFrame:
        """Return one row an edge, as the models see them.

        Parameters
        ----------
        n_neighbours
            Nearest lesions that a lesion has an edge from.
        radius_mm
            Leaves out lesions farther away; None none.

        Returns
        -------
        DataFrame
            ``patient_id``, ``case_id``, ``neighbour``, ``distance_mm``, and the
            direction from the lesion to its neighbour: ``x``, ``y``, ``z``, a unit
            vector (zeros where both lie in one place).
        """
        _, whose, places = self._aligned()
        parts = []
        for patient, one in places.groupby(whose, sort=False):
            found = edges_of(one.to_numpy(), n_neighbours, radius_mm)
            at, slot = np.nonzero(found.is_there)
            other = found.neighbours[at, slot]
            part = {"patient_id": patient, "case_id": one.index[at]}
            part |= {"neighbour": one.index[other]}
            part |= {"distance_mm": found.distance_mm[at, slot]}
            part |= dict(zip("xyz", found.direction[at, slot].T, strict=True))
            parts.append(pd.DataFrame(part))
        return pd.concat(parts, ignore_index=True)


def _widened(table, whose, number, rows, slots):
    """Return columns of lesions beside each other, one row a patient."""
    keyed = table.set_axis(pd.MultiIndex.from_arrays([whose, number]))
    wide = keyed.unstack()  # noqa: PD010 - whose lesion a row is, is its index
    wanted = pd.MultiIndex.from_product([table.columns, slots])
    wide = wide.reindex(index=rows, columns=wanted)
    names = [lesion_column(column, slot) for column, slot in wanted]
    return wide.set_axis(names, axis=1).astype("float64")
