import threading

import numpy as np
import pytest
import SimpleITK as sitk
from threadpoolctl import threadpool_info

from radlatent.errors import GeometryError
from radlatent.imaging import Volume, from_sitk, geometry_difference, to_sitk
from radlatent.imaging.itk import silence, single_thread


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "float32", "float64"])
def test_round_trip_is_exact(oblique, dtype):
    volume = oblique.with_array((oblique.array * 10).clip(0).astype(dtype))
    back = from_sitk(to_sitk(volume))
    assert back.array.dtype == volume.array.dtype
    np.testing.assert_array_equal(back.array, volume.array)
    assert geometry_difference(back, volume, tolerance_mm=0) == ""


def test_itk_places_each_voxel_where_the_volume_does(oblique):
    image = to_sitk(oblique)
    assert image.GetSize() == (6, 5, 4)
    assert image[5, 1, 2] == oblique.array[2, 1, 5]
    by_itk = image.TransformIndexToPhysicalPoint((5, 1, 2))
    # float64 over 100 mm
    np.testing.assert_allclose(oblique.to_world([[2, 1, 5]])[0], by_itk, atol=1e-12)


def test_bool_mask_becomes_uint8(oblique):
    back = from_sitk(to_sitk(oblique.with_array(oblique.array > 0)))
    assert back.array.dtype == np.uint8
    np.testing.assert_array_equal(back.array == 1, oblique.array > 0)


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (sitk.Image([3, 4], sitk.sitkUInt8), "2D with 1"),
        (sitk.Image([3, 4, 5], sitk.sitkVectorUInt8, 3), "3D with 3"),
    ],
)
def test_other_than_3d_single_values_is_refused(image, found):
    with pytest.raises(GeometryError, match=found):
        from_sitk(image)


def test_single_thread_restores_the_settings_even_after_an_error():
    np.ones((2, 2)) @ np.ones((2, 2))
    sitk_threads = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads
    before = sitk_threads(), [pool["num_threads"] for pool in threadpool_info()]
    during = []

    def work():
        with single_thread():
            during.append(sitk_threads())
            during.extend(pool["num_threads"] for pool in threadpool_info())
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert set(during) == {1}
    after = sitk_threads(), [pool["num_threads"] for pool in threadpool_info()]
    assert after == before


@pytest.mark.parametrize("display", [True, False])
def test_silence_lasts_until_the_last_thread_leaves(display):
    shown = sitk.ProcessObject.GetGlobalWarningDisplay
    before = shown()
    sitk.ProcessObject.SetGlobalWarningDisplay(display)
    entered, leave = threading.Event(), threading.Event()

    def hold():
        with silence:
            entered.set()
            leave.wait()

    thread = threading.Thread(target=hold)
    try:
        with silence:
            thread.start()
            entered.wait()
        assert not shown()
        leave.set()
        thread.join()
        assert shown() == display
    finally:
        leave.set()
        sitk.ProcessObject.SetGlobalWarningDisplay(before)


def test_default_volume_has_itk_default_direction():
    image = to_sitk(Volume(np.zeros((2, 3, 4)), (1, 1, 1)))
    assert image.GetDirection() == tuple(np.eye(3).ravel())
