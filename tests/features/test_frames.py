import numpy as np
import pandas as pd
import pytest

import radlatent as rl
from radlatent.errors import LeakageError, SchemaError
from radlatent.features.frames import features_of


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": rng.integers(20, 80, 40),
            "Ki-67 [%]": rng.random(40),
            "height <cm>": rng.normal(170, 10, 40),
            "smokes": rng.random(40) < 0.5,
            "grade": pd.array([1, 2, None, 3] * 10, "Int64"),
            "sex": ["F", "M"] * 20,
            "stage": pd.Categorical(["I", "II", "III", None] * 10),
        },
        pd.Index(range(100, 140), name="patient_id"),
    )


def test_the_room_is_the_function(frame, caplog):
    table = rl.features(frame, block="clinical")
    pd.testing.assert_frame_equal(table, features_of(frame, block="clinical"))
    assert list(table)[:3] == [
        *("clinical__age", "clinical__Ki-67 [%]", "clinical__height <cm>"),
    ]
    assert list(table)[-4:] == [
        *("clinical__sex=M", "clinical__stage=I", "clinical__stage=II"),
        "clinical__stage=III",
    ]
    assert table.index.tolist()[:2] == ["100", "101"]
    assert table.index.name == "patient_id"
    assert set(table.dtypes.astype(str)) == {"float64"}
    # it says what it did
    assert "'sex' became ['clinical__sex=M']" in caplog.text
    assert table["clinical__stage=I"].isna().sum() == 10


def test_units_in_names_pass_every_model_and_are_selected_by_name(frame):
    table = rl.features(frame, block="clinical")
    endpoint = rl.Endpoint.binary(frame.assign(y=frame["age"] > 50), "y")
    folds = rl.make_folds(endpoint, n_folds=2, n_repeats=1)
    for model in (rl.logistic(), rl.boosted(n_estimators=5), rl.forest(n_estimators=5)):
        result = rl.cross_validate(model, table, endpoint, folds)
        assert result.fits["origin"].eq("measured").all()
    chosen = rl.select_blocks(table, ["clinical__Ki-67 [%]", "clinical__height <cm>"])
    assert list(chosen) == ["clinical__Ki-67 [%]", "clinical__height <cm>"]
    found = rl.univariable(chosen, endpoint)
    assert found["column"].tolist() == list(chosen)


def test_everything_that_is_no_feature_is_told_at_once(frame):
    wrong = frame.assign(
        born=pd.Timestamp("2020-01-01"),
        name=[f"x{i}" for i in range(40)],
        dose="1,5",
        far=np.inf,
    )
    with pytest.raises(SchemaError) as caught:
        rl.features(wrong, block="clinical")
    for word in (
        "'born' holds dates",
        "'name' is text of 40",
        "decimal",
        "'far' holds",
    ):
        assert word in str(caught.value)


def test_rows_that_are_only_counted_are_nobodys(frame):
    counted = frame.reset_index(drop=True)
    with pytest.raises(SchemaError, match="the rows are counted and name no patients"):
        rl.features(counted, block="clinical")
    named = counted.assign(who=frame.index)
    table = rl.features(named, block="clinical", patients="who")
    assert table.index.tolist()[0] == "100"
    with pytest.raises(SchemaError, match=r"1 patients are there twice .*\['100'\]"):
        rl.features(pd.concat([frame, frame.iloc[:1]]), block="clinical")
    with pytest.raises(SchemaError, match="block is 'a b'"):
        rl.features(frame, block="a b")


def test_a_block_that_may_be_fitted_is_not_declared_measured(frame):
    latent = rl.features(frame[["age"]], block="ct_latent")
    endpoint = rl.Endpoint.binary(frame.assign(y=frame["age"] > 50), "y")
    folds = rl.make_folds(endpoint, n_folds=2, n_repeats=1)
    with pytest.raises(LeakageError, match="do not tell whom their encoder"):
        rl.cross_validate(rl.logistic(), latent, endpoint, folds)


def test_ids_that_are_numbers_meet_those_of_an_endpoint(frame):
    table = rl.features(frame[["age"]], block="clinical").set_axis(frame.index)
    endpoint = rl.Endpoint.binary(frame.assign(y=frame["age"] > 50), "y")
    folds = rl.make_folds(endpoint, n_folds=2, n_repeats=1)
    numbered = folds.assign(patient_id=folds["patient_id"].astype(int))
    result = rl.cross_validate(rl.logistic(), table, endpoint, numbered)
    assert set(result.predictions["patient_id"]) == set(endpoint.frame.index)
    with pytest.raises(SchemaError, match="indexed by int64, and ids are text"):
        rl.univariable(table, endpoint)
