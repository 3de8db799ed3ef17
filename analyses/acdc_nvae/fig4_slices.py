"""Fig. 4: slices that a correction improved most, and those that it harmed most.

Masks of a method are read where `compute.py` wrote them; images are those of the
cohorts, which ``--root`` and ``--network`` name as they did there.
"""

import argparse
from pathlib import Path

import numpy as np
from steps import OUT, STRUCTURES, WORSE_BY, draw_grid, read, slug

import radlatent as rl
from radlatent.imaging import read_volume
from radlatent.masks.revision.pairs import read_pair, real_pairs

COHORT = Path(__file__).parents[2] / "cohorts" / "acdc"
NETWORK = Path("build/acdc_networks/unet")

#: Slices of each kind.
N = 6


def read_options():
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--root", type=Path, default=None, help="folder of ACDC")
    parser.add_argument("--network", type=Path, default=NETWORK)
    parser.add_argument("--method", default="VAE, pairs with image")
    return parser.parse_args()


options = read_options()
slices = read(options.out, "slices").query("method == @options.method")
change = slices["dice_after"] - slices["dice"]
ordered = slices.assign(change=change).sort_values("change", kind="stable")
chosen = {
    "gained": ordered[ordered["change"] > WORSE_BY].tail(N)[::-1],
    "lost": ordered[ordered["change"] < -WORSE_BY].head(N),
}
experts = rl.Cohort.read(COHORT, root=options.root)
network = rl.Cohort.read(options.network)
files = {pair[0].place: pair for pair in real_pairs(network, experts)}
for name, rows in chosen.items():
    columns = []
    for _, row in rows.iterrows():
        pair = read_pair(files[row["mask"]])
        corrected = (
            options.out / "masks" / slug(options.method) / Path(row["mask"]).name
        )
        z = row["slice"]
        shown = {"structures": STRUCTURES, "spacing_mm": pair.mask.spacing_mm[1:]}
        after = read_volume(corrected).array[z].astype(np.int16)
        text = (
            f"{row['patient_id']}, slice {z}\n{row['dice']:.2f} to "
            f"{row['dice_after']:.2f}"
        )
        planes = pair.mask.array[z], after, pair.truth.array[z]
        columns.append((text, pair.image.array[z], planes, shown))
    if columns:
        draw_grid(columns, options.out, f"fig4_{name}")
