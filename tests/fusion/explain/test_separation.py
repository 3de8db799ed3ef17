"""Columns that separate outcomes, and a penalty that keeps them finite."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from statsmodels.duration.hazard_regression import PHReg

import radlatent as rl
from radlatent.errors import SchemaError
from radlatent.features.endpoint import Endpoint
from radlatent.fusion.explain.firth import firth, penalized_likelihood
from radlatent.fusion.explain.separation import cox_limit, logistic_limit

#: Urinary tract infection in college women, the table ``sexagg`` of R's logistf (Foxman
#: et al. 1997): age, oc, vic, vicl, vis, dia; women with, and without an infection.
INFECTION = """000010 1 1|001000 14 2|001010 3 1|001100 10 8|001110 12 18|001111 1 0
010000 44 42|010001 3 0|010010 0 1|011000 15 1|011001 1 0|011010 2 0|011100 7 5
011110 3 6|101000 2 0|101010 1 0|101011 1 0|101100 1 2|101110 0 4|101111 1 0
110000 5 14|110010 0 1|111000 3 1|111110 0 2"""

#: logistf(case ~ age + oc + vic + vicl + vis + dia, sex2), as printed in the tests of
#: the Python package firthlogist 0.5; the intercept is last.
LOGISTF = {
    "coef": [
        *(-1.10598131, -0.06881673, 2.26887464, -2.11140817, -0.78831694),
        *(3.09601166, 0.12025405),
    ],
    "lower": [
        *(-1.9737884, -0.9414363, 1.2730216, -3.2608611, -1.6080879),
        *(0.7745682, -0.8185591),
    ],
    "upper": [
        *(-0.30742514, 0.78920202, 3.43543273, -1.11773495, 0.01518468),
        *(8.03029352, 1.07315122),
    ],
    # of logistf itself, with the penalty of all columns under the hypothesis too
    "p": [6.143e-3, 8.752e-1, 1.679e-6, 1.238e-5, 5.450e-2, 4.952e-3, 8.020e-1],
}


@pytest.fixture(scope="module")
def infection():
    rows = []
    for cell in INFECTION.replace("\n", "|").split("|"):
        pattern, ill, well = cell.split()
        values = [*map(float, pattern), 1.0]
        rows += [[*values, 1.0]] * int(ill) + [[*values, 0.0]] * int(well)
    table = np.array(rows)
    return table[:, :-1], table[:, -1]


def test_firth_is_rs_logistf(infection):
    design, event = infection
    assert (len(event), event.sum()) == (239, 130)
    found = firth(design, event, 7)
    np.testing.assert_allclose(found.params, LOGISTF["coef"], rtol=1e-6)
    # R stops at steps of 1e-5
    np.testing.assert_allclose(found.lower, LOGISTF["lower"], rtol=1e-5)
    np.testing.assert_allclose(found.upper, LOGISTF["upper"], rtol=1e-5)
    # four printed digits
    np.testing.assert_allclose(found.p, LOGISTF["p"], rtol=2e-4)


def test_a_coefficient_may_be_held(infection):
    design, event = infection
    best, coef = penalized_likelihood(design, event)
    held, other = penalized_likelihood(design, event, {5: 0.0})
    assert other[5] == 0
    assert held < best
    assert coef[5] == pytest.approx(3.09601166, rel=1e-6)


def test_what_a_column_separates_is_as_if_these_patients_were_not_there(infection):
    design, event = infection
    limit = logistic_limit(design, event)
    # every woman with a diaphragm was ill
    assert limit.infinite.tolist() == [False] * 5 + [True, False]
    left = design[:, 5] == 0
    fit = sm.Logit(event[left], np.delete(design[left], 5, axis=1)).fit(disp=0)
    np.testing.assert_allclose(np.delete(limit.params, 5), fit.params, rtol=1e-6)
    np.testing.assert_allclose(np.delete(limit.errors, 5), fit.bse, rtol=1e-6)
    assert limit.llf == pytest.approx(fit.llf)
    assert np.isnan(limit.params[5])


def test_nothing_that_separates_has_no_limit(infection):
    design, event = infection
    assert logistic_limit(np.delete(design, 5, axis=1), event) is None


def test_a_combination_that_separates_is_found_in_all_of_its_columns(rng):
    x = rng.normal(size=(80, 3))
    event = (x[:, 0] + x[:, 1] > 0).astype(float)
    limit = logistic_limit(np.column_stack([x, np.ones(80)]), event)
    # all are predicted: nothing is left to learn from
    assert limit.infinite[:2].all()
    assert limit.llf == pytest.approx(0)


def with_rare(rng, n=200):
    age, score = rng.normal(size=(2, n))
    risk = 0.3 * age + 0.7 * score
    time = np.ceil(100 * rng.exponential(size=n) / np.exp(risk))
    # many are tied, but the first ones are not
    time = np.where(time < 4, time + rng.random(n), time)
    event = rng.random(n) < 0.5
    # the earliest event, and one after it, are all of the rare kind
    rare = np.zeros(n)
    rare[np.lexsort((time, ~event))[:2]] = 1
    return np.column_stack([age, score, rare]), event.astype(float), time


def test_a_rare_column_that_goes_first_leaves_the_others_their_hazards(rng):
    design, event, time = with_rare(rng)
    limit = cox_limit(design, event, time)
    assert limit.infinite.tolist() == [False, False, True]
    # the likelihood is nearly the same with a coefficient that is large
    offset = 25 * design[:, 2]
    fit = PHReg(time, design[:, :2], status=event, ties="efron", offset=offset)
    fit = fit.fit(disp=0)
    np.testing.assert_allclose(limit.params[:2], fit.params, atol=1e-5)
    np.testing.assert_allclose(limit.errors[:2], fit.bse, atol=1e-5)
    assert limit.llf == pytest.approx(fit.llf, abs=1e-5)


@pytest.fixture
def table(rng):
    """Return age, a rare kind that all had the event, a score, and the endpoint."""
    ids = pd.Index([f"p{i:03d}" for i in range(200)], name="patient_id")
    age, score = rng.normal(size=(2, 200))
    event = rng.random(200) < 1 / (1 + np.exp(1 - 0.3 * age - 0.7 * score))
    rare = np.zeros(200)
    rare[np.flatnonzero(event)[:2]] = 1
    columns = {"clinical__age": age, "clinical__rare": rare, "score__s": score}
    frame = pd.DataFrame({"class": np.where(event, "yes", "no")}, ids)
    return pd.DataFrame(columns, ids), Endpoint("r", "class", frame, "yes")


def test_a_rare_category_blanks_its_own_row_and_is_named(table):
    features, endpoint = table
    found = rl.multivariable(features, endpoint).set_index("column")
    note = "no finite estimate: clinical__rare separates the outcomes"
    assert found["note"].tolist() == ["", note, ""]
    ends = ["estimate", "lower", "upper", "p"]
    assert found.loc["clinical__rare", ends].isna().all()
    left = features["clinical__rare"] == 0
    frame = endpoint.frame[left]
    without = rl.multivariable(
        features.loc[left].drop(columns="clinical__rare"),
        Endpoint("r", "class", frame, "yes"),
    ).set_index("column")
    # for one standard deviation, which two patients change
    scaled = np.log(without["estimate"]) / without["per"]
    np.testing.assert_allclose(
        np.log(found["estimate"].dropna()) / found["per"][scaled.index],
        scaled,
        rtol=1e-6,
    )
    np.testing.assert_allclose(found["p"].dropna(), without["p"], rtol=1e-6)


def test_the_test_of_a_score_holds_beside_a_column_that_separates(table):
    features, endpoint = table
    base, score = features.iloc[:, :2], features[["score__s"]]
    row = rl.likelihood_ratio_test(base, score, endpoint).iloc[0]
    left = features["clinical__rare"] == 0
    part = Endpoint("r", "class", endpoint.frame[left], "yes")
    expected = rl.likelihood_ratio_test(
        base.loc[left, ["clinical__age"]], score[left], part
    ).iloc[0]
    assert row["chi2"] == pytest.approx(expected["chi2"], rel=1e-6)
    assert "clinical__rare" in row["note"]
    # what is added separates: no test
    row = rl.likelihood_ratio_test(score, features[["clinical__rare"]], endpoint)
    assert np.isnan(row["p"][0])
    assert row["note"][0].startswith("no finite estimate: clinical__rare")


def test_firth_gives_every_column_a_row_and_a_test(table):
    features, endpoint = table
    for make in (rl.multivariable, rl.univariable):
        found = make(features, endpoint, penalty="firth").set_index("column")
        assert np.isfinite(found[["estimate", "lower", "p"]]).all(axis=None)
        assert found.loc["clinical__rare", "estimate"] > 1
        assert (found["note"] == "").all()
    both = features[["score__s"]], features[["clinical__rare"]]
    row = rl.likelihood_ratio_test(*both, endpoint, penalty="firth").iloc[0]
    assert 0 < row["p"] < 1
    with pytest.raises(SchemaError, match="penalty is 'ridge'"):
        rl.multivariable(features, endpoint, penalty="ridge")
