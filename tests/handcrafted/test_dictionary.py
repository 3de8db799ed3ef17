"""The dictionary: complete, consistent, and its units are those of the values."""

import re

import numpy as np
import pytest

from radlatent.errors import SchemaError
from radlatent.handcrafted import read_settings
from radlatent.handcrafted.dictionary import (
    SOURCES,
    describe_features,
    features_markdown,
)
from radlatent.handcrafted.lesion import ENGINES, engine_of
from radlatent.handcrafted.names import FEATURES
from radlatent.imaging import Volume

#: The engines; one of them needs pyradiomics.
EACH_ENGINE = [
    pytest.param(name, marks=pytest.mark.reference if name == "pyradiomics" else ())
    for name in ENGINES
]
UNIT = re.compile(r"(mm|image unit|gray level|voxel)(?:\^(-?\d))?")


@pytest.fixture(scope="module")
def features():
    return describe_features()


def test_every_feature_has_one_row_in_the_order_of_the_columns(features):
    found = features.groupby("family")["feature"].apply(tuple).to_dict()
    assert found == FEATURES
    assert len(features) == 116
    assert (
        features.index == "original_" + features["family"] + "_" + features["feature"]
    ).all()


def test_every_cell_that_must_be_filled_is(features):
    assert (features[["source", "unit", "ibsi"]] != "").all(axis=None)
    assert set(features["source"]) == set(SOURCES)
    assert set(features["ibsi"]) == {"matches", "deviates", "none"}
    explained = features["ibsi"] != "matches"
    assert (features.loc[explained, "note"] != "").all()


def test_every_feature_of_ibsi_has_its_own_code(features):
    codes = features.loc[features["ibsi"] != "none", "ibsi_code"]
    assert codes.str.fullmatch("[0-9A-Z]{4}").all()
    assert codes.is_unique
    assert (features.loc[features["ibsi"] == "none", "ibsi_code"] == "").all()


def test_settings_give_a_row_for_each_of_their_columns():
    settings = read_settings(
        {"imageType": {"Original": None, "Wavelet": None, "LoG": {"sigma": [1.5]}}}
    )
    features = describe_features(settings)
    assert list(features.index) == settings.names
    row = features.loc["wavelet-LLH_glcm_Contrast"]
    assert row[["image", "family", "feature"]].tolist() == [
        "wavelet-LLH",
        "glcm",
        "Contrast",
    ]
    assert row["ibsi_code"] == "ACUI"
    filtered = features[features["image"] != "original"]
    assert set(filtered["ibsi"]) == {"none"}
    assert filtered["note"].str.startswith("filtered image").all()
    assert features.loc["original_glcm_Contrast", "ibsi"] == "matches"


def test_what_is_given_back_may_be_changed():
    table = describe_features()
    table["unit"] = "nothing"
    assert (describe_features()["unit"] != "nothing").all()


def test_settings_that_make_another_measure_take_back_the_match():
    content = {"setting": {"distances": [1, 2], "gldm_a": 1}}
    table = describe_features(content)
    assert table.loc["original_glcm_Contrast", "ibsi"] == "none"
    assert "distances" in table.loc["original_ngtdm_Busyness", "note"]
    assert table.loc["original_glrlm_RunEntropy", "ibsi"] == "matches"
    patterns = describe_features({"imageType": {"LBP2D": None}})
    assert patterns.loc["lbp-2D_firstorder_Mean", "unit"] == "pattern"


def test_unknown_settings_are_refused():
    with pytest.raises(SchemaError, match="did you mean 'featureClass'"):
        describe_features({"featureclass": {"glcm": None}})


def exponents(unit):
    return {name: int(power or 1) for name, power in UNIT.findall(unit)}


@pytest.mark.parametrize("engine", EACH_ENGINE)
@pytest.mark.parametrize("force2d", [False, True])
@pytest.mark.parametrize("scaled", ["mm", "image unit"])
def test_units_say_how_values_scale(features, rng, scaled, force2d, engine):
    grid = np.indices((9, 9, 9)) - 4
    inside = (grid**2 * np.array([1.0, 1.5, 2.5]).reshape(3, 1, 1, 1)).sum(axis=0) < 14
    if force2d:
        inside[np.arange(9) != 4] = False
    values = rng.uniform(-300, 300, inside.shape)
    classes = [name for name in FEATURES if force2d or name != "shape2D"]
    if force2d:
        classes.remove("shape")

    def measured(factors):
        settings = read_settings(
            {
                "setting": {"binWidth": 25 * factors["image unit"], "force2D": force2d},
                "featureClass": dict.fromkeys(classes),
            }
        )
        spacing = tuple(factors["mm"] * s for s in (2.0, 1.0, 1.5))
        image = Volume(factors["image unit"] * values, spacing)
        return engine_of(engine).measure(image, Volume(inside, spacing), settings)

    before = measured({"mm": 1, "image unit": 1})
    after = measured({"mm": 1, "image unit": 1} | {scaled: 2})
    assert len(before) >= 93
    for name, value in before.items():
        power = exponents(features.loc[name, "unit"]).get(scaled, 0)
        assert after[name] == pytest.approx(2**power * value, rel=1e-9, abs=1e-12), name


def test_the_page_of_the_documentation_is_generated(project_root):
    page = (project_root / "docs" / "features.md").read_text("utf-8")
    assert page == features_markdown(), "run: radlatent features --out docs/features.md"
    assert "99 of 116 features match IBSI-1" in page


def test_a_page_for_settings_cites_only_what_it_uses():
    page = features_markdown({"featureClass": {"ngtdm": ["Contrast"]}})
    assert page.count("| Contrast | 65HE | gray level^3 | matches |") == 1
    assert "Amadasun" in page
    assert "Haralick" not in page
