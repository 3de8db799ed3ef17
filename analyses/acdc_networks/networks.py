"""The networks of this analysis and how they are trained: names in, segmenters out."""

from dataclasses import dataclass

import radlatent as rl

#: 192 mm about the middle of the image, in one window. It cuts more than 5 % off the
#: right ventricle of three patients, 0.003 of the mean Dice at most; see README.md.
PATCH = rl.Patch((128, 128), (1.5, 1.5), field_mm=(192.0, 192.0))

#: The same field, in parts of 144 mm with the slices above and below. In training half
#: of the parts lie about the heart, and there are 1.8 times as many steps in a minute.
PARTS = rl.Patch((96, 96), (1.5, 1.5), field_mm=(192.0, 192.0), neighbors=1)

#: Of 64 patients there is little to see: half of the slices have each change.
AUGMENTATION = rl.Augmentation(probability=0.5)

N_FOLDS = 5


@dataclass(frozen=True)
class Plan:
    """How a network is trained: what two cores can afford.

    Parameters
    ----------
    width
        Channels of its first stage.
    epochs
        Passes through all slices.
    learning_rate
        Of AdamW at the start.
    patch
        What it sees at once.
    """

    width: int
    epochs: int
    learning_rate: float = 2e-3
    patch: rl.Patch = PATCH


#: The U-Net of the paper, and the report's four networks, of which ``unet`` is MONAI's:
#: its first convolution halves the image. The first two are trained longest.
PLANS = {
    "plain_unet": Plan(16, 56, patch=PARTS),
    "unet": Plan(24, 40),
    "res_unet": Plan(12, 8),
    "attention_unet": Plan(12, 7),
    "swin_unetr": Plan(12, 2),
}


def segmenter_of(name: str) -> rl.Segmenter:
    """Return the unfitted segmenter of a network."""
    plan = PLANS[name]
    training = rl.Training(
        epochs=plan.epochs,
        minibatch_size=16,
        learning_rate=plan.learning_rate,
        weight_decay=1e-4,
        clip_norm=12.0,
        warm_up_epochs=1,
        precision="bf16-mixed",
    )
    # sums over all slices of a minibatch: a structure that a slice lacks weighs nothing
    loss = {"name": "dice_cross_entropy", "by": "minibatch"}
    about = {"patch": plan.patch, "loss": loss, "training": training}
    about |= {"augmentation": AUGMENTATION}
    return rl.Segmenter(name, width=plan.width, **about)
