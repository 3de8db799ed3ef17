"""Fig. 2: parts of the loss by epoch, training and held-out patients of REMARC."""

from steps import LINEAR, MAIN, draw, folder_of_figures, read

from radlatent import figures

out = folder_of_figures()
curves = read(out, "histories")
for panel, model in (("a_log", MAIN), ("b_no_log", LINEAR)):
    rows = curves[curves["model"] == model]
    draw(
        out,
        f"fig2{panel}",
        (6, 4),
        lambda ax, rows=rows: figures.learning_curve(rows, ax),
    )
