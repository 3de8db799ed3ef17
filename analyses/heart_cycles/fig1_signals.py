"""Fig. 1: attributes of one heart over its cycle: drawn, smoothed, true."""

from steps import NAMES, folder_of_figures, read, save

from radlatent import figures

#: Method to the look of its line.
LINES = {
    "original": {"color": "0.6", "lw": 0.8, "marker": ".", "ms": 3},
    "decode": {"color": figures.PALETTE[1], "lw": 0.8},
    "all": {"color": figures.PALETTE[5], "lw": 1.4},
    "keep_ef": {"color": figures.PALETTE[2], "lw": 1.4},
}

out = folder_of_figures()
signals, truth = read(out, "signals"), read(out, "truth")
patient = signals["patient_id"].iloc[0]
true = truth[truth["patient_id"] == patient]
with figures.canvas((10, 4.5)) as (figure, one):
    one.remove()
    axes = figure.subplots(2, 4)
    for ax, (name, words) in zip(axes.flat, NAMES.items(), strict=False):
        ax.plot(true["frame"], true[name], color="black", lw=1, ls="--", label="truth")
        for method, look in LINES.items():
            part = signals.query("patient_id == @patient and method == @method")
            ax.plot(part["frame"], part[name], label=method, **look)
        ax.set_xlabel("frame")
        ax.set_ylabel(words)
    axes.flat[-1].axis("off")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    axes.flat[-1].legend(handles, labels, loc="center", frameon=False)
    save(figure, out, "fig1_signals")
