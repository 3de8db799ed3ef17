"""Draw the muscles of simulated thighs by networks that have not seen the patient.

    python analyses/simulated_thighs/compute.py --jobs 2

What is finished is kept below ``build/simulated_thighs``: a run that was killed goes
on. Other patients, folds or epochs need another ``--out``.
"""

import argparse
import logging
from pathlib import Path

import pandas as pd
from evaluate import by_degree, muscles
from plans import PLANS, segmenter_of
from steps import OUT, write

import radlatent as rl
from radlatent.cohort import simulate_thighs


def read_options():
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cohort", type=Path, default=None, help="of real thighs")
    parser.add_argument("--root", type=Path, default=None, help="their images")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--networks", nargs="+", default=list(PLANS), choices=PLANS)
    parser.add_argument("--patients", type=int, default=60, help="that are simulated")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=None, help="of every network")
    parser.add_argument("--jobs", type=int, default=2)
    return parser.parse_args()


def cohort_of(options):
    """Return the thighs, and the share of fat in each muscle.

    Real ones are a cohort of a case a muscle with ``truth.csv`` beside its tables:
    ``patient_id``, ``infiltration``, and a column a muscle.
    """
    if options.cohort is not None:
        cohort = rl.Cohort.read(options.cohort, root=options.root)
        return cohort, read_truth(options.cohort, cohort)
    folder = options.out / "cohort"
    cohort = simulate_thighs(folder, n_patients=options.patients)
    return cohort, read_truth(folder, cohort)


def read_truth(folder, cohort):
    """Return the share of fat by muscle, of every patient of a cohort."""
    truth = pd.read_csv(folder / "truth.csv", dtype={"patient_id": str})
    absent = sorted(set(cohort.included["patient_id"]) - set(truth["patient_id"]))
    if absent:
        raise SystemExit(f"{folder / 'truth.csv'} lacks the patients {absent[:5]}.")
    return truth


def main():
    """Write masks and tables of the analysis, network by network."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options = read_options()
    options.out = options.out.resolve()
    thighs, truth = cohort_of(options)
    tables, costs = [], []
    for name in options.networks:
        result = rl.fit_folds(
            thighs,
            segmenter_of(name, options.epochs),
            options.folds,
            out=options.out / name,
            jobs=options.jobs,
        )
        found = rl.compare_cohorts(result.cohort, thighs, jobs=options.jobs).table
        tables.append(muscles(found, truth).assign(network=name))
        costs.append(result.summary.assign(network=name))
        # after every network: a run that is killed leaves tables of what is finished
        everything = pd.concat(tables, ignore_index=True)
        write(everything, options.out, "muscles")
        write(by_degree(everything), options.out, "by_degree")
        write(pd.concat(costs, ignore_index=True), options.out, "costs")


if __name__ == "__main__":
    main()
