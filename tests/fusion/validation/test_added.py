"""A copy is redundant, noise is worthless, a hidden factor is useful; origins told."""

import numpy as np
import pandas as pd
import pytest

import radlatent as rl
from radlatent.errors import LeakageError

N = 300


def planted(kind, seed=0, n_columns=6):
    """Return H of one factor, an embedding, and an outcome of that and of another."""
    rng = np.random.default_rng(seed)
    index = pd.Index([f"p{i:03d}" for i in range(N)], name="patient_id")
    seen, hidden = rng.normal(size=(2, N))
    known = seen[:, None] + 0.3 * rng.normal(size=(N, 6))
    columns = {
        "copy": known + 0.5 * rng.normal(size=known.shape),
        "noise": rng.normal(size=known.shape),
        "hidden": np.hstack([known[:, :3], hidden[:, None] + rng.normal(size=(N, 3))]),
    }[kind]
    if n_columns > 6:
        columns = columns @ rng.normal(size=(6, n_columns))
        columns += 0.1 * rng.normal(size=columns.shape)
    ill = rng.random(N) < 1 / (1 + np.exp(-1.2 * seen - 2 * hidden))
    classes = pd.DataFrame({"ill": np.where(ill, "yes", "no")}, index)
    endpoint = rl.Endpoint.binary(classes, "ill", positive="yes")
    known = pd.DataFrame(known, index).add_prefix("ct_handcrafted__f")
    known = rl.declare_measured(known, "ct_handcrafted")
    return known, pd.DataFrame(columns, index).add_prefix("ct_fm__e"), endpoint


def added(kind, n_columns=6, **told):
    known, embedding, endpoint = planted(kind, n_columns=n_columns)
    told = {"cohort": "unknown"} | told
    embedding = rl.declare_fitted_on(embedding, "ct_fm", **told)
    folds = rl.make_folds(endpoint, n_folds=5, n_repeats=1)
    return rl.added_value(known, embedding, endpoint, folds, jobs=1)


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [("copy", "Redundant"), ("noise", "Worthless here"), ("hidden", "Useful")],
)
def test_the_verdict_is_that_of_what_was_planted(kind, verdict):
    found = added(kind)
    assert found.verdict.startswith(f"{verdict}: ")
    assert found.verdict.endswith("Origin of the embedding: unknown.")
    rows = found.summary.set_index("blocks")
    assert list(rows.index) == ["handcrafted", "embedding", "both", "residual"]
    assert (rows["n"] == N).all()
    # the residual of a copy is noise
    assert (rows.loc["residual", "lower"] > 0.5) == (kind == "hidden")
    # columns of noise may make a model worse, and that may be seen as well
    better = rows.loc["both", "difference"] > 0
    assert (better and rows.loc["both", "p_corrected"] <= 0.05) == (kind == "hidden")
    assert rows.loc["both", "difference"] == pytest.approx(
        rows.loc["both", "estimate"] - rows.loc["handcrafted", "estimate"]
    )
    assert np.isnan(rows.loc["handcrafted", "difference"])
    assert verdict in repr(found)


@pytest.mark.slow
def test_a_wide_embedding_is_narrowed_and_says_so():
    found = added("hidden", n_columns=300)
    assert found.verdict.startswith("Useful: ")
    assert found.method == (
        "embedding: 30 principal components of 300 columns, fitted on the training "
        "patients of each fold."
    )
    assert found.method in repr(found)


@pytest.mark.slow
def test_survival_is_told_by_concordance(make_survival):
    known, embedding, _ = planted("copy")
    endpoint = make_survival(N, risk=known.to_numpy()[:, 0])
    embedding = rl.declare_measured(embedding, "ct_fm")
    folds = rl.make_folds(endpoint, n_folds=3, n_repeats=1)
    found = rl.added_value(known, embedding, endpoint, folds, jobs=1)
    assert found.metric == "c_harrell"
    assert found.verdict.startswith("Redundant: ")
    assert "Harrell's C" in found.verdict
    assert found.origin == "measured"


@pytest.mark.parametrize("kind", ["continuous", "competing"])
def test_what_tells_little_of_a_number_or_of_several_events_is_not_worthless(kind):
    known, embedding, _ = planted("copy")
    rng, told = np.random.default_rng(7), known.to_numpy()[:, 0]
    frame = pd.DataFrame({"y": told + 1.2 * rng.normal(size=N)}, known.index)
    frame["t"] = 1 + rng.exponential(900 * np.exp(-told))
    frame["what"] = rng.choice(["a", "b", "0"], N, p=[0.6, 0.2, 0.2])
    endpoint = (
        rl.Endpoint.continuous(frame, "y")
        if kind == "continuous"
        else rl.Endpoint.competing(frame, time="t", event="what", positive="a")
    )
    embedding = rl.declare_measured(embedding, "ct_fm")
    folds = rl.make_folds(endpoint, n_folds=3, n_repeats=1)
    found = rl.added_value(known, embedding, endpoint, folds, jobs=1)
    assert found.metric == {"continuous": "r2", "competing": "c_harrell"}[kind]
    # an R2 below 0.5 is no chance
    rows = found.summary.set_index("blocks")
    assert kind == "competing" or 0.1 < rows.loc["embedding", "estimate"] < 0.5
    assert found.verdict.startswith("Redundant: ")


def test_an_embedding_that_does_not_tell_is_refused_whatever_its_name():
    known, embedding, endpoint = planted("noise")
    folds = rl.make_folds(endpoint, n_folds=3, n_repeats=1)
    with pytest.raises(LeakageError, match="does not tell where it comes from"):
        rl.added_value(known, embedding, endpoint, folds)


def test_a_network_of_tested_patients_is_refused():
    about = {"cohort": "here", "encoded": "here", "patients": ["p003"]}
    with pytest.raises(LeakageError, match="fitted on 1 of 300 test patients"):
        added("noise", **about)
