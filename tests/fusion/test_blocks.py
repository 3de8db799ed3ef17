import logging

import pandas as pd
import pytest

from radlatent.errors import SchemaError
from radlatent.fusion import join, select_blocks


def table(ids, column, index="case_id"):
    values = [float(i) for i in range(len(ids))]
    return pd.DataFrame({column: values}, pd.Index(list(ids), name=index))


def test_inner_join_keeps_common_rows_with_their_values():
    joined = join(table("abc", "ct__x"), table("cab", "pet__y"))
    assert joined.loc["c"].tolist() == [2.0, 0.0]
    assert joined.index.tolist() == ["a", "b", "c"]
    assert joined.index.name == "case_id"


def test_inner_join_logs_how_many_rows_each_table_loses(caplog):
    with caplog.at_level(logging.INFO, "radlatent.fusion"):
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


def test_unknown_block_names_the_nearest():
    with pytest.raises(SchemaError, match="did you mean 'ct_latent'"):
        select_blocks(table("a", "ct_latent__mu0"), "ct_latnet")
