"""Fig. 1: errors on both scales, and ranks, with the logarithm and without."""

from steps import LINEAR, MAIN, TEST, draw, folder_of_figures, read

from radlatent import figures

out = folder_of_figures()
errors, ranks = read(out, "errors"), read(out, "ranks")
for panel, unit, told in (
    ("a_own_units", "own", "own standard deviations"),
    ("b_suv", "SUV", "SUV"),
):
    rows = errors[errors["unit"] == unit]
    draw(
        out,
        f"fig1{panel}",
        (6, 4.5),
        lambda ax, rows=rows, told=told: figures.split_errors(rows, ax, unit=told),
    )
for panel, model in (("c_ranking_log", MAIN), ("d_ranking_no_log", LINEAR)):
    rows = ranks[(ranks["model"] == model) & (ranks["split"] == TEST)]
    draw(
        out,
        f"fig1{panel}",
        (6, 4),
        lambda ax, rows=rows: figures.ranking(rows["rank"], ax),
    )
