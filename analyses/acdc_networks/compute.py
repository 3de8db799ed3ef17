"""Train the networks fold by fold, draw every patient's masks, and write all tables.

    python analyses/acdc_networks/compute.py --root ../shared/data/acdc --jobs 2

What is finished is kept below ``build/acdc_networks``: a run that was killed goes on.
"""

import argparse
import logging
from pathlib import Path

from networks import N_FOLDS, PLANS, segmenter_of

import radlatent as rl

HERE = Path(__file__).parent
COHORT = HERE.parents[1] / "cohorts" / "acdc"


def read_options():
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=None, help="folder of ACDC")
    parser.add_argument("--out", type=Path, default=Path("build/acdc_networks"))
    parser.add_argument("--networks", nargs="+", default=list(PLANS), choices=PLANS)
    parser.add_argument("--jobs", type=int, default=2)
    return parser.parse_args()


def main():
    """Write masks and tables of the analysis."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options = read_options()
    out = options.out.resolve()
    experts = rl.Cohort.read(COHORT, root=options.root)
    for name in options.networks:
        rl.fit_folds(
            experts, segmenter_of(name), N_FOLDS, out=out / name, jobs=options.jobs
        )


if __name__ == "__main__":
    main()
