"""Candidates for a slice that breaks rules: it and a prior's enter, the best leaves.

The prior redraws a whole slice; most of it was right before. Candidates therefore go a
share of the way toward the prior, near what is wrong alone or everywhere, have their
pieces joined, and lose stray pixels and holes. The one that breaks the fewest rules,
and of those the nearest, is proposed. None loses a structure, or most of one, and none
invents one: rules accept a slice without a right ventricle, so that deleting it would
be the cheapest way to keep them. Whether a structure belongs into a slice, the slices
beside it say (`offers`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt, label

from radlatent.imaging import signed_distance
from radlatent.masks.overlap.dice import label_dice
from radlatent.masks.rules.regions import Region
from radlatent.masks.rules.rules import RuleSet, broken_rules, offending

__all__ = [
    "Proposal",
    "between",
    "candidates",
    "kept_least",
    "mend",
    "propose",
    "signed_distances",
    "swept",
    "tidied",
    "without_strays",
]

#: Measures of a structure as a whole.
_OF_SHAPE = ("concavity", "circularity")

#: Weight of the Dice with what the prior makes of a slice, against that with the slice.
TRUST = 0.5

#: How far in mm from what breaks a rule a candidate follows the prior: fully up to it,
#: fading to twice as far. The last is everywhere.
REACHES_MM = (2.0, 4.0, 8.0, 16.0, np.inf)

#: Shares of the way to the prior.
SHARES = (0.3, 0.5, 0.7, 1.0)

#: Distances in mm beyond which all places are alike, so that a structure that only one
#: of two masks has appears or vanishes at a share of about one half.
_FARTHEST_MM = 15.0

#: Components of a structure below this share of it are stray pixels, and others pieces
#: that may belong together.
STRAY = 0.15

#: Share of its pixels that a structure has to keep, and mm2 below which it is specks
#: that may go.
_MOST, _SPECKS_MM2 = 0.5, 10.0

_EIGHT = np.ones((3, 3), bool)
_MARGIN = 3


@dataclass(frozen=True, eq=False)
class Proposal:
    """The best candidate for a slice.

    Parameters
    ----------
    labels
        Shape (rows, columns).
    n_broken
        Rules that it breaks.
    kept_dice
        Dice with the slice that entered.
    kept_least
        Dice of the structure that is kept least (see `kept_least`), or how probable it
        is that a change is right, whichever is less; the second alone where a reviser
        judges.
    reason
        What was done where the slices beside it asked for it.
    """

    labels: np.ndarray
    n_broken: int
    kept_dice: float
    kept_least: float
    reason: str = ""


def mend(
    plane: np.ndarray,
    targets: Sequence[np.ndarray],
    broken: np.ndarray,
    rules: RuleSet,
    *,
    structures: dict[str, int],
    spacing_mm: Sequence[float],
) -> Proposal:
    """Return the best proposal for a slice, tried again while rules are broken.

    Parameters
    ----------
    plane
        A slice, labels, shape (rows, columns).
    targets
        What the prior makes of it; each is tried where those before left rules broken.
    broken
        Which rules the slice breaks, shape (rules,).
    rules, structures, spacing_mm
        As in `propose`.
    """
    legend = {"structures": structures, "spacing_mm": spacing_mm}
    values = list(structures.values())
    specks = _SPECKS_MM2 / float(np.prod(spacing_mm))
    best = Proposal(plane, int(broken.sum()), 1.0, 1.0)
    # the first target once more, from where it led to
    for target in (targets[0], *targets):
        starts = [best.labels] if best.labels is plane else [best.labels, plane]
        for start in starts:
            left = broken_rules([start], rules, **legend)[0]
            proposal = propose(start, target, left, rules, **legend)
            if proposal.n_broken < best.n_broken:
                kept = label_dice(proposal.labels, plane)
                least = kept_least(plane, proposal.labels, values, specks=specks)
                best = Proposal(proposal.labels, proposal.n_broken, kept, least)
            if best.n_broken == 0:
                return best
    return best


def propose(
    plane: np.ndarray,
    target: np.ndarray,
    broken: np.ndarray,
    rules: RuleSet,
    *,
    structures: dict[str, int],
    spacing_mm: Sequence[float],
) -> Proposal:
    """Return the candidate that breaks the fewest rules, the nearest of those.

    It is the slice itself where every other one loses or invents a structure.

    Parameters
    ----------
    plane, target
        A slice, and what the prior makes of it; labels, shape (rows, columns).
    broken
        Which rules the slice breaks, shape (rules,).
    rules
        A set of rules of slices.
    structures, spacing_mm
        Name to label; of rows and columns.
    """
    legend = {"structures": structures, "spacing_mm": spacing_mm}
    wrong = _wrong(plane, broken, rules, legend)
    values = list(structures.values())
    tried = candidates(plane, target, wrong, values=values, spacing_mm=spacing_mm)
    specks = _SPECKS_MM2 / float(np.prod(spacing_mm))
    tried = [each for each in tried if _has_the_same(plane, each, values, specks)]
    kept = np.array([label_dice(labels, plane) for labels in tried])
    agreed = np.array([label_dice(labels, target) for labels in tried])
    best, seen = None, set()
    # the nearest first: the first valid one is the answer
    for place in np.argsort(-kept - TRUST * agreed, kind="stable"):
        labels = tried[place]
        if labels.tobytes() in seen:
            continue
        seen.add(labels.tobytes())
        n_broken = int(broken_rules([labels], rules, **legend).sum())
        if best is None or n_broken < best.n_broken:
            least = kept_least(plane, labels, values, specks=specks)
            best = Proposal(labels, n_broken, float(kept[place]), least)
        if n_broken == 0:
            break
    return best or Proposal(plane, int(broken.sum()), 1.0, 1.0)


def _has_the_same(before, after, values, specks):
    """Return whether a slice has the structures of another, and most of each."""
    for value in values:
        had, has = np.count_nonzero(before == value), np.count_nonzero(after == value)
        if (had > specks and has < _MOST * had) or (has and not had):
            return False
    return True


def kept_least(
    before: np.ndarray, after: np.ndarray, values: Sequence[int], *, specks: float = 0
) -> float:
    """Return the Dice of the structure that two slices agree on least.

    Parameters
    ----------
    before, after
        Labels of one shape.
    values
        Label of each structure.
    specks
        Pixels up to which a structure that is gone does not count.

    Returns
    -------
    float
        0 where one of both lacks a structure; 1 where both are empty. All structures
        at once (`label_dice`) would not notice that a small one is gone.
    """
    dice = [
        label_dice(before == value, after == value)
        for value in values
        if np.count_nonzero(before == value) > specks or (after == value).any()
    ]
    return min(dice, default=1.0)


def _wrong(plane, broken, rules, legend):
    """Return what breaks rules: where borders and pieces do, and where shapes do.

    An opening in a wall makes its whole hollow count as concave; the opening alone is
    what is to be mended.
    """
    narrow, wide = np.zeros((2, *plane.shape), dtype=bool)
    for place in np.flatnonzero(broken):
        rule = rules.rules[place]
        voxels = offending(plane, rule, **legend)
        wide |= voxels
        if not rule.measure.startswith(_OF_SHAPE):
            narrow |= voxels
    return [narrow, wide] if (narrow != wide).any() else [wide]


def candidates(
    before: np.ndarray,
    target: np.ndarray,
    wrong: Sequence[np.ndarray],
    *,
    values: Sequence[int],
    spacing_mm: Sequence[float],
) -> list[np.ndarray]:
    """Return slices between one and what a prior makes of it.

    Parameters
    ----------
    before
        The slice under judgment, labels, shape (rows, columns).
    target
        The same slice as the prior decodes it.
    wrong
        Where it breaks rules, booleans, narrower places first.
    values
        Label of each structure.
    spacing_mm
        Of rows and columns.

    Notes
    -----
    The slice without stray pixels and holes; with its pieces joined over the background
    of their hull; with what the prior adds to its background near what is wrong; and
    blends: a pixel belongs to the class with the largest
    (1 - w) d_before + w d_target, where d is the signed distance in mm to the border of
    a class, positive inside, clipped at 15 mm, and w falls with the distance from
    ``wrong``: shape-based interpolation (Raya & Udupa 1990, doi:10.1109/42.52980) of
    several classes. Our own design.
    """
    tried = [tidied(before, values, least=1.0)]
    base = tidied(before, values, least=STRAY)
    box = _box(base, target)
    if box is None:
        return tried
    classes = np.array([0, *values])
    start = signed_distances(base[box], classes, spacing_mm)
    change = signed_distances(target[box], classes, spacing_mm) - start
    inside, drawn = base[box], target[box]
    mixed = [_joined(inside, values, spacing_mm)]
    for nearness in _nearness([part[box] for part in wrong], spacing_mm):
        reached = nearness > 0.5
        mixed.append(np.where(reached & (inside == 0), drawn, inside))
        mixed.append(np.where(reached & (drawn == 0), 0, inside))
        mixed += [between(start, change, s * nearness, classes) for s in SHARES]
    for part in mixed:
        whole = np.zeros_like(before)
        whole[box] = part
        tried.append(tidied(whole, values, least=1.0))
    return tried


def _nearness(wrong, spacing_mm):
    """Yield weights from 0 to 1, one a place that is wrong and reach; 1 everywhere."""
    for place in wrong:
        if place.any():
            away = distance_transform_edt(~place, sampling=spacing_mm)
            for reach in REACHES_MM[:-1]:
                yield np.clip(2 - away / reach, 0, 1)
    yield np.ones(wrong[0].shape)


def _joined(plane, values, spacing_mm):
    """Return a slice in which the pieces of each structure are one, over background."""
    joined = plane.copy()
    for value in values:
        inside = plane == value
        if label(inside, _EIGHT)[1] > 1:
            region = Region(inside, spacing_mm)
            joined[region.placed(region.hull) & (plane == 0)] = value
    return joined


def tidied(plane: np.ndarray, values: Sequence[int], *, least: float) -> np.ndarray:
    """Return a slice without stray components and without holes.

    Parameters
    ----------
    plane, values, least
        As in `without_strays`.

    Notes
    -----
    Background that the structures enclose takes the label of the nearest pixel.
    """
    tidy = without_strays(plane, values, least=least)
    box = _box(tidy, tidy)
    if box is None:
        return tidy
    part = tidy[box]
    outside, n = label(np.pad(part == 0, 1, constant_values=True), _EIGHT)
    enclosed = (outside > 0) & (outside != outside[0, 0])
    enclosed = enclosed[1:-1, 1:-1]
    if n > 1 and enclosed.any():
        places = distance_transform_edt(
            part == 0, return_distances=False, return_indices=True
        )
        part[enclosed] = part[tuple(places)][enclosed]
    return tidy


def without_strays(
    plane: np.ndarray, values: Sequence[int], *, least: float
) -> np.ndarray:
    """Return a slice without components that are small beside their structure.

    Parameters
    ----------
    plane
        Labels, shape (rows, columns).
    values
        Label of each structure.
    least
        Share of its structure that a component, 8-connected, needs in order to stay
        beside the largest; 1 keeps the largest alone.
    """
    swept = plane.copy()
    box = _box(plane, plane)
    if box is None:
        return swept
    part = swept[box]
    for value in values:
        pieces, n = label(part == value, _EIGHT)
        if n > 1:
            sizes = np.bincount(pieces.ravel())
            sizes[0] = 0
            stray = sizes < least * sizes.sum()
            stray[[0, sizes.argmax()]] = False
            part[stray[pieces]] = 0
    return swept


def swept(labels: np.ndarray, values: Sequence[int]) -> np.ndarray:
    """Return a volume, shape (z, rows, columns), whose slices have no stray pieces.

    A false island is no part of the heart that a frame is to be placed around.
    """
    return np.array([without_strays(p, values, least=STRAY) for p in labels])


def _box(before, after, margin=(_MARGIN, _MARGIN)):
    held = before > 0 if after is before else (before > 0) | (after > 0)
    # lines that hold something: a quarter of the time that all pixels take
    rows, columns = np.flatnonzero(held.any(axis=1)), np.flatnonzero(held.any(axis=0))
    if not len(rows):
        return None
    return tuple(
        slice(max(places.min() - wide, 0), places.max() + wide + 1)
        for places, wide in zip((rows, columns), margin, strict=True)
    )


def signed_distances(
    labels: np.ndarray, classes: np.ndarray, spacing_mm: Sequence[float]
) -> np.ndarray:
    """Return the distance to the border of each class, shape (classes, *labels).

    Parameters
    ----------
    labels
        Shape (rows, columns).
    classes
        Their values, background (0) included.
    spacing_mm
        Of rows and columns.

    Returns
    -------
    ndarray
        mm, float32, positive inside, clipped at 15 mm; -15 mm everywhere for a class
        that is not there.
    """
    distances = np.full((len(classes), *labels.shape), -_FARTHEST_MM, np.float32)
    distances[np.asarray(classes) == 0] = _FARTHEST_MM
    # farther out all distances are clipped
    reach = [int(np.ceil(_FARTHEST_MM / mm)) + 1 for mm in spacing_mm]
    box = _box(labels, labels, reach)
    if box is None:
        return distances
    for channel, value in enumerate(classes):
        away = -signed_distance(labels[box] == value, spacing_mm)
        distances[channel][box] = np.clip(away, -_FARTHEST_MM, _FARTHEST_MM)
    return distances


def between(
    distances: np.ndarray, change: np.ndarray, weight, classes: np.ndarray
) -> np.ndarray:
    """Return the labels of signed distances that were changed by a weight.

    Parameters
    ----------
    distances, change
        Shape (classes, rows, columns), mm.
    weight
        One number, or one a pixel.
    classes
        Values of the classes.
    """
    return classes[(distances + weight * change).argmax(axis=0)]
