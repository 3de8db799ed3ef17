"""Masks on grids of their own give pyradiomics' values, from files to features.

`benchmarks/grids.py` draws the pairs; it compares hundreds of them.
"""

import importlib.util
import math

import pytest

pytestmark = pytest.mark.reference

#: Every kind of grid, every interpolation: pairs that pyradiomics serves.
SERVED = [0, 2, 3, 4, 6, 8, 9, 10, 12, 15, 17, 18]
CLASSES = dict.fromkeys(["shape", "firstorder", "glcm"])


@pytest.fixture(scope="module")
def grids(project_root):
    """Return benchmarks/grids.py, which draws the pairs."""
    pytest.importorskip("radiomics")
    path = project_root / "benchmarks" / "grids.py"
    spec = importlib.util.spec_from_file_location("grids", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def measured(grids, number, folder):
    """Return the values of both tools of a pair, or why they are refused."""
    case = grids.draw(number)
    case.content["featureClass"] = CLASSES
    paths = folder / "image.nrrd", folder / "mask.nrrd"
    for volume, path in zip((case.image, case.mask), paths, strict=True):
        grids.write_volume(volume, path)
    return grids.ours(case, *paths), grids.theirs(case, *paths)


@pytest.mark.parametrize("number", SERVED)
def test_a_mask_on_its_own_grid_gives_the_values_of_pyradiomics(
    number, grids, same_values, tmp_path
):
    here, there = measured(grids, number, tmp_path)
    assert same_values(here, there) == {}
    assert here.keys() == there.keys()
    assert math.isfinite(here["original_shape_Sphericity"])


def test_a_lesion_that_reaches_out_a_little_is_measured_here_alone(grids, tmp_path):
    here, there = measured(grids, 14, tmp_path)
    assert "larger than image space" in there
    assert math.isfinite(here["original_shape_Sphericity"])


def test_pairs_are_of_every_kind_and_interpolation(grids):
    drawn = [grids.draw(number) for number in SERVED]
    assert {case.kind for case in drawn} == {*grids.KINDS}
    assert {case.how for case in drawn} == {*grids.HOW}
