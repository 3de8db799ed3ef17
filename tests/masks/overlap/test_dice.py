"""Dice of two masks as one number: over structures, or over all labels."""

import numpy as np
import pytest

from radlatent.masks.overlap.dice import label_dice, slice_dice

VALUES = [1, 2, 3]

A = np.array([[1, 1, 1, 0], [3, 3, 0, 0]])
B = np.array([[1, 1, 0, 0], [3, 3, 2, 2]])


def test_of_a_slice_is_the_mean_over_its_structures():
    # 2 * 2 / 5, 0 of a structure that one lacks, 1
    assert slice_dice(A, B, VALUES) == pytest.approx((0.8 + 0 + 1) / 3)
    assert slice_dice(B, A, VALUES) == pytest.approx((0.8 + 0 + 1) / 3)


def test_of_a_slice_leaves_out_what_both_lack():
    assert slice_dice(A, A, [1, 2, 3]) == 1
    assert slice_dice(A, A, [2]) != slice_dice(A, B, [2])
    assert np.isnan(slice_dice(A, A, [2]))


def test_of_a_slice_with_other_labels_in_common_places():
    assert slice_dice(np.full((2, 2), 1), np.full((2, 2), 3), VALUES) == 0


def test_over_all_labels_weighs_voxels():
    # four of five and six voxels have one label
    assert label_dice(A, B) == pytest.approx(2 * 4 / 11)
    assert label_dice(A, A) == 1
    assert label_dice(np.full(4, 1), np.full(4, 3)) == 0


def test_of_empty_masks():
    empty = np.zeros((2, 4), int)
    assert label_dice(empty, empty) == 1
    assert label_dice(empty, A) == label_dice(A, empty) == 0
    assert np.isnan(slice_dice(empty, empty, VALUES))
    assert slice_dice(empty, A, VALUES) == 0
