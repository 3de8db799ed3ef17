"""Fig. 5: how many of the largest coefficients belong to latent features."""

from panels import folder, read, save

from radlatent import figures

out = folder(globals().get("OUT"))
shares = read(out, "table_top_k")
shares = shares[shares["blocks"].str.endswith("_latent")]
for letter, (name, rows) in zip(
    "abcd", shares.groupby("features", sort=False), strict=True
):
    save(
        out,
        f"fig5{letter}_{name}",
        (5, 4),
        lambda ax, rows=rows: figures.top_k_shares(rows, ax),
    )
