import itertools

import numpy as np
import pytest

from radlatent.errors import EmptyMaskError
from radlatent.imaging import (
    Volume,
    clip,
    maximum_intensity_projection,
    normalize,
    read_volume,
    unit_doubt,
    unit_fault,
)

UNIT = (1.0, 1.0, 1.0)


def line(values, dtype=np.float64):
    return Volume(np.array(values, dtype).reshape(1, 1, -1), UNIT)


@pytest.mark.parametrize(("dtype", "clipped"), [("f4", "f4"), ("u1", "f8")])
def test_clip_limits_the_values(dtype, clipped):
    volume = clip(line([0, 50, 200], dtype), lower=-200, upper=100.5)
    assert volume.array.ravel().tolist() == [0, 50, 100.5]
    assert volume.array.dtype == clipped


def test_clip_keeps_nan_and_takes_infinite_bounds():
    clipped = clip(line([np.nan, -5, 5]), lower=-np.inf, upper=0)
    np.testing.assert_array_equal(clipped.array.ravel(), [np.nan, -5, 0])


@pytest.mark.parametrize("bounds", [(1, 0), (1, 1), (np.nan, 1)])
def test_clip_refuses_bounds_out_of_order(bounds):
    with pytest.raises(ValueError, match="Give lower < upper"):
        clip(line([0, 1]), lower=bounds[0], upper=bounds[1])


def test_normalize_by_the_whole_image_and_by_a_mask():
    image = line([1, 3, 5, 100])
    # mean 27.25, variance (26.25^2 + 24.25^2 + 22.25^2 + 72.75^2) / 4
    whole = normalize(image).array.ravel()
    np.testing.assert_allclose(whole[3], 72.75 / np.sqrt(1766.1875), rtol=1e-12)
    # mean 3, variance 8 / 3, and the voxel outside is normalized too
    by_mask = normalize(image, line([1, 1, 1, 0], np.uint8)).array.ravel()
    expected = np.array([-2, 0, 2, 97]) / np.sqrt(8 / 3)
    np.testing.assert_allclose(by_mask, expected, rtol=1e-12)


def test_normalize_forgets_scale_and_offset(oblique):
    other = oblique.with_array(oblique.array * 7 + 100)
    # float32 near 100 is good to 1e-5
    np.testing.assert_allclose(
        normalize(other).array, normalize(oblique).array, atol=1e-4
    )


@pytest.mark.parametrize(
    ("dtype", "result"), [("i2", "f4"), ("f4", "f4"), ("i4", "f8")]
)
def test_normalize_keeps_the_argument_and_its_precision(dtype, result):
    image = line([1, 2, 3], dtype)
    assert normalize(image).array.dtype == result
    assert image.array.ravel().tolist() == [1, 2, 3]


def test_normalize_names_the_region_that_has_no_spread():
    # 0.1 has no exact sum, so the computed deviation would not be 0
    with pytest.raises(ValueError, match=r"the whole image is constant, 0.1 in 7"):
        normalize(line([0.1] * 7))
    with pytest.raises(ValueError, match=r"the mask is constant, 2.0 in 2"):
        normalize(line([2, 2, 3]), line([1, 1, 0], bool))
    with pytest.raises(ValueError, match="1 of 3 voxels in the whole image are NaN"):
        normalize(line([1, 2, np.nan]))
    with pytest.raises(EmptyMaskError, match="no voxel"):
        normalize(line([1, 2]), line([0, 0], bool))


# a body in LPS order [x, y, z] of 2 x 3 x 4 mm; each view's picture is written by hand
# with rows down and columns to the right
BODY = np.zeros((2, 3, 4))
BODY[0, 0, 3] = 1  # right, anterior, top
BODY[1, 2, 0] = 2  # left, posterior, bottom
BODY[1, 1, 1] = 3
BODY[0, 1, 1] = 2.5
PICTURES = {
    "coronal": [[1, 0], [0, 0], [2.5, 3], [0, 2]],
    "sagittal": [[1, 0, 0], [0, 0, 0], [0, 3, 0], [0, 0, 2]],
    "axial": [[1, 0], [2.5, 3], [0, 2]],
}
SPACINGS = {"coronal": (4, 2), "sagittal": (4, 3), "axial": (3, 2)}


@pytest.mark.parametrize("view", PICTURES)
def test_projection_is_upright_in_every_storage_order(view):
    orders = itertools.product(
        itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)
    )
    for order, signs in orders:
        array = BODY.transpose(order)[tuple(slice(None, None, s) for s in signs)]
        spacing_mm = np.take((2.0, 3.0, 4.0), order)
        direction = np.eye(3)[:, order] * signs
        volume = Volume(array, spacing_mm, (0, 0, 0), direction)
        projection = maximum_intensity_projection(volume, view)
        assert projection.array.tolist() == PICTURES[view]
        assert projection.spacing_mm == SPACINGS[view]


def test_projection_of_an_oblique_volume_uses_each_array_axis_once():
    turn = np.sqrt(0.5) * np.array([[1, -1, 0], [1, 1, 0], [0, 0, np.sqrt(2)]])
    volume = Volume(BODY, (2, 3, 4), (0, 0, 0), turn)
    shapes = {maximum_intensity_projection(volume, v).array.shape for v in PICTURES}
    assert shapes in ({(4, 2), (4, 3), (3, 2)}, {(4, 3), (4, 2), (2, 3)})


def test_unknown_view_is_refused(oblique):
    with pytest.raises(ValueError, match=r"'z'.*'sagittal', 'coronal', 'axial'"):
        maximum_intensity_projection(oblique, "z")


@pytest.mark.real
def test_real_short_axis_volume_projects_to_its_grid(real_data):
    path = real_data / "acdc/training/patient001/patient001_frame01.nii.gz"
    volume = read_volume(path)
    projection = maximum_intensity_projection(volume, "axial")
    assert projection.array.shape == (256, 216)
    assert projection.array.max() == volume.array.max()


def body(scale=1.0, offset=0.0, dtype=np.float32):
    """Return a CT with air, and the values of a lesion in it."""
    rng = np.random.default_rng(0)
    array = rng.normal(-700, 60, (8, 8, 8))
    array[0], array[3:6, 3:6, 3:6] = -1000, rng.normal(40, 15, (3, 3, 3))
    image = Volume((array * scale + offset).astype(dtype), (1.0, 1.0, 1.0))
    return image, image.array[3:6, 3:6, 3:6]


@pytest.mark.parametrize(
    ("scale", "offset", "dtype", "found"),
    [
        (1, 0, np.int16, ""),
        (1, 1024, np.int16, "no voxel of the image is below 0"),
        (1e4, 0, np.float64, "as no CT does"),
        (0.18, 180, np.uint8, "8 bits"),
        (1 / 1400, 1000 / 1400, np.float32, "normalized"),
        (1 / 300, 2, np.float32, "normalized"),
        (1, -1024, np.int16, "air alone"),
    ],
)
def test_values_that_are_no_hounsfield_units_are_told(scale, offset, dtype, found):
    image, lesion = body(scale, offset, dtype)
    about = "HU", image, float(lesion.min()), float(lesion.max())
    said = unit_fault(*about) or unit_doubt(*about)
    assert (found in said) if found else said == ""
    assert unit_fault("arbitrary", *about[1:]) == ""
    assert unit_doubt("arbitrary", *about[1:]) == ""


def test_what_fills_the_corners_of_a_ct_is_no_air():
    image, lesion = body(offset=1024)
    image.array[:, 0, 0] = -2000
    said = unit_fault("HU", image, float(lesion.min()), float(lesion.max()))
    assert "stored values without their intercept" in said


@pytest.mark.parametrize(
    ("low", "high", "most", "found"),
    [
        (1, 12, 40, ""),
        (100, 9000, 20000, "Bq/ml"),
        (-60, 100, 900, "never negative"),
        (0.2, 0.9, 1, "normalized"),
        (0.2, 0.9, 8, ""),
    ],
)
def test_values_that_are_no_suv_are_told(low, high, most, found):
    image = Volume(np.array([[[0, low, high, most]]], float), (1.0, 1.0, 1.0))
    said = unit_fault("SUV", image, low, high) or unit_doubt("SUV", image, low, high)
    assert (found in said) if found else said == ""
