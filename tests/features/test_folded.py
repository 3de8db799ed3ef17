import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from radlatent.errors import SchemaError
from radlatent.features.folded import FoldedFeatures
from radlatent.features.origin import origins

ORIGIN = {"cohort": "a", "patients": ["q1", "q2"]}


def table(shift=0.0, columns=("pet_latent__mu0", "pet_latent__mu1"), origin=None):
    index = pd.Index(["p1", "p2", "p3"], name="patient_id")
    values = np.arange(3.0 * len(columns)).reshape(3, -1) + shift
    made = pd.DataFrame(values, index, list(columns))
    if origin is not None:
        made.attrs = {"fitted_on": {"pet_latent": origin}, "cohort": "b"}
    return made


@pytest.fixture
def folded():
    """Two folds whose tables differ."""
    tables = {(0, 0): table(), (0, 1): table(10.0)}
    return FoldedFeatures(tables, {(0, 0): ["p2", "p3"], (0, 1): ["p1"]})


def test_each_fold_has_its_own_table(folded):
    assert folded.at(0, 0).iloc[0, 0] == 0
    assert folded.at(0, 1).iloc[0, 0] == 10
    assert list(folded.columns) == ["pet_latent__mu0", "pet_latent__mu1"]
    assert list(folded.index) == ["p1", "p2", "p3"]
    assert folded.fitted_blocks == ("pet_latent",)
    with pytest.raises(SchemaError, match=r"no repeat 1, fold 0; there are \[\(0, 0\)"):
        folded.at(1, 0)


def test_summary_counts_what_each_fold_holds(folded):
    summary = folded.summary
    assert summary["n_fitted_on"].tolist() == [2, 1]
    assert summary[["n", "n_columns", "n_missing"]].iloc[0].tolist() == [3, 2, 0]
    assert "2 folds, 3 rows, 2 columns, fitted: ['pet_latent']" in repr(folded)
    assert "n_fitted_on" in folded._repr_html_()


def test_plot_draws_on_the_given_axes(folded):
    _, ax = plt.subplots()
    assert folded.plot(ax) is ax
    assert ax.images[0].get_array().shape == (3, 2)


def test_everything_that_does_not_fit_is_told_at_once():
    tables = {(0, 0): table(), (0, 1): table().iloc[::-1], (0, 2): table().astype(int)}
    tables[0, 3] = table(columns=["pet_latent__mu1", "pet_latent__mu0"])
    with pytest.raises(SchemaError) as error:
        FoldedFeatures(tables, {key: ["p1"] for key in tables})
    for part in (
        "(0, 1): its index is not that of (0, 0)",
        "(0, 2): features table: columns ['pet_latent__mu0', 'pet_latent__mu1'] are "
        "not float64",
        "(0, 3): its columns is not that of (0, 0)",
    ):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("fitted_on", "message"),
    [
        ({(0, 0): []}, "names no patient"),
        ({(0, 0): "p1"}, "is a text"),
        ({(0, 1): ["p1"]}, r"\[\(0, 0\), \(0, 1\)\] are in only one"),
    ],
)
def test_whom_a_fold_was_fitted_on_must_be_told(fitted_on, message):
    with pytest.raises(SchemaError, match=message):
        FoldedFeatures({(0, 0): table()}, fitted_on)


def test_no_table_and_other_keys_are_refused():
    with pytest.raises(SchemaError, match="there is no table"):
        FoldedFeatures({}, {})
    with pytest.raises(SchemaError, match=r"\[0\] are not \(repeat, fold\)"):
        FoldedFeatures({0: table()}, {0: ["p1"]})
    with pytest.raises(SchemaError, match=r"blocks \['ct_latent'\] are not in"):
        FoldedFeatures({(0, 0): table()}, {(0, 0): ["p1"]}, ("ct_latent",))


def test_map_applies_to_each_fold_and_remembers_what_was_fitted(folded):
    added = folded.map(lambda t: t.assign(pet_handcrafted__volume=t.sum(axis=1)))
    assert added.at(0, 0)["pet_handcrafted__volume"].tolist() == [1, 5, 9]
    assert added.at(0, 1)["pet_handcrafted__volume"].tolist() == [21, 25, 29]
    assert added.fitted_on == folded.fitted_on
    assert added.fitted_blocks == ("pet_latent",)
    # a latent block that comes in by the function was not fitted in these folds
    joined = folded.map(lambda t: t.assign(ct_latent__mu0=1.0))
    assert joined.fitted_blocks == ("pet_latent",)
    assert folded.map(lambda t: t.add_prefix("x_")).fitted_blocks == ()


def test_map_refuses_what_is_not_a_table(folded):
    with pytest.raises(SchemaError, match=r"\(0, 0\): features table: it is a float"):
        folded.map(lambda t: float(t.to_numpy().sum()))


def test_block_of_an_encoder_of_another_cohort_is_not_one_of_the_folds():
    tables = {(0, 0): table(origin=ORIGIN)}
    assert FoldedFeatures(tables, {(0, 0): ["p1"]}).fitted_blocks == ()
    tables = {(0, 0): table(origin=ORIGIN | {"cohort": "b"})}
    assert FoldedFeatures(tables, {(0, 0): ["p1"]}).fitted_blocks == ("pet_latent",)


def test_frame_goes_through_parquet_and_back(folded, tmp_path):
    frame = folded.frame
    assert list(frame)[:2] == ["repeat", "fold"]
    assert len(frame) == 6
    frame.to_parquet(tmp_path / "folded.parquet")
    back = FoldedFeatures.from_frame(pd.read_parquet(tmp_path / "folded.parquet"))
    assert list(back.tables) == [(0, 0), (0, 1)]
    for key in back.tables:
        pd.testing.assert_frame_equal(back.at(*key), folded.at(*key))
    assert back.fitted_on == {(0, 0): ["p2", "p3"], (0, 1): ["p1"]}
    assert back.blocks == ("pet_latent",)


def test_frame_keeps_the_origin_of_blocks_of_other_cohorts():
    tables = {(0, f): table(origin=ORIGIN) for f in (0, 1)}
    folded = FoldedFeatures(tables, {key: ["p1"] for key in tables})
    back = FoldedFeatures.from_frame(folded.frame)
    assert origins(back.at(0, 1)) == {"pet_latent": ORIGIN | {"encoded": "b"}}


def test_frame_that_lost_its_folds_is_refused(folded):
    frame = folded.frame
    frame.attrs = {}
    with pytest.raises(SchemaError, match="whom the folds were fitted on"):
        FoldedFeatures.from_frame(frame)
    with pytest.raises(SchemaError, match="lacks the columns"):
        FoldedFeatures.from_frame(table())
