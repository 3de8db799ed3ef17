import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    recall_score,
    roc_auc_score,
)

from radlatent.errors import SchemaError
from radlatent.fusion import confusion, evaluate, roc_curve
from radlatent.fusion.metrics.arrays import read_runs
from radlatent.fusion.metrics.classes import (
    accuracy,
    auc,
    auprc,
    balanced_accuracy,
    brier,
    delong_interval,
)
from radlatent.fusion.metrics.evaluate import METRICS, metrics_of

# sums of a few hundred float64 numbers near one
ROUNDING = 1e-12


def with_ties(rng, n, n_classes):
    """Return classes, probabilities with many ties, and one row of weights."""
    truth = rng.permutation(np.arange(n) % n_classes)
    counts = rng.integers(1, 5, (n, n_classes)).astype(float)
    weights = rng.integers(0, 4, (1, n)).astype(float)
    return truth, counts / counts.sum(axis=1, keepdims=True), weights


@pytest.fixture
def generator():
    return np.random.default_rng(20)


@pytest.mark.parametrize("weighted", [False, True])
def test_auc_equals_sklearn_with_ties(generator, weighted):
    truth, p, weights = with_ties(generator, 200, 2)
    weights = weights if weighted else np.ones((1, 200))
    expected = roc_auc_score(truth, p[:, 1], sample_weight=weights[0])
    assert auc(truth, p, weights)[0] == pytest.approx(expected, abs=ROUNDING)


@pytest.mark.parametrize("weighted", [False, True])
def test_macro_auc_equals_sklearn_one_versus_rest(generator, weighted):
    truth, p, weights = with_ties(generator, 200, 4)
    weights = weights if weighted else np.ones((1, 200))
    expected = roc_auc_score(truth, p, multi_class="ovr", sample_weight=weights[0])
    assert auc(truth, p, weights)[0] == pytest.approx(expected, abs=ROUNDING)


@pytest.mark.parametrize("n_classes", [2, 5])
def test_accuracies_equal_sklearn(generator, n_classes):
    truth, p, weights = with_ties(generator, 200, n_classes)
    for ours, theirs in (
        (accuracy, accuracy_score),
        (balanced_accuracy, balanced_accuracy_score),
    ):
        expected = theirs(truth, p.argmax(axis=1), sample_weight=weights[0])
        assert ours(truth, p, weights)[0] == pytest.approx(expected, abs=ROUNDING)


def test_brier_equals_sklearn(generator):
    metrics = pytest.importorskip("sklearn", minversion="1.8").metrics
    for n_classes in (2, 3):
        truth, p, weights = with_ties(generator, 200, n_classes)
        expected = metrics.brier_score_loss(
            truth,
            p if n_classes > 2 else p[:, 1],
            sample_weight=weights[0],
            scale_by_half=n_classes == 2,
        )
        assert brier(truth, p, weights)[0] == pytest.approx(expected, abs=ROUNDING)


def test_brier_by_hand():
    truth, p = np.array([0, 1]), np.array([[0.9, 0.1], [0.4, 0.6]])
    expected = (0.1**2 + 0.4**2) / 2
    assert brier(truth, p, np.ones((1, 2)))[0] == pytest.approx(expected, abs=ROUNDING)


@pytest.mark.parametrize("weighted", [False, True])
def test_auprc_equals_sklearn_with_ties(generator, weighted):
    truth, p, weights = with_ties(generator, 200, 2)
    weights = weights if weighted else np.ones((1, 200))
    expected = average_precision_score(truth, p[:, 1], sample_weight=weights[0])
    assert auprc(truth, p, weights)[0] == pytest.approx(expected, abs=ROUNDING)


def test_auprc_of_a_draw_without_a_positive_is_nan(generator):
    truth, p, _ = with_ties(generator, 20, 2)
    found = auprc(truth, p, np.stack([truth == 0, truth == 1]).astype(float))
    assert np.isnan(found).tolist() == [True, False]
    assert found[1] == 1


def hanley_and_mcneil():
    """Return classes and CT ratings of 58 normal and 51 abnormal patients, table I."""
    normal, abnormal = [33, 6, 6, 11, 2], [3, 2, 2, 11, 33]
    rating = np.repeat([0.1, 0.3, 0.5, 0.7, 0.9] * 2, normal + abnormal)
    return np.repeat([0, 1], [sum(normal), sum(abnormal)]), rating


def test_auc_of_hanley_and_mcneil_1982():
    truth, rating = hanley_and_mcneil()
    area = auc(truth, np.c_[1 - rating, rating], np.ones((1, 109)))[0]
    assert round(area, 3) == 0.893  # their W


def test_delong_interval_has_the_standard_error_of_stata(make_predictions):
    truth, rating = hanley_and_mcneil()
    p = np.c_[1 - rating, rating][None]
    table = evaluate(make_predictions(truth.astype(str), p), n_boot=9)
    row = table.set_index("metric").loc["auc_delong"]
    # roctab of Stata 18 prints area and error with four digits: 0.8932, 0.0307
    arm = 1.959964 * 0.0307 / (0.8932 * 0.1068)
    odds = 0.8932 / 0.1068 * np.exp([-arm, arm])
    found = row[["estimate", "lower", "upper"]].astype(float)
    np.testing.assert_allclose(found, [0.8932, *odds / (1 + odds)], atol=2e-4)
    assert row["method"].startswith("one repeat; DeLong's interval on the logit")


def test_delong_interval_widens_where_repeats_differ(generator):
    truth, p, _ = with_ties(generator, 60, 2)
    shuffled = np.stack([p[:, 1], generator.permutation(p[:, 1])])
    equal = delong_interval(truth == 1, shuffled[[0, 0]], 0.95)
    np.testing.assert_allclose(equal, delong_interval(truth == 1, shuffled[:1], 0.95))
    lower, upper = delong_interval(truth == 1, shuffled, 0.95)
    assert upper - lower > equal[1] - equal[0]


def test_delong_interval_of_one_positive_or_a_perfect_model_is_nan():
    p = np.linspace(0.1, 0.9, 8)[None]
    assert np.isnan(delong_interval(np.arange(8) == 3, p, 0.95)).all()
    assert np.isnan(delong_interval(np.arange(8) > 3, p, 0.95)).all()


def test_perfect_ranking_has_auc_one(make_predictions):
    p = np.linspace(0, 1, 20)
    predictions = make_predictions(["0"] * 10 + ["1"] * 10, [np.c_[1 - p, p]])
    row = evaluate(predictions).set_index("metric").loc["auc"]
    assert row[["estimate", "lower", "upper"]].tolist() == [1, 1, 1]


def test_sensitivity_and_specificity_are_at_the_threshold_of_each_patient(
    generator, make_predictions
):
    truth, p, _ = with_ties(generator, 60, 2)
    predictions = make_predictions(truth.astype(str), np.stack([p, p[:, ::-1]]))
    thresholds = generator.choice([0.25, 0.5, 0.75], 120)
    found = evaluate(predictions.assign(threshold=thresholds), n_boot=50)
    found = found.set_index("metric")
    # a probability that equals the threshold reaches it
    assigned = predictions["probability_1"] >= thresholds
    assert (predictions["probability_1"] == thresholds).any()
    for metric, label in (("sensitivity", True), ("specificity", False)):
        expected = [
            recall_score(truth == 1, one, pos_label=label)
            for one in assigned.to_numpy().reshape(2, 60)
        ]
        row = found.loc[metric]
        assert row["estimate"] == pytest.approx(np.mean(expected), abs=ROUNDING)
        assert row["lower"] < row["estimate"] < row["upper"]


def test_metrics_that_an_endpoint_lacks_are_left_out(three_classes, make_predictions):
    several = ["auc", "balanced_accuracy", "accuracy", "brier"]
    assert evaluate(three_classes, n_boot=5)["metric"].tolist() == several
    two = make_predictions(["0"] * 5 + ["1"] * 5, np.full((2, 10, 2), 0.5))
    found = evaluate(two, n_boot=5)["metric"].tolist()
    at_threshold = {"sensitivity", "specificity"}
    assert set(found) == set(METRICS) - at_threshold | {"auc_delong"}
    (run,) = read_runs(two.assign(threshold=0.5))
    assert list(metrics_of(run)) == list(METRICS)


@pytest.fixture
def survival(generator):
    time = generator.exponential(900, 40).round() + 1
    parts = []
    for repeat in range(2):
        table = pd.DataFrame({"model": "cox", "blocks": "all"}, range(40))
        table = table.assign(endpoint="death", repeat=repeat, fold=0)
        table["patient_id"] = [f"p{i:02d}" for i in range(40)]
        event = (np.arange(40) % 3 > 0).astype(float)
        risk = generator.normal(size=40) - time / 900
        parts.append(table.assign(time=time, event=event, risk=risk))
    return pd.concat(parts, ignore_index=True)


def test_survival_is_evaluated_beside_classes(survival, three_classes):
    both = evaluate(pd.concat([three_classes, survival]), n_boot=50)
    alone = both[both["endpoint"] == "death"].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, evaluate(survival, n_boot=50))
    row = alone.set_index("metric").loc["c_harrell"]
    assert (row["n"], row["n_events"]) == (40, 26)
    lifelines = pytest.importorskip("lifelines.utils")
    expected = [
        lifelines.concordance_index(one["time"], -one["risk"], one["event"])
        for _, one in survival.groupby("repeat")
    ]
    assert row["estimate"] == pytest.approx(np.mean(expected), abs=ROUNDING)
    assert row["lower"] < row["estimate"] < row["upper"]
    assert row["method"].startswith("mean of 2 repeats; percentile bootstrap")
    assert row["method"].endswith("; events")
    assert np.isnan(row["horizon"])
    last = survival["time"][survival["event"] == 1].max()
    row = alone.set_index("metric").loc["c_uno"]
    assert row["horizon"] == last
    assert row["method"].endswith(f"; C (Uno) of events until day {last:g}")
    before = evaluate(survival, n_boot=5, horizon=last).set_index("metric").loc["c_uno"]
    assert before["method"].endswith(f"; C (Uno) of events before day {last:g}")
    assert before["estimate"] != row["estimate"]
    with pytest.raises(SchemaError, match="horizon is -1"):
        evaluate(survival, horizon=-1)


@pytest.fixture
def three_classes(generator, make_predictions):
    truth = np.array(["a", "b", "c", "c"] * 15)
    return make_predictions(truth, generator.dirichlet(np.ones(3), (4, 60)))


def test_estimate_is_the_mean_over_repeats(three_classes):
    columns = [f"probability_{label}" for label in "abc"]
    expected = [
        roc_auc_score(part["truth"], part[columns], multi_class="ovr")
        for _, part in three_classes.groupby("repeat")
    ]
    estimate = evaluate(three_classes, n_boot=5).set_index("metric")["estimate"]
    assert estimate["auc"] == pytest.approx(np.mean(expected), abs=ROUNDING)


def test_metrics_are_reproducible_whatever_the_order_of_rows(three_classes):
    metrics = evaluate(three_classes)
    shuffled = three_classes.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(evaluate(shuffled), metrics)
    assert not evaluate(three_classes, random_state=1).equals(metrics)


def test_models_of_one_call_get_the_same_draws(three_classes):
    both = pd.concat([three_classes, three_classes.assign(model="other")])
    columns = ["estimate", "lower", "upper"]
    first, second = (t[columns].to_numpy() for _, t in evaluate(both).groupby("model"))
    np.testing.assert_array_equal(first, second)


def test_events_are_counted_in_the_class_that_method_names(
    three_classes, make_predictions
):
    row = evaluate(three_classes, n_boot=5).iloc[0]
    assert (row["n"], row["n_events"]) == (60, 15)
    assert row["method"].endswith("smallest class 'a'")
    p = np.full((1, 10, 2), 0.5)
    row = evaluate(make_predictions(["0"] * 3 + ["1"] * 7, p)).iloc[0]
    assert row["n_events"] == 7
    assert row["method"].endswith("positive class '1'")


def test_draws_without_a_class_are_left_out_and_counted(make_predictions):
    p = np.linspace(0, 1, 12)
    predictions = make_predictions(["0"] * 11 + ["1"], [np.c_[1 - p, p]])
    method = evaluate(predictions).set_index("metric")["method"]
    used = int(method["auc"].split(" of 1000")[0].split()[-1])
    # a draw lacks the only event with probability (11/12)^12 = 0.352; four
    # standard errors of 1000 draws are 0.06
    assert used / 1000 == pytest.approx(1 - 0.352, abs=0.06)
    assert "1000 of 1000" in method["accuracy"]


def test_columns_of_other_endpoints_do_not_disturb(three_classes, make_predictions):
    p = np.full((1, 10, 2), 0.5)
    other = make_predictions(["x"] * 5 + ["y"] * 5, p).assign(endpoint="other")
    both = evaluate(pd.concat([three_classes, other]), n_boot=50)
    pd.testing.assert_frame_equal(both.iloc[:4], evaluate(three_classes, n_boot=50))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.iloc[1:], "not in all 4 repeats"),
        (lambda t: t.assign(truth=["d", *t["truth"].tolist()[1:]]), "'d'.*no prob"),
        (
            lambda t: t.assign(probability_a=t["probability_a"].mask(t.index == 2)),
            "'p0002'.* are missing",
        ),
    ],
)
def test_incomplete_predictions_are_refused(three_classes, spoil, message):
    with pytest.raises(SchemaError, match=message):
        evaluate(spoil(three_classes))


def test_roc_curve_of_one_repeat_has_the_area_of_the_auc(generator, make_predictions):
    truth = np.array(["0"] * 10 + ["1"] * 10)
    p = generator.permutation(np.linspace(0, 1, 20))
    predictions = make_predictions(truth, [np.c_[1 - p, p]])
    curve = roc_curve(predictions)
    x, y = curve["false_positive_rate"], curve["true_positive_rate"]
    # without ties each step lies between two of 101 grid points, 0.01 apart
    assert np.trapezoid(y, x) == pytest.approx(roc_auc_score(truth, p), abs=0.01)
    assert (x.iloc[0], y.iloc[0], x.iloc[-1], y.iloc[-1]) == (0, 0, 1, 1)
    assert curve["class"].unique().tolist() == ["1"]
    inside = curve["lower"].le(y + ROUNDING) & curve["upper"].ge(y - ROUNDING)
    assert inside.mean() > 0.95


def test_roc_curve_takes_the_upper_end_of_steps(make_predictions):
    p = np.array([0.1, 0.6, 0.4, 0.9])
    curve = roc_curve(make_predictions(["0", "0", "1", "1"], [np.c_[1 - p, p]]))
    at = curve.iloc[1:].set_index("false_positive_rate")["true_positive_rate"]
    assert at[[0.0, 0.25, 0.5, 1.0]].tolist() == [0.5, 0.5, 1.0, 1.0]


def test_several_classes_give_a_curve_each(three_classes):
    curve = roc_curve(three_classes, n_boot=20, n_points=11)
    assert curve.groupby("class").size().to_dict() == {"a": 12, "b": 12, "c": 12}
    assert not curve.isna().any().any()


def test_confusion_counts_by_hand(make_predictions):
    first = [[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]]
    second = [[0.9, 0.1], [0.7, 0.3], [0.1, 0.9]]
    table = confusion(make_predictions(["a", "a", "b"], [first, second]))
    counts = table.set_index(["truth", "predicted"])["count"].to_dict()
    expected = {("a", "a"): 1.5, ("a", "b"): 0.5, ("b", "a"): 0.5, ("b", "b"): 0.5}
    assert counts == expected
