import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from lifelines import KaplanMeierFitter
from statsmodels.duration.survfunc import CumIncidenceRight

from radlatent.errors import SchemaError
from radlatent.features.endpoint import Endpoint
from radlatent.figures.style.look import PALETTE
from radlatent.fusion.metrics.censoring import aalen_johansen
from radlatent.fusion.metrics.incidence import cumulative_incidence

NAMES = {"time": "ftime", "event": "Status", "positive": 1}


@pytest.fixture
def transplants(project_root):
    table = pd.read_csv(project_root / "tests" / "data" / "competing" / "bmtcrr.csv")
    # R printed what follows with this event on the day of a censoring or earlier: in
    # the copy that we have it is at 9.98, and one of AML is censored at 9.97
    late = table.index[table["ftime"] == 9.98]
    assert len(late) == 1
    table.loc[late, "ftime"] = 9.97
    return table.rename_axis("patient_id").rename(index="p{:03d}".format)


def test_incidence_is_that_of_cuminc(transplants):
    endpoint = Endpoint.competing(transplants, **NAMES)
    found = cumulative_incidence(endpoint, transplants["D"]).at([20, 40, 60])
    # R, cmprsk: cuminc(bmtcrr$ftime, bmtcrr$Status, bmtcrr$D)
    printed = {
        ("ALL", "1"): [0.3713851, 0.3875571, 0.3875571],
        ("ALL", "2"): [0.3698630, 0.3860350, 0.3860350],
        ("AML", "1"): [0.2414530, 0.2663827, 0.2810390],
        ("AML", "2"): [0.4439103, 0.4551473, 0.4551473],
    }
    assert len(found) == 12
    for key, rows in found.groupby(["group", "cause"]):
        assert rows["incidence"].tolist() == pytest.approx(printed[key], abs=5e-8)


def test_after_follow_up_of_a_group_nothing_is_told(transplants):
    endpoint = Endpoint.competing(transplants, **NAMES)
    found = cumulative_incidence(endpoint, transplants["D"]).at(120)
    # R prints NA for AML, whose last patient was followed for 114.7 months
    assert found["incidence"].isna().tolist() == [False, False, True, True]
    assert found["lower"].isna().tolist() == [False, False, True, True]


def test_errors_are_those_of_statsmodels_which_has_them_from_stata(transplants):
    time, cause = transplants["ftime"].to_numpy(), transplants["Status"].to_numpy()
    found, other = aalen_johansen(time, cause, 2), CumIncidenceRight(time, cause)
    for number in (1, 2):
        rows = found[found["cause"] == number].set_index("time").loc[other.times]
        np.testing.assert_allclose(rows["incidence"], other.cinc[number - 1])
        np.testing.assert_allclose(rows["error"], other.cinc_se[number - 1], rtol=1e-10)


def test_three_causes_and_ties_as_r_and_stata_have_them():
    # test_incidence of statsmodels: values of R's cuminc, errors of Stata's stcompet
    time = [1, 1, 2, 4, 4, 4, 6, 6, 7, 8, 9, 9, 9, 1, 2, 2, 4, 4]
    cause = [1, 1, 1, 2, 2, 2, 3, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    found = aalen_johansen(np.array(time, float), np.array(cause), 3)
    last = found[found["time"] == 9]
    assert last["incidence"].tolist() == pytest.approx(
        [0.17037037, 0.20740741, 0.26666667], abs=5e-9
    )
    first = found[(found["cause"] == 1) & (found["time"].isin([1, 2]))]
    assert first["error"].tolist() == pytest.approx([0.07407407, 0.08976251], abs=5e-9)


def test_causes_add_up_to_one_minus_kaplan_meier_of_any_event(transplants):
    time, cause = transplants["ftime"].to_numpy(), transplants["Status"].to_numpy()
    total = aalen_johansen(time, cause, 2).groupby("time")["incidence"].sum()
    free = KaplanMeierFitter().fit(time, cause > 0).survival_function_.iloc[:, 0]
    np.testing.assert_allclose(total, 1 - free.loc[total.index], atol=1e-12)


def test_with_one_cause_it_is_kaplan_meier_with_greenwood(transplants):
    time, event = transplants["ftime"].to_numpy(), transplants["Status"].to_numpy() > 0
    found = aalen_johansen(time, event.astype(int), 1, level=0.9).set_index("time")
    fitter = KaplanMeierFitter(alpha=0.1).fit(time, event)
    np.testing.assert_allclose(
        1 - found["incidence"], fitter.survival_function_.iloc[:, 0], atol=1e-12
    )
    # Greenwood's error by hand: lifelines' interval is on log(-log) of survival
    at_risk, died = found["at_risk"], found["events"]
    greenwood = np.cumsum(died / (at_risk * (at_risk - died)))
    expected = (1 - found["incidence"]) * np.sqrt(greenwood)
    np.testing.assert_allclose(found["error"], expected, atol=1e-12)


def test_interval_covers_as_often_as_it_says():
    random, inside = np.random.default_rng(0), []
    for _ in range(400):
        first, cause = random.exponential(1, 80), random.integers(1, 3, 80)
        end = random.uniform(0, 3, 80)
        cause[first > end] = 0
        found = aalen_johansen(np.minimum(first, end), cause, 2)
        row = found[(found["cause"] == 1) & (found["time"] <= 1)].iloc[-1]
        inside.append(row["lower"] <= (1 - np.exp(-1)) / 2 <= row["upper"])
    # 0.95 within three standard errors of 400 draws
    assert np.mean(inside) == pytest.approx(0.95, abs=0.033)


def test_everybody_having_it_is_certain():
    found = aalen_johansen(np.array([1.0, 2, 3]), np.array([1, 1, 1]), 1)
    assert found["incidence"].tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert found["error"].iloc[[0, -1]].tolist() == [0, 0]
    assert found[["lower", "upper"]].iloc[[0, -1]].isna().all(axis=None)


def test_summary_and_print_tell_groups_causes_and_last_day(transplants):
    endpoint = Endpoint.competing(transplants, **NAMES)
    found = cumulative_incidence(endpoint, transplants["D"])
    assert found.summary[["group", "cause", "n", "n_events"]].to_numpy().tolist() == [
        ["ALL", "1", 73, 28],
        ["ALL", "2", 73, 28],
        ["AML", "1", 104, 28],
        ["AML", "2", 104, 47],
    ]
    assert "AML, 1: n = 104, 28 events; until day 114.7 0.281 (0.196" in repr(found)
    assert cumulative_incidence(endpoint).summary["group"].unique().tolist() == ["all"]


def test_plot_has_a_color_a_group_and_a_dash_a_cause(transplants):
    endpoint = Endpoint.competing(transplants, **NAMES)
    _, ax = plt.subplots()
    assert cumulative_incidence(endpoint, transplants["D"]).plot(ax) is ax
    told = [(line.get_color(), line.get_linestyle()) for line in ax.lines]
    assert told == [(c, dash) for c in PALETTE[:2] for dash in ("-", "--")]
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["ALL: 1", "ALL: 2", "AML: 1", "AML: 2"]
    _, ax = plt.subplots()
    cumulative_incidence(endpoint).plot(ax)
    assert [line.get_color() for line in ax.lines] == list(PALETTE[:2])
    plt.close("all")


def test_other_outcomes_and_patients_without_a_group_are_refused(transplants):
    survival = Endpoint.survival(
        transplants.assign(event=transplants["Status"] > 0), time="ftime", event="event"
    )
    with pytest.raises(SchemaError, match=r"kind 'survival'.*Endpoint\.competing"):
        cumulative_incidence(survival)
    endpoint = Endpoint.competing(transplants, **NAMES)
    with pytest.raises(SchemaError, match=r"1 patients .*no row.*\['p000'\]"):
        cumulative_incidence(endpoint, transplants["D"].drop("p000"))
    some = transplants["D"].where(transplants.index != "p001")
    assert cumulative_incidence(endpoint, some).groups["n"].tolist() == [
        73,
        73,
        103,
        103,
    ]
