"""Fig. 2: slices that break each of the 16 short-axis criteria, by network."""

from steps import draw, folder_of_figures, read

from radlatent import figures

out = folder_of_figures()
rows = read(out, "rules").query("rules == 'short_axis_16' and of == 'slices'")
rows = rows.assign(n_broken=rows["n"] - rows["n_kept"], when=rows["network"])
n = rows["when"].nunique()
draw(
    out,
    "fig2_rules_broken",
    (6.5, 1.5 + 17 * 0.14 * n),
    lambda ax: figures.rules_broken(rows, ax),
)
