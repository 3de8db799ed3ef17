"""Fit correctors fold by fold, correct degraded masks, and write all tables.

    python analyses/acdc_mask_quality/compute.py --root ../shared/data/acdc --jobs 2

What is finished is kept below the report's folder: a run that was killed goes on.
"""

import argparse
import json
import logging
from pathlib import Path

import evaluate
import features
import numpy as np
import pandas as pd
from sklearn.model_selection import KFold
from steps import write

import radlatent as rl
from radlatent.imaging import write_volume
from radlatent.masks import (
    NETWORK_LIKE,
    MaskCorrector,
    ShapePrior,
    correct,
    degradation_mix,
    degrade,
    load_corrector,
    mask_files,
    read_label_map,
    score,
)

HERE = Path(__file__).parent
COHORT = HERE.parents[1] / "cohorts" / "acdc"

N_FOLDS = 5

#: Name of a prior to its settings. The weight of the constraint is ours.
PRIORS = {"vae": {}, "constrained": {"constraint": 100.0}}

#: Row of the table to prior and method.
METHODS = {
    "VAE": ("vae", "decode"),
    "constrained VAE": ("constrained", "decode"),
    "nearest valid latent": ("constrained", "nearest"),
    "nearest, with draws": ("constrained", "nearest_drawn"),
}

#: How badly masks are degraded: as a network's, and far worse.
LEVELS = {"network": NETWORK_LIKE, "severe": {}}


def folds_of(cohort):
    """Return fold to its test patients."""
    patients = np.unique(cohort.included["patient_id"])
    split = KFold(N_FOLDS, shuffle=True, random_state=0).split(patients)
    return {number: patients[test] for number, (_, test) in enumerate(split)}


def correctors_of(cohort, out):
    """Return name to patient to corrector, of which none has seen the patient."""
    everyone = set(cohort.included["patient_id"])
    found = {name: {} for name in METHODS}
    for fold, tested in folds_of(cohort).items():
        training = sorted(everyone - set(tested))
        fitted = {}
        for name, (prior, method) in METHODS.items():
            folder = out / "correctors" / f"{name.replace(' ', '_')}_{fold}"
            if (folder / "corrector.json").is_file():
                corrector = load_corrector(folder)
            else:
                about = fitted.get(prior) or ShapePrior(**PRIORS[prior])
                corrector = MaskCorrector(about, method=method)
                corrector.fit(cohort, patients=training).save(folder)
            fitted[prior] = corrector.prior_
            found[name] |= dict.fromkeys(tested, corrector)
    return found


def degraded(cohort, out, level):
    """Return the cohort under degraded masks, one draw a mask."""
    files = mask_files(cohort)
    drawn = degradation_mix(len(files), **LEVELS[level], random_state=2026)
    masks = {}
    for file, each in zip(files, drawn, strict=True):
        mask = read_label_map(file.path, file.structures)
        known = {"structures": mask.structures, "spacing_mm": mask.spacing_mm}
        target = out / level / "masks" / Path(file.place).name
        if not target.is_file():
            broken = degrade(mask.array, each.for_mask(file.place), **known)
            write_volume(mask.with_array(broken).volume, target)
        masks |= dict.fromkeys(file.case_ids, str(target))
    made_by = {"name": f"degradation_mix {json.dumps(LEVELS[level])}"}
    table = pd.Series(masks).rename_axis("case_id")
    return cohort.with_masks(table, name=f"acdc_{level}", made_by=made_by)


def gate_of(corrector, gated):
    """Return the corrector with or without its gate."""
    corrector.gated = gated
    return corrector


def corrected(cohort, correctors, out, jobs):
    """Return (method, gated) to the corrected cohort."""
    found = {}
    for name in METHODS:
        for gated in (False, True):
            used = {p: gate_of(c, gated) for p, c in correctors[name].items()}
            label = f"{name.replace(' ', '_')}_{'gated' if gated else 'blind'}"
            found[name, gated] = correct(
                cohort, used, out=out / label, name=f"{cohort.name}_{label}", jobs=jobs
            )
    return found


def read_options():
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=None, help="folder of ACDC")
    parser.add_argument("--out", type=Path, default=Path("reports/acdc_mask_quality"))
    parser.add_argument("--jobs", type=int, default=2)
    return parser.parse_args()


def main():
    """Write all tables of the analysis."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options = read_options()
    out = options.out.resolve()
    experts = rl.Cohort.read(COHORT, root=options.root)
    for rules in ("short_axis_16", "short_axis_7"):
        found = score(experts, rules=rules, jobs=options.jobs)
        write(found.summary.reset_index(), out, f"experts_{rules}")
    correctors = correctors_of(experts, out)
    rows = []
    for level in LEVELS:
        cohort = degraded(experts, out, level)
        results = corrected(cohort, correctors, out / level, options.jobs)
        table, slices = evaluate.methods(experts, cohort, results, options.jobs)
        rows.append(table.assign(level=level))
        write(pd.concat(rows, ignore_index=True), out, "methods")
        write(slices, out, f"slices_{level}")
        evaluate.write_level(out, level, slices)
        shown = results[evaluate.SHOWN, True]
        evaluate.write_rules(out, level, cohort, shown, options.jobs)
        evaluate.write_examples(out, level, experts, cohort, results, slices)
        if level == "network":
            features.write_all(out, experts, cohort, results, correctors, options.jobs)


if __name__ == "__main__":
    main()
