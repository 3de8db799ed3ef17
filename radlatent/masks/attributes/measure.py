"""Attributes of masks: stacks of labels enter, a table with a row a mask leaves."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from radlatent.errors import GeometryError, SchemaError
from radlatent.masks.attributes.planar import apex_of, area, base_of, moments
from radlatent.masks.attributes.sets import ATTRIBUTE_SETS, AttributeSet
from radlatent.masks.attributes.solid import lesion_values
from radlatent.masks.overlap.label_boxes import check_spacing
from radlatent.masks.rules.regions import Region
from radlatent.schema import nearest

__all__ = ["attribute_set", "shape_attributes"]

#: Slices that are measured at once: booleans of 256 x 256 take 4 MB a structure.
_TOGETHER = 64


def attribute_set(attributes: str | AttributeSet) -> AttributeSet:
    """Return a set of attributes by its name.

    Raises
    ------
    SchemaError
        There is none of that name.
    """
    if isinstance(attributes, AttributeSet):
        return attributes
    if attributes not in ATTRIBUTE_SETS:
        msg = (
            f"attributes are {attributes!r}{nearest(attributes, ATTRIBUTE_SETS)}; "
            f"known are {list(ATTRIBUTE_SETS)}."
        )
        raise SchemaError(msg)
    return ATTRIBUTE_SETS[attributes]


def shape_attributes(
    labels: np.ndarray,
    attributes: str = "apical_7",
    *,
    structures: Mapping[str, int],
    spacing_mm: Sequence[float] | None = None,
) -> pd.DataFrame:
    """Measure the attributes of masks, all at once.

    Parameters
    ----------
    labels
        Integers, 0 = background: slices of shape (n, rows, columns) or one of (rows,
        columns); of ``"lesion"`` volumes of shape (n, z, y, x) or one of (z, y, x).
    attributes
        ``"apical_7"`` (Painchaud et al. 2022), ``"short_axis"``, ``"lesion_slice"`` or
        ``"lesion"``.
    structures
        Name to label.
    spacing_mm
        In the order of the axes of one mask; None where nobody knows it: lengths are
        then in pixels.

    Returns
    -------
    pandas.DataFrame
        A row a mask, a column an attribute, NaN where a structure that it needs is
        missing. ``attrs`` hold ``attributes``, ``units`` and ``definitions``.

    Raises
    ------
    GeometryError
        Axes or spacing do not fit.
    SchemaError
        No such set, or structures of it have no label.

    Notes
    -----
    Without a spacing orientations are those of the pixels, which need not be square.

    References
    ----------
    Painchaud et al. 2022, arXiv:2112.02102

    Examples
    --------
    >>> labels = np.zeros((8, 9), np.uint8)
    >>> labels[1:7, 1:8] = 2
    >>> labels[3:7, 3:6] = 1
    >>> found = shape_attributes(labels, structures={"LV": 1, "MYO": 2})
    >>> found[["lv_area", "lv_base_width", "epi_center_x"]].values.tolist()
    [[12.0, 2.0, 4.0]]
    """
    asked, labels = attribute_set(attributes), np.asarray(labels)
    missing = [name for name in asked.structures if name not in structures]
    if missing:
        msg = (
            f"attributes {asked.name!r} need {list(asked.structures)}; structures lack "
            f"{missing}. Name their labels."
        )
        raise SchemaError(msg)
    if labels.ndim == asked.n_axes:
        labels = labels[np.newaxis]
    if labels.ndim != asked.n_axes + 1:
        msg = (
            f"labels have shape {labels.shape}; attributes {asked.name!r} are of masks "
            f"with {asked.n_axes} axes. Give one, or a stack of them."
        )
        raise GeometryError(msg)
    unit = (1.0,) * asked.n_axes
    known = spacing_mm is not None
    spacing = check_spacing(spacing_mm if known else unit, asked.n_axes)
    values = [
        _MEASURES[asked.name](labels[start : start + _TOGETHER], structures, spacing)
        for start in range(0, len(labels), _TOGETHER)
    ]
    values = np.concatenate([np.empty((0, len(asked.names))), *values])
    table = pd.DataFrame(values, columns=asked.names)
    table.attrs = _about(asked, known)
    return table


def _about(asked, known):
    units = {one.name: one.unit for one in asked.attributes}
    if not known:
        units = {name: unit.replace("mm", "pixels") for name, unit in units.items()}
    words = {one.name: one.definition for one in asked.attributes}
    return {"attributes": asked.name, "units": units, "definitions": words}


def _apical(labels, structures, spacing):
    cavity, wall = (labels == structures[name] for name in ("LV", "MYO"))
    inner, outer = moments(cavity, spacing), moments(cavity | wall, spacing)
    ends = base_of(cavity, wall, spacing)
    middle = ends.mean(axis=1)
    apex = apex_of(cavity, inner.center, middle, spacing)
    columns = (
        area(cavity, spacing),
        np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1),
        np.linalg.norm(apex - middle, axis=1),
        inner.orientation,
        area(wall, spacing),
        outer.center[:, 1],
        outer.center[:, 0],
    )
    return np.stack(columns, axis=1)


def _short_axis(labels, structures, spacing):
    cavity, wall, right = (labels == structures[n] for n in ("LV", "MYO", "RV"))
    whole = moments(cavity | wall, spacing)
    inner, outer = area(cavity, spacing), area(cavity | wall, spacing)
    thickness = np.sqrt(outer / np.pi) - np.sqrt(inner / np.pi)
    columns = (inner, area(right, spacing), thickness, *whole.center.T[::-1])
    return np.stack(columns, axis=1)


def _lesions(labels, structures, spacing):
    inside = labels == structures["lesion"]
    return np.array([lesion_values(one, spacing) for one in inside])


def _lesion_slices(labels, structures, spacing):
    inside = labels == structures["lesion"]
    round_ = [
        4 * np.pi * np.count_nonzero(region.filled) / region.perimeter**2
        if region is not None and region.perimeter
        else np.nan
        for region in (Region(one, spacing) if one.any() else None for one in inside)
    ]
    columns = area(inside, spacing), np.array(round_)
    return np.stack([*columns, moments(inside, spacing).elongation], axis=1)


_MEASURES = {
    "apical_7": _apical,
    "short_axis": _short_axis,
    "lesion_slice": _lesion_slices,
    "lesion": _lesions,
}
