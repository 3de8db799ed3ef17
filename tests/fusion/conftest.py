import numpy as np
import pandas as pd
import pytest

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
