"""Settings: pyradiomics' own files, checked key by key."""

import pytest
import yaml

from radlatent.errors import SchemaError
from radlatent.handcrafted import PRESETS, read_settings


def test_presets_give_the_107_original_features():
    for preset in PRESETS:
        names = read_settings(preset).names
        assert len(names) == len(set(names)) == 107
        assert all(name.startswith("original_") for name in names)


@pytest.mark.reference
def test_names_are_those_of_pyradiomics():
    radiomics = pytest.importorskip("radiomics")
    from radlatent.handcrafted.names import FEATURES

    for name, feature_class in radiomics.getFeatureClasses().items():
        features = feature_class.getFeatureNames()
        kept = [f for f, deprecated in features.items() if not deprecated]
        assert list(FEATURES[name]) == kept


def test_an_unknown_key_suggests_the_nearest(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("setting:\n  binwidth: 25\n  lable: 1\n", "utf-8")
    with pytest.raises(SchemaError) as caught:
        read_settings(path)
    text = str(caught.value)
    assert "unknown key 'setting.binwidth'; did you mean 'binWidth'?" in text
    assert "unknown key 'setting.lable'; did you mean 'label'?" in text
    assert str(path) in text


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"imageType": {"wavelet": None}}, "did you mean 'Wavelet'"),
        ({"featureClass": {"glcmm": None}}, "did you mean 'glcm'"),
        ({"featureClass": {"glcm": ["Contrst"]}}, "did you mean 'Contrast'"),
        ({"setting": {"binWidth": 5, "binCount": 32}}, "exclude each other"),
        ({"setting": {"binWidth": 0}}, "setting.binWidth"),
        ({"imageType": {"LoG": None}}, "needs sigma"),
        ({"imageType": {"Wavelet": {"wavelet": "coif99"}}}, "unknown wavelet"),
        ({"featureClass": {"shape2D": None}}, "needs force2D"),
        ({"setting": {"correctMask": True}}, "resample_mask"),
        ({"setting": {"interpolator": "sitkLinearr"}}, "did you mean 'sitkLinear'"),
        ({"voxelSetting": {"kernelRadius": 2}}, "unknown key 'voxelSetting'"),
    ],
)
def test_what_cannot_be_is_refused_by_name(content, expected):
    with pytest.raises(SchemaError, match=expected):
        read_settings(content)


def test_an_unknown_preset_suggests_the_nearest():
    with pytest.raises(SchemaError, match="did you mean 'suv'"):
        read_settings("suvs")


def test_a_file_that_is_not_yaml_is_told(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("setting: [", "utf-8")
    with pytest.raises(SchemaError, match="not YAML"):
        read_settings(path)


def test_columns_are_fixed_by_the_settings():
    settings = read_settings(
        {
            "imageType": {
                "Original": None,
                "LoG": {"sigma": [1.0, 3]},
                "Wavelet": {"level": 2},
            },
            "featureClass": {"shape": ["MeshVolume"], "firstorder": ["Mean"]},
        }
    )
    bands = ["LLH", "LHL", "LHH", "HLL", "HLH", "HHL", "HHH"]
    wavelets = [f"wavelet-{b}" for b in bands] + [f"wavelet2-{b}" for b in bands]
    images = ["original", "log-sigma-1-0-mm-3D", "log-sigma-3-mm-3D", *wavelets]
    expected = [f"{image}_firstorder_Mean" for image in [*images, "wavelet2-LLL"]]
    assert settings.names == ["original_shape_MeshVolume", *expected]


def test_equal_settings_have_equal_keys():
    written_out = {"setting": {"binWidth": 25, "force2D": False}, "imageType": {}}
    assert read_settings(written_out).key == read_settings("hu").key
    assert read_settings("hu").key != read_settings("suv").key


def test_keys_differ_where_values_do():
    setting = {"distances": [2]}
    inherited = {"setting": setting, "imageType": {"Original": None}}
    overridden = {"setting": setting, "imageType": {"Original": {"distances": [1]}}}
    assert read_settings(inherited).key != read_settings(overridden).key


def test_a_null_means_the_default():
    settings = read_settings({"setting": {"binCount": None, "interpolator": None}})
    assert settings.parameters["setting"] == {"label": 1, "additionalInfo": False}


def test_a_null_interpolator_turns_resampling_off():
    content = {"interpolator": None, "resampledPixelSpacing": [1, 1, 1]}
    assert read_settings({"setting": content}).crops


@pytest.mark.parametrize(
    ("image_type", "spacing_mm", "expected"),
    [
        ({"Original": None}, (1, 1, 1), (1, 1, 1)),
        ({"LoG": {"sigma": [1, 3]}}, (5, 1, 0.5), (12, 60, 120)),
        ({"Wavelet": None}, (5, 1, 1), (6, 6, 6)),
        ({"Wavelet": {"level": 2}}, (5, 1, 1), (12, 12, 12)),
    ],
)
def test_margins_keep_what_the_filters_see(image_type, spacing_mm, expected):
    assert (
        read_settings({"imageType": image_type}).margin_voxels(spacing_mm) == expected
    )


WAVELETS_AND_LOG = {"Wavelet": None, "LoG": {"sigma": [1]}}


@pytest.mark.parametrize(
    ("image_type", "expected"),
    [
        ({"Original": None}, [(29, 32), (4, 7), (48, 53)]),
        ({"LoG": {"sigma": [1]}}, [(20, 41), (0, 26), (29, 72)]),
        # y: 5 - 6 is beyond the edge, whose neighbor is the other end
        ({"Wavelet": None}, [(24, 37), (0, 40), (43, 58)]),
        (WAVELETS_AND_LOG, [(20, 41), (0, 40), (29, 72)]),
        ({"Square": None}, [(0, 60), (0, 40), (0, 100)]),
    ],
)
def test_a_box_holds_what_the_image_types_look_at(image_type, expected):
    settings = read_settings({"imageType": image_type})
    tight = slice(30, 31), slice(5, 6), slice(49, 52)
    box = settings.box_around(tight, (2.0, 1.0, 1.0), (60, 40, 100))
    assert [(part.start, part.stop) for part in box] == expected


@pytest.mark.parametrize(
    ("image_type", "start", "expected"),
    [
        (WAVELETS_AND_LOG, 30, [(5, 60), (10, 50), (30, 70)]),
        # one end is reached: a wavelet that is turned sees any other
        (WAVELETS_AND_LOG, 20, [(0, 100)] * 3),
        ({"LoG": {"sigma": [1]}}, 20, [(0, 50), (10, 50), (30, 70)]),
    ],
)
def test_a_box_around_a_lesion_that_moves_is_wider(image_type, start, expected):
    settings = read_settings({"imageType": image_type})
    tight = slice(start, start + 5), slice(29, 31), slice(49, 51)
    box = settings.box_around(
        tight, (1.0, 1.0, 1.0), (100, 100, 100), margin_voxels=(25, 19, 19)
    )
    assert [(part.start, part.stop) for part in box] == expected


@pytest.mark.parametrize(
    "content",
    [
        {"setting": {"normalize": True}},
        {"setting": {"resampledPixelSpacing": [1, 1, 1]}},
        {"imageType": {"Square": None}},
    ],
)
def test_what_needs_the_whole_image_is_not_cropped(content):
    assert not read_settings(content).crops


@pytest.mark.real
def test_the_example_files_of_pyradiomics_are_read(real_data):
    folder = real_data / "pyradiomics_data" / "examples" / "exampleSettings"
    refused = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            read_settings(path)
        except SchemaError as error:
            refused[path.name] = str(error)
    # maps of every voxel are no table; the deprecated features of shape are not kept
    assert sorted(refused) == ["exampleVoxel.yaml", "example_allShape.yaml"]
    assert "voxelSetting" in refused["exampleVoxel.yaml"]


@pytest.mark.reference
@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_files_that_pyradiomics_reads(preset, project_root):
    pytest.importorskip("radiomics")
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    folder = project_root / "radlatent" / "handcrafted" / "presets"
    path = folder / f"{preset}.yaml"
    extractor = RadiomicsFeatureExtractor(str(path))
    content = yaml.safe_load(path.read_text("utf-8"))["setting"]
    assert content.items() <= extractor.settings.items()


def test_a_bare_section_of_ibsi_means_its_defaults(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("setting: {binWidth: 25}\nibsi:\n", "utf-8")
    assert read_settings(path).ibsi == read_settings({"ibsi": {}}).ibsi
    assert read_settings({}).ibsi is None


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"featureClass": {"shape": ["Compactness1"]}}, "pyradiomics deprecates it"),
        ({"setting": {"interpolator": 99}}, "numbers 1 to 10"),
        ({"ibsi": {"round": True}}, "unknown key 'ibsi.round'"),
    ],
)
def test_what_pyradiomics_knows_and_we_refuse_is_told(content, expected):
    with pytest.raises(SchemaError, match=expected):
        read_settings(content)


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_bin_without_end_is_refused(value):
    with pytest.raises(SchemaError, match="finite"):
        read_settings({"setting": {"binWidth": value}})
