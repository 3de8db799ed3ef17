"""Fig. 5: ICC of features over plausible masks, by structure and tier of quality."""

from steps import STRUCTURES, draw, folder_of_figures, read

from radlatent import figures

out = folder_of_figures()
table = read(out, "stability_tiers")
table = table[table["icc"] == "ICC(2,1)"]
draw(
    out,
    "fig5_stability",
    (6.5, 6),
    lambda ax: figures.feature_stability(table, ax, structures=STRUCTURES),
)
