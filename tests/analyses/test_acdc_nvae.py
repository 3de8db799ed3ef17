"""The tables of corrections count what was corrected, by hand."""

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

FOLDER = Path(__file__).parents[2] / "analyses" / "acdc_nvae"
NAMES = ("steps", "evaluate", "tables", "table3_promise")


@pytest.fixture(scope="module")
def analysis():
    """Return the modules of the analysis, which other analyses name alike."""
    kept = {name: sys.modules.pop(name, None) for name in NAMES}
    sys.path.insert(0, str(FOLDER))
    found = {name: importlib.import_module(name) for name in NAMES}
    sys.path.remove(str(FOLDER))
    for name, module in kept.items():
        sys.modules.pop(name)
        if module is not None:
            sys.modules[name] = module
    return SimpleNamespace(**found)


def heart(rows=40):
    """Return a slice of a heart: a ring with a cavity, and the other ventricle."""
    plane = np.zeros((rows, rows), np.uint8)
    plane[8:24, 2:10] = 1
    plane[8:24, 10:26] = 2
    plane[12:20, 14:22] = 3
    return plane


def test_clean_up_keeps_the_largest_piece_and_fills_holes(analysis):
    plane = heart()
    plane[15:17, 17:19] = 0
    plane[35:37, 35:37] = 3
    np.testing.assert_array_equal(analysis.evaluate.cleaned(plane), heart())
    empty = np.zeros_like(plane)
    np.testing.assert_array_equal(analysis.evaluate.cleaned(empty), empty)


@pytest.fixture
def corrected(analysis):
    """Return a mask of four slices beside the truth, and how two are corrected."""
    torch = pytest.importorskip("torch")
    assert torch
    from radlatent.cohort.labels import LabelMap
    from radlatent.imaging import Volume
    from radlatent.masks.revision.pairs import Pair

    truth = np.stack([heart(), heart(), np.zeros((40, 40), np.uint8), heart()])
    before, after = truth.copy(), truth.copy()
    before[1][before[1] == 1] = 0  # RV missing, brought back
    before[2][8:12, 8:12] = 3  # LV invented, taken away
    after[3][after[3] == 3] = 2  # LV taken away, wrongly
    values = analysis.steps.STRUCTURES
    spacing = (8.0, 2.0, 2.0)
    masks = [LabelMap(Volume(a, spacing), values) for a in (before, truth)]
    return Pair(*masks, "p"), after


@pytest.fixture
def slices(analysis, corrected):
    """Return the rows of its slices."""
    return pd.DataFrame(analysis.evaluate.slices_of(*corrected, method="hand"))


def test_volumes_tell_what_has_a_structure(analysis, corrected):
    pair, after = corrected
    after = after.copy()
    after[after == 1] = 0
    rows = pd.DataFrame(analysis.evaluate.volumes_of(pair, after, method="hand"))
    assert rows["structure"].tolist() == ["RV", "MYO", "LV"]
    assert rows["state"].tolist() == ["both"] * 3
    assert rows["state_after"].tolist() == ["missed", "both", "both"]
    assert rows["dice"].tolist() == pytest.approx([0.8, 1, 384 / 400])
    assert rows["dice_after"][0] == 0


def test_structures_and_dice_of_slices(slices):
    assert slices["dice"].round(6).tolist() == [1, round(2 / 3, 6), 0, 1]
    assert slices["dice_after"].tolist()[:3] == [1, 1, 1]
    assert slices["dice_after"][3] < 0.7
    assert slices["missing"].tolist() == [0, 1, 0, 0]
    assert slices["missing_after"].tolist() == [0, 0, 0, 1]
    assert slices["invented"].tolist() == [0, 0, 1, 0]
    assert slices["invented_after"].tolist() == [0, 0, 0, 0]


def test_a_row_a_method(analysis, slices):
    volumes = pd.DataFrame({"method": ["hand"], "dice": [0.8], "dice_after": [0.9]})
    [row] = analysis.tables.methods(slices, volumes).to_dict("records")
    assert (row["n"], row["n_patients"]) == (4, 1)
    assert (row["improved"], row["harmed"], row["ruined"]) == (0.5, 0.25, 0.25)
    assert (row["missing"], row["missing_after"]) == (1, 1)
    assert (row["invented"], row["invented_after"]) == (1, 0)
    [counts] = analysis.tables.report(slices).to_dict("records")
    assert (counts["improved"], counts["worsened"], counts["unchanged"]) == (2, 1, 1)


def test_differences_are_paired(analysis, slices):
    same = slices.assign(method="clean-up", dice_after=slices["dice"])
    both = pd.concat([slices, same], ignore_index=True)
    [row] = analysis.tables.differences(both, "clean-up").to_dict("records")
    wanted = (slices["dice_after"] - slices["dice"]).mean()
    assert row["difference"] == pytest.approx(wanted)
    assert (row["method"], row["n"]) == ("hand", 4)


def test_settings_of_the_reconstruction_can_be_built(monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(FOLDER))
    reconstruction = importlib.import_module("reconstruction")
    found = reconstruction.settings()
    assert len(found) == 9
    assert found["8-10-11"] == {"beta": (8, 8.0, 10.0, 11.0)}


def offered(rng, n_patients=30, harmful=0.1):
    """Return slices of patients, a third of them offered, some of those harmful."""
    rows = []
    for k in range(n_patients):
        for z in range(9):
            sure = rng.uniform(0.5, 1) if z % 3 == 0 else np.nan
            bad = sure < 0.5 + harmful * 0.5
            row = {"method": "hand", "patient_id": f"p{k:02d}", "mask": f"m{k:02d}"}
            row |= {"slice": z, "decision": "valid", "broken_16": int(z % 3 == 0)}
            row |= {"sure": sure, "dice": 0.8, "dice_offered": 0.2 if bad else 0.9}
            rows.append(row)
    return pd.DataFrame(rows)


def test_promises_are_tried_on_other_patients(analysis, rng):
    promise = analysis.table3_promise
    effects, masks = promise.effects_of(offered(rng))
    assert len(effects) == 90
    assert masks["n_slices"].tolist() == [9] * 30
    assert masks["n_broken"].tolist() == [3] * 30
    mine, kept = promise.part_of(effects, masks, ["p03", "p07"])
    assert kept["patient"].tolist() == ["p03", "p07"]
    assert sorted(mine["mask"].unique()) == [0, 1]
    # twenty patients cannot promise 0.5 %, and say so in every draw
    row = promise.tried(effects, masks, n=20, risk=0.005)
    assert (row["refused"], "harmed" in row) == (100, False)
    # what can be promised is kept on the others
    row = promise.tried(effects, masks, n=20, risk=0.05)
    assert row["refused"] < 100
    assert row["broken_promises"] <= 0.05
    row = promise.tried(effects, masks, n=20, risk=1.0)
    assert (row["refused"], row["harmed"] < 0.05) == (0, True)
    assert 0.25 < row["passed"] <= 1 / 3


def test_a_gate_that_is_open_tells_what_another_lets_pass(analysis):
    torch = pytest.importorskip("torch")
    assert torch
    from radlatent.cohort.labels import LabelMap
    from radlatent.imaging import Volume
    from radlatent.masks.correction.decision import Correction

    before, after = (np.stack([heart()] * 3) for _ in range(2))
    after[:2][after[:2] == 1] = 0
    masks = [
        LabelMap(Volume(each, (8.0, 2.0, 2.0)), analysis.steps.STRUCTURES)
        for each in (before, after)
    ]
    slices = pd.DataFrame(
        {"decision": ["corrected", "corrected", "valid"], "sure": [0.9, 0.7, np.nan]}
    ).assign(reason="told")
    opened = Correction(masks[1], slices, pd.DataFrame())
    found = analysis.evaluate.behind(opened, masks[0], 0.8)
    assert found.slices["decision"].tolist() == ["corrected", "refused", "valid"]
    assert (found.mask.array[0] == after[0]).all()
    assert (found.mask.array[1] == before[1]).all()
    assert opened.slices["decision"][1] == "corrected"
