"""Fig. 1: Dice of slices by network and structure, and what lies at 0."""

from steps import STRUCTURES, draw, folder_of_figures, read

from radlatent import figures

out = folder_of_figures()
table = read(out, "slices").rename(columns={"network": "name"})
n = len(table[["name", "structure"]].drop_duplicates())
draw(
    out,
    "fig1_dice",
    (6.5, 0.5 * n + 1.2),
    lambda ax: figures.dice_violins(table, ax, structures=list(STRUCTURES)),
)
