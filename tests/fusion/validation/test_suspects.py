"""Columns that are the outcome, and patients who are copies, are told; noise is not."""

import numpy as np
import pandas as pd
import pytest

import radlatent as rl
from radlatent.features.endpoint import Endpoint

IDS = pd.Index([f"p{i:02d}" for i in range(60)], name="patient_id")


@pytest.fixture
def noise(rng):
    frame = pd.DataFrame(rng.normal(size=(60, 20)), IDS).add_prefix("f")
    return rl.features(frame, block="ct")


@pytest.fixture
def outcome(rng):
    return rng.random(60) < 0.3


def of_classes(classes):
    frame = pd.DataFrame({"class": np.asarray(classes).astype(str)}, IDS)
    return Endpoint("y", "class", frame)


@pytest.mark.parametrize(
    "copy",
    [
        lambda y: y.astype(float),
        lambda y: 7.0 - 3 * y,
        lambda y: y + np.linspace(0, 0.4, 60),
        lambda y: np.where(np.arange(60) < 6, np.nan, y),
    ],
)
def test_a_column_that_is_the_outcome_is_told(noise, outcome, copy, caplog):
    table, endpoint = noise.assign(ct__nan=copy(outcome)), of_classes(outcome)
    found = rl.suspects(table, endpoint)
    assert found[["what", "where"]].to_numpy().tolist() == [["outcome", "ct__nan"]]
    folds = rl.make_folds(endpoint, n_folds=2, n_repeats=1)
    rl.cross_validate(rl.logistic(), table, endpoint, folds)
    assert "ct__nan alone separates the classes: is it the outcome" in caplog.text


def test_a_column_that_numbers_the_patients_by_outcome_is_told(noise, outcome):
    number = pd.Series(np.argsort(np.argsort(outcome, kind="stable")), IDS, dtype=float)
    found = rl.suspects(noise.assign(ct__id=number), of_classes(outcome))
    assert found["what"].tolist() == ["order"]
    assert "does it number the patients" in found["message"][0]


@pytest.mark.parametrize("column", ["time", "event", "rank"])
def test_time_and_event_are_no_features(noise, outcome, rng, column):
    time = rng.exponential(900, 60).round(1) + 1
    frame = pd.DataFrame({"time": time, "event": outcome.astype(int)}, IDS)
    columns = {
        "time": time,
        "event": outcome,
        "rank": -pd.Series(time).rank().to_numpy(),
    }
    table = noise.assign(ct__x=np.asarray(columns[column], dtype=float))
    found = rl.suspects(table, Endpoint("os", "survival", frame))
    assert found["where"].tolist() == ["ct__x"]
    assert found["what"].tolist() == ["order" if column == "rank" else "outcome"]


def test_a_code_of_several_classes_is_told_of_the_one_it_separates(noise, rng):
    classes = rng.integers(0, 3, 60)
    code = np.choose(classes, [2.0, 0.0, 1.0])
    found = rl.suspects(noise.assign(ct__x=code), of_classes(classes))
    assert found["where"].tolist() == ["ct__x"]


def test_a_copied_patient_is_told_in_its_block(noise, outcome, caplog):
    table = noise.copy()
    table.loc["p07"] = table.loc["p31"]
    # read again from a file of ten digits
    table.loc["p40"] = table.loc["p41"].map(lambda value: float(f"{value:.12g}"))
    table["clinical__age"] = np.arange(60.0) % 7
    found = rl.suspects(table, of_classes(outcome))
    assert found["what"].tolist() == ["copy", "copy"]
    assert "patients p07, p31 have the same values in all 20 columns of ct" in (
        found["message"].str.cat()
    )


def test_noise_and_few_kinds_of_patients_are_not_told(noise, rng):
    for seed in range(20):
        y = np.random.default_rng(seed).random(60) < 0.4
        wide = pd.DataFrame(rng.normal(size=(60, 300)), IDS).add_prefix("ct__g")
        assert rl.suspects(noise.join(wide), of_classes(y)).empty
    clinical = pd.DataFrame(
        {"clinical__sex": np.arange(60) % 2.0, "clinical__stage": np.arange(60) % 4.0},
        IDS,
    )
    assert rl.suspects(clinical, of_classes(np.arange(60) % 3 == 0)).empty
    # three patients of a class are separated by chance in some of 300 columns
    few = of_classes(np.arange(60) < 3)
    assert rl.suspects(noise.join(wide), few).empty


@pytest.mark.parametrize(
    ("column", "says"),
    [
        ("time", "orders the times of the events"),
        ("relapse", "separates the event of interest from all else"),
        ("any", "separates events from censored patients"),
    ],
)
def test_of_competing_events_no_column_tells_which_came_first(noise, rng, column, says):
    time = rng.exponential(900, 60).round(1) + 1
    what = rng.choice(["relapse", "death", "none"], 60)
    frame = pd.DataFrame({"t": time, "what": what}, IDS)
    endpoint = Endpoint.competing(
        frame, time="t", event="what", positive="relapse", censored="none"
    )
    values = {"time": time, "relapse": what == "relapse", "any": what != "none"}
    copy = pd.Series(values[column], IDS).astype(float)
    found = rl.suspects(noise.assign(ct__nan=copy), endpoint)
    assert found["where"].tolist() == ["ct__nan"]
    assert says in found["message"][0]
    assert rl.suspects(noise, endpoint).empty
