"""How good predicted Dice is: predictions and true Dice of masks enter, a table leaves.

Masks of one patient resemble each other: every interval is one over patients.
"""

import numpy as np
import pandas as pd
from scipy import stats

from radlatent.masks.dice.conformal import share_by_patient

__all__ = ["judge_predictions", "share_rows"]

_COLUMNS = ["estimate", "lower", "upper", "level", "n", "n_patients", "method"]

_SHARES = "mean over patients; Clopper-Pearson, one trial a patient"


def judge_predictions(
    predicted: pd.DataFrame,
    dice: np.ndarray,
    patients: np.ndarray,
    *,
    flag_below: float,
    level: float,
    weights: np.ndarray,
) -> pd.DataFrame:
    """Return how near predictions come, how often intervals hold and flags are right.

    Parameters
    ----------
    predicted
        ``predicted_dice, lower, upper, flagged``, one row a mask.
    dice, patients
        True Dice and ``patient_id`` of each.
    flag_below
        Dice below which a mask should be flagged.
    level
        Coverage that the intervals of the table aim at.
    weights
        How often each patient, sorted by name, is drawn, shape (n_boot, n_patients).

    Returns
    -------
    DataFrame
        Index ``metric``: ``mae, pearson, spearman, auc, coverage, sensitivity,
        specificity``; columns ``estimate, lower, upper, level, n, n_patients, method``.
        NaN where there is nothing to judge, such as no mask to be flagged.
    """
    center = predicted["predicted_dice"].to_numpy()
    bad = dice < flag_below
    names, number = np.unique(patients, return_inverse=True)
    places = [np.flatnonzero(number == i) for i in range(len(names))]
    draws = [
        _over_masks(center[rows], dice[rows], bad[rows])
        for rows in (_rows(places, counts) for counts in weights)
    ]
    estimates = _over_masks(center, dice, bad)
    tails = [(1 - level) / 2, (1 + level) / 2]
    known = {"level": level, "n": len(dice), "n_patients": len(names)}
    method = f"over masks; percentile bootstrap of patients, {len(weights)} draws"
    table = {}
    for metric, estimate in estimates.items():
        found = np.array([draw[metric] for draw in draws])
        found = found[np.isfinite(found)]
        lower, upper = np.quantile(found, tails) if len(found) else (np.nan, np.nan)
        row = {"estimate": estimate, "lower": lower, "upper": upper}
        table[metric] = row | known | {"method": method}
    covered = (predicted["lower"] <= dice) & (dice <= predicted["upper"])
    rows = share_rows(predicted["flagged"].to_numpy(), bad, patients, level)
    coverage = share_by_patient(covered.to_numpy(), patients, level)
    table["coverage"] = coverage | {"level": level, "method": _SHARES}
    found = pd.DataFrame.from_dict(table, orient="index", columns=_COLUMNS)
    return pd.concat([found, rows]).rename_axis("metric")


def share_rows(
    flagged: np.ndarray, bad: np.ndarray, patients: np.ndarray, level: float
) -> pd.DataFrame:
    """Return sensitivity and specificity of a flag, in the columns of the table.

    Parameters
    ----------
    flagged, bad
        Booleans, one a mask.
    patients
        ``patient_id`` of each.
    level
        Coverage that the intervals aim at.
    """
    patients = np.asarray(patients)
    rows = {
        "sensitivity": share_by_patient(flagged[bad], patients[bad], level),
        "specificity": share_by_patient(~flagged[~bad], patients[~bad], level),
    }
    table = pd.DataFrame.from_dict(rows, orient="index", columns=_COLUMNS)
    return table.assign(level=level, method=_SHARES).rename_axis("metric")


def _rows(places, counts):
    """Return the masks of the patients that were drawn, as often as they were."""
    return np.concatenate([np.repeat(places[i], n) for i, n in enumerate(counts) if n])


def _over_masks(center, dice, bad):
    ranks = stats.rankdata(center)
    varied = np.ptp(center) > 0 and np.ptp(dice) > 0
    n_bad, auc = np.count_nonzero(bad), np.nan
    if 0 < n_bad < len(bad):
        # pairs in which the worse mask has the lower prediction, ties by half
        lost = ranks[bad].sum() - n_bad * (n_bad + 1) / 2
        auc = 1 - lost / (n_bad * (len(bad) - n_bad))
    return {
        "mae": np.abs(center - dice).mean(),
        "pearson": np.corrcoef(center, dice)[0, 1] if varied else np.nan,
        "spearman": np.corrcoef(ranks, stats.rankdata(dice))[0, 1]
        if varied
        else np.nan,
        "auc": auc,
    }
