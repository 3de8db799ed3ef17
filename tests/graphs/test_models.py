"""Models of sets of lesions: invariance, odd patients, folders, folds."""

import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

import radlatent as rl
from radlatent.errors import LeakageError, SchemaError
from radlatent.features.origin import mark_fitted

pytest.importorskip("torch")

from radlatent.graphs import (
    LesionGraphClassifier,
    LesionGraphs,
    LesionGraphSurvival,
    lesion_effects,
    load_lesion_graph,
)
from radlatent.latent import Training

SHORT = Training(epochs=2, learning_rate=1e-2)


@pytest.fixture(scope="module")
def made():
    return rl.simulate_lesions(n_patients=40, pair_effect=3.0, random_state=5)


@pytest.fixture(scope="module")
def X(made):
    clinical = made.endpoints[["age"]].astype(float).add_prefix("clinical__")
    clinical = rl.declare_measured(clinical, "clinical")
    return rl.join(
        LesionGraphs(made.features, made.cases, made.centroids).table(most=11), clinical
    )


@pytest.fixture(scope="module")
def y(made):
    return made.endpoints["response"].map({0: "no", 1: "yes"})


@pytest.fixture(scope="module")
def survived(made):
    outcome = np.empty(len(made.endpoints), dtype=[("event", bool), ("time", float)])
    outcome["event"] = made.endpoints["survival_event"] == 1
    outcome["time"] = made.endpoints["survival_time"]
    return outcome


def quick(kind="graph", **told):
    told = {"n_networks": 1, "width": 8, "training": SHORT} | told
    return LesionGraphClassifier(kind, **told)


@pytest.mark.parametrize("kind", ["graph", "deep_sets", "attention_pooling"])
def test_order_of_lesions_patients_and_columns_changes_nothing(made, X, y, kind):
    first = quick(kind).fit(X, y).predict_proba(X)
    turned = made.cases.sample(frac=1, random_state=1)
    other = LesionGraphs(made.features, turned, made.centroids).table(most=11)
    other = rl.join(other, X[["clinical__age"]])
    assert other.index.tolist() != X.index.tolist()
    other = other[other.columns[::-1]]
    again = quick(kind).fit(other, y[other.index]).predict_proba(other.loc[X.index])
    np.testing.assert_allclose(first, again, atol=1e-6)


def test_none_one_and_two_hundred_lesions(made, X, y):
    fitted = quick().fit(X, y)
    generator = np.random.default_rng(0)
    rows = np.zeros(201, dtype=int)
    features = made.features.iloc[rows].set_axis([f"c{i}" for i in range(201)])
    cases = pd.DataFrame({"patient_id": ["many"] * 200 + ["one"], "exclude": False})
    cases["lesion_id"] = [f"L{i}" for i in range(201)]
    features.index.name = "case_id"
    cases.index = features.index
    places = generator.uniform(-300, 300, (201, 3))
    places = pd.DataFrame(places, features.index, ["x_mm", "y_mm", "z_mm"])
    table = LesionGraphs(features, cases, places).table(patients=["none"])
    table = table.assign(clinical__age=60.0)
    found = fitted.predict_proba(table)
    assert found.shape == (3, 2)
    np.testing.assert_allclose(found.sum(1), 1)
    # a patient is what it is, whoever is beside it and however much room there is
    table = LesionGraphs(features[200:], cases[200:], places[200:]).table()
    alone = fitted.predict_proba(table.assign(clinical__age=60.0))
    np.testing.assert_allclose(alone[0], found[1], atol=1e-6)


def test_a_patient_of_one_lesion_has_no_edge_to_learn_from():
    one = rl.simulate_lesions(n_patients=20, n_lesions=1, random_state=2)
    table = LesionGraphs(one.features, one.cases, one.centroids).table()
    y = one.endpoints["response"]
    first = quick(n_neighbours=1).fit(table, y).predict_proba(table)
    moved = one.centroids + 100.0
    table = LesionGraphs(one.features, one.cases, moved).table()
    again = quick(n_neighbours=1).fit(table, y).predict_proba(table)
    np.testing.assert_allclose(first, again, atol=1e-6)


def test_a_folder_gives_the_same_predictions(X, y, survived, tmp_path):
    fitted = quick(random_state=3).fit(X, y)
    fitted.save(tmp_path / "classes")
    loaded = load_lesion_graph(tmp_path / "classes")
    np.testing.assert_array_equal(loaded.predict_proba(X), fitted.predict_proba(X))
    assert loaded.predict(X).tolist() == fitted.predict(X).tolist()
    assert loaded.get_params()["training"] == SHORT
    risk = LesionGraphSurvival(n_networks=2, width=8, training=SHORT).fit(X, survived)
    risk.save(tmp_path / "risk")
    again = load_lesion_graph(tmp_path / "risk").predict(X)
    np.testing.assert_array_equal(again, risk.predict(X))
    assert np.isfinite(again).all()
    assert again.std() > 0


def test_folds_and_the_guard_take_it_as_any_model(made, X):
    endpoint = rl.Endpoint.binary(made.endpoints, "response")
    folds = rl.make_folds(endpoint, n_folds=2, n_repeats=1)
    result = rl.cross_validate(quick(), X, endpoint, folds, jobs=1)
    assert set(result.fits["origin"]) == {"measured"}
    assert len(result.predictions) == 40
    latent = made.features.iloc[:, :1].set_axis(["pet_latent__mu000"], axis=1)
    seen = {"cohort": "ours", "patients": ["P0001"]}
    latent = mark_fitted(latent, "pet_latent", seen, made.cases)
    leaking = LesionGraphs(latent, made.cases, made.centroids).table()
    with pytest.raises(LeakageError, match="P0001"):
        rl.cross_validate(quick(), leaking, endpoint, folds, jobs=1)


def test_survival_is_validated_as_any_model(made, X):
    endpoint = rl.Endpoint.survival(
        made.endpoints, time="survival_time", event="survival_event"
    )
    folds = rl.make_folds(endpoint, n_folds=2, n_repeats=1)
    model = LesionGraphSurvival(n_networks=1, width=8, training=SHORT)
    result = rl.cross_validate(model, X, endpoint, folds, jobs=1)
    assert result.predictions["risk"].notna().all()


def test_wrong_settings_and_columns_are_told(X, y):
    with pytest.raises(SchemaError, match=r"kind .* width"):
        quick("tree", width=0).fit(X, y)
    fitted = quick().fit(X, y)
    with pytest.raises(SchemaError, match="clinical__age"):
        fitted.predict_proba(X.drop(columns="clinical__age"))
    assert not hasattr(clone(fitted), "networks_")


def test_effects_are_a_row_a_lesion(made, X, y):
    fitted = quick().fit(X, y)
    effects = lesion_effects(fitted, X, positive="yes")
    assert len(effects) == len(made.cases)
    at = fitted.classes_.tolist().index("yes")
    whole = pd.Series(fitted.predict_proba(X)[:, at], X.index)
    told = effects["patient_id"].map(whole)
    np.testing.assert_allclose(effects["prediction"], told)
    assert effects["effect"].abs().max() > 0
    with pytest.raises(SchemaError, match="positive"):
        lesion_effects(fitted, X, positive="perhaps")


@pytest.mark.slow
def test_two_lesions_next_to_each_other_are_found():
    made = rl.simulate_lesions(n_patients=400, pair_effect=3.0, random_state=1)
    table = LesionGraphs(made.features, made.cases, made.centroids).table()
    y, train = made.endpoints["response"], made.truth.index[:270]
    test = made.truth.index[270:]
    fitted = LesionGraphClassifier(n_networks=1).fit(table.loc[train], y[train])
    found = roc_auc_score(y[test], fitted.predict_proba(table.loc[test])[:, 1])
    best = roc_auc_score(y[test], made.truth["linear_predictor"][test])
    # a mean of lesions says nothing: 0.5
    assert found - 0.5 > 0.8 * (best - 0.5)


_KILLED = """
import os, sys
import numpy as np
import pandas as pd
from radlatent.graphs import LesionGraphClassifier
from radlatent.latent import Training
from radlatent.nn.training import fit

kept, left = fit._Loop.run_epoch, {"epochs": 9}

def run_epoch(loop, seed):
    kept(loop, seed)
    left["epochs"] -= 1
    if not left["epochs"]:
        os.kill(os.getpid(), 9)

fit._Loop.run_epoch = run_epoch
X, y = pd.read_parquet(sys.argv[1]), pd.read_csv(sys.argv[2], index_col=0).squeeze()
training = Training(epochs=6, learning_rate=1e-2)
told = {"n_networks": 2, "width": 8, "training": training}
LesionGraphClassifier(**told).fit(X, y, checkpoint=sys.argv[3])
"""


def test_a_killed_training_goes_on_to_the_same(X, y, tmp_path):
    """SIGKILL in the second network; what is kept is not of the end."""
    X.attrs = {}
    X.to_parquet(tmp_path / "X.parquet")
    y.to_csv(tmp_path / "y.csv")
    there = [str(tmp_path / name) for name in ("X.parquet", "y.csv", "state")]
    done = subprocess.run([sys.executable, "-c", _KILLED, *there], check=False)
    assert done.returncode == -signal.SIGKILL
    left = sorted(path.name for path in (tmp_path / "state").glob("*.safetensors"))
    assert left[:1] == ["network0.safetensors"]
    training = Training(epochs=6, learning_rate=1e-2)
    model = quick(n_networks=2, training=training)
    other = clone(model).set_params(random_state=3)
    with pytest.raises(SchemaError, match="another training"):
        other.fit(X, y, checkpoint=tmp_path / "state")
    resumed = clone(model).fit(X, y, checkpoint=tmp_path / "state")
    assert not list((tmp_path / "state").glob("*.safetensors"))
    straight = clone(model).fit(X, y)
    np.testing.assert_array_equal(resumed.predict_proba(X), straight.predict_proba(X))
