"""Make the masks of beating hearts consistent, and write all tables.

    python analyses/heart_cycles/compute.py

Hearts are simulated, so that the truth is known. What is written lies below
``build/heart_cycles``.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from evaluate import by_method, rows_of
from steps import OUT, write

import radlatent as rl
from radlatent.cohort.labels import LabelMap
from radlatent.imaging import Volume
from radlatent.masks.prior.frame import Frame
from radlatent.nn import Ordering, Training

METHODS = ("original", *rl.masks.SEQUENCE_METHODS)
#: References are other hearts than those that are tested.
SEEDS = {"references": 0, "tested": 1}


def read_options():
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument(
        "--references", type=int, default=30, help="hearts to learn from"
    )
    parser.add_argument("--patients", type=int, default=30, help="hearts to correct")
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument(
        "--size", type=int, default=64, help="pixels of the prior's frame"
    )
    return parser.parse_args()


def label_maps(made, which):
    """Return patient to label map of the frames of a sequence."""
    spacing = (1.0, *made.spacing_mm)
    return {
        name: LabelMap(Volume(frames, spacing), made.structures, name)
        for name, frames in getattr(made, which).items()
    }


def fitted(references, epochs, size):
    """Return an AR-VAE of reference sequences."""
    prior = rl.ShapePrior(
        n_latent=16,
        attributes="apical_7",
        ordering=Ordering(gamma=20, delta=5),
        n_degraded=0,
        frame=Frame(size=size, spacing_mm=128 / size, anchor="image"),
        training=Training(epochs=epochs, minibatch_size=32, learning_rate=3e-3),
    )
    return prior.fit([*references.values()], patients=[*references])


def attributes_of(sequences):
    """Return patient to attributes of the frames of a sequence."""
    return {
        name: rl.masks.shape_attributes(one.array, **one.slice_legend)
        for name, one in sequences.items()
    }


def main():
    """Write the tables of the analysis."""
    options = read_options()
    hearts = {
        name: rl.simulate_hearts(
            n_patients=n, n_frames=options.frames, random_state=SEEDS[name]
        )
        for name, n in (
            ("references", options.references),
            ("tested", options.patients),
        )
    }
    references = label_maps(hearts["references"], "reference")
    limits = rl.masks.reference_limits(attributes_of(references))
    begin = time.process_time()
    prior = fitted(references, options.epochs, options.size)
    print(f"training: {time.process_time() - begin:.0f} CPU seconds")
    latents = {n: rl.masks.latent_frames(one, prior) for n, one in references.items()}
    latent_limits = rl.masks.reference_limits(latents).loc[prior.attribute_names]
    tested, true = hearts["tested"], label_maps(hearts["tested"], "reference")
    rows, signals = [], []
    for name, mask in label_maps(tested, "masks").items():
        about = tested.patients.loc[name]
        ends = int(about["ed"]), int(about["es"])
        for method in METHODS:
            begin = time.process_time()
            new = mask
            if method != "original":
                new = rl.masks.redraw_sequence(
                    mask, method, prior=prior, limits=latent_limits, fixed=ends
                ).mask
            seconds = time.process_time() - begin
            row, signal = rows_of(new, true[name], limits, ends)
            where = {"patient_id": name, "method": method}
            rows.append(where | row | {"seconds": seconds})
            signals.append(signal.assign(**where))
    table = pd.DataFrame(rows)
    ordered = rl.masks.latent_correlations(
        pd.concat(latents.values()), pd.concat(attributes_of(references).values())
    )
    write(table, options.out, "sequences")
    write(by_method(table), options.out, "methods")
    write(pd.concat(signals), options.out, "signals")
    write(limits.reset_index(), options.out, "limits")
    write(ordered.reset_index(), options.out, "latents")
    write(tested.truth.reset_index(), options.out, "truth")
    print(by_method(table).round(3).to_string())
    print(np.diag(ordered.iloc[:7]).round(3))


if __name__ == "__main__":
    main()
