"""Embeddings from files: the same table of each form, and whom their network saw."""

import numpy as np
import pandas as pd
import pytest

import radlatent as rl
from radlatent.errors import SchemaError
from radlatent.features.origin import origin_of_blocks

IDS = ["007", "008", "009"]


@pytest.fixture
def values(rng):
    found = rng.normal(size=(3, 4))
    found[1] = np.nan  # a case that the network failed on
    return found


def written(folder, suffix, values):
    path = folder / f"fm{suffix}"
    frame = pd.DataFrame(values, columns=list("0123"))
    frame.insert(0, "case_id", IDS)
    if suffix == ".csv":
        frame.to_csv(path, index=False)
    elif suffix == ".parquet":
        frame.set_index("case_id").to_parquet(path)
    else:
        np.savez(path, case_id=np.array(IDS), embedding=values)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz"])
def test_files_of_each_form_give_one_table(tmp_path, suffix, values):
    path = written(tmp_path, suffix, values)
    table = rl.read_embedding(path, block="ct_fm", encoded="here")
    assert table.index.tolist() == IDS
    assert table.index.name == "case_id"
    assert list(table.columns) == [f"ct_fm__{k}" for k in range(4)]
    np.testing.assert_allclose(table, values)
    origin = origin_of_blocks(table)["ct_fm"]
    assert origin.told
    assert origin.fits[0].is_unknown


def test_patients_that_the_network_saw_are_told(tmp_path, values):
    path = written(tmp_path, ".csv", values)
    about = {"fitted_on": "here", "patients": ("p1",)}
    table = rl.read_embedding(path, block="ct_fm", encoded="here", **about)
    fit = origin_of_blocks(table)["ct_fm"].fits[0]
    assert fit.saw(["p1", "p2"]) == ["p1"]
    assert not fit.is_unknown


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "no column or index is called one of"),
        ("case_id,b\nx,word\n", r"columns \['b'\] are not numbers"),
        ("case_id,b\nx,inf\n", r"columns \['b'\] are not numbers"),
        ("case_id\nx\n", "or there is none"),
        ("case_id,b\nx,1\nx,2\n", "x"),
    ],
)
def test_other_forms_are_refused(tmp_path, text, said):
    (tmp_path / "fm.csv").write_text(text)
    with pytest.raises(SchemaError, match=said):
        rl.read_embedding(tmp_path / "fm.csv", block="ct_fm", encoded="here")


def test_arrays_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "fm.npz"
    for arrays, said in (
        ({"case_id": np.array(IDS), "e": np.zeros((2, 4))}, "not as many ids"),
        ({"e": np.zeros((3, 4))}, "give one array 'case_id'"),
        ({"case_id": np.array(IDS, object), "e": np.zeros((3, 4))}, "no npz file"),
    ):
        np.savez(path, **arrays)
        with pytest.raises(SchemaError, match=said):
            rl.read_embedding(path, block="ct_fm", encoded="here")


def test_other_files_are_refused(tmp_path):
    with pytest.raises(SchemaError, match=r"not '\.pt'"):
        rl.read_embedding(tmp_path / "fm.pt", block="ct_fm", encoded="here")
