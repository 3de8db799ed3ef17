import lifelines
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from lifelines.datasets import load_rossi
from sklearn.linear_model import LogisticRegression
from statsmodels.stats.multitest import multipletests

from radlatent.cohort import Endpoint
from radlatent.errors import SchemaError
from radlatent.fusion.explain.inference import (
    likelihood_ratio_test,
    multivariable,
    univariable,
)


def patients(frame):
    index = pd.Index([f"p{i:03d}" for i in range(len(frame))], name="patient_id")
    return frame.set_axis(index).astype(float)


def classes(labels, index):
    return Endpoint("grade", "class", pd.DataFrame({"class": labels}, index))


@pytest.fixture
def rossi():
    """432 released convicts, 114 arrested again (Rossi et al. 1980)."""
    frame = patients(load_rossi())
    outcome = frame[["week", "arrest"]].set_axis(["time", "event"], axis=1)
    features = frame.drop(columns=["week", "arrest"]).add_prefix("clinical__")
    return features, Endpoint("arrest", "survival", outcome)


@pytest.fixture
def spector():
    """32 students, 11 of whom improved (Spector & Mazzeo 1980)."""
    data = sm.datasets.spector.load_pandas()
    features = patients(data.exog).add_prefix("clinical__")
    labels = data.endog.map({0.0: "no", 1.0: "yes"}).to_numpy()
    return features, classes(labels, features.index)


def test_hazard_ratios_are_those_of_r(rossi):
    # coxph(Surv(week, arrest) ~ fin + age + race + wexp + mar + paro + prio), printed
    # in Fox & Weisberg 2011, appendix "Cox proportional-hazards regression"
    coefficients = [-0.37942, -0.05744, 0.31390, -0.14980, -0.43370, -0.08487, 0.09150]
    p = [0.04742, 0.00903, 0.30812, 0.48029, 0.25606, 0.66461, 0.00140]
    table = multivariable(*rossi)
    found = np.log(table["estimate"]) / table["per"]
    # R prints five digits
    np.testing.assert_allclose(found, coefficients, atol=6e-6)
    np.testing.assert_allclose(table["p"], p, atol=6e-6)
    aid = table.iloc[0]
    assert aid["column"] == "clinical__fin"
    assert (aid["per"], aid["n"], aid["n_events"]) == (1, 432, 114)
    assert aid["effect"] == "hazard ratio"
    ends = [aid["estimate"], aid["lower"], aid["upper"]]
    np.testing.assert_allclose(ends, [0.6843, 0.4702, 0.9957], atol=6e-5)
    assert aid["events_per_variable"] == 114 / 7


def test_odds_ratios_are_those_of_greene(spector):
    # Greene 2003, Econometric Analysis, table 21.1: logit, slope (standard error)
    table = multivariable(*spector)
    slope = np.log(table["estimate"]) / table["per"]
    half = np.log(table["upper"] / table["lower"]) / (2 * 1.959964) / table["per"]
    # three digits are printed
    np.testing.assert_allclose(slope, [2.826, 0.095, 2.379], atol=6e-4)
    np.testing.assert_allclose(half, [1.263, 0.142, 1.065], atol=6e-4)
    assert table["events_per_variable"][0] == 11 / 3
    assert table["per"][2] == 1


def test_ratio_of_a_column_of_two_values_is_that_of_its_table():
    # Woolf 1955: ad / bc, with standard error sqrt(1/a + 1/b + 1/c + 1/d) of its log
    exposed = np.repeat([0, 1, 0, 1], [30, 12, 20, 28])
    features = patients(pd.DataFrame({"clinical__smoker": exposed * 10.0}))
    endpoint = classes(np.repeat(["no", "yes"], [42, 48]), features.index)
    row = univariable(features, endpoint, level=0.9).iloc[0]
    assert (row["per"], row["level"], row["n_events"]) == (10, 0.9, 48)
    error = np.sqrt(1 / 30 + 1 / 12 + 1 / 20 + 1 / 28)
    ratio = 28 * 30 / (12 * 20)
    # Newton's steps end below 1e-8
    assert row["estimate"] == pytest.approx(ratio, rel=1e-6)
    assert row["upper"] == pytest.approx(ratio * np.exp(1.6448536 * error), rel=1e-6)


def test_each_column_by_itself_agrees_with_lifelines(rossi):
    features, endpoint = rossi
    features = features.assign(clinical__empty=np.nan)
    features.iloc[:30, 1] = np.nan
    table = univariable(features, endpoint).set_index("column")
    data = pd.concat([features[["clinical__age"]], endpoint.frame], axis=1).dropna()
    summary = lifelines.CoxPHFitter().fit(data, "time", "event").summary.iloc[0]
    row = table.loc["clinical__age"]
    # two implementations of Newton's method
    assert np.log(row["estimate"]) / row["per"] == pytest.approx(
        summary["coef"], rel=1e-5
    )
    assert row["p"] == pytest.approx(summary["p"], rel=1e-4)
    assert row["per"] == pytest.approx(data["clinical__age"].std(), rel=1e-12)
    assert (row["n"], row["n_missing"]) == (402, 30)
    known = table["p"].dropna()
    expected = multipletests(known, method="fdr_bh")[1]
    np.testing.assert_allclose(table["q"].dropna(), expected, rtol=1e-12)
    empty = table.loc["clinical__empty"]
    assert np.isnan([empty["estimate"], empty["p"], empty["q"]]).all()
    assert (empty["n"], empty["note"]) == (
        0,
        "no estimate: the column or the outcome does not vary",
    )


@pytest.mark.parametrize("kind", ["class", "survival"])
def test_separation_gives_no_ratio_and_a_note(kind):
    rng = np.random.default_rng(0)
    x = np.sort(rng.normal(size=40))
    frame = {"ct__split": x, "ct__empty_cell": np.r_[np.zeros(35), np.ones(5)]}
    features = patients(pd.DataFrame(frame | {"ct__noise": rng.normal(size=40)}))
    features["ct__constant"] = 0.1
    late = np.arange(40) >= 20
    # whoever has an event has the largest value of all who are still free of it
    outcome = {"time": np.where(late, 50.0 - np.arange(40), 60.0), "event": late * 1}
    endpoint = Endpoint("os", "survival", pd.DataFrame(outcome, features.index))
    if kind == "class":
        endpoint = classes(np.where(late, "b", "a"), features.index)
    table = univariable(features, endpoint).set_index("column")
    for column in (
        ("ct__split", "ct__empty_cell") if kind == "class" else ("ct__split",)
    ):
        assert table["note"][column].startswith("no finite estimate")
        assert table.loc[column, ["estimate", "upper", "p", "q"]].isna().all()
    assert "does not vary" in table["note"]["ct__constant"]
    assert table["note"]["ct__noise"] == ""
    assert np.isfinite(table["q"]["ct__noise"])
    test = likelihood_ratio_test(
        features[["ct__noise"]], features[["ct__split"]], endpoint
    )
    assert test["note"][0].startswith("no finite estimate")
    assert test["p"].isna().all()


def test_likelihood_ratio_of_survival_agrees_with_lifelines(rossi):
    features, endpoint = rossi
    base = features.iloc[:, :5]
    base = base.assign(clinical__age=base["clinical__age"].where(base.index > "p009"))
    table = likelihood_ratio_test(base, features.iloc[:, 5:], endpoint)
    data = pd.concat([base, features.iloc[:, 5:], endpoint.frame], axis=1).dropna()
    models = [
        lifelines.CoxPHFitter().fit(data.drop(columns=left_out), "time", "event")
        for left_out in ([], features.columns[5:])
    ]
    chi2 = 2 * (models[0].log_likelihood_ - models[1].log_likelihood_)
    # two implementations of Newton's method
    assert table["chi2"][0] == pytest.approx(chi2, rel=1e-6)
    assert table.loc[0, ["df", "n", "n_missing"]].tolist() == [2, 422, 10]
    assert table["added"][0] == "clinical__paro, clinical__prio"
    # with two degrees of freedom the tail of chi2 is exp(-x / 2)
    assert table["p"][0] == pytest.approx(np.exp(-chi2 / 2), rel=1e-5)


def test_likelihood_ratio_of_classes_agrees_with_scikit_learn(spector):
    features, endpoint = spector
    table = likelihood_ratio_test(features.iloc[:, :2], features.iloc[:, 2:], endpoint)
    truth = endpoint.frame["class"] == "yes"

    def log_likelihood(values):
        model = LogisticRegression(C=np.inf, tol=1e-10, solver="newton-cholesky")
        chances = model.fit(values, truth).predict_proba(values)[:, 1]
        return np.log(np.where(truth, chances, 1 - chances)).sum()

    full = log_likelihood(features)
    # Greene 2003, table 21.1
    assert full == pytest.approx(-12.890, abs=6e-4)
    chi2 = 2 * (full - log_likelihood(features.iloc[:, :2]))
    assert table["chi2"][0] == pytest.approx(chi2, rel=1e-6)
    # chi2 with one degree of freedom is the square of a normal
    assert table["p"][0] == pytest.approx(0.0127, abs=6e-5)


def test_what_cannot_be_fitted_is_refused(spector):
    features, endpoint = spector
    many = pd.concat([features.add_suffix(str(i)) for i in range(4)], axis=1)
    with pytest.raises(SchemaError, match="12 columns, but 11 events"):
        multivariable(many, endpoint)
    with pytest.raises(SchemaError, match="constant, or a combination"):
        multivariable(many.iloc[:, :6], endpoint)
    with pytest.raises(SchemaError, match=r"none to both; found .*clinical__GPA"):
        likelihood_ratio_test(features, features, endpoint)
    with pytest.raises(SchemaError, match="2 patients have no features"):
        univariable(features.iloc[2:], endpoint)
    three = classes(["a", "b", "c", "a"] * 8, features.index)
    with pytest.raises(SchemaError, match="two are needed"):
        univariable(features, three)
