"""Fig. 4: Spearman's correlations of the latent means, external test, clustered."""

from steps import draw, folder_of_figures, read

from radlatent import figures

out = folder_of_figures()
table = read(out, "correlations", index_col="feature")
draw(
    out,
    "fig4_correlations",
    (6.5, 6),
    lambda ax: figures.clustered_correlations(table, ax),
)
