"""Patients with their lesions: simulated ones with a known answer, or a real cohort."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

import radlatent as rl
from radlatent.cohort import Endpoint

#: Strength of the one factor that the outcome of a simulated cohort depends on.
STRENGTH = 2.0
N_PATIENTS = 400
#: Seeds of cohorts whose outcome depends on nothing.
N_NULLS = 10


@dataclass(frozen=True, eq=False)
class Patients:
    """Tables of lesions, an endpoint of two classes, and the truth where it is known.

    Parameters
    ----------
    features, cases, centroids
        As `radlatent.graphs.LesionGraphs` takes them.
    endpoint
        Of the patients.
    oracle
        The true linear predictor by patient, or None.
    clinical
        Columns of patients, or None.
    """

    features: pd.DataFrame
    cases: pd.DataFrame
    centroids: pd.DataFrame
    endpoint: Endpoint
    oracle: pd.Series | None = None
    clinical: pd.DataFrame | None = None


def simulated(name: str) -> Patients:
    """Return ``spread``, ``outlier``, ``pair`` or ``null_<seed>``."""
    factor, _, seed = name.partition("_")
    effect = {} if factor == "null" else {f"{factor}_effect": STRENGTH}
    made = rl.simulate_lesions(
        n_patients=N_PATIENTS, random_state=int(seed or 0), **effect
    )
    return Patients(
        made.features,
        made.cases,
        made.centroids,
        Endpoint.binary(made.endpoints["response"]),
        None if factor == "null" else made.truth["linear_predictor"],
    )


def real(card: Path, root: Path | None, endpoint: str, jobs: int) -> Patients:
    """Return a cohort of PET with one case a lesion, as ``cohorts/remarc`` reads it."""
    cohort = rl.Cohort.read(card, root=root)
    extracted = rl.extract(cohort, jobs=jobs)
    kept = cohort.cases.loc[extracted.features.index]
    centroids = rl.lesion_centroids(cohort, "pet", jobs=jobs).loc[kept.index]
    clinical = cohort.clinical()
    return Patients(
        extracted.features,
        kept,
        centroids,
        cohort.endpoint(endpoint),
        clinical=clinical if len(clinical.columns) else None,
    )
