"""The bag of lesions: weights, votes, odd patients."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier

import radlatent as rl
from radlatent.errors import SchemaError
from radlatent.graphs import LesionBag, LesionGraphs


@pytest.fixture(scope="module")
def made():
    return rl.simulate_lesions(n_patients=40, outlier_effect=3.0, random_state=5)


@pytest.fixture(scope="module")
def X(made):
    return LesionGraphs(made.features, made.cases, made.centroids).table()


@pytest.fixture(scope="module")
def y(made):
    return made.endpoints["response"].map({0: "no", 1: "yes"})


def test_votes_are_those_of_a_forest_of_weighted_lesions(made, X, y):
    """One scikit-learn forest on the long table, weighted and averaged by hand."""
    bag = LesionBag(20, min_samples_leaf=3).fit(X, y)
    found = pd.DataFrame(bag.predict_proba(X), X.index, bag.classes_)["yes"]
    whose = made.cases["patient_id"]
    long = made.features.sort_index(axis=1)
    quartiles = long.quantile([0.25, 0.5, 0.75])
    scaled = (long - quartiles.loc[0.5]) / (quartiles.loc[0.75] - quartiles.loc[0.25])
    scaled = np.arcsinh(scaled)
    # the order of rows decides what a tree draws: from below, as the bag
    order = made.centroids.assign(patient_id=whose).sort_values(["patient_id", "z_mm"])
    lesions = scaled.loc[order.index]
    patients = whose[lesions.index]
    weights = 1 / patients.map(patients.value_counts())
    forest = RandomForestClassifier(20, min_samples_leaf=3, random_state=0)
    forest.fit(lesions.to_numpy(), y[patients] == "yes", sample_weight=weights)
    votes = pd.Series(forest.predict_proba(lesions.to_numpy())[:, 1], patients)
    expected = votes.groupby(level=0).mean()
    pd.testing.assert_series_equal(
        found, expected[found.index], check_names=False, atol=1e-12
    )


def test_order_of_lesions_and_columns_changes_nothing(made, X, y):
    turned = made.cases.sample(frac=1, random_state=1)
    other = LesionGraphs(made.features, turned, made.centroids).table()
    other = other.loc[X.index, other.columns[::-1]]
    first = LesionBag(20).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(LesionBag(20).fit(other, y).predict_proba(other), first)


def test_patient_without_lesion_gets_the_shares_of_training(made, y):
    graphs = LesionGraphs(made.features, made.cases, made.centroids)
    rows = graphs.table(patients=["nobody"])
    bag = LesionBag(20).fit(rows.drop("nobody"), y)
    shares = y.value_counts(normalize=True)[bag.classes_]
    np.testing.assert_allclose(bag.predict_proba(rows.loc[["nobody"]])[0], shares)


def test_other_columns_are_named(X, y):
    bag = LesionBag(5).fit(X, y)
    less = X.loc[:, ~X.columns.str.contains("Contrast")]
    with pytest.raises(SchemaError, match="glcm_Contrast"):
        bag.predict_proba(less)


def test_cross_validated_like_any_model(made, X):
    endpoint = rl.Endpoint.binary(made.endpoints["response"])
    folds = rl.make_folds(endpoint, n_folds=2)
    result = rl.cross_validate(LesionBag(20), X, endpoint, folds, name="bag")
    assert result.predictions["patient_id"].nunique() == 40


def test_a_class_without_lesions_keeps_its_column():
    """Whoever has a lesion is of the class of those who have; nobody else is."""
    made = rl.simulate_lesions(n_patients=12, random_state=2)
    graphs = LesionGraphs(made.features, made.cases, made.centroids)
    X = graphs.table(patients=[f"none{k}" for k in range(6)])
    y = pd.Series(["yes"] * 12 + ["no"] * 6, X.index)
    found = LesionBag(5).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(found[:12], [[0.0, 1.0]] * 12)
    np.testing.assert_allclose(found[12:], [[1 / 3, 2 / 3]] * 6)
