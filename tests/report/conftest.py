import json

import numpy as np
import pandas as pd
import pytest

from radlatent.cohort import Endpoint
from radlatent.fusion import (
    confusion,
    cross_validate,
    make_folds,
    roc_curve,
)
from radlatent.fusion.metrics.survival_curves import kaplan_meier
from radlatent.fusion.models.classes import logistic
from radlatent.fusion.models.survival import cox
from radlatent.provenance import file_hash
from radlatent.report import table_one
from radlatent.schema import write_run

N = 40


@pytest.fixture
def record():
    """Return a run record, as the one of a study with two models."""
    options = {"setting": {"binWidth": 25.0, "label": 1}, "imageType": {"Original": {}}}
    return {
        "command": {"study": "study.yml", "root": "/images", "jobs": 1},
        "cohort": {
            "name": "made & up",
            "freeze": "2026-01-01",
            "units": {"ct": "HU"},
            "manifest": "0" * 64,
            "license": "CC0-1.0",
            "citation": "",
        },
        "settings": {
            "title": "A <study>",
            "endpoint": "response",
            "aggregate": "largest",
            "settings": {"ct": options | {"featureClass": {"shape": ["MeshVolume"]}}},
            "models": [
                {"model": "logistic", "blocks": ["clinical"], "options": {}},
                {"model": "logistic", "blocks": ["ct_handcrafted", "clinical"]},
            ],
            "folds": {"n_folds": 2, "n_repeats": 2, "random_state": 7},
        },
        "counts": {
            "flow": {
                "patients": 43,
                "cases": 43,
                "cases included": N,
                "patients included": N,
                "excluded: no contrast": 3,
            },
            "patients with the endpoint": N,
            "outcome": {"no": 20, "yes": 20},
            "failed cases": 0,
            "patients without a feature": 0,
        },
        "outputs": {},
        "seconds": {"models": 1.0},
        "versions": {"python": "3.11", "radlatent": "0.1"},
        "machine": {"system": "Linux"},
        "git": {"commit": "a" * 40, "dirty": False},
    }


@pytest.fixture
def patients():
    rng = np.random.default_rng(0)
    index = pd.Index([f"{i:03d}" for i in range(N)], name="patient_id")
    columns = [
        "clinical__age",
        "ct_handcrafted__a_shape_b",
        "ct_handcrafted__a_shape_c",
    ]
    return pd.DataFrame(rng.normal(50, 9, (N, 3)), index, columns)


@pytest.fixture
def endpoint(patients):
    frame = pd.DataFrame({"class": ["no", "yes"] * (N // 2)}, patients.index)
    return Endpoint("response", "class", frame)


def results(model, patients, endpoint):
    folds = make_folds(endpoint, n_folds=2, n_repeats=2, random_state=7)
    name = type(model.steps[-1][1]).__name__
    name = "logistic" if name == "LogisticRegression" else "cox"
    found = [
        cross_validate(
            model,
            patients.filter(regex=pattern),
            endpoint,
            folds,
            name=name,
            blocks=blocks,
        )
        for pattern, blocks in {
            "^clinical": "clinical",
            ".": "ct_handcrafted + clinical",
        }.items()
    ]
    return {
        "patients": patients,
        "folds": folds,
        "predictions": pd.concat([one.predictions for one in found], ignore_index=True),
        "metrics": pd.concat([one.metrics for one in found], ignore_index=True),
        "table_one": table_one(patients.filter(regex="^clinical"), endpoint),
    }


def write(folder, record, tables):
    write_run(tables, folder / "data")
    for path in (folder / "data").iterdir():
        record["outputs"][path.name] = file_hash(path)
    (folder / "run.json").write_text(json.dumps(record), "utf-8")
    return folder


@pytest.fixture
def class_run(tmp_path, record, patients, endpoint):
    """Return the folder of a run of two models of two classes."""
    tables = results(logistic(), patients, endpoint)
    predictions = tables["predictions"]
    tables |= {
        "roc": roc_curve(predictions),
        "confusion": confusion(predictions),
    }
    return write(tmp_path, record, tables)


@pytest.fixture
def survival_run(tmp_path, record, patients):
    """Return the folder of a run of two models of survival."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "time": rng.integers(10, 900, N).astype(float),
            "event": [1, 1, 1, 0] * (N // 4),
        },
        patients.index,
    )
    tables = results(cox(), patients, Endpoint("os", "survival", frame))
    groups = kaplan_meier(tables["predictions"])
    tables |= {"kaplan_meier": groups.curves, "risk_groups": groups.summary}
    record["settings"]["endpoint"] = "os"
    record["counts"]["outcome"] = {"0": 10, "1": 30}
    for spec in record["settings"]["models"]:
        spec["model"] = "cox"
    return write(tmp_path, record, tables)
