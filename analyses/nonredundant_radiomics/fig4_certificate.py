"""Fig. 4: the certificate of the full model, latent by latent, first fold."""

from panels import folder, read, save

from radlatent import figures

out = folder(globals().get("OUT"))
features = read(out, "certificate_features").query("repeat == 0 and fold == 0")
save(out, "fig4_certificate", (6, 4), lambda ax: figures.redundancy(features, ax))
