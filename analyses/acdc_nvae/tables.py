"""Tables of corrections: slices and volumes enter, a row a method leaves."""

import numpy as np
import pandas as pd
from steps import FLAG_BELOW, LEVEL, RUINED_BY, WORSE_BY, interval

from radlatent.masks import judge_predictions

#: Draws of patients for the intervals of predicted Dice.
_N_BOOT = 1000


def methods(slices, volumes):
    """Return Dice, validity, harm and structures before and after, a row a method."""
    rows = []
    for name, part in slices.groupby("method", sort=False):
        owners, change = part["patient_id"], part["dice_after"] - part["dice"]
        of_volumes = volumes[volumes["method"] == name]
        row = {"method": name, "n": len(part), "n_patients": owners.nunique()}
        shares = {
            "dice_before": part["dice"],
            "dice_after": part["dice_after"],
            "gain": change,
            "valid_16": part["broken_after_16"] == 0,
            "valid_7": part["broken_after_7"] == 0,
            "improved": change > WORSE_BY,
            "harmed": change < -WORSE_BY,
            "ruined": change < -RUINED_BY,
        }
        for what, values in shares.items():
            row[what] = values.mean()
            row[f"{what}_lower"], row[f"{what}_upper"] = interval(values, owners)
        for kind in ("missing", "invented"):
            row[kind] = int(part[kind].sum())
            row[f"{kind}_after"] = int(part[f"{kind}_after"].sum())
        row["volume_dice_before"] = of_volumes["dice"].mean()
        row["volume_dice_after"] = of_volumes["dice_after"].mean()
        rows.append(row)
    return pd.DataFrame(rows)


def differences(slices, reference):
    """Return paired differences in Dice of every method with one, by patient."""
    keys = ["mask", "slice"]
    wide = slices.pivot_table("dice_after", ["patient_id", *keys], "method")
    owners = wide.index.get_level_values("patient_id").to_series(wide.index)
    rows = []
    for name in wide.columns.drop(reference):
        # a slice that only one of both filled is right in the other
        change = wide[name].fillna(1) - wide[reference].fillna(1)
        low, high = interval(change, owners)
        row = {"method": name, "reference": reference, "difference": change.mean()}
        rows.append(row | {"lower": low, "upper": high, "n": len(change)})
    return pd.DataFrame(rows)


def predictions(slices):
    """Return how good the predicted Dice is, a row a method and metric."""
    known = slices[slices["predicted_dice"].notna()]
    parts = []
    for name, part in known.groupby("method", sort=False):
        n = part["patient_id"].nunique()
        weights = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), _N_BOOT)
        found = judge_predictions(
            part.astype({"flagged": bool}),
            part["dice"].to_numpy(),
            part["patient_id"].to_numpy(),
            flag_below=FLAG_BELOW,
            level=LEVEL,
            weights=weights,
        )
        parts.append(found.reset_index().assign(method=name))
    return pd.concat(parts, ignore_index=True)


def report(slices):
    """Return the counts of the report's T8: slices, apart where both are empty."""
    rows = []
    for name, part in slices.groupby("method", sort=False):
        change = part["dice_after"] - part["dice"]
        held = part[~part["both_empty"]]
        ranks = np.corrcoef(held["dice"], held["dice_after"])[0, 1]
        ordered = change.sort_values()
        rows.append(
            {
                "method": name,
                "n": len(part),
                "both_empty": int(part["both_empty"].sum()),
                "unchanged": int((change == 0).sum()),
                "improved": int((change > 0).sum()),
                "improved_by_0.3": int((change > RUINED_BY).sum()),
                "worsened": int((change < 0).sum()),
                "worsened_below_0.02": int(((change < 0) & (change > -WORSE_BY)).sum()),
                "r2": ranks**2,
                "gain_of_top_100": ordered.tail(100).mean(),
                "loss_of_worst_100": ordered.head(100).mean(),
            }
        )
    return pd.DataFrame(rows)
