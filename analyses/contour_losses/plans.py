"""The cohorts and the losses of this analysis: names in, segmenters out."""

from dataclasses import dataclass

import radlatent as rl


@dataclass(frozen=True)
class Plan:
    """How a network learns one cohort, whatever its loss.

    Parameters
    ----------
    modality
        Whose images and masks.
    patch
        What the network sees at once.
    epochs
        Passes through all slices.
    """

    modality: str
    patch: rl.Patch
    epochs: int


#: Hearts in 192 mm about the middle of the image; sarcomas in all of their cut-out.
PLANS = {
    "acdc": Plan("mr", rl.Patch((128, 128), (1.5, 1.5), (192.0, 192.0)), 20),
    "sts": Plan("pet", rl.Patch((64, 64), (4.0, 4.0)), 40),
}

#: What all losses share: Dice over all slices of a minibatch.
_DICE = {"by": "minibatch"}

#: The first is L0; naive and adaptive are our reading (METHODS 7.2), the last is
#: MONAI's, by distance transforms of what is drawn at every step.
LOSSES = {
    "L0 (Dice)": {"name": "dice"} | _DICE,
    "naive": {"name": "contour_naive"} | _DICE,
    "adaptive": {"name": "contour_adaptive"} | _DICE,
    "learned": {"name": "contour_adaptive", "weighting": "uncertainty"} | _DICE,
    "Hausdorff": {"name": "hausdorff"} | _DICE,
}

#: On the command line, and in folders.
SHORT = {name.split()[0].lower(): name for name in LOSSES}

WIDTH = 16


def segmenter_of(cohort: str, loss: str, epochs: int | None) -> rl.Segmenter:
    """Return the unfitted segmenter of a cohort and loss; all begin alike.

    Parameters
    ----------
    cohort, loss
        Names in `PLANS` and `LOSSES`.
    epochs
        Passes through all slices; None takes those of the plan.
    """
    plan = PLANS[cohort]
    training = rl.Training(
        epochs=epochs or plan.epochs,
        minibatch_size=16,
        learning_rate=2e-3,
        weight_decay=1e-4,
        clip_norm=12.0,
        warm_up_epochs=1,
        precision="half",
    )
    return rl.Segmenter(
        "unet",
        width=WIDTH,
        patch=plan.patch,
        loss=LOSSES[loss],
        augmentation=rl.Augmentation(probability=0.3),
        training=training,
    )
