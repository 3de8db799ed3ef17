import numpy as np
import pandas as pd
import pytest

import radlatent as rl
from radlatent.errors import LeakageError, SchemaError
from radlatent.features.endpoint import Endpoint

IDS = pd.Index([*"abcd"], name="patient_id")


@pytest.fixture
def times():
    pre = pd.DataFrame({"ct__v": [2.0, 0.0, -4.0, np.nan], "pet__s": 10.0}, IDS)
    post = pd.DataFrame({"pet__s": 20.0, "ct__v": [3.0, 1.0, -1.0, 5.0]}, IDS)
    return post, pre


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("difference", [1.0, 1.0, 3.0, np.nan]),
        ("relative", [0.5, np.nan, -0.75, np.nan]),
        ("log_ratio", [np.log(1.5), np.nan, np.nan, np.nan]),
    ],
)
def test_a_change_is_post_against_pre(times, how, expected):
    table = rl.delta(*times, how=how)
    np.testing.assert_allclose(table["delta_ct__v"], expected)
    assert not np.isinf(table.to_numpy()).any()
    assert list(table) == ["delta_pet__s", "delta_ct__v"]


def test_who_lacks_a_time_keeps_a_row_without_a_value(times):
    post, pre = times
    table = rl.delta(post.loc[["b", "a"]], pre.loc[["a", "c"]])
    assert table.index.tolist() == ["b", "a", "c"]
    assert table["delta_pet__s"].isna().tolist() == [True, False, True]
    assert table.loc["a", "delta_ct__v"] == 1


def test_what_does_not_fit_is_told_at_once(times):
    post, pre = times
    with pytest.raises(SchemaError, match="how='ratio' is not one of"):
        rl.delta(post, pre, how="ratio")
    other = pre.rename(columns={"ct__v": "ct__w"}).rename_axis("case_id")
    with pytest.raises(SchemaError) as caught:
        rl.delta(post, other)
    for word in ("of patient_id, the other of case_id", "pre lacks 1", "post lacks 1"):
        assert word in str(caught.value)
    with pytest.raises(SchemaError, match="nobody is in both"):
        rl.delta(post, pre.rename(lambda name: name * 2))


def test_the_change_of_a_block_tells_where_the_block_comes_from(times):
    measured = [rl.declare_measured(table, "ct", "pet") for table in times]
    ids = pd.Index([f"p{i}" for i in range(20)], name="patient_id")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"class": ["x", "y"] * 10}, ids)
    endpoint = Endpoint("y", "class", frame)
    folds = rl.make_folds(endpoint, n_folds=2, n_repeats=1)

    def table(block):
        return pd.DataFrame(
            rng.normal(size=(20, 2)), ids, [f"{block}__a", f"{block}__b"]
        )

    pair = [rl.declare_measured(table("ct"), "ct") for _ in range(2)]
    fits = rl.cross_validate(rl.logistic(), rl.delta(*pair), endpoint, folds).fits
    assert set(fits["origin"]) == {"measured"}
    latents = rl.delta(table("ct_latent"), table("ct_latent"))
    with pytest.raises(LeakageError, match="delta_ct_latent"):
        rl.cross_validate(rl.logistic(), latents, endpoint, folds)
    assert list(rl.delta(*measured)) == ["delta_pet__s", "delta_ct__v"]
