"""Fig. 2: Dice of slices after correction against before, one figure a method."""

from steps import RUINED_BY, draw, folder_of_figures, read

out = folder_of_figures()
slices = read(out, "slices").query("not both_empty")
r2 = read(out, "report").set_index("method")["r2"]


def panel(ax, part, title):
    """Draw the slices of a method."""
    ax.axline((0, 0), slope=1, color="0.6", linewidth=0.8)
    ax.axline((0, -RUINED_BY), slope=1, color="0.6", linewidth=0.8, linestyle=":")
    ax.plot(part["dice"], part["dice_after"], ".", markersize=2)
    ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", title=title)
    ax.set_xlabel("Dice before")
    ax.set_ylabel("Dice after")


for number, (name, part) in enumerate(slices.groupby("method", sort=False)):
    title = f"{name}: n = {len(part)}, R2 = {r2[name]:.3f}"
    draw(
        out,
        f"fig2_after_before_{number}",
        (3.4, 3.4),
        lambda ax, part=part, title=title: panel(ax, part, title),
    )
