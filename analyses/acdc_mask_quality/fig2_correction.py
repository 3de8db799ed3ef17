"""Fig. 2: Dice of every slice before and after the correction with the gate."""

from steps import LEVEL, WORSE_BY, draw, folder_of_figures, read

from radlatent import figures

out = folder_of_figures()
table = read(out, f"decisions_{LEVEL}")
draw(
    out,
    "fig2_correction",
    (5.5, 5.5),
    lambda ax: figures.correction_effect(table, ax, worse_by=WORSE_BY),
)
