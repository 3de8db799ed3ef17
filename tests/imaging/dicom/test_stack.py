"""Slices are ordered by their positions, and refused where they make no grid."""

import numpy as np
import pytest

from radlatent.errors import DicomError, GeometryError
from radlatent.imaging.dicom.stack import stack

SHAPE = (6, 5, 4)


@pytest.fixture
def voxels(rng):
    return rng.integers(-1000, 2000, SHAPE).astype(np.int16)


@pytest.fixture
def stacked(write, headers_of):
    return lambda datasets: stack(headers_of(write.save(datasets)))


def test_voxels_and_grid_are_those_that_were_written(write, stacked, voxels):
    made = stacked(write.slices(voxels))
    volume = made.read()
    np.testing.assert_array_equal(volume.array, voxels)
    assert volume.array.dtype == np.int16
    assert volume.spacing_mm == (2.0, 1.0, 1.0)
    np.testing.assert_allclose(volume.to_world([[1, 2, 3]]), [[-7, -18, 7]])
    assert made.notes == ()


def test_neither_file_names_nor_instance_numbers_order_slices(
    write, stacked, voxels, rng
):
    datasets = write.slices(voxels)
    for number, dataset in enumerate(datasets):
        dataset.InstanceNumber = 100 - number
    shuffled = [datasets[k] for k in rng.permutation(len(datasets))]
    np.testing.assert_array_equal(stacked(shuffled).read().array, voxels)


def test_an_oblique_series_lies_where_its_tags_say(write, stacked, voxels):
    x, y = np.array([0.8, 0.6, 0.0]), np.array([0.0, 0.0, -1.0])
    normal, datasets = np.cross(x, y), write.slices(voxels)
    for k, dataset in enumerate(datasets):
        dataset.ImageOrientationPatient = [*x, *y]
        # against the normal: the last file is the lowest slice
        dataset.ImagePositionPatient = list(np.round(-2.0 * k * normal, 6))
    volume = stacked(datasets).read()
    np.testing.assert_array_equal(volume.array, voxels[::-1])
    expected = -2.0 * 5 * normal + 1 * y + 3 * x
    np.testing.assert_allclose(volume.to_world([[0, 1, 3]]), [expected], atol=1e-5)


def test_each_slice_has_its_slope_and_intercept(write, stacked, voxels):
    datasets = write.slices(voxels)
    for k, dataset in enumerate(datasets):
        dataset.RescaleSlope, dataset.RescaleIntercept = f"{0.5 + k}", f"{-k}"
    k = np.arange(6).reshape(6, 1, 1)
    read = stacked(datasets).read()
    np.testing.assert_array_equal(read.array, (voxels * (0.5 + k) - k).astype("f4"))


def test_unsigned_values_keep_their_intercept(write, stacked, rng):
    stored = rng.integers(0, 4096, SHAPE).astype(np.uint16)
    datasets = write.slices(stored, RescaleIntercept="-1024", BitsStored=12, HighBit=11)
    read = stacked(datasets).read().array
    np.testing.assert_array_equal(read, stored.astype(int) - 1024)


def test_bits_beside_the_stored_ones_are_no_values(write, stacked):
    # a sign in 12 of 16 bits, an overlay in the others
    values = np.array([-2048, -1, 0, 2047], np.int16)
    stored = (values.view(np.uint16) & 0x0FFF) | 0xA000
    signed = np.tile(stored, (2, 1, 1))
    datasets = write.slices(signed, BitsStored=12, HighBit=11, PixelRepresentation=1)
    np.testing.assert_array_equal(stacked(datasets).read().array[0, 0], values)


def test_bed_joins_are_tolerated_and_told(write, stacked, voxels):
    datasets = write.slices(voxels)
    datasets[3].ImagePositionPatient = [-10, -20, 5 + 3 * 2 + 0.09]
    made = stacked(datasets)
    assert made.notes == ("slices lie up to 0.09 mm off equal distances",)
    assert made.grid.spacing_mm[0] == 2.0


def test_uneven_slices_are_refused(write, stacked, voxels):
    datasets = write.slices(voxels)
    datasets[3].ImagePositionPatient = [-10, -20, 5 + 3 * 2 + 0.15]
    with pytest.raises(GeometryError, match=r"slice003\.dcm lies 0\.15 mm off equal"):
        stacked(datasets)


@pytest.mark.parametrize("lost", [[3], [1, 2]])
def test_missing_slices_are_refused(write, stacked, voxels, lost):
    datasets = [d for k, d in enumerate(write.slices(voxels)) if k not in lost]
    with pytest.raises(GeometryError, match=f"{len(lost)} slices are missing: 2 mm"):
        stacked(datasets)


def test_slices_that_miss_at_an_end_are_told(write, stacked, voxels):
    made = stacked(write.slices(voxels, NumberOfSlices=6)[:-1])
    assert made.notes == ("NumberOfSlices says 6, 5 files are there",)


def test_a_tilted_gantry_is_refused(write, stacked, voxels):
    datasets = write.slices(voxels, GantryDetectorTilt="15")
    for k, dataset in enumerate(datasets):
        shift = 2 * k * np.tan(np.radians(15))
        dataset.ImagePositionPatient = [-10, -20 + round(shift, 4), 5 + 2 * k]
    with pytest.raises(GeometryError, match=r"tilted by 15\.0 degrees.*Tilt 15"):
        stacked(datasets)


@pytest.mark.parametrize(
    ("tag", "value", "told"),
    [
        ("ImageOrientationPatient", [0, 1, 0, 0, 0, -1], "orientation of the slices"),
        ("PixelSpacing", [1.0, 1.1], "PixelSpacing varies"),
    ],
)
def test_slices_of_several_kinds_are_refused(write, stacked, voxels, tag, value, told):
    datasets = write.slices(voxels)
    setattr(datasets[2], tag, value)
    with pytest.raises(GeometryError, match=told):
        stacked(datasets)


def test_several_images_in_a_series_are_refused(write, stacked, voxels):
    datasets = write.slices(voxels)
    for k in range(3):
        datasets[k + 3].ImagePositionPatient = datasets[k].ImagePositionPatient
        datasets[k + 3].EchoNumbers = 2
    with pytest.raises(GeometryError, match=r"6 slices lie at 3 places.*EchoNumbers"):
        stacked(datasets)


def test_copies_of_files_count_once(write, stacked, voxels):
    datasets = write.slices(voxels)
    made = stacked([*datasets, datasets[2]])
    assert made.notes == ("1 files are copies of others and are left out",)
    np.testing.assert_array_equal(made.read().array, voxels)


def test_two_images_under_one_uid_are_refused(write, stacked, voxels):
    datasets = write.slices(voxels)
    [other] = write.slices(voxels[2:3] + 1)
    other.SOPInstanceUID = datasets[2].SOPInstanceUID
    other.ImagePositionPatient = datasets[2].ImagePositionPatient
    with pytest.raises(DicomError, match="one instance"):
        stacked([*datasets, other])


def test_one_slice_is_as_thick_as_it_says(write, stacked, voxels):
    made = stacked(write.slices(voxels[:1], spacing_mm=(3.5, 1.0, 1.0)))
    assert made.grid.spacing_mm == (3.5, 1.0, 1.0)


@pytest.mark.parametrize("tag", ["ImagePositionPatient", "PixelSpacing"])
def test_a_tag_that_is_missing_is_named(write, stacked, voxels, tag):
    datasets = write.slices(voxels)
    del datasets[0][tag]
    with pytest.raises((DicomError, GeometryError), match=tag):
        stacked(datasets)


def test_a_slope_of_zero_is_refused(write, stacked, voxels):
    with pytest.raises(DicomError, match="RescaleSlope is 0"):
        stacked(write.slices(voxels, RescaleSlope="0")).read()
