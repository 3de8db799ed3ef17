"""The gate: proposals for slices enter, decisions with their reasons leave.

What the prior makes of a slice is brought back to its grid and mended; whether that may
replace the slice is decided here, and the threshold for it is set on patients that the
prior has not seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from radlatent.masks.correction.candidates import candidates
from radlatent.masks.labels import LabelMap
from radlatent.masks.overlap.dice import label_dice
from radlatent.masks.prior.frame import classes_of, from_frame
from radlatent.masks.prior.latents import nearest_latents
from radlatent.masks.prior.shape_prior import Encoded, ShapePrior
from radlatent.masks.rules.rules import RuleSet, broken_rules, offending

__all__ = ["ALLOWED", "HARM", "Proposal", "least_dice", "mend", "propose", "redraw"]

#: Dice that a slice may lose, and the share of slices that may lose more on the
#: patients that the threshold is set on: what is promised of others.
HARM, ALLOWED = 0.02, 0.01

#: Measures of a structure as a whole.
_OF_SHAPE = ("concavity", "circularity")

#: Weight of the Dice with what the prior makes of a slice, against that with the slice.
TRUST = 0.5

#: A Dice that no correction reaches.
_NEVER = 1.01


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
    """

    labels: np.ndarray
    n_broken: int
    kept_dice: float


def redraw(
    mask: LabelMap,
    prior: ShapePrior,
    encoded: Encoded,
    rows: Sequence[int],
    bank: np.ndarray | None,
) -> np.ndarray:
    """Return slices as the prior would have them, shape (k, rows, columns).

    Parameters
    ----------
    mask
        The mask under judgment.
    prior, encoded
        A fitted prior, and what it makes of the mask.
    rows
        Which of the encoded slices, shape (k,).
    bank
        Valid latents, of which the nearest is decoded; None decodes the slice's own.
    """
    rows = np.asarray(rows, dtype=int)
    latents = encoded.mean[rows]
    if bank is not None:
        latents = nearest_latents(latents, bank)
    maps = from_frame(prior.decode(latents), encoded.placement, rows)
    classes = np.array([0, *(mask.structures[name] for name in prior.structures_)])
    return classes[classes_of(maps)].astype(mask.array.dtype)


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
    known = {"structures": structures, "spacing_mm": spacing_mm}
    wrong = _wrong(plane, broken, rules, known)
    values = list(structures.values())
    tried = candidates(plane, target, wrong, values=values, spacing_mm=spacing_mm)
    kept = np.array([label_dice(labels, plane) for labels in tried])
    agreed = np.array([label_dice(labels, target) for labels in tried])
    best, seen = None, set()
    # the nearest first: the first valid one is the answer
    for place in np.argsort(-kept - TRUST * agreed, kind="stable"):
        labels = tried[place]
        if labels.tobytes() in seen:
            continue
        seen.add(labels.tobytes())
        n_broken = int(broken_rules([labels], rules, **known).sum())
        if best is None or n_broken < best.n_broken:
            best = Proposal(labels, n_broken, float(kept[place]))
        if n_broken == 0:
            break
    return best


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
    known = {"structures": structures, "spacing_mm": spacing_mm}
    best = Proposal(plane, int(broken.sum()), 1.0)
    # the first target once more, from where it led to
    for target in (targets[0], *targets):
        starts = [best.labels] if best.labels is plane else [best.labels, plane]
        for start in starts:
            wrong = broken_rules([start], rules, **known)[0]
            found = propose(start, target, wrong, rules, **known)
            if found.n_broken < best.n_broken:
                kept = label_dice(found.labels, plane)
                best = Proposal(found.labels, found.n_broken, kept)
            if best.n_broken == 0:
                return best
    return best


def _wrong(plane, broken, rules, known):
    """Return what breaks rules: where borders and pieces do, and where shapes do.

    An opening in a wall makes its whole hollow count as concave; the opening alone is
    what is to be mended.
    """
    narrow, wide = np.zeros((2, *plane.shape), dtype=bool)
    for place in np.flatnonzero(broken):
        rule = rules.rules[place]
        found = offending(plane, rule, **known)
        wide |= found
        if not rule.measure.startswith(_OF_SHAPE):
            narrow |= found
    return [narrow, wide] if (narrow != wide).any() else [wide]


def least_dice(kept: np.ndarray, before: np.ndarray, after: np.ndarray, n: int):
    """Return the lowest Dice with the slice that entered at which few come to harm.

    Parameters
    ----------
    kept
        Dice of proposals with the slices that entered, shape (k,).
    before, after
        Dice of slices and proposals with the reference, shape (k,).
    n
        Slices in all, those without a proposal included.
    """
    order = np.argsort(-kept)
    harmed = np.cumsum(after[order] < before[order] - HARM)
    kept = kept[order]
    # equal ones pass together
    ends = np.append(kept[1:] < kept[:-1], True)[: len(kept)]
    fine = np.flatnonzero(ends & (harmed <= ALLOWED * n))
    return float(kept[fine[-1]]) if len(fine) else _NEVER
