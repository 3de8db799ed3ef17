"""Fig. 3: the table H8, H32, D16, D32, HD24, HD64, by classifier."""

from panels import folder, read, save

from radlatent import figures

out = folder(globals().get("OUT"))
metrics = read(out, "table_metrics")
for letter, (model, rows) in zip(
    "abc", metrics.groupby("model", sort=False), strict=True
):
    save(
        out,
        f"fig3{letter}_{model}",
        (6, 4.5),
        lambda ax, rows=rows: figures.forest(rows, ax),
    )
