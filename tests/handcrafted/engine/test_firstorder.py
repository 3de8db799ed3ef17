"""First-order features against numpy and scipy, percentiles to the last bit."""

import numpy as np
import pytest
from scipy import stats

from radlatent.handcrafted.engine.firstorder import firstorder_features


def measured(values, shift=0):
    return firstorder_features(values, np.ones(1, int), 2.0, shift)


def test_percentiles_are_those_of_numpy_to_the_last_bit(rng):
    for n in [*range(2, 40), 500, 501, 997]:
        for values in (rng.normal(0, 100, n), rng.integers(-9, 9, n).astype(float)):
            found = measured(values)
            p10, p25, p50, p75, p90 = np.percentile(values, [10, 25, 50, 75, 90])
            assert found["10Percentile"] == p10
            assert found["90Percentile"] == p90
            assert found["Median"] == p50
            assert found["InterquartileRange"] == p75 - p25


@pytest.mark.parametrize("n", [5, 100, 3001])
def test_moments_are_those_of_scipy(n, rng):
    values = rng.gamma(2, 30, n)
    found = measured(values)
    expected = {
        "Mean": values.mean(),
        "Variance": values.var(),
        "Skewness": stats.skew(values),
        # not in excess of the normal distribution's
        "Kurtosis": stats.kurtosis(values, fisher=False),
        "MeanAbsoluteDeviation": np.abs(values - values.mean()).mean(),
        "RootMeanSquared": np.sqrt((values**2).mean()),
        "Energy": (values**2).sum(),
        "TotalEnergy": 2 * (values**2).sum(),
        "Minimum": values.min(),
        "Maximum": values.max(),
        "Range": np.ptp(values),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-12), name


def test_the_robust_deviation_is_that_between_two_percentiles(rng):
    values = rng.integers(0, 50, 300).astype(float)
    low, high = np.percentile(values, [10, 90])
    kept = values[(values >= low) & (values <= high)]
    found = measured(values)["RobustMeanAbsoluteDeviation"]
    expected = np.abs(kept - kept.mean()).mean()
    assert found == pytest.approx(expected, rel=1e-13)


def test_two_voxels_have_no_robust_deviation():
    assert np.isnan(measured(np.array([0.0, 1.0]))["RobustMeanAbsoluteDeviation"])


def test_energy_is_that_of_shifted_intensities():
    found = measured(np.array([-1.0, 1.0, 3.0]), shift=2)
    assert found["Energy"] == 1 + 9 + 25
    assert found["RootMeanSquared"] == pytest.approx(np.sqrt(35 / 3), rel=1e-15)
    assert found["Mean"] == 1


def test_entropy_and_uniformity_are_those_of_the_gray_levels():
    values = np.arange(8.0)
    even = firstorder_features(values, np.full(4, 2), 1.0, 0)
    assert even["Entropy"] == pytest.approx(2, abs=1e-14)
    assert even["Uniformity"] == pytest.approx(1 / 4, rel=1e-15)
    skewed = firstorder_features(values, np.array([6, 2]), 1.0, 0)
    # log2(4) - 3/4 log2(3)
    assert skewed["Entropy"] == pytest.approx(2 - 0.75 * np.log2(3), abs=1e-14)
    assert skewed["Uniformity"] == pytest.approx(10 / 16, rel=1e-15)


@pytest.mark.parametrize("value", [0.0, -7.0, 100.0, 0.1])
def test_one_intensity_has_no_spread(value):
    found = firstorder_features(np.full(64, value), np.array([64]), 1.0, 0)
    for name in ("Range", "InterquartileRange"):
        assert found[name] == 0, name
    # the mean of equal numbers is not always that number
    assert found["RobustMeanAbsoluteDeviation"] == pytest.approx(0, abs=1e-16)
    assert found["Mean"] == pytest.approx(value, rel=1e-15)
    assert found["Variance"] == pytest.approx(0, abs=1e-30)
    assert found["Entropy"] == pytest.approx(0, abs=1e-15)
    assert found["Uniformity"] == 1
    assert np.isfinite(list(found.values())).all()
