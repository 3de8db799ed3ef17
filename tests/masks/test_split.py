"""Masks of the whole disease split into lesions, by arithmetic on drawn balls."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

import radlatent as rl
from radlatent.errors import CohortError, SchemaError
from radlatent.graphs import LesionGraphs
from radlatent.imaging import Volume, write_volume
from radlatent.masks import split_lesions

SPACING_MM = (2.0, 2.0, 2.0)
VOXEL_ML = 0.008


def write_patient(folder, blocks, value=1):
    """Write an image, and a mask of blocks given by corner and side in voxels."""
    mask = np.zeros((24, 24, 24), np.uint8)
    for (z, y, x), side in blocks:
        mask[z : z + side, y : y + side, x : x + side] = value
    image = np.random.default_rng(0).normal(5, 1, mask.shape).astype(np.float32)
    folder.mkdir(parents=True)
    write_volume(Volume(image, SPACING_MM), folder / "pet_image.nii.gz")
    write_volume(Volume(mask, SPACING_MM), folder / "pet_mask.nii.gz")


def indexed(root, folder):
    rl.index(root, folder)
    return rl.Cohort.read(folder)


@pytest.fixture
def cohort(tmp_path):
    """Three lesions, one of them tiny and one touching by a corner; one; none."""
    root = tmp_path / "images"
    three = [((2, 2, 2), 3), ((5, 5, 5), 2), ((2, 16, 16), 4), ((20, 2, 2), 1)]
    write_patient(root / "many", three)
    write_patient(root / "one", [((10, 10, 10), 5)])
    write_patient(root / "none", [])
    return indexed(root, tmp_path / "manifest")


def test_components_are_cases_by_volume(cohort, tmp_path):
    made = split_lesions(cohort, out=tmp_path / "lesions", min_volume_ml=0.01)
    counts = made.cases
    assert counts["n_lesions"].to_dict() == {"many": 2, "none": 0, "one": 1}
    assert counts.loc["many", ["n_left_out", "left_out_ml"]].tolist() == [1, VOXEL_ML]
    # two blocks that share a corner are one lesion
    assert counts.loc["many", "volume_ml"] == pytest.approx((27 + 8 + 64) * VOXEL_ML)
    cases = made.cohort.cases
    assert cases.index.tolist() == ["many_L001", "many_L002", "none", "one_L001"]
    assert cases.loc["none", "exclude_reason"] == "no lesion in the mask"
    features = rl.extract(made.cohort, jobs=1).features
    volume = features.filter(like="original_shape_VoxelVolume").squeeze()
    assert volume["many_L001"] == pytest.approx(64 * 8)
    assert volume["many_L002"] == pytest.approx(35 * 8)


def test_graph_of_a_total_burden(cohort, tmp_path):
    """Distances of the lesions are those of the blocks."""
    made = split_lesions(cohort, out=tmp_path / "lesions", min_volume_ml=0.01).cohort
    features = rl.extract(made, jobs=1).features
    places = rl.lesion_centroids(made, "pet")
    graphs = LesionGraphs(features, made.cases, places)
    table = graphs.table(patients=["none"])
    assert table["lesion_graph__n_lesions"].to_dict() == {
        "many": 2.0,
        "one": 1.0,
        "none": 0.0,
    }
    one = (27 * np.array([3, 3, 3.0]) + 8 * np.array([5.5, 5.5, 5.5])) / 35
    expected = 2 * np.linalg.norm(one - np.array([3.5, 17.5, 17.5]))
    assert table.loc["many", "lesion_graph__dmax_mm"] == pytest.approx(expected)


def test_read_again_it_is_the_same_cohort(cohort, tmp_path):
    made = split_lesions(cohort, out=tmp_path / "lesions")
    again = rl.Cohort.read(tmp_path / "lesions")
    assert again.key == made.cohort.key
    assert split_lesions(cohort, out=tmp_path / "lesions").cohort.key == again.key
    assert again.card.derived[-1].made_by.name == "connected components"


def test_more_lesions_than_a_mask_has_labels(tmp_path):
    """A mask of over a hundred labels would be taken for intensities."""
    corners = [(corner, 1) for corner in itertools.product(range(0, 10, 2), repeat=3)]
    write_patient(tmp_path / "images" / "p", corners)
    cohort = indexed(tmp_path / "images", tmp_path / "manifest")
    made = split_lesions(cohort, out=tmp_path / "lesions")
    assert len(made.cohort.cases) == 125
    assert made.cohort.cases["mask_pet"].nunique() == 2
    places = rl.lesion_centroids(made.cohort, "pet")
    found = {tuple(np.rint(row / 2).astype(int)) for row in places.to_numpy()}
    assert found == {(x, y, z) for (z, y, x), _ in corners}


def test_a_damaged_mask_keeps_its_row(cohort, tmp_path):
    path = cohort.files("one", "pet")[1]
    path.write_bytes(path.read_bytes()[:-40])
    made = split_lesions(cohort, out=tmp_path / "lesions")
    assert made.failures["case_id"].tolist() == ["one"]
    assert made.cohort.cases.loc["one", "exclude"]
    assert made.cohort.cases.loc["one", "exclude_reason"].startswith("mask not read")


def test_refusals(cohort, tmp_path):
    with pytest.raises(SchemaError, match="min_volume_ml is -1"):
        split_lesions(cohort, out=tmp_path / "a", min_volume_ml=-1)
    with pytest.raises(CohortError, match="no case has a lesion of 99 ml"):
        split_lesions(cohort, out=tmp_path / "b", min_volume_ml=99)


def test_no_volume_of_pixels_of_unknown_size(cohort, tmp_path):
    pet = cohort.modalities["pet"].model_copy(update={"pixel_size": "unknown"})
    card = cohort.card.model_copy(update={"modalities": {"pet": pet}})
    unknown = replace(cohort, card=card)
    with pytest.raises(SchemaError, match="min_volume_ml"):
        split_lesions(unknown, out=tmp_path / "a", min_volume_ml=0.01)
    made = split_lesions(unknown, out=tmp_path / "b")
    assert made.cases["n_lesions"].tolist() == [3, 0, 1]
    assert made.cases[["volume_ml", "left_out_ml"]].isna().all(axis=None)
