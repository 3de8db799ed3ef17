"""Table 3: what a gate promises of patients that it was not set on, and what comes.

Every slice was offered by a corrector that has not seen the patient. Patients are drawn
to set a gate on what was offered to them; it is tried on the others.
"""

import numpy as np
import pandas as pd
from steps import folder_of_figures, read, write

from radlatent.errors import CohortError
from radlatent.masks.correction.gate import harmed_shares, lets_pass, set_gate

#: Risks that are asked for (1: no promise), patients that set the gate, and draws.
RISKS, SIZES, N_DRAWS = (0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 1.0), (19, 40, 64), 100


def effects_of(slices):
    """Return what was offered and the masks, as `set_gate` takes them."""
    judged = slices[slices["decision"].notna()]
    by = judged.groupby("mask", sort=True)
    masks = pd.DataFrame(
        {
            "patient": by["patient_id"].first(),
            "n_slices": by.size(),
            "n_broken": by["broken_16"].agg(lambda n: int((n > 0).sum())),
        }
    ).reset_index(names="place")
    number = pd.Series(masks.index, index=masks["place"])
    offered = judged[judged["sure"].notna()]
    effects = pd.DataFrame(
        {
            "mask": offered["mask"].map(number).to_numpy(),
            "kept": offered["sure"].to_numpy(),
            "before": offered["dice"].to_numpy(),
            "after": offered["dice_offered"].to_numpy(),
        }
    )
    return effects, masks


def part_of(effects, masks, patients):
    """Return the same of some patients."""
    kept = masks[masks["patient"].isin(patients)]
    number = pd.Series(np.arange(len(kept)), index=kept.index)
    mine = effects[effects["mask"].isin(kept.index)]
    mine = mine.assign(mask=mine["mask"].map(number)).reset_index(drop=True)
    return mine, kept.reset_index(drop=True)


def tried(effects, masks, *, n, risk):
    """Return a row: gates set on draws of n patients, tried on the others."""
    everyone = np.unique(masks["patient"])
    random = np.random.default_rng(0)
    refused, harmed, passed, thresholds = 0, [], [], []
    for _ in range(N_DRAWS):
        drawn = random.permutation(everyone)
        setting = part_of(effects, masks, drawn[:n])
        others = part_of(effects, masks, drawn[n:])
        try:
            threshold, made = set_gate(*setting, risk=risk)
        except CohortError:
            refused += 1
            continue
        shares = harmed_shares(*others, threshold, made.most)
        harmed.append(shares.mean())
        near = lets_pass(*others, threshold, made.most)
        passed.append(near.sum() / others[1]["n_slices"].sum())
        thresholds.append(threshold)
    row = {"patients": n, "risk": risk, "draws": N_DRAWS, "refused": refused}
    if harmed:
        above = np.mean(np.array(harmed) > risk) if risk < 1 else np.nan
        row |= {"threshold": np.median(thresholds), "passed": np.mean(passed)}
        row |= {"harmed": np.mean(harmed), "harmed_highest": np.max(harmed)}
        row |= {"broken_promises": above}
    return row


def main():
    """Write the table."""
    out = folder_of_figures()
    rows = []
    slices = read(out, "slices")
    for name, part in slices[slices["decision"].notna()].groupby("method", sort=False):
        effects, masks = effects_of(part)
        sizes = [n for n in SIZES if n < masks["patient"].nunique()]
        rows += [
            {"method": name} | tried(effects, masks, n=n, risk=risk)
            for n in sizes
            for risk in RISKS
        ]
    write(pd.DataFrame(rows), out, "table3_promise")


if __name__ == "__main__":
    main()
