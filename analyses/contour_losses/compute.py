"""Train the losses fold by fold, draw every patient's masks, and write all tables.

    python analyses/contour_losses/compute.py --acdc ACDC --sts STS --jobs 2

What is finished is kept below ``build/contour_losses``: a run that was killed goes on.
Other folds, epochs or patients need another ``--out``.
"""

import argparse
import logging
from dataclasses import replace
from pathlib import Path

import pandas as pd
from evaluate import differences, summary
from plans import PLANS, SHORT, segmenter_of
from steps import OUT, write

import radlatent as rl

COHORTS = Path(__file__).resolve().parents[2] / "cohorts"

#: Those that are compared unless others are named.
DEFAULT = ["l0", "naive", "adaptive", "hausdorff"]


def read_options():
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--acdc", type=Path, default=None, help="folder of ACDC")
    parser.add_argument("--sts", type=Path, default=None, help="folder of STS")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--cohorts", nargs="+", default=list(PLANS), choices=PLANS)
    parser.add_argument("--losses", nargs="+", default=DEFAULT, choices=SHORT)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=None, help="of every network")
    parser.add_argument("--patients", type=int, default=None, help="so many, evenly")
    parser.add_argument("--jobs", type=int, default=2)
    return parser.parse_args()


def cohort_of(name, options):
    """Return a cohort, or some patients of it, spread over the order of their names."""
    cohort = rl.Cohort.read(COHORTS / name, root=getattr(options, name))
    if options.patients is None:
        return cohort
    step = max(1, len(cohort.patients) // options.patients)
    kept = cohort.patients[::step][: options.patients]
    inside = cohort.cases["patient_id"].isin(kept.index)
    return replace(cohort, cases=cohort.cases[inside], patients=kept)


def volumes_of(name, loss, experts, options):
    """Return a row a case under the masks of one loss, and what its training cost."""
    result = rl.fit_folds(
        experts,
        segmenter_of(name, loss, options.epochs),
        options.folds,
        out=options.out.resolve() / name / loss.split()[0].lower(),
        modality=PLANS[name].modality,
        jobs=options.jobs,
    )
    about = {"modality": PLANS[name].modality, "jobs": options.jobs}
    table = rl.compare_cohorts(result.cohort, experts, **about).table.reset_index()
    told = {"cohort": name, "loss": loss}
    costs = told | {"seconds_a_fold": result.summary["seconds"].mean()}
    return table.assign(**told), costs


def main():
    """Write masks and tables of the analysis, loss by loss."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options, volumes, costs = read_options(), [], []
    losses = [name for short, name in SHORT.items() if short in options.losses]
    for name in options.cohorts:
        experts = cohort_of(name, options)
        for loss in losses:
            table, cost = volumes_of(name, loss, experts, options)
            volumes.append(table)
            costs.append(cost)
            # after every loss: a run that is killed leaves tables of what is finished
            everything = pd.concat(volumes, ignore_index=True)
            write(everything, options.out, "volumes")
            write(summary(everything), options.out, "summary")
            write(differences(everything), options.out, "differences")
            write(pd.DataFrame(costs), options.out, "costs")


if __name__ == "__main__":
    main()
