"""Train the networks fold by fold, draw every patient's masks, and write all tables.

    python analyses/acdc_networks/compute.py --root ../shared/data/acdc --jobs 2

What is finished is kept below ``build/acdc_networks``: a run that was killed goes on.
"""

import argparse
import logging
from pathlib import Path

import evaluate
import pandas as pd
from costs import costs
from networks import N_FOLDS, PLANS, segmenter_of
from steps import OUT, write

import radlatent as rl

HERE = Path(__file__).parent
COHORT = HERE.parents[1] / "cohorts" / "acdc"


def read_options():
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=None, help="folder of ACDC")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--networks", nargs="+", default=list(PLANS), choices=PLANS)
    parser.add_argument("--jobs", type=int, default=2)
    return parser.parse_args()


def write_tables(experts, results, out, jobs):
    """Write the tables of the networks that are finished."""
    volumes, slices = [], []
    for network, result in results.items():
        each = evaluate.volumes(result.cohort, experts, jobs)
        volumes.append(each.assign(network=network))
        slices.append(evaluate.slices(result.cohort, experts).assign(network=network))
    volumes, slices = pd.concat(volumes), pd.concat(slices)
    write(volumes, out, "volumes")
    write(slices, out, "slices")
    everything = volumes.assign(structure="all")
    by = ["network", "structure"]
    both = pd.concat([volumes, everything])
    write(evaluate.summary(both, by), out, "summary")
    write(evaluate.summary(both, [*by, "group"]), out, "by_group")
    write(evaluate.summary(slices, [*by, "position"]), out, "by_position")
    write(evaluate.differences(volumes), out, "differences")
    cohorts = {"expert": experts} | {name: r.cohort for name, r in results.items()}
    write(evaluate.rules(cohorts, jobs), out, "rules")
    write(costs(results, out, experts, jobs), out, "costs")


def main():
    """Write masks and tables of the analysis, network by network."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options = read_options()
    out = options.out.resolve()
    experts = rl.Cohort.read(COHORT, root=options.root)
    results = {}
    for name in options.networks:
        results[name] = rl.fit_folds(
            experts, segmenter_of(name), N_FOLDS, out=out / name, jobs=options.jobs
        )
        write_tables(experts, results, out, options.jobs)


if __name__ == "__main__":
    main()
