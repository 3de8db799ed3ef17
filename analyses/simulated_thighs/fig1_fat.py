"""Fig. 1: muscles that are not segmented, and Dice, against the fat in a muscle."""

from steps import folder_of_figures, read

from radlatent import figures

PANELS = {
    "not_segmented_percent": "muscles without a voxel (%)",
    "dice": "Dice",
    "assd_pooled_mm": "ASSD (mm)",
}

out = folder_of_figures()
table = read(out, "by_degree")
with figures.canvas((10, 3.4)) as (figure, one):
    one.remove()
    axes = figure.subplots(1, len(PANELS))
    for ax, (column, name) in zip(axes, PANELS.items(), strict=True):
        for network, part in table.groupby("network", sort=False):
            ends = [part[f"{column}_{end}"] for end in ("lower", "upper")]
            fat = 100 * part["fat"]
            (line,) = ax.plot(fat, part[column], marker="o", ms=3, label=network)
            ax.fill_between(fat, *ends, color=line.get_color(), alpha=0.15, lw=0)
        ax.set_xlabel("fat in the muscle (%)")
        ax.set_ylabel(name)
    axes[0].legend(frameon=False)
    folder = out / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, about in (("png", {}), ("pdf", {"CreationDate": None})):
        figure.savefig(folder / f"fig1_fat.{suffix}", dpi=150, metadata=about)
