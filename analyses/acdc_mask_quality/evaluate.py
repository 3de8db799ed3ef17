"""What corrections did to masks: cohorts and decisions enter, tables leave."""

import numpy as np
import pandas as pd
from steps import FLAG_BELOW, STRUCTURES, WORSE_BY, Slices, write, write_slices

from radlatent.imaging import read_volume
from radlatent.masks import (
    compare_cohorts,
    judge_predictions,
    keeps,
    mask_files,
    offending,
    read_label_map,
    rule_set,
    score,
    slice_dice,
)

RULES = "short_axis_16"
METRICS = ["dice", "hd_mm", "hd95_max_mm", "assd_pooled_mm"]

#: The correction whose slices are shown and whose predictions are judged.
SHOWN = "VAE"

#: Draws of patients for intervals.
N_BOOT = 1000


def methods(experts, cohort, results, jobs):
    """Return a row a method and gate, and the slices of all of them."""
    before = compare_cohorts(cohort, experts, jobs=jobs).table
    truth = _planes(experts)
    start = _dice_of(cohort, truth)
    rows = [_row("not corrected", None, before, start.assign(dice_after=start["dice"]))]
    parts = []
    for (name, gated), result in results.items():
        table = compare_cohorts(result.cohort, experts, jobs=jobs).table
        after = _dice_of(result.cohort, truth)["dice"].rename("dice_after")
        slices = start.join(after).join(_decisions(cohort, result))
        rows.append(_row(name, gated, table, slices))
        parts.append(slices.assign(method=name, gated=gated).reset_index())
    return pd.DataFrame(rows), pd.concat(parts, ignore_index=True)


def _planes(cohort):
    """Return name of a mask to its patient and labels."""
    return {
        file.case_ids[0].rsplit("_", 1)[0]: (
            file.patient_id,
            read_label_map(file.path, file.structures).array,
        )
        for file in mask_files(cohort)
    }


def _dice_of(cohort, truth):
    """Return Dice with the expert of every slice that one of both holds."""
    rows = []
    for name, (patient, labels) in _planes(cohort).items():
        for z, (mask, reference) in enumerate(zip(labels, truth[name][1], strict=True)):
            if mask.any() or reference.any():
                dice = slice_dice(mask, reference, list(STRUCTURES.values()))
                empty = not mask.any()
                rows.append((name, z, patient, dice, empty))
    table = pd.DataFrame(rows, columns=["name", "slice", "patient", "dice", "empty"])
    return table.set_index(["name", "slice"])


def _decisions(cohort, result):
    names = {
        file.place: file.case_ids[0].rsplit("_", 1)[0] for file in mask_files(cohort)
    }
    table = result.slices.assign(name=result.slices["mask"].map(names))
    return table.drop(columns="mask").set_index(["name", "slice"])


def _row(name, gated, volumes, slices):
    judged = slices[~slices["empty"]]
    row = {"method": name, "gated": gated, "n_slices": len(judged)}
    row |= {metric: volumes[metric].mean() for metric in METRICS}
    row["n_structures"] = int(volumes["dice"].notna().sum())
    change = judged["dice_after"] - judged["dice"]
    row["slice_dice"] = judged["dice_after"].mean()
    row["worse"] = (change < -WORSE_BY).mean()
    row["better"] = (change > WORSE_BY).mean()
    if "decision" not in judged:
        return row
    invalid = judged[judged["n_broken"] > 0]
    row["valid_before"] = (judged["n_broken"] == 0).mean()
    row["valid_after"] = (judged["n_broken_after"] == 0).mean()
    row["n_invalid"] = len(invalid)
    row["invalid_made_valid"] = (invalid["n_broken_after"] == 0).mean()
    for decision in ("corrected", "refused"):
        row[decision] = int((judged["decision"] == decision).sum())
    passed = judged[judged["decision"] == "corrected"]
    row["corrected_valid"] = (passed["n_broken_after"] == 0).mean()
    return row


def write_level(out, level, slices):
    """Write what the figures show, of the gated correction that is shown."""
    shown = slices[(slices["method"] == SHOWN) & slices["gated"] & ~slices["empty"]]
    named = {"valid": "kept"}
    decisions = shown.assign(decision=shown["decision"].replace(named))
    decisions = decisions.rename(columns={"dice": "dice_before"})
    write(
        decisions[["method", "name", "slice", "dice_before", "dice_after", "decision"]],
        out,
        f"decisions_{level}",
    )
    columns = ["dice", "predicted_dice", "lower", "upper", "flagged", "patient"]
    write(shown[["name", "slice", *columns]], out, f"predicted_dice_{level}")
    n_patients = shown["patient"].nunique()
    chance = np.full(n_patients, 1 / n_patients)
    judged = judge_predictions(
        shown[columns[1:5]].astype({"flagged": bool}),
        shown["dice"].to_numpy(),
        shown["patient"].to_numpy(),
        level=0.95,
        flag_below=FLAG_BELOW,
        weights=np.random.default_rng(0).multinomial(n_patients, chance, N_BOOT),
    )
    write(judged.reset_index(), out, f"predicted_dice_judged_{level}")


def write_rules(out, level, cohort, result, jobs):
    """Write how many slices break each rule, before and after."""
    rows = []
    for when, each in (("before", cohort), ("after", result.cohort)):
        slices = score(each, rules=RULES, jobs=jobs).slices
        slices = slices[~slices["empty"].astype(bool)]
        rules = rule_set(RULES)
        for place, rule in enumerate(rules.rules):
            values = slices[rules.names].to_numpy(dtype=float)
            broken = ~keeps(values, rules)[:, place]
            rows.append((rule.name, when, int(broken.sum()), len(slices)))
    table = pd.DataFrame(rows, columns=["rule", "when", "n_broken", "n"])
    broken = table.groupby("rule")["n_broken"].transform("sum") > 0
    write(table[broken], out, f"rules_broken_{level}")


def write_examples(out, level, experts, cohort, results, slices):
    """Keep the slices that gained most, those that lost most and refused ones."""
    shown = slices[(slices["method"] == SHOWN) & slices["gated"] & ~slices["empty"]]
    change = shown["dice_after"] - shown["dice"]
    refused = shown[shown["decision"] == "refused"]
    chosen = {
        "gained": shown.loc[change.nlargest(6).index],
        "lost": shown.loc[change.nsmallest(6).index],
        "refused": refused.head(6),
    }
    result = results[SHOWN, True]
    for what, rows in chosen.items():
        if len(rows):
            write_slices(
                _slices(rows, experts, cohort, result.cohort), out, f"{what}_{level}"
            )


def _slices(rows, experts, cohort, corrected):
    parts = {kind: [] for kind in Slices.__dataclass_fields__}
    cases = experts.located
    masks = {
        kind: _planes(each)
        for kind, each in (
            ("reference", experts),
            ("before", cohort),
            ("after", corrected),
        )
    }
    for row in rows.itertuples():
        path = cases.loc[f"{row.name}_LV", "image_mr"]
        image = read_volume(path)
        spacing = image.spacing_mm[1:]
        before = masks["before"][row.name][1][row.slice]
        parts["images"].append(image.array[row.slice])
        for kind, found in masks.items():
            parts[kind].append(found[row.name][1][row.slice])
        parts["spacing_mm"].append(spacing)
        bad = np.zeros(before.shape, dtype=bool)
        for rule in rule_set(RULES).rules:
            if rule.name in str(row.broken).split(", "):
                known = {"structures": STRUCTURES, "spacing_mm": spacing}
                bad |= offending(before, rule, **known)
        parts["offending"].append(bad)
        dice = f"{row.dice:.2f} to {row.dice_after:.2f}"
        parts["names"].append(f"{row.name}\nslice {row.slice}, Dice {dice}")
    return Slices(**parts)
