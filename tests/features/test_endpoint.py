from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import radlatent as rl
from radlatent.errors import SchemaError
from radlatent.features.endpoint import Endpoint, groups_of, positive_problems
from radlatent.fusion import outcome_of

PATIENTS = pd.Index([f"p{i:02d}" for i in range(40)], name="patient_id")
YES = np.arange(40) % 2 == 0


@pytest.fixture
def features():
    values = np.random.default_rng(0).normal(size=(40, 3))
    frame = pd.DataFrame(values, PATIENTS, ["a", "b", "c"])
    return rl.features(frame, block="ct")


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (YES.astype(int), ["0", "1"]),
        (YES.astype(float), ["0", "1"]),
        (YES, ["False", "True"]),
        (pd.array(YES, "boolean"), ["False", "True"]),
        (pd.Categorical(np.where(YES, "yes", "no"), ["no", "yes", "?"]), ["no", "yes"]),
        (np.where(YES, "yes", "no").astype(object), ["no", "yes"]),
    ],
)
def test_classes_of_every_type_are_validated_as_text(values, names, features):
    endpoint = Endpoint("y", "class", pd.DataFrame({"class": values}, PATIENTS))
    assert sorted(endpoint.frame["class"].unique()) == names
    folds = rl.make_folds(endpoint, n_folds=2, n_repeats=1)
    result = rl.cross_validate(rl.logistic(), features, endpoint, folds)
    text = Endpoint(
        *("y", "class", pd.DataFrame({"class": np.where(YES, "yes", "no")}, PATIENTS))
    )
    expected = rl.cross_validate(rl.logistic(), features, text, folds)
    pd.testing.assert_series_equal(
        result.metrics["estimate"], expected.metrics["estimate"]
    )


@pytest.mark.parametrize("positive", [1, True, 1.0, "1", np.int64(1)])
def test_positive_is_the_class_as_the_column_has_it(positive):
    values = YES if positive is True else YES.astype(int)
    frame = pd.DataFrame({"y": values}, PATIENTS)
    endpoint = Endpoint.binary(frame, "y", positive=positive)
    assert endpoint.positive == ("True" if positive is True else "1")


@pytest.mark.parametrize(
    "event", [YES, YES.astype(float), YES.astype(int), np.where(YES, "1", "0")]
)
def test_events_of_every_type_are_those_of_integers(event, features):
    time = np.linspace(50, 900, 40)
    frame = pd.DataFrame({"time": time, "event": event}, PATIENTS)
    endpoint = Endpoint("os", "survival", frame)
    assert endpoint.frame["event"].tolist() == YES.astype(int).tolist()
    folds = rl.make_folds(endpoint, n_folds=2, n_repeats=1)
    rl.cross_validate(rl.cox(), features, endpoint, folds)


def test_missing_outcomes_are_left_out_and_counted_or_named(caplog, features):
    values = pd.Series(np.where(YES, "yes", "no"), PATIENTS, dtype=object)
    values[:4] = None
    endpoint = Endpoint.classes(values.to_frame("y"), "y")
    assert len(endpoint.frame) == 36
    assert "4 patients have no outcome and are left out: ['p00'" in caplog.text
    strict = Endpoint("y", "class", values.to_frame("class"))
    with pytest.raises(SchemaError, match=r"4 patients have no class: \['p00'"):
        rl.make_folds(strict, n_folds=2)
    with pytest.raises(SchemaError, match="4 patients have no class"):
        rl.cross_validate(rl.logistic(), features, strict, rl.make_folds(endpoint))


@pytest.mark.parametrize(
    ("unit", "days"),
    [("days", 1), ("weeks", 7), ("months", 30.4375), ("years", 365.25)],
)
def test_times_are_days_whatever_their_unit(unit, days):
    frame = pd.DataFrame({"t": np.arange(1, 41) / days, "e": YES}, PATIENTS)
    endpoint = Endpoint.survival(frame, time="t", event="e", unit=unit)
    np.testing.assert_allclose(endpoint.frame["time"], np.arange(1, 41))
    delta = frame.assign(t=pd.to_timedelta(np.arange(1, 41), "D"))
    endpoint = Endpoint.survival(delta, time="t", event="e", unit=unit)
    np.testing.assert_allclose(endpoint.frame["time"], np.arange(1, 41))


def survival(**columns):
    frame = pd.DataFrame({"t": np.arange(1.0, 41), "e": YES}, PATIENTS)
    return Endpoint.survival(frame.assign(**columns), time="t", event="e")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: survival(t=0.0), "not above 0 and finite"),
        (lambda: survival(e=YES + 1), r"neither 0 nor 1.*1 and 2 as in R"),
        (lambda: survival(e=0), "no patient has an event"),
        (lambda: survival(t="soon"), "time holds .* which are no numbers"),
        (lambda: survival(t=pd.Timestamp(0)), "time holds .* which are no numbers"),
        (
            lambda: Endpoint("os", "survival", pd.DataFrame({"OS": [1]})),
            r"\['time', 'event'\], and this one has \['OS'\]",
        ),
        (
            lambda: Endpoint("y", "class", pd.DataFrame({"y": [1]})),
            r"\['class'\], and this one has \['y'\]",
        ),
        (lambda: Endpoint("y", "binary", pd.DataFrame()), "known are"),
        (
            lambda: Endpoint.survival(pd.DataFrame(), time="t", event="e", unit="h"),
            "unit is 'h'",
        ),
    ],
)
def test_what_is_no_survival_is_refused_at_once(make, message):
    with pytest.raises(SchemaError, match=message):
        make()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.where(YES, "yes", "Yes"), "differ only in case"),
        (np.where(YES, "1", "1.0"), "format of a number"),
        (np.linspace(0, 1, 40), "continuous outcome"),
        (np.arange(40) % 3, "has the classes .* two are needed"),
        (np.ones(40), "two are needed"),
        (np.where(YES, "yes", "None"), "would be a class of its own"),
    ],
)
def test_what_is_no_binary_outcome_is_refused_at_once(values, message):
    with pytest.raises(SchemaError, match=message):
        Endpoint.binary(pd.DataFrame({"y": values}, PATIENTS), "y")


def test_ids_may_be_a_column_and_are_named_where_they_are_there_twice():
    frame = pd.DataFrame({"who": range(40), "y": YES})
    endpoint = Endpoint.binary(frame, "y", patients="who")
    assert endpoint.frame.index.tolist()[:2] == ["0", "1"]
    with pytest.raises(SchemaError, match="name no patients"):
        Endpoint.binary(frame[["y"]], "y")
    twice = frame.assign(who=[0, 0, *range(38)])
    with pytest.raises(SchemaError, match=r"there twice or more: \['0', '1'\]"):
        Endpoint.binary(pd.concat([frame, frame.iloc[:2]]), "y", patients="who")
    with pytest.raises(SchemaError, match="there twice"):
        Endpoint.binary(twice, "y", patients="who")
    with pytest.raises(SchemaError, match="no column 'z'"):
        Endpoint.binary(frame, "z", patients="who")


def test_what_is_text_already_is_left_as_it_is(make_endpoint):
    endpoint = make_endpoint("ab" * 20)
    assert replace(endpoint, positive="b").frame.equals(endpoint.frame)


@pytest.mark.parametrize(
    "make",
    [
        lambda v: v,
        lambda v: v.astype(str),
        lambda v: v.astype("Float64"),
        lambda v: v.astype(object),
    ],
)
def test_a_continuous_outcome_is_numbers_with_a_unit(make, caplog):
    values = pd.Series(np.linspace(20, 75, 40), PATIENTS, name="ef")
    endpoint = Endpoint.continuous(make(values), unit="%")
    np.testing.assert_allclose(endpoint.frame["value"], values)
    assert endpoint.frame["value"].dtype == float
    assert (endpoint.name, endpoint.kind, endpoint.unit) == ("ef", "continuous", "%")
    assert repr(endpoint) == "Endpoint('ef', continuous: n = 40, 20 to 75 %)"
    some = pd.DataFrame({"ef": [1.0, None, 2.0, 3.0]}, PATIENTS[:4])
    assert len(Endpoint.continuous(some, "ef").frame) == 3
    assert "1 patients have no outcome and are left out: ['p01']" in caplog.text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.where(YES, "high", "low"), "which are no numbers"),
        (YES, r"2 different values \[0.0, 1.0\]: these are no continuous"),
        (np.append(np.arange(39.0), np.inf), r"no finite value: \['p39'\]"),
    ],
)
def test_what_is_no_continuous_outcome_is_refused_at_once(values, message):
    with pytest.raises(SchemaError, match=message):
        Endpoint.continuous(pd.DataFrame({"y": values}, PATIENTS), "y")


def test_a_unit_is_of_numbers_and_numbers_have_no_positive_class():
    frame = pd.DataFrame({"class": np.where(YES, "a", "b")}, PATIENTS)
    with pytest.raises(SchemaError, match="unit is of continuous outcomes"):
        Endpoint("y", "class", frame, unit="ml")
    values = pd.DataFrame({"value": np.arange(40.0)}, PATIENTS)
    numbers = Endpoint("y", "continuous", values, positive="a")
    assert "the outcome is a number" in positive_problems(numbers)[0]
    with pytest.raises(SchemaError, match=r"\['value'\], and this one has \['y'\]"):
        Endpoint("y", "continuous", values.set_axis(["y"], axis=1))


def test_groups_of_similar_values_are_of_similar_size():
    values = np.random.default_rng(0).normal(size=53)
    groups = groups_of(values, 5)
    assert np.bincount(groups).tolist() == [6, 5, 5, 6, 5, 5, 6, 5, 5, 5]
    lowest, next_ = values[groups == 0], values[groups == 1]
    assert lowest.max() < next_.min()
    assert groups_of(values[:7], 5).tolist() == [0] * 7


def competing(**changes):
    causes = np.resize(["none", "relapse", "death", "relapse"], 40)
    frame = pd.DataFrame({"t": np.arange(1.0, 41), "first": causes}, PATIENTS)
    names = {"time": "t", "event": "first", "censored": "none", "positive": "relapse"}
    return Endpoint.competing(frame, **names | changes)


def test_competing_events_have_the_cause_of_interest_first():
    endpoint = competing(unit="years")
    assert endpoint.causes == ["relapse", "death"]
    assert endpoint.frame["event"].sum() == 20
    assert endpoint.frame["time"].iloc[0] == 365.25
    y = outcome_of(endpoint, ["p00", "p01", "p02"])
    assert y.dtype.names == ("event", "time", "cause")
    assert y["cause"].tolist() == [0, 1, 2]
    assert y["event"].tolist() == [False, True, False]
    other = replace(endpoint, positive="death")
    assert other.causes == ["death", "relapse"]
    assert other.frame["event"].sum() == 10


def test_folds_hold_every_cause_where_there_are_enough():
    endpoint = competing()
    folds = rl.make_folds(endpoint, n_folds=5, n_repeats=1)
    cause = folds["patient_id"].map(endpoint.frame["cause"])
    counts = pd.crosstab(folds["fold"], cause)
    assert (counts == [2, 2, 4]).all(axis=None)
    few = endpoint.frame["cause"].mask(endpoint.frame["time"] > 7, "censored")
    few = replace(endpoint, frame=endpoint.frame.assign(cause=few))
    # three relapses, two deaths
    rl.make_folds(few, n_folds=3, n_repeats=1)
    with pytest.raises(SchemaError, match="fewer events than n_folds=4"):
        rl.make_folds(few, n_folds=4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"positive": "progression"}, "name the one of interest"),
        ({"unit": "hours"}, "unit is 'hours'"),
    ],
)
def test_what_are_no_competing_events_is_refused_at_once(changes, message):
    with pytest.raises(SchemaError, match=message):
        competing(**changes)


def test_one_cause_alone_is_survival():
    frame = competing().frame.replace({"cause": {"death": "censored"}})
    with pytest.raises(SchemaError, match="nothing competes with 'relapse'"):
        rl.make_folds(Endpoint("first", "competing", frame, "relapse"), n_folds=2)


def test_competing_events_are_not_taken_for_censored(features):
    endpoint = competing()
    folds = rl.make_folds(endpoint, n_folds=2, n_repeats=1)
    with pytest.raises(SchemaError, match=r"take for censored. Take fine_gray"):
        rl.cross_validate(rl.cox(), features, endpoint, folds)
