"""The tables of sequences count what was made consistent, by hand."""

import importlib
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import radlatent as rl
from radlatent.cohort.labels import LabelMap
from radlatent.imaging import Volume

FOLDER = Path(__file__).parents[2] / "analyses" / "heart_cycles"
NAMES = ("steps", "evaluate")


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


def test_a_sequence_without_errors_has_none(analysis):
    made = rl.simulate_hearts(n_patients=2, n_frames=10)
    masks = {
        name: LabelMap(Volume(frames, (1, 1, 1)), made.structures, name)
        for name, frames in made.reference.items()
    }
    limits = rl.masks.reference_limits(
        {
            name: rl.masks.shape_attributes(one.array, **one.slice_legend)
            for name, one in masks.items()
        }
    )
    true = masks["H0001"]
    row, frames = analysis.evaluate.rows_of(true, true, limits, (0, 4))
    assert row["consistent"]
    assert row["n_invalid"] == row["ef_error"] == 0
    assert row["dice_lv"] == row["dice_myo"] == 1
    assert row["ef"] == pytest.approx(made.patients.loc["H0001", "ef"], abs=2.5)
    assert len(frames) == 10
    broken = true.array.copy()
    broken[6] = np.roll(broken[6], 9, axis=1)
    broken[7][broken[7] == 3] = 0
    row, _ = analysis.evaluate.rows_of(true.with_array(broken), true, limits, (0, 4))
    assert not row["consistent"]
    assert row["n_inconsistent"] >= 3
    # the atrium is missing in one
    assert row["n_invalid"] == 1
    assert row["ef_error"] == 0
    assert row["dice_lv"] < 1


def test_methods_are_counted_over_patients(analysis):
    table = pd.DataFrame(
        {
            "patient_id": ["a", "b"] * 2,
            "method": ["original"] * 2 + ["all"] * 2,
            "consistent": [False, True, True, True],
            "mean_ratio": [0.5, 0.3, 0.1, 0.1],
            "dice_lv": [0.9, 0.8, 0.95, 0.85],
            "dice_myo": [0.8, 0.8, 0.9, 0.9],
            "ef_error": [2.0, 4.0, 6.0, 6.0],
            "n_invalid": [1, 2, 0, 0],
            "seconds": [0.0, 0.0, 0.1, 0.3],
        }
    )
    found = analysis.evaluate.by_method(table).set_index("method")
    assert found["n_not_consistent"].tolist() == [1, 0]
    assert found.loc["original", "ef_error"] == 3
    assert found.loc["all", "dice_lv"] == pytest.approx(0.9)
    assert found["n_invalid_frames"].tolist() == [3, 0]


@pytest.mark.slow
def test_a_short_run_writes_tables_and_figures(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    few = ["--references", "6", "--patients", "2", "--frames", "12", "--epochs", "30"]
    monkeypatch.syspath_prepend(FOLDER)
    for name in NAMES:  # other analyses name their modules alike
        monkeypatch.delitem(sys.modules, name, raising=False)
    for script, options in (
        ("compute.py", [*few, "--size", "32"]),
        ("attributes.py", few[2:6]),
        ("fig1_signals.py", []),
        ("fig2_methods.py", []),
    ):
        arguments = [script, "--out", str(tmp_path), *options]
        monkeypatch.setattr(sys, "argv", arguments)
        runpy.run_path(str(FOLDER / script), run_name="__main__")
    for name in NAMES:
        sys.modules.pop(name, None)
    smoothed = pd.read_csv(tmp_path / "tables" / "attributes.csv")
    assert smoothed["mean_ratio"].iloc[1:].max() < smoothed["mean_ratio"].iloc[0]
    sequences = pd.read_csv(tmp_path / "tables" / "sequences.csv")
    assert len(sequences) == 2 * 6
    methods = pd.read_csv(tmp_path / "tables" / "methods.csv").set_index("method")
    assert methods.loc["all", "mean_ratio"] < methods.loc["original", "mean_ratio"]
    assert {one.name for one in (tmp_path / "figures").glob("*.png")} == {
        "fig1_signals.png",
        "fig2_methods.png",
    }
