"""Fig. 1: what each loss changes against Dice alone, by cohort and metric."""

from steps import METRICS, folder_of_figures, read, save

from radlatent import figures

out = folder_of_figures()
table = read(out, "differences").rename(columns={"difference": "estimate"})
table = table.assign(model=table["loss"], blocks="", endpoint="")
cohorts, n_losses = table["cohort"].unique(), table["loss"].nunique()
size = (9, len(cohorts) * (0.4 * n_losses + 1.3))
with figures.canvas(size) as (figure, one):
    one.remove()
    axes = figure.subplots(len(cohorts), len(METRICS), squeeze=False)
    for row, cohort in zip(axes, cohorts, strict=True):
        part = table[table["cohort"] == cohort]
        for ax, (metric, name) in zip(row, METRICS.items(), strict=True):
            figures.forest(part, ax, metric=metric, chance=0.0)
            ax.set_xlabel(f"{name}, loss - L0\n{cohort}, 95 % interval", fontsize=8)
            ax.set_xmargin(0.1)
            if ax is not row[0]:
                ax.set_yticklabels([])
    save(figure, out, "fig1_differences")
