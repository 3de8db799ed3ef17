"""The networks of this analysis: names in, segmenters out."""

from dataclasses import dataclass

import radlatent as rl

#: All of a simulated thigh: 96 x 96 pixels of 2 mm, one window.
PATCH = rl.Patch((96, 96), (2.0, 2.0))


@dataclass(frozen=True)
class Plan:
    """How wide a network is, and how long it is trained."""

    width: int
    epochs: int


#: The first is what the others are compared with. About the same CPU time each.
PLANS = {
    "plain_unet": Plan(16, 24),
    "unet": Plan(24, 40),
    "hrnet": Plan(16, 16),
    "transunet": Plan(16, 30),
}


def segmenter_of(name: str, epochs: int | None = None) -> rl.Segmenter:
    """Return an unfitted segmenter; ``epochs`` stand for those of its plan."""
    plan = PLANS[name]
    training = rl.Training(
        epochs=epochs or plan.epochs,
        minibatch_size=16,
        learning_rate=2e-3,
        weight_decay=1e-4,
        clip_norm=12.0,
        warm_up_epochs=1,
        averaging=0.99,
        precision="half",
    )
    return rl.Segmenter(
        name,
        width=plan.width,
        patch=PATCH,
        loss={"name": "dice_cross_entropy", "by": "minibatch"},
        # a muscle is told from its neighbor by its place: small turns alone
        augmentation=rl.Augmentation(
            rotation_deg=10.0, scale=(0.9, 1.1), probability=0.3
        ),
        training=training,
    )
