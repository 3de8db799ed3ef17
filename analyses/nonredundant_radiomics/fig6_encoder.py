"""Fig. 6: the encoder of the first fold: training, traversal of its latents."""

from panels import folder, save

import radlatent as rl
from radlatent import figures
from radlatent.latent.space.diagnostics import discriminator_accuracy, learning_curve

out = folder(globals().get("OUT"))
encoder = rl.load_encoder(out / "encoder")
curve = learning_curve(encoder.history_)
save(out, "fig6a_training", (6, 4), lambda ax: figures.learning_curve(curve, ax))
told = discriminator_accuracy(encoder.history_)
save(
    out,
    "fig6b_discriminator",
    (6, 4),
    lambda ax: figures.discriminator_accuracy(told, ax),
)
save(out, "fig6c_traversal", (9, 10), encoder.traverse(n_steps=5).plot)
