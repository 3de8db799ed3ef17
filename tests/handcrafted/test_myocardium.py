"""The wall of drawn rings has the thickness that it was drawn with."""

import numpy as np
import pytest

from radlatent.errors import SchemaError
from radlatent.handcrafted.myocardium import slice_thickness, wall_thickness


def ring(inner_mm, outer_mm, pixel_mm):
    n = int(2.4 * outer_mm / min(pixel_mm))
    rows, columns = ((np.arange(n) - n / 2) * mm for mm in pixel_mm)
    radius = np.hypot(rows[:, None], columns[None])
    return (radius >= inner_mm) & (radius < outer_mm), radius < inner_mm


@pytest.mark.parametrize("pixel_mm", [(1.0, 1.0), (0.5, 1.0)])
@pytest.mark.parametrize(("inner", "outer"), [(25, 34), (20, 40), (15, 21)])
def test_a_ring_is_as_thick_as_it_was_drawn(inner, outer, pixel_mm):
    wall, cavity = ring(inner, outer, pixel_mm)
    # half a pixel: the border of a drawn disc lies between pixels
    found = slice_thickness(wall, cavity, np.array(pixel_mm))
    assert found == pytest.approx(outer - inner, abs=0.5 * max(pixel_mm))


def test_a_wall_that_is_thick_on_one_side_has_the_mean_thickness():
    n = 120
    rows, columns = np.mgrid[:n, :n] - n / 2
    cavity = np.hypot(rows, columns) < 20
    wall = (np.hypot(rows - 4, columns) < 30) & ~cavity
    found = slice_thickness(wall, cavity, np.ones(2))
    thin, thick = 6, 14
    assert thin < found < thick
    # pixels are more on the thick side, so the mean of pixels lies above the middle
    assert found > 10


def test_without_a_cavity_there_is_no_thickness():
    wall, cavity = ring(20, 30, (1.0, 1.0))
    assert np.isnan(slice_thickness(wall, np.zeros_like(cavity), np.ones(2)))
    assert np.isnan(slice_thickness(np.zeros_like(wall), cavity, np.ones(2)))


def test_a_structure_that_is_not_there_is_named(tiny_cohort):
    with pytest.raises(SchemaError, match=r"\['MYO', 'LV'\] are not in cohort"):
        wall_thickness(tiny_cohort, myocardium="MYO", cavity="LV", modality="ct")
