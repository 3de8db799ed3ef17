"""The surface of a body, which volumes of the heart are divided by.

Heights and weights with their units enter, areas in square metres leave.
"""

import pandas as pd

from radlatent.errors import SchemaError
from radlatent.schema import nearest

__all__ = ["FORMULAS", "HEIGHT_UNITS", "WEIGHT_UNITS", "body_surface"]

#: Of height in cm and weight in kg.
FORMULAS = {
    "mosteller": lambda height, weight: (height * weight / 3600) ** 0.5,
    "du_bois": lambda height, weight: 0.007184 * height**0.725 * weight**0.425,
}

#: Unit to centimetres, and to kilograms.
HEIGHT_UNITS = {"cm": 1.0, "m": 100.0, "in": 2.54}
WEIGHT_UNITS = {"kg": 1.0, "g": 0.001, "lb": 0.45359237}

#: What bodies measure, from the smallest newborn on, in cm and kg; kg per square metre.
_HEIGHTS, _WEIGHTS, _MASS_INDICES = (20, 280), (0.2, 700), (4, 150)

#: What half of the patients taller than a metre have: pounds taken for kilograms
#: double it, which leaves single patients possible.
_MEDIAN_MASS_INDICES = (12, 50)


def body_surface(
    height: pd.Series,
    weight: pd.Series,
    *,
    height_unit: str,
    weight_unit: str,
    formula: str = "mosteller",
) -> pd.Series:
    """Return the surface of bodies in square metres.

    Parameters
    ----------
    height, weight
        By patient.
    height_unit
        "cm", "m" or "in".
    weight_unit
        "kg", "g" or "lb".
    formula
        "mosteller": sqrt(height x weight / 3600); "du_bois": 0.007184 x height ^ 0.725
        x weight ^ 0.425; height in cm, weight in kg.

    Returns
    -------
    Series
        Named ``body_surface``; NaN where height or weight is missing.

    Raises
    ------
    SchemaError
        Unit or formula are not known, or no body measures that: patients are named,
        and the unit in which the numbers would make sense.

    References
    ----------
    Mosteller 1987, doi:10.1056/NEJM198710223171717; Du Bois & Du Bois 1916,
    doi:10.1001/archinte.1916.00080130010002

    Examples
    --------
    >>> patients = pd.Index(["p1"], name="patient_id")
    >>> height, weight = pd.Series([180.0], patients), pd.Series([80.0], patients)
    >>> body_surface(height, weight, height_unit="cm", weight_unit="kg").tolist()
    [2.0]
    """
    for what, value, known in (
        ("formula", formula, FORMULAS),
        ("height_unit", height_unit, HEIGHT_UNITS),
        ("weight_unit", weight_unit, WEIGHT_UNITS),
    ):
        if value not in known:
            hint = nearest(value, known)
            msg = f"{what}={value!r} is not one of {list(known)}{hint}."
            raise SchemaError(msg)
    _check_range("height", height, height_unit, HEIGHT_UNITS, *_HEIGHTS)
    _check_range("weight", weight, weight_unit, WEIGHT_UNITS, *_WEIGHTS)
    height = height * HEIGHT_UNITS[height_unit]
    weight = weight * WEIGHT_UNITS[weight_unit]
    _check_mass(height, weight, f"{height_unit} and {weight_unit}")
    return FORMULAS[formula](height, weight).rename("body_surface")


def _check_range(what, values, unit, units, low, high):
    """Refuse what no body measures in this unit."""
    inside = (values * units[unit]).between(low, high)
    wrong = values[values.notna() & ~inside]
    if wrong.empty:
        return
    fit = [u for u, f in units.items() if (wrong * f).between(low, high).all()]
    # of all that are wrong, so that one mistyped value gets no advice for the column
    hint = ""
    if fit and len(wrong) == values.notna().sum():
        hint = f" They are possible in {' or '.join(fit)}: say {what}_unit."
    msg = (
        f"{what} in {unit}: {len(wrong)} of {values.notna().sum()} patients have what "
        f"no body measures, {_shown(wrong)}; possible are {low / units[unit]:g} to "
        f"{high / units[unit]:g}.{hint}"
    )
    raise SchemaError(msg)


def _check_mass(height, weight, units):
    """Refuse heights and weights that do not belong together."""
    index = weight / (height / 100) ** 2
    low, high = _MASS_INDICES
    wrong = index[index.notna() & ~index.between(low, high)]
    if len(wrong):
        msg = (
            f"height and weight in {units}: {len(wrong)} patients have a body mass "
            f"index that no body has, {_shown(wrong)} kg per square metre. Are both "
            "columns exchanged, or is a unit another?"
        )
        raise SchemaError(msg)
    low, high = _MEDIAN_MASS_INDICES
    median = index[height > 100].median()
    if not low <= median <= high and not pd.isna(median):
        msg = (
            f"height and weight in {units}: half of the patients have a body mass "
            f"index of {median:.0f} kg per square metre. Is a unit another: pounds for "
            "kilograms, inches for centimetres?"
        )
        raise SchemaError(msg)


def _shown(values):
    told = ", ".join(f"{name!r}: {value:.4g}" for name, value in values[:5].items())
    return told + (", ..." if len(values) > 5 else "")
