"""What became of masks: pairs and correctors enter, one row a slice leaves."""

from copy import copy

import numpy as np
import pandas as pd
from scipy.ndimage import distance_transform_edt, label
from steps import STRUCTURES

from radlatent.masks import rule_set, slice_dice
from radlatent.masks.rules.rules import broken_rules

RULES = {16: rule_set("short_axis_16"), 7: rule_set("short_axis_7")}
PREDICTED = ["predicted_dice", "lower", "upper", "flagged"]
_EIGHT = np.ones((3, 3))


def cleaned(plane):
    """Return a slice with the largest piece of each structure, and without holes.

    What any pipeline does without learning anything: the baseline of all tables.
    """
    kept = np.zeros_like(plane)
    for value in STRUCTURES.values():
        pieces, n = label(plane == value, _EIGHT)
        if n:
            kept[pieces == np.bincount(pieces.ravel())[1:].argmax() + 1] = value
    outside, _ = label(np.pad(kept == 0, 1, constant_values=True))
    holes = ((outside > 0) & (outside != outside[0, 0]))[1:-1, 1:-1]
    if holes.any():
        places = distance_transform_edt(
            kept == 0, return_distances=False, return_indices=True
        )
        kept[holes] = kept[tuple(places)][holes]
    return kept


def slices_of(pair, array, *, method, correction=None):
    """Return a row a slice that the mask, its correction or the reader holds.

    Parameters
    ----------
    pair
        A mask of a network and one of a reader.
    array
        The corrected labels, shape (z, y, x).
    method
        Name of the row of the tables.
    correction
        What decided of the slices, where something did.
    """
    mask, truth = pair.mask, pair.truth.array
    broken = {
        f"{what}_{n}": broken_rules(planes, rules, **mask.slice_legend).sum(axis=1)
        for what, planes in (("broken", mask.array), ("broken_after", array))
        for n, rules in RULES.items()
    }
    rows = []
    for z, planes in enumerate(zip(mask.array, array, truth, strict=True)):
        if not any(plane.any() for plane in planes):
            continue
        row = {"method": method, "patient_id": pair.patient, "mask": mask.name}
        row |= {"slice": z, **_dice_and_structures(*planes)}
        row |= {name: int(counts[z]) for name, counts in broken.items()}
        if correction is not None and z in correction.slices.index:
            told = correction.slices.loc[z]
            row |= {"decision": told["decision"], "reason": told["reason"]}
            row |= {name: told[name] for name in PREDICTED}
        rows.append(row)
    return rows


def _dice_and_structures(before, after, true):
    values = list(STRUCTURES.values())
    row = {"both_empty": not (before.any() or true.any())}
    for name, plane in (("dice", before), ("dice_after", after)):
        dice = slice_dice(plane, true, values)
        # empty where the reader left it empty is right
        row[name] = 1.0 if np.isnan(dice) else dice
    for kind, plane in (("", before), ("_after", after)):
        has = [(plane == value).any() for value in values]
        had = [(true == value).any() for value in values]
        row[f"missing{kind}"] = sum(t and not h for h, t in zip(has, had, strict=True))
        row[f"invented{kind}"] = sum(h and not t for h, t in zip(has, had, strict=True))
    return row


def volumes_of(pair, array, *, method):
    """Return a row a structure of a mask: Dice before and after, by volume."""
    rows = []
    for name, value in STRUCTURES.items():
        sides = [each == value for each in (pair.mask.array, array, pair.truth.array)]
        dice = [_dice(side, sides[2]) for side in sides[:2]]
        about = {"method": method, "patient_id": pair.patient, "mask": pair.mask.name}
        row = {"structure": name, "dice": dice[0], "dice_after": dice[1]}
        rows.append(about | row)
    return rows


def _dice(a, b):
    total = a.sum() + b.sum()
    return 2 * (a & b).sum() / total if total else np.nan


def corrected_fold(pairs, correctors):
    """Return slices and volumes of pairs under all methods.

    Parameters
    ----------
    pairs
        Masks of a network and of a reader, with their images.
    correctors
        Name to fitted corrector.
    """
    slices, volumes = [], []
    for pair in pairs:
        baseline = np.array([cleaned(plane) for plane in pair.mask.array])
        found = {"clean-up": (baseline, None)}
        for name, corrector in correctors.items():
            correction = corrector.correct(pair.mask, pair.image)
            found[name] = (correction.mask.array, correction)
        for name, corrector in blind(correctors).items():
            found[name] = (corrector.correct(pair.mask, pair.image).mask.array, None)
        for name, (array, correction) in found.items():
            slices += slices_of(pair, array, method=name, correction=correction)
            volumes += volumes_of(pair, array, method=name)
    return pd.DataFrame(slices), pd.DataFrame(volumes)


def blind(correctors):
    """Return the correctors of which the report tells: without a gate."""
    wanted = {"NVAE": "NVAE, blind", "VAE, pairs with image": "pairs, image, blind"}
    found = {}
    for name, other in wanted.items():
        if name in correctors:
            found[other] = copy(correctors[name])
            found[other].gated = False
    return found
