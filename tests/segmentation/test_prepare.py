"""Images and masks on the grid of a network: values, places, what is cut."""

import numpy as np
import pytest

from radlatent.cohort import Cohort
from radlatent.cohort.labels import LabelMap
from radlatent.imaging import Volume, resample_to, write_volume
from radlatent.segmentation.patch import Patch

pytest.importorskip("torch")

from radlatent.segmentation.prepare import (
    image_files,
    labels_on,
    onto_image,
    prepare_file,
    prepare_image,
)

PATCH = Patch((32, 32), (4.0, 4.0))


def test_image_is_clipped_and_standardized_within_itself(rng):
    array = rng.normal(100, 20, (3, 64, 64)).astype(np.float32)
    array[1, 5, 5] = 1e6
    image = Volume(array, (8.0, 2.0, 2.0))
    found = prepare_image(image, Patch((32, 32), (2.0, 2.0))).array
    np.testing.assert_allclose(found.mean(), 0, atol=1e-4)
    np.testing.assert_allclose(found.std(), 1, atol=1e-4)
    limits = np.percentile(array, (1, 99))
    clipped = np.clip(array, *limits)
    expected = (clipped - clipped.mean()) / clipped.std()
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_scale_of_the_intensities_does_not_matter(rng):
    image = Volume(rng.normal(0, 1, (2, 40, 40)), (8.0, 3.0, 3.0))
    other = image.with_array(7 * image.array + 1000)
    found = [prepare_image(one, PATCH).array for one in (image, other)]
    np.testing.assert_allclose(*found, atol=1e-3)


def test_outside_of_the_image_is_its_lowest_value(rng):
    image = Volume(rng.normal(0, 1, (1, 16, 16)), (8.0, 4.0, 4.0))
    found = prepare_image(image, PATCH).array
    assert found.shape == (1, 32, 32)
    inside = found[:, 8:24, 8:24]
    assert (found[:, :8] == inside.min()).all()
    np.testing.assert_allclose(inside.mean(), 0, atol=1e-5)


def test_constant_image_becomes_0():
    image = Volume(np.full((1, 16, 16), 5.0), (8.0, 4.0, 4.0))
    assert not prepare_image(image, PATCH).array.any()


def test_labels_keep_place_and_size_and_follow_names():
    array = np.zeros((1, 64, 64), np.uint8)
    array[0, 20:40, 10:50], array[0, 24:36, 20:30] = 7, 3
    mask = LabelMap(Volume(array, (8.0, 2.0, 2.0)), {"A": 3, "B": 7})
    grid = prepare_image(Volume(array.astype(float), (8.0, 2.0, 2.0)), PATCH)
    found = labels_on(mask, grid, ["B", "A", "absent"])
    assert found.dtype == np.uint8
    # 4 mm voxels are 2 x 2 of the mask's
    assert (found == 1).sum() == (array == 7).sum() / 4
    assert (found == 2).sum() == (array == 3).sum() / 4
    assert (found[0, 12:18, 10:15] == 2).all()


def test_finer_labels_come_back(rng, drawn):
    array = drawn.draw_heart(rng)
    mask = LabelMap(Volume(array, drawn.SPACING_MM), drawn.STRUCTURES)
    fine = Patch((128, 128), (1.0, 1.0)).grid(mask.volume)
    fine = Volume(np.zeros(fine.shape), fine.spacing_mm, fine.origin, fine.direction)
    found = labels_on(mask, fine, ["RV", "MYO", "LV"])
    for label in (1, 2, 3):
        # volumes agree to the half voxel that a contour can move by
        assert (found == label).sum() == pytest.approx(
            4 * (array == label).sum(), rel=0.02
        )


def test_file_is_told_with_what_the_field_cuts(hearts):
    [first, *_], problems = image_files(hearts, "mr")
    assert problems == []
    assert first.mask.case_ids == ("p00_RV", "p00_MYO", "p00_LV")
    whole = prepare_file(first, PATCH, ["RV", "MYO", "LV"])
    assert whole.outside.tolist() == [0, 0, 0]
    assert whole.distance is None
    assert whole.image.dtype == np.float16
    cut = prepare_file(
        first, Patch((8, 8), (4.0, 4.0), (32.0, 32.0)), ["RV", "MYO", "LV"]
    )
    assert (cut.outside > 0).any()
    assert cut.n_voxels.tolist() == whole.n_voxels.tolist()


def test_distances_are_in_mm_and_negative_inside(hearts):
    files, _ = image_files(hearts, "mr")
    found = prepare_file(files[0], PATCH, ["RV", "MYO", "LV"], distances=True)
    assert found.distance.shape == (3, *found.labels.shape)
    for number in range(3):
        inside = found.labels == number + 1
        assert (found.distance[number][inside] < 0).all()
        assert (found.distance[number][~inside] > 0).all()
    # the nearest voxel outside is one of 4 mm away
    assert np.abs(found.distance[0]).max() < 32 * 4 * 2**0.5


def test_two_mask_files_of_an_image_are_told(tmp_path, drawn, rng):
    folder = drawn.write_hearts(tmp_path / "hearts", 2, rng)
    cohort = Cohort.read(folder)
    label = cohort.files("p00_LV", "mr")[1]
    (folder / "second.nii.gz").write_bytes(label.read_bytes())
    cohort.cases.loc["p00_LV", "mask"] = "second.nii.gz"
    _, problems = image_files(cohort, "mr")
    assert problems == [
        "p00_image.nii.gz has 2 mask files; write its structures into one, a label each"
    ]


def test_image_without_a_mask_is_told(hearts):
    cohort = Cohort(hearts.card, hearts.root, hearts.cases.copy(), hearts.patients)
    cohort.cases.loc["p01_LV", "mask"] = None
    _, problems = image_files(cohort, "mr")
    assert problems == ["1 cases have an image but no mask: ['p01_LV']"]


def test_unreadable_file_fails(tmp_path, drawn, rng):
    folder = drawn.write_hearts(tmp_path / "hearts", 1, rng)
    files, _ = image_files(Cohort.read(folder), "mr")
    write_volume(
        Volume(np.full((3, 64, 64), 9, np.uint8), drawn.SPACING_MM),
        folder / "p00_mask.nii.gz",
    )
    with pytest.raises(ValueError, match="holds the labels"):
        prepare_file(files[0], PATCH, ["RV", "MYO", "LV"])


def test_probabilities_come_back_as_if_all_of_the_image_was_resampled(rng):
    image = Volume(rng.normal(0, 1, (4, 50, 41)), (8.0, 3.0, 2.5), (1.0, 2.0, 3.0))
    grid = prepare_image(image, Patch((32, 32), (4.0, 4.0)))
    array = np.zeros(grid.shape, np.float32)
    array[1:3, 10:19, 20:28] = rng.uniform(0.2, 1, (2, 9, 8))
    share = grid.with_array(array)
    expected = resample_to(share, image, interpolation="linear", fill=0.0).array
    assert expected.any()
    np.testing.assert_allclose(onto_image(share, image), expected, atol=1e-6)
    assert not onto_image(grid.with_array(0 * array), image).any()
