"""The gate: how near a correction has to stay, found on masks the prior has not seen.

Expert masks are degraded as a network's are, examined and mended; what corrections of
them would have done tells how far one may go. Predicted Dice is learned from the same
copies, and from worse ones.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from radlatent.cohort.labels import LabelMap
from radlatent.masks.correction.candidates import Proposal
from radlatent.masks.correction.plausibility import Examined
from radlatent.masks.degradation.apply import degrade
from radlatent.masks.degradation.draws import NETWORK_LIKE, mix_for_mask
from radlatent.masks.overlap.dice import slice_dice
from radlatent.parallel import progress_bar

__all__ = ["ALLOWED", "HARM", "Calibration", "calibrate", "least_dice"]

#: Dice that a slice may lose, and the share of slices that may lose more on the
#: patients that the threshold is set on: what is promised of others.
HARM, ALLOWED = 0.02, 0.01

#: Degraded copies of each calibration mask: as broken as a network's, and worse. With
#: fewer of the worse, some patients of ACDC have no slice that the flag is to find.
_COPIES, _WORSE = 2, 3

#: A Dice that no correction reaches.
_NEVER = 1.01


@dataclass(frozen=True, eq=False)
class Calibration:
    """What became of degraded calibration masks, n slices.

    Parameters
    ----------
    table
        Plausibility of each slice.
    dice, patients
        Its true Dice, and whose it is, shape (n,).
    least_dice
        Dice with the mask that entered, below which a correction is refused.
    """

    table: pd.DataFrame
    dice: np.ndarray
    patients: np.ndarray
    least_dice: float


def calibrate(
    masks: Sequence[LabelMap],
    patients: Sequence[str],
    *,
    examine: Callable[[LabelMap], Examined],
    propose: Callable[[LabelMap, Examined], Iterable[tuple[int, Proposal]]],
    random_state: int,
) -> Calibration:
    """Return what the gate and the predicted Dice are set by.

    Parameters
    ----------
    masks
        Expert masks that the prior has not seen.
    patients
        Whose each is.
    examine, propose
        What a corrector knows of a mask, and row and proposal of every slice of it that
        breaks a rule.
    random_state
        Seed of the prior's degraded masks; others are drawn.
    """
    # not the errors that the prior has learned from
    seed = random_state + 1
    tables, dice, whose, effects, n = [], [], [], [], 0
    with progress_bar("Setting the gate", len(masks)) as advance:
        for mask, patient in zip(masks, patients, strict=True):
            alike = mix_for_mask(mask.name, _COPIES, **NETWORK_LIKE, random_state=seed)
            # a stream of its own: no copy is drawn twice
            worse = mix_for_mask(mask.name, _WORSE, random_state=seed + 1)
            for number, errors in enumerate(alike + worse):
                changed = mask.with_array(degrade(mask.array, errors, **mask.legend))
                examined = examine(changed)
                true = _true_dice(changed, mask, examined.places)
                tables.append(examined.table)
                dice.append(true)
                whose += [patient] * len(true)
                if number < _COPIES:
                    proposals = propose(changed, examined)
                    effects += _effects(proposals, mask, examined.places, true)
                    n += len(true)
            advance()
    table = pd.concat(tables, ignore_index=True)
    kept, before, after = np.reshape(effects, (-1, 3)).T
    threshold = least_dice(kept, before, after, n)
    return Calibration(table, np.concatenate(dice), np.array(whose), threshold)


def _true_dice(changed, mask, places):
    values = list(mask.structures.values())
    return np.array(
        [slice_dice(changed.array[k], mask.array[k], values) for k in places]
    )


def _effects(proposals, mask, places, true):
    """Return what proposals keep, and the true Dice before and after."""
    values = list(mask.structures.values())
    return [
        (
            proposal.kept_dice,
            true[row],
            slice_dice(proposal.labels, mask.array[places[row]], values),
        )
        for row, proposal in proposals
    ]


def least_dice(
    kept: np.ndarray, before: np.ndarray, after: np.ndarray, n: int
) -> float:
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
