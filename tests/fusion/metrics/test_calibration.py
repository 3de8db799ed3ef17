import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from radlatent.errors import SchemaError
from radlatent.fusion.metrics.calibration import (
    calibration_curve,
    calibration_intercept,
    calibration_slope,
    ici,
    recalibrate_in_the_large,
)
from radlatent.fusion.metrics.evaluate import evaluate

#: Both fits stop at steps of 1e-8 or less on the scale of the logit.
CONVERGED = 1e-6


@pytest.fixture
def overfitted(rng):
    """Return classes, probabilities that are twice too far apart, three draws."""
    risk = rng.normal(size=150)
    truth = (rng.random(150) < expit(risk - 0.5)).astype(int)
    p = np.round(expit(2 * risk), 2).clip(0.01, 0.99)
    return truth, np.c_[1 - p, p], rng.multinomial(150, np.full(150, 1 / 150), 3)


def glm(truth, design, weights, offset=None):
    api = pytest.importorskip("statsmodels.api")
    family = api.families.Binomial()
    model = api.GLM(truth, design, family, offset=offset, freq_weights=weights)
    return model.fit(tol=1e-12)


def test_intercept_and_slope_are_those_of_statsmodels(overfitted):
    truth, p, weights = overfitted
    x = logit(p[:, 1])
    slope, intercept = (
        function(truth, p, weights)
        for function in (calibration_slope, calibration_intercept)
    )
    design = np.column_stack([np.ones(150), x])
    for draw, row in enumerate(weights):
        expected = glm(truth, design, row).params[1]
        assert slope[draw] == pytest.approx(expected, abs=CONVERGED)
        expected = glm(truth, np.ones(150), row, x).params[0]
        assert intercept[draw] == pytest.approx(expected, abs=CONVERGED)


def test_ici_is_that_of_statsmodels_on_a_natural_spline(overfitted):
    cr = pytest.importorskip("patsy").cr
    truth, p, weights = overfitted
    x = logit(p[:, 1])
    first, middle, last = np.quantile(x, [0.1, 0.5, 0.9])
    # 1, x and the spline that is linear outside its outer knots span one space
    basis = np.asarray(cr(x, knots=[middle], lower_bound=first, upper_bound=last))
    for found, row in zip(ici(truth, p, weights), weights, strict=True):
        curve = glm(truth, basis, row).fittedvalues
        expected = np.average(np.abs(curve - p[:, 1]), weights=row)
        assert found == pytest.approx(expected, abs=CONVERGED)


@pytest.mark.real
def test_predictions_that_r_fitted_to_these_patients_are_calibrated(real_data):
    folder = real_data / "dcurves_reference" / "tests" / "benchmark_data"
    table = pd.read_csv(folder / "df_binary.csv")
    p = table["cancerpredmarker"].to_numpy()
    given = table["cancer"].to_numpy(int), np.c_[1 - p, p], np.ones((1, len(p)))
    # maximum likelihood gives 0 and 1; the file rounds probabilities to 1e-7
    assert calibration_intercept(*given)[0] == pytest.approx(0, abs=1e-5)
    assert calibration_slope(*given)[0] == pytest.approx(1, abs=1e-5)


def test_draws_without_a_finite_fit_are_nan():
    truth = np.array([0, 0, 1, 1, 0])
    p = np.array([0.2, 0.4, 0.6, 0.6, 0.7])
    # all; without the last, so that 0.5 separates; one class; the other
    weights = [[1, 1, 1, 1, 1], [2, 1, 1, 1, 0], [1, 2, 0, 0, 2], [0, 0, 2, 3, 0]]
    given = truth, np.c_[1 - p, p], np.array(weights)
    assert np.isnan(calibration_slope(*given)).tolist() == [False, True, True, True]
    one_class = [False, False, True, True]
    assert np.isnan(calibration_intercept(*given)).tolist() == one_class
    assert np.isnan(ici(*given)).tolist() == one_class


def test_slope_of_touching_classes_is_infinite_and_so_nan():
    # quasi-complete separation: both classes at 0.4 only
    truth, p = np.array([0, 0, 1, 1]), np.array([0.2, 0.4, 0.4, 0.9])
    for sign in (p, 1 - p):
        given = truth, np.c_[1 - sign, sign], np.ones((1, 4))
        assert np.isnan(calibration_slope(*given)[0])


def test_ici_of_separated_classes_is_the_distance_from_the_truth():
    truth, p = np.repeat([0, 1], 4), np.array([1, 2, 3, 4, 6, 7, 8, 9]) / 10
    found = ici(truth, np.c_[1 - p, p], np.ones((1, 8)))[0]
    # the curve is 0 at the negatives and 1 at the positives: 0.1 + ... + 0.4 of each;
    # the last of the steps towards infinity leaves the middle ones 1e-4 away
    assert found == pytest.approx(2 * 1.0 / 8, abs=1e-4)


def test_equal_probabilities_have_no_slope_but_an_intercept():
    truth = np.array([0, 0, 0, 1])
    given = truth, np.full((4, 2), 0.5), np.ones((1, 4))
    assert np.isnan(calibration_slope(*given)[0])
    # one of four: the odds are 1/3, those predicted 1
    assert calibration_intercept(*given)[0] == pytest.approx(-np.log(3), abs=CONVERGED)
    assert ici(*given)[0] == pytest.approx(0.25, abs=CONVERGED)


def test_probabilities_of_zero_and_one_have_finite_fits():
    truth, p = np.array([0, 0, 1, 1, 1, 0]), np.array([0.0, 0, 0, 1, 1, 1])
    given = truth, np.c_[1 - p, p], np.ones((1, 6))
    # a third of each group is wrong: logit(1/3) at logit(1e-8), of opposite sign at 1
    expected = logit(1 / 3) / logit(1e-8)
    assert calibration_slope(*given)[0] == pytest.approx(expected, abs=CONVERGED)
    assert ici(*given)[0] == pytest.approx(1 / 3, abs=CONVERGED)
    nearly = truth, np.full((6, 2), [1.0, 0.0]), np.ones((1, 6))
    expected = -logit(1e-8)  # half of the six are positive
    assert calibration_intercept(*nearly)[0] == pytest.approx(expected, abs=CONVERGED)


def test_one_bin_has_the_interval_of_wilson(make_predictions):
    # Newcombe 1998, table I, method 3: 81 of 263 have 0.2553 to 0.3662
    truth = np.repeat(["0", "1"], [182, 81])
    table = calibration_curve(
        make_predictions(truth, np.full((2, 263, 2), 0.5)), n_boot=9
    )
    (row,) = table[table["curve"] == "bins"].to_dict("records")
    assert (row["predicted"], row["observed"], row["count"]) == (0.5, 81 / 263, 263)
    assert (round(row["lower"], 4), round(row["upper"], 4)) == (0.2553, 0.3662)


def test_bins_hold_every_patient_once_and_keep_ties_together(make_predictions):
    p = np.array([[0.1, 0.1, 0.1, 0.1, 0.6, 0.8], [0.1, 0.1, 0.1, 0.6, 0.7, 0.9]])
    truth = ["a", "a", "a", "b", "a", "b"]
    table = calibration_curve(
        make_predictions(truth, np.stack([1 - p, p], axis=2)), n_bins=2, n_boot=9
    )
    bins = table[table["curve"] == "bins"]
    # the median of the twelve is 0.1, and so the lower edge: no bin below it
    assert bins["count"].sum() == 6
    assert table["class"].unique().tolist() == ["b"]
    three = calibration_curve(
        make_predictions(truth, np.stack([1 - p, p], axis=2)), n_bins=3, n_boot=9
    )
    three = three[three["curve"] == "bins"]
    assert three["count"].tolist() == [3.5, 2.5]
    np.testing.assert_allclose(three["predicted"], [0.1, 3.6 / 5], atol=1e-12)
    np.testing.assert_allclose(three["observed"], [1 / 7, 3 / 5], atol=1e-12)


def test_smooth_curve_finds_the_true_shares(make_predictions, rng):
    x = rng.normal(size=2000)
    truth = np.where(rng.random(2000) < expit(0.5 * x - 0.3), "b", "a")
    p = expit(x)
    table = calibration_curve(make_predictions(truth, [np.c_[1 - p, p]]), n_boot=200)
    smooth = table[table["curve"] == "smooth"]
    inner = smooth[smooth["predicted"].between(0.1, 0.9)]
    true = expit(0.5 * logit(inner["predicted"]) - 0.3)
    # four standard errors of a share among the 200 patients of a tenth are 0.14
    assert (inner["observed"] - true).abs().max() < 0.14
    # pointwise 95%; neighboring points of one curve fall together
    assert true.between(inner["lower"], inner["upper"]).mean() > 0.8
    assert not inner["predicted"].between(inner["lower"], inner["upper"]).all()


def test_several_classes_have_a_curve_each(make_predictions, rng):
    p = rng.dirichlet(np.ones(3), (2, 60))
    table = calibration_curve(make_predictions(["a", "b", "c"] * 20, p), n_boot=20)
    rows = table.groupby(["class", "curve"], sort=False)["count"].sum()
    assert rows.xs("bins", level="curve").tolist() == [60, 60, 60]
    with pytest.raises(SchemaError, match="n_bins=0"):
        calibration_curve(make_predictions(["a", "b", "c"] * 20, p), n_bins=0)


KEY = {"model": "m", "blocks": "all", "endpoint": "e", "repeat": 0, "fold": 0}


class TestRecalibratedInTheLarge:
    def survival(self, rng, factor, n=300):
        """Return predictions of a hazard that is so many times the true one."""
        risk = rng.normal(size=n)
        time = np.ceil(1000 * rng.exponential(size=n) / np.exp(risk)) + 1
        end = rng.uniform(500, 3000, n).round()
        about = {"patient_id": [f"p{i}" for i in range(n)], "risk": risk}
        about |= {"time": np.minimum(time, end), "event": (time <= end).astype(int)}
        for day in (200, 400, 800, 1600):
            hazard = factor * day / 1000 * np.exp(risk)
            about[f"survival_{day}"] = np.exp(-hazard)
        return pd.DataFrame(about).assign(**KEY, trained_until=4000.0)

    def test_of_survival_as_many_events_are_expected_as_observed(self, rng):
        table = self.survival(rng, factor=2.5)
        moved = recalibrate_in_the_large(table)
        before, after = (
            evaluate(one, n_boot=20).set_index("metric")["estimate"]
            for one in (table, moved)
        )
        assert before["observed_expected"] < 0.8
        assert after["observed_expected"] == pytest.approx(1, abs=1e-9)
        assert after["c_harrell"] == before["c_harrell"]
        assert after["integrated_brier"] < before["integrated_brier"]
        # the true hazard comes back: one number for all patients and days
        factor = np.log(moved["survival_400"]) / np.log(table["survival_400"])
        assert factor.std() == pytest.approx(0, abs=1e-9)
        assert 0.35 < factor.mean() < 0.45  # 1 / 2.5

    def test_of_numbers_the_mean_error_goes(self, rng):
        truth = rng.normal(50, 8, 60)
        about = {"patient_id": [f"p{i}" for i in range(60)], "value": truth}
        about["predicted"] = truth + rng.normal(3, 2, 60)
        table = pd.DataFrame(about).assign(**KEY)
        moved = recalibrate_in_the_large(table)
        error = (moved["value"] - moved["predicted"]).mean()
        assert error == pytest.approx(0, abs=1e-12)
        spread = (moved["predicted"] - table["predicted"]).std()
        assert spread == pytest.approx(0, abs=1e-12)

    def test_who_had_no_event_or_tells_no_survival_is_no_reason_to_fail(self, rng):
        table = self.survival(rng, factor=1.0, n=30)
        bare = table.drop(columns=list(table.filter(like="survival_")))
        assert recalibrate_in_the_large(bare).empty
        both = pd.concat([table, bare.assign(model="bare")], ignore_index=True)
        assert set(recalibrate_in_the_large(both)["model"]) == {"m"}
