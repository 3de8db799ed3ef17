"""Fig. 3: what beta changes: error, KL, active features, correlations."""

from steps import TEST, draw, folder_of_figures, read

from radlatent import figures

out = folder_of_figures()
table = read(out, "beta")
for panel, value, label in (
    ("a_error", "mean", "Mean squared error of a case\n(standard deviations, squared)"),
    ("b_kl", "kl", "KL to the prior, mean of a case (nats)"),
    ("c_active", "n_active", "Active latent features (variance of means > 0.01)"),
):
    draw(
        out,
        f"fig3{panel}",
        (6, 4),
        lambda ax, value=value, label=label: figures.sweep(
            table, ax, value=value, label=label, by="split"
        ),
    )
correlated = read(out, "beta_correlations")
correlated = correlated[correlated["split"] == TEST]
what = correlated["parameter"].str.replace("_", " ") + "s"
correlated = correlated.assign(line=what + ", " + correlated["units"] + " features")
label = "Mean |ρ| of latent features, external test\n(lower = less correlated)"
draw(
    out,
    "fig3d_correlations",
    (6, 4),
    lambda ax: figures.sweep(
        correlated, ax, value="mean_absolute_correlation", label=label, by="line"
    ),
)
