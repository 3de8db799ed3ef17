"""Lesions of each patient as one row, and back."""

import numpy as np
import pandas as pd
import pytest

import radlatent as rl
from radlatent.errors import SchemaError
from radlatent.features.origin import mark_fitted, origin_of_blocks
from radlatent.graphs import LesionGraphs
from radlatent.graphs.sets import Scaling, edges_of, read_sets


@pytest.fixture(scope="module")
def made():
    return rl.simulate_lesions(n_patients=12, random_state=1)


@pytest.fixture
def graphs(made):
    return LesionGraphs(made.features, made.cases, made.centroids)


def test_the_row_of_a_patient_holds_its_lesions(made, graphs):
    table = graphs.table(patients=["nobody"])
    sets = read_sets(table)
    assert sets.is_there.sum(1)[:-1].tolist() == made.truth["n_lesions"].tolist()
    assert not sets.is_there[-1].any()
    first = made.cases["patient_id"] == "P0001"
    mine = made.features[first][[*sets.names]].to_numpy()
    np.testing.assert_array_equal(sets.lesions[0, : len(mine)], mine)
    burden = rl.lesion_burden(made.features, made.cases, centroids=made.centroids)
    dmax = table["lesion_graph__dmax_mm"]
    np.testing.assert_allclose(dmax.iloc[:-1], burden["pet_burden__dmax_mm"])
    assert dmax["nobody"] == table.loc["nobody", "lesion_graph__n_lesions"] == 0


def test_a_guard_sees_where_features_of_lesions_come_from(made, graphs):
    told = origin_of_blocks(graphs.table())
    assert all(one.told and not one.fits for one in told.values())
    latent = made.features.iloc[:, :1].set_axis(["pet_latent__mu000"], axis=1)
    seen = {"cohort": "ours", "patients": ["P0001"]}
    latent = mark_fitted(latent, "pet_latent", seen, made.cases)
    table = LesionGraphs(latent, made.cases, made.centroids).table()
    [fit] = origin_of_blocks(table)["pet_latent"].fits
    assert fit.patients == {"P0001"}


def test_edges_are_nearest_first_and_point_to_the_neighbour():
    places = np.array([[0.0, 0, 0], [10, 0, 0], [0, 0, 100], [0, 0, 0]])
    edges = edges_of(places, 2, 50.0)
    assert edges.neighbours[1].tolist() == [0, 3]
    np.testing.assert_allclose(edges.direction[1], [[-1, 0, 0], [-1, 0, 0]])
    assert edges.is_there.sum(1).tolist() == [2, 2, 0, 2]
    assert np.isfinite(edges.direction).all()
    assert not edges_of(places[:1], 8, None).is_there.any()


def test_edges_as_a_table(made, graphs):
    edges = graphs.edges(n_neighbours=1)
    assert len(edges) == len(made.cases)
    a, b = (made.centroids.loc[edges[c]].to_numpy() for c in ("case_id", "neighbour"))
    np.testing.assert_allclose(np.linalg.norm(a - b, axis=1), edges["distance_mm"])


def test_the_order_of_lesions_does_not_matter(made, graphs):
    turned = made.cases.sample(frac=1, random_state=0)
    other = LesionGraphs(made.features, turned, made.centroids).table()
    sets = [read_sets(t.sort_index()) for t in (graphs.table(), other)]
    one, two = (Scaling.learn(s).apply(s) for s in sets)
    np.testing.assert_allclose(one.lesions, two.lesions, atol=1e-12)
    np.testing.assert_array_equal(one.places, two.places)


def test_missing_and_constant_features_are_the_median(made):
    features = made.features.copy()
    features.iloc[:, 0] = 7.0
    features.iloc[3, 1] = np.nan
    sets = read_sets(LesionGraphs(features, made.cases, made.centroids).table())
    scaled = Scaling.learn(sets).apply(sets)
    assert np.isfinite(scaled.lesions).all()
    at = sets.names.index(features.columns[0])
    assert (scaled.lesions[..., at] == 0).all()


def test_bad_input_is_told(made, graphs):
    places = made.centroids.copy()
    places.iloc[2, 1] = np.nan
    with pytest.raises(SchemaError, match=made.centroids.index[2]):
        LesionGraphs(made.features, made.cases, places)
    with pytest.raises(SchemaError, match="more than 2 lesions"):
        graphs.table(most=2)
    with pytest.raises(SchemaError, match="lacks"):
        read_sets(pd.DataFrame({"a__b": [1.0]}))
    with pytest.raises(SchemaError, match="not an array"):
        read_sets(np.zeros((2, 2)))
    table = graphs.table()
    most = int(made.truth["n_lesions"].max())
    cut = table[[c for c in table if not c.endswith(f"lesion{most:03d}")]]
    with pytest.raises(SchemaError, match="most="):
        read_sets(cut)
