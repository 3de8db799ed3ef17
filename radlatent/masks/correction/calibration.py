"""What a corrector does to masks of known truth: pairs enter, tables leave.

The gate and the predicted Dice are set on them. Pairs are expert masks and drawn errors
of them, or the masks of a network and those of a reader of the same patients.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from radlatent.cohort.labels import LabelMap
from radlatent.errors import SchemaError
from radlatent.imaging import Volume
from radlatent.masks.correction.candidates import Proposal
from radlatent.masks.correction.plausibility import Examined
from radlatent.masks.degradation.apply import degrade
from radlatent.masks.degradation.draws import NETWORK_LIKE, mix_for_mask
from radlatent.masks.overlap.dice import slice_dice
from radlatent.masks.revision.pairs import Pair
from radlatent.parallel import progress_bar
from radlatent.provenance import content_key

__all__ = [
    "N_DRAWN",
    "Observed",
    "drawn_pairs",
    "observe",
]

#: Copies of each mask with drawn errors: with as many broken slices as a network's
#: masks, which set the gate; worse ones; and as far from the reader as a network's,
#: though most of their slices look right. With fewer of the worse, some patients of
#: ACDC have no slice that the flag is to find.
_COPIES, _WORSE, _SMOOTH = 2, 3, 3
N_DRAWN = _COPIES + _WORSE + _SMOOTH

#: Of the smooth ones: factor of the moves of borders, most slices that a structure
#: lacks at one end, and share of the masks in which the reader stopped a slice earlier.
_MOVED, _MISSING, _STOPPED = 2.0, 2, 0.4


@dataclass(frozen=True, eq=False)
class Observed:
    """What became of masks.

    Parameters
    ----------
    table
        Plausibility of each slice that holds something.
    dice, patients
        Its true Dice, and whose it is, shape (n,).
    effects, masks
        Of the pairs that set the gate, as in `set_gate`.
    """

    table: pd.DataFrame
    dice: np.ndarray
    patients: np.ndarray
    effects: pd.DataFrame
    masks: pd.DataFrame


def observe(
    pairs: Iterable[Pair],
    n: int,
    *,
    examine: Callable[[LabelMap, Volume | None], Examined],
    offer: Callable[[LabelMap, Examined], Iterable[tuple[int, Proposal]]],
) -> Observed:
    """Return what a corrector would do to masks.

    Parameters
    ----------
    pairs, n
        The masks, and how many they are.
    examine, offer
        What the corrector knows of a mask, given its image or None; number of each
        slice and the proposal that it would replace it by, were it near enough.

    Raises
    ------
    SchemaError
        Not one mask holds anything.
    """
    tables, dice, patients, effects, masks = [], [], [], [], []
    with progress_bar("Setting the gate", n) as advance:
        for pair in pairs:
            examined = examine(pair.mask, pair.image)
            tables.append(examined.table)
            dice += [_dice(pair.mask.array[k], pair, k) for k in examined.places]
            patients += [pair.patient] * len(examined.places)
            if pair.sets_gate and len(examined.places):
                for k, proposal in offer(pair.mask, examined):
                    planes = pair.mask.array[k], proposal.labels
                    before, after = (_dice(plane, pair, k) for plane in planes)
                    effects.append((len(masks), proposal.kept_least, before, after))
                n_broken = int(examined.broken.any(axis=1).sum())
                masks.append((pair.patient, len(examined.places), n_broken))
            advance()
    if not dice:
        msg = "no mask holds a structure. Give the masks that are to be corrected."
        raise SchemaError(msg)
    return Observed(
        pd.concat(tables, ignore_index=True),
        np.array(dice),
        np.array(patients),
        pd.DataFrame(effects, columns=["mask", "kept", "before", "after"]),
        pd.DataFrame(masks, columns=["patient", "n_slices", "n_broken"]),
    )


def _dice(plane, pair, k):
    """Return the Dice of a slice with the truth; empty where that is empty is right."""
    values = list(pair.mask.structures.values())
    dice = slice_dice(plane, pair.truth.array[k], values)
    return 1.0 if np.isnan(dice) else dice


def drawn_pairs(
    masks: Sequence[LabelMap], patients: Sequence[str], *, random_state: int
) -> Iterator[Pair]:
    """Yield `N_DRAWN` pairs of each expert mask, with errors that were drawn.

    Parameters
    ----------
    masks
        Expert masks that the prior has not seen.
    patients
        Whose each is.
    random_state
        Seed of the prior's degraded masks; others are drawn.

    Notes
    -----
    A network draws hearts into slices that the reader left empty. In some of the smooth
    copies, the reader is taken to have stopped one slice earlier.
    """
    # not the errors that the prior has learned from, and streams of their own: no copy
    # is drawn twice
    seed = random_state + 1
    for mask, patient in zip(masks, patients, strict=True):
        alike = mix_for_mask(mask.name, _COPIES, **NETWORK_LIKE, random_state=seed)
        worse = mix_for_mask(mask.name, _WORSE, random_state=seed + 1)
        for number, errors in enumerate(alike + worse):
            changed = mask.with_array(degrade(mask.array, errors, **mask.legend))
            yield Pair(changed, mask, patient, number < _COPIES)
        own = {"severity": _MOVED, "kinds": (0, 0), "random_state": seed + 2}
        random = np.random.default_rng(int(content_key(seed + 2, mask.name)[:16], 16))
        for errors in mix_for_mask(mask.name, _SMOOTH, **own):
            missing = int(random.integers(_MISSING + 1))
            errors = replace(errors, missing_slices=missing)
            changed = mask.with_array(degrade(mask.array, errors, **mask.legend))
            stopped = random.random() < _STOPPED
            truth = _stopped_earlier(mask, random.random() < 0.5) if stopped else mask
            yield Pair(changed, truth, patient, sets_gate=False)


def _stopped_earlier(mask, at_first):
    """Return a mask without its first or its last slice, where it has others."""
    held = np.flatnonzero(mask.array.any(axis=(1, 2)))
    array = mask.array.copy()
    if len(held) > 2:
        array[held[0 if at_first else -1]] = 0
    return mask.with_array(array)
