"""The Laplacian of Gaussian is ITK's, to the last bit."""

import numpy as np
import pytest
import SimpleITK as sitk

from radlatent.handcrafted.engine.filters.laplacian import laplacian_of_gaussian

SPACINGS = [(1.0, 1.0, 1.0), (5.0, 0.7, 1.3), (0.9, 3.0, 0.45)]


def by_itk(array, sigma_mm, spacing_mm):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing_mm[::-1])
    laplacian = sitk.LaplacianRecursiveGaussianImageFilter()
    laplacian.SetNormalizeAcrossScale(True)
    laplacian.SetSigma(sigma_mm)
    return sitk.GetArrayFromImage(laplacian.Execute(image))


def whole(array):
    return tuple(slice(0, n) for n in array.shape)


@pytest.mark.parametrize("spacing_mm", SPACINGS)
@pytest.mark.parametrize("sigma_mm", [0.5, 1.0, 3, 4.7])
@pytest.mark.parametrize(
    "dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64]
)
def test_every_bit_is_that_of_itk(dtype, sigma_mm, spacing_mm, rng):
    shape = (5, 37, 20)
    array = rng.integers(0, 250, shape)
    if np.issubdtype(dtype, np.signedinteger):
        array = 100 * array - 12_000
    if np.issubdtype(dtype, np.floating):
        array = array + rng.standard_normal(shape)
    array = array.astype(dtype)
    found = laplacian_of_gaussian(array, sigma_mm, spacing_mm, whole(array))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, by_itk(array, sigma_mm, spacing_mm))


def test_a_box_is_cut_from_the_filtered_image(rng):
    array = rng.standard_normal((12, 40, 35))
    box = slice(3, 8), slice(0, 33), slice(30, 35)
    found = laplacian_of_gaussian(array, 2.0, SPACINGS[1], box)
    np.testing.assert_array_equal(found, by_itk(array, 2.0, SPACINGS[1])[box])


def test_the_smallest_image_is_filtered(rng):
    array = rng.standard_normal((4, 4, 4))
    found = laplacian_of_gaussian(array, 1.0, (1.0, 1.0, 1.0), whole(array))
    np.testing.assert_array_equal(found, by_itk(array, 1.0, (1.0, 1.0, 1.0)))


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_image_may_lie_anyhow_and_is_not_changed(order, rng):
    array = rng.standard_normal((9, 12, 11))
    expected = by_itk(array, 1.5, SPACINGS[0])
    source = np.array(array, order=order)
    turned = np.repeat(source, 2, axis=1)[:, ::2]
    for one in (source, turned):
        found = laplacian_of_gaussian(one, 1.5, SPACINGS[0], whole(one))
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(one, array)


def test_a_parabola_has_the_laplacian_of_its_formula():
    z, y, x = np.indices((81, 81, 81)) - 40.0
    found = laplacian_of_gaussian(
        3 * z**2 + 2 * y**2 - x**2, 2.0, (1.0, 1.0, 1.0), (slice(40, 41),) * 3
    )
    # (6 + 4 - 2) of the second derivatives, times sigma squared; the filter is a fit
    # of four exponentials to the Gaussian
    assert found.item() == pytest.approx(8 * 2.0**2, rel=0.01)
