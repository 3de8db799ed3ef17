from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest


@dataclass
class StandIn:
    """What fusion uses of an endpoint."""

    frame: pd.DataFrame
    name: str = "diagnosis"
    kind: str = "class"
    positive: str | None = None

    @property
    def strata(self):
        return self.frame["class" if self.kind == "class" else "event"].astype(str)


@pytest.fixture
def make_endpoint():
    def make(classes, prefix="p"):
        index = pd.Index([f"{prefix}{i:03d}" for i in range(len(classes))])
        series = pd.Series(list(classes), index.rename("patient_id"), name="class")
        return StandIn(series.to_frame())

    return make


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
        return StandIn(frame, "survival", "survival")

    return make


@pytest.fixture
def make_features():
    def make(values, index, block="ct_handcrafted"):
        values = np.asarray(values, dtype=float)
        columns = [f"{block}__mu{i:04d}" for i in range(values.shape[1])]
        return pd.DataFrame(values, pd.Index(index, name="patient_id"), columns)

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
