import numpy as np
import pandas as pd
import pytest

from radlatent.cohort import Endpoint
from radlatent.errors import SchemaError
from radlatent.features.folded import FoldedFeatures
from radlatent.fusion import cross_validate, logistic, make_folds
from radlatent.fusion.models.survival import cox
from radlatent.fusion.validation.learning import _nested, learning_curve


@pytest.fixture
def growing():
    """Ninety patients, a third of class b; three of twelve columns tell it."""
    rng = np.random.default_rng(5)
    index = pd.Index([f"p{i:03d}" for i in range(90)], name="patient_id")
    labels = np.where(np.arange(90) % 3 == 0, "b", "a")
    values = rng.normal(size=(90, 12))
    values[:, :3] += 1.3 * (labels == "b")[:, None]
    features = pd.DataFrame(values, index, [f"ct__f{i:02d}" for i in range(12)])
    endpoint = Endpoint("grade", "class", pd.DataFrame({"class": labels}, index))
    return features, endpoint, make_folds(endpoint, n_folds=3, n_repeats=2)


def test_curve_rises_to_the_result_of_all_patients(growing):
    table = learning_curve(logistic(), *growing)
    assert list(table)[:5] == ["n_train", "model", "blocks", "endpoint", "metric"]
    auc = table[table["metric"] == "auc"]
    assert auc["n_train"].tolist() == [12, 24, 36, 48, 60]
    assert set(auc["model"]) == {"LogisticRegression"}
    assert auc["estimate"].iloc[-1] > auc["estimate"].iloc[0] + 0.02
    whole = cross_validate(logistic(), *growing).metrics
    last = table[table["n_train"] == 60].drop(columns="n_train")
    # the same patients in another order: sums are rounded otherwise
    pd.testing.assert_frame_equal(last.reset_index(drop=True), whole, atol=1e-3)


def test_fewer_patients_are_a_stratified_part_of_more():
    strata = np.repeat(["a", "b"], [60, 30])
    order = _nested(strata, np.random.default_rng(0))
    assert sorted(order) == list(range(90))
    for size in (9, 30, 60):
        assert (strata[order[:size]] == "b").sum() == size / 3
    assert (order != _nested(strata, np.random.default_rng(1))).any()


def test_survival_and_features_of_folds_have_a_curve(growing):
    features, endpoint, _ = growing
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"event": (endpoint.strata == "b") * 1}, features.index)
    frame["time"] = np.exp(6 - features.mean(axis=1) + 0.1 * rng.normal(size=90))
    endpoint = Endpoint("os", "survival", frame)
    folds = make_folds(endpoint, n_folds=3, n_repeats=1)
    groups = folds.groupby(["repeat", "fold"])["patient_id"]
    train = {key: sorted(set(features.index) - set(part)) for key, part in groups}
    latent = features.rename(columns=lambda c: c.replace("ct__", "ct_latent__"))
    folded = FoldedFeatures(dict.fromkeys(train, latent), train)
    table = learning_curve(cox(), folded, endpoint, folds, sizes=[20, 60])
    c = table[table["metric"] == "c_harrell"].set_index("n_train")["estimate"]
    # the mean of the columns tells the time but for a tenth
    assert 0.8 < c[20] < c[60]
    assert table["n_events"].unique().tolist() == [30]


def test_sizes_that_cannot_be_had_are_refused(growing):
    with pytest.raises(SchemaError, match=r"sizes \[1, 61\] .* between 2 and 60"):
        learning_curve(logistic(), *growing, sizes=[1, 30, 61])
    features, endpoint, _ = growing
    labels = endpoint.frame.assign(
        **{"class": ["a", "b", "c"] + ["a", "b"] * 43 + ["c"]}
    )
    endpoint = Endpoint("grade", "class", labels)
    folds = make_folds(endpoint, n_folds=2, n_repeats=1)
    with pytest.raises(SchemaError, match=r"3 training patients leave out \['c'\]"):
        learning_curve(logistic(), features, endpoint, folds, sizes=[3])
