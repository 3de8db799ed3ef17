"""IBSI-1: the digital phantom and configurations A to E, against reference values."""

import importlib.util
import math
import re

import pandas as pd
import pytest

from radlatent.handcrafted.dictionary import (
    compare_ibsi,
    describe_features,
    markdown_table,
)
from radlatent.handcrafted.lesion import ENGINES

#: The engines; one of them needs pyradiomics.
EACH_ENGINE = [
    pytest.param(name, marks=pytest.mark.reference if name == "pyradiomics" else ())
    for name in ENGINES
]


@pytest.fixture(scope="module")
def ibsi(project_root):
    """Return benchmarks/ibsi.py, which measures and writes docs/ibsi.md."""
    path = project_root / "benchmarks" / "ibsi.py"
    spec = importlib.util.spec_from_file_location("benchmark_ibsi", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", params=EACH_ENGINE)
def phantom(ibsi, request):
    return ibsi.phantom_tables(engine=request.param)


@pytest.fixture(scope="module")
def page(project_root):
    return (project_root / "docs" / "ibsi.md").read_text("utf-8")


def test_the_phantom_decides_what_the_dictionary_says(phantom):
    found = phantom["3D, averaged"]["matches"]
    features = describe_features()
    features = features[features["ibsi"] != "none"]
    assert set(found.index) == set(features.index)
    expected = features["ibsi"] == "matches"
    assert found.to_dict() == expected.to_dict()


@pytest.mark.parametrize(
    ("matrices", "n"),
    [("3D, merged", 39), ("2.5D, averaged", 74), ("2.5D, merged", 39)],
)
def test_every_texture_of_the_phantom_matches(phantom, matrices, n):
    table = phantom[matrices]
    assert len(table) == n
    assert table.index[~table["matches"]].tolist() == []


def test_what_deviates_does_so_as_its_note_says(phantom):
    table = phantom["3D, averaged"]
    kurtosis = table.loc["original_firstorder_Kurtosis"]
    assert round(kurtosis["value"] - 3, 3) == kurtosis["reference"]
    n_voxels = 74
    for axis in ("Major", "Minor", "Least"):
        row = table.loc[f"original_shape_{axis}AxisLength"]
        corrected = row["value"] / math.sqrt(1 - 1 / n_voxels)
        assert f"{corrected:.3g}" == f"{row['reference']:.3g}"


def test_the_documentation_has_the_counts_of_the_phantom(ibsi, phantom, page):
    assert markdown_table(ibsi.counts(phantom, "matrices")) in page


@pytest.mark.real
@pytest.mark.slow
def test_the_documentation_has_the_counts_of_configurations(ibsi, real_data, page):
    tables = ibsi.configuration_tables(real_data / "ibsi")
    assert markdown_table(ibsi.counts(tables, "configuration")) in page
    for name, table in tables.items():
        assert len(table) == 141, name
    # A resamples nothing: all but the kurtosis match without a mode
    wrong = tables["A, pyradiomics"].loc[lambda table: ~table["matches"]]
    assert wrong.index.tolist() == ["original_firstorder_Kurtosis"]


def reference(**values):
    rows = {
        tag: dict(zip(("value", "tolerance"), row, strict=True))
        for tag, row in values.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "tolerance"])


@pytest.mark.parametrize(
    ("value", "wanted", "tolerance", "matches"),
    [
        (10.0, 9.0, 1.0, True),
        (0.3, 0.1, 0.2, True),  # 0.3 - 0.1 > 0.2 in binary fractions
        (10.01, 9.0, 1.0, False),
        (2.1549, 2.15, 0.0, True),
        (2.1551, 2.15, 0.0, False),
        (2.1549, 2.15, math.nan, True),
        (-0.3546, -0.355, 0.0, True),
        (0.9995, 1.0, 0.0, True),
        (1.006, 1.0, 0.0, False),
        (1494.0, 1490.0, 0.0, True),
        (math.nan, 1.0, 1.0, False),
        (math.nan, 1.0, 0.0, False),
    ],
)
def test_a_tolerance_or_else_three_digits_decide(value, wanted, tolerance, matches):
    table = compare_ibsi(
        {"original_firstorder_Mean": value}, reference(stat_mean=(wanted, tolerance))
    )
    assert table["matches"].tolist() == [matches]


def test_a_value_is_compared_where_name_and_aggregation_have_a_reference():
    table = compare_ibsi(
        {
            "original_glcm_Contrast": 5.0,
            "original_glcm_MCC": 1.0,
            "original_glszm_ZoneEntropy": 2.0,
            "original_shape_Flatness": 0.5,
            "wavelet-LLH_glcm_Contrast": 5.0,
        },
        reference(
            cm_contrast_3D_avg=(1.0, 0.0),
            cm_contrast_2_5D_comb=(5.12, 0.5),
            szm_zs_entr_2_5D=(2.5, 0.1),
            morph_pca_elongation=(0.5, 0.1),
        ),
        aggregation="2_5D_comb",
    )
    assert table["tag"].to_dict() == {
        "original_glcm_Contrast": "cm_contrast_2_5D_comb",
        "original_glszm_ZoneEntropy": "szm_zs_entr_2_5D",
    }
    assert table["matches"].tolist() == [True, False]
    assert table["difference"].tolist() == pytest.approx([-0.12, -0.5])


def test_the_phantom_is_described_where_it_lies(project_root):
    folder = project_root / "tests" / "data" / "ibsi"
    text = (folder / "README.md").read_text("utf-8")
    for path in folder.iterdir():
        assert path.name == "README.md" or f"`{path.name}`" in text
    assert re.search(r"CC BY 4\.0", text)
