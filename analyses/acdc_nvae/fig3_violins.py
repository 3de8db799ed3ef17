"""Fig. 3: Dice of each structure by volume, as the network drew it and corrected."""

import pandas as pd
from steps import STRUCTURES, draw, folder_of_figures, read

from radlatent import figures

out = folder_of_figures()
volumes = read(out, "volumes")
first = volumes["method"].iloc[0]
parts = [volumes[volumes["method"] == first].assign(name="network")]
for name, part in volumes.groupby("method", sort=False):
    after = part.drop(columns=["dice", "state"])
    columns = {"dice_after": "dice", "state_after": "state"}
    parts.append(after.rename(columns=columns).assign(name=name))
table = pd.concat(parts, ignore_index=True).query("state != 'neither'")
height = 1.2 + 0.28 * len(STRUCTURES) * table["name"].nunique()


def panel(ax):
    """Draw a violin a structure and method."""
    figures.dice_violins(table, ax, structures=list(STRUCTURES), fontsize=6)
    ax.set_xlabel("Dice by volume")


draw(out, "fig3_violins", (6.5, height), panel)
