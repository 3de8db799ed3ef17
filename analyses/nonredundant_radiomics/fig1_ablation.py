"""Fig. 1: what each part of the model contributes: AUC, certificate."""

from panels import folder, read, save

from radlatent import figures

LABELS = {
    "r2_linear": "Held-out R² from hand-crafted features, ridge",
    "r2_trees": "Held-out R² from hand-crafted features, boosted trees",
    "distance_correlation_squared": "Distance correlation², bias-corrected",
    "hsic": "HSIC, normalized",
    "mutual_information": "Mutual information, lower bound (nats)",
    "discriminator_auc": "AUC of a fresh discriminator",
    "reverse_linear": "Held-out R² of what latents tell best, ridge",
    "reverse_trees": "Held-out R² of what latents tell best, boosted trees",
    "any": "Share of latents that any estimator finds dependent",
}


def panel(ax, metric, chance):
    """Draw one estimator of the certificate for every design."""
    figures.forest(certificates, ax, metric=metric, chance=chance)
    ax.set_xlabel(f"{LABELS[metric]}\n(dashed: expected if independent)")


out = folder(globals().get("OUT"))
auc = read(out, "ablation_auc").assign(model="")
save(out, "fig1a_auc", (7, 4), lambda ax: figures.forest(auc, ax))
certificates = read(out, "ablation_certificates")
certificates = certificates.rename(columns={"n_patients": "n", "estimator": "metric"})
certificates = certificates.assign(model=certificates["design"], blocks="", endpoint="")
found = set(certificates["metric"])
there = [name for name in LABELS if name in found]  # a run of before has six
for letter, metric in zip("bcdefghij", there, strict=False):
    chance = certificates.query("metric == @metric")["expected_if_independent"].mean()
    save(
        out,
        f"fig1{letter}_{metric}",
        (7, 3.5),
        lambda ax, metric=metric, chance=chance: panel(ax, metric, chance),
    )
