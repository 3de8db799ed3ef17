"""What is a label, what is a probability, and what is an image."""

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from radlatent.errors import LabelError
from radlatent.imaging import (
    Volume,
    chosen,
    label_counts,
    label_text,
    region_of,
    whole_labels,
)


def volume(array):
    return Volume(np.asarray(array), (1, 1, 1))


@pytest.fixture
def ball():
    grid = np.indices((9, 9, 9)) - 4
    return ((grid**2).sum(axis=0) <= 9).astype(np.float32)


@pytest.mark.parametrize(
    "value",
    # the third: stored 255 under a slope of 1/255 in float32
    [
        np.float32(0.9999999),
        np.float32(1.0000001),
        255 * float(np.float32(1 / 255)),
        0.999,
    ],
)
def test_labels_that_are_whole_but_for_rounding_are_whole(ball, value):
    labels, note = whole_labels(volume(ball.astype(type(value)) * value))
    np.testing.assert_array_equal(labels.array, ball)
    assert labels.array.dtype.kind == "i"
    assert "off by up to" in note


def test_residue_of_interpolation_is_background(ball):
    labels, _ = whole_labels(volume(np.where(ball > 0, 1.0, 1e-6)))
    assert label_counts(labels.array) == {1: int(ball.sum())}


def test_whole_floats_need_no_note(ball):
    assert whole_labels(volume(2 * ball))[1] == ""


def test_whole_numbers_are_left_as_they_are(ball):
    given = volume(ball.astype(np.uint8))
    assert whole_labels(given)[0] is given


def test_probabilities_are_refused_with_what_was_found(ball):
    soft = ball * 0.37
    with pytest.raises(LabelError, match=r"0\.37 at \[1, 4, 4\].*Probabilities"):
        whole_labels(volume(soft), "soft.nii.gz")


def test_intensities_are_refused(rng):
    with pytest.raises(LabelError, match="between whole numbers"):
        whole_labels(volume(rng.normal(0, 300, (8, 9, 10))))
    with pytest.raises(LabelError, match="distinct values from -"):
        whole_labels(volume(rng.integers(-1000, 1000, (8, 9, 10))))


def test_what_is_not_a_number_is_counted(ball):
    ball[0, 0, 0] = np.nan
    with pytest.raises(LabelError, match="1 voxels that are not numbers"):
        whole_labels(volume(ball))


@pytest.mark.parametrize("odd", [-3, 70_000, 2**40])
def test_a_label_that_nobody_asks_for_spoils_no_other(ball, odd):
    array = 2 * ball.astype(np.int64)
    array[0, 0, 0] = odd
    labels, _ = whole_labels(volume(array))
    assert label_counts(labels.array) == {2: int(ball.sum()), odd: 1}


@pytest.mark.parametrize(
    ("cell", "label", "text"),
    [
        (2, 2, "2"),
        (np.int64(7), 7, "7"),
        (3.0, 3, "3"),
        ("12", 12, "12"),
        ("1+4", (1, 4), "1+4"),
        (" 4 + 1 +4", (1, 4), "1+4"),
        ("2+2", 2, "2"),
        ("", None, ""),
        (None, None, ""),
        (float("nan"), None, ""),
        (pd.NA, None, ""),
    ],
)
def test_a_cell_names_a_label_a_region_or_nothing(cell, label, text):
    assert region_of(cell) == label
    assert type(region_of(cell)) is type(label)
    assert label_text(region_of(cell)) == text
    assert region_of(label_text(region_of(cell))) == label


@pytest.mark.parametrize("cell", ["1,4", "1;4", "1-4", "+", "1+", "tumor", "1.5+2"])
def test_other_cells_are_told_what_is_possible(cell):
    with pytest.raises(LabelError, match=r"\(2\), the labels of one region \(1\+4\)"):
        region_of(cell)


def test_voxels_of_a_label_of_a_region_of_all():
    array = np.array([0, 1, 2, 4, -3])
    assert chosen(array, 2).tolist() == [False, False, True, False, False]
    assert chosen(array, (1, 4)).tolist() == [False, True, False, True, False]
    assert chosen(array, None).tolist() == [False, True, True, True, False]


@pytest.mark.parametrize("most", [10, 100, 255])
def test_probabilities_that_were_stored_as_whole_numbers_are_no_labels(most):
    grid = np.indices((25, 25, 25)) - 12
    ball = ((grid**2).sum(axis=0) <= 64).astype(np.float32)
    soft = ndimage.gaussian_filter(ball, 1.5)
    stored = np.rint(soft / soft.max() * most).astype(np.uint8)
    with pytest.raises(LabelError, match=r"choose a threshold|intensities, not"):
        whole_labels(volume(stored))


@pytest.mark.parametrize("side", [2, 3, 5])
def test_many_labels_side_by_side_are_labels(side):
    z, y, x = np.indices((4 * side, 5 * side, 5 * side)) // side
    parcels = (25 * z + 5 * y + x + 1)[:, :, : 5 * side]
    labels, note = whole_labels(volume(parcels.astype(np.int16)))
    assert labels.array.max() == 100
    assert note == ""


def test_many_small_lesions_apart_are_labels():
    array = np.zeros((30, 30, 30), np.uint8)
    for k, place in enumerate(np.ndindex(4, 4, 4), 1):
        z, y, x = np.multiply(place, 7) + 1
        array[z : z + 1 + k % 3, y : y + 1 + k % 2, x] = k
    assert len(label_counts(whole_labels(volume(array))[0].array)) == 64
