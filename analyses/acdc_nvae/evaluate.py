"""What became of masks: pairs and correctors enter, one row a slice leaves."""

from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import distance_transform_edt, label
from steps import STRUCTURES, slug

from radlatent.imaging import write_volume
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


def slices_of(pair, array, *, method, correction=None, opened=None):
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
    opened
        The same were the gate open: what it would have let pass, and how that ends.
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
        if opened is not None and z in opened.slices.index:
            row["sure"] = opened.slices.loc[z, "sure"]
            row["dice_offered"] = _dice_of(opened.mask.array[z], truth[z])
        rows.append(row)
    return rows


def _dice_of(plane, true):
    dice = slice_dice(plane, true, list(STRUCTURES.values()))
    # empty where the reader left it empty is right
    return 1.0 if np.isnan(dice) else dice


def _dice_and_structures(before, after, true):
    values = list(STRUCTURES.values())
    row = {"both_empty": not (before.any() or true.any())}
    for name, plane in (("dice", before), ("dice_after", after)):
        row[name] = _dice_of(plane, true)
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
        about = {"method": method, "patient_id": pair.patient, "mask": pair.mask.name}
        row = {"structure": name}
        for kind, side in (("", sides[0]), ("_after", sides[1])):
            row[f"dice{kind}"] = _dice(side, sides[2])
            row[f"state{kind}"] = _state(side, sides[2])
        rows.append(about | row)
    return rows


def _state(found, true):
    """Return whether both hold a structure, one of them, or neither."""
    names = {(True, True): "both", (False, True): "missed", (True, False): "invented"}
    return names.get((bool(found.any()), bool(true.any())), "neither")


def _dice(a, b):
    total = a.sum() + b.sum()
    return 2 * (a & b).sum() / total if total else np.nan


def corrected_fold(pairs, correctors, folder):
    """Return slices and volumes of pairs under all methods.

    Parameters
    ----------
    pairs
        Masks of a network and of a reader, with their images.
    correctors
        Name to fitted corrector.
    folder
        Corrected masks are written here, a folder a method.
    """
    slices, volumes = [], []
    for pair in pairs:
        baseline = np.array([cleaned(plane) for plane in pair.mask.array])
        found = {"clean-up": (baseline,)}
        for name, corrector in correctors.items():
            opened = open_gate(corrector).correct(pair.mask, pair.image)
            correction = behind(opened, pair.mask, corrector.least_dice_)
            found[name] = (correction.mask.array, correction, opened)
        for name, corrector in blind(correctors).items():
            found[name] = (corrector.correct(pair.mask, pair.image).mask.array,)
        for name, (array, *told) in found.items():
            about = dict(zip(("correction", "opened"), told, strict=False))
            slices += slices_of(pair, array, method=name, **about)
            volumes += volumes_of(pair, array, method=name)
            place = folder / slug(name) / Path(pair.mask.name).name
            place.parent.mkdir(parents=True, exist_ok=True)
            write_volume(pair.mask.volume.with_array(array), place)
    return pd.DataFrame(slices), pd.DataFrame(volumes)


def open_gate(corrector):
    """Return a corrector that lets pass all that is of use."""
    found = copy(corrector)
    found.least_dice_, found.setting_ = 0.0, replace(corrector.setting_, most=1.0)
    return found


def behind(opened, mask, least_dice):
    """Return what a gate that promises nothing lets pass of a correction.

    Parameters
    ----------
    opened
        Of a corrector whose gate is open.
    mask
        The mask that entered.
    least_dice
        The threshold.
    """
    slices, array = opened.slices.copy(), opened.mask.array.copy()
    held = (slices["decision"] == "corrected") & (slices["sure"] < least_dice)
    slices.loc[held, ["decision", "reason"]] = "refused", "not near or sure enough"
    places = slices.index[held]
    array[places] = mask.array[places]
    return replace(opened, mask=mask.with_array(array), slices=slices)


def blind(correctors):
    """Return the correctors of which the report tells: without a gate."""
    wanted = {"NVAE": "NVAE, blind", "VAE, pairs with image": "pairs, image, blind"}
    found = {}
    for name, other in wanted.items():
        if name in correctors:
            found[other] = copy(correctors[name])
            found[other].gated = False
    return found
