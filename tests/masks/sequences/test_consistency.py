"""What jumps in a sequence is found, and smoothed as little as is needed."""

import numpy as np
import pandas as pd
import pytest

from radlatent.errors import SchemaError
from radlatent.masks import (
    ejection_fraction,
    reference_limits,
    regularize_sequence,
    sequence_consistency,
)
from radlatent.masks.sequences.consistency import inconsistent_frames
from radlatent.masks.sequences.ejection import single_plane_volume


def beat(n=30, ejected=0.3, phase=0.0):
    turn = np.cos(np.linspace(0, 2 * np.pi, n) + phase)
    return pd.DataFrame(
        {
            "lv_area": 1000 * (1 - ejected * (1 - turn) / 2),
            "lv_length": 60 * (1 - ejected * (1 - turn) / 6),
        }
    )


@pytest.fixture
def limits():
    return reference_limits({f"r{k}": beat(ejected=0.2 + 0.05 * k) for k in range(4)})


def test_limits_are_the_range_and_the_largest_jump_of_references(limits):
    assert limits.loc["lv_area", "maximum"] == pytest.approx(1000)
    assert limits.loc["lv_area", "minimum"] == pytest.approx(651, abs=1)
    area = beat(ejected=0.35)["lv_area"].to_numpy()
    jumps = area[1:-1] - (area[:-2] + area[2:]) / 2
    span = limits.loc["lv_area", "maximum"] - limits.loc["lv_area", "minimum"]
    assert limits.loc["lv_area", "threshold"] == pytest.approx(
        np.abs(jumps).max() / span
    )
    means = reference_limits({"a": beat(ejected=0.2), "b": beat()}, how="mean")
    assert (means["threshold"] < limits["threshold"]).all()


def test_a_broken_frame_and_its_neighbors_are_inconsistent(limits):
    broken = beat()
    broken.loc[11, "lv_area"] *= 1.2
    ratios = inconsistent_frames(broken, limits)
    assert np.flatnonzero(ratios["lv_area"] > 1).tolist() == [10, 11, 12]
    assert (ratios["lv_length"] <= 1).all()
    table = sequence_consistency({"good": beat(), "bad": broken}, limits)
    assert table["is_consistent"].tolist() == [True, True, False, True]
    assert table.loc[("bad", "lv_area"), "n_inconsistent"] == 3


def test_a_frame_without_a_value_is_inconsistent_alone(limits):
    gap = beat()
    gap.loc[7, "lv_length"] = np.nan
    ratios = inconsistent_frames(gap, limits)
    assert np.flatnonzero(ratios["lv_length"] > 1).tolist() == [7]
    mended = regularize_sequence(gap, limits)
    assert mended.frames.notna().all(axis=None)
    assert mended.ratios.loc["lv_length", "before"] == np.inf


def test_consistent_attributes_are_left_as_they_are(limits):
    broken = beat()
    broken.loc[11, "lv_area"] *= 1.1
    mended = regularize_sequence(broken, limits)
    assert mended.weights["lv_length"] == 0
    assert np.array_equal(mended.frames["lv_length"], broken["lv_length"])
    assert (mended.ratios["after"] <= 1 + 1e-9).all()


def test_other_columns_are_smoothed_or_left(limits, rng):
    latents = beat().assign(rest=rng.standard_normal(30))
    left = regularize_sequence(latents, limits, residual_weight=None)
    assert np.array_equal(left.frames["rest"], latents["rest"])
    smooth = regularize_sequence(latents, limits)
    assert smooth.weights["rest"] == 50
    assert smooth.frames["rest"].std() < latents["rest"].std()


def test_fixed_frames_keep_the_ejection_fraction(limits, rng):
    noisy = beat() * (1 + 0.02 * rng.standard_normal((30, 2)))
    volume = single_plane_volume(noisy["lv_area"], noisy["lv_length"])
    ed, es = int(volume.argmax()), int(volume.argmin())
    before = ejection_fraction(noisy, ed=ed, es=es)
    pulled = regularize_sequence(noisy, limits).frames
    kept = regularize_sequence(noisy, limits, order=2, fixed=[ed, es]).frames
    assert ejection_fraction(kept, ed=ed, es=es) == pytest.approx(before, abs=1e-12)
    assert abs(ejection_fraction(pulled, ed=ed, es=es) - before) > 0.01


def test_attributes_tell_the_ejection_fraction_before_and_after(limits):
    broken = beat()
    broken.loc[15, "lv_area"] *= 0.8
    assert regularize_sequence(broken, limits).ejection is None
    broken.attrs["attributes"] = "apical_7"
    found = regularize_sequence(broken, limits).ejection
    assert found["before"] == ejection_fraction(broken)
    assert found["after"] < found["before"]


def test_a_broken_frame_is_not_taken_for_end_systole_where_ends_are_fixed(limits):
    broken = beat()
    broken.loc[7, "lv_area"] *= 0.3
    broken.attrs["attributes"] = "apical_7"
    ends = {"ed": 0, "es": 15}
    found = regularize_sequence(broken, limits, order=2, fixed=[0, 15]).ejection
    expected = ejection_fraction(beat(), **ends)
    assert found.to_dict() == pytest.approx({"before": expected, "after": expected})
    assert ejection_fraction(broken) > expected + 0.2


def test_volume_of_half_an_ellipsoid():
    # of half axes 20 and length 60: 2/3 pi 20^2 60
    area = np.pi / 2 * 20 * 60
    assert single_plane_volume(area, 60.0) == pytest.approx(2 / 3 * np.pi * 20**2 * 60)
    missing = pd.DataFrame({"lv_area": [np.nan], "lv_length": [np.nan]})
    assert np.isnan(ejection_fraction(missing))


@pytest.mark.parametrize("value", [np.nan, 7.0])
def test_an_attribute_that_references_lack_or_never_change_is_refused(value):
    references = {f"r{k}": beat().assign(lv_base=value) for k in range(2)}
    with pytest.raises(SchemaError, match=r"lack \['lv_base'\] or keep them constant"):
        reference_limits(references)


def test_a_straight_line_gives_no_threshold():
    line = pd.DataFrame({"lv_area": np.arange(8.0)})
    with pytest.raises(SchemaError, match="lv_area"):
        reference_limits({"a": line})


def test_one_reference_may_lack_an_attribute(limits):
    bare = beat().assign(lv_length=np.nan)
    found = reference_limits({"bare": bare, "whole": beat()})
    assert found.notna().all(axis=None)


def test_an_attribute_that_no_frame_has_is_told_with_a_remedy_that_helps(limits):
    empty = beat().assign(lv_length=np.nan)
    empty.attrs["attributes"] = "apical_7"
    with pytest.raises(SchemaError, match=r"no frame has \['lv_length'\]; leave"):
        regularize_sequence(empty, limits)
    found = regularize_sequence(empty.drop(columns="lv_length"), limits)
    assert [*found.frames] == ["lv_area"]
    assert found.ejection is None


def test_faults_are_told(limits):
    with pytest.raises(SchemaError, match=r"lacks \['lv_length'\]"):
        inconsistent_frames(beat()[["lv_area"]], limits)
    with pytest.raises(SchemaError, match="0 sequences"):
        reference_limits({})
