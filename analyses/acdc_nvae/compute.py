"""Correct a network's masks by priors and by pairs, fold by fold; write all tables.

    python analyses/acdc_nvae/compute.py --root ../shared/data/acdc \
        --network build/acdc_networks/unet

``--network`` is what `analyses/acdc_networks` left of a network: a derived cohort and
its folds. What is finished is kept below ``build/acdc_nvae``: a run that was killed
goes on, with the same ``--methods``. ``--reconstruction`` adds the tables of NVAEs by
beta (hours).
"""

import argparse
import logging
from pathlib import Path

import evaluate
import pandas as pd
import reconstruction
import tables
from correctors import METHODS, correctors_of
from steps import OUT, part_of, write

import radlatent as rl
from radlatent.masks.revision.pairs import read_pair, real_pairs

HERE = Path(__file__).parent
COHORT = HERE.parents[1] / "cohorts" / "acdc"

#: What the methods are compared with, patient by patient.
REFERENCE = "clean-up"

_log = logging.getLogger(__name__)


def read_options():
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=None, help="folder of ACDC")
    parser.add_argument("--network", type=Path, default=None)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--folds", type=int, nargs="+", default=range(5))
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--reconstruction", action="store_true")
    return parser.parse_args()


def fold_tables(fold, tested, network, experts, options):
    """Return slices and volumes of a fold, from disk where an earlier run kept them."""
    kept = [
        options.out / "folds" / f"{name}_{fold}.csv" for name in ("slices", "volumes")
    ]
    if not all(path.is_file() for path in kept):
        made = dict(
            correctors_of(
                fold, tested, network, experts, options.out, methods=options.methods
            )
        )
        for name, corrector in made.items():
            _log.info("fold %d, %s: %s", fold, name, corrector.setting_.text)
        files = real_pairs(part_of(network, tested), part_of(experts, tested))
        pairs = map(read_pair, files)
        found = evaluate.corrected_fold(pairs, made, options.out / "masks")
        for path, table in zip(kept, found, strict=True):
            rl.report.write_table(table.assign(fold=fold), path)
    return [pd.read_csv(path) for path in kept]


def write_tables(parts, out):
    """Write the tables of the folds that are finished."""
    slices, volumes = (
        pd.concat(each, ignore_index=True) for each in zip(*parts, strict=True)
    )
    write(slices, out, "slices")
    write(volumes, out, "volumes")
    write(tables.methods(slices, volumes), out, "methods")
    write(tables.differences(slices, REFERENCE), out, "differences")
    write(tables.predictions(slices), out, "predictions")
    write(tables.report(slices), out, "report")


def main():
    """Write all tables of the analysis."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options = read_options()
    options.out = options.out.resolve()
    experts = rl.Cohort.read(COHORT, root=options.root)
    if options.network:
        network = rl.Cohort.read(options.network)
        folds = pd.read_csv(options.network / "folds.csv").set_index("patient_id")
        parts = []
        for fold in options.folds:
            tested = sorted(folds.index[folds["fold"] == fold])
            parts.append(fold_tables(fold, tested, network, experts, options))
            write_tables(parts, options.out)
    if options.reconstruction:
        table, history = reconstruction.by_setting(experts, options.out)
        write(table, options.out, "reconstruction")
        write(history, options.out, "losses")


if __name__ == "__main__":
    main()
