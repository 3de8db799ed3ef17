"""The gate: proposals for slices enter, decisions with their reasons leave.

What the prior makes of a slice is brought back to its grid and mended; whether that may
replace the slice is decided here, and the threshold for it is set on patients that the
prior has not seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from radlatent.masks.frame import from_frame
from radlatent.masks.labels import LabelMap
from radlatent.masks.mend import candidates, slice_dice
from radlatent.masks.plausibility import broken_rules
from radlatent.masks.prior import Encoded, ShapePrior
from radlatent.masks.rules import RuleSet, offending
from radlatent.masks.targets import nearest_latents

__all__ = ["ALLOWED", "HARM", "Proposal", "least_dice", "propose", "redraw"]

#: Dice that a slice may lose, and the share of slices that may lose more on the
#: patients that the threshold is set on: half of what is promised of others.
HARM, ALLOWED = 0.02, 0.005

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
    return classes[maps.argmax(dim=1).numpy()].astype(mask.array.dtype)


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
    wrong = np.zeros(plane.shape, dtype=bool)
    for place in np.flatnonzero(broken):
        wrong |= offending(plane, rules.rules[place], **known)
    values = list(structures.values())
    best = None
    for number, labels in enumerate(
        candidates(plane, target, wrong, values=values, spacing_mm=spacing_mm)
    ):
        kept = slice_dice(labels, plane, values)
        # what is farther than a valid candidate need not be judged
        if best is not None and best.n_broken == 0 and kept <= best.kept_dice:
            continue
        n_broken = int(broken_rules([labels], rules, **known).sum())
        found = Proposal(labels, n_broken, kept)
        if best is None or (n_broken, -kept) < (best.n_broken, -best.kept_dice):
            best = found
        # tidied alone it is valid: no candidate of the prior is nearer
        if number == 0 and n_broken == 0:
            break
    return best


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
    fine = np.flatnonzero(harmed <= ALLOWED * n)
    if not len(fine):
        return _NEVER
    last = fine[-1]
    return float(kept[order][last])
