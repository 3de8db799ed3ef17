"""Fig. 2: what kappa changes, by schedule: certificate, error, hidden factor."""

from panels import folder, read, save

from radlatent import figures

out = folder(globals().get("OUT"))
table = read(out, "kappa")
for panel, value, label in (
    ("a_r2_linear", "r2_linear", "Held-out R² from hand-crafted features, linear"),
    ("b_distance_correlation", "distance_correlation_squared", "Distance correlation²"),
    ("c_discriminator_auc", "discriminator_auc", "AUC of a fresh discriminator"),
    (
        "d_error",
        "reconstruction_error",
        "Mean squared error, held-out\n(lower = better)",
    ),
    ("e_hidden", "truth__hidden", "R² of the hidden factor\n(higher = better)"),
):
    save(
        out,
        f"fig2{panel}",
        (6, 4),
        lambda ax, value=value, label=label: figures.sweep(
            table, ax, parameter="kappa", value=value, label=label, by="schedule"
        ),
    )
