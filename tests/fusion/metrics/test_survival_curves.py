import numpy as np
import pandas as pd
import pytest
from lifelines import KaplanMeierFitter
from lifelines.datasets import load_lung
from lifelines.utils import restricted_mean_survival_time

from radlatent.errors import SchemaError
from radlatent.fusion.metrics.arrays import read_runs
from radlatent.fusion.metrics.survival import auc_by_day
from radlatent.fusion.metrics.survival_curves import (
    kaplan_meier,
    survival_auc_curve,
    survival_calibration,
    survival_net_benefit,
)

ROUNDING = 1e-10


def predicted(time, event, risks, survival=None, **keys):
    """Return a **predictions** table, one repeat a row of risks."""
    parts = []
    for repeat, risk in enumerate(np.atleast_2d(risks)):
        part = {"model": "cox", "blocks": "all", "endpoint": "survival"} | keys
        part |= {"repeat": repeat, "fold": 0, "risk": np.asarray(risk, dtype=float)}
        part |= {"time": np.asarray(time, dtype=float), "event": np.asarray(event)}
        part |= {f"survival_{day}": values for day, values in (survival or {}).items()}
        part = pd.DataFrame(part)
        part["patient_id"] = [f"p{i:04d}" for i in range(len(part))]
        parts.append(part)
    return pd.concat(parts, ignore_index=True).astype({"event": int})


def exponential(rng, n, n_repeats=1):
    """Return predictions that are right, with events at a constant hazard."""
    hazard = np.exp(0.8 * rng.standard_normal(n)) / 500
    time, censored = rng.exponential(1 / hazard), rng.uniform(0, 2000, n)
    survival = {day: np.exp(-hazard * day) for day in (0.1, 250, 500, 1000)}
    noise = 0.3 * rng.standard_normal((n_repeats, n))
    noise[0] = 0
    observed = np.ceil(np.minimum(time, censored))
    return predicted(observed, time <= censored, np.log(hazard) + noise, survival)


@pytest.fixture
def lung():
    table = load_lung()
    return table["time"], table["status"], table["sex"]


def test_log_rank_of_the_lung_cohort_is_that_of_r(lung):
    # R survival: survdiff(Surv(time, status) ~ sex, lung): 10.3 on 1 df, p = 0.0013
    groups = kaplan_meier(predicted(*lung)).summary
    np.testing.assert_allclose(groups["p"], 0.0013, atol=5e-5)
    assert groups["group"].tolist() == ["low", "high"]
    assert groups[["n", "n_events"]].to_numpy().tolist() == [[138, 112], [90, 53]]


@pytest.mark.parametrize(("sex", "mean", "error"), [(1, 326, 22.9), (2, 461, 34.7)])
def test_restricted_mean_of_the_lung_cohort_is_that_of_r(lung, sex, mean, error):
    # R survival: print(survfit(Surv(time, status) ~ sex, lung), rmean = 1022)
    time, status, _ = (column[lung[2] == sex].to_numpy() for column in lung)
    # two equal groups, followed until the day that R was told
    time = np.where(time == time.max(), 1022, time)
    risk = np.repeat([0, 1], len(time))
    groups = kaplan_meier(predicted([*time] * 2, [*status] * 2, risk)).groups
    assert (groups["horizon"] == 1022).all()
    np.testing.assert_allclose(groups["restricted_mean"], mean, atol=0.5)
    found = (groups["upper"] - groups["lower"]) / 2 / 1.959964
    np.testing.assert_allclose(found, error, atol=0.05)


def test_curves_are_those_of_lifelines(lung):
    result = kaplan_meier(predicted(*lung), level=0.9)
    high = result.curves[result.curves["group"] == "high"].set_index("time")
    time, event = lung[0][lung[2] == 2], lung[1][lung[2] == 2]
    fitter = KaplanMeierFitter(alpha=0.1).fit(time, event)
    expected = fitter.survival_function_.join(fitter.confidence_interval_)
    np.testing.assert_allclose(high[["survival", "lower", "upper"]], expected)
    assert high.loc[[0, 765], "at_risk"].tolist() == [90, 3]
    row = result.groups.iloc[1]
    mean = restricted_mean_survival_time(fitter, t=row["horizon"])
    assert row["restricted_mean"] == pytest.approx(mean)


def test_groups_are_cut_at_the_median_of_the_mean_rank():
    # ranks 1 2 3 4, 1 3 4 2: a mean of risks would put the second above the third
    risks = [[1, 2, 3, 4], [1, 300, 301, 2]]
    table = predicted([40, 30, 20, 10], [1, 1, 1, 0], risks)
    found = kaplan_meier(table).groups
    assert found["n"].tolist() == [2, 2]
    assert found["n_events"].tolist() == [2, 1]
    assert found["horizon"].unique().tolist() == [20]


def test_an_interval_is_not_known_where_nobody_is_left():
    curves = kaplan_meier(predicted(range(1, 7), [1] * 6, [2, 1, 2, 1, 2, 1])).curves
    last = curves[curves["survival"] == 0]
    assert len(last) == 2
    assert last[["lower", "upper"]].isna().all(axis=None)


def test_who_is_told_apart_from_nobody_is_one_group():
    found = kaplan_meier(predicted([1, 2, 3, 4], [1] * 4, [0] * 4))
    assert found.groups["group"].tolist() == ["all"]
    assert found.groups["p"].isna().all()
    np.testing.assert_allclose(found.curves["survival"], [1, 0.75, 0.5, 0.25, 0])
    found = kaplan_meier(predicted([1, 2, 3, 4], [1] * 4, [0, 0, 0, 1]), n_groups=3)
    assert found.groups[["group", "n"]].to_numpy().tolist() == [["low", 3], ["high", 1]]


def test_patients_of_one_prediction_are_one_group_of_calibration():
    survival = {day: np.full(6, 0.8 if day == 3 else 0.6) for day in (3, 5)}
    table = predicted(range(1, 7), [1] * 6, [0] * 6, survival)
    found = survival_calibration(table, horizon=4)
    assert found[["group", "n"]].to_numpy().tolist() == [[1, 6]]
    np.testing.assert_allclose(found["predicted"], 0.3)
    np.testing.assert_allclose(found["observed"], 4 / 6)
    two = {3: np.r_[np.full(4, 0.8), 0.5, 0.5], 5: np.r_[np.full(4, 0.8), 0.5, 0.5]}
    found = survival_calibration(predicted(range(1, 7), [1] * 6, [0] * 6, two))
    assert found["n"].tolist() == [2, 4] or found["n"].tolist() == [4, 2]


def test_a_day_after_the_follow_up_of_training_is_refused(rng):
    table = exponential(rng, 60).assign(trained_until=600.0)
    table["survival_1000"] = np.nan
    assert survival_calibration(table, horizon=450)["horizon"].eq(450).all()
    message = r"until day 500 \(training patients were followed until day 600\)"
    with pytest.raises(SchemaError, match=message):
        survival_calibration(table, horizon=800)
    assert survival_auc_curve(table, n_boot=2)["time"].max() <= 600
    # what is missing earlier is missing
    table.loc[3, "survival_250"] = np.nan
    with pytest.raises(SchemaError, match=r"predictions of patients \['p0003'\]"):
        survival_calibration(table, horizon=450)


def test_right_probabilities_lie_on_the_diagonal(rng):
    table = survival_calibration(exponential(rng, 2000), horizon=500)
    # four standard errors of a risk of 400 patients, a third of them censored
    np.testing.assert_allclose(table["observed"], table["predicted"], atol=0.12)
    inside = table["predicted"].between(table["lower"], table["upper"])
    assert inside.sum() >= 4
    assert table["predicted"].is_monotonic_increasing
    assert table["n"].tolist() == [400] * 5


def test_observed_risk_is_one_minus_kaplan_meier_of_the_group(rng):
    predictions = exponential(rng, 300)
    row = survival_calibration(predictions, horizon=400, n_groups=3).iloc[2]
    high = predictions.nlargest(100, "risk")
    fitter = KaplanMeierFitter().fit(high["time"], high["event"])
    assert row["observed"] == pytest.approx(1 - fitter.predict(400))
    bounds = fitter.confidence_interval_.loc[:400].iloc[-1].to_numpy()
    np.testing.assert_allclose(row[["upper", "lower"]].astype(float), 1 - bounds)
    assert row["n_events"] == ((high["time"] <= 400) & (high["event"] == 1)).sum()
    # linear between day 250 and day 500
    expected = 1 - 0.4 * high["survival_250"] - 0.6 * high["survival_500"]
    assert row["predicted"] == pytest.approx(expected.mean())


def test_a_group_that_is_not_followed_has_no_observed_risk():
    survival = {10: np.array([0.9, 0.9, 0.2, 0.2])}
    table = predicted([20, 20, 3, 5], [1, 0, 1, 0], [0, 0, 1, 1], survival)
    found = survival_calibration(table, horizon=10, n_groups=2)
    assert found["observed"].isna().tolist() == [False, True]
    assert found["lower"].isna().tolist() == [False, True]


def test_auc_curve_is_the_mean_over_repeats_within_its_band(rng):
    predictions = exponential(rng, 200, n_repeats=3)
    table = survival_auc_curve(predictions, n_points=5, n_boot=100)
    (run,) = read_runs(predictions)
    days = table["time"].to_numpy()
    expected = [
        auc_by_day(run.truth, r, np.ones((1, 200)), days) for r in run.predicted
    ]
    np.testing.assert_allclose(table["auc"], np.mean(expected, axis=0)[0])
    assert table["auc"].between(table["lower"], table["upper"]).all()


@pytest.mark.real
@pytest.mark.parametrize(
    ("column", "day", "source"),
    [
        ("famhistory", 1.5, "r_simple_surv_dca_result_df"),
        ("cancerpredmarker", 1, "r_case2_results"),
        ("pr_failure18", 1.5, "dca_tut_r_stdca_coxph_df"),
    ],
)
def test_net_benefit_is_that_of_dcurves_in_r(real_data, column, day, source):
    folder = real_data / "dcurves_reference" / "tests" / "benchmark_data"
    cohort = pd.read_csv(folder / "df_surv.csv")
    chances = pd.read_csv(folder / "dca_tut_coxph_pr_failure18_vals.csv")
    chance = cohort.join(chances)[column].to_numpy(float)
    # dcurves treats above a threshold of 0, not from it on
    expected = pd.read_csv(folder / f"{source}.csv").query("0 < threshold < 1")
    expected = expected.pivot_table(
        index="threshold", columns="variable", values="net_benefit", dropna=False
    )
    table = predicted(cohort["ttcancer"], cohort["cancer"], chance, {day: 1 - chance})
    found = survival_net_benefit(
        table, horizon=day, thresholds=expected.index.to_numpy(), n_boot=2
    ).pivot_table(index="threshold", columns="strategy", values="net_benefit")
    found = found.reindex(expected.index)
    for strategy, name in (("model", column), ("all", "all"), ("none", "none")):
        known = expected[name].notna()
        # R does not know what follows the last event of those treated; it is 0
        assert known.sum() >= 49 if strategy == "model" else known.all()
        np.testing.assert_allclose(
            found[strategy][known], expected[name][known], atol=ROUNDING
        )


def test_net_benefit_by_hand():
    survival = {10: np.array([0.1, 0.3, 0.6, 0.9])}
    table = predicted([5, 20, 20, 20], [1, 0, 0, 1], [4, 3, 2, 1], survival)
    found = survival_net_benefit(table, horizon=10, thresholds=[0.5, 0.95], n_boot=20)
    found = found.set_index(["strategy", "threshold"])["net_benefit"]
    # two are treated, one has the event until day 10: 1/4 - 1/4 x 0.5 / 0.5
    assert found["model", 0.5] == pytest.approx(0)
    assert found["all", 0.5] == pytest.approx(1 / 4 - 3 / 4)
    assert found["model", 0.95] == 0
    assert found["none", 0.5] == 0


def test_net_benefit_of_treated_that_are_not_followed_is_not_known():
    survival = {10: np.array([0.1, 0.2, 0.6, 0.9])}
    table = predicted([5, 6, 20, 20], [1, 0, 0, 1], [4, 3, 2, 1], survival)
    found = survival_net_benefit(table, horizon=10, thresholds=[0.5, 0.85], n_boot=20)
    # at 0.85 the only one treated had the event
    assert found["net_benefit"][:2].isna().tolist() == [True, False]


def test_days_without_prediction_or_follow_up_are_refused_together(rng):
    bare = exponential(rng, 50).drop(columns=["survival_1000"])
    both = pd.concat([bare, exponential(rng, 50).assign(model="forest")])
    with pytest.raises(SchemaError, match=r"'cox'.*until day 500.*'forest'.*day 1000"):
        survival_calibration(both.assign(time=1.0), horizon=1500)
    with pytest.raises(SchemaError, match="followed until day 1"):
        survival_net_benefit(bare.assign(time=1.0), horizon=400)


def test_thresholds_are_shares(rng):
    with pytest.raises(SchemaError, match=r"\[1.0, -0.1\]"):
        survival_net_benefit(exponential(rng, 9), thresholds=[1.0, 0.5, -0.1])


@pytest.mark.parametrize("function", [kaplan_meier, survival_calibration])
def test_predictions_of_classes_are_refused(make_predictions, function):
    table = make_predictions(["a", "b"], [[[0.3, 0.7], [0.6, 0.4]]])
    with pytest.raises(SchemaError, match=r"\['diagnosis'\] hold classes"):
        function(table)
