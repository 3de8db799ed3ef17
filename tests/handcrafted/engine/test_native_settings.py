"""The engine equals pyradiomics with every setting and image type, each on its own."""

import numpy as np
import pytest

from radlatent.handcrafted import read_settings
from radlatent.handcrafted.names import FEATURES
from radlatent.imaging import Volume

NORMS = ["manhattan", "euclidean", "infinity", "no_weighting"]


def resampled(*spacing_mm, interpolator):
    name = f"sitk{interpolator}"
    return {"resampledPixelSpacing": list(spacing_mm), "interpolator": name}


SWEEP = [
    *({"weightingNorm": norm} for norm in NORMS),
    {"binWidth": 3},
    {"binWidth": 0.7},
    {"binCount": 64},
    {"distances": [1, 2, 3]},
    {"gldm_a": 2},
    {"symmetricalGLCM": False},
    {"symmetricalGLCM": False, "weightingNorm": "euclidean", "distances": [2]},
    {"voxelArrayShift": 1000},
    {"resegmentRange": [20, 100]},
    {"resegmentRange": [20, 100], "resegmentShape": True},
    {"resegmentRange": [-1.5, 1.5], "resegmentMode": "sigma"},
    {"resegmentRange": [0.1, 0.7], "resegmentMode": "relative"},
    {"resegmentRange": [40]},
    {"normalize": True, "normalizeScale": 100},
    {"normalize": True, "normalizeScale": 100, "removeOutliers": 1.5},
    {"preCrop": True, "padDistance": 3},
    {"minimumROIDimensions": 3, "minimumROISize": 10},
    *(
        {"force2D": True, "force2Ddimension": axis, "distances": [1, 2]}
        for axis in range(3)
    ),
    *(
        resampled(1.5, 1, 1.7, interpolator=name)
        for name in (
            *("NearestNeighbor", "Linear", "BSpline", "Gaussian", "LabelGaussian"),
            *("HammingWindowedSinc", "CosineWindowedSinc", "WelchWindowedSinc"),
            *("LanczosWindowedSinc", "BlackmanWindowedSinc"),
        )
    ),
    resampled(2, 2, 2, interpolator="BSpline") | {"padDistance": 0},
    resampled(0, 0, 3, interpolator="Linear") | {"padDistance": 10},
    {"resampledPixelSpacing": [1.3, 0.7, 2.0]},
]


@pytest.mark.reference
@pytest.mark.parametrize("options", SWEEP, ids=lambda options: str(options)[1:60])
def test_every_setting_has_the_values_of_pyradiomics(options, ellipsoid, check_equal):
    settings = read_settings({"setting": options})
    assert check_equal(*ellipsoid(), settings) == 107


@pytest.mark.slow
@pytest.mark.reference
@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int32, np.float32])
@pytest.mark.parametrize("force2d", [False, True])
def test_every_image_type_has_the_values_of_pyradiomics(
    force2d, dtype, ellipsoid, check_equal
):
    images = {"Original": {}, "LoG": {"sigma": [1, 2.5]}, "Gradient": {}}
    images |= {"Wavelet": {"level": 2}, "Square": {}, "SquareRoot": {}}
    images |= {"Logarithm": {}, "Exponential": {}}
    setting = {"binCount": 24, "force2D": force2d}
    settings = read_settings({"setting": setting, "imageType": images})
    image, mask = ellipsoid()
    image = image.with_array((image.array - image.array.min()).astype(dtype))
    n = 8 + 16 if not force2d else 8 + 8
    n_compared = check_equal(image, mask, settings)
    assert n_compared == len(settings.names)
    assert n_compared > n * 93 - 93


@pytest.mark.reference
def test_options_of_one_image_type_stay_with_it(ellipsoid, check_equal):
    images = {"Original": {"binCount": 12}, "Gradient": {"distances": [2]}}
    images |= {"Square": {"force2D": True, "weightingNorm": "infinity"}}
    settings = read_settings({"imageType": images, "setting": {"gldm_a": 1}})
    assert check_equal(*ellipsoid(), settings) == 14 + 3 * 93


@pytest.mark.slow
@pytest.mark.reference
def test_many_gray_levels_have_the_values_of_pyradiomics(ellipsoid, check_equal):
    # 500 levels: more matrices than are worked on at a time
    glcm = [name for name in FEATURES["glcm"] if name != "MCC"]
    classes = {"glcm": glcm, "glrlm": [], "ngtdm": [], "glszm": [], "gldm": []}
    content = {"setting": {"binCount": 500}, "featureClass": classes}
    image, mask = ellipsoid()
    n = check_equal(image, mask, read_settings(content))
    assert n == 23 + 16 + 5 + 16 + 14


@pytest.mark.reference
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slice_has_the_values_of_pyradiomics(
    axis, ellipsoid, check_equal, measured, with_classes, same_values
):
    image, mask = ellipsoid()
    thin = np.zeros_like(mask.array)
    place = tuple(6 if k == axis else slice(None) for k in range(3))
    thin[place] = mask.array[place]
    content = {"setting": {"force2D": True, "force2Ddimension": axis}}
    settings = with_classes(content, mask.with_array(thin))
    assert "original_shape2D_Perimeter" in settings.names
    n = check_equal(image, mask.with_array(thin), settings)
    # across y it does not find the slice
    assert n == (107 if axis == 1 else 107 + 9)
    # all three are one slice to us, whichever way it lies
    order = [axis, *(k for k in range(3) if k != axis)]
    turned = [
        Volume(array.transpose(order), tuple(image.spacing_mm[k] for k in order))
        for array in (image.array, thin)
    ]
    found = measured("radlatent", image, mask.with_array(thin), settings)
    upright = {"setting": {"force2D": True}, "featureClass": {"shape2D": None}}
    expected = measured("pyradiomics", *turned, read_settings(upright))
    assert len(expected) == 9
    assert same_values(found, expected) == {}
