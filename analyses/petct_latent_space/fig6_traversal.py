"""Fig. 6: images along the eight latent features that change them most."""

from steps import draw, folder_of_figures, read_traversal

from radlatent import figures

out = folder_of_figures()
found = read_traversal(out, "traversal")
names = found.summary["change"].nlargest(8).index
draw(
    out,
    "fig6_traversal",
    (9, 9.5),
    lambda ax: figures.traversal(found, ax, names=list(names)),
)
