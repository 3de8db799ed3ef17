"""Fig. 2: where the outcome depends on nothing, what networks seem to gain."""

from models import NETWORKS
from steps import folder_of_figures, read, save

from radlatent import figures

out = folder_of_figures()
table = read(out, "differences")
table = table[table["question"].str.startswith("null")]
table = table[table["model"].isin(NETWORKS)]
with figures.canvas((9, 3.6)) as (figure, one):
    one.remove()
    axes = figure.subplots(1, len(NETWORKS), sharex=True)
    for ax, network in zip(axes, NETWORKS, strict=True):
        rows = table[table["model"] == network].assign(blocks="", endpoint="")
        rows = rows.assign(estimate=rows["difference"], model=rows["question"])
        figures.forest(rows, ax, metric="auc", chance=0.0)
        ax.set_xlabel(f"{network}: AUC less that of\nthe best baseline, 95 % interval")
        if ax is not axes[0]:
            ax.set_yticklabels([])
    save(figure, out, "fig2_nulls")
