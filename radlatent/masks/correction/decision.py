"""What is decided of the slices of a mask: offers enter, a mask and a table leave.

The gate lets an offer pass where it is sure enough and not one of too many; every slice
keeps the reason.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd

from radlatent.cohort.labels import LabelMap
from radlatent.masks.correction.gate import Setting, nearest_few
from radlatent.masks.correction.offers import Offer
from radlatent.masks.correction.plausibility import Examined
from radlatent.masks.dice.predictor import DicePredictor
from radlatent.masks.overlap.dice import label_dice
from radlatent.masks.rules.rules import RuleSet, broken_rules

__all__ = ["Correction", "Decision", "behind_gate", "decided", "without_gate"]

#: Of columns in the table of slices, whatever rows come in.
_TYPES = {"n_broken": int, "n_broken_after": int, "flagged": bool}


@dataclass(frozen=True, eq=False, repr=False)
class Correction:
    """A mask, corrected where that was safe.

    Parameters
    ----------
    mask
        The corrected mask; the one that entered is untouched.
    slices
        Index ``slice``, of those that held something: ``decision`` (``valid``,
        ``corrected``, ``refused``), its ``reason``, ``n_broken`` and
        ``n_broken_after`` rules, ``broken``, their names, ``kept_dice`` of the two
        masks, ``sure``, which the gate compares with its threshold, NaN where nothing
        of use was offered, and what `DicePredictor` says of the mask that entered. A
        slice that was empty is there where it was filled, without a prediction.
    plausibility
        The columns that the prediction was made from.
    setting
        Whose masks gate and prediction were set on, and what is promised.
    """

    mask: LabelMap
    slices: pd.DataFrame
    plausibility: pd.DataFrame
    setting: Setting = field(default_factory=Setting)

    @property
    def summary(self) -> pd.Series:
        """Number of slices by decision."""
        return self.slices["decision"].value_counts()

    def __repr__(self) -> str:
        counts = ", ".join(f"{n} {what}" for what, n in self.summary.items())
        return f"Correction({self.mask.name}: {counts}; {self.setting.text})"


class Decision(NamedTuple):
    """What is done with a slice.

    Parameters
    ----------
    place
        Number of the slice.
    labels
        What replaces it, shape (rows, columns); None: it stays.
    told
        Columns of the table of slices.
    """

    place: int
    labels: np.ndarray | None
    told: dict


def decided(
    mask: LabelMap,
    examined: Examined,
    decisions: Iterable[Decision],
    *,
    rules: RuleSet,
    predictor: DicePredictor,
    setting: Setting,
) -> Correction:
    """Return a mask after decisions, and what was decided of every slice.

    Parameters
    ----------
    mask, examined
        The mask that entered, and what is known of it.
    decisions
        Of some slices; others are valid and stay.
    rules, predictor, setting
        Of the corrector.
    """
    slices = _undecided(examined, rules, predictor)
    array = mask.array.copy()
    for place, labels, told in decisions:
        if place not in slices.index:
            slices.loc[place, ["n_broken", "broken", "flagged"]] = 0, "", False
        slices.loc[place, list(told)] = list(told.values())
        if labels is not None:
            array[place] = labels
    slices = slices.sort_index()
    if len(slices):
        slices = slices.astype(_TYPES)
    return Correction(mask.with_array(array), slices, examined.table, setting)


def _undecided(examined, rules, predictor):
    """Return the table of slices of a mask of which none is corrected."""
    slices = pd.DataFrame(
        {"decision": "valid", "reason": "breaks no rule"},
        index=examined.table.index,
    )
    names, broken = np.array(rules.names), examined.broken
    slices["n_broken"] = slices["n_broken_after"] = broken.sum(axis=1)
    slices["broken"] = [", ".join(names[row]) for row in broken]
    slices["kept_dice"], slices["sure"] = 1.0, np.nan
    if len(slices):
        slices = slices.join(predictor.predict(examined.table))
    return slices


def behind_gate(
    offers: Sequence[Offer], n_slices: int, *, least_dice: float, most: float
) -> Iterator[Decision]:
    """Yield what the gate decides.

    Parameters
    ----------
    offers
        What may replace slices.
    n_slices
        Of the mask, those that held something.
    least_dice
        Least number of an offer (`Proposal.kept_least`) that passes.
    most
        Largest share of the slices that are corrected.
    """
    able = [one.proposal.kept_least for one in offers if not one.refusal]
    passed = iter(nearest_few(able, least_dice, most * n_slices))
    for one in offers:
        proposal, refusal = one.proposal, one.refusal
        if not refusal and not next(passed):
            refusal = _held_back(proposal, least_dice, most)
        sure = np.nan if one.refusal else proposal.kept_least
        if refusal:
            told = {"decision": "refused", "reason": refusal, "sure": sure}
            yield Decision(one.place, None, told)
            continue
        told = {
            "decision": "corrected",
            "reason": proposal.reason or "breaks fewer rules and stays near",
            "n_broken_after": proposal.n_broken,
            "kept_dice": proposal.kept_dice,
            "sure": sure,
        }
        yield Decision(one.place, proposal.labels, told)


def _held_back(proposal, least_dice, most):
    if proposal.kept_least >= least_dice:
        return f"more than {most:.0%} of the slices would be corrected"
    if proposal.reason:
        sure = f"{proposal.kept_least:.2f} is below {least_dice:.2f}"
        return f"not sure enough ({sure}): {proposal.reason}"
    return f"too far from the mask: Dice below {least_dice:.3f}"


def without_gate(
    mask: LabelMap, examined: Examined, targets: np.ndarray, rules: RuleSet
) -> Iterator[Decision]:
    """Yield decisions that replace every slice.

    Parameters
    ----------
    mask, examined
        The mask that entered, and what is known of it.
    targets
        What replaces its slices, shape (n, rows, columns).
    rules
        Of the corrector.
    """
    broken = broken_rules(targets, rules, **mask.slice_legend)
    for place, target, wrong in zip(examined.places, targets, broken, strict=True):
        told = {
            "decision": "corrected",
            "reason": "there is no gate",
            "n_broken_after": int(wrong.sum()),
            "kept_dice": label_dice(target, mask.array[place]),
        }
        yield Decision(place, target, told)
