import numpy as np
import pytest

from radlatent.errors import EmptyMaskError, GeometryError
from radlatent.imaging import (
    Geometry,
    Volume,
    bounding_box,
    crop,
    crop_to_mask,
    expand_box,
    geometry_difference,
    resample,
    resample_to,
)

GRADIENT = np.array([0.3, -0.2, 0.5])  # per mm of world x, y, z


def ramp(volume, all_indices):
    world = volume.to_world(all_indices(volume.shape))
    return (world @ GRADIENT).reshape(volume.shape)


@pytest.mark.parametrize("interpolation", ["linear", "bspline"])
def test_resampling_a_ramp_gives_the_ramp_at_the_new_centers(
    oblique, all_indices, interpolation
):
    volume = Volume(
        np.zeros((24, 25, 26)), oblique.spacing_mm, oblique.origin, oblique.direction
    )
    volume = volume.with_array(ramp(volume, all_indices))
    new = resample(volume, (1.3, 0.8, 1.1), interpolation=interpolation)
    # beyond the outermost centers the edge value is taken, and a spline mirrors the
    # ramp there, which fades by 0.27 a voxel
    old_voxels = 1 if interpolation == "linear" else 10
    margin = np.ceil(old_voxels * np.divide(volume.spacing_mm, new.spacing_mm))
    margin = margin.astype(int)
    inner = tuple(slice(m, -m) for m in margin)
    np.testing.assert_allclose(
        new.array[inner], ramp(new, all_indices)[inner], atol=1e-5
    )


def test_resampled_grid_has_the_ibsi_size_and_the_same_center(oblique):
    new = resample(oblique, (2.0, 2.0, 2.0))
    # ceil of 12, 3.5 and 5.4 mm in steps of 2 mm
    assert new.shape == (6, 2, 3)
    assert new.spacing_mm == (2, 2, 2)
    centers = [v.to_world([(np.array(v.shape) - 1) / 2]) for v in (oblique, new)]
    np.testing.assert_allclose(*centers, atol=1e-12)


def test_known_values_between_and_beyond_two_voxels():
    volume = Volume(np.array([0.0, 8.0]).reshape(1, 1, 2), (1, 1, 4))
    new = resample(volume, (1, 1, 1))
    # centers at -1.5 ... 5.5 mm; the old ones lie at 0 and 4 mm
    assert new.array.ravel().tolist() == [0, 0, 1, 3, 5, 7, 8, 8]
    assert new.origin == (-1.5, 0, 0)


def test_size_is_free_of_float_division():
    volume = Volume(np.zeros((3, 3, 3)), (0.4, 0.4, 0.4))
    assert resample(volume, (0.1, 0.1, 0.1)).shape == (12, 12, 12)


def test_same_spacing_changes_nothing(oblique):
    new = resample(oblique, oblique.spacing_mm)
    assert geometry_difference(new, oblique, tolerance_mm=1e-12) == ""
    np.testing.assert_allclose(new.array, oblique.array, atol=1e-6)  # float32


def test_mask_is_resampled_by_nearest_only(oblique):
    for array in (oblique.array > 0, (oblique.array > 0).astype(np.uint8)):
        mask = oblique.with_array(array)
        with pytest.raises(ValueError, match="Use 'nearest' for a mask"):
            resample(mask, (1, 1, 1))
        new = resample(mask, np.divide(mask.spacing_mm, 3), interpolation="nearest")
        assert new.array.dtype == array.dtype
        tripled = array.repeat(3, 0).repeat(3, 1).repeat(3, 2)
        np.testing.assert_array_equal(new.array, tripled)


def test_resample_to_moves_voxels_to_their_world_place_and_fills():
    volume = Volume(np.arange(1.0, 5.0).reshape(1, 1, 4), (1, 1, 1))
    reference = Geometry((1, 1, 4), (1, 1, 1), origin=(2, 0, 0))
    new = resample_to(volume, reference, interpolation="linear", fill=-1000)
    assert new.array.ravel().tolist() == [3, 4, -1000, -1000]
    assert geometry_difference(new, reference, tolerance_mm=0) == ""


def test_resample_to_undoes_flips_and_permutations(oblique):
    flipped = Volume(
        oblique.array[::-1].transpose(2, 0, 1),
        np.take(oblique.spacing_mm, [2, 0, 1]),
        oblique.to_world([[3, 0, 0]])[0],
        (oblique.direction * (-1, 1, 1))[:, [2, 0, 1]],
    )
    back = resample_to(flipped, oblique, interpolation="nearest", fill=np.nan)
    np.testing.assert_array_equal(back.array, oblique.array)


def test_unknown_interpolation_and_bad_spacing_are_refused(oblique):
    with pytest.raises(ValueError, match=r"'cubic'.*'linear', 'bspline', 'nearest'"):
        resample(oblique, (1, 1, 1), interpolation="cubic")
    for spacing_mm in [(1, 1), (1, 0, 1), (1, np.nan, 1)]:
        with pytest.raises(ValueError, match="three positive numbers"):
            resample(oblique, spacing_mm)


def test_bspline_needs_four_voxels_an_axis(oblique):
    thin = crop(oblique, np.s_[0:1, 0:5, 0:6])
    with pytest.raises(ValueError, match=r"'bspline'.*\(1, 5, 6\)"):
        resample(thin, (1, 1, 1), interpolation="bspline")


def test_bounding_box_is_that_of_numpy(oblique):
    mask = oblique.array > 1
    nonzero = np.argwhere(mask)
    expected = zip(nonzero.min(0), nonzero.max(0) + 1, strict=True)
    assert bounding_box(mask) == tuple(slice(a, b) for a, b in expected)
    assert bounding_box(mask * -3) == bounding_box(mask)
    assert bounding_box(oblique.with_array(mask)) == bounding_box(mask)


def test_bounding_box_of_one_voxel_and_of_none():
    mask = np.zeros((4, 5, 6), bool)
    with pytest.raises(EmptyMaskError, match=r"\(4, 5, 6\) holds no voxel"):
        bounding_box(mask)
    mask[3, 0, 2] = True
    assert bounding_box(mask) == np.s_[3:4, 0:1, 2:3]


def test_expand_box_stops_at_the_array():
    box = expand_box(np.s_[1:2, 2:3, 4:5], (2, 1, 0), (4, 4, 5))
    assert box == np.s_[0:4, 1:4, 4:5]


def test_crop_keeps_the_world_position_of_every_voxel(oblique, all_indices):
    box = np.s_[1:3, 2:5, 0:4]
    cropped = crop(oblique, box)
    index = all_indices(cropped.shape)
    original = index + np.array([1, 2, 0])
    np.testing.assert_allclose(
        cropped.to_world(index), oblique.to_world(original), atol=1e-12
    )
    np.testing.assert_array_equal(cropped.array.ravel(), oblique.array[*original.T])
    assert not np.shares_memory(cropped.array, oblique.array)


@pytest.mark.parametrize(
    "box", [np.s_[0:5, 0:5, 0:6], np.s_[-1:2, 0:5, 0:6], np.s_[2:2, 0:5, 0:6]]
)
def test_box_outside_the_volume_is_refused(oblique, box):
    with pytest.raises(GeometryError, match="is not inside a volume of shape"):
        crop(oblique, box)


@pytest.mark.parametrize(
    ("margin_mm", "shape"),
    [
        (0.0, (1, 1, 1)),
        (0.6, (3, 3, 7)),  # ceil of 0.2, 0.6 and 3 voxels a side
        (3.1, (5, 9, 9)),  # 2, 4 and 16; 9 columns are all there are
    ],
)
def test_margin_is_rounded_up_to_voxels(margin_mm, shape):
    array = np.zeros((9, 9, 9), np.uint8)
    array[4, 4, 4] = 1
    mask = Volume(array, (3.0, 1.0, 0.2))
    image = mask.with_array(np.arange(729.0).reshape(9, 9, 9))
    cropped_image, cropped_mask = crop_to_mask(image, mask, margin_mm=margin_mm)
    assert cropped_mask.shape == cropped_image.shape == shape
    assert cropped_image.array[cropped_mask.array == 1].tolist() == [364]  # 4*81+4*9+4
    assert geometry_difference(cropped_image, cropped_mask, tolerance_mm=0) == ""


def test_crop_to_mask_moves_with_image_and_mask():
    voxels = np.random.default_rng(1).normal(size=(4, 4, 4))
    crops = []
    for start in (2, 5):
        array = np.zeros((12, 12, 12))
        block = slice(start, start + 4)
        array[block, block, block] = voxels
        image = Volume(array, (2, 1, 1))
        crops.append(crop_to_mask(image, image.with_array(array != 0))[0])
    np.testing.assert_array_equal(crops[0].array, voxels)
    np.testing.assert_array_equal(crops[1].array, voxels)
    assert np.subtract(crops[1].origin, crops[0].origin).tolist() == [3, 3, 6]


def test_crop_to_mask_refuses_another_grid_and_a_negative_margin(oblique):
    mask = oblique.with_array(oblique.array > 0)
    with pytest.raises(ValueError, match=r"margin_mm is -1"):
        crop_to_mask(oblique, mask, margin_mm=-1)
    with pytest.raises(GeometryError, match="differs from the image grid"):
        crop_to_mask(oblique, crop(mask, np.s_[0:2, 0:5, 0:6]))
