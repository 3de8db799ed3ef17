"""Anatomical rules of masks: labels enter, one value and one verdict a rule leave.

A rule is a name, structures, a measure and a threshold. Whether a mask looks like the
organ needs no reference mask; the sets are not interchangeable, so that every result
names its set.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import pandas as pd

from radlatent.errors import GeometryError, SchemaError
from radlatent.masks.rules.lesion_measures import RIM_MM, VOLUME_MEASURES
from radlatent.masks.rules.measures import SLICE_MEASURES, Scene
from radlatent.masks.rules.rule_sets import ROWS, SET_SOURCES
from radlatent.schema import nearest

__all__ = [
    "Rule",
    "RuleSet",
    "broken_rules",
    "judge",
    "keeps",
    "measure",
    "offending",
    "rule_set",
]

_RELATIONS = ("at most", "at least")
_MISSING = ("accepted", "violated", "skipped")
_MEASURES = {"slice": SLICE_MEASURES, "volume": VOLUME_MEASURES}
_MARGIN_MM = {"slice": 0.0, "volume": RIM_MM}
_N_AXES = {"slice": 2, "volume": 3}


@dataclass(frozen=True)
class Rule:
    """One rule.

    Parameters
    ----------
    name
        What results call it.
    structures
        Names of what is measured, in the order that the measure takes.
    measure
        A key of the measures of slices or volumes.
    relation
        ``"at most"`` or ``"at least"``: how a kept value stands to the threshold.
    threshold, unit
        The limit, and the unit of it and of the value.
    source
        Where the rule comes from.
    missing
        What it says where a structure is missing: ``"accepted"``, ``"violated"``, or
        ``"skipped"``, which gives no verdict.

    Raises
    ------
    SchemaError
        Measure, relation or missing is unknown.
    """

    name: str
    structures: tuple[str, ...]
    measure: str
    relation: str
    threshold: float
    unit: str
    source: str
    missing: str = "accepted"

    def __post_init__(self):
        object.__setattr__(self, "structures", tuple(self.structures))
        known = [name for measures in _MEASURES.values() for name in measures]
        for field, allowed in (
            ("measure", known),
            ("relation", _RELATIONS),
            ("missing", _MISSING),
        ):
            found = getattr(self, field)
            if found not in allowed:
                msg = (
                    f"rule {self.name!r}: {field} is {found!r}{nearest(found, allowed)}"
                    f". Use one of {list(allowed)}."
                )
                raise SchemaError(msg)

    @property
    def plane(self) -> str:
        """What is measured: a ``"slice"`` or a ``"volume"``."""
        return next(p for p, measures in _MEASURES.items() if self.measure in measures)


@dataclass(frozen=True)
class RuleSet:
    """Rules that are judged together.

    Parameters
    ----------
    name
        What results call it.
    rules
        All of slices, or all of volumes, each under a name of its own.

    Raises
    ------
    SchemaError
        There is no rule, two share a name, or they look at different things.
    """

    name: str
    rules: tuple[Rule, ...]

    def __post_init__(self):
        object.__setattr__(self, "rules", tuple(self.rules))
        names = [rule.name for rule in self.rules]
        planes = {rule.plane for rule in self.rules}
        if len(planes) != 1 or len(set(names)) < len(names):
            msg = (
                f"rule set {self.name!r} has the rules {names}, which look at "
                f"{sorted(planes)}. Give one or more, each of another name, all of "
                "slices or all of volumes."
            )
            raise SchemaError(msg)

    @property
    def plane(self) -> str:
        """What the rules look at: a ``"slice"`` or a ``"volume"``."""
        return self.rules[0].plane

    @cached_property
    def structures(self) -> tuple[str, ...]:
        """Names of all structures that the rules need."""
        return tuple(dict.fromkeys(n for rule in self.rules for n in rule.structures))

    @property
    def names(self) -> list[str]:
        """Names of the rules."""
        return [rule.name for rule in self.rules]

    @cached_property
    def _limits(self):
        """Thresholds and their signs, and what missing structures mean."""
        signs = [1.0 if rule.relation == "at most" else -1.0 for rule in self.rules]
        thresholds = [rule.threshold for rule in self.rules]
        missing = [rule.missing != "violated" for rule in self.rules]
        return np.array(thresholds), np.array(signs), np.array(missing)


@cache
def rule_set(name: str) -> RuleSet:
    """Return a set of rules.

    Parameters
    ----------
    name
        ``short_axis_16``, ``apical_12``, ``short_axis_7`` or ``lesion``.

    Raises
    ------
    SchemaError
        There is no such set.

    Notes
    -----
    ``short_axis_16`` accepts missing structures, ``apical_12`` does not,
    ``short_axis_7`` skips what it asks of a missing muscle. The 7 touch across edges,
    the 16 across corners too, and put up with one pixel of a frontier and with gaps of
    one pixel in 2^14 of the slice. Circularities and counts are those of pixels, square
    or not; depths and distances are in mm. Beyond the edge of the image lies nothing:
    no background to touch, and no hull.

    ``lesion`` is for solid lesions, not for organs that are rings or that end with the
    image; without an image its rules of intensities are skipped.

    Examples
    --------
    >>> rules = rule_set("short_axis_16")
    >>> len(rules.rules), rules.plane, rules.structures
    (16, 'slice', ('LV', 'RV', 'MYO'))
    """
    if name not in ROWS:
        msg = f"there is no rule set {name!r}{nearest(name, ROWS)}. Sets: {list(ROWS)}."
        raise SchemaError(msg)
    _, missing, rows = ROWS[name]
    source = SET_SOURCES[name]
    rules = [Rule(*row[:6], source, *(row[6:] or (missing,))) for row in rows]
    return RuleSet(name, tuple(rules))


def measure(
    labels: np.ndarray,
    rules: RuleSet,
    *,
    structures: Mapping[str, int],
    spacing_mm: Sequence[float],
    image: np.ndarray | None = None,
) -> np.ndarray:
    """Return the value of each rule.

    Parameters
    ----------
    labels
        Integers, shape (rows, columns) for rules of slices and (z, y, x) for those of
        volumes, 0 = background.
    rules
        From `rule_set`, or own ones.
    structures
        Name to label, of every label that may occur.
    spacing_mm
        In the order of the axes.
    image
        Intensities of the same shape; rules of intensities need it.

    Returns
    -------
    ndarray
        Floats in the order of the rules, in their units; NaN where a structure is
        missing (or the image), or the number does not exist.

    Raises
    ------
    SchemaError
        The rules need a structure that has no label, or a label has no structure.
    GeometryError
        Axes, spacing or image do not fit.

    Examples
    --------
    >>> labels = np.zeros((9, 9), int)
    >>> labels[2:7, 2:7], labels[4, 4] = 3, 0
    >>> labelled = {"RV": 1, "MYO": 2, "LV": 3}
    >>> rules = rule_set("short_axis_16")
    >>> values = measure(labels, rules, structures=labelled, spacing_mm=(1, 1))
    >>> dict(zip(rules.names, values))["holes_lv"]
    np.float64(1.0)
    """
    if np.ndim(labels) != _N_AXES[rules.plane]:
        msg = (
            f"labels have shape {np.shape(labels)}, rule set {rules.name!r} looks at "
            f"one {rules.plane} of {_N_AXES[rules.plane]} axes. Give that, or call "
            "judge, which takes a volume slice by slice."
        )
        raise GeometryError(msg)
    _check_structures(rules.structures, structures, f"rule set {rules.name!r}")
    margin_mm = _MARGIN_MM[rules.plane]
    scene = Scene(labels, structures, spacing_mm, image, margin_mm=margin_mm)
    return np.array([_value(scene, rule) for rule in rules.rules])


def _check_structures(needed, structures, by):
    absent = [name for name in needed if name not in structures]
    if absent:
        msg = (
            f"{by} needs the structures {absent}, found are {dict(structures)}. Give "
            "the label of each by name."
        )
        raise SchemaError(msg)


def _value(scene, rule):
    found = _MEASURES[rule.plane][rule.measure]
    if not scene.has(rule.structures, found):
        return np.nan
    return found.value(scene, rule.structures)


def keeps(values: np.ndarray, rules: RuleSet) -> np.ndarray:
    """Return which rules are kept.

    Parameters
    ----------
    values
        As `measure` gives them, shape (n_rules,) or (..., n_rules).
    rules
        The set that they were measured by.

    Returns
    -------
    ndarray
        Booleans of that shape. A value that is NaN keeps a rule unless missing
        structures violate it.
    """
    thresholds, signs, missing = rules._limits
    values = np.asarray(values, dtype=np.float64)
    return np.where(np.isnan(values), missing, signs * values <= signs * thresholds)


def broken_rules(
    planes: Sequence[np.ndarray],
    rules: RuleSet,
    *,
    structures: Mapping[str, int],
    spacing_mm: Sequence[float],
) -> np.ndarray:
    """Return which rules each slice breaks, shape (slices, rules).

    Parameters
    ----------
    planes
        Labels, each of shape (rows, columns).
    rules
        A set of rules of slices.
    structures
        Name to label.
    spacing_mm
        Of rows and columns.
    """
    legend = {"structures": structures, "spacing_mm": spacing_mm}
    values = [measure(plane, rules, **legend) for plane in planes]
    shape = (-1, len(rules.rules))
    return ~keeps(np.array(values, dtype=np.float64).reshape(shape), rules)


def judge(
    labels: np.ndarray,
    rules: RuleSet,
    *,
    structures: Mapping[str, int],
    spacing_mm: Sequence[float],
    image: np.ndarray | None = None,
) -> pd.DataFrame:
    """Return a row a rule, and slice where rules of slices are asked of a volume.

    Parameters
    ----------
    labels, rules, structures, spacing_mm, image
        As in `measure`; rules of slices take a volume, too, slice by slice.

    Returns
    -------
    DataFrame
        ``slice`` (rules of slices only), ``rule, value, relation, threshold, unit,
        kept, source``; ``kept`` is missing where a rule is skipped.

    Raises
    ------
    SchemaError, GeometryError
        As in `measure`.
    """
    labels = np.asarray(labels)
    if rules.plane == "slice" and labels.ndim == 3:
        planes, spacing_mm = [*labels], spacing_mm[1:]
        images = [None] * len(planes) if image is None else [*image]
    else:
        planes, images = [labels], [image]
    known = {"structures": structures, "spacing_mm": spacing_mm}
    values = [
        measure(plane, rules, image=part, **known)
        for plane, part in zip(planes, images, strict=True)
    ]
    skipped = [rule.missing == "skipped" for rule in rules.rules]
    kept = pd.array(keeps(values, rules).ravel(), dtype="boolean")
    kept[(np.isnan(values) & skipped).ravel()] = pd.NA
    n = len(planes)
    fields = ("relation", "threshold", "unit")
    told = {f: [getattr(rule, f) for rule in rules.rules] * n for f in fields}
    table = pd.DataFrame({"rule": rules.names * n, "value": np.ravel(values)} | told)
    table["kept"] = kept
    table["source"] = [rule.source for rule in rules.rules] * n
    if rules.plane == "slice":
        table.insert(0, "slice", np.repeat(np.arange(n), len(rules.rules)))
    return table


def offending(
    labels: np.ndarray,
    rule: Rule,
    *,
    structures: Mapping[str, int],
    spacing_mm: Sequence[float],
    image: np.ndarray | None = None,
) -> np.ndarray:
    """Return the voxels that break a rule.

    Parameters
    ----------
    labels, structures, spacing_mm, image
        As in `judge`.
    rule
        One of a set.

    Returns
    -------
    ndarray
        Booleans of the shape of the labels: holes, pixels out of the largest
        component, of the frontier, of gaps too deep, of the rim; none where the rule is
        kept or a structure is missing.

    Raises
    ------
    SchemaError, GeometryError
        As in `measure`.
    """
    labels = np.asarray(labels)
    if rule.plane == "slice" and labels.ndim == 3:
        images = [None] * len(labels) if image is None else image
        known = {"structures": structures, "spacing_mm": spacing_mm[1:]}
        planes = [
            offending(plane, rule, image=part, **known)
            for plane, part in zip(labels, images, strict=True)
        ]
        return np.stack(planes)
    _check_structures(rule.structures, structures, f"rule {rule.name!r}")
    out = np.zeros(labels.shape, dtype=bool)
    margin_mm = _MARGIN_MM[rule.plane]
    scene = Scene(labels, structures, spacing_mm, image, margin_mm=margin_mm)
    value = _value(scene, rule)
    if np.isnan(value) or keeps([value], RuleSet(rule.name, (rule,)))[0]:
        return out
    found = _MEASURES[rule.plane][rule.measure]
    out[scene.cut] = found.voxels(scene, rule.structures, rule.threshold)
    return out
