"""The engine equals pyradiomics: random lesions, every setting, and what is degenerate.

What "equals" means, and where rounding is all there is to compare: conftest.py.
"""

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from radlatent.cohort import Cohort
from radlatent.errors import EmptyMaskError
from radlatent.handcrafted import extract, read_settings
from radlatent.handcrafted.lesion import engine_of
from radlatent.handcrafted.names import FEATURES
from radlatent.imaging import Volume, single_thread, write_volume

CLASSES = [name for name in FEATURES if name != "shape2D"]
SPACING_MM = (2.0, 0.7, 1.3)


# --- random lesions ------------------------------------------------------------------


def everywhere(shape, rng):
    return np.ones(shape, bool)


def sparse(shape, rng):
    return rng.random(shape) < rng.choice([0.05, 0.2, 0.5, 0.8])


def plane(shape, rng):
    axis = rng.integers(3)
    here = np.indices(shape)[axis] == rng.integers(shape[axis])
    return here & (rng.random(shape) < 0.8)


def line(shape, rng):
    mask = np.zeros(shape, bool)
    place = [rng.integers(n) for n in shape]
    place[rng.integers(3)] = slice(None)
    mask[tuple(place)] = True
    return mask


def diagonal(shape, rng):
    mask = np.zeros(shape, bool)
    steps = np.arange(min(shape))
    mask[steps, steps, steps] = True
    return mask


def slanted_planes(shape, rng):
    return np.indices(shape).sum(axis=0) % rng.integers(2, 7) == 0


def from_center(shape, rng):
    """Return the square of the distance from a random center, in random radii."""
    n = np.reshape(shape, (3, 1, 1, 1))
    center, radii = rng.uniform(0, 1, n.shape) * n, rng.uniform(0.3, 0.8, n.shape) * n
    return (((np.indices(shape) - center) / radii) ** 2).sum(axis=0)


def ball(shape, rng):
    return from_center(shape, rng) <= 1


def hollow_ball(shape, rng):
    return abs(from_center(shape, rng) - 0.75) <= 0.25


def hollow_box(shape, rng):
    mask = np.ones(shape, bool)
    mask[1:-1, 1:-1, 1:-1] = False
    return mask


def blobs(shape, rng):
    mask = np.zeros(shape, bool)
    for _ in range(3):
        corner = [rng.integers(n) for n in shape]
        mask[tuple(slice(k, k + rng.integers(1, 4)) for k in corner)] = True
    return mask


MASKS = [everywhere, sparse, plane, line, diagonal, slanted_planes]
MASKS += [ball, hollow_ball, hollow_box, blobs]


def noise(shape, rng):
    return 100 * rng.standard_normal(shape)


def smooth(shape, rng):
    z, y, x = np.indices(shape) / 14
    return 300 * np.sin(3 * z + rng.random()) * np.cos(2 * y) + 100 * x


def flat(shape, rng):
    return np.full(shape, rng.choice([1, -7, 100, 1.1]))


def three_levels(shape, rng):
    return 30.0 * rng.integers(0, 3, shape)


def checkerboard(shape, rng):
    return 100.0 * (np.indices(shape).sum(axis=0) % 2)


def heavy_tailed(shape, rng):
    return np.exp(rng.normal(3, 2, shape)).clip(max=30_000)


def positive(shape, rng):
    return rng.integers(1, 400, shape).astype(float)


TEXTURES = [noise, smooth, flat, three_levels, checkerboard, heavy_tailed, positive]
SIDES_MM = [0.5, 0.7, 1.0, 1.3, 2.5, 5.0]


#: What `lesion_of` takes. Two voxels along an axis are left out: ITK's B-spline reads
#: memory beyond their mirror image.
LESIONS = st.fixed_dictionaries(
    {
        "shape": st.tuples(*[st.integers(3, 14)] * 3),
        "spacing_mm": st.tuples(*[st.sampled_from(SIDES_MM)] * 3),
        "seed": st.integers(0, 10**6),
        "mask": st.sampled_from(MASKS),
        "texture": st.sampled_from(TEXTURES),
        "dtype": st.sampled_from([np.int16, np.int32, np.float32, np.float64]),
        "margin": st.sampled_from([0, 0, 1, 3]),
    }
)


def lesion_of(shape, spacing_mm, seed, mask, texture, dtype, margin):
    """Return an image, and a mask that does not fill it; at 0 it touches the border."""
    rng = np.random.default_rng(seed)
    inside = np.pad(mask(shape, rng), margin)
    values = np.pad(texture(shape, rng), margin, "edge").astype(dtype)
    inside[0, 0, 0] &= not inside.all()
    return Volume(values, spacing_mm), Volume(inside, spacing_mm)


def resampled(*spacing_mm, interpolator):
    name = f"sitk{interpolator}"
    return {"resampledPixelSpacing": list(spacing_mm), "interpolator": name}


NORMS = ["manhattan", "euclidean", "infinity", "no_weighting"]

#: Of each row one is drawn.
OPTIONS = [
    [
        *({}, {"binWidth": 10}, {"binWidth": 25.0}, {"binWidth": 28.5}),
        *({"binCount": 1}, {"binCount": 8}, {"binCount": 33}),
    ],
    [{}, {}, {}, *({"force2D": True, "force2Ddimension": axis} for axis in range(3))],
    [{}, {}, {"distances": [2]}, {"distances": [1, 2]}, {"distances": [3]}],
    [{}, {"gldm_a": 1}],
    [{}, {"symmetricalGLCM": False}],
    [{}, {}, {}, {}, *({"weightingNorm": norm} for norm in NORMS)],
    [
        *({}, {}, {}, {"resegmentRange": [-50, 150]}, {"resegmentRange": [0]}),
        {"resegmentRange": [-1, 1.5], "resegmentMode": "sigma"},
        {"resegmentRange": [0.2, 0.9], "resegmentMode": "relative"},
        {"resegmentRange": [-50, 150], "resegmentShape": True},
    ],
    [
        *({}, {}, {}, {"normalize": True, "normalizeScale": 100}),
        {"normalize": True, "normalizeScale": 50, "removeOutliers": 2},
    ],
    [
        *({}, {}, {}, {}),
        resampled(1, 1, 1, interpolator="BSpline"),
        resampled(2, 1.5, 0, interpolator="Linear"),
        resampled(0.9, 0.9, 2.5, interpolator="NearestNeighbor"),
        resampled(0, 0, 1.1, interpolator="BSpline"),
    ],
    [{}, {}, {"preCrop": True}, {"preCrop": True, "padDistance": 2}],
    [{}, {"minimumROIDimensions": 1}, {"minimumROISize": 5}],
    [{}, {}, {"voxelArrayShift": 300}],
]
IMAGE_TYPES = [
    {"LoG": {"sigma": [1.0]}},
    {"LoG": {"sigma": [0.5, 3.0]}},
    {"Wavelet": {}},
    {"Wavelet": {"wavelet": "haar", "level": 2}},
    {"Wavelet": {"wavelet": "db2", "start_level": 1}},
    *({name: {}} for name in ("Square", "SquareRoot", "Logarithm", "Exponential")),
    {"Gradient": {}},
    {"Gradient": {"gradientUseSpacing": False}},
]


@st.composite
def contents(draw):
    """Draw a parameter file: an option of each row, and up to two more images."""
    setting = {}
    for row in OPTIONS:
        setting |= draw(st.sampled_from(row))
    images = {"Original": {}}
    for more in draw(st.lists(st.sampled_from(IMAGE_TYPES), max_size=2)):
        images |= more
    return {"setting": setting, "imageType": images}


def one_slice(mask, axis):
    return mask.any(axis=tuple(k for k in range(3) if k != axis)).sum() == 1


def with_classes(content, mask):
    """Add every class that fits the mask."""
    options = content["setting"]
    classes = list(CLASSES)
    if options.get("force2D") and one_slice(mask.array, options["force2Ddimension"]):
        classes.append("shape2D")
    return read_settings(content | {"featureClass": dict.fromkeys(classes)})


def measured(engine, image, mask, settings):
    """Return values, or the error."""
    try:
        # means of threads are added up in any order
        with single_thread():
            return engine_of(engine).measure(image, mask, settings)
    except (ValueError, RuntimeError) as error:
        return error


def n_matrices(options):
    """Return over how many GLCM a feature is averaged at most."""
    if options.weightingNorm is not None:
        return 1
    return sum(((2 * d + 1) ** 3 - (2 * d - 1) ** 3) // 2 for d in options.distances)


def check_equal(same_values, image, mask, settings):
    """Return how many values were compared."""
    found = measured("radlatent", image, mask, settings)
    expected = measured("pyradiomics", image, mask, settings)
    if isinstance(expected, RuntimeError):
        # distances wider than a slice ("Error getting angle count"): we leave NaN
        assert "angle count" in str(expected)
        return 0
    if isinstance(expected, ValueError):
        assert isinstance(found, ValueError), expected
        return 0
    assert not isinstance(found, Exception), found
    names = set(settings.names)
    # it looks for the slice of shape2D along the wrong axis, and skips the class
    skipped = {name for name in names - expected.keys() if "_shape2D_" in name}
    # a filter wider than the image
    absent = {name for name in names - expected.keys() if name.startswith("log-sigma")}
    assert names - found.keys() == absent
    assert names - expected.keys() == skipped | absent
    assert same_values(found, expected, n_matrices(settings.setting)) == {}
    return len(found.keys() & expected.keys())


@pytest.mark.slow
@pytest.mark.reference
@hypothesis_settings(
    max_examples=250,
    phases=[Phase.generate],
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(LESIONS, contents())
def test_random_lesions_have_the_values_of_pyradiomics(same_values, lesion, content):
    image, mask = lesion_of(**lesion)
    if mask.array.sum() > 1:
        check_equal(same_values, image, mask, with_classes(content, mask))


# --- every setting -------------------------------------------------------------------


def ellipsoid(dtype=np.float64, shape=(13, 22, 19)):
    """Return an image of smooth noise and an ellipsoid with a hole in it."""
    rng = np.random.default_rng(7)
    values = rng.standard_normal(shape).cumsum(axis=1).cumsum(axis=2)
    values = 40 * values / values.std() + 15 * rng.standard_normal(shape) + 60
    grid = np.indices(shape) - np.reshape(shape, (3, 1, 1, 1)) / 2
    inside = (grid / np.reshape([5, 8, 7], (3, 1, 1, 1))) ** 2
    mask = abs(inside.sum(axis=0) - 0.55) <= 0.45
    return Volume(values.astype(dtype), SPACING_MM), Volume(mask, SPACING_MM)


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
def test_every_setting_has_the_values_of_pyradiomics(options, same_values):
    settings = read_settings({"setting": options})
    assert check_equal(same_values, *ellipsoid(), settings) == 107


@pytest.mark.slow
@pytest.mark.reference
@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int32, np.float32])
@pytest.mark.parametrize("force2d", [False, True])
def test_every_image_type_has_the_values_of_pyradiomics(force2d, dtype, same_values):
    images = {"Original": {}, "LoG": {"sigma": [1, 2.5]}, "Gradient": {}}
    images |= {"Wavelet": {"level": 2}, "Square": {}, "SquareRoot": {}}
    images |= {"Logarithm": {}, "Exponential": {}}
    setting = {"binCount": 24, "force2D": force2d}
    settings = read_settings({"setting": setting, "imageType": images})
    image, mask = ellipsoid()
    image = image.with_array((image.array - image.array.min()).astype(dtype))
    n = 8 + 16 if not force2d else 8 + 8
    n_compared = check_equal(same_values, image, mask, settings)
    assert n_compared == len(settings.names)
    assert n_compared > n * 93 - 93


@pytest.mark.reference
def test_options_of_one_image_type_stay_with_it(same_values):
    images = {"Original": {"binCount": 12}, "Gradient": {"distances": [2]}}
    images |= {"Square": {"force2D": True, "weightingNorm": "infinity"}}
    settings = read_settings({"imageType": images, "setting": {"gldm_a": 1}})
    assert check_equal(same_values, *ellipsoid(), settings) == 14 + 3 * 93


@pytest.mark.slow
@pytest.mark.reference
def test_many_gray_levels_have_the_values_of_pyradiomics(same_values):
    # 500 levels: more matrices than are worked on at a time
    glcm = [name for name in FEATURES["glcm"] if name != "MCC"]
    classes = {"glcm": glcm, "glrlm": [], "ngtdm": [], "glszm": [], "gldm": []}
    content = {"setting": {"binCount": 500}, "featureClass": classes}
    image, mask = ellipsoid()
    n = check_equal(same_values, image, mask, read_settings(content))
    assert n == 23 + 16 + 5 + 16 + 14


@pytest.mark.reference
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slice_has_the_values_of_pyradiomics(axis, same_values):
    image, mask = ellipsoid()
    thin = np.zeros_like(mask.array)
    place = tuple(6 if k == axis else slice(None) for k in range(3))
    thin[place] = mask.array[place]
    content = {"setting": {"force2D": True, "force2Ddimension": axis}}
    settings = with_classes(content, mask.with_array(thin))
    assert "original_shape2D_Perimeter" in settings.names
    n = check_equal(same_values, image, mask.with_array(thin), settings)
    # across y it does not find the slice
    assert n == (107 if axis == 1 else 107 + 9)
    # all three are one slice to us, whichever way it lies
    order = [axis, *(k for k in range(3) if k != axis)]
    turned = [
        Volume(array.transpose(order), tuple(SPACING_MM[k] for k in order))
        for array in (image.array, thin)
    ]
    found = measured("radlatent", image, mask.with_array(thin), settings)
    upright = {"setting": {"force2D": True}, "featureClass": {"shape2D": None}}
    expected = measured("pyradiomics", *turned, read_settings(upright))
    assert len(expected) == 9
    assert same_values(found, expected) == {}


# --- what is degenerate --------------------------------------------------------------


@pytest.mark.reference
@pytest.mark.parametrize("value", [0, 1, -7, 100, 0.1])
@pytest.mark.parametrize("norm", [None, "euclidean"])
def test_one_gray_level_has_the_values_of_pyradiomics(value, norm, same_values):
    image, mask = ellipsoid()
    image = image.with_array(np.full(image.shape, float(value)))
    images = {"Original": {}, "LoG": {"sigma": [2.0]}, "Gradient": {}}
    # of zeros everywhere pyradiomics takes the root; we refuse it, like their square
    images |= {"SquareRoot": {}} if value else {}
    content = {"setting": {"weightingNorm": norm}, "imageType": images}
    settings = read_settings(content)
    n_compared = check_equal(same_values, image, mask, settings)
    assert n_compared == 14 + len(images) * 93
    found = measured("radlatent", image, mask, settings)
    assert np.isfinite(list(found.values())).all()
    assert found["original_firstorder_Uniformity"] == 1
    assert found["original_glcm_Correlation"] == 1
    assert found["original_glcm_JointEnergy"] == 1
    assert found["original_ngtdm_Coarseness"] == 1e6


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint16])
def test_the_type_of_whole_numbers_changes_nothing(dtype):
    # pyradiomics' bin edges wrap around at the ends of these types
    image, mask = ellipsoid()
    info = np.iinfo(dtype)
    rng = np.random.default_rng(0)
    values = rng.integers(info.min, info.max, image.shape, endpoint=True)
    width = (int(info.max) - int(info.min)) / 30
    settings = read_settings({"setting": {"binWidth": width}})
    found = measured(
        "radlatent", image.with_array(values.astype(dtype)), mask, settings
    )
    wide = measured(
        "radlatent", image.with_array(values.astype(np.int64)), mask, settings
    )
    for name, value in wide.items():
        assert found[name] == pytest.approx(value, rel=1e-13, nan_ok=True), name


@pytest.mark.parametrize("name", ["Square", "Logarithm", "Exponential"])
def test_an_image_of_zeros_has_no_such_image(name):
    image, mask = ellipsoid()
    settings = read_settings({"imageType": {name: {}}})
    with pytest.raises(ValueError, match=r"\w"):
        engine_of("radlatent").measure(
            image.with_array(np.zeros(image.shape)), mask, settings
        )


def only(*places):
    """Return an image of noise, and a mask of some voxels of it."""
    image, _ = ellipsoid()
    mask = np.zeros(image.shape, bool)
    for place in places:
        mask[place] = True
    return image, Volume(mask, SPACING_MM)


@pytest.mark.parametrize(
    ("places", "setting", "reason"),
    [
        ([(5, 5, 5)], {"minimumROIDimensions": 1}, "axes of more than one are needed"),
        ([(5, 5)], {}, r"extends over \(1, 1, 19\) voxels .* 2 axes"),
        ([5], {"minimumROIDimensions": 3}, r"\(1, 22, 19\) voxels .* 3 axes"),
        ([5], {"minimumROISize": 22 * 19}, "more than 418 are needed"),
        ([5], {"resegmentRange": [1e6, 2e6]}, "leaves 0 of 418 voxels"),
        ([5], {"binWidth": 1e-9}, "take a larger binWidth"),
    ],
)
def test_what_is_too_small_is_refused_with_the_reason(places, setting, reason):
    settings = read_settings({"setting": setting})
    with pytest.raises(ValueError, match=reason):
        engine_of("radlatent").measure(*only(*places), settings)


def test_shape2d_of_several_slices_is_refused():
    content = {"setting": {"force2D": True}, "featureClass": {"shape2D": None}}
    with pytest.raises(ValueError, match="the mask has 2 along axis 0"):
        engine_of("radlatent").measure(*only(4, 5), read_settings(content))


def test_a_lesion_that_is_refused_keeps_its_row(tmp_path):
    image, mask = ellipsoid()
    write_volume(image, tmp_path / "image.nii.gz")
    write_volume(mask.with_array(mask.array.astype(np.uint8)), tmp_path / "mask.nii.gz")
    card = "name: one\nmodalities: {mr: {unit: arbitrary}}\n"
    (tmp_path / "cohort.yml").write_text(card, "utf-8")
    cases = "case_id,patient_id,image_mr,mask\nx,x,image.nii.gz,mask.nii.gz\n"
    (tmp_path / "cases.csv").write_text(cases, "utf-8")
    content = {"setting": {"resegmentRange": [1e6, 2e6]}}
    extraction = extract(Cohort.read(tmp_path), settings=content)
    assert extraction.features.loc["x"].isna().all()
    assert len(extraction.features.columns) == 107
    assert extraction.failures["case_id"].tolist() == ["x"]
    assert "leaves 0 of" in extraction.failures["message"].item()


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.float64])
@pytest.mark.parametrize("layout", ["read-only", "Fortran", "strided", "reversed"])
def test_arrays_may_lie_anyhow_and_are_not_changed(layout, dtype):
    image, mask = ellipsoid(dtype)
    images = {"Original": {}, "LoG": {"sigma": [1.0]}, "Wavelet": {}, "Square": {}}
    images |= {"Gradient": {}, "LBP2D": {}, "LBP3D": {}}
    setting = {"binCount": 16}
    settings = read_settings({"imageType": images, "setting": setting})

    def laid_out(array):
        if layout == "Fortran":
            return np.asfortranarray(array)
        if layout == "strided":
            return np.repeat(array, 2, axis=2)[:, :, ::2]
        if layout == "reversed":
            return np.ascontiguousarray(array[::-1, :, ::-1])[::-1, :, ::-1]
        array.setflags(write=False)
        return array

    expected = measured("radlatent", image, mask, settings)
    volumes = [v.with_array(laid_out(v.array.copy())) for v in (image, mask)]
    found = measured("radlatent", *volumes, settings)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        # arrays of another order are added up in another order
        assert found[name] == pytest.approx(value, rel=1e-12, nan_ok=True), name
    np.testing.assert_array_equal(volumes[0].array, image.array)
    np.testing.assert_array_equal(volumes[1].array, mask.array)


def test_an_empty_mask_is_told():
    image, mask = ellipsoid()
    with pytest.raises(EmptyMaskError):
        engine_of("radlatent").measure(
            image, mask.with_array(np.zeros_like(mask.array)), read_settings({})
        )


def test_the_version_names_what_values_depend_on():
    assert "numba" in engine_of("radlatent").version()


def test_a_spline_through_two_voxels_is_refused():
    # ITK's mirror index falls outside of an axis of two: it reads what lies there
    image, mask = ellipsoid(shape=(2, 22, 19))
    settings = read_settings({"setting": {"resampledPixelSpacing": [1, 1, 1]}})
    with pytest.raises(ValueError, match="reads beyond an axis of two"):
        engine_of("radlatent").measure(image, mask, settings)
