import logging

import numpy as np
import pandas as pd
import pytest

from radlatent.errors import SchemaError
from radlatent.features.join import block_coverage
from radlatent.fusion import join, logistic, make_folds, select_blocks
from radlatent.fusion.validation.validate import fit_folds


def table(ids, column, index="case_id"):
    values = [float(i) for i in range(len(ids))]
    return pd.DataFrame({column: values}, pd.Index(list(ids), name=index))


def test_inner_join_keeps_common_rows_with_their_values():
    joined = join(table("abc", "ct__x"), table("cab", "pet__y"))
    assert joined.loc["c"].tolist() == [2.0, 0.0]
    assert joined.index.tolist() == ["a", "b", "c"]
    assert joined.index.name == "case_id"


def test_inner_join_logs_how_many_rows_each_table_loses(caplog):
    with caplog.at_level(logging.INFO, "radlatent.features"):
        joined = join(table("abc", "ct__x"), table("bcde", "pet__y"))
    assert joined.index.tolist() == ["b", "c"]
    assert "table 1 loses 1 of 3; table 2 loses 2 of 4" in caplog.text


def test_outer_join_keeps_every_row():
    joined = join(table("ab", "ct__x"), table("bc", "pet__y"), how="outer")
    assert joined.index.tolist() == ["a", "b", "c"]
    assert joined["pet__y"].isna().tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ([], "no table was given"),
        ([table("a", "ct__x"), table("a", "pet__y", "patient_id")], "'patient_id'"),
        ([table("a", "ct__x"), table("a", "ct__x")], r"more than one .*'ct__x'"),
        ([table("a", "ct__x"), table("b", "pet__y")], "no case_id is in all"),
    ],
)
def test_join_refuses(tables, message):
    with pytest.raises(SchemaError, match=message):
        join(*tables)


def test_join_lists_its_options():
    with pytest.raises(SchemaError, match="'inner', 'outer'"):
        join(table("a", "ct__x"), how="left")


def test_select_blocks_takes_names_and_patterns():
    features = join(
        table("ab", "pet_handcrafted__x"),
        table("ab", "ct_handcrafted__x"),
        table("ab", "ct_latent__mu0"),
    )
    assert list(select_blocks(features, ["ct_latent", "pet_*"])) == [
        "pet_handcrafted__x",
        "ct_latent__mu0",
    ]
    assert select_blocks(features, "*_handcrafted").shape == (2, 2)


def test_select_blocks_takes_single_columns_beside_blocks():
    features = join(
        table("ab", "pet_handcrafted__volume"),
        table("ab", "pet_handcrafted__mean"),
        table("ab", "clinical__age"),
    )
    # the name is that of a column, not of what columns begin with
    for name in ("pet_handcrafted__mean", "pet_*__mean"):
        assert list(select_blocks(features, name)) == ["pet_handcrafted__mean"]
    chosen = select_blocks(features, ["clinical", "*__volume"])
    assert list(chosen) == ["pet_handcrafted__volume", "clinical__age"]
    with pytest.raises(SchemaError, match=r"no column fits.*'pet_handcrafted__mean'"):
        select_blocks(features, "pet_handcrafted__men")


def test_unknown_block_names_the_nearest():
    with pytest.raises(SchemaError, match="did you mean 'ct_latent'"):
        select_blocks(table("a", "ct_latent__mu0"), "ct_latnet")


@pytest.fixture
def outer(make_features):
    """Return 60 patients with CT, of whom the first 20 lack PET; one has nothing."""
    rng = np.random.default_rng(2)
    names = [f"p{i:03d}" for i in range(60)]
    ct = make_features(rng.normal(size=(60, 3)), names, "ct")
    pet = make_features(rng.normal(loc=5, size=(40, 3)), names[20:], "pet")
    joined = join(ct, pet, how="outer")
    joined.loc["p000"] = np.nan
    joined.loc["p030", "pet__mu0000"] = np.nan
    return joined


def test_coverage_counts_patients_of_each_block_and_of_each_pattern(outer):
    counts = block_coverage(outer)
    assert counts.loc["ct + pet"].to_dict() == {"ct": 40, "pet": 40, "n": 40}
    assert counts.loc["ct"].to_dict() == {"ct": 19, "pet": 0, "n": 19}
    assert counts.loc["none"].to_dict() == {"ct": 0, "pet": 0, "n": 1}
    assert counts.loc["all"].to_dict() == {"ct": 59, "pet": 40, "n": 60}
    assert counts.index.tolist() == ["ct + pet", "ct", "none", "all"]
    assert counts.index.name == "pattern"


def test_a_missing_block_is_filled_from_the_training_patients_of_the_fold(
    outer, make_endpoint
):
    endpoint = make_endpoint("ab" * 30)
    folds = make_folds(endpoint, n_folds=4, n_repeats=1)
    filled = 0
    for _, _, model, train, test in fit_folds(logistic(), outer, endpoint, folds):
        medians = train.median()
        np.testing.assert_array_equal(model["impute"].statistics_, medians)
        without = test[test.isna().any(axis=1)]
        filled += len(without)
        np.testing.assert_array_equal(
            model.predict_proba(without), model.predict_proba(without.fillna(medians))
        )
    assert filled == 21


def test_a_block_that_no_training_patient_has_is_left_out(outer, make_endpoint):
    outer.loc["p020":, "pet__mu0000":] = np.nan
    endpoint = make_endpoint("ab" * 30)
    folds = make_folds(endpoint, n_folds=4, n_repeats=1)
    for _, _, model, *_ in fit_folds(logistic(), outer, endpoint, folds):
        assert model["drop_constant"].get_support().tolist() == [True] * 3 + [False] * 3
