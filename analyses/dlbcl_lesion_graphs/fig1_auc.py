"""Fig. 1: the AUC of every model, a panel a question, the truth's as a line."""

from steps import folder_of_figures, read, save

from radlatent import figures

out = folder_of_figures()
table = read(out, "metrics")
table = table[(table["metric"] == "auc") & ~table["question"].str.startswith("null")]
questions = table["question"].unique()
with figures.canvas((4 * len(questions) + 1.5, 6)) as (figure, one):
    one.remove()
    axes = figure.subplots(1, len(questions), squeeze=False)[0]
    for ax, question in zip(axes, questions, strict=True):
        rows = table[table["question"] == question]
        truth = rows[rows["model"] == "oracle"]["estimate"]
        rows = rows[rows["model"] != "oracle"]
        figures.forest(rows.assign(blocks="", endpoint=""), ax, metric="auc")
        for value in truth:
            ax.axvline(value, color="black", linewidth=1)
        ax.set_xlim(0.35, 1)
        ax.set_xlabel(f"AUC, 95 % interval\nquestion: {question}\nline: the truth's")
        if ax is not axes[0]:
            ax.set_yticklabels([])
    save(figure, out, "fig1_auc")
