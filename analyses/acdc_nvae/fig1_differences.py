"""Fig. 1: what corrections change in the Dice of slices, by method; unchanged apart."""

import numpy as np
from steps import WORSE_BY, draw, folder_of_figures, read

out = folder_of_figures()
slices = read(out, "slices")
change = (slices["dice_after"] - slices["dice"]).rename("change")
table = slices[["method"]].join(change)
BINS = np.linspace(-0.5, 0.5, 51)


def panel(ax):
    """Draw the histograms of all methods."""
    for name, part in table.groupby("method", sort=False)["change"]:
        moved = part[part != 0].clip(BINS[0], BINS[-1])
        label = f"{name}: {len(moved)} of {len(part)} changed"
        ax.hist(moved, BINS, histtype="step", label=label)
    for bound in (-WORSE_BY, WORSE_BY):
        ax.axvline(bound, color="0.6", linewidth=0.8, linestyle=":")
    ax.set_yscale("log")
    ax.set_xlabel("Dice after - before, by slice (beyond 0.5: at the edge)")
    ax.set_ylabel("slices")
    ax.legend(fontsize=6)


draw(out, "fig1_differences", (6.5, 3.2), panel)
