import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from radlatent.errors import LeakageError, SchemaError
from radlatent.features.folded import FoldedFeatures
from radlatent.fusion import (
    coefficient_shares,
    forest,
    join,
    logistic,
    make_folds,
    top_k_shares,
)


@pytest.fixture
def planted(make_endpoint, make_features):
    """Sixty patients: the second latent column tells the class, in small units."""
    endpoint = make_endpoint("ab" * 30)
    rng = np.random.default_rng(3)
    latent, hand = rng.normal(size=(2, 60, 3))
    latent[1::2, 1] += 4.0
    index = endpoint.frame.index
    latent = make_features(latent * [1, 1e-3, 1], index, "ct_latent")
    hand = make_features(hand * [1, 1e4, 1], index, "ct_handcrafted")
    folds = make_folds(endpoint, n_folds=3, n_repeats=2)
    train = {
        (r, f): sorted(set(index) - set(part["patient_id"]))
        for (r, f), part in folds.groupby(["repeat", "fold"])
    }
    tables = {key: join(hand, latent) for key in train}
    return FoldedFeatures(tables, train), endpoint, folds


def test_column_that_tells_the_class_ranks_first_whatever_its_unit(planted):
    table = coefficient_shares(logistic(), *planted)
    names = "column block coefficient spread n_used n_fits share rank"
    assert list(table) == names.split()
    assert table["column"][0] == "ct_latent__mu0001"
    assert table["block"][0] == "ct_latent"
    assert table["share"][0] > 0.4
    assert table["rank"].tolist() == [1, 2, 3, 4, 5, 6]
    assert table["coefficient"].is_monotonic_decreasing
    # a sum of six shares in float64
    assert table["share"].sum() == pytest.approx(1, abs=1e-12)


def test_coefficients_equal_fitting_by_hand(planted):
    folded, endpoint, folds = planted
    table = coefficient_shares(logistic(C=0.1), *planted).set_index("column")
    fits = []
    for _, part in folds.groupby(["repeat", "fold"]):
        train = folded.index.difference(part["patient_id"])
        model = logistic(C=0.1).fit(folded.at(0, 0).loc[train], endpoint.strata[train])
        fits.append(np.abs(model["classify"].coef_[0]))
    # lbfgs sees the patients in another order, so that sums are rounded otherwise
    options = {"atol": 1e-5}
    found = table.loc[folded.columns]
    np.testing.assert_allclose(found["coefficient"], np.mean(fits, axis=0), **options)
    np.testing.assert_allclose(found["spread"], np.std(fits, axis=0, ddof=1), **options)
    assert set(table["n_fits"]) == {6}


def test_model_without_a_scaler_is_brought_to_the_same_unit(planted):
    # with next to no penalty the unit of a column changes its coefficient only
    folded, endpoint, folds = planted
    folded = folded.map(lambda t: t[[c for c in t if "mu0000" in c or "mu0002" in c]])
    scaled = coefficient_shares(logistic(C=1e6), folded, endpoint, folds)
    bare = LogisticRegression(C=1e6, max_iter=10_000, tol=1e-8)
    plain = coefficient_shares(bare, folded, endpoint, folds)
    assert plain["column"].tolist() == scaled["column"].tolist()
    # two optimizations end within their tolerance of each other
    np.testing.assert_allclose(plain["coefficient"], scaled["coefficient"], rtol=1e-3)


def test_columns_that_are_not_selected_have_coefficient_zero(planted):
    table = coefficient_shares(logistic(n_features=1), *planted)
    assert table["n_used"].tolist() == [6, 0, 0, 0, 0, 0]
    assert table["coefficient"].tolist()[1:] == [0] * 5
    assert table["share"][0] == 1


def test_classes_are_averaged(make_endpoint, make_features):
    endpoint = make_endpoint("abc" * 12)
    values = np.random.default_rng(0).normal(size=(36, 2))
    values[:, 0] += 3.0 * (np.arange(36) % 3)
    features = make_features(values, endpoint.frame.index)
    folds = make_folds(endpoint, n_folds=2, n_repeats=1)
    table = coefficient_shares(logistic(), features, endpoint, folds)
    assert table["column"][0] == "ct_handcrafted__mu0000"


def test_model_without_coefficients_is_refused(planted):
    with pytest.raises(SchemaError, match="RandomForestClassifier has no coef"):
        coefficient_shares(forest(n_estimators=2), *planted)


def test_model_that_mixes_columns_is_refused(planted):
    model = make_pipeline(PCA(2), LogisticRegression())
    with pytest.raises(SchemaError, match=r"\['pca0', 'pca1'\]"):
        coefficient_shares(model, *planted)


def test_leakage_is_refused_here_too(planted):
    folded, endpoint, folds = planted
    with pytest.raises(LeakageError, match="do not tell"):
        coefficient_shares(logistic(), folded.at(0, 0), endpoint, folds)


@pytest.fixture
def ranked():
    blocks = ["h", "d", "d", "h", "c"]
    return pd.DataFrame({"rank": [1, 2, 3, 4, 5], "block": blocks})


def test_counts_lie_between_the_extremes(ranked):
    table = top_k_shares(ranked, groups={"deep": "d"})
    assert table["blocks"].unique().tolist() == ["deep"]
    assert table["k"].tolist() == [1, 2, 3, 4, 5]
    assert table["count"].tolist() == [0, 1, 2, 2, 2]
    assert table["all_first"].tolist() == [1, 2, 2, 2, 2]
    assert table["all_last"].tolist() == [0, 0, 0, 1, 2]
    assert table["even"].tolist() == [0.4, 0.8, 1.2, 1.6, 2.0]


def test_counts_follow_the_rank_and_not_the_rows(ranked):
    table = top_k_shares(ranked[::-1], groups={"deep": "d"})
    assert table["count"].tolist() == [0, 1, 2, 2, 2]


def test_each_block_is_a_group_by_default(ranked):
    table = top_k_shares(ranked)
    assert table["blocks"].unique().tolist() == ["c", "d", "h"]
    assert (table.groupby("k")["count"].sum() == [1, 2, 3, 4, 5]).all()


def test_pattern_that_fits_no_block_is_refused(ranked):
    with pytest.raises(SchemaError, match=r"'\*_latent' fits no block of \['c', 'd'"):
        top_k_shares(ranked, groups={"latent": "*_latent"})
