"""How a sequence of masks stands to the truth, and to the limits of references."""

import numpy as np
import pandas as pd

import radlatent as rl
from radlatent.cohort.labels import LabelMap

RULES = rl.masks.rule_set("apical_12")


def rows_of(
    mask: LabelMap, true: LabelMap, limits: pd.DataFrame, ends: tuple[int, int]
) -> tuple[dict, pd.DataFrame]:
    """Return what a sequence is worth, and its attributes frame by frame.

    Parameters
    ----------
    mask, true
        Labels of its frames, and those without errors.
    limits
        Of the attributes, from reference sequences.
    ends
        Frames of end-diastole and end-systole.
    """
    own, reference = (
        rl.masks.shape_attributes(one.array, **one.slice_legend) for one in (mask, true)
    )
    found = rl.masks.sequence_consistency({"one": own}, limits)
    fractions = [
        rl.masks.ejection_fraction(one, ed=ends[0], es=ends[1])
        for one in (own, reference)
    ]
    values = np.stack(
        [rl.masks.measure(plane, RULES, **mask.slice_legend) for plane in mask.array]
    )
    row = {
        "consistent": bool(found["is_consistent"].all()),
        "n_inconsistent": int(found["n_inconsistent"].sum()),
        "mean_ratio": found["mean_ratio"].mean(),
        "n_invalid": int((~rl.masks.keeps(values, RULES).all(axis=1)).sum()),
        "ef": 100 * fractions[0],
        "ef_error": 100 * abs(fractions[0] - fractions[1]),
    }
    for name in ("LV", "MYO"):
        inside, expert = (one.array == one.structures[name] for one in (mask, true))
        both = (inside & expert).sum(axis=(1, 2))
        sizes = inside.sum(axis=(1, 2)) + expert.sum(axis=(1, 2))
        row[f"dice_{name.lower()}"] = float((2 * both / sizes).mean())
    return row, own.rename_axis("frame").reset_index()


def by_method(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row a method: sequences that are not consistent, Dice, errors of EF.

    Parameters
    ----------
    table
        A row a patient and method.
    """
    by = table.groupby("method", sort=False)
    found = pd.DataFrame(
        {
            "n": by.size(),
            "n_not_consistent": by.size() - by["consistent"].sum(),
            "mean_ratio": by["mean_ratio"].mean(),
            "dice_lv": by["dice_lv"].mean(),
            "dice_myo": by["dice_myo"].mean(),
            "ef_error": by["ef_error"].mean(),
            "n_invalid_frames": by["n_invalid"].sum(),
            "seconds": by["seconds"].median(),
        }
    )
    return found.reset_index()
