import numpy as np
import pandas as pd
import pytest
from lifelines.datasets import load_rossi
from scipy.io import arff

from radlatent.features.endpoint import Endpoint


@pytest.fixture
def make_survival():
    """Return survival of n patients: Weibull, hazard exp(risk), a third censored."""

    def make(n, risk=0.0, seed=0):
        rng = np.random.default_rng(seed)
        time = 1000 * (rng.exponential(size=n) / np.exp(risk)) ** (1 / 1.3)
        end = rng.uniform(0, 3000, n)
        frame = pd.DataFrame(
            {
                "time": np.ceil(np.minimum(time, end)),
                "event": (time <= end).astype(int),
            },
            pd.Index([f"p{i:03d}" for i in range(n)], name="patient_id"),
        )
        return Endpoint("survival", "survival", frame)

    return make


@pytest.fixture
def make_predictions():
    """Return a **predictions** table; probability is (n_repeats, n, n_classes)."""

    def make(truth, probability, model="logistic"):
        truth = np.asarray(truth)
        parts = []
        for repeat, chances in enumerate(np.asarray(probability, dtype=float)):
            part = pd.DataFrame({"model": model, "blocks": "all"}, range(len(truth)))
            part["endpoint"] = "diagnosis"
            part["repeat"] = repeat
            part["fold"] = 0
            part["patient_id"] = [f"p{i:04d}" for i in range(len(truth))]
            part["truth"] = truth
            for label, column in zip(np.unique(truth), chances.T, strict=True):
                part[f"probability_{label}"] = column
            parts.append(part)
        return pd.concat(parts, ignore_index=True)

    return make


def as_outcome(time, event):
    """Return survival as models take it."""
    y = np.empty(len(time), dtype=[("event", bool), ("time", float)])
    y["time"], y["event"] = time, event
    return y


def with_survival(n, n_columns, effect, seed=0):
    """Return patients of whom the first six columns tell the hazard."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, n_columns))
    risk = effect * X[:, :6] @ [1, -1, 1, -1, 1, -1] / np.sqrt(6)
    time, end = 1000 * rng.exponential(np.exp(-risk)), rng.exponential(2000, n)
    index = pd.Index([f"p{i:03d}" for i in range(n)], name="patient_id")
    X = pd.DataFrame(X, index, [f"ct__f{i:03d}" for i in range(n_columns)])
    return X, as_outcome(np.minimum(time, end), time <= end)


@pytest.fixture(scope="session")
def outcome():
    """Return `as_outcome`: times and events to a structured array."""
    return as_outcome


@pytest.fixture(scope="session")
def simulate():
    """Return `with_survival`: columns, of which six tell the hazard, and times."""
    return with_survival


@pytest.fixture(scope="module")
def rossi():
    table = load_rossi().astype(float)
    y = as_outcome(table.pop("week"), table.pop("arrest") == 1)
    return table, y


@pytest.fixture
def gbsg2(real_data):
    folder = real_data / "sksurv_reference/sksurv/datasets/data"
    table = pd.DataFrame(arff.loadarff(folder / "GBSG2.arff")[0])
    X = table[["age", "tsize", "pnodes", "progrec", "estrec"]].astype(float)
    return X, as_outcome(table["time"], table["cens"] == b"1")
