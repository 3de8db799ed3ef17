"""Local binary patterns: pyradiomics' stored values, and patterns by hand."""

import json

import numpy as np
import pandas as pd
import pytest

from radlatent.handcrafted import read_settings
from radlatent.handcrafted.engine.filters.lbp import (
    icosphere,
    lbp2d_image,
    lbp3d_images,
)
from radlatent.handcrafted.engine.native import measure
from radlatent.handcrafted.settings import Options
from radlatent.imaging import read_volume

#: Of gray levels. The patterns of 12 or 162 points take few values, some exactly on
#: the edges of 16 bins, where rounding decides; those of 42 points do not.
BINNED = ("firstorder_Entropy", "glcm_Contrast", "glcm_JointEntropy", "glcm_Id")


def is_rounded(derived, options, feature):
    """Return whether a gray level may depend on the order of a sum."""
    if derived == "lbp-3D-k":
        return False
    points_on_edges = options.get("lbp3DIcosphereSubdivision", 1) != 1
    return "3D" in derived and points_on_edges and feature in BINNED


def reference(project_root):
    folder = project_root / "tests" / "data" / "lbp"
    keys = ["image", "imageType", "setting"]
    table = pd.read_csv(folder / "reference.csv")
    return folder, {key: rows.drop(columns=keys) for key, rows in table.groupby(keys)}


@pytest.fixture(scope="module")
def images(project_root):
    folder = project_root / "tests" / "data" / "lbp"
    volume = read_volume(folder / "image.nii.gz")
    whole = np.rint(volume.array)
    return {
        "a": volume.with_array(whole.astype(np.int16)),
        "b": volume.with_array(whole),
        "d": volume,
    }


@pytest.mark.parametrize("kind", ["LBP2D", "LBP3D"])
@pytest.mark.parametrize("name", ["a", "b", "d"])
def test_values_are_those_that_pyradiomics_stored(name, kind, images, project_root):
    folder, cases = reference(project_root)
    mask = read_volume(folder / "mask.nii.gz")
    mask = mask.with_array(mask.array > 0)
    n_compared = 0
    for (image, image_type, setting), rows in cases.items():
        if image != name or kind not in json.loads(image_type):
            continue
        content = {
            "imageType": json.loads(image_type),
            "setting": json.loads(setting),
            "featureClass": {"firstorder": None, "glcm": None},
        }
        found = measure(images[name], mask, read_settings(content))
        options = json.loads(image_type)[kind]
        for _, row in rows.iterrows():
            derived = row["derived"]
            for feature, expected in row.drop("derived").items():
                if is_rounded(derived, options, feature):
                    continue
                value = found[f"{derived}_{feature}"]
                near = pytest.approx(expected, rel=1e-9, abs=0)
                assert value == near, (content, feature)
                n_compared += 1
    assert n_compared >= {"LBP2D": 104, "LBP3D": 120}[kind]


def test_icospheres_have_the_counts_of_a_divided_icosahedron():
    for subdivisions, n in enumerate([12, 42, 162, 642]):
        points = icosphere(subdivisions, 2.0)
        assert points.shape == (n, 3)
        np.testing.assert_allclose(np.linalg.norm(points, axis=1), 2.0, rtol=1e-14)
        np.testing.assert_allclose(points.sum(axis=0), 0, atol=1e-12)
        apart = np.linalg.norm(points[:, None] - points, axis=2)
        np.fill_diagonal(apart, np.inf)
        # no point lies far from its next: each has five or six around it
        next_one = apart.min(axis=1)
        assert next_one.max() < 1.3 * next_one.min()


def test_an_icosahedron_has_its_edges():
    points = icosphere(0, 1.0)
    apart = np.linalg.norm(points[:, None] - points, axis=2)
    # the edge of an icosahedron in the unit sphere
    edge = 4 / np.sqrt(10 + 2 * np.sqrt(5))
    assert np.isclose(apart, edge).sum(axis=1).tolist() == [5] * 12


def test_a_corner_a_peak_and_a_flat_place_have_their_patterns():
    image = np.zeros((1, 9, 9), np.int16)
    image[0, 4, 4] = 10
    image[0, 7:, :] = 5
    options = Options(lbp2DMethod="uniform")
    found = lbp2d_image(image, options)
    assert found.dtype == np.int16
    # all eight around a flat place are as bright; none is around a peak
    assert found[0, 2, 7] == 8
    assert found[0, 4, 4] == 0
    # above a step: all are as bright; at its foot the three above are darker
    assert found[0, 6, 7] == 8
    assert found[0, 7, 7] == 5


def test_a_bright_voxel_in_the_dark_has_no_brighter_neighbor():
    image = np.zeros((9, 9, 9), np.int16)
    image[4, 4, 4] = 100
    options = Options(lbp3DLevels=2, lbp3DIcosphereSubdivision=0)
    box = (slice(4, 5),) * 3
    first, second, _ = lbp3d_images(image, box, np.ones((1, 1, 1), bool), options)
    assert first.item() == 0
    assert second.item() == 0


def test_a_flat_image_has_the_pattern_of_all_neighbors():
    image = np.zeros((15, 15, 15), np.int16)
    options = Options(lbp3DLevels=2, lbp3DIcosphereSubdivision=1)
    box = (slice(6, 8),) * 3
    images = list(lbp3d_images(image, box, np.ones((2, 2, 2), bool), options))
    # order 0 is constant, 1 / (2 sqrt(pi)): n of it at each of n points, in root
    np.testing.assert_allclose(images[0], np.sqrt(42) * 42 / (4 * np.pi), rtol=1e-12)
    assert np.isnan(images[2]).all()
