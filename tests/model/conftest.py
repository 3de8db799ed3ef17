import numpy as np
import pandas as pd
import pytest

import radlatent as rl


def measured(n, seed=0, *, prefix="p"):
    """Return four columns of n patients."""
    rng = np.random.default_rng(seed)
    index = pd.Index([f"{prefix}{i:04d}" for i in range(n)], name="patient_id")
    names = ["ct__size", "ct__texture", "pet__uptake", "pet__noise"]
    table = pd.DataFrame(rng.normal(10, 2, (n, 4)), index, names)
    return rl.declare_measured(table)


def with_outcome(n, seed=0, *, prefix="p", share=0.5):
    """Return features and an outcome of which three columns tell."""
    X = measured(n, seed, prefix=prefix)
    rng = np.random.default_rng([seed, 1])
    score = ((X - 10) / 2).to_numpy() @ [1.0, -0.7, 0.7, 0.0] + np.log(
        share / (1 - share)
    )
    sick = rng.random(n) < 1 / (1 + np.exp(-score))
    named = pd.Series(np.where(sick, "yes", "no"), X.index, name="relapse")
    return X, rl.Endpoint.binary(named, positive="yes")


def with_times(n, seed=0, *, prefix="p"):
    """Return features and survival of which two columns tell."""
    X = measured(n, seed, prefix=prefix)
    rng = np.random.default_rng([seed, 2])
    risk = ((X - 10) / 2).to_numpy() @ [1.0, 0.0, 0.7, 0.0]
    time = np.ceil(800 * rng.exponential(size=n) / np.exp(risk))
    end = np.ceil(rng.uniform(200, 3000, n))
    frame = pd.DataFrame({"t": np.minimum(time, end), "e": time <= end}, X.index)
    return X, rl.Endpoint.survival(frame, time="t", event="e", name="death")


def with_numbers(n, seed=0, *, prefix="p"):
    """Return features and a number of which three columns tell."""
    X = measured(n, seed, prefix=prefix)
    noise = np.random.default_rng([seed, 3]).normal(0, 5, n)
    ef = 55 + ((X - 10) / 2).to_numpy() @ [6.0, -4.0, 4.0, 0.0] + noise
    named = pd.Series(ef, X.index, name="ef")
    return X, rl.Endpoint.continuous(named, unit="%")


@pytest.fixture(scope="session")
def draw():
    """Return `with_outcome`: features and an outcome of a truth that is known."""
    return with_outcome


@pytest.fixture(scope="session")
def draw_times():
    return with_times


@pytest.fixture(scope="session")
def draw_numbers():
    return with_numbers


@pytest.fixture(scope="session")
def numbered():
    """Return a ridge regression of 120 patients."""
    return rl.fit(rl.ridge(), *with_numbers(120))


@pytest.fixture(scope="session")
def model():
    """Return a logistic model of 120 patients."""
    return rl.fit(rl.logistic(), *with_outcome(120))


@pytest.fixture(scope="session")
def timed():
    """Return a Cox model of 120 patients."""
    return rl.fit(rl.cox(), *with_times(120))
