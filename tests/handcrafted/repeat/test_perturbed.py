"""Stability of a cohort's features under perturbations: known answers, no row lost."""

import numpy as np
import pandas as pd
import pytest

from radlatent.cohort import Cohort, simulate
from radlatent.errors import SchemaError
from radlatent.handcrafted import extract, read_settings
from radlatent.handcrafted.lesion import Lesion, engine_of
from radlatent.handcrafted.repeat.perturb import (
    Perturbation,
    draw_perturbations,
    perturb,
)
from radlatent.handcrafted.repeat.perturbed import (
    _wide_box,
    measure_perturbed,
    stability,
)
from radlatent.imaging import Volume, read_volume, write_volume

FEW = {
    "featureClass": {
        "shape": ["MeshVolume", "Sphericity"],
        "firstorder": ["Mean", "Variance"],
        "glcm": ["Idm"],
    },
    "setting": {"binCount": 16},
}
NOISE = draw_perturbations(3, kinds=["noise"])


def estimates(found, coefficient="ICC(2,1)"):
    table = found.table[found.table["icc"] == coefficient]
    return table.set_index("feature")["estimate"]


def rewrite(path, change):
    volume = read_volume(path)
    write_volume(volume.with_array(change(volume.array)), path)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("simulated") / "cohort", n_patients=10)


@pytest.fixture(scope="module")
def of_noise(simulated):
    return stability(simulated, settings=FEW, perturbations=NOISE)


def test_noise_leaves_shape_alone_and_touches_texture(of_noise, simulated):
    n = len(simulated.included)
    table = of_noise.table
    shape = table[table["feature"].str.contains("_shape_")]
    assert len(shape) == 8
    assert (shape[["estimate", "lower", "upper"]] == 1.0).all(axis=None)
    texture = table[table["feature"].str.contains("_glcm_")]
    assert (texture["estimate"] < 0.999).all()
    assert (table["n"] == n).all()
    assert (table["k"] == 3).all()
    assert of_noise.failures.empty


@pytest.mark.slow
def test_strong_noise_leaves_shape_alone_and_ruins_texture(tmp_path, rng):
    # 300 HU, where textures differ by tens
    cohort = simulate(tmp_path / "cohort", n_patients=6)
    for path in (tmp_path / "cohort" / "images").rglob("ct_image.nii.gz"):
        noise = 300 * rng.standard_normal(read_volume(path).shape)
        rewrite(path, lambda array, noise=noise: array + noise)
    found = stability(cohort, settings=FEW, perturbations=NOISE)
    found = estimates(found).filter(like="ct_")
    assert (found.filter(like="_shape_") == 1.0).all()
    assert found["ct_handcrafted__original_firstorder_Variance"] < 0.9
    assert found["ct_handcrafted__original_glcm_Idm"] < 0.9


@pytest.mark.slow
def test_the_perturbation_that_changes_nothing_measures_what_extract_does(simulated):
    settings = FEW | {"imageType": {"Original": {}, "LoG": {"sigma": [2.0]}}}
    same = [Perturbation(), Perturbation(seed=1)]
    found = stability(simulated, settings=settings, perturbations=same)
    plain = extract(simulated, settings=settings).features
    for number in (0, 1):
        rows = found.features[found.features["perturbation"] == number]
        rows = rows.set_index("case_id").drop(columns="perturbation")
        # another crop: LoG's tails, as in the note of extract
        pd.testing.assert_frame_equal(rows, plain, rtol=1e-6)


@pytest.mark.slow
def test_wavelets_at_the_edge_of_the_image_see_its_far_side(simulated):
    settings = {"featureClass": {"firstorder": ["Variance"]}}
    settings |= {"imageType": {"Wavelet": {}}}
    same = [Perturbation(), Perturbation()]
    found = stability(simulated, settings=settings, perturbations=same)
    rows = found.features[found.features["perturbation"] == 0]
    plain = extract(simulated, settings=settings).features
    rows = rows.set_index("case_id").drop(columns="perturbation")
    pd.testing.assert_frame_equal(rows, plain, rtol=1e-9)


@pytest.mark.slow
def test_lesions_are_cropped_where_that_keeps_the_values(tmp_path, rng):
    grid = np.indices((40, 200, 210)) - np.reshape([20, 98, 107], (3, 1, 1, 1))
    inside = np.sqrt((grid**2 * np.reshape([4, 1, 1], (3, 1, 1, 1))).sum(axis=0)) < 9
    spacing_mm = (2.0, 1.0, 1.0)
    image = Volume(100.0 * inside + 20 * rng.standard_normal(inside.shape), spacing_mm)
    mask = Volume(inside.astype(np.uint8), spacing_mm)
    paths = tmp_path / "image.nii.gz", tmp_path / "mask.nii.gz"
    write_volume(image, paths[0])
    write_volume(mask, paths[1])
    settings = read_settings(FEW | {"imageType": {"LoG": {"sigma": [1.0]}}})
    drawn = draw_perturbations(3, kinds=["rotation", "translation", "volume"])
    lesion = Lesion("case", *paths, None, False, settings, "radlatent")
    box = _wide_box(mask, settings, drawn)
    assert all(
        0 < part.start < part.stop < n
        for part, n in zip(box[1:], (200, 210), strict=True)
    )
    found = measure_perturbed(lesion, drawn)["features"]
    for one, values in zip(drawn, found, strict=True):
        whole = engine_of("radlatent").measure(*perturb(image, mask, one), settings)
        # what a spline leaves of the edge of a crop
        assert values == pytest.approx([whole[n] for n in settings.names], rel=1e-5)


def test_volumes_follow_the_growth(tiny_cohort):
    drawn = [Perturbation(volume_change=change) for change in (-0.1, 0.0, 0.2)]
    settings = {"featureClass": {"shape": ["VoxelVolume"]}}
    found = stability(tiny_cohort, settings=settings, perturbations=drawn)
    column = "ct_handcrafted__original_shape_VoxelVolume"
    voxels = found.features[column].to_numpy().reshape(3, 3).T / 8
    for number, change in enumerate((-0.1, 0.0, 0.2)):
        expected = [round(n * (1 + change)) for n in voxels[1]]
        np.testing.assert_allclose(voxels[number], expected, rtol=1e-12)
    assert found.perturbations["volume_change"].tolist() == [-0.1, 0.0, 0.2]


def test_lesions_do_not_share_their_noise(tiny_folder):
    # one lesion twice, at another value: with shared noise the differences are equal
    for role in ("image", "mask"):
        source = (tiny_folder / "p1" / f"ct_{role}.nii.gz").read_bytes()
        (tiny_folder / "p2" / f"ct_{role}.nii.gz").write_bytes(source)
    rewrite(tiny_folder / "p2" / "ct_image.nii.gz", lambda a: a + 1000)
    settings = {"ct": {"featureClass": {"firstorder": ["Mean"]}}, "pet": FEW}
    found = stability(tiny_folder, settings=settings, perturbations=NOISE)
    means = found.features.set_index("case_id").filter(like="ct_").squeeze()
    apart = means["p2"].to_numpy() - means["p1"].to_numpy()
    assert apart.mean() == pytest.approx(1000, abs=20)
    assert apart.std() > 0.5


def test_a_case_that_fails_once_does_not_count_and_is_told(tiny_folder):
    def one_slice(array):
        # 4 voxels: too few once they shrink to one
        small = np.zeros_like(array)
        small[8, 8, 7:10] = 1
        small[8, 9, 7] = 1
        return small

    rewrite(tiny_folder / "p1" / "ct_mask.nii.gz", one_slice)
    (tiny_folder / "p2" / "pet_image.nii.gz").write_bytes(b"no image")
    drawn = [Perturbation(), Perturbation(volume_change=-0.8)]
    cohort = Cohort.read(tiny_folder)
    found = stability(cohort, settings=FEW, perturbations=drawn)
    by_feature = found.table.set_index("feature")["n"]
    assert set(by_feature.filter(like="ct_")) == {2}
    assert set(by_feature.filter(like="pet_")) == {2}
    assert len(found.features) == 6
    ct = found.features.set_index(["case_id", "perturbation"]).filter(like="ct_")
    assert ct.loc[("p1", 0)].notna().any()
    assert ct.loc[("p1", 1)].isna().all()
    failures = found.failures
    once = failures[failures["stage"] == "stability ct"].iloc[0]
    assert once["case_id"] == "p1"
    assert once["error"] == "EmptyMaskError"
    assert once["message"].startswith("perturbation 1: case 'p1': the lesion is one")
    assert failures["case_id"].tolist() == ["p1", "p2"]
    assert failures["stage"].tolist() == ["stability ct", "stability pet"]
    assert repr(found) == (
        "Stability(3 cases, 2 perturbations, 10 features, 2 cases failed)"
    )


def test_a_run_resumes_by_content(tiny_folder, tmp_path):
    cache = tmp_path / "cache"
    options = {"settings": FEW, "perturbations": NOISE, "cache": cache}
    first = stability(tiny_folder, **options)
    kept = {path: path.stat().st_mtime_ns for path in cache.rglob("*.json")}
    assert len(kept) == 6
    cases = pd.read_csv(tiny_folder / "cases.csv", dtype=str)
    cases.iloc[::-1].to_csv(tiny_folder / "cases.csv", index=False)
    again = stability(tiny_folder, **options)
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.json")} == kept
    pd.testing.assert_frame_equal(again.table, first.table, rtol=1e-12)
    keys = ["case_id", "perturbation"]
    pd.testing.assert_frame_equal(
        again.features.set_index(keys).sort_index(),
        first.features.set_index(keys).sort_index(),
        check_exact=True,
    )
    options["perturbations"] = draw_perturbations(3, kinds=["noise"], random_state=1)
    other = stability(tiny_folder, **options)
    assert len(list(cache.rglob("*.json"))) == 12
    assert not other.features.equals(first.features)


@pytest.mark.slow
def test_processes_give_what_one_gives(tiny_cohort):
    drawn = draw_perturbations(2)
    here = stability(tiny_cohort, settings=FEW, perturbations=drawn)
    there = stability(tiny_cohort, settings=FEW, perturbations=drawn, jobs=2)
    pd.testing.assert_frame_equal(there.features, here.features, check_exact=True)


def test_the_summary_counts_verdicts(of_noise):
    summary = of_noise.summary
    assert summary.columns.tolist() == [
        *("block", "icc", "poor", "moderate", "good", "excellent", "undefined")
    ]
    counts = summary.drop(columns=["block", "icc"])
    assert counts.sum(axis=1).tolist() == [5] * 4
    assert (summary["excellent"] >= 2).all()
    assert "excellent" in of_noise._repr_html_()


def test_what_was_drawn_is_told(tiny_cohort):
    drawn = draw_perturbations(2)
    found = stability(
        tiny_cohort,
        settings={"featureClass": {"shape": ["MeshVolume"]}},
        perturbations=drawn,
    )
    table = found.perturbations
    assert table.index.name == "perturbation"
    assert table["rotation_deg"].tolist() == [one.rotation_deg for one in drawn]
    assert table["translation_x"].tolist() == [one.translation[2] for one in drawn]
    assert table["seed"].tolist() == [one.seed for one in drawn]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"engine": "pyradiomic"}, "did you mean 'pyradiomics'"),
        ({"root": "elsewhere"}, "root belongs to the folder"),
        ({"perturbations": [Perturbation()]}, "needs two or more"),
    ],
)
def test_misuse_is_refused(tiny_cohort, options, match):
    with pytest.raises(SchemaError, match=match):
        stability(tiny_cohort, settings=FEW, **options)
