"""Body surface has its published values, and no unit is taken for another."""

import numpy as np
import pandas as pd
import pytest

import radlatent as rl
from radlatent.errors import SchemaError

IN_CM = {"height_unit": "cm", "weight_unit": "kg"}


def of(*values):
    index = pd.Index([f"p{i}" for i in range(len(values))], name="patient_id")
    return pd.Series(values, index, dtype=float)


# worked examples of calculators that state the formula: calculatorlib.com and
# omnicalculator.com (body surface area)
@pytest.mark.parametrize(
    ("formula", "height", "weight", "published"),
    [
        ("mosteller", 180, 80, 2.00),
        ("mosteller", 175, 70, 1.845),
        ("du_bois", 170, 70, 1.81),
    ],
)
def test_published_values(formula, height, weight, published):
    found = rl.body_surface(of(height), of(weight), formula=formula, **IN_CM)
    digits = len(str(published).partition(".")[2])
    assert found.item() == pytest.approx(published, abs=0.51 * 10.0**-digits)


def test_the_formula_of_du_bois_in_metres_is_the_published_one():
    # Du Bois and Du Bois in metres: 0.20247 H^0.725 W^0.425
    height, weight = of(0.9, 1.5, 1.96), of(14, 50, 130)
    found = rl.body_surface(
        height, weight, formula="du_bois", height_unit="m", weight_unit="kg"
    )
    assert found.to_numpy() == pytest.approx(
        0.20247 * height**0.725 * weight**0.425, rel=1e-4
    )


def test_units_are_converted_by_their_word():
    cm = rl.body_surface(of(170, 182), of(60, 95), **IN_CM)
    same = [
        rl.body_surface(of(1.70, 1.82), of(60, 95), height_unit="m", weight_unit="kg"),
        rl.body_surface(
            of(170, 182) / 2.54,
            of(60, 95) / 0.45359237,
            height_unit="in",
            weight_unit="lb",
        ),
    ]
    for found in same:
        pd.testing.assert_series_equal(found, cm, rtol=1e-12)


@pytest.mark.parametrize(
    ("height", "weight", "units", "expected"),
    [
        # a column in metres, one value in metres, and the other way round
        (of(1.7, 1.8), of(60, 80), IN_CM, "possible in m: say height_unit"),
        (of(170, 1.8), of(60, 80), IN_CM, r"1 of 2 .*'p1': 1.8"),
        (of(170, 180), of(60, 80), IN_CM | {"height_unit": "m"}, "possible in cm"),
        (of(170, 180), of(60000, 80000), IN_CM, "possible in g: say weight_unit"),
        (of(170, 0), of(60, 80), IN_CM, r"'p1': 0; possible are 20 to 280\."),
        (of(70, 68), of(180, 160), IN_CM, "body mass index that no body has"),
        (of(60, 80), of(170, 180), IN_CM, "exchanged"),
        (of(170, 180, 160), of(150, 180, 140), IN_CM, "pounds for kilograms"),
        (of(170), of(60), IN_CM | {"height_unit": "mm"}, r"not one of \['cm'"),
    ],
)
def test_a_factor_is_never_silent(height, weight, units, expected):
    with pytest.raises(SchemaError, match=expected):
        rl.body_surface(height, weight, **units)


def test_what_is_missing_is_missing():
    found = rl.body_surface(of(170, np.nan, 180), of(60, 70, np.nan), **IN_CM)
    assert found.isna().tolist() == [False, True, True]


def test_small_bodies_and_large_ones_are_possible():
    heights, weights = of(47, 110, 178, 190), of(3.1, 19, 210, 55)
    assert rl.body_surface(heights, weights, **IN_CM).notna().all()
