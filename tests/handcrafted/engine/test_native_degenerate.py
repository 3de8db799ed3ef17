"""What is degenerate, and what is refused: the values, or the reason."""

import numpy as np
import pytest

from radlatent.cohort import Cohort
from radlatent.errors import EmptyMaskError
from radlatent.handcrafted import extract, read_settings
from radlatent.handcrafted.lesion import engine_of
from radlatent.imaging import write_volume


@pytest.mark.reference
@pytest.mark.parametrize("value", [0, 1, -7, 100, 0.1])
@pytest.mark.parametrize("norm", [None, "euclidean"])
def test_one_gray_level_has_the_values_of_pyradiomics(
    value, norm, ellipsoid, check_equal, measured
):
    image, mask = ellipsoid()
    image = image.with_array(np.full(image.shape, float(value)))
    images = {"Original": {}, "LoG": {"sigma": [2.0]}, "Gradient": {}}
    # of zeros everywhere pyradiomics takes the root; we refuse it, like their square
    images |= {"SquareRoot": {}} if value else {}
    content = {"setting": {"weightingNorm": norm}, "imageType": images}
    settings = read_settings(content)
    n_compared = check_equal(image, mask, settings)
    assert n_compared == 14 + len(images) * 93
    found = measured("radlatent", image, mask, settings)
    assert np.isfinite(list(found.values())).all()
    assert found["original_firstorder_Uniformity"] == 1
    assert found["original_glcm_Correlation"] == 1
    assert found["original_glcm_JointEnergy"] == 1
    assert found["original_ngtdm_Coarseness"] == 1e6


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint16])
def test_the_type_of_whole_numbers_changes_nothing(dtype, ellipsoid, measured):
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
def test_an_image_of_zeros_has_no_such_image(name, ellipsoid):
    image, mask = ellipsoid()
    settings = read_settings({"imageType": {name: {}}})
    with pytest.raises(ValueError, match=r"\w"):
        engine_of("radlatent").measure(
            image.with_array(np.zeros(image.shape)), mask, settings
        )


def only(image, *places):
    """Return an image, and a mask of some voxels of it."""
    mask = np.zeros(image.shape, bool)
    for place in places:
        mask[place] = True
    return image, image.with_array(mask)


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
def test_what_is_too_small_is_refused_with_the_reason(
    places, setting, reason, ellipsoid
):
    settings = read_settings({"setting": setting})
    with pytest.raises(ValueError, match=reason):
        engine_of("radlatent").measure(*only(ellipsoid()[0], *places), settings)


def test_shape2d_of_several_slices_is_refused(ellipsoid):
    content = {"setting": {"force2D": True}, "featureClass": {"shape2D": None}}
    with pytest.raises(ValueError, match="the mask has 2 along axis 0"):
        engine_of("radlatent").measure(
            *only(ellipsoid()[0], 4, 5), read_settings(content)
        )


def test_a_lesion_that_is_refused_keeps_its_row(tmp_path, ellipsoid):
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
def test_arrays_may_lie_anyhow_and_are_not_changed(layout, dtype, ellipsoid, measured):
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


def test_an_empty_mask_is_told(ellipsoid):
    image, mask = ellipsoid()
    with pytest.raises(EmptyMaskError):
        engine_of("radlatent").measure(
            image, mask.with_array(np.zeros_like(mask.array)), read_settings({})
        )


def test_the_version_names_what_values_depend_on():
    assert "numba" in engine_of("radlatent").version()


def test_a_spline_through_two_voxels_is_refused(ellipsoid):
    # ITK's mirror index falls outside of an axis of two: it reads what lies there
    image, mask = ellipsoid(shape=(2, 22, 19))
    settings = read_settings({"setting": {"resampledPixelSpacing": [1, 1, 1]}})
    with pytest.raises(ValueError, match="reads beyond an axis of two"):
        engine_of("radlatent").measure(image, mask, settings)


def test_shape_alone_asks_nothing_of_the_intensities(ellipsoid):
    image, mask = ellipsoid()
    wide = image.with_array(3e10 * np.sign(image.array))
    settings = read_settings({"featureClass": {"shape": None}})
    engine = engine_of("radlatent")
    found = engine.measure(wide, mask, settings)
    assert len(found) == 14
    assert np.isfinite(list(found.values())).all()
    assert found == engine.measure(image, mask, settings)
    # to bin them is refused
    with pytest.raises(ValueError, match="take a larger binWidth"):
        engine.measure(wide, mask, read_settings({}))


@pytest.mark.reference
@pytest.mark.parametrize("force2d", [False, True])
def test_neighbors_beyond_the_lesion_leave_no_matrix(force2d, ellipsoid, check_equal):
    # pyradiomics fails altogether; what needs no neighbor is a number here
    image, _ = ellipsoid()
    mask = np.zeros(image.shape, bool)
    mask[3:5, 3:5, 3:5] = True
    content = {"setting": {"distances": [5], "force2D": force2d}}
    # says that the values of the GLCM are NaN
    assert check_equal(image, image.with_array(mask), read_settings(content)) == 0
    found = engine_of("radlatent").measure(
        image, image.with_array(mask), read_settings(content)
    )
    others = [value for name, value in found.items() if "_glcm_" not in name]
    assert len(others) == 107 - 24
    assert np.isfinite(others).all()
