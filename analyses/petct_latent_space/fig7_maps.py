"""Fig. 7: the latent space in two coordinates."""

from steps import draw, folder_of_figures, read

from radlatent import figures

out = folder_of_figures()
for panel, name in (
    ("a_pca", "map_pca"),
    ("b_lda_cohort", "map_lda_cohort"),
    ("c_lda_progression", "map_lda_progression"),
):
    table, axes = read(out, name, index_col="case_id"), read(out, f"{name}_axes")
    draw(
        out,
        f"fig7{panel}",
        (5.5, 5),
        lambda ax, table=table, axes=axes: figures.latent_map(table, ax, axes=axes),
    )
