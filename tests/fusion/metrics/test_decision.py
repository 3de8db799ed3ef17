import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from radlatent.errors import SchemaError
from radlatent.fusion.metrics.decision import net_benefit


def of(table, strategy):
    return table[table["strategy"] == strategy].set_index("threshold")["net_benefit"]


def test_net_benefit_by_hand(make_predictions):
    p = np.array([0.1, 0.2, 0.5, 0.2, 0.9])
    predictions = make_predictions(["a", "a", "a", "b", "b"], [np.c_[1 - p, p]])
    table = net_benefit(predictions, thresholds=[0, 0.2, 0.5], n_boot=50)
    # treated: all five; four, two of them wrongly; 0.5 and 0.9, one wrongly
    expected = [2 / 5, 2 / 5 - 2 / 5 / 4, 1 / 5 - 1 / 5]
    np.testing.assert_allclose(of(table, "model"), expected, atol=1e-12)
    np.testing.assert_allclose(of(table, "all"), [0.4, 0.4 - 0.15, -0.2], atol=1e-12)
    none = table[table["strategy"] == "none"]
    assert (none[["net_benefit", "lower", "upper"]] == 0).all(axis=None)


@pytest.mark.real
@pytest.mark.parametrize(
    ("file", "predictor"),
    [
        ("r_dca_famhistory.csv", "famhistory"),
        ("r_simple_binary_dca_result_df.csv", "age"),
        ("r_case3_results.csv", "marker"),
    ],
)
def test_net_benefit_is_that_of_dcurves_in_r(
    real_data, make_predictions, file, predictor
):
    folder = real_data / "dcurves_reference" / "tests" / "benchmark_data"
    reference = pd.read_csv(folder / file)
    table = pd.read_csv(folder / "df_binary.csv")
    truth = table["cancer"].to_numpy()
    p = table[predictor].to_numpy(float)
    if predictor != "famhistory":  # R's dcurves fits a logistic regression on it
        fit = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
        p = fit.fit(p[:, None], truth).predict_proba(p[:, None])[:, 1]
    else:  # R leaves patients with a probability of 0 untreated at a threshold of 0
        reference = reference[reference["threshold"] > 0]
    thresholds = reference["threshold"].unique()
    predictions = make_predictions(truth.astype(str), [np.c_[1 - p, p]])
    found = net_benefit(predictions, thresholds=thresholds, n_boot=10)
    for strategy, variable in (("model", predictor), ("all", "all"), ("none", "none")):
        rows = reference[reference["variable"] == variable]
        # sums of 750 terms in float64; at 0.99 a false positive counts 99
        expected = rows["net_benefit"] + rows["harm"]  # of the test, 0 in two files
        np.testing.assert_allclose(of(found, strategy), expected, atol=1e-10)


def test_interval_is_wider_for_fewer_patients(make_predictions, rng):
    widths = []
    for n in (50, 800):
        p = rng.beta(1, 2, n)
        truth = np.where(rng.random(n) < p, "b", "a")
        predictions = make_predictions(truth, np.stack([np.c_[1 - p, p]] * 3))
        table = net_benefit(predictions, thresholds=[0.3], n_boot=500)
        row = table[table["strategy"] == "model"].iloc[0]
        assert row["lower"] < row["net_benefit"] < row["upper"]
        widths.append(row["upper"] - row["lower"])
    # 16 times the patients have a quarter of the width; 500 draws give it to 10%
    assert widths[0] / widths[1] == pytest.approx(4, abs=1)


def test_default_thresholds_are_hundredths(make_predictions):
    p = np.linspace(0, 0.99, 12)
    table = net_benefit(make_predictions(["a", "b"] * 6, [np.c_[1 - p, p]]), n_boot=5)
    assert of(table, "model").index[[0, 29, 99]].tolist() == [0, 0.29, 0.99]


def test_what_has_no_net_benefit_is_refused(make_predictions, rng):
    two = make_predictions(["a", "b"] * 6, np.full((1, 12, 2), 0.5))
    with pytest.raises(SchemaError, match=r"\[1\.0, -0\.1\]"):
        net_benefit(two, thresholds=[0.2, 1.0, -0.1])
    p = rng.dirichlet(np.ones(3), (1, 12))
    three = make_predictions(["a", "b", "c"] * 4, p).assign(endpoint="grade")
    with pytest.raises(SchemaError, match="two classes"):
        net_benefit(three)
    found = net_benefit(pd.concat([three, two]), thresholds=[0.2], n_boot=5)
    assert found["endpoint"].unique().tolist() == ["diagnosis"]
