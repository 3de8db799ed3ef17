"""Which attributes shapes have: by view, with units, in the order of latents.

The seven of an apical view are those of Painchaud et al. 2022; those of the short axis
and of lesions are our reading of "handles" on a shape.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["ATTRIBUTE_SETS", "Attribute", "AttributeSet"]


@dataclass(frozen=True)
class Attribute:
    """A number that a shape has.

    Parameters
    ----------
    name
        Of its column.
    unit
        ``mm``, ``mm2``, ``mm3``, ``degrees`` or ``ratio``; without a known spacing
        lengths are in pixels.
    definition
        In words.
    threshold
        Largest second difference of reference sequences, as a share of the range of the
        attribute, where it was published (vital, ``attr_thresholds.yaml``).
    """

    name: str
    unit: str
    definition: str
    threshold: float | None = None


@dataclass(frozen=True)
class AttributeSet:
    """Attributes that are measured together.

    Parameters
    ----------
    name
        What functions call it.
    structures
        Names that masks must have.
    n_axes
        2 for slices, 3 for volumes.
    attributes
        In the order of the first latents that they are bound to.
    """

    name: str
    structures: tuple[str, ...]
    n_axes: int
    attributes: tuple[Attribute, ...]

    @property
    def names(self) -> list[str]:
        """Of the attributes."""
        return [one.name for one in self.attributes]


_APICAL = (
    Attribute("lv_area", "mm2", "area of LV", 0.0160),
    Attribute(
        "lv_base_width",
        "mm",
        "of the pixels of LV that touch both MYO and what is neither, the distance of "
        "the two farthest apart",
        0.0969,
    ),
    Attribute(
        "lv_length",
        "mm",
        "middle of the base to the apex, the peak of the smoothed polar contour of LV",
        0.0262,
    ),
    Attribute(
        "lv_orientation",
        "degrees",
        "first principal axis of LV against the vertical; positive where its lower end "
        "lies to the right",
        0.0229,
    ),
    Attribute("myo_area", "mm2", "area of MYO", 0.0321),
    Attribute(
        "epi_center_x",
        "mm",
        "column of the center of mass of LV and MYO, from the first pixel",
        0.00456,
    ),
    Attribute(
        "epi_center_y",
        "mm",
        "row of the center of mass of LV and MYO, from the first pixel",
        0.0110,
    ),
)

_SHORT_AXIS = (
    Attribute("lv_area", "mm2", "area of LV"),
    Attribute("rv_area", "mm2", "area of RV, NaN where the slice has none"),
    Attribute(
        "wall_thickness",
        "mm",
        "radius of the circle with the area of LV and MYO less that of LV",
    ),
    Attribute("epi_center_x", "mm", "column of the center of mass of LV and MYO"),
    Attribute("epi_center_y", "mm", "row of the center of mass of LV and MYO"),
)

_LESION_SLICE = (
    Attribute("area", "mm2", "area of the lesion"),
    Attribute("circularity", "ratio", "4 pi area / perimeter^2 of the filled lesion"),
    Attribute("elongation", "ratio", "length of the second axis over the first"),
)

_LESION = (
    Attribute("volume", "mm3", "voxels times the volume of one"),
    Attribute("sphericity", "ratio", "surface of the ball of its volume over its own"),
    Attribute("elongation", "ratio", "length of the second axis over the first"),
)

#: Name to set.
ATTRIBUTE_SETS: Mapping[str, AttributeSet] = MappingProxyType(
    {
        one.name: one
        for one in (
            AttributeSet("apical_7", ("LV", "MYO"), 2, _APICAL),
            AttributeSet("short_axis", ("RV", "MYO", "LV"), 2, _SHORT_AXIS),
            AttributeSet("lesion_slice", ("lesion",), 2, _LESION_SLICE),
            AttributeSet("lesion", ("lesion",), 3, _LESION),
        )
    }
)
