"""The positive class of two: chosen, or the last in sorted order."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from radlatent.cohort import Endpoint
from radlatent.errors import SchemaError
from radlatent.fusion import (
    calibration_curve,
    compare,
    confusion,
    cross_validate,
    evaluate,
    logistic,
    make_folds,
    net_benefit,
    permute_outcomes,
    roc_curve,
    univariable,
    validate_externally,
)

N = 60


@pytest.fixture(scope="module")
def study():
    """Sixty patients, one in three a "case"; the last in sorted order is "control"."""
    rng = np.random.default_rng(5)
    index = pd.Index([f"p{i:03d}" for i in range(N)], name="patient_id")
    labels = np.where(np.arange(N) % 3 == 0, "case", "control")
    values = rng.normal(size=(N, 3)) + 0.9 * (labels == "case")[:, None] * [1, 0.5, 0]
    features = pd.DataFrame(values, index, [f"ct_handcrafted__{c}" for c in "abc"])
    endpoint = Endpoint("disease", "class", pd.DataFrame({"class": labels}, index))
    return features, endpoint, make_folds(endpoint, n_folds=4, n_repeats=2)


@pytest.fixture(scope="module")
def results(study):
    """The same validation, of "control" by default and of "case" by choice."""
    features, endpoint, folds = study
    chosen = replace(endpoint, positive="case")
    return [cross_validate(logistic(), features, e, folds) for e in (endpoint, chosen)]


def estimates(result):
    return result.metrics.set_index("metric")["estimate"]


def test_models_and_probabilities_are_the_same(results):
    last, chosen = (result.predictions for result in results)
    assert "positive" not in last
    assert set(chosen["positive"]) == {"case"}
    same = chosen.drop(columns=["positive", "threshold"])
    pd.testing.assert_frame_equal(same, last.drop(columns="threshold"))
    # shares of the two classes among the same training patients
    np.testing.assert_allclose(chosen["threshold"] + last["threshold"], 1, atol=1e-12)


def test_metrics_are_of_the_positive_class(results):
    last, chosen = map(estimates, results)
    assert set(results[1].metrics["n_events"]) == {N // 3}
    assert set(results[0].metrics["n_events"]) == {N - N // 3}
    assert results[1].metrics["method"].str.contains("positive class 'case'").any()
    # the area, the Brier score and accuracies do not know which class is positive
    for metric in ("auc", "brier", "balanced_accuracy"):
        assert chosen[metric] == pytest.approx(last[metric], abs=1e-12)
    assert chosen["sensitivity"] == pytest.approx(last["specificity"], abs=1e-12)
    assert chosen["specificity"] == pytest.approx(last["sensitivity"], abs=1e-12)
    intercepts = [one["calibration_intercept"] for one in (last, chosen)]
    # to the tolerance of the fit
    assert intercepts[1] == pytest.approx(-intercepts[0], abs=1e-6)
    by_repeat = results[1].predictions.groupby("repeat")
    expected = np.mean(
        [
            average_precision_score(part["truth"] == "case", part["probability_case"])
            for _, part in by_repeat
        ]
    )
    assert chosen["auprc"] == pytest.approx(expected, abs=1e-12)
    assert abs(chosen["auprc"] - last["auprc"]) > 0.05


def test_curves_are_of_the_positive_class(results):
    predictions = results[1].predictions
    for curve in (roc_curve, calibration_curve):
        assert set(curve(predictions)["class"]) == {"case"}
    # who treats all at a threshold of 0 finds the share of cases
    benefit = net_benefit(predictions, thresholds=[0.0])
    treated = benefit.set_index("strategy")["net_benefit"]
    assert treated["all"] == pytest.approx(1 / 3, abs=1e-12)
    counts = confusion(predictions).set_index(["truth", "predicted"])["count"]
    first = predictions[predictions["repeat"] == 0]
    assert counts.groupby("truth").sum().to_dict() == {"case": 20, "control": 40}
    assert roc_auc_score(first["truth"] == "case", first["probability_case"]) > 0.5


def test_comparison_needs_one_positive_class(results):
    last, chosen = (result.predictions for result in results)
    both = pd.concat([chosen, chosen.assign(model="other")])
    assert compare(both)["difference"].tolist() == [0.0]
    mixed = pd.concat([chosen, last.assign(model="other")])
    with pytest.raises(SchemaError, match=r"truth .* differs"):
        compare(mixed)


def test_other_endpoints_keep_their_order(results):
    last, chosen = (result.predictions for result in results)
    both = pd.concat([chosen, last.assign(endpoint="other")], ignore_index=True)
    events = evaluate(both, n_boot=20).groupby("endpoint")["n_events"].first()
    assert events.to_dict() == {"disease": 20, "other": 40}


def test_the_odds_ratio_is_of_the_positive_class(study):
    features, endpoint, _ = study
    last = univariable(features, endpoint)
    chosen = univariable(features, replace(endpoint, positive="case"))
    # to the tolerance of two fits
    np.testing.assert_allclose(chosen["estimate"], 1 / last["estimate"], rtol=1e-6)
    assert (chosen["n_events"] == 20).all()


def test_the_choice_reaches_an_external_cohort_and_the_control(study):
    features, endpoint, folds = study
    chosen = replace(endpoint, positive="case")
    renamed = [f"q{i:03d}" for i in range(N)]
    other = features.set_axis(pd.Index(renamed, name="patient_id"))
    wanted = replace(endpoint, frame=endpoint.frame.set_axis(other.index))
    found = validate_externally(logistic(), features, chosen, (other, wanted))
    assert (found.metrics["n_events"] == 20).all()
    control = permute_outcomes(logistic(), features, chosen, folds, n_permutations=2)
    assert control.summary["estimate"].item() > 0.5


@pytest.mark.parametrize(
    ("labels", "positive", "message"),
    [
        (["no", "yes"] * 30, "Yes", r"positive is 'Yes', of the classes \['no', 'yes'"),
        (["a", "b", "c"] * 20, "c", "name one of two, or none"),
    ],
)
def test_a_positive_class_that_cannot_be_is_refused(study, labels, positive, message):
    features, endpoint, _ = study
    frame = pd.DataFrame({"class": labels}, features.index)
    wrong = replace(endpoint, frame=frame, positive=positive)
    folds = make_folds(wrong, n_folds=2, n_repeats=1)
    with pytest.raises(SchemaError, match=message):
        cross_validate(logistic(), features, wrong, folds)


def test_predictions_that_contradict_themselves_are_refused(results):
    predictions = results[1].predictions
    torn = predictions.assign(positive=["case", "control"] * N)
    with pytest.raises(SchemaError, match=r"positive is \['case', 'control'\]"):
        evaluate(torn)
