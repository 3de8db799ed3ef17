"""What may replace slices of a mask: a mask enters, offers for some slices leave.

In doubt are slices that break rules, and those that the slices beside them contradict.
A network that looks at one slice at a time leaves a structure out of one, or puts one
where no slice beside it has any. Rules of slices see neither: that a structure is
missing is no fault of a slice alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from radlatent.cohort.labels import LabelMap
from radlatent.masks.correction.candidates import (
    STRAY,
    Proposal,
    between,
    mend,
    signed_distances,
    swept,
)
from radlatent.masks.correction.plausibility import Examined
from radlatent.masks.overlap.dice import label_dice
from radlatent.masks.rules.rules import RuleSet, broken_rules

__all__ = ["Offer", "Repair", "interpolated", "offers", "repairs"]

#: More of a slice outside of the frame is too much for the prior to judge it.
_OUTSIDE = 0.02

#: Within this distance in mm, a structure of the next slice is the same one.
_NEAR_MM = 15.0


@dataclass(frozen=True, eq=False)
class Offer:
    """What may replace a slice.

    Parameters
    ----------
    place
        Number of the slice.
    proposal
        The best that was found.
    refusal
        Why it is of no use whatever the gate says, or an empty text.
    """

    place: int
    proposal: Proposal
    refusal: str = ""


@dataclass(frozen=True, eq=False)
class Repair:
    """A slice with what the slices beside it show, and without what they lack.

    Parameters
    ----------
    labels
        Shape (rows, columns).
    reason
        What was done, in words.
    sure
        How probable it is that this is right, where that is known.
    """

    labels: np.ndarray
    reason: str
    sure: float = 1.0


def offers(
    mask: LabelMap,
    examined: Examined,
    rules: RuleSet,
    draw: Callable[[LabelMap, Examined, np.ndarray], Sequence[np.ndarray]],
    asked: Mapping[int, Repair],
    judge: Callable[[int, Proposal], Proposal] = lambda _, proposal: proposal,
) -> Iterator[Offer]:
    """Yield what may replace each slice in doubt, in the order of the slices.

    Parameters
    ----------
    mask, examined
        The mask under judgment, and what is known of it.
    rules
        A set of rules of slices.
    draw
        Called with both and the rows of ``examined`` that break rules; returns what
        they might be, arrays of shape (k, rows, columns).
    asked
        Number of a slice to what is to be done there whatever the rules say.
    judge
        Called with the number of a slice that breaks rules and what was found for it;
        returns the same with how sure that is, where somebody knows better than how
        near it stays.
    """
    rows = np.flatnonzero(examined.broken.any(axis=1))
    targets = zip(*draw(mask, examined, rows), strict=True)
    drawn = dict(zip(examined.places[rows], targets, strict=True))
    broken = dict(zip(examined.places, examined.broken, strict=True))
    outside = examined.table["outside_share"] > _OUTSIDE
    for place in sorted({*drawn, *asked}):
        plane, targets = mask.array[place], drawn.get(place, ())
        n_broken = int(broken[place].sum()) if place in broken else 0
        if place in asked:
            proposal = _mended(plane, asked[place], targets, rules, mask.slice_legend)
            if proposal.n_broken <= n_broken:
                yield Offer(place, proposal)
                continue
        if place in drawn:
            proposal = mend(plane, targets, broken[place], rules, **mask.slice_legend)
            refusal = ""
            if outside[place]:
                refusal = "reaches out of the canonical frame"
            elif proposal.n_broken >= n_broken:
                refusal = "no candidate breaks fewer rules"
            yield Offer(place, judge(place, proposal), refusal)


def _mended(plane, repair, targets, rules, legend):
    """Return a repaired slice, mended where it breaks rules."""
    broken = broken_rules([repair.labels], rules, **legend)[0]
    made = mend(repair.labels, [repair.labels, *targets], broken, rules, **legend)
    kept = label_dice(made.labels, plane)
    least = min(made.kept_least, repair.sure)
    return replace(made, kept_dice=kept, kept_least=least, reason=repair.reason)


def repairs(
    labels: np.ndarray, *, structures: Mapping[str, int], spacing_mm: Sequence[float]
) -> dict[int, Repair]:
    """Return the slices that the two beside them contradict.

    Parameters
    ----------
    labels
        Integers, shape (z, y, x).
    structures
        Name to label. With one structure alone, such as a lesion that may well lie in
        one slice, nothing is contradicted.
    spacing_mm
        Of (z, y, x).

    Returns
    -------
    dict
        Number of a slice to its `Repair`. The first and the last slice are left alone:
        nobody knows where a structure ends.

    Notes
    -----
    A structure was invented where neither slice has any of it within 15 mm, though
    other slices have it or both hold something else: it is taken away. It is missing
    where both slices show it and this one has less than 15 % of what the smaller of
    them has: it comes back as it lies between them (`interpolated`), over the
    background, or, where little of it would lie there, over other structures. On the
    160 expert masks of 80 ACDC patients (1496 slices) neither occurs. Our own design.
    """
    if len(structures) < 2:
        return {}
    known = swept(labels, list(structures.values()))
    found = {}
    for k in range(1, len(labels) - 1):
        plane, done = known[k], []
        for name, value in structures.items():
            if _is_invented(known, k, value, spacing_mm[1:]):
                plane = np.where(plane == value, 0, plane)
                done.append(f"{name} is taken away: no slice beside it shows any")
        for name, value in structures.items():
            sizes = [np.count_nonzero(each == value) for each in known[[k - 1, k + 1]]]
            if np.count_nonzero(plane == value) < STRAY * min(sizes):
                plane = _restored(plane, known, k, value, structures, spacing_mm[1:])
                done.append(f"{name} is brought back: both slices beside it show it")
        if done:
            found[k] = Repair(plane.astype(labels.dtype), "; ".join(done))
    return found


def _is_invented(labels, k, value, spacing_mm):
    """Return whether a structure is in a slice, and near it in no slice beside."""
    here = _reach_mm(labels[k] == value, spacing_mm)
    if here is None:
        return False
    beside = labels[[k - 1, k + 1]]
    for plane in beside:
        there = _reach_mm(plane == value, spacing_mm)
        if there is not None:
            gaps = np.maximum(there[0] - here[1], here[0] - there[1])
            if (gaps <= _NEAR_MM).all():
                return False
    elsewhere = (np.delete(labels, k, axis=0) == value).any()
    return elsewhere or beside.any(axis=(1, 2)).all()


def _reach_mm(inside, spacing_mm):
    """Return the corners in mm of the box of a structure, shape (2, 2), or None."""
    pixels = np.argwhere(inside)
    if not len(pixels):
        return None
    return np.array([pixels.min(axis=0), pixels.max(axis=0)]) * spacing_mm


def _restored(plane, labels, k, value, structures, spacing_mm):
    drawn = interpolated(
        labels, k, values=list(structures.values()), spacing_mm=spacing_mm
    )
    base = np.where(plane == value, 0, plane)
    wanted = drawn == value
    free = wanted & (base == 0)
    # a cavity that was labeled as the wall around it has no background to come back to
    place = free if 2 * np.count_nonzero(free) >= np.count_nonzero(wanted) else wanted
    return np.where(place, value, base)


def interpolated(
    labels: np.ndarray, k: int, *, values: Sequence[int], spacing_mm: Sequence[float]
) -> np.ndarray:
    """Return a slice as it would lie between the two beside it.

    Parameters
    ----------
    labels
        Shape (z, rows, columns).
    k
        Number of the slice; neither the first nor the last.
    values
        Label of each structure.
    spacing_mm
        Of rows and columns.

    References
    ----------
    Raya & Udupa 1990, doi:10.1109/42.52980, of several classes.
    """
    classes = np.array([0, *values])
    below, above = (
        signed_distances(labels[place], classes, spacing_mm) for place in (k - 1, k + 1)
    )
    return between(below, above - below, 0.5, classes).astype(labels.dtype)
