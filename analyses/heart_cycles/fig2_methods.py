"""Fig. 2: by method, inconsistency of sequences, Dice, and the error of EF."""

from steps import folder_of_figures, read, save

from radlatent import figures

PANELS = {
    "mean_ratio": "second difference / threshold",
    "dice_lv": "Dice of LV",
    "dice_myo": "Dice of MYO",
    "ef_error": "error of EF (points)",
}

out = folder_of_figures()
table = read(out, "sequences")
methods = [*table["method"].unique()]
with figures.canvas((11, 2.8)) as (figure, one):
    one.remove()
    axes = figure.subplots(1, len(PANELS), sharey=True)
    for ax, (column, words) in zip(axes, PANELS.items(), strict=True):
        for place, name in enumerate(methods):
            values = table.loc[table["method"] == name, column]
            ax.plot(values, [place] * len(values), ".", color="0.6", ms=4)
            ax.plot(values.median(), place, "|", color="black", ms=14, mew=2)
        ax.set_yticks(range(len(methods)), methods)
        ax.set_xlabel(words)
    axes[0].invert_yaxis()
    save(figure, out, "fig2_methods")
