"""Measures of anatomical rules: labels of a slice or lesion enter, numbers leave.

Each measure has a second form, which gives the voxels behind the number. NaN says that
a structure is missing, or that the number does not exist.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from scipy.ndimage import distance_transform_edt, label

from radlatent.errors import GeometryError, SchemaError
from radlatent.imaging import bounding_box, expand_box
from radlatent.masks.overlap.label_boxes import (
    check_labels,
    check_spacing,
    check_structures,
)
from radlatent.masks.rules.regions import Region, erode, grow

__all__ = ["SLICE_MEASURES", "Measure", "Scene"]

#: Pixels of a slice for each pixel of a gap that is put up with: 4 at 256 x 256.
_PIXELS_A_PIXEL = 2**14


class Scene:
    """Labels cut to what they hold; what measures share is found once.

    Parameters
    ----------
    labels
        Integers or booleans, shape (rows, columns) or (z, y, x), 0 = background.
    structures
        Name to label, of every label that may occur.
    spacing_mm
        In the order of the axes.
    image
        Intensities of the same shape, or None.
    margin_mm
        What is kept around the structures, at least one voxel.

    Raises
    ------
    GeometryError
        Axes, spacing or image do not fit.
    SchemaError
        Two structures share a label, one has that of the background, or a voxel has a
        label of none.

    Notes
    -----
    The cut keeps voxels around the structures as far as the image goes: what lies
    beyond the image is no background that a structure could touch.
    """

    def __init__(self, labels, structures, spacing_mm, image=None, *, margin_mm=0.0):
        labels = check_labels(labels, "the mask")
        structures = check_structures(structures)
        self.shape = labels.shape
        self.spacing_mm = check_spacing(spacing_mm, labels.ndim)
        if image is not None and np.shape(image) != labels.shape:
            msg = f"the mask has shape {labels.shape}, the image has {np.shape(image)}."
            raise GeometryError(msg)
        held = labels != 0
        self.empty = not held.any()
        self.cut = (slice(0),)
        if not self.empty:
            margins = [max(ceil(margin_mm / mm), 1) for mm in self.spacing_mm]
            self.cut = expand_box(bounding_box(held), margins, labels.shape)
        self.labels = labels[self.cut]
        self.image = None if image is None else np.asarray(image)[self.cut]
        self._masks = {name: self.labels == at for name, at in structures.items()}
        self._regions = {}
        n = sum(np.count_nonzero(mask) for mask in self._masks.values())
        if n != np.count_nonzero(self.labels):
            unknown = set(np.unique(self.labels).tolist()) - {0, *structures.values()}
            msg = (
                f"labels {sorted(unknown)} of a mask belong to no structure, known "
                f"are {dict(structures)}. Name them in structures, or set their voxels "
                "to 0."
            )
            raise SchemaError(msg)

    @property
    def n_voxels(self) -> int:
        """Voxels of the array before it was cut."""
        return int(np.prod(self.shape))

    def mask(self, *names: str) -> np.ndarray:
        """Return the voxels of some structures in the cut."""
        if len(names) == 1:
            return self._masks[names[0]]
        return np.logical_or.reduce([self._masks[name] for name in names])

    @property
    def background(self) -> np.ndarray:
        """The background in the cut."""
        return self.labels == 0

    def region(self, *names: str) -> Region | None:
        """Return some structures as one, None where all are missing."""
        if names not in self._regions:
            mask = self.mask(*names)
            found = Region(mask, self.spacing_mm) if mask.any() else None
            self._regions[names] = found
        return self._regions[names]

    def has(self, names: Sequence[str], found: "Measure") -> bool:
        """Whether there is what a measure needs of some structures."""
        if self.empty or (found.needs_image and self.image is None):
            return False
        if found.needs == "any":
            return self.region(*names) is not None
        needed = names[:1] if found.needs == "first" else names
        return all(self.region(name) is not None for name in needed)


@dataclass(frozen=True)
class Measure:
    """A measure of a rule.

    Parameters
    ----------
    value
        From a `Scene` and the names of the rule's structures to a number.
    voxels
        The same and the threshold, to booleans of the shape of the scene's labels.
    needs
        Which of the structures must be there: ``all``, ``any`` or the ``first``.
    needs_image
        Whether it looks at intensities.
    """

    value: Callable[[Scene, tuple], float]
    voxels: Callable[[Scene, tuple, float], np.ndarray]
    needs: str = "all"
    needs_image: bool = False


def _count(voxels, needs="all"):
    """Return a measure that counts voxels."""
    return Measure(
        lambda scene, names: float(np.count_nonzero(voxels(scene, names))),
        lambda scene, names, threshold: voxels(scene, names),
        needs,
    )


def _holes(scene, names):
    region = scene.region(*names)
    return region.placed(region.holes)


def _holes_beside(scene, names):
    """Return holes of the first structure that are not the second, if that is there.

    Pixels of the second out of the holes are not subtracted: no count is below 0.
    """
    return _holes(scene, names[:1]) & ~scene.mask(names[1])


def _outside_largest(scene, names):
    region = scene.region(*names)
    return region.placed(region.outside_largest)


def _n_components(scene, names):
    return float(len(scene.region(*names).components[1]) - 1)


def _gap(scene, names):
    """Return background that two structures enclose together, not one of them alone."""
    both = scene.region(*names)
    if not both.enclosed.any():
        return np.zeros(scene.labels.shape, dtype=bool)
    found = both.placed(both.enclosed)
    for name, other in (names, names[::-1]):
        region = scene.region(name)
        alone = region.placed(region.enclosed)
        if (alone & scene.mask(other)).any():
            numbers, n = label(alone)
            holding = np.zeros(n + 1, dtype=bool)
            holding[numbers[scene.mask(other)]] = True
            alone &= ~holding[numbers]
        found &= ~alone
    return found & (np.count_nonzero(found) > scene.n_voxels / _PIXELS_A_PIXEL)


def _distance_mm(scene, names):
    """Return how far the first structure, grown by a pixel, is from the second."""
    near = grow(scene.mask(names[0]), corners=True)
    other = scene.mask(names[1])
    if (near & other).any():
        return 0.0
    return float(distance_transform_edt(~other, sampling=scene.spacing_mm)[near].min())


def _all_of_first(scene, names, threshold):
    return scene.mask(names[0])


def _components_apart(scene, names):
    """Return components of the first structure that share no edge with the second."""
    numbers, n = label(scene.mask(names[0]), np.ones((3, 3)))
    near = np.zeros(n + 1, dtype=bool)
    near[numbers[grow(scene.mask(names[1]), corners=False)]] = True
    near[0] = True
    return ~near[numbers]


def _touching(corners, least):
    """Return what finds pixels of the first structure beside the second.

    The second is the background where there is none. Fewer than ``least`` pixels are
    put up with.
    """

    def find(scene, names):
        other = scene.mask(names[1]) if len(names) > 1 else scene.background
        found = scene.mask(names[0]) & grow(other, corners=corners)
        return found & (np.count_nonzero(found) >= least)

    return find


_frontier = _touching(corners=True, least=2)


def _frontier_ratio(scene, names):
    """Return pixels of a frontier over the columns that the first structure spans."""
    width = scene.region(names[0]).widths[1]
    return np.count_nonzero(_frontier(scene, names)) / width


def _concavity_mm(scene, names):
    return float(scene.region(*names).depth_mm.max())


def _deep_gap(scene, names, threshold):
    region = scene.region(*names)
    return region.placed(region.depth_mm > threshold)


def _circularity(scene, names):
    """Return 4 pi area / perimeter^2 of the filled structure, NaN without a perimeter.

    In pixels, as published: pixels that are not square change it.
    """
    region = scene.region(*names)
    length = region.perimeter
    if not length:
        return np.nan
    return float(4 * np.pi * np.count_nonzero(region.filled) / length**2)


def _rim(scene, names, threshold):
    region = scene.region(*names)
    return region.placed(region.rim & region.inside)


def _middle_row(scene, names):
    """Return the row that holds the center of mass of some structures."""
    return int(np.nonzero(scene.mask(*names))[0].mean())


def _width_ratio(scene, names):
    """Return pixels of the first over those of the second on the row of the middle."""
    row = _middle_row(scene, names)
    widths = [np.count_nonzero(scene.mask(name)[row]) for name in names]
    return widths[0] / widths[1] if all(widths) else np.nan


def _first_on_row(scene, names, threshold):
    found = scene.mask(names[0]).copy()
    row = _middle_row(scene, names)
    found[:row], found[row + 1 :] = False, False
    return found


def _erosions(scene, names):
    """Yield the structure, eroded 0, 1, ... times, until it is not one component.

    Components smaller than the tolerance of gaps (edges only) go at each erosion.
    """
    inside = scene.region(*names).inside
    yield inside
    while label(inside, np.ones((3, 3)))[1] == 1:
        numbers, n = label(erode(inside, corners=True))
        sizes = np.bincount(numbers.ravel(), minlength=n + 1)
        sizes[0] = 0
        inside = (sizes > 0) & (sizes >= scene.n_voxels / _PIXELS_A_PIXEL)
        inside = inside[numbers]
        yield inside


def _erosion_ratio(scene, names):
    """Return erosions until a structure splits or ends, over its largest half width."""
    n_erosions = sum(1 for _ in _erosions(scene, names)) - 1
    return n_erosions / distance_transform_edt(scene.region(*names).inside).max()


def _neck(scene, names, threshold):
    """Return what the last erosion took for good: where the structure splits."""
    region = scene.region(*names)
    *before, last = _erosions(scene, names)
    if not before:
        return region.placed(region.outside_largest)
    return region.placed(before[-1] & ~grow(last, corners=True))


#: Measures of a slice, by the name that rules give them.
SLICE_MEASURES: Mapping[str, Measure] = {
    "holes": _count(_holes, needs="any"),
    "holes_beside": _count(_holes_beside, needs="first"),
    "outside_largest": _count(_outside_largest),
    "components": Measure(
        _n_components, lambda scene, names, threshold: _outside_largest(scene, names)
    ),
    "gap": _count(_gap),
    "distance": Measure(_distance_mm, _all_of_first),
    "components_apart": _count(_components_apart),
    "frontier": _count(_frontier),
    "touching": _count(_touching(corners=False, least=1)),
    "frontier_ratio": Measure(
        _frontier_ratio, lambda scene, names, threshold: _frontier(scene, names)
    ),
    "concavity": Measure(_concavity_mm, _deep_gap),
    "circularity": Measure(_circularity, _rim),
    "width_ratio": Measure(_width_ratio, _first_on_row),
    "erosion_ratio": Measure(_erosion_ratio, _neck),
}
