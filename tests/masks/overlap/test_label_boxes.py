"""Where labels are: as scipy finds them, whatever the type and order of the array."""

import numpy as np
import pytest
from scipy import ndimage

from radlatent.errors import GeometryError, SchemaError
from radlatent.masks.overlap.label_boxes import (
    check_labels,
    check_spacing,
    check_structures,
    find_labels,
)


def by_scipy(labels):
    counts = np.bincount(labels.ravel().astype(int))
    boxes = ndimage.find_objects(labels.astype(np.int64))
    return {
        label: (box, counts[label])
        for label, box in enumerate(boxes, 1)
        if box is not None
    }


def plain(found):
    return {label: (here.box, here.n_voxels) for label, here in found.items()}


@pytest.mark.parametrize("shape", [(9, 11), (6, 7, 8), (1, 7, 8), (6, 7, 1), (1, 1)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int64])
@pytest.mark.parametrize("share", [0.02, 0.4, 1.0])
def test_boxes_and_counts_are_those_of_scipy(shape, dtype, share, rng):
    labels = rng.integers(0, 6, shape).astype(dtype) * (rng.random(shape) < share)
    assert plain(find_labels(labels)) == by_scipy(labels)


def test_order_in_memory_and_views_do_not_matter(rng):
    labels = rng.integers(0, 4, (6, 8, 10)).astype(np.uint8)
    labels[:, :2], labels[:, :, 7:] = 0, 0
    wanted = by_scipy(labels)
    assert plain(find_labels(np.asfortranarray(labels))) == wanted
    wide = np.zeros((12, 8, 10), np.uint8)
    wide[::2] = labels
    assert plain(find_labels(wide[::2])) == wanted


def test_a_structure_that_goes_on_in_the_next_row_has_the_width_of_both():
    labels = np.zeros((2, 5), np.uint8)
    labels[0, 3:], labels[1, :2] = 1, 1
    labels[1, 2:] = 2
    assert find_labels(labels)[1].box == (slice(0, 2), slice(0, 5))
    assert find_labels(labels)[2].box == (slice(1, 2), slice(2, 5))


def test_large_labels_cost_no_more():
    labels = np.zeros((3, 3), np.int64)
    labels[1, 1] = 2**40
    assert plain(find_labels(labels)) == {2**40: ((slice(1, 2), slice(1, 2)), 1)}


def test_nothing_is_found_in_an_empty_array():
    assert find_labels(np.zeros((3, 4, 5), np.uint8)) == {}


def test_booleans_are_one_structure():
    labels = check_labels(np.eye(3, dtype=bool), "mask")
    assert find_labels(labels)[1].n_voxels == 3


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (np.zeros((3, 3)), SchemaError, "mask is of type float64. Give integer"),
        (np.full((3, 3), -1), SchemaError, "mask holds the label -1"),
        (np.zeros(3, int), GeometryError, r"mask has shape \(3,\)"),
        (np.zeros((0, 3), int), GeometryError, r"mask has shape \(0, 3\)"),
        (np.zeros((1, 1, 1, 1), int), GeometryError, r"shape \(1, 1, 1, 1\)"),
    ],
)
def test_what_are_no_labels_is_refused(labels, error, message):
    with pytest.raises(error, match=message):
        check_labels(labels, "mask")


@pytest.mark.parametrize("spacing", [(1, 1), (1, 1, -1), (1, 0, 1), (1, 1, np.nan), 1])
def test_spacings_that_are_none_are_refused(spacing):
    with pytest.raises(GeometryError, match="Give 3 positive numbers in mm"):
        check_spacing(spacing, 3)


@pytest.mark.parametrize(
    "structures", [{}, {"a": 0}, {"a": -1}, {"a": 1.5}, {"a": 1, "b": 1}]
)
def test_structures_without_a_label_of_their_own_are_refused(structures):
    with pytest.raises(SchemaError, match="Name at least one, each with a whole label"):
        check_structures(structures)
