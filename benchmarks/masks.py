"""What a prior of masks costs: training, scoring, correcting, and memory.

    python benchmarks/masks.py [--epochs 15] [--data ../shared/data/acdc]

Trains a prior on ACDC's expert masks with two threads, then scores every slice (rules
and plausibility) on one, and proposes corrections for slices degraded as a network's.
Memory is the peak of this process after a tenth of the masks and after all.
"""

import argparse
import resource
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import radlatent as rl
from radlatent.masks import (
    NETWORK_LIKE,
    ShapePrior,
    degradation_mix,
    degrade,
    mask_files,
    read_label_map,
    rule_set,
)
from radlatent.masks.correction.candidates import mend
from radlatent.masks.correction.plausibility import examine
from radlatent.masks.prior.models import defaults_of
from radlatent.masks.prior.shape_prior import redraw
from radlatent.masks.rules.rules import broken_rules

RULES = rule_set("short_axis_16")


def peak_mib():
    """Return the largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def scored(files, prior):
    """Return slices, and CPU seconds of judging and scoring them, reading left out."""
    n, seconds = 0, 0.0
    for file in files:
        mask = read_label_map(file.path, file.structures)
        start = time.process_time()
        examined = examine(mask, prior, RULES)
        seconds += time.process_time() - start
        n += len(examined.places)
    return n, seconds


def mended(files, prior):
    """Return slices that broke a rule, and CPU seconds of proposals for them."""
    drawn = degradation_mix(len(files), **NETWORK_LIKE, random_state=0)
    n, seconds = 0, 0.0
    for file, each in zip(files, drawn, strict=True):
        mask = read_label_map(file.path, file.structures)
        mask = mask.with_array(degrade(mask.array, each, **mask.legend))
        start = time.process_time()
        encoded = prior.encode(mask)
        places = encoded.placement.slices
        broken = broken_rules(mask.array[places], RULES, **mask.slice_legend)
        rows = np.flatnonzero(broken.any(axis=1))
        for row, target in zip(
            rows, redraw(mask, prior, encoded, rows, None), strict=True
        ):
            plane = mask.array[places[row]]
            mend(plane, [target], broken[row], RULES, **mask.slice_legend)
        seconds += time.process_time() - start
        n += len(rows)
    return n, seconds


def main():
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=None, help="folder of ACDC")
    parser.add_argument("--epochs", type=int, default=15)
    options = parser.parse_args()
    folder = Path(__file__).parents[1] / "cohorts" / "acdc"
    files = mask_files(rl.Cohort.read(folder, root=options.data))
    _, training = defaults_of("vae")
    prior = ShapePrior(training=replace(training, epochs=options.epochs))
    torch.set_num_threads(2)
    start = time.perf_counter(), time.process_time()
    masks = [read_label_map(file.path, file.structures) for file in files]
    prior.fit(masks, patients=[file.patient_id for file in files])
    wall, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
    torch.set_num_threads(1)
    del masks
    few, _ = scored(files[: len(files) // 10], prior)
    early = peak_mib()
    n, seconds = scored(files, prior)
    late = peak_mib()
    n_mended, spent = mended(files, prior)
    rows = {
        f"training, {len(files)} masks, {options.epochs} epochs": f"{wall:.0f} s wall, "
        f"{cpu:.0f} s CPU, two threads",
        f"scoring, {n} slices": f"{n / seconds:.0f} slices a CPU second",
        f"mending, {n_mended} slices": f"{n_mended / spent:.0f} slices a CPU second",
        f"peak memory after {few} and {n} slices": f"{early:.0f} and {late:.0f} MiB",
    }
    print(pd.Series(rows).to_string())


if __name__ == "__main__":
    main()
