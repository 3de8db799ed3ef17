"""Fig. 6: how far features lie from those of the expert's mask, by family."""

from steps import draw, folder_of_figures, read

from radlatent import figures

out = folder_of_figures()
table = read(out, "feature_shift")
draw(out, "fig6_feature_shift", (6, 5), lambda ax: figures.feature_shift(table, ax))
