"""The models of this analysis: names in, tables of patients and estimators out."""

from collections.abc import Callable

import pandas as pd
from lesions import Patients

import radlatent as rl
from radlatent.features.origin import keep_origins
from radlatent.fusion import MODELS
from radlatent.graphs import LesionBag, LesionGraphClassifier, LesionGraphs

#: How lesions become one row a patient; ``dispersion`` is told apart, see README.md.
POOLED = ("largest", "hottest", "volume_weighted_mean", "sum")
LEARNERS = ("logistic", "forest")
NETWORKS = ("graph", "attention_pooling", "deep_sets")

#: What networks have to beat: lesions pooled to a patient, burden and spread, a bag.
BASELINES = (
    *(f"{how}, {learner}" for how in (*POOLED, "tmtv_dmax") for learner in LEARNERS),
    "bag of lesions",
)


def pooled(patients: Patients, how: str) -> pd.DataFrame:
    """Return what the lesions of a patient are together."""
    return rl.aggregate(patients.features, patients.cases, how=how)


def burden(patients: Patients) -> pd.DataFrame:
    """Return TMTV and Dmax."""
    given = {"centroids": patients.centroids}
    table = rl.lesion_burden(patients.features, patients.cases, **given)
    wanted = [c for c in table if c.endswith(("__tmtv_ml", "__dmax_mm"))]
    return keep_origins(table[wanted], table)


def sets(patients: Patients) -> pd.DataFrame:
    """Return the lesions of a patient beside each other."""
    told = (patients.features, patients.cases, patients.centroids)
    return LesionGraphs(*told).table()


def plans() -> dict[str, tuple[Callable, Callable]]:
    """Return name of a model -> (table of patients, unfitted model)."""
    found = {}
    tables = {"tmtv_dmax": burden}
    for how in (*POOLED, "dispersion"):
        tables[how] = lambda patients, how=how: pooled(patients, how)
    for table, make in tables.items():
        for learner in LEARNERS:
            found[f"{table}, {learner}"] = (make, MODELS[learner])
    found["bag of lesions"] = (sets, LesionBag)
    for kind in NETWORKS:
        network = lambda kind=kind: LesionGraphClassifier(kind)  # noqa: E731
        found[kind] = (sets, network)
    return found


def table_of(patients: Patients, make: Callable) -> pd.DataFrame:
    """Return the table of a model, with the clinical columns where there are any."""
    table = make(patients)
    return table if patients.clinical is None else rl.join(table, patients.clinical)
