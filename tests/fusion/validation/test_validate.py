import logging
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import sklearn.base
from sklearn.base import BaseEstimator

from radlatent.errors import LeakageError, SchemaError
from radlatent.features.endpoint import Endpoint
from radlatent.fusion import (
    check_external,
    cox,
    cross_validate,
    fine_gray,
    logistic,
    make_folds,
    ridge,
    validate_externally,
)
from radlatent.fusion.steps.selection import SelectAtMost
from radlatent.fusion.validation import predict


@pytest.fixture
def small(make_endpoint, make_features):
    """Forty patients of two classes, five columns, two of them informative."""
    endpoint = make_endpoint("ab" * 20)
    values = np.random.default_rng(3).normal(size=(40, 5))
    values[1::2, :2] += 1.5
    features = make_features(values, endpoint.frame.index)
    return features, endpoint, make_folds(endpoint, n_repeats=2)


def test_every_patient_is_predicted_once_a_repeat(small):
    _, endpoint, folds = small
    result = cross_validate(logistic(), *small, name="ridge", blocks="latent")
    table = result.predictions
    assert list(table)[:7] == (
        ["model", "blocks", "endpoint", "repeat", "fold", "patient_id", "truth"]
    )
    assert len(table) == 80
    merged = table.merge(folds, on=["patient_id", "repeat", "fold"])
    assert len(merged) == 80
    assert (table["truth"] == table["patient_id"].map(endpoint.frame["class"])).all()
    # each row of predict_proba sums to one up to rounding
    chances = table[["probability_a", "probability_b"]].sum(axis=1)
    np.testing.assert_allclose(chances, 1, atol=1e-12)
    assert result.summary.set_index("metric").loc["auc", "lower"] > 0.6


def test_predictions_equal_fitting_by_hand(small):
    features, endpoint, _ = small
    table = cross_validate(logistic(), *small).predictions
    part = table[(table["repeat"] == 1) & (table["fold"] == 2)]
    train = features.index.difference(part["patient_id"])
    model = logistic().fit(features.loc[train], endpoint.frame["class"].loc[train])
    expected = model.predict_proba(features.loc[part["patient_id"]])[:, 1]
    np.testing.assert_array_equal(part["probability_b"], expected)


def fitted_models(monkeypatch, *args):
    """Return the models that cross_validate fits, in its order of folds."""
    models = []

    def clone(model):
        models.append(sklearn.base.clone(model))
        return models[-1]

    monkeypatch.setattr(predict, "clone", clone)
    return models, cross_validate(logistic(n_features=2), *args).predictions


def test_features_of_a_test_patient_change_nothing_that_is_fitted(monkeypatch, small):
    features, endpoint, folds = small
    before, old = fitted_models(monkeypatch, *small)
    changed = features.copy()
    changed.loc["p007"] = [1e6, -50.0, np.nan, 3.0, 1e3]
    after, new = fitted_models(monkeypatch, changed, endpoint, folds)
    runs = list(folds.groupby(["repeat", "fold"]))
    tested = ["p007" in set(part["patient_id"]) for _, part in runs]
    assert sum(tested) == 2
    for is_tested, a, b in zip(tested, before, after, strict=True):
        same = np.array_equal(a["scale"].mean_, b["scale"].mean_)
        assert same == is_tested
        if is_tested:
            np.testing.assert_array_equal(
                a["impute"].statistics_, b["impute"].statistics_
            )
            np.testing.assert_array_equal(a["scale"].var_, b["scale"].var_)
            np.testing.assert_array_equal(a["select"].support_, b["select"].support_)
            np.testing.assert_array_equal(a["classify"].coef_, b["classify"].coef_)
    moved = set(old["patient_id"][old["probability_b"] != new["probability_b"]])
    assert "p007" in moved


def test_model_stays_unfitted(small):
    model = logistic()
    cross_validate(model, *small)
    assert not hasattr(model["scale"], "mean_")


def test_order_of_rows_does_not_matter(small):
    features, endpoint, folds = small
    expected = cross_validate(logistic(), *small).summary
    result = cross_validate(logistic(), features[::-1], endpoint, folds)
    pd.testing.assert_frame_equal(result.summary, expected)


def test_patient_in_two_folds_of_a_repeat_is_leakage(small):
    features, endpoint, folds = small
    twice = folds.iloc[[0]].assign(fold=lambda t: (t["fold"] + 1) % 5)
    with pytest.raises(LeakageError, match=r"training and test: \['p000'\]"):
        cross_validate(logistic(), features, endpoint, pd.concat([folds, twice]))


def test_patient_twice_in_one_fold_is_refused(small):
    features, endpoint, folds = small
    twice = pd.concat([folds, folds.iloc[[0]]])
    with pytest.raises(SchemaError, match="folds table"):
        cross_validate(logistic(), features, endpoint, twice)


def test_all_misfits_are_reported_at_once(small):
    features, endpoint, folds = small
    folds = folds[~((folds["patient_id"] == "p001") & (folds["repeat"] == 1))]
    with pytest.raises(SchemaError) as error:
        cross_validate(logistic(), features.drop(["p000", "p002"]), endpoint, folds)
    assert "2 patients have no features: ['p000', 'p002']" in str(error.value)
    assert "1 patients not in repeat 1: ['p001']" in str(error.value)


def test_folds_of_patients_without_outcome_are_refused(small):
    features, endpoint, folds = small
    endpoint = replace(endpoint, frame=endpoint.frame.drop("p005"))
    with pytest.raises(SchemaError, match=r"1 patients have folds, no outcome.*p005"):
        cross_validate(logistic(), features, endpoint, folds)


def test_class_that_is_only_tested_is_refused(small):
    features, endpoint, folds = small
    folds = folds.assign(fold=(folds["patient_id"].map(endpoint.strata) == "a") * 1)
    with pytest.raises(SchemaError, match=r"repeat 0, fold 0: classes \['b'\]"):
        cross_validate(logistic(), features, endpoint, folds)


def test_cases_must_be_aggregated_first(small):
    features, endpoint, folds = small
    with pytest.raises(SchemaError, match="aggregate"):
        cross_validate(logistic(), features.rename_axis("case_id"), endpoint, folds)


class ByFirstColumn(BaseEstimator):
    """A survival model whose risk is a column, and whose survival falls with it."""

    def fit(self, X, y):
        self.n_events_ = int(y["event"].sum())
        return self

    def predict(self, X):
        return X.iloc[:, 0].to_numpy()

    def predict_survival(self, X, times):
        return np.exp(-np.exp(self.predict(X))[:, None] * times / 1000)


class TestSurvival:
    @pytest.fixture
    def world(self, make_survival, make_features):
        risk = np.random.default_rng(1).normal(size=90)
        endpoint = make_survival(90, risk)
        features = make_features(risk[:, None], endpoint.frame.index)
        return features, endpoint, make_folds(endpoint, n_folds=3, n_repeats=2)

    def test_risks_and_chances_of_tested_patients_lie_beside_the_truth(self, world):
        features, endpoint, _ = world
        table = cross_validate(ByFirstColumn(), *world, name="known").predictions
        assert len(table) == 180
        first = table[table["repeat"] == 0].set_index("patient_id")
        assert (first["time"] == endpoint.frame["time"][first.index]).all()
        assert (first["risk"] == features.iloc[:, 0][first.index]).all()
        days = [float(c.removeprefix("survival_")) for c in table.filter(like="vival_")]
        assert days == sorted(days)
        assert len(days) == 19
        assert table.filter(like="survival_").notna().all(axis=None)

    def test_a_planted_risk_ranks_and_a_permuted_one_does_not(self, world):
        metrics = cross_validate(ByFirstColumn(), *world).metrics.set_index("metric")
        assert metrics.loc["c_harrell", "lower"] > 0.6
        assert metrics.loc["c_harrell", "n_events"] == world[1].frame["event"].sum()
        found = []
        for seed in range(6):
            features = world[0].sample(frac=1, random_state=seed)
            features = features.set_axis(world[0].index)
            other = cross_validate(ByFirstColumn(), features, *world[1:]).metrics
            found.append(other.set_index("metric").loc["c_harrell", "estimate"])
        # a C of 90 patients has a standard error of 0.04, the mean of 6 of 0.016
        assert abs(np.mean(found) - 0.5) < 0.05

    def test_several_processes_give_the_same(self, world):
        features, stand_in, folds = world
        # another process cannot import what stands in a conftest
        endpoint = Endpoint("survival", "survival", stand_in.frame)
        one, two = (
            cross_validate(cox(), features, endpoint, folds, jobs=jobs).predictions
            for jobs in (1, 2)
        )
        pd.testing.assert_frame_equal(one, two, check_exact=True)


class TestExternal:
    @pytest.fixture
    def cohorts(self, make_endpoint, make_features):
        rng, found = np.random.default_rng(5), []
        for prefix, n in (("a", 60), ("b", 30)):
            endpoint = make_endpoint("xy" * (n // 2), prefix=prefix)
            values = rng.normal(size=(n, 3))
            values[1::2, 0] += 2
            found.append((make_features(values, endpoint.frame.index), endpoint))
        return found

    def test_the_other_cohort_is_predicted_by_a_model_of_all_of_the_first(
        self, cohorts
    ):
        (features, endpoint), external = cohorts
        found = validate_externally(logistic(), features, endpoint, external)
        assert set(found.predictions["patient_id"]) == set(external[0].index)
        fitted = logistic().fit(features, endpoint.frame["class"])
        wanted = fitted.predict_proba(external[0])[:, 1]
        np.testing.assert_array_equal(found.predictions["probability_y"], wanted)
        assert found.metrics.set_index("metric").loc["auc", "lower"] > 0.7
        assert found.fits["n_train"].tolist() == [60]

    def test_outcomes_of_the_other_cohort_change_no_probability(self, cohorts):
        (features, endpoint), (other, wanted) = cohorts
        turned = wanted.frame.replace({"x": "y", "y": "x"})
        pair = [
            validate_externally(logistic(), features, endpoint, (other, one))
            for one in (wanted, replace(wanted, frame=turned))
        ]
        one, two = (found.predictions["probability_y"] for found in pair)
        pd.testing.assert_series_equal(one, two)

    def test_shared_patients_are_leakage(self, cohorts):
        (features, endpoint), _ = cohorts
        with pytest.raises(LeakageError, match="60 patients are in both cohorts"):
            validate_externally(logistic(), features, endpoint, (features, endpoint))

    def test_what_does_not_fit_is_told_at_once(self, cohorts):
        (features, endpoint), (other, wanted) = cohorts
        strange = replace(wanted, frame=wanted.frame.replace({"y": "z"}))
        external = (other.iloc[5:, 1:], strange)
        with pytest.raises(SchemaError) as error:
            validate_externally(logistic(), features, endpoint, external)
        for word in ("5 external patients", "lack 1 columns", "classes ['z']"):
            assert word in str(error.value)

    def test_units_of_numbers_are_compared(self, cohorts):
        (features, _), (other, _) = cohorts
        ours, theirs = (
            Endpoint("volume", "continuous", pd.DataFrame({"value": X.iloc[:, 0]}))
            for X in (features, other)
        )
        ours = replace(ours, unit="ml")
        # of one the unit is not known
        check_external(features, ours, other, theirs)
        external = (other, replace(theirs, unit="l"))
        with pytest.raises(SchemaError, match="units are 'ml' and 'l'"):
            validate_externally(ridge(), features, ours, external)

    def test_events_of_interest_are_compared(self, cohorts):
        (features, _), (other, _) = cohorts
        pair = []
        for X, positive in ((features, "relapse"), (other, "Relapse")):
            frame = pd.DataFrame({"time": 9.0, "cause": positive}, X.index)
            frame.iloc[::2, 1] = "death"
            pair.append(Endpoint("first", "competing", frame, positive))
        told = "events of interest are 'relapse' and 'Relapse'"
        with pytest.raises(SchemaError, match=told):
            validate_externally(fine_gray(), features, pair[0], (other, pair[1]))


def test_empty_patient_is_imputed_and_logged(small, caplog):
    features, endpoint, folds = small
    features.loc["p004"] = np.nan
    with caplog.at_level(logging.INFO, "radlatent.fusion"):
        table = cross_validate(logistic(), features, endpoint, folds).predictions
    assert table["probability_a"].notna().all()
    assert "1 patients have no feature at all and are imputed: ['p004']" in caplog.text


def test_column_empty_in_training_is_dropped_in_that_fold(small):
    features, endpoint, folds = small
    features = features.assign(ct_handcrafted__rare=np.nan, ct_handcrafted__flat=1.0)
    features.loc["p003", "ct_handcrafted__rare"] = 5.0
    assert len(
        cross_validate(logistic(n_features=10), features, endpoint, folds).summary
    )


def test_result_shows_and_draws_its_summary(small):
    result = cross_validate(logistic(), *small)
    assert "balanced_accuracy" in result._repr_html_()
    label = result.plot().get_legend().get_texts()[0].get_text()
    assert f"AUC {result.summary['estimate'].iloc[0]:.2f}" in label


def test_importing_fusion_loads_no_drawing_library():
    code = "import sys, radlatent.fusion; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def noise(make_endpoint, make_features, seed):
    """Return 100 patients of two classes and 1000 columns of noise."""
    endpoint = make_endpoint("01" * 50)
    values = np.random.default_rng(seed).normal(size=(100, 1000))
    return make_features(values, endpoint.frame.index), endpoint


def auc_row(model, features, endpoint, seed):
    folds = make_folds(endpoint, n_repeats=5, random_state=seed)
    summary = cross_validate(model, features, endpoint, folds).summary
    return summary.set_index("metric").loc["auc"]


@pytest.mark.slow
def test_noise_is_chance_inside_folds_and_signal_outside(make_endpoint, make_features):
    covered = []
    for seed in range(10):
        features, endpoint = noise(make_endpoint, make_features, seed)
        inside = auc_row(logistic(n_features=20), features, endpoint, seed)
        covered.append(inside["lower"] <= 0.5 <= inside["upper"])
        # the error that the library exists to prevent: select on all patients
        chosen = SelectAtMost(20).fit(features, endpoint.strata).get_support()
        leaked = auc_row(logistic(), features.loc[:, chosen], endpoint, seed)
        assert leaked["estimate"] > 0.85
    # a 95% interval misses once in twenty: three misses of ten have probability 0.01
    assert sum(covered) >= 9


def test_interval_of_a_permuted_endpoint_covers_chance(small):
    features, endpoint, _ = small
    rng = np.random.default_rng(0)
    endpoint.frame["class"] = rng.permutation(endpoint.frame["class"].to_numpy())
    row = auc_row(logistic(), features, endpoint, 0)
    assert row["lower"] <= 0.5 <= row["upper"]


def test_a_result_prints_its_metrics_with_their_intervals(make_endpoint, make_features):
    endpoint = make_endpoint("ab" * 20)
    values = np.random.default_rng(0).normal(size=(40, 2))
    features = make_features(values, endpoint.frame.index)
    folds = make_folds(endpoint, n_folds=2, n_repeats=1)
    result = cross_validate(logistic(), features, endpoint, folds, name="ridge")
    first, auc, *_ = repr(result).splitlines()
    assert first == "ridge on all, diagnosis: n = 40, 20 events"
    row = result.metrics.set_index("metric").loc["auc"]
    ends = "  ({:.3f} to {:.3f})".format(*row[["lower", "upper"]])
    assert auc == f"  {'auc':<22}{row['estimate']:.3f}{ends}"
