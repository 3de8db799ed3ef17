"""ITK's steps do what their names say."""

import numpy as np
import pytest

from radlatent.imaging import Geometry, Volume, interpolate, standardize
from radlatent.imaging.itk_filters import gradient_magnitude

SPACING_MM = (2.0, 0.5, 1.25)


@pytest.fixture
def noise(rng):
    return Volume(40 + 12 * rng.standard_normal((7, 8, 9)), SPACING_MM)


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.float64])
def test_standardize_is_the_distance_from_the_mean_in_deviations(noise, dtype):
    volume = noise.with_array(noise.array.astype(dtype))
    found = standardize(volume, scale=100, outliers=None)
    values = volume.array.astype(float)
    expected = 100 * (values - values.mean()) / values.std(ddof=1)
    # ITK keeps float32, and takes whole numbers to it
    digits = 1e-12 if dtype == np.float64 else 1e-6
    np.testing.assert_allclose(found.array, expected, rtol=digits, atol=100 * digits)
    assert found.spacing_mm == volume.spacing_mm


def test_standardize_clips_what_lies_beyond_before_it_scales(noise):
    noise.array[3, 3, 3], noise.array[4, 4, 4] = 1000, -1000
    values = noise.array
    scores = (values - values.mean()) / values.std(ddof=1)
    assert (np.abs(scores) > 1.5).sum() >= 2
    found = standardize(noise, scale=50, outliers=1.5).array
    expected = 50 * scores.clip(-1.5, 1.5)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-10)
    assert (found.min(), found.max()) == (-75, 75)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_gradient_of_a_ramp_is_its_slope(axis):
    ramp = Volume(3.0 * np.indices((6, 7, 8))[axis], SPACING_MM)
    inside = (slice(1, -1),) * 3  # at the border ITK repeats the last voxel
    per_voxel = gradient_magnitude(ramp, use_spacing=False).array[inside]
    np.testing.assert_allclose(per_voxel, 3, rtol=1e-6)  # ITK's float32
    per_mm = gradient_magnitude(ramp, use_spacing=True).array[inside]
    np.testing.assert_allclose(per_mm, 3 / SPACING_MM[axis], rtol=1e-6)


def test_the_gradient_of_a_slanted_ramp_is_the_length_of_both_slopes():
    z, _, x = np.indices((6, 7, 8))
    ramp = Volume(3.0 * z + 4.0 * x, SPACING_MM)
    inside = (slice(1, -1),) * 3
    found = gradient_magnitude(ramp, use_spacing=False).array[inside]
    np.testing.assert_allclose(found, 5, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("name", ["sitkLinear", "sitkNearestNeighbor", "sitkBSpline"])
def test_interpolate_keeps_the_type_and_puts_0_outside(oblique, name, dtype):
    volume = oblique.with_array(np.full(oblique.shape, 7, dtype))
    # two voxels further along each axis than the volume, on either side
    shape = tuple(n + 4 for n in volume.shape)
    origin = tuple(volume.to_world([[-2, -2, -2]])[0])
    grid = Geometry(shape, volume.spacing_mm, origin, volume.direction)
    found = interpolate(volume, grid, interpolator=name)
    assert found.array.dtype == dtype
    expected = np.pad(volume.array, 2)
    # a spline is 7 up to rounding, and ITK cuts off the decimals of whole numbers
    off = 1 if name == "sitkBSpline" and dtype in (np.uint8, np.int16) else 1e-5
    np.testing.assert_allclose(found.array, expected, rtol=0, atol=off)
    outside = np.pad(np.zeros(volume.shape, bool), 2, constant_values=True)
    assert not found.array[outside].any()
    assert found.spacing_mm == volume.spacing_mm
    np.testing.assert_allclose(found.origin, origin, rtol=1e-12)


def test_interpolate_halfway_is_the_mean_of_neighbors(noise):
    # ITK's name, or its number
    grid = Geometry(
        (7, 8, 8), SPACING_MM, tuple(noise.to_world([[0, 0, 0.5]])[0]), noise.direction
    )
    expected = (noise.array[:, :, 1:] + noise.array[:, :, :-1]) / 2
    for interpolator in ("sitkLinear", 2):
        found = interpolate(noise, grid, interpolator=interpolator)
        np.testing.assert_allclose(found.array, expected, rtol=1e-10)
