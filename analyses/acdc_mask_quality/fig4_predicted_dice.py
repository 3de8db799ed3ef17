"""Fig. 4: true Dice against that predicted without a reference."""

from steps import FLAG_BELOW, LEVEL, draw, folder_of_figures, read

from radlatent import figures

out = folder_of_figures()
table = read(out, f"predicted_dice_{LEVEL}")
draw(
    out,
    "fig4_predicted_dice",
    (5.5, 5.5),
    lambda ax: figures.dice_agreement(table, ax, flag_below=FLAG_BELOW),
)
