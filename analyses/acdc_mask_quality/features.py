"""What masks do to features: cohorts and correctors enter, tables leave."""

import numpy as np
import pandas as pd
from evaluate import SHOWN
from steps import write

import radlatent as rl
from radlatent.handcrafted import quality_tiers, stability_between
from radlatent.handcrafted.repeat.agreement import count_verdicts
from radlatent.masks import draw_alternatives

N_ALTERNATIVES = 3

#: Lower limit of ICC(2,1) from which on a feature counts as stable: "good" (Koo & Li).
STABLE = 0.75


def write_all(out, experts, cohort, results, correctors, jobs):
    """Write stability over plausible masks, shifts, and what a diagnosis loses."""
    cache = out / "cache"
    corrected = results[SHOWN, True]
    write_shifts(out, experts, cohort, corrected.cohort, jobs)
    # drawn from the prior of the first fold: alternatives are no features of a model
    corrector = next(iter(correctors[SHOWN].values()))
    about = {"n": N_ALTERNATIVES, "jobs": jobs}
    drawn = draw_alternatives(experts, corrector, out=out / "alternatives", **about)
    found = stability_between(experts, drawn, by="lesion_id", jobs=jobs, cache=cache)
    write(found.table, out, "stability")
    write(found.summary.reset_index(), out, "stability_summary")
    others = draw_alternatives(
        corrected.cohort, corrector, out=out / "alternatives_corrected", **about
    )
    seen = stability_between(corrected.cohort, others, jobs=jobs, cache=cache)
    write_tiers(out, seen, corrected.quality)
    write_diagnosis(out, experts, found.pivoted, jobs)


def write_tiers(out, seen, quality):
    """Write the stability of each structure by tier of predicted Dice."""
    parts = []
    for structure, cases in seen.cases.groupby("lesion_id"):
        tiers = quality_tiers(quality.loc[cases.index, "predicted_dice"].astype(float))
        table = seen.by_tier(tiers)
        table.insert(0, "structure", structure)
        parts.append(table)
    table = pd.concat(parts, ignore_index=True)
    write(table, out, "stability_tiers")
    write(count_verdicts(table), out, "stability_tiers_summary")


def write_shifts(out, experts, cohort, corrected, jobs):
    """Write how far features lie from those of the expert's mask, in SD of patients."""
    tables = {}
    for name, each in (
        ("expert", experts),
        ("degraded", cohort),
        ("corrected", corrected),
    ):
        kept = out / "features" / f"{name}.parquet"
        extraction = rl.extract(each, jobs=jobs, cache=out / "cache")
        rl.write_extraction(extraction, kept)
        tables[name] = extraction.features
    owners = experts.included
    rows = []
    for structure, cases in owners.groupby("lesion_id"):
        expert = tables["expert"].loc[cases.index]
        spread = expert.std()
        for when in ("degraded", "corrected"):
            moved = tables[when].loc[cases.index] - expert
            # the share of the cases that errors changed at all decides a median
            shift = moved.abs().quantile(0.9) / spread.where(spread > 0)
            rows.append(
                pd.DataFrame(
                    {
                        "feature": shift.index + f"__{structure}",
                        "family": [name.split("_")[4] for name in shift.index],
                        "structure": structure,
                        "when": when,
                        "shift": shift.to_numpy(),
                    }
                )
            )
    table = pd.concat(rows, ignore_index=True)
    write(table[np.isfinite(table["shift"])], out, "feature_shift")
    by = table.pivot_table("shift", ["family", "structure"], "when", aggfunc="median")
    write(by.reset_index(), out, "feature_shift_by_family")


def write_diagnosis(out, experts, stability, jobs):
    """Write the diagnosis from all features, and from the stable ones alone."""
    endpoint = experts.endpoint("group")
    features = rl.read_features(out / "features" / "expert.parquet")
    patients = rl.aggregate(features, cases=experts.cases, how="pivot")
    folds = rl.make_folds(endpoint, n_folds=5, n_repeats=5, random_state=0)
    chosen = stability[stability["icc"] == "ICC(2,1)"]
    plans = {
        "all features": rl.Preparation(),
        "stable features": rl.Preparation(stability=chosen),
    }
    results = []
    for name, prepare in plans.items():
        model = rl.logistic(n_features=50, C=0.1, prepare=prepare)
        results.append(
            rl.cross_validate(model, patients, endpoint, folds, name=name, jobs=jobs)
        )
    metrics = pd.concat([result.summary for result in results], ignore_index=True)
    metrics["n_stable"] = int((chosen["lower"] >= STABLE).sum())
    metrics["n_features"] = len(chosen)
    write(metrics, out, "diagnosis")
    both = pd.concat([result.predictions for result in results], ignore_index=True)
    write(rl.compare(both, metric="auc"), out, "diagnosis_compared")
